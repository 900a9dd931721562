"""Submit and revise judgments, and keep what is typed until then."""

from __future__ import annotations

import contextlib
import math
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext_noop

from feedback.answers import Answer, BadJudgment, check_answer, to_stored
from feedback.claims import LeaseLost, lease_lost
from feedback.conversations import end_talk
from feedback.lease_tokens import was_given_out
from feedback.leases import read_queue
from feedback.locks import lock_person
from feedback.models import Assignment, Draft, Judgment, LabelSchema, Queue, Task, User
from feedback.overlap import ask_one_more, lock_if_growing
from feedback.prepared import prepared, prepared_delete, prepared_insert, prepared_update
from feedback.qualifying import apply_pass_rule
from feedback.schemas import TaskKind

ACTIVE_SECONDS_LIMIT = 7 * 24 * 3600
INTERFACES = ("page", "api")
NOTHING: Mapping[str, Any] = {}


class SubmissionIdTaken(Exception):
    """Another judgment was submitted under this id."""


class SubmissionDiffers(SubmissionIdTaken):
    """This judgment was submitted under the id before, with another content; the earlier one is what counts."""


class AlreadyJudged(Exception):
    """The person has judged the task; a draft of it would come back to nobody."""


class NotCurrent(Exception):
    """The judgment has been revised since, or is somebody else's."""


class RevisionClosed(Exception):
    """The queue's policy no longer lets the judgment be revised; the message says since when."""


def submit_judgment(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    submission_id: uuid.UUID,
    answer: Mapping[str, Any],
    rationale: str = "",
    flags: Sequence[Any] = (),
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Store what the person says of the task they hold, and close the slot.

    `answer` and `flags` count in the order in which the person saw the responses (`feedback.answers`). The same
    `submission_id` with the same content again returns the stored judgment. When the lease is lost, everything typed
    is kept as a draft before LeaseLost is raised, unless the person has judged the task already or never had it.
    Raises LeaseLost, BadJudgment, SubmissionIdTaken, SubmissionDiffers.
    """
    check_seconds(active_seconds)
    check_interface(interface)
    try:
        return store_submission(
            assignment_id=assignment_id,
            annotator=annotator,
            lease_token=lease_token,
            submission_id=submission_id,
            answer=answer,
            rationale=rationale,
            flags=flags,
            active_seconds=active_seconds,
            interface=interface,
            now=now,
        )
    except LeaseLost:
        task = Task.objects.filter(assignments=assignment_id).select_related("queue__project").first()
        if task is not None and was_given_out(
            lease_token, salt=task.queue.project.salt, assignment_id=assignment_id, person=annotator.pk
        ):
            with contextlib.suppress(AlreadyJudged):
                save_draft(
                    task=task,
                    annotator=annotator,
                    answer=answer,
                    rationale=rationale,
                    flags=flags,
                    active_seconds=active_seconds,
                )
        raise
    except IntegrityError as error:
        raise_if_taken(submission_id, error)
        raise


@transaction.atomic
def store_submission(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    submission_id: uuid.UUID,
    answer: Mapping[str, Any],
    rationale: str,
    flags: Sequence[Any],
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Close the slot by one UPDATE fenced on the lease, and write the judgment with its provenance."""
    slot = slot_to_judge.first(slot=assignment_id)
    if slot is None:
        raise LeaseLost(slot_free=False)
    queue = slot.task.queue = read_queue(slot.queue_id)
    if slot.schema is not None:
        slot.schema.queue = queue
    is_mine = slot.annotator_id == annotator.pk and slot.schema is not None
    schema = slot.schema if is_mine else queue.schema
    order = slot.display_order if is_mine else slot.task.order_for(annotator)
    assert schema is not None, "a held slot has its schema"
    assert order is not None, "a held slot has its order"
    said = stored_answer(schema, order, answer, rationale=rationale, flags=flags)
    if queue.is_qualification:
        lock_person(annotator)  # the pass rule counts, so one judgment of a person at a time
    lock_if_growing(task=slot.task, queue=queue)
    if not is_mine or not close_slot(slot=assignment_id, annotator=annotator, token=lease_token, now=now):
        if stored := submitted_before(submission_id, annotator, said, assignment_id=assignment_id):
            return stored  # the same submission was committed before, perhaps a moment ago by another process
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    assert slot.guideline_id is not None, "a held slot has its guidelines"
    assert slot.policy_id is not None, "a held slot has its policy"
    assert slot.arm_propensity is not None, "a held slot has its propensity"
    talk = {}
    if schema.asks.kind == TaskKind.CONVERSATION:
        talk = end_talk(task=slot.task, annotator=annotator, schema=schema.asks)
    judgment = Judgment(
        assignment=slot,
        task=slot.task,
        queue=queue,
        annotator=annotator,
        submission_id=submission_id,
        preference=said.preference,
        content={**said.content, **talk},
        rationale=said.rationale,
        flags=said.flags,
        active_seconds=active_seconds,
        display_order=order,
        guideline_id=slot.guideline_id,
        policy_id=slot.policy_id,
        schema=schema,
        propensity=slot.task.propensity,
        arm=slot.arm,
        arm_propensity=slot.arm_propensity,
        interface=interface,
        simulation_rule=annotator.simulation_rule,
        created_at=now,
    )
    insert_judgment(judgment)
    drop_draft(task=slot.task_id, annotator=annotator)
    if queue.is_qualification:
        apply_pass_rule(queue=queue, person=annotator)
    else:
        ask_one_more(task=slot.task, queue=queue, schema=schema.asks)
    return judgment


insert_judgment = prepared_insert(Judgment)


@prepared
def slot_to_judge(*, slot: Any) -> models.QuerySet[Assignment]:
    return Assignment.objects.select_related("task", "schema").filter(pk=slot)


@prepared
def submissions(*, submission: Any) -> models.QuerySet[Judgment, Any]:
    return Judgment.objects.filter(submission_id=submission).values_list("pk")


@prepared_update
def close_slot(
    *, slot: Any, annotator: Any, token: Any, now: Any
) -> tuple[models.QuerySet[Assignment], dict[str, Any]]:
    """Close a slot while this very lease on it is live."""
    live = Assignment.objects.filter(
        pk=slot, annotator=annotator, lease_token=token, state=Assignment.State.LEASED, lease_expires_at__gt=now
    )
    return live, {"state": Assignment.State.DONE}


@prepared_delete
def drop_draft(*, task: Any, annotator: Any) -> models.QuerySet[Draft]:
    return Draft.objects.filter(task=task, annotator=annotator)


def stored_answer(
    schema: LabelSchema,
    order: Sequence[int],
    answer: Mapping[str, Any],
    *,
    rationale: str,
    flags: Sequence[Any],
    whole: bool = True,
) -> Answer:
    """Check an answer in display order and return it in response order. Raises BadJudgment."""
    checked = check_answer(schema.asks, len(order), answer, rationale=rationale, flags=flags, whole=whole)
    return to_stored(checked, order)


@transaction.atomic
def revise_judgment(
    *,
    judgment: Judgment,
    annotator: User,
    submission_id: uuid.UUID,
    answer: Mapping[str, Any],
    rationale: str = "",
    flags: Sequence[Any] = (),
    active_seconds: float,
    interface: str,
    now: datetime,
) -> Judgment:
    """Store a new revision that supersedes `judgment`, under the queue's guidelines and policy of now.

    The label schema is the one that the judgment was made under: what was asked does not change with hindsight.
    Snapshots that hold the old revision keep it. The same `submission_id` with the same content again returns the
    stored revision. Raises NotCurrent, RevisionClosed, BadJudgment, SubmissionIdTaken, SubmissionDiffers.
    """
    if judgment.annotator_id != annotator.pk:
        raise NotCurrent(gettext_noop("only its own annotator revises a judgment"))
    said = stored_answer(judgment.schema, judgment.display_order, answer, rationale=rationale, flags=flags)
    if stored := submitted_before(submission_id, annotator, said, supersedes_id=judgment.pk):
        return stored
    check_seconds(active_seconds)
    check_interface(interface)
    queue = Queue.objects.in_force().get(pk=judgment.queue_id)
    lock_if_growing(task=judgment.task, queue=queue)
    Assignment.objects.select_for_update().get(pk=judgment.assignment_id)  # one revision at a time
    if stored := submitted_before(submission_id, annotator, said, supersedes_id=judgment.pk):
        return stored
    if Judgment.objects.filter(supersedes=judgment).exists():
        raise NotCurrent(gettext_noop("this judgment has been revised since"))
    if Judgment.objects.filter(pk=judgment.pk, erased_by__isnull=False).exists():
        raise NotCurrent(gettext_noop("what was said here was erased"))
    check_may_revise(judgment=judgment, queue=queue, now=now)
    revision = write(
        Judgment(
            assignment_id=judgment.assignment_id,
            task_id=judgment.task_id,
            queue_id=judgment.queue_id,
            annotator=annotator,
            submission_id=submission_id,
            revision=judgment.revision + 1,
            supersedes=judgment,
            preference=said.preference,
            content={**said.content, **turns_in(judgment.content)},
            rationale=said.rationale,
            flags=said.flags,
            active_seconds=active_seconds,
            display_order=judgment.display_order,
            guideline=queue.guideline,
            policy=queue.policy,
            schema_id=judgment.schema_id,
            propensity=judgment.propensity,
            arm=judgment.arm,
            arm_propensity=judgment.arm_propensity,
            interface=interface,
            simulation_rule=annotator.simulation_rule,
            created_at=now,
        )
    )
    ask_one_more(task=revision.task, queue=queue, schema=judgment.schema.asks)
    return revision


def check_may_revise(*, judgment: Judgment, queue: Queue, now: datetime) -> None:
    """Raise RevisionClosed when the queue is closed, or its policy's time to revise is over."""
    if queue.state == Queue.State.CLOSED:
        raise RevisionClosed(gettext_noop("the queue is closed, so its judgments stand as they are"))
    hours = queue.policy.revise_hours if queue.policy else None
    if hours is not None:
        first = Judgment.objects.filter(assignment_id=judgment.assignment_id, revision=1).get()
        if now > first.created_at + timedelta(hours=hours):
            raise RevisionClosed(f"this queue lets a judgment be revised for {hours} hours, and they are over")


def save_draft(
    *,
    task: Task,
    annotator: User,
    answer: Mapping[str, Any],
    rationale: str = "",
    flags: Sequence[Any] = (),
    active_seconds: float,
) -> Draft:
    """Keep what a person has entered so far, in display order as they see it; it outlives the lease.

    Raises BadJudgment, AlreadyJudged.
    """
    if Judgment.objects.filter(task=task, annotator=annotator).exists():
        raise AlreadyJudged("you have judged this task; revise the judgment instead")
    check_seconds(active_seconds)
    slot = (
        Assignment.objects.filter(task=task, annotator=annotator, schema__isnull=False)
        .select_related("schema__queue")
        .first()
    )
    schema = slot.schema if slot is not None else task.queue.schema
    assert schema is not None, "a queue has its label schema"
    said = stored_answer(schema, task.order_for(annotator), answer, rationale=rationale, flags=flags, whole=False)
    draft, _ = Draft.objects.update_or_create(
        task=task,
        annotator=annotator,
        defaults={
            "preference": said.preference,
            "content": said.content,
            "rationale": said.rationale,
            "flags": said.flags,
            "active_seconds": active_seconds,
        },
    )
    return draft


def submitted_before(submission_id: uuid.UUID, annotator: User, said: Answer, **same: object) -> Judgment | None:
    """Return the judgment stored under this id if it is this very one, and says the same.

    Raises SubmissionIdTaken if it is another one, SubmissionDiffers if it says something else: a person who changed
    their mind between two attempts must not be told that the change was saved.
    """
    if not submissions.all(submission=submission_id):
        return None
    stored = Judgment.objects.get(submission_id=submission_id)
    wanted = {"annotator_id": annotator.pk, **same}
    if any(str(getattr(stored, name)) != str(value) for name, value in wanted.items()):
        raise SubmissionIdTaken(f"submission id {submission_id} was used for another judgment; make a new one")
    turns = turns_in(stored.content)
    if stored.answer != replace(said, content={**said.content, **turns}):
        raise SubmissionDiffers(
            gettext_noop("an earlier submission of this judgment arrived and said something else; revise it")
        )
    return stored


def turns_in(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a judgment of a talk says of its turns: they are stored as they happen, and a revision keeps them."""
    return {"turns": content["turns"]} if "turns" in content else {}


def write(judgment: Judgment) -> Judgment:
    try:
        with transaction.atomic():
            judgment.save(force_insert=True)
    except IntegrityError as error:
        raise_if_taken(judgment.submission_id, error)
        raise
    return judgment


def raise_if_taken(submission_id: uuid.UUID, error: IntegrityError) -> None:
    if Judgment.objects.filter(submission_id=submission_id).exists():
        raise SubmissionIdTaken(f"submission id {submission_id} was used for another judgment") from error


def check_seconds(active_seconds: float) -> None:
    if not math.isfinite(active_seconds) or not 0 <= active_seconds <= ACTIVE_SECONDS_LIMIT:
        raise BadJudgment("active_seconds", f"{active_seconds!r} is not a time in seconds from 0 to a week")


def check_interface(interface: str) -> None:
    if interface not in INTERFACES:
        raise BadJudgment("interface", f"{interface!r} is not one of {', '.join(INTERFACES)}")
