"""Tasks over HTTP for those who steer a queue: list, enqueue, put first, take out, make gold, give to a person."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.db.models import Count, Exists, Max, OuterRef, Q, QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import generics
from rest_framework.decorators import api_view
from rest_framework.request import Request
from rest_framework.response import Response as ApiResponse
from rest_framework.views import APIView

from feedback.access import check
from feedback.api.queues import queue_or_404
from feedback.api.refusals import REFUSED, Refused
from feedback.api.requests import checked, person_of
from feedback.api.steering_serializers import (
    ChangedSerializer,
    GivenSerializer,
    GoldInputSerializer,
    GoldSerializer,
    KnownResponseSerializer,
    PersonInputSerializer,
    PriorityInputSerializer,
    StaffTaskSerializer,
    TaskInputSerializer,
    TaskProgressSerializer,
)
from feedback.appointing import AppointmentRefused, give_task
from feedback.filling import enqueue_task
from feedback.gold import GoldRefused, make_gold
from feedback.models import Assignment, Gold, Project, Task, User
from feedback.queues import QueueRefused
from feedback.steering import (
    SteeringRefused,
    check_priority,
    return_task,
    set_priority,
    set_priority_by_tag,
    withdraw_task,
)


class TaskList(generics.ListAPIView):
    serializer_class = TaskProgressSerializer
    queryset = Task.objects.none()

    def get_queryset(self) -> QuerySet[Task]:
        queue = queue_or_404(self.request, self.kwargs["queue"], "feedback.read_queues")
        return watched(queue.tasks.all())

    def get(self, request: Request, *args: Any, **kwargs: Any) -> ApiResponse:
        """List the queue's tasks with how far each is, the oldest first."""
        page = self.paginate_queryset(self.get_queryset()) or []
        return self.get_paginated_response([task_progress(task) for task in page])

    @extend_schema(request=TaskInputSerializer, responses={201: TaskProgressSerializer, 422: REFUSED})
    def post(self, request: Request, queue: UUID) -> ApiResponse:
        """Put a task of this prompt and these responses in the queue, or find the one that is there."""
        found = queue_or_404(request, queue, "feedback.manage_queues")
        asked = checked(TaskInputSerializer, request)
        prompt = found.project.prompts.filter(pk=asked["prompt"]).first()
        if prompt is None:
            raise Refused("prompt", "the project has no such prompt")
        responses = list(prompt.responses.filter(pk__in=asked["responses"]))
        if len(responses) != len(asked["responses"]):
            raise Refused("responses", "each is one of the prompt's responses, and none is there twice")
        try:
            check_priority(asked["priority"])
            task = enqueue_task(
                queue=found, prompt=prompt, responses=responses, priority=asked["priority"], slots=asked["slots"]
            )
        except (QueueRefused, SteeringRefused) as refusal:
            raise Refused(refusal.field, refusal.message) from refusal
        return ApiResponse(task_progress(watched(found.tasks.all()).get(pk=task.pk)), status=201)


class TaskDetail(APIView):
    @extend_schema(responses=StaffTaskSerializer)
    def get(self, request: Request, task: UUID) -> ApiResponse:
        """Show a task with its texts, who wrote them, its slots and its gold: for those who do not label it."""
        return ApiResponse(task_detail(steered_or_404(request, task, "feedback.read_queues")))


@extend_schema(request=PriorityInputSerializer, responses={200: ChangedSerializer, 422: REFUSED})
@api_view(["POST"])
def prioritize(request: Request, queue: UUID) -> ApiResponse:
    """Let tasks be claimed sooner or later: those that you name, or all whose prompt has the tag."""
    found = queue_or_404(request, queue, "feedback.manage_queues")
    asked, by = checked(PriorityInputSerializer, request), person_of(request)
    if ("tasks" in asked) == ("tag" in asked):
        raise Refused("tasks", "name either tasks or a tag")
    try:
        if "tag" in asked:
            changed = set_priority_by_tag(queue=found, tag=asked["tag"], priority=asked["priority"], set_by=by)
        else:
            tasks = list(found.tasks.filter(pk__in=asked["tasks"]))
            if len(tasks) != len(set(asked["tasks"])):
                raise Refused("tasks", "one of these is no task of this queue")
            changed = set_priority(queue=found, tasks=tasks, priority=asked["priority"], set_by=by)
    except SteeringRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse({"changed": changed})


@extend_schema(request=None, responses=ChangedSerializer)
@api_view(["POST"])
def take_out(request: Request, task: UUID) -> ApiResponse:
    """Take out the slots of the task that nobody holds; what was judged stays."""
    found = steered_or_404(request, task, "feedback.manage_queues")
    changed = withdraw_task(task=found, withdrawn_by=person_of(request), now=timezone.now())
    return ApiResponse({"changed": changed})


@extend_schema(request=None, responses=ChangedSerializer)
@api_view(["POST"])
def put_back(request: Request, task: UUID) -> ApiResponse:
    """Open the slots of the task that were taken out."""
    found = steered_or_404(request, task, "feedback.manage_queues")
    changed = return_task(task=found, returned_by=person_of(request), now=timezone.now())
    return ApiResponse({"changed": changed})


@extend_schema(request=GoldInputSerializer, responses={201: GoldSerializer, 422: REFUSED})
@api_view(["POST"])
def gold(request: Request, task: UUID) -> ApiResponse:
    """Say what a good judgment of the task is; from now on it is mixed in unseen, to learn how people do."""
    found = steered_or_404(request, task, "feedback.review")
    asked = checked(GoldInputSerializer, request)
    try:
        made = make_gold(task=found, created_by=person_of(request), **asked)
    except GoldRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse(GoldSerializer(made).data, status=201)


@extend_schema(request=PersonInputSerializer, responses={201: GivenSerializer, 422: REFUSED})
@api_view(["POST"])
def give(request: Request, task: UUID) -> ApiResponse:
    """Reserve a slot of the task for a person, who gets it before anything else."""
    found = steered_or_404(request, task, "feedback.manage_annotators")
    person = member_named(checked(PersonInputSerializer, request)["person"], found.queue.project)
    try:
        slot = give_task(task=found, person=person, given_by=person_of(request))
    except AppointmentRefused as refusal:
        raise Refused(refusal.field, refusal.message) from refusal
    return ApiResponse({"assignment": slot.pk, "task": slot.task_id, "person": person.username}, status=201)


# What the endpoints share


def steered_or_404(request: Request, task: UUID, permission: str) -> Task:
    found = get_object_or_404(Task.objects.select_related("queue__project", "prompt"), pk=task)
    check(request.user, permission, found.queue.project)
    return found


def member_named(username: str, project: Project) -> User:
    """Return the member of the project with this name. Raises Refused."""
    person = User.objects.filter(username=username, memberships__project=project).first()
    if person is None:
        raise Refused("person", f"nobody in this project has the username {username!r}")
    return person


def watched(tasks: QuerySet[Task]) -> QuerySet[Task]:
    """Count along the slots of each task by what stands with them."""
    live = Q(assignments__state=Assignment.State.LEASED, assignments__lease_expires_at__gt=timezone.now())
    return (
        tasks.select_related("prompt")
        .prefetch_related("links")
        .annotate(
            slots=Count("assignments"),
            done=Count("assignments", filter=Q(assignments__state=Assignment.State.DONE)),
            leased=Count("assignments", filter=live),
            withdrawn=Count("assignments", filter=Q(assignments__state=Assignment.State.WITHDRAWN)),
            priority=Max("assignments__priority"),
            is_gold=Exists(Gold.objects.filter(task=OuterRef("pk"))),
        )
        .order_by("id")
    )


def task_progress(task: Any) -> dict[str, Any]:
    """Return a task out of `watched` (`TaskProgressSerializer`)."""
    return {
        "id": task.pk,
        "prompt": task.prompt_id,
        "split": task.prompt.split,
        "responses": [link.response_id for link in task.links.all()],
        "propensity": task.propensity,
        "priority": task.priority,
        "slots": task.slots,
        "done": task.done,
        "leased": task.leased,
        "open": task.slots - task.done - task.leased - task.withdrawn,
        "withdrawn": task.withdrawn,
        "gold": task.is_gold,
        "created_at": task.created_at,
    }


def task_detail(task: Task) -> dict[str, Any]:
    known = Gold.objects.filter(task=task).select_related("created_by").first()
    return {
        **task_progress(watched(Task.objects.filter(pk=task.pk)).get()),
        "messages": task.prompt.messages,
        "texts": KnownResponseSerializer(task.texts, many=True).data,
        "known_answer": None if known is None else GoldSerializer(known).data,
    }
