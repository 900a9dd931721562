"""Tests that people pass before they label: the pass rule of a qualification queue, and a curator's word over it.

Every task of a qualification queue is gold. When a person has judged as many as its policy's `pass_judgments`, the rule
decides once, by the judgments as they stand then. A curator may decide at any time; the latest decision counts.
"""

from __future__ import annotations

from dataclasses import dataclass

from django.db import transaction

from feedback.audit import record
from feedback.gold import is_right
from feedback.models import Judgment, Qualification, Queue, User
from feedback.refusals import Refusal

REASON_LENGTH_LIMIT = 2_000


class QualificationRefused(Refusal):
    """A decision cannot be stored as asked; `field` says which value is wrong."""


@dataclass(frozen=True)
class Standing:
    """Where a person stands in a test."""

    judged: int
    """Of `wanted`; counted no further."""
    right: int
    """For curators: a person learns it when their test is decided."""
    wanted: int
    percent: int
    """Share of right judgments that passes."""
    decision: Qualification | None
    """The one that counts; None while the test is not decided."""

    @property
    def passed(self) -> bool | None:
        return None if self.decision is None else self.decision.passed

    @property
    def by_word(self) -> bool:
        return self.decision is not None and self.decision.decided_by_id is not None


def standing(*, queue: Queue, person: User) -> Standing:
    """Return where `person` stands in the qualification queue."""
    policy = queue.policy
    assert policy is not None, "an open queue has its policy"
    judged, right = gold_score(queue=queue, person=person, limit=policy.pass_judgments)
    return Standing(
        judged=judged,
        right=right,
        wanted=policy.pass_judgments,
        percent=policy.pass_percent,
        decision=Qualification.objects.filter(queue=queue, person=person).first(),
    )


def gold_score(*, queue: Queue, person: User, limit: int) -> tuple[int, int]:
    """Return how many gold tasks of the queue the person has judged, the first `limit` ones, and how many right."""
    judgments = list(
        Judgment.objects.current()
        .filter(queue=queue, annotator=person, task__gold__isnull=False)
        .select_related("task__gold", "schema__queue")
        .order_by("assignment__leased_at", "assignment_id")[:limit]
    )
    right = sum(is_right(made.schema.asks, made.task.gold.answer, made.answer) for made in judgments)
    return len(judgments), right


def apply_pass_rule(*, queue: Queue, person: User) -> Qualification | None:
    """Decide by the rule once enough is judged, if no rule has before; the caller holds the person's lock."""
    assert queue.policy is not None, "an open queue has its policy"
    where = standing(queue=queue, person=person)
    if where.judged < where.wanted:
        return None
    decision, _ = Qualification.objects.get_or_create(
        queue=queue,
        person=person,
        decided_by=None,
        defaults={
            "passed": 100 * where.right >= where.percent * where.judged,
            "right": where.right,
            "judged": where.judged,
            "policy": queue.policy,
        },
    )
    return decision


@transaction.atomic
def decide_qualification(*, queue: Queue, person: User, passed: bool, decided_by: User, reason: str) -> Qualification:
    """Store a curator's word: it counts over the rule's and over earlier words. Raises QualificationRefused."""
    if not queue.is_qualification:
        raise QualificationRefused("queue", f"{queue.name} is no qualification queue")
    if not isinstance(passed, bool):
        raise QualificationRefused("passed", f"{passed!r} is neither true nor false")
    reason = reason.strip()
    if not reason:
        raise QualificationRefused("reason", "say what the decision rests on")
    if len(reason) > REASON_LENGTH_LIMIT or "\x00" in reason:
        raise QualificationRefused("reason", f"write at most {REASON_LENGTH_LIMIT:,} characters, without NUL")
    assert queue.policy is not None, "an open queue has its policy"
    before = Qualification.objects.filter(queue=queue, person=person).first()
    decided = Qualification.objects.create(
        queue=queue, person=person, passed=passed, policy=queue.policy, decided_by=decided_by, reason=reason
    )
    record(
        project=queue.project, actor=decided_by, action="person.qualify", subject=person,
        before={} if before is None else {"queue": queue.name, "passed": before.passed},
        after={"queue": queue.name, "passed": passed}, reason=reason,
    )  # fmt: skip
    return decided
