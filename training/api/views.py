"""Runs and checkpoints over HTTP; the same verbs as the pages."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import generics
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check, project_or_404
from feedback.api.jobs import JobSerializer
from feedback.api.people import user_or_404
from feedback.api.refusals import CONFLICT, REFUSED, Conflict, Refused
from feedback.api.requests import as_uuid, checked, person_of
from feedback.erasing import holdings
from feedback.models import Job, Project, User
from training.api.serializers import (
    CheckpointDetailSerializer,
    CheckpointSerializer,
    LearnedSerializer,
    MetricsSerializer,
    RunDetailSerializer,
    RunInputSerializer,
    RunSerializer,
    SweepInputSerializer,
)
from training.base_models import MISSING_MODEL
from training.configs import BadConfig
from training.importing import start_base
from training.lineage import learned_from
from training.models import Checkpoint, Run
from training.reading import metrics_after, step_named
from training.repeating import repeat_run
from training.retrying import NoRetry, retry_run
from training.runs import RunRefused, start_run
from training.starting import PromptChoice, start_sweep
from training.stopping import NotPaused, RunEnded, cancel_run, pause_run, resume_run

FILTERS = {
    "runs": [
        OpenApiParameter("kind", enum=Run.Kind.values, description="Only runs of this kind."),
        OpenApiParameter("state", enum=Run.State.values, description="Only runs in this state."),
    ],
    "checkpoints": [
        OpenApiParameter("kind", enum=Checkpoint.Kind.values, description="Only checkpoints of this kind."),
        OpenApiParameter("snapshot", OpenApiTypes.UUID, description="Only those that learned from this snapshot."),
    ],
}
RELATED = ("project", "created_by", "checkpoint")


class RunList(generics.ListAPIView):
    serializer_class = RunSerializer
    queryset = Run.objects.none()

    def get_queryset(self) -> QuerySet[Run]:
        project = project_or_404(self.request.user, self.kwargs["project"], "training.read")
        runs = project.runs.select_related(*RELATED).prefetch_related("others")
        return chosen(runs, self.request, {"kind": Run.Kind, "state": Run.State})

    @extend_schema(parameters=FILTERS["runs"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the project's runs, the latest first."""
        return super().get(request, *args, **kwargs)

    @extend_schema(request=RunInputSerializer, responses={201: RunSerializer, 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Queue a run for the next free worker. 422 names the setting or input that cannot be."""
        within = project_or_404(request.user, project, "training.run")
        wanted = checked(RunInputSerializer, request)
        try:
            run = start_run(
                project=within,
                kind=wanted["kind"],
                config=wanted["config"],
                created_by=person_of(request),
                name=wanted["name"],
                prompt_ids=wanted["prompts"],
                **how(wanted),
                **inputs(within, wanted),
            )
        except (BadConfig, RunRefused) as refusal:
            raise Refused({"prompt_ids": "prompts"}.get(refusal.field, refusal.field), refusal.message) from refusal
        return ApiResponse(RunSerializer(run).data, status=201)


class RunSweep(APIView):
    @extend_schema(request=SweepInputSerializer, responses={201: RunSerializer(many=True), 422: REFUSED})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Queue the same run once for each of several seeds. 422 queues none of them."""
        within = project_or_404(request.user, project, "training.run")
        wanted = checked(SweepInputSerializer, request)
        prompts = tuple(map(str, wanted["prompts"]))
        try:
            runs = start_sweep(
                project=within,
                kind=wanted["kind"],
                config=wanted["config"],
                seeds=wanted["seeds"],
                created_by=person_of(request),
                name=wanted["name"],
                prompts=PromptChoice("same", ids=prompts) if prompts else None,
                **how(wanted),
                **inputs(within, wanted),
            )
        except (BadConfig, RunRefused) as refusal:
            raise Refused({"prompt_ids": "prompts"}.get(refusal.field, refusal.field), refusal.message) from refusal
        return ApiResponse(RunSerializer(runs, many=True).data, status=201)


def how(wanted: dict[str, Any]) -> dict[str, Any]:
    return {name: wanted[name] for name in ("launch", "needs", "waits_after_preflight")}


def inputs(project: Project, wanted: dict[str, Any]) -> dict[str, Any]:
    """Return the rows that the ids name, of this project only."""
    homes = {
        "policy": project.checkpoints,
        "reward": project.checkpoints,
        "snapshot": project.snapshots,
        "queue": project.queues,
    }
    found: dict[str, Any] = {}
    for name, home in homes.items():
        found[name] = home.filter(pk=wanted[name]).first() if wanted[name] else None
        if wanted[name] and found[name] is None:
            raise Refused(name, f"there is no {name} {wanted[name]} in this project")
    found["others"] = [project.checkpoints.filter(pk=pk).first() for pk in wanted["others"]]
    if None in found["others"]:
        missing = wanted["others"][found["others"].index(None)]
        raise Refused("others", f"there is no checkpoint {missing} in this project")
    return found


class RunDetail(APIView):
    @extend_schema(responses=RunDetailSerializer)
    def get(self, request: Request, run: UUID) -> ApiResponse:
        """One run: its settings, how far it is, its preflight and environment, and what came of it."""
        return ApiResponse(RunDetailSerializer(run_or_404(request, run, "training.read")).data)


class RunCancel(APIView):
    @extend_schema(request=None, responses={200: RunSerializer, 409: CONFLICT})
    def post(self, request: Request, run: UUID) -> ApiResponse:
        """Ask a run to stop; it leaves a checkpoint. 409 when it is over."""
        try:
            stopped = cancel_run(
                run=run_or_404(request, run, "training.run"), now=timezone.now(), by=person_of(request)
            )
        except RunEnded as refusal:
            raise Conflict("run_ended", str(refusal)) from refusal
        return ApiResponse(RunSerializer(stopped).data)


class RunPause(APIView):
    @extend_schema(request=None, responses={200: RunSerializer, 409: CONFLICT})
    def post(self, request: Request, run: UUID) -> ApiResponse:
        """Ask a run to save a checkpoint and give its worker back until it is resumed. 409 when it is over."""
        try:
            paused = pause_run(run=run_or_404(request, run, "training.run"), now=timezone.now(), by=person_of(request))
        except RunEnded as refusal:
            raise Conflict("run_ended", str(refusal)) from refusal
        return ApiResponse(RunSerializer(paused).data)


class RunResume(APIView):
    @extend_schema(request=None, responses={200: RunSerializer, 409: CONFLICT})
    def post(self, request: Request, run: UUID) -> ApiResponse:
        """Queue a paused run again, after its preflight too. 409 when it is not paused."""
        try:
            resumed = resume_run(run=run_or_404(request, run, "training.run"), by=person_of(request))
        except NotPaused as refusal:
            raise Conflict("not_paused", str(refusal)) from refusal
        return ApiResponse(RunSerializer(resumed).data)


class RunRetry(APIView):
    @extend_schema(request=None, responses={200: RunSerializer, 409: CONFLICT})
    def post(self, request: Request, run: UUID) -> ApiResponse:
        """Queue a failed run again; it goes on after its last good checkpoint. 409 when there is nothing to retry."""
        try:
            again = retry_run(run=run_or_404(request, run, "training.run"), by=person_of(request))
        except NoRetry as refusal:
            raise Conflict("no_retry", str(refusal)) from refusal
        return ApiResponse(RunSerializer(again).data)


class RunRepeat(APIView):
    @extend_schema(request=None, responses={201: RunSerializer, 422: REFUSED})
    def post(self, request: Request, run: UUID) -> ApiResponse:
        """Queue a run with the same inputs, settings, seed and prompts, to see whether the same comes of it."""
        try:
            again = repeat_run(run=run_or_404(request, run, "training.run"), created_by=person_of(request))
        except (BadConfig, RunRefused) as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(RunSerializer(again).data, status=201)


class RunMetrics(APIView):
    @extend_schema(
        parameters=[OpenApiParameter("after", int, description="Only steps above this one.")],
        responses={200: MetricsSerializer, 422: REFUSED},
    )
    def get(self, request: Request, run: UUID) -> ApiResponse:
        """The run's metrics, a row for each step, oldest first."""
        asked = request.query_params.get("after", "0")
        if (after := step_named(asked)) is None:
            raise Refused("after", f"{asked[:40]!r} is not a step; give a whole number from 0")
        found = metrics_after(run_or_404(request, run, "training.read"), after)
        rows = [
            {"step": row["step"], "values": {name: value for name, value in row.items() if name != "step"}}
            for row in found["rows"]
        ]
        return ApiResponse(MetricsSerializer({**found, "results": rows}).data)


def run_or_404(request: Request, pk: UUID, permission: str) -> Run:
    run = get_object_or_404(Run.objects.select_related(*RELATED), pk=pk)
    check(request.user, permission, run.project)
    return run


class CheckpointList(generics.ListAPIView):
    serializer_class = CheckpointSerializer
    queryset = Checkpoint.objects.none()

    def get_queryset(self) -> QuerySet[Checkpoint]:
        project = project_or_404(self.request.user, self.kwargs["project"], "training.read")
        checkpoints = chosen(project.checkpoints.select_related("project"), self.request, {"kind": Checkpoint.Kind})
        snapshot = self.request.query_params.get("snapshot")
        return checkpoints if snapshot is None else checkpoints.filter(snapshot=as_uuid("snapshot", snapshot))

    @extend_schema(parameters=FILTERS["checkpoints"])
    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the project's checkpoints, the latest first."""
        return super().get(request, *args, **kwargs)


class CheckpointBase(APIView):
    @extend_schema(request=None, responses={200: CheckpointDetailSerializer, 202: JobSerializer, 409: CONFLICT})
    def post(self, request: Request, project: str) -> ApiResponse:
        """Give the project its checkpoint of the installation's base model; again, the same one.

        A large one is read by a job: 202, and its result names the checkpoint.
        """
        within = project_or_404(request.user, project, "training.run")
        job = start_base(project=within, by=person_of(request))
        if job is None:
            raise Conflict("no_base_model", MISSING_MODEL)
        if job.state != Job.State.SUCCEEDED:
            return ApiResponse(JobSerializer(job).data, status=202)
        return ApiResponse(CheckpointDetailSerializer(within.checkpoints.get(pk=job.result["checkpoint"])).data)


class CheckpointDetail(APIView):
    @extend_schema(responses=CheckpointDetailSerializer)
    def get(self, request: Request, checkpoint: UUID) -> ApiResponse:
        """One checkpoint with its lineage (run, snapshot, judgments, ancestors) and what came of it."""
        found = get_object_or_404(Checkpoint.objects.select_related("project", "run", "snapshot"), pk=checkpoint)
        check(request.user, "training.read", found.project)
        return ApiResponse(CheckpointDetailSerializer(found).data)


class PersonLearned(APIView):
    @extend_schema(responses=LearnedSerializer)
    def get(self, request: Request, project: str, username: str) -> ApiResponse:
        """Runs and checkpoints that learned from a person's labels or texts, before and after an erasure."""
        within = project_or_404(request.user, project, "feedback.erase")
        person = user_or_404(User.objects.all(), username)
        held = holdings(project=within, person=person)
        if not held and not within.memberships.filter(user=person).exists():
            raise Http404("nobody of this project")
        return ApiResponse(LearnedSerializer(learned_from([one.snapshot for one in held])).data)


def chosen(rows: Any, request: Request, fields: dict[str, Any]) -> Any:
    """Filter `rows` by the query string; a value that the field cannot have is refused."""
    for name, choices in fields.items():
        wanted = request.query_params.get(name)
        if wanted is None:
            continue
        if wanted not in choices.values:
            raise Refused(name, f"{wanted!r} is not one of {', '.join(choices.values)}")
        rows = rows.filter(**{name: wanted})
    return rows
