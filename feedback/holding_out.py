"""Keep people apart: what they say is a split of its own in every snapshot, and nothing is ever trained on it.

How well a model does on the labels of people it has never learned from tells whether it knows what people prefer, or
what these people do. So a person who labels is better held out before they begin: what was frozen before keeps its
rows, and a model that learned from them has seen the person.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from feedback.audit import record
from feedback.models import HeldOutPerson, Judgment, Project, User
from feedback.refusals import Refusal


class HoldOutRefused(Refusal):
    """A person cannot be held out as asked; `field` says why."""


def people_of(project: Project) -> QuerySet[User]:
    """Return everybody who has a role in the project, is named in a file of it, or has judged in it."""
    judged = Judgment.objects.in_project(project).values("annotator")
    named = project.imported_people.values("user")
    return User.objects.filter(Q(pk__in=project.memberships.values("user")) | Q(pk__in=named) | Q(pk__in=judged))


@transaction.atomic
def hold_out(*, project: Project, person: User, held_out_by: User, now: datetime) -> HeldOutPerson:
    """Keep the person's labels apart from now on; again changes nothing. Raises HoldOutRefused."""
    if not people_of(project).filter(pk=person.pk).exists():
        raise HoldOutRefused("person", f"{person.username} neither belongs to this project nor has judged in it")
    held, is_new = HeldOutPerson.objects.get_or_create(
        project=project, person=person, defaults={"created_by": held_out_by}
    )
    if is_new:
        record(
            project=project, actor=held_out_by, action="person.hold-out", subject=person,
            before={"held_out": False}, after={"held_out": True}, now=now,
        )  # fmt: skip
    return held


@transaction.atomic
def let_in(*, project: Project, person: User, let_in_by: User, now: datetime) -> bool:
    """Let later snapshots train on the person's labels again; return whether the person was held out."""
    gone, _ = HeldOutPerson.objects.filter(project=project, person=person).delete()
    if gone:
        record(
            project=project, actor=let_in_by, action="person.let-in", subject=person,
            before={"held_out": True}, after={"held_out": False}, now=now,
        )  # fmt: skip
    return bool(gone)
