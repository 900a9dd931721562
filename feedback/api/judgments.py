"""Judgments over HTTP for those who review and train."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.pagination import LimitOffsetPagination
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse

from feedback.access import names_for, project_or_404
from feedback.api.refusals import Refused
from feedback.api.requests import as_uuid, person_of
from feedback.api.serializers import JudgmentSerializer
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import find, in_order_of
from feedback.models import Judgment

PAGE = 50
RELATED = ("annotator", "queue", "task", "guideline", "policy", "schema")


class Places(LimitOffsetPagination):
    """Pages that go on from a judgment, and count only what fits on one: counting a million takes too long."""

    max_limit = 1_000

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        told: dict[str, Any] = super().get_paginated_response_schema(schema)
        words = "How many there are, where one page holds them all; otherwise null."
        told["properties"]["count"] = {"type": "integer", "nullable": True, "description": words}
        return told


class JudgmentList(generics.ListAPIView):
    serializer_class = JudgmentSerializer
    queryset = Judgment.objects.none()
    pagination_class = Places

    @extend_schema(
        parameters=[
            OpenApiParameter(name, description=words)
            for name, words in {
                "queue": "Only those of this queue.",
                "kind": "Kind of task.",
                "annotator": "Id of the person.",
                "review": "none, accepted, fixed or rejected.",
                "q": "Words of the prompt, the reason or the text.",
                "drawn": "1: the share that is drawn for review.",
                "differing": "1: somebody judged the same task otherwise.",
                "gold": "any: on gold tasks; wrong: not right by the gold.",
                "flag": "Key of a flag, or any.",
                "against": "Id of a scorer: the person prefers what it gives less.",
                "gap": "With against: by more than so much.",
                "strength": "0 (ties) to 3.",
                "arm": "Why the queue handed it out.",
                "language": "Of the prompt.",
                "since": "First day.",
                "until": "Last day.",
                "simulated": "no: people; yes: simulated annotators; imported.",
                "commented": "1: somebody has said something of it.",
                "snapshot": "Only those that this snapshot holds.",
                "order": "oldest: the oldest first.",
                "beyond": "Go on from this judgment; `next` has it.",
            }.items()
        ]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the judgments that count now, the latest first.

        A search over very many ends with a page that is not full, and `next` goes on with it.
        """
        project = project_or_404(request.user, self.kwargs["project"], "feedback.read_judgments")
        name_of = names_for(person_of(request), project)
        filters = JudgmentFilter(request.query_params, project=project, names=name_of)
        for name, errors in filters.errors.items():
            raise Refused(name, str(errors[0]))
        pages = Places()
        limit = pages.get_limit(request) or PAGE
        beyond = request.query_params.get("beyond")
        start = as_uuid("beyond", beyond) if beyond else None
        found = find(filters.search(), beyond=start, limit=limit, newest_first=filters.newest_first)
        rows = in_order_of(
            found.judgments,
            Judgment.objects.with_review().select_related(*RELATED).prefetch_related("task__links"),
        )
        following = None
        if found.resume is not None:
            asked = {**filters.as_told(), "limit": limit, "beyond": found.resume}
            following = f"{request.build_absolute_uri(request.path)}?{urlencode(asked)}"
        whole = start is None and found.resume is None
        shown = JudgmentSerializer(rows, many=True, context={"name_of": name_of}).data
        return ApiResponse(
            {"count": len(rows) if whole else None, "next": following, "previous": None, "results": shown}
        )
