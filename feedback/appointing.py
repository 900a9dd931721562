"""Name people for a queue, and give a task to a person."""

from __future__ import annotations

from django.db import transaction
from django.db.models import Q

from feedback.audit import record
from feedback.filling import add_slots
from feedback.locks import lock_task
from feedback.models import Assignment, Gold, Membership, Queue, QueueMember, Role, Skip, Task, User
from feedback.refusals import Refusal
from feedback.standings import is_suspended


class AppointmentRefused(Refusal):
    """A person cannot be named, or given the task; `field` says which value is wrong."""


@transaction.atomic
def name_person(*, queue: Queue, person: User, named_by: User) -> QueueMember:
    """Let `person` label in the queue while its policy lets named people only; again changes nothing.

    Raises AppointmentRefused.
    """
    check_annotator(queue=queue, person=person)
    member, is_new = QueueMember.objects.get_or_create(queue=queue, person=person, defaults={"named_by": named_by})
    if is_new:
        record(
            project=queue.project, actor=named_by, action="queue.name_person", subject=queue,
            after={"person": person.username},
        )  # fmt: skip
    return member


@transaction.atomic
def unname_person(*, queue: Queue, person: User, unnamed_by: User | None = None) -> None:
    """Take the person off the queue's names. What they hold they may finish; what they have said stays."""
    gone, _ = QueueMember.objects.filter(queue=queue, person=person).delete()
    if gone:
        record(
            project=queue.project, actor=unnamed_by, action="queue.unname_person", subject=queue,
            before={"person": person.username},
        )  # fmt: skip


@transaction.atomic
def give_task(*, task: Task, person: User, given_by: User) -> Assignment:
    """Reserve a slot of the task for `person`: an open one, or one more; again returns the same slot.

    They get it before anything else, and nobody else gets it. Raises AppointmentRefused.
    """
    slot = reserve(task=task, person=person)
    record(
        project=task.queue.project, actor=given_by, action="task.give", subject=task, after={"person": person.username}
    )
    return slot


def reserve(*, task: Task, person: User) -> Assignment:
    lock_task(task.pk)
    queue = task.queue
    check_annotator(queue=queue, person=person)
    if is_suspended(project=queue.project, person=person):
        raise AppointmentRefused("person", f"{person.username} gets no new tasks in this project; reinstate them first")
    if queue.state == Queue.State.CLOSED:
        raise AppointmentRefused("task", "the queue is closed; reopen it first")
    if task.repeat_of_id is not None or Gold.objects.filter(task=task).exists():
        raise AppointmentRefused("task", "this task is handed out by the queue itself")
    slots = Assignment.objects.filter(task=task)
    if slots.filter(annotator=person, state=Assignment.State.DONE).exists():
        raise AppointmentRefused("person", f"{person.username} has judged this task already")
    mine = slots.filter(Q(annotator=person) | Q(reserved_for=person))
    held = mine.first()
    if held is not None and mine.filter(pk=held.pk).update(reserved_for=person):  # else somebody took it over just now
        return Assignment.objects.get(pk=held.pk)
    if Skip.objects.standing().filter(task=task, annotator=person).exists():
        raise AppointmentRefused("person", f"{person.username} has passed over this task; give it to somebody else")
    if Skip.objects.keeping_out().filter(task=task).exists():
        raise AppointmentRefused("task", "this task is out for review, or was left out for good")
    if Task.objects.filter(pk=task.pk, withdrawn_at__isnull=False).exists():
        raise AppointmentRefused("task", "this task was taken out; return it first")
    free = slots.filter(state=Assignment.State.OPEN, reserved_for__isnull=True, slot__isnull=False)
    for slot in free.order_by("-slot"):
        if free.filter(pk=slot.pk).update(reserved_for=person):
            return Assignment.objects.get(pk=slot.pk)
    (made,) = add_slots(task=task, queue=queue, language=task.prompt.language, count=1, reserved_for=person)
    return made


def check_annotator(*, queue: Queue, person: User) -> None:
    if not Membership.objects.filter(project=queue.project_id, user=person, role=Role.ANNOTATOR).exists():
        raise AppointmentRefused("person", f"{person.username} is no annotator of this project; add the role first")
