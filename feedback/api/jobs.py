"""Jobs over HTTP: how far they are, cancel, resume."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics, serializers
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.refusals import CONFLICT, Conflict, Refused
from feedback.api.requests import person_of
from feedback.job_kinds import PERMISSIONS
from feedback.job_watching import jobs_for
from feedback.jobs import JobNotWaiting, cancel_job, resume_job
from feedback.models import Job


class JobSerializer(serializers.ModelSerializer[Job]):
    project: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(slug_field="slug", read_only=True)
    created_by: serializers.SlugRelatedField[Any] = serializers.SlugRelatedField(
        slug_field="username", read_only=True, allow_null=True
    )
    result = serializers.JSONField(help_text="Empty until it is done; `words` says what came of it.")

    class Meta:
        model = Job
        fields = [
            *("id", "project", "kind", "state", "done", "total", "words", "result", "error", "cancel_requested_at"),
            *("created_by", "created_at", "started_at", "finished_at"),
        ]


class JobList(generics.ListAPIView):
    """List the jobs of the kinds that your roles may start, the latest first."""

    serializer_class = JobSerializer
    queryset = Job.objects.none()

    def get_queryset(self) -> QuerySet[Job]:
        project = project_or_404(self.request.user, self.kwargs["project"], "feedback.read_queues")
        jobs = jobs_for(self.request.user, project)
        for name, choices in {"kind": Job.Kind.values, "state": Job.State.values}.items():
            if value := self.request.query_params.get(name):
                if value not in choices:
                    raise Refused(name, f"{value!r} is not one of {', '.join(choices)}")
                jobs = jobs.filter(**{name: value})
        return jobs

    @extend_schema(
        parameters=[OpenApiParameter("kind", enum=Job.Kind.values), OpenApiParameter("state", enum=Job.State.values)]
    )
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the jobs of the kinds that your roles may start, the latest first."""
        return super().get(request, *args, **kwargs)


class JobDetail(APIView):
    @extend_schema(responses=JobSerializer)
    def get(self, request: Request, job: UUID) -> ApiResponse:
        """How far one job is, and what came of it. Ask every few seconds until it has ended."""
        return ApiResponse(JobSerializer(job_or_404(request, job)).data)


class JobCancel(APIView):
    @extend_schema(request=None, responses={200: JobSerializer, 409: CONFLICT})
    def post(self, request: Request, job: UUID) -> ApiResponse:
        """Stop a job; what it has done stays done, and `resume` goes on with it. 409 when it is over."""
        return changed(request, job, cancel_job)


class JobResume(APIView):
    @extend_schema(request=None, responses={200: JobSerializer, 409: CONFLICT})
    def post(self, request: Request, job: UUID) -> ApiResponse:
        """Put a failed or cancelled job in line again; it goes on where it was. 409 for any other."""
        return changed(request, job, resume_job)


def changed(request: Request, job: UUID, verb: Callable[..., Job]) -> ApiResponse:
    try:
        return ApiResponse(JobSerializer(verb(job=job_or_404(request, job), by=person_of(request))).data)
    except JobNotWaiting as refusal:
        raise Conflict("job_not_waiting", refusal.message) from refusal


def job_or_404(request: Request, job: UUID) -> Job:
    found = get_object_or_404(Job.objects.select_related("project", "created_by"), pk=job)
    check(request.user, PERMISSIONS[found.kind], found.project)
    return found
