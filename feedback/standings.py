"""Decide about a person's work in a project, on evidence, and let them answer. Only a person decides.

A suspended person gets no new tasks (`feedback.eligibility`). What they hold they may finish, what they have judged
stays and may be revised as before, and their answers reach the curators.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, OuterRef

from feedback.audit import record
from feedback.locks import lock_person
from feedback.models import Judgment, Membership, Project, Role, Standing, StandingAnswer, User
from feedback.refusals import Refusal

REASON_LENGTH_LIMIT = 4_000
ACTIONS: Mapping[str, str] = {
    Standing.Decision.NOTED: "person.note",
    Standing.Decision.TALKED: "person.talk",
    Standing.Decision.SUSPENDED: "person.suspend",
    Standing.Decision.REINSTATED: "person.reinstate",
}


class StandingRefused(Refusal):
    """A decision or an answer cannot be stored as asked; `field` says which value is wrong."""


@transaction.atomic
def decide_standing(
    *,
    project: Project,
    person: User,
    decision: str,
    reason: str,
    evidence: Mapping[str, Any],
    decided_by: User,
    now: datetime,
) -> Standing:
    """Store what a curator decided about `person`, with the figures that they saw. Raises StandingRefused."""
    if decision not in Standing.Decision.values:
        raise StandingRefused("decision", f"{decision!r} is not one of {', '.join(Standing.Decision.values)}")
    reason = checked_text("reason", reason, "say why, in words that the annotator can understand and answer")
    if person.pk == decided_by.pk:
        raise StandingRefused("person", "nobody decides about their own work; ask another curator")
    if not has_worked(project=project, person=person):
        raise StandingRefused("person", f"{person.username} neither labels nor has labelled in {project.name}")
    lock_person(person)
    before = suspension_of(project=project, person=person)
    if decision == Standing.Decision.SUSPENDED and before is not None:
        raise StandingRefused("decision", f"{person.username} gets no new tasks already; add a note instead")
    if decision == Standing.Decision.REINSTATED and before is None:
        raise StandingRefused("decision", f"{person.username} is not suspended, so there is nothing to take back")
    standing = Standing.objects.create(
        project=project,
        person=person,
        decision=decision,
        reason=reason,
        evidence=dict(evidence),
        decided_by=decided_by,
        created_at=now,
    )
    record(
        project=project,
        actor=decided_by,
        action=ACTIONS[decision],
        subject=person,
        before={"suspended": before is not None},
        after={"suspended": is_suspended(project=project, person=person), "standing": standing.pk},
        reason=reason,
        now=now,
    )
    return standing


@transaction.atomic
def answer_standing(*, standing: Standing, author: User, text: str, now: datetime) -> StandingAnswer:
    """Say something to a decision: the annotator whom it is about, or a curator in turn. Raises StandingRefused."""
    text = checked_text("text", text, "write what you want to say")
    answer = StandingAnswer.objects.create(standing=standing, author=author, text=text, created_at=now)
    record(
        project=standing.project,
        actor=author,
        action="standing.answer",
        subject=standing,
        after={"answer": answer.pk, "by_annotator": author.pk == standing.person_id},
        reason=text,
        now=now,
    )
    return answer


def suspension_of(*, project: Project, person: User) -> Standing | None:
    """Return the decision by which `person` gets no new tasks in the project; None when they do."""
    latest = Standing.objects.on_tasks().filter(project=project, person=person).select_related("decided_by").first()
    return latest if latest is not None and latest.decision == Standing.Decision.SUSPENDED else None


def is_suspended(*, project: Project, person: User) -> bool:
    return suspension_of(project=project, person=person) is not None


def suspended_people(project: Project) -> set[int]:
    """Return the ids of everybody who gets no new tasks in the project now."""
    decisions = Standing.objects.on_tasks().filter(project=project).order_by("id").values_list("person", "decision")
    return {person for person, decision in dict(decisions).items() if decision == Standing.Decision.SUSPENDED}


def has_worked(*, project: Project, person: User) -> bool:
    return workers(project).filter(pk=person.pk).exists()


def workers(project: Project) -> models.QuerySet[User]:
    """Return everybody who labels in the project, or has."""
    labels = Membership.objects.filter(project=project, role=Role.ANNOTATOR, user=OuterRef("pk"))
    labelled = Judgment.objects.filter(queue__project=project, annotator=OuterRef("pk"))
    return User.objects.filter(Exists(labels) | Exists(labelled))


def standings_of(*, project: Project, person: User) -> models.QuerySet[Standing]:
    """Return every decision about `person` in the project with its answers, the latest first."""
    answers = models.Prefetch("answers", StandingAnswer.objects.select_related("author"))
    found = Standing.objects.filter(project=project, person=person).select_related("decided_by", "person", "project")
    return found.prefetch_related(answers)


def checked_text(field: str, text: str, wanted: str) -> str:
    text = text.strip()
    if not text:
        raise StandingRefused(field, wanted)
    if len(text) > REASON_LENGTH_LIMIT or "\x00" in text:
        raise StandingRefused(field, f"write at most {REASON_LENGTH_LIMIT:,} characters, without NUL")
    return text
