"""Erase what one person said and wrote in a project, and leave a receipt.

What the person said is emptied; that somebody judged, when, how long and how often stays, under their pseudonym.
`feedback.erasing_parts` says part by part what is emptied. Before anything is changed, `dry_run` tells what would be.
What learned from it stays as it is, and is listed: every frozen snapshot here, every run and checkpoint by `training`.
Later snapshots leave everything out that was erased.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.db.models.functions import Now
from django.urls import reverse
from django.utils import timezone

from feedback.audit import record
from feedback.consenting import withdraw
from feedback.erasing_parts import PARTS, Whose, account_in_use_elsewhere, close_account
from feedback.jobs import JobFailed, JobRun, start_job
from feedback.models import (
    Assignment,
    AuditEvent,
    Erasure,
    ErasureRequest,
    Job,
    Judgment,
    Project,
    Snapshot,
    TaskResponse,
    User,
)
from feedback.models.judgments import JudgmentQuerySet
from feedback.refusals import Refusal
from feedback.snapshot_members import snapshots_holding_any

BATCH = 300
"""Rows that one short transaction empties."""
NOTE_LIMIT = 5_000


class ErasureRefused(Refusal):
    """Nothing is erased; `field` says which value is wrong."""


@dataclass(frozen=True)
class Holding:
    """A snapshot that holds what a person said or wrote."""

    snapshot: Snapshot
    judgments: int
    """The person's own."""
    others: int
    """Judgments of others on texts that the person wrote."""
    pushed: tuple[str, ...] = ()
    """Hub repositories that the snapshot was pushed to: copies out of Concord's reach."""


# What would be erased -----------------------------------------------------------------------------------


def dry_run(*, project: Project, person: User) -> dict[str, Any]:
    """Return the receipt of an erasure that was made now, without making it."""
    whose = Whose(project, person)
    return receipt_of(whose, {part.name: part.rows(whose).count() for part in PARTS})


def receipt_of(whose: Whose, counts: Mapping[str, int]) -> dict[str, Any]:
    """Return what a receipt says: what was erased, and where copies of it are frozen."""
    return {
        "pseudonym": whose.project.pseudonym(whose.person),
        "erased": [
            {"what": part.name, "words": part.words, "count": counts.get(part.name, 0)}
            for part in PARTS
            if counts.get(part.name, 0)
        ],
        "snapshots": [
            {
                "id": str(held.snapshot.pk),
                "name": held.snapshot.name,
                "sha256": held.snapshot.sha256,
                "judgments": held.judgments,
                "judgments_on_their_texts": held.others,
                "withdrawn": held.snapshot.withdrawn_at is not None,
                "pushed_to": list(held.pushed),
            }
            for held in holdings(project=whose.project, person=whose.person)
        ],
    }


def holdings(*, project: Project, person: User) -> list[Holding]:
    """Return every snapshot with a judgment of the person's, or of others on what the person wrote, the latest first.

    The same before and after an erasure, and after the snapshot was withdrawn.
    """
    own = ids_of(Judgment.objects.filter(annotator=person, queue__project=project))
    wrote = TaskResponse.objects.filter(response__person=person, response__prompt__project=project).values("task")
    others = ids_of(Judgment.objects.filter(task__in=wrote, queue__project=project).exclude(annotator=person))
    of_own = dict(snapshots_holding_any(project=project, ids=own))
    of_others = dict(snapshots_holding_any(project=project, ids=others))
    found = {*of_own, *of_others}
    return [
        Holding(snapshot, of_own.get(snapshot, 0), of_others.get(snapshot, 0), pushes_of(snapshot))
        for snapshot in sorted(found, key=lambda one: one.pk, reverse=True)
    ]


def pushes_of(snapshot: Snapshot) -> tuple[str, ...]:
    pushes = AuditEvent.objects.filter(action="snapshot.push", subject="snapshot", subject_id=str(snapshot.pk))
    return tuple(dict.fromkeys(str(after.get("url", "")) for after in pushes.values_list("after", flat=True)))


def ids_of(judgments: JudgmentQuerySet) -> list[uuid.UUID]:
    return list(judgments.order_by().values_list("pk", flat=True))


# Asking -------------------------------------------------------------------------------------------------


@transaction.atomic
def request_erasure(*, project: Project, person: User, note: str, now: datetime) -> ErasureRequest:
    """Store that the person asks for the erasure of their labels and texts; while it is open, again changes nothing.

    Raises ErasureRefused.
    """
    note = note.strip()
    if len(note) > NOTE_LIMIT or "\x00" in note:
        raise ErasureRefused("note", f"say it in at most {NOTE_LIMIT:,} ordinary characters")
    asked, is_new = ErasureRequest.objects.get_or_create(
        project=project, person=person, settled_at=None, defaults={"note": note, "created_at": now}
    )
    if is_new:
        record(project=project, actor=person, action="erasure.request", subject=asked, now=now)
    return asked


@transaction.atomic
def refuse_request(*, request: ErasureRequest, by: User, reason: str, now: datetime) -> ErasureRequest:
    """Settle a request without erasing anything, and say why: the person reads it. Raises ErasureRefused."""
    reason = reason.strip()
    if not reason or len(reason) > NOTE_LIMIT or "\x00" in reason:
        raise ErasureRefused("reason", f"say why nothing is erased, in at most {NOTE_LIMIT:,} characters")
    settled = ErasureRequest.objects.filter(pk=request.pk, settled_at__isnull=True).update(
        settled_at=now, settled_by=by, settlement="refuse", answer=reason
    )
    if not settled:
        raise ErasureRefused("request", "this request is settled already")
    request.refresh_from_db()
    record(project=request.project, actor=by, action="erasure.refuse", subject=request, reason=reason, now=now)
    return request


# Erasing ------------------------------------------------------------------------------------------------


@transaction.atomic
def start_erasure(
    *, project: Project, person: User, reason: str, account: bool, requested_by: User, now: datetime
) -> Erasure:
    """Put the erasure in line, as a job; with `account`, the account becomes nobody's in the end.

    Raises ErasureRefused while another erasure of the person is under way, when they would erase themselves, and when
    the account is also used in another project.
    """
    reason = reason.strip()
    if not reason or len(reason) > NOTE_LIMIT or "\x00" in reason:
        raise ErasureRefused("reason", f"say why, in at most {NOTE_LIMIT:,} characters; it stands on the receipt")
    if person.pk == requested_by.pk:
        raise ErasureRefused("person", "nobody erases themselves; ask another admin")
    if account:
        refuse_account_in_use(project, person)
    try:
        with transaction.atomic():
            erasure = Erasure.objects.create(
                project=project, person=person, pseudonym=project.pseudonym(person), reason=reason,
                close_account=account, requested_by=requested_by, created_at=now,
            )  # fmt: skip
    except IntegrityError as error:
        raise ErasureRefused("person", "an erasure of this person is under way; its job can be resumed") from error
    params = {"erasure": str(erasure.pk)}
    erasure.job = start_job(project=project, kind=Job.Kind.ERASE, params=params, created_by=requested_by)
    erasure.save(update_fields=["job"])
    record(
        project=project, actor=requested_by, action="erasure.start", subject=erasure,
        after={"pseudonym": erasure.pseudonym, "account": account}, reason=reason, now=now,
    )  # fmt: skip
    return erasure


def refuse_account_in_use(project: Project, person: User) -> None:
    elsewhere = account_in_use_elsewhere(Whose(project, person))
    if person.is_superuser or person.is_staff:
        raise ErasureRefused("account", f"{person.username} runs this site; take that from the account first")
    if elsewhere:
        raise ErasureRefused(
            "account",
            f"the account is also used in {', '.join(elsewhere)}: erase there first, or leave the account as it is",
        )


def carry_out_erasure(run: JobRun) -> dict[str, Any]:
    """Empty part by part what the person said; a run that was cut off goes on, for what is empty is found no more."""
    erasure = Erasure.objects.select_related("project", "person", "requested_by").get(pk=run.params["erasure"])
    whose = Whose(erasure.project, erasure.person)
    counts: dict[str, int] = dict(run.cursor.get("counts", {}))
    if not run.cursor:
        with run.step(cursor={"counts": counts}):
            stop_labelling(erasure)
    done = sum(counts.values())
    total = done + sum(part.rows(whose).count() for part in PARTS)
    for part in (*PARTS, *PARTS):  # twice, for what was under way at the first pass
        while ids := list(part.rows(whose).order_by("pk").values_list("pk", flat=True)[:BATCH]):
            run.progress(done, max(total, done + len(ids)), f"Erasing {part.words}")
            done += len(ids)
            counts[part.name] = counts.get(part.name, 0) + len(ids)
            with run.step(cursor={"counts": counts}, done=done):
                part.empty(ids, erasure)
    with run.step(cursor={"counts": counts}, done=done):
        finish(erasure, whose, counts)
    url = reverse("erasure", args=[erasure.project.slug, erasure.pk])
    words = f"Erased what {erasure.pseudonym} said and wrote; the receipt lists where copies are."
    return {"words": words, "url": url, "label": "Open the receipt", "erasure": str(erasure.pk)}


def stop_labelling(erasure: Erasure) -> None:
    """Let nothing new of the person's come in: their consent ends, and what they hold is let go."""
    withdraw(project=erasure.project, person=erasure.person, now=erasure.created_at, by=erasure.requested_by)
    held = Assignment.objects.filter(
        queue__project=erasure.project, annotator=erasure.person, state=Assignment.State.LEASED
    )
    held.update(lease_expires_at=Now())


def finish(erasure: Erasure, whose: Whose, counts: Mapping[str, int]) -> None:
    """Write the receipt, settle the person's request and, if that was asked for, close the account."""
    now = timezone.now()
    receipt = receipt_of(whose, counts)
    if erasure.close_account:
        if elsewhere := account_in_use_elsewhere(whose):
            raise JobFailed(
                f"The labels and texts are erased, but the account is used in {', '.join(elsewhere)} by now. Take "
                "the person out there, then resume."
            )
        close_account(whose, erasure.pseudonym)
    Erasure.objects.filter(pk=erasure.pk).update(receipt=receipt, finished_at=now)
    open_request = ErasureRequest.objects.filter(Q(settled_at__isnull=True), project=whose.project, person=whose.person)
    open_request.update(settled_at=now, settled_by=erasure.requested_by, settlement="erase", note="")
    record(
        project=erasure.project, actor=erasure.requested_by, action="erasure.finish", subject=erasure,
        after={"erased": dict(counts), "account": erasure.close_account}, now=now,
    )  # fmt: skip
