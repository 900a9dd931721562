"""What the API refuses to read, and how much of a list it gives at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import IO, Any

from django.conf import settings
from django.template.defaultfilters import filesizeformat
from rest_framework.exceptions import APIException, ParseError
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.parsers import JSONParser


class Pages(LimitOffsetPagination):
    """A list in pages; a larger `limit` than the most is cut to it."""

    max_limit = 1_000


class BodyTooLarge(APIException):
    status_code = 413
    default_code = "body_too_large"

    def __init__(self) -> None:
        most = filesizeformat(settings.DATA_UPLOAD_MAX_MEMORY_SIZE)
        super().__init__(f"The body is too large; at most {most} can be sent at once.")


class CarefulJSONParser(JSONParser):
    """Read JSON of bounded size whose text can be stored and sent again."""

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        limit = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
        bounded = stream if limit is None else Bounded(stream, limit)
        try:
            values = super().parse(bounded, media_type, parser_context)  # type: ignore[arg-type]  # it only reads
            json.dumps(values, ensure_ascii=False).encode()
        except RecursionError as error:
            raise ParseError("JSON parse error - too deeply nested") from error
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error - a text contains half a character (a lone surrogate)") from error
        return values


class Bounded:
    """Read from `stream` until it has given more than `limit` bytes. Raises BodyTooLarge."""

    def __init__(self, stream: IO[Any], limit: int) -> None:
        self.stream = stream
        self.left = limit

    def read(self, size: int = -1) -> bytes:
        piece: bytes = self.stream.read(size if size >= 0 else self.left + 1)
        self.left -= len(piece)
        if self.left < 0:
            raise BodyTooLarge
        return piece
