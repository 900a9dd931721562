"""Reports over HTTP: measure, list, read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, names_for, project_or_404
from feedback.api.jobs import JobSerializer
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.models import Report, User
from feedback.quality.reports import check_params, measure, since
from feedback.refusals import Refusal

PEOPLE_KEYS = ("people", "matrix_people", "person", "annotator")
"""Under which reports hold the keys of people."""


class ReportSerializer(serializers.ModelSerializer[Report]):
    project: serializers.Field = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    params = serializers.JSONField(help_text="What was asked; empty of a report on the whole project.")

    class Meta:
        model = Report
        fields = ["id", "project", "kind", "params", "judgments", "seconds", "computed_at", "job"]


class PersonNameSerializer(serializers.Serializer[Any]):
    id = serializers.IntegerField()
    name = serializers.CharField(help_text="The username for curators; a pseudonym for others.")


class ReportContentSerializer(ReportSerializer):
    since = serializers.SerializerMethodField(help_text="Judgments that were made after those it was computed from.")
    content = serializers.JSONField(help_text="Its figures: each a value with the ends of its 95 % interval.")
    people = serializers.SerializerMethodField(help_text="Who the people are whose keys stand in the content.")

    class Meta(ReportSerializer.Meta):
        fields = [*ReportSerializer.Meta.fields, "since", "people", "content"]

    @extend_schema_field(serializers.IntegerField())
    def get_since(self, report: Report) -> int:
        return since(report)

    @extend_schema_field(PersonNameSerializer(many=True))
    def get_people(self, report: Report) -> list[dict[str, Any]]:
        name_of = names_for(self.context["reader"], report.project)
        people = User.objects.in_bulk(set(keys_of_people(report.content)))
        return [{"id": key, "name": name_of(person)} for key, person in sorted(people.items())]


class MeasureSerializer(serializers.Serializer[Any]):
    kind = serializers.ChoiceField(choices=Report.Kind.choices, help_text="What to measure.")
    params = serializers.DictField(
        required=False,
        default=dict,
        help_text="Of what_if: what to leave out, `people` and `guidelines` by number, `days` as ISO dates, `flags` by "
        "key. Other kinds take none.",
    )


class ReportList(generics.ListAPIView):
    """List the project's reports, the latest first."""

    serializer_class = ReportSerializer
    queryset = Report.objects.none()

    def get_queryset(self) -> QuerySet[Report]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_judgments")
        reports = Report.objects.filter(project=project).select_related("project").defer("content")
        if kind := self.request.query_params.get("kind"):
            if kind not in Report.Kind.values:
                raise Refused("kind", f"{kind!r} is not one of {', '.join(Report.Kind.values)}")
            reports = reports.filter(kind=kind)
        return reports

    @extend_schema(parameters=[OpenApiParameter("kind", enum=Report.Kind.values)])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the project's reports, the latest first, without their content."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=MeasureSerializer, responses={201: JobSerializer, 202: JobSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Measure anew. A small project's report is there at once (201, the job's result names it); otherwise ask for
        the job until it has ended (202). A measurement of the same that runs already is answered instead of a new one.
        """
        within = project_or_404(request.user, project, "feedback.read_judgments")
        asked = checked(MeasureSerializer, request)
        try:
            params = check_params(asked["kind"], asked["params"])
        except Refusal as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        job = measure(project=within, kind=asked["kind"], params=params, created_by=person_of(request))
        return ApiResponse(JobSerializer(job).data, status=201 if job.is_over else 202)


class ReportDetail(APIView):
    @extend_schema(responses=ReportContentSerializer)
    def get(self, request: Request, report: UUID) -> ApiResponse:
        """Show a report with its figures, its age, and how many judgments came since."""
        found = get_object_or_404(Report.objects.select_related("project"), pk=report)
        check(request.user, "feedback.read_judgments", found.project)
        return ApiResponse(ReportContentSerializer(found, context={"reader": person_of(request)}).data)


def keys_of_people(content: Any) -> Iterator[int]:
    """Yield the keys of people that stand in a report's content."""
    if isinstance(content, dict):
        for name, value in content.items():
            if name in PEOPLE_KEYS:
                listed = value if isinstance(value, list) else [value]
                yield from (each for each in listed if isinstance(each, int))
            yield from keys_of_people(value)
    elif isinstance(content, list):
        for value in content:
            yield from keys_of_people(value)
