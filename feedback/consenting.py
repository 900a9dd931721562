"""Ask annotators for their consent, and take it back for them.

A project has a consent text, in versions, when it asks at all; an empty text ends the question. Who has not agreed to
the one in force labels nothing new. Whoever takes their consent back is in no later snapshot; what was frozen before
stays as it was, until somebody erases (`feedback.erasing`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Exists, OuterRef, QuerySet

from feedback.audit import record
from feedback.locks import lock_person
from feedback.models import Consent, ConsentText, Project, User
from feedback.prepared import prepared
from feedback.refusals import Refusal

TEXT_LIMIT = 50_000


class ConsentRefused(Refusal):
    """Consent cannot be asked, given or taken back so; `field` says what is wrong."""


def text_in_force(project: Project) -> ConsentText | None:
    """Return what the project asks its annotators to agree to; None when it asks nothing."""
    latest = ConsentText.objects.filter(project=project).order_by("-number").first()
    return latest if latest is not None and latest.text else None


@transaction.atomic
def change_text(*, project: Project, text: str, by: User, now: datetime) -> ConsentText | None:
    """Put a new version in force; everybody is asked again before they go on. An empty text ends the question.

    The same text again changes nothing. Raises ConsentRefused.
    """
    text = text.strip()
    if len(text) > TEXT_LIMIT:
        raise ConsentRefused("text", f"the text has {len(text):,} characters; at most {TEXT_LIMIT:,}")
    if "\x00" in text:
        raise ConsentRefused("text", "the text holds a NUL character, which no database keeps")
    Project.objects.select_for_update().get(pk=project.pk)
    latest = ConsentText.objects.filter(project=project).order_by("-number").first()
    if (latest.text if latest else "") == text:
        return latest
    number = latest.number + 1 if latest else 1
    stored = ConsentText.objects.create(project=project, number=number, text=text, created_by=by, created_at=now)
    record(
        project=project, actor=by, action="consent.change", subject=stored,
        before={"number": latest.number} if latest else None, after={"number": number}, now=now,
    )  # fmt: skip
    return stored


def in_force(project: Project, person: User) -> Consent | None:
    """Return what the person agreed to and has not taken back."""
    found = Consent.objects.filter(project=project, person=person, withdrawn_at__isnull=True)
    return found.select_related("text").first()


def is_missing(project: Project, person: User) -> bool:
    """Tell whether the person has to agree before they label anything new."""
    return bool(lacking_consent.all(project=project.pk, person=person.pk))


@prepared
def lacking_consent(*, project: Any, person: Any) -> QuerySet[Project, Any]:
    """Return the project if the person took their consent back, or has not agreed to the text in force."""
    held = Consent.objects.filter(project=project, person=person, withdrawn_at__isnull=True)
    gone = Consent.objects.filter(project=project, person=person, withdrawn_at__isnull=False)
    newer = ConsentText.objects.filter(project=project, number__gt=OuterRef("number"))
    asked = ConsentText.objects.filter(~Exists(newer), ~Exists(held.filter(text=OuterRef("pk"))), project=project)
    missing = Exists(asked.exclude(text="")) | Exists(gone) & ~Exists(held)
    return Project.objects.filter(missing, pk=project).values_list("pk", flat=True)


def has_withdrawn(project: Project, person: User) -> bool:
    """Tell whether the person took their consent back and has not agreed since."""
    return withdrawn_people(project).filter(person=person).exists()


@transaction.atomic
def agree(*, project: Project, person: User, number: int, now: datetime) -> Consent:
    """Store that the person agrees to version `number`; again changes nothing.

    Raises ConsentRefused when another version is in force by now: then that is what has to be read.
    """
    lock_person(person)
    text = text_in_force(project)
    wanted = text.number if text else 0
    if number != wanted:
        raise ConsentRefused(
            "number", f"version {wanted} is in force by now; read it first" if text else "there is nothing to agree to"
        )
    held = in_force(project, person)
    if held is not None and held.text_id == (text.pk if text else None):
        return held
    if held is not None:
        # A newer version is agreed to: the older agreement ends, without having been taken back.
        held.text, held.given_at = text, now
        held.save(update_fields=["text", "given_at"])
        given = held
    else:
        try:
            with transaction.atomic():
                given = Consent.objects.create(project=project, person=person, text=text, given_at=now)
        except IntegrityError:  # from another tab, at the same moment
            return Consent.objects.get(project=project, person=person, withdrawn_at__isnull=True)
    record(project=project, actor=person, action="consent.give", subject=given, after={"number": wanted}, now=now)
    return given


@transaction.atomic
def withdraw(*, project: Project, person: User, now: datetime, by: User | None = None) -> Consent:
    """Take the person's consent back: they label nothing more, and later snapshots leave their labels out.

    Also without a text that was ever agreed to; again changes nothing. `by` is who does it in their place.
    """
    lock_person(person)
    latest = Consent.objects.filter(project=project, person=person).order_by("-id").first()
    if latest is not None and latest.withdrawn_at is not None:
        return latest
    if latest is None:
        latest = Consent.objects.create(project=project, person=person, withdrawn_at=now)
    else:
        latest.withdrawn_at = now
        latest.save(update_fields=["withdrawn_at"])
    record(project=project, actor=by or person, action="consent.withdraw", subject=latest, now=now)
    return latest


def withdrawn_people(project: Project) -> QuerySet[Consent, Any]:
    """Return the ids of people who took their consent back and have not agreed since: their labels stay out.

    Of use as `~Q(annotator__in=withdrawn_people(project))`.
    """
    later = Consent.objects.filter(project=project, person=OuterRef("person"), withdrawn_at__isnull=True)
    gone = Consent.objects.filter(~Exists(later), project=project, withdrawn_at__isnull=False)
    return gone.order_by().values_list("person", flat=True).distinct()
