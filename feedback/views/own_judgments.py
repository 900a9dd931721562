"""A person's own judgments: read and search them, change one's mind."""

from __future__ import annotations

import uuid
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.db.models import OuterRef, Subquery
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.commenting import CommentRefused, answer_comment
from feedback.judging import BadJudgment, NotCurrent, RevisionClosed, SubmissionIdTaken, revise_judgment
from feedback.label_forms import RevisionForm, said_in
from feedback.models import Comment, Judgment, Queue, Review, User
from feedback.models.judgments import SEARCH_LIMIT, JudgmentQuerySet
from feedback.own_work import credible_revision_seconds, revisable
from feedback.schemas import TaskKind
from feedback.views.label_page import guideline_context, in_queue
from feedback.views.label_parts import flags_in_words, in_language, in_words, parts
from feedback.views.losing import first_problem
from feedback.views.next_task import next_task
from feedback.views.requests import SignedInRequest
from feedback.views.talk_parts import finished_talk

PAGE = 50
FIRST_AT = Subquery(Judgment.objects.filter(assignment=OuterRef("assignment"), revision=1).values("created_at")[:1])
"""When the first revision of a judgment was made."""


@require_safe
@in_queue
def history(request: SignedInRequest, queue: Queue) -> HttpResponse:
    """List what the person has judged in this queue, the revisions that count; `q` searches prompts and reasons."""
    now = timezone.now()
    asked = request.GET.get("q", "").strip()[:SEARCH_LIMIT]
    found = own(request, queue).current().mentioning(asked).annotate(first_at=FIRST_AT)
    found = found.select_related("task__prompt", "schema__queue").prefetch_related("reviews")
    page_obj = Paginator(found, PAGE).get_page(request.GET.get("page"))
    said = said_of(list(page_obj), request.user)
    rows = [
        {
            "id": judgment.pk,
            "prompt": judgment.task.prompt.last_turn,
            "choice": in_words(judgment.schema.asks, shown := judgment.shown_answer),
            "rationale": judgment.rationale,
            "flags": flags_in_words(judgment.schema.asks, shown.flags),
            "created_at": judgment.created_at,
            "revision": judgment.revision,
            "revisable": revisable(first_at=judgment.first_at, queue=queue, now=now),  # type: ignore[attr-defined]
            "review": counting(judgment),
            "comments": said[judgment.assignment_id],
        }
        for judgment in page_obj
    ]
    context = {"project": queue.project, "queue": queue, "page_obj": page_obj, "rows": rows, "asked": asked}
    return render(request, "feedback/annotator/history.html", context)


def counting(judgment: Judgment) -> Review | None:
    """Return the review that counts; none where it was taken back."""
    latest = next(iter(judgment.reviews.all()), None)
    return latest if latest is not None and latest.accepted is not None else None


def said_of(judgments: Sequence[Judgment], person: User) -> Mapping[uuid.UUID, list[tuple[Comment, bool]]]:
    """Return what curators and the person said to each other of each slot, with whether the person said it."""
    slots = [judgment.assignment_id for judgment in judgments]
    comments = Comment.objects.filter(judgment__assignment__in=slots, for_annotator=True).select_related("judgment")
    found: dict[uuid.UUID, list[tuple[Comment, bool]]] = defaultdict(list)
    for comment in comments.order_by("id"):
        assert comment.judgment is not None, "what an annotator reads is about a judgment"
        found[comment.judgment.assignment_id].append((comment, comment.author_id == person.pk))
    return found


@require_POST
@in_queue
def answer(request: SignedInRequest, queue: Queue, judgment: uuid.UUID) -> HttpResponse:
    """Answer what a curator wrote about a judgment of the person's own."""
    found = get_object_or_404(own(request, queue).select_related("queue__project", "task"), pk=judgment)
    try:
        answer_comment(judgment=found, annotator=request.user, text=request.POST.get("text", ""), now=timezone.now())
    except CommentRefused as refusal:
        messages.error(request, f"{in_language(refusal.message)}.")
    else:
        messages.success(request, _("Your answer is sent."))
    return redirect("label-history", queue.pk)


@require_http_methods(["GET", "HEAD", "POST"])
@in_queue
def revise(request: SignedInRequest, queue: Queue, judgment: uuid.UUID) -> HttpResponse:
    """Show a judgment of the person's own as they saw it, and store a new revision of it.

    By htmx it comes as a fragment in place of the task on the page, and the revision is answered by the next task.
    """
    mine = own(request, queue).select_related("task__prompt", "task__queue__project", "schema__queue")
    found = get_object_or_404(mine.prefetch_related("task__links__response"), pk=judgment)
    if request.method != "POST":
        return revision_page(request, queue, found)
    now = timezone.now()
    form = RevisionForm(request.POST)
    if not form.is_valid():
        return revision_page(request, queue, found, form=form, status=422)
    sent = form.cleaned_data
    try:
        revise_judgment(
            judgment=found,
            annotator=request.user,
            submission_id=sent["submission_id"],
            **said_in(request.POST, kind=queue.kind, responses=len(found.display_order)),
            active_seconds=credible_revision_seconds(claimed=sent["active_seconds"], judgment=found, now=now),
            interface="page",
            now=now,
        )
    except BadJudgment as error:
        form.add_error(None, in_language(error.message))
        return revision_page(request, queue, found, form=form, status=422)
    except (NotCurrent, RevisionClosed, SubmissionIdTaken) as error:
        form.add_error(None, f"{in_language(str(error))}.")
        return revision_page(request, queue, found, form=form, status=409)
    saved = _("Your revision is saved; it is the one that counts.")
    if request.htmx:
        return next_task(request, queue, announce=saved)
    messages.success(request, saved)
    return redirect("label" if request.POST.get("back") == "label" else "label-history", queue.pk)


def own(request: SignedInRequest, queue: Queue) -> JudgmentQuerySet:
    mine: JudgmentQuerySet = Judgment.objects.filter(queue=queue, annotator=request.user, erased_by__isnull=True)
    return mine


def revision_page(
    request: SignedInRequest, queue: Queue, judgment: Judgment, *, form: RevisionForm | None = None, status: int = 200
) -> HttpResponse:
    sent = form.cleaned_data if form else {}
    if form:
        entered: dict[str, Any] = said_in(request.POST, kind=queue.kind, responses=len(judgment.display_order))
    else:
        said = judgment.shown_answer
        entered = {"answer": said.as_sent(queue.kind), "rationale": said.rationale, "flags": said.flags}
    entered["active_seconds"] = sent.get("active_seconds", 0.0)
    entered["submission_id"] = sent.get("submission_id") if status == 422 else None
    first = Judgment.objects.get(assignment=judgment.assignment_id, revision=1)
    later = Judgment.objects.current().filter(assignment=judgment.assignment_id).first()
    texts = judgment.task.texts
    context = {
        **parts(
            task=judgment.task,
            shown=[texts[place] for place in judgment.display_order],
            annotator=request.user,
            schema=judgment.schema.asks,
            entered=entered,
        ),
        **guideline_context(queue.guideline, request.user),
        "project": queue.project,
        "queue": queue,
        "judgment_id": judgment.pk,
        "created_at": judgment.created_at,
        "revision": judgment.revision,
        "revisable": revisable(first_at=first.created_at, queue=queue, now=timezone.now()),
        "later_id": later.pk if later and later.pk != judgment.pk else None,
        "review": counting(judgment),
        "back": request.POST.get("back") or request.GET.get("back", ""),
        "problem": first_problem(form) if form else "",
        "in_place": bool(request.htmx),
    }
    if judgment.schema.asks.kind == TaskKind.CONVERSATION:
        context |= finished_talk(task=judgment.task, annotator=request.user, schema=judgment.schema.asks)
    template = "feedback/annotator/_revise.html" if request.htmx else "feedback/annotator/revise.html"
    return render(request, template, context, status=status)
