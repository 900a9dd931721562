"""Decide very many judgments at once, and take the whole of it back.

A bulk action is a job (`feedback.jobs`): it walks what its filters choose among the judgments that were there when it
was started, the newest first, and decides a few in each short transaction. Undoing walks its decisions and lets count
again what counted before; what somebody decided anew since then stays, and so does a slot that somebody has claimed.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import connection, transaction
from django.urls import reverse
from django.utils import timezone

from feedback.audit import event_of, record, record_all
from feedback.jobs import JobFailed, carry_out, start_job
from feedback.judgment_filter_forms import FilterRefused, JudgmentFilter
from feedback.judgment_search import all_of
from feedback.models import BulkAction, Job, Judgment, Project, Review, Task, User
from feedback.refusals import Refusal
from feedback.reviewing import checked_reason, no_slot_because, one_more_slot, restore, told

if TYPE_CHECKING:
    from feedback.jobs import JobRun

ACTIONS = ("accept", "reject", "requeue")
AT_ONCE = 50
"""Decisions in one transaction; each with a new slot takes some more statements."""

SKIPPED = {
    "already": "had been decided so already",
    "no_slot": "were rejected without another slot, because their task is not handed out any more",
    "changed": "were revised or erased meanwhile",
}
KEPT = {
    "since": "were reviewed again since and stay as they are",
    "own": "are your own judgments; somebody else takes those back",
    "changed": "were revised or erased since",
    "slots": "slots had been claimed already and stay",
}


class BulkRefused(Refusal):
    """A bulk action cannot be started or taken back as asked; `field` says what is wrong."""


def start_bulk(
    *, project: Project, action: str, filters: JudgmentFilter, reason: str = "", started_by: User, now: datetime
) -> BulkAction:
    """Accept, reject, or reject and requeue everything that the filters choose now, but the person's own judgments.

    A small one is done when this returns; a large one goes on in the background. Raises BulkRefused.
    """
    if action not in ACTIONS:
        raise BulkRefused("action", f"{action!r} is not one of {', '.join(ACTIONS)}")
    try:
        filters.check()
    except FilterRefused as refusal:
        raise BulkRefused(refusal.field, refusal.message) from refusal
    if not filters.is_narrow:
        raise BulkRefused("filters", "choose some of the judgments first; nobody has read all of them")
    reason = checked_reason(reason)
    if action != "accept" and not reason:
        raise BulkRefused("reason", "say why, so that the annotators can learn from it")
    newest = Judgment.objects.in_project(project).order_by("-id").values_list("pk", flat=True).first()
    up_to = uuid.UUID(int=newest.int + 1) if newest is not None else uuid.UUID(int=0)
    with transaction.atomic():
        bulk = BulkAction.objects.create(
            project=project, action=action, filters=filters.as_told(), reason=reason, created_by=started_by,
            created_at=now,
        )  # fmt: skip
        record(
            project=project, actor=started_by, action="bulk.start", subject=bulk,
            after={"action": action, "filters": bulk.filters}, reason=reason, bulk=bulk, now=now,
        )  # fmt: skip
        job = in_line(bulk, params={"bulk": str(bulk.pk), "beyond": str(up_to)}, by=started_by)
    return carried_out(bulk, job)


def undo_bulk(*, bulk: BulkAction, undone_by: User, now: datetime) -> BulkAction:
    """Let count again what counted before each decision of the bulk action. Raises BulkRefused."""
    if bulk.job_id is not None and not Job.objects.get(pk=bulk.job_id).is_over:
        raise BulkRefused("bulk", "it is not done yet; cancel it first, then take back what it has done")
    with transaction.atomic():
        undone = BulkAction.objects.filter(pk=bulk.pk, undone_at__isnull=True)
        if not undone.update(undone_at=now, undone_by=undone_by):
            raise BulkRefused("bulk", "this has been taken back already")
        record(
            project=bulk.project, actor=undone_by, action="bulk.undo", subject=bulk,
            before={"action": bulk.action, "count": bulk.count}, bulk=bulk, now=now,
        )  # fmt: skip
        job = in_line(bulk, params={"bulk": str(bulk.pk), "undo": True}, by=undone_by)
    return carried_out(bulk, job)


def in_line(bulk: BulkAction, *, params: dict[str, Any], by: User) -> Job:
    job = start_job(project=bulk.project, kind=Job.Kind.REVIEW, params=params, created_by=by)
    BulkAction.objects.filter(pk=bulk.pk).update(job=job)
    return job


def carried_out(bulk: BulkAction, job: Job) -> BulkAction:
    """Do here what can be done while the person waits; a clerk goes on with the rest."""
    carry_out(job, seconds=settings.JOB_REQUEST_SECONDS)
    bulk.refresh_from_db()
    return bulk


def carry_out_bulk(run: JobRun) -> dict[str, Any]:
    """Do the work of a REVIEW job."""
    bulk = BulkAction.objects.select_related("project", "created_by", "undone_by").get(pk=run.params["bulk"])
    run.progress(run.done, words="Taking back decisions" if run.params.get("undo") else "Deciding judgments")
    counts = take_all_back(run, bulk) if run.params.get("undo") else decide_all(run, bulk)
    url = f"{reverse('bulk', args=[bulk.project.slug, bulk.pk])}"
    return {"words": in_words(counts, undo=bool(run.params.get("undo"))), "url": url, "label": "Show it", **counts}


def in_words(counts: Counter[str], *, undo: bool) -> str:
    verb, left = ("Took back", KEPT) if undo else ("Decided", SKIPPED)
    said = [f"{verb} {counts['done']:,}."]
    said += [f"{counts[why]:,} {words}." for why, words in left.items() if counts[why]]
    return " ".join(said)


# Deciding ---------------------------------------------------------------------------------------------


def decide_all(run: JobRun, bulk: BulkAction) -> Counter[str]:
    filters = JudgmentFilter(bulk.filters, project=bulk.project)
    try:
        filters.check()
    except FilterRefused as refusal:
        raise JobFailed(f"What it was to decide cannot be found any more: {refusal.field}: {refusal.message}") from None
    search = filters.search(without=bulk.created_by)
    counts = Counter(run.cursor.get("counts", {}))
    beyond = uuid.UUID(run.cursor.get("beyond") or run.params["beyond"])
    for ids in all_of(search, beyond=beyond, at_once=AT_ONCE):
        tally: Counter[str] = Counter(counts)
        with run.step(cursor={"beyond": str(ids[-1]), "counts": tally}, done=run.done + len(ids)):
            tally.update(decide_some(bulk, ids))
            if not BulkAction.objects.filter(pk=bulk.pk, undone_at__isnull=True).update(count=tally["done"]):
                raise JobFailed("It was taken back; nothing more is decided.")
            run.renew(cursor={"beyond": str(ids[-1]), "counts": tally})
        counts = tally
    return counts


def decide_some(bulk: BulkAction, ids: Sequence[uuid.UUID]) -> Counter[str]:
    """Decide the judgments in one transaction; returns how many, and how many were passed over and why."""
    tally: Counter[str] = Counter()
    judgments = locked(ids)
    tally["changed"] += len(ids) - len(judgments)
    before = latest_reviews(judgments)
    accepted = bulk.action == "accept"
    now, made = timezone.now(), []
    for judgment in judgments:
        latest = before.get(judgment.pk)
        if latest is not None and latest.accepted == accepted and (bulk.action != "requeue" or latest.slot_id):
            tally["already"] += 1
            continue
        slot = None
        if bulk.action == "requeue":
            if no_slot_because(judgment):
                tally["no_slot"] += 1
            else:
                slot = one_more_slot(judgment)
        made.append(
            Review(
                judgment=judgment, annotator_id=judgment.annotator_id, reviewer=bulk.created_by, accepted=accepted,
                reason=bulk.reason, slot=slot, bulk=bulk, created_at=now,
            )
        )  # fmt: skip
    Review.objects.bulk_create(made)
    record_all(
        event_of(
            project=bulk.project, actor=bulk.created_by, action=f"judgment.{'accept' if accepted else 'reject'}",
            subject=review.judgment, before=told(before.get(review.judgment_id)), after=told(review),
            reason=bulk.reason, bulk=bulk, now=now,
        )
        for review in made
    )  # fmt: skip
    tally["done"] += len(made)
    return tally


def locked(ids: Sequence[uuid.UUID]) -> list[Judgment]:
    """Return those judgments that still count, with their tasks locked, in the order of `ids`."""
    if connection.features.has_select_for_update:
        tasks = Task.objects.filter(judgments__in=ids).order_by("pk").values_list("pk", flat=True)
        list(Task.objects.select_for_update(no_key=True).filter(pk__in=set(tasks)).order_by("pk").values_list("pk"))
    found = Judgment.objects.current().filter(pk__in=ids).select_related("task__prompt", "queue__project")
    rows = {judgment.pk: judgment for judgment in found}
    return [rows[pk] for pk in ids if pk in rows]


def latest_reviews(judgments: Sequence[Judgment]) -> dict[uuid.UUID, Review]:
    """Return the review that counts of each judgment that has one."""
    reviews = Review.objects.filter(judgment__in=judgments).order_by("pk").select_related("reviewer")
    return {review.judgment_id: review for review in reviews}


# Taking back ------------------------------------------------------------------------------------------


def take_all_back(run: JobRun, bulk: BulkAction) -> Counter[str]:
    counts = Counter(run.cursor.get("counts", {}))
    decisions = bulk.reviews.filter(undoes__isnull=True).order_by("-pk")
    beyond = run.cursor.get("beyond")
    run.progress(run.done, total=bulk.count)
    while True:
        rest = decisions if beyond is None else decisions.filter(pk__lt=beyond)
        some = list(rest.select_related("judgment__queue__project", "judgment__task")[:AT_ONCE])
        if not some:
            return counts
        beyond, tally = some[-1].pk, Counter(counts)
        with run.step(cursor={"beyond": beyond, "counts": tally}, done=run.done + len(some)):
            tally.update(take_some_back(bulk, some))
            run.renew(cursor={"beyond": beyond, "counts": tally})
        counts = tally


def take_some_back(bulk: BulkAction, decisions: Sequence[Review]) -> Counter[str]:
    tally: Counter[str] = Counter()
    assert bulk.undone_by is not None, "somebody takes it back"
    counting = {judgment.pk: judgment for judgment in locked([review.judgment_id for review in decisions])}
    latest = latest_reviews(list(counting.values()))
    for review in decisions:
        if review.judgment_id not in counting:
            tally["changed"] += 1
        elif latest[review.judgment_id].pk != review.pk:
            tally["since"] += 1
        elif review.annotator_id == bulk.undone_by_id:
            tally["own"] += 1
        else:
            restored = restore(review=review, undone_by=bulk.undone_by, reason="", now=timezone.now(), bulk=bulk)
            tally["slots"] += review.slot_id is not None and still_wanted(restored, review)
            tally["done"] += 1
    return tally


def still_wanted(restored: Review, review: Review) -> bool:
    """Tell whether the slot that a decision gave its task is there after it was taken back."""
    assert review.slot is not None, "asked of decisions with a slot"
    return restored.slot_id != review.slot_id and review.slot.state != "withdrawn"
