"""What a single cell may hold. A wrong one is refused with its column, what is wrong and what would be right."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from feedback.judging import ACTIVE_SECONDS_LIMIT

ID_LENGTH_LIMIT = 200
TAGS_LIMIT = 20
TAG_LENGTH_LIMIT = 50
SAMPLING_LENGTH_LIMIT = 2_000
LENGTH_LIMITS = {"source": 200, "licence": 100, "language": 20, "model": 200}
EARLIEST = datetime(1990, 1, 1, tzinfo=UTC)


class BadCell(ValueError):
    """One cell is wrong; `column` says which."""

    def __init__(self, column: str, message: str) -> None:
        super().__init__(message)
        self.column = column
        self.message = message


def cell_at(values: Mapping[str, Any], name: str) -> Any:
    """Return the cell of a column; "a.b" is b within the object a, where no column has that name itself."""
    if name in values or "." not in name:
        return values.get(name)
    found: Any = values
    for part in name.split("."):
        found = found.get(part) if isinstance(found, Mapping) else None
    return found


def is_filled(value: object) -> bool:
    return not (value is None or (isinstance(value, str | list | dict) and not value) or value != value)


def checked_text(column: str, value: object, limit: int = 0) -> str:
    if not isinstance(value, str):
        raise BadCell(column, f"text is expected, not {type(value).__name__}")
    if limit and len(value) > limit:
        raise BadCell(column, f"{len(value):,} characters; the most is {limit:,}")
    check_unicode(column, value)
    return value


def check_unicode(column: str, text: str, where: str = "the text ") -> None:
    if "\x00" in text:
        raise BadCell(column, f"{where}contains a NUL character")
    if text.isascii():
        return
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise BadCell(column, f"{where}contains half a character (U+{ord(text[error.start]):04X})") from error


def checked_id(column: str, value: object) -> str:
    """Return the name that another system gives to something: a text, or a whole number."""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    elif isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        value = str(int(value))  # what tables make of whole numbers in a column with gaps
    return checked_text(column, value, ID_LENGTH_LIMIT).strip()


def checked_tags(column: str, value: object) -> list[str]:
    """Return tags from a list, JSON of a list, or text with commas between them."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed_json(column, value)
    tags = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(tags, list | tuple):
        raise BadCell(column, f"a list, or text with commas, is expected, not {type(value).__name__}")
    tags = [checked_text(column, tag, TAG_LENGTH_LIMIT) for tag in tags if is_filled(tag)]
    if len(tags) > TAGS_LIMIT:
        raise BadCell(column, f"{len(tags)} tags; the most is {TAGS_LIMIT}")
    return list(dict.fromkeys(tags))


def parsed_json(column: str, text: str) -> Any:
    from feedback.imports.texts import DECODER

    try:
        return DECODER.decode(text)
    except (ValueError, RecursionError) as error:
        raise BadCell(column, f"not JSON: {error}") from error


def checked_list(column: str, value: object) -> list[Any]:
    """Return a list, or what a text holds as JSON of one."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = parsed_json(column, value)
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise BadCell(column, f"a list is expected, not {type(value).__name__}")
    return list(value)


def checked_object(column: str, value: object) -> dict[str, Any]:
    """Return an object that any database keeps, or what a text holds as JSON of one."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = parsed_json(column, value)
    if not isinstance(value, dict):
        raise BadCell(column, f"an object is expected, not {type(value).__name__}")
    try:
        text = json.dumps(value, allow_nan=False)
        kept: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadCell(column, f"the object holds what is no JSON: {error}") from error
    if len(text) > SAMPLING_LENGTH_LIMIT:
        raise BadCell(column, f"the object has {len(text):,} characters; the most is {SAMPLING_LENGTH_LIMIT:,}")
    if "\\u0000" in text or "\\ud" in text:
        check_unicode(column, json.dumps(kept, ensure_ascii=False), "the object ")
        if "\\u0000" in text:
            raise BadCell(column, "the object contains a NUL character")
    return kept


def checked_number(column: str, value: object) -> float:
    if isinstance(value, str):
        try:
            value = float(value.strip()) if len(value) < 50 else None
        except ValueError:
            raise BadCell(column, f"{shortened(value)} is not a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal):
        raise BadCell(column, f"a number is expected, not {type(value).__name__}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadCell(column, "the number is not finite")
    return number


def checked_whole(column: str, value: object) -> int:
    number = checked_number(column, value)
    if not number.is_integer() or abs(number) > 2**31:
        raise BadCell(column, f"{number:g} is not a whole number")
    return int(number)


def checked_seconds(column: str, value: object) -> float:
    seconds = checked_number(column, value)
    if not 0 <= seconds <= ACTIVE_SECONDS_LIMIT:
        raise BadCell(column, f"{seconds:g} seconds are not between 0 and {ACTIVE_SECONDS_LIMIT:,}")
    return seconds


def checked_time(column: str, value: object) -> datetime:
    """Return a moment: ISO 8601 (UTC where it names no zone), or seconds or milliseconds since 1970."""
    moment: datetime
    try:
        if isinstance(value, datetime):
            moment = value
        elif isinstance(value, date):
            moment = datetime(value.year, value.month, value.day)
        elif isinstance(value, str) and not value.strip().replace(".", "", 1).isdigit():
            moment = datetime.fromisoformat(value.strip())
        else:
            number = checked_number(column, value)
            moment = datetime.fromtimestamp(number / 1000 if number > 1e11 else number, UTC)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        moment = moment.astimezone(UTC)
    except (ValueError, OverflowError, OSError) as error:
        if isinstance(error, BadCell):
            raise
        raise BadCell(column, f"{shortened(value)} is not a time such as 2026-11-25T14:30:00Z") from None
    if not EARLIEST <= moment <= datetime.now(UTC) + timedelta(days=2):
        raise BadCell(column, f"{moment.date()} is before {EARLIEST.year} or has not come yet")
    return moment


def shortened(value: object) -> str:
    text = str(value)
    return repr(text if len(text) <= 40 else text[:39] + "…")
