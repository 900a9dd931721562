"""Open queues, say what people are asked there and by which rules, and watch how far they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Count, Q

from feedback.audit import changed, record
from feedback.models import (
    Assignment,
    Guideline,
    LabelSchema,
    Project,
    Queue,
    QueuePolicy,
    Skip,
    User,
)
from feedback.models.queues import LEASE_MINUTES_LIMIT, OVERLAP_LIMIT
from feedback.policies import policies
from feedback.refusals import Refusal
from feedback.schemas import BadSchema, TaskKind, check_schema

GUIDELINE_LENGTH_LIMIT = 100_000
RULES = (
    "overlap",
    "overlap_percent",
    "evaluation_overlap",
    "overlap_cap",
    "lease_minutes",
    "annotator_cap",
    "daily_quota",
    "revise_hours",
    "gold_percent",
    "newcomer_gold_percent",
    "newcomer_judgments",
    "repeat_percent",
    "repeat_after_hours",
    "random_percent",
    "languages",
    "route_by_language",
    "expertise",
    "qualification",
    "named_only",
    "pass_judgments",
    "pass_percent",
    "review_percent",
    "propose_disputes",
    "gold_exposure_percent",
    "gold_dispute_percent",
    "show_agreement",
    "show_gold",
)
"""The fields of a policy that a curator sets; what they mean stands at `QueuePolicy`."""

RANGES: Mapping[str, tuple[int, int]] = {
    "overlap": (1, OVERLAP_LIMIT),
    "overlap_percent": (0, 100),
    "evaluation_overlap": (1, OVERLAP_LIMIT),
    "overlap_cap": (2, OVERLAP_LIMIT),
    "lease_minutes": (1, LEASE_MINUTES_LIMIT),
    "annotator_cap": (1, 1_000_000),
    "daily_quota": (1, 100_000),
    "revise_hours": (0, 24 * 365),
    "gold_percent": (0, 100),
    "newcomer_gold_percent": (0, 100),
    "newcomer_judgments": (0, 100_000),
    "repeat_percent": (0, 50),
    "repeat_after_hours": (1, 24 * 365),
    "random_percent": (0, 100),
    "pass_judgments": (1, 1_000),
    "pass_percent": (1, 100),
    "review_percent": (0, 100),
    "gold_exposure_percent": (1, 100),
    "gold_dispute_percent": (1, 100),
}
OPTIONAL = ("evaluation_overlap", "overlap_cap", "annotator_cap", "daily_quota", "revise_hours", "qualification")


class QueueRefused(Refusal):
    """A queue cannot be made or changed as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class QueueProgress:
    """Where a queue stands. Slots = done + leased + open + withdrawn; a lease that ran out counts as open."""

    tasks: int
    slots: int
    done: int
    leased: int
    open: int
    withdrawn: int
    """Taken out for review by somebody, or left out for good."""
    skipped: int
    """How often people passed over a task."""

    @property
    def percent(self) -> int:
        """Share of slots that are done, rounded down, so that 100 means all."""
        return 100 * self.done // self.slots if self.slots else 0


@transaction.atomic
def open_queue(
    *,
    project: Project,
    name: str,
    guideline: str,
    created_by: User,
    kind: str = TaskKind.COMPARISON,
    is_qualification: bool = False,
    schema: Mapping[str, Any] | None = None,
    **rules: Any,
) -> Queue:
    """Open a queue with the first version of its guidelines, label schema and policy.

    `schema` is what differs from the kind's default (`feedback.schemas`), `rules` what differs from the policy's
    (RULES). Raises QueueRefused.
    """
    name = name.strip()
    if not name or len(name) > 200:
        raise QueueRefused("name", "give the queue a name of at most 200 characters")
    if kind not in TaskKind.values:
        raise QueueRefused("kind", f"{kind!r} is not one of {', '.join(TaskKind.values)}")
    if Queue.objects.filter(project=project, name=name).exists():
        raise QueueRefused("name", f"the project already has a queue named {name!r}")
    text = checked_guideline(guideline)
    checked = check_rules(project, kind, {**default_rules(), **rules})
    content = checked_schema(project, kind, schema or {})
    queue = Queue.objects.create(
        project=project, name=name, kind=kind, is_qualification=is_qualification, created_by=created_by
    )
    queue.guideline = Guideline.objects.create(queue=queue, number=1, text=text, created_by=created_by)
    queue.schema = LabelSchema.objects.create(queue=queue, number=1, content=content, created_by=created_by)
    queue.policy = QueuePolicy.objects.create(queue=queue, number=1, created_by=created_by, **checked)
    queue.save(update_fields=["guideline", "schema", "policy"])
    record(
        project=project, actor=created_by, action="queue.open", subject=queue,
        after={"name": name, "kind": kind, "is_qualification": is_qualification},
    )  # fmt: skip
    return queue


def default_rules() -> dict[str, Any]:
    nothing_set = QueuePolicy()
    return {name: getattr(nothing_set, name) for name in RULES}


def checked_guideline(text: str) -> str:
    text = text.replace("\r\n", "\n").strip()
    if not text:
        raise QueueRefused("guideline", "write down what makes one response better than another")
    if len(text) > GUIDELINE_LENGTH_LIMIT:
        raise QueueRefused(
            "guideline", f"{len(text):,} characters are too many; the most is {GUIDELINE_LENGTH_LIMIT:,}"
        )
    if "\x00" in text:
        raise QueueRefused("guideline", "the text contains a NUL character")
    return text


def checked_schema(project: Project, kind: str, content: Mapping[str, Any]) -> dict[str, Any]:
    try:
        checked = check_schema(kind, content)
    except BadSchema as refusal:
        raise QueueRefused(refusal.field, refusal.message) from refusal
    if checked.policies and (problem := policies().unknown_policy(project, checked.policies)):
        raise QueueRefused("policies", problem)
    return checked.to_json()


def check_rules(project: Project, kind: str, rules: Mapping[str, Any]) -> dict[str, Any]:
    """Return the whole set of rules if they go together. Raises QueueRefused that names the rule."""
    if unknown := sorted(set(rules) - set(RULES)):
        raise QueueRefused(unknown[0], f"a queue has no rule {unknown[0]!r}")
    checked = dict(rules)
    for name, (low, high) in RANGES.items():
        value = checked[name]
        if value is None and name in OPTIONAL:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise QueueRefused(name, f"{value!r} is not a whole number from {low:,} to {high:,}")
    if checked["overlap_cap"] is not None:
        if checked["overlap_cap"] <= checked["overlap"]:
            raise QueueRefused("overlap_cap", "the cap on extra judgments is above the number asked for at once")
        if kind not in (TaskKind.COMPARISON, TaskKind.RANKING, TaskKind.RATING):
            raise QueueRefused("overlap_cap", f"nobody can disagree about a {kind}; leave the cap empty")
    for name in ("gold_percent", "newcomer_gold_percent"):
        if checked[name] + checked["repeat_percent"] + checked["random_percent"] > 100:
            raise QueueRefused(name, "gold, repeats and the random arm together are more than 100 percent")
    languages = checked["languages"]
    if isinstance(languages, str) or not isinstance(languages, Sequence):
        raise QueueRefused("languages", "languages is a list of codes such as en or pt-BR")
    checked["languages"] = [str(code).strip() for code in languages if str(code).strip()]
    if any(len(code) > 20 for code in checked["languages"]) or len(checked["languages"]) > 50:
        raise QueueRefused("languages", "give at most 50 codes such as en or pt-BR")
    checked["expertise"] = str(checked["expertise"] or "").strip().lower()
    if len(checked["expertise"]) > 60:
        raise QueueRefused("expertise", "the name of a domain has at most 60 characters")
    test = checked["qualification"]
    if test is not None and (test.project_id != project.pk or not test.is_qualification):
        raise QueueRefused("qualification", "choose a qualification queue of this project")
    for name in ("route_by_language", "named_only", "propose_disputes", "show_agreement", "show_gold"):
        if not isinstance(checked[name], bool):
            raise QueueRefused(name, f"{checked[name]!r} is neither true nor false")
    return checked


@transaction.atomic
def change_guideline(*, queue: Queue, text: str, changed_by: User) -> Guideline:
    """Store the next version of what annotators read; the same text adds none. Raises QueueRefused."""
    text = checked_guideline(text)
    locked = Queue.objects.select_for_update(of=("self",)).select_related("guideline").get(pk=queue.pk)
    assert locked.guideline is not None, "an open queue has its guidelines"
    if locked.guideline.text == text:
        return locked.guideline
    version = Guideline.objects.create(
        queue=queue, number=locked.guideline.number + 1, text=text, created_by=changed_by
    )
    Queue.objects.filter(pk=queue.pk).update(guideline=version)
    record(
        project=queue.project, actor=changed_by, action="queue.change_guidelines", subject=queue,
        before={"version": locked.guideline.number, "text": locked.guideline.text},
        after={"version": version.number, "text": text},
    )  # fmt: skip
    queue.guideline = version
    return version


@transaction.atomic
def change_schema(*, queue: Queue, content: Mapping[str, Any], changed_by: User) -> LabelSchema:
    """Store the next version of what the queue asks; the same schema adds none. Raises QueueRefused.

    Claims show it from now on. Who holds a task finishes it under the version that they see.
    """
    checked = checked_schema(queue.project, queue.kind, content)
    locked = Queue.objects.select_for_update(of=("self",)).select_related("schema").get(pk=queue.pk)
    assert locked.schema is not None, "an open queue has its label schema"
    if check_schema(queue.kind, locked.schema.content).to_json() == checked:
        return locked.schema
    version = LabelSchema.objects.create(
        queue=queue, number=locked.schema.number + 1, content=checked, created_by=changed_by
    )
    Queue.objects.filter(pk=queue.pk).update(schema=version)
    before, after = changed(check_schema(queue.kind, locked.schema.content).to_json(), checked)
    record(
        project=queue.project, actor=changed_by, action="queue.change_schema", subject=queue,
        before={"version": locked.schema.number, **before}, after={"version": version.number, **after},
    )  # fmt: skip
    queue.schema = version
    return version


@transaction.atomic
def change_policy(*, queue: Queue, changed_by: User, **rules: Any) -> QueuePolicy:
    """Store the next version of the queue's rules; what is not given stays. Raises QueueRefused.

    Claims follow it from now on. A new overlap counts for tasks that are enqueued from now on.
    """
    locked = Queue.objects.select_for_update(of=("self",)).select_related("policy").get(pk=queue.pk)
    current = locked.policy
    assert current is not None, "an open queue has its policy"
    before = {name: getattr(current, name) for name in RULES}
    after = check_rules(queue.project, queue.kind, {**before, **rules})
    if after == before:
        return current
    version = QueuePolicy.objects.create(queue=queue, number=current.number + 1, created_by=changed_by, **after)
    Queue.objects.filter(pk=queue.pk).update(policy=version)
    was, now_is = changed(before, after)
    record(
        project=queue.project, actor=changed_by, action="queue.change_rules", subject=queue, before=was, after=now_is
    )
    queue.policy = version
    return version


@transaction.atomic
def set_queue_state(*, queue: Queue, state: str, set_by: User | None = None) -> Queue:
    """Open, pause or close the queue. Who holds a lease may still submit. Raises QueueRefused."""
    if state not in Queue.State.values:
        raise QueueRefused("state", f"{state!r} is not one of {', '.join(Queue.State.values)}")
    before = Queue.objects.select_for_update(of=("self",)).get(pk=queue.pk).state
    queue.state = Queue.State(state)
    queue.save(update_fields=["state"])
    if before != state:
        record(
            project=queue.project, actor=set_by, action="queue.set_state", subject=queue,
            before={"state": before}, after={"state": state},
        )  # fmt: skip
    return queue


def queue_progress(queue: Queue, now: datetime) -> QueueProgress:
    """Count the queue's slots by what stands with them."""
    live = Q(state=Assignment.State.LEASED, lease_expires_at__gt=now)
    counts = Assignment.objects.filter(queue=queue).aggregate(
        slots=Count("pk"),
        done=Count("pk", filter=Q(state=Assignment.State.DONE)),
        leased=Count("pk", filter=live),
        withdrawn=Count("pk", filter=Q(state=Assignment.State.WITHDRAWN)),
    )
    return QueueProgress(
        tasks=queue.tasks.filter(repeat_of__isnull=True).count(),
        open=counts["slots"] - counts["done"] - counts["leased"] - counts["withdrawn"],
        skipped=Skip.objects.filter(task__queue=queue).count(),
        **counts,
    )
