"""Pages of disputes: on what people differ, and one task with all that was said of it side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import may, names_for, project_or_404
from feedback.adjudicating import (
    AdjudicationMovedOn,
    AdjudicationRefused,
    adjudicate,
    adjudication_of,
    answer_of,
    has_part_in,
    take_back,
)
from feedback.changes import Piece, text_changes
from feedback.disputes import AlreadyDismissed, let_stand, settled_among
from feedback.label_forms import said_in
from feedback.models import Comment, Dispute, Gold, Judgment, Project, Report, Score, Task, User
from feedback.quality.reports import age_in_words, measure, report_for, shown_for
from feedback.review_forms import ReasonForm
from feedback.schemas import TaskKind
from feedback.views.answer_parts import LETTERS, Side, flag_in_words, in_words, said, sides_judged
from feedback.views.curators_answer import answer_fields
from feedback.views.requests import SignedInRequest
from feedback.views.tasks import gold_in_words, task_or_404
from feedback.views.words import sentence

PAGE = 50


@require_safe
@login_required
def dispute_list(request: SignedInRequest, project: str) -> HttpResponse:
    """List what the overlap rules propose, and of the latest report what matters most, without what is settled."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    shown = shown_for(project=within, kind=Report.Kind.DISPUTES)
    start = number(request.GET.get("from", ""))
    named = shown.content.get("tasks", [])
    settled = settled_among(row["task"] for row in named[start : start + 4 * PAGE])
    waiting = [row for row in named[start : start + 4 * PAGE] if not is_settled(row, settled)][:PAGE]
    tasks = Task.objects.select_related("prompt", "queue").in_bulk([row["task"] for row in waiting])
    by_id = {str(pk): task for pk, task in tasks.items()}
    proposed = Dispute.objects.waiting().filter(queue__in=within.queues.values("pk"))
    context = {
        "project": within,
        "shown": shown,
        "age": age_in_words(shown.report, timezone.now()) if shown.report else "",
        "rows": [(row, by_id[row["task"]], share(row)) for row in waiting if row["task"] in by_id],
        "proposed": proposed.select_related("task__prompt", "queue")[:PAGE],
        "further": named.index(waiting[-1]) + 1 if len(waiting) == PAGE else None,
        "may_review": may(request.user, "feedback.review", within),
    }
    return render(request, "feedback/disputes.html", context)


def is_settled(row: Mapping[str, Any], settled: set[Any]) -> bool:
    return row["task"] in {str(task) for task in settled}


def number(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


def share(row: Mapping[str, Any]) -> list[tuple[str, int, int, int]]:
    """Return the parts of a bar of 120 units: name, place, width, count."""
    parts, place = [], 0
    total = row["first"] + row["ties"] + row["second"]
    for name, count in (("a", row["first"]), ("tie", row["ties"]), ("b", row["second"])):
        width = round(120 * count / total)
        parts.append((name, place, width, count))
        place += width
    return parts


@require_POST
@login_required
def disputes_measure(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.read_judgments")
    measure(project=within, kind=Report.Kind.DISPUTES, created_by=request.user)
    return redirect("disputes", within.slug)


@dataclass(frozen=True)
class Opinion:
    """One judgment of a task, with what tells how far to trust it."""

    judgment: Judgment
    name: str
    words: str
    side: str
    """a, b or tie of a comparison; empty of other kinds."""
    sides: list[Side]
    flags: list[str]
    accuracy: tuple[int, int, int] | None
    """In percent, by the latest report on people, with its interval; None while nobody has measured it."""
    review: str
    first_shown: str
    """Letter of the response that stood first."""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def dispute(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    """Show all that was said of a task side by side, and settle what a good answer is."""
    permission = "feedback.review" if request.method == "POST" else "feedback.read_judgments"
    within, found = task_or_404(request, project, task, permission)
    if request.method != "POST":
        return render(request, "feedback/dispute.html", dispute_context(request, within, found, ReasonForm(), {}))
    form = ReasonForm(request.POST)
    entered = said_in(request.POST, kind=found.queue.kind, responses=len(found.texts))
    problem, status = "", 422
    if form.is_valid():
        try:
            adjudicate(
                task=found, adjudicator=request.user, answer=entered["answer"], flags=entered["flags"],
                reason=form.cleaned_data["reason"], seen=form.cleaned_data["seen"], now=timezone.now(),
            )  # fmt: skip
        except AdjudicationRefused as refusal:
            problem = sentence(refusal.message)
        except AdjudicationMovedOn as moved:
            problem, status = sentence(moved), 409
        else:
            messages.success(request, "Settled: this is the answer that counts where snapshots go by adjudications.")
            return after_settling(request, within, found)
    context = {**dispute_context(request, within, found, form, entered), "problem": problem}
    return render(request, "feedback/dispute.html", context, status=status)


def after_settling(request: SignedInRequest, project: Project, task: Task) -> HttpResponse:
    """Go on to the next dispute if the page asked for it."""
    following = next_dispute(project, task) if "next" in request.POST else None
    return redirect("dispute", project.slug, following or task.pk)


def next_dispute(project: Project, task: Task) -> Any:
    """Return the heaviest dispute that waits, else the latest one that an overlap rule proposes."""
    report = report_for(project=project, kind=Report.Kind.DISPUTES)
    named = [row["task"] for row in (report.content["tasks"] if report else [])]
    settled = {str(one) for one in settled_among(named[: 4 * PAGE])} | {str(task.pk)}
    following = next((one for one in named[: 4 * PAGE] if one not in settled), None)
    if following is None:
        proposed = Dispute.objects.waiting().filter(queue__in=project.queues.values("pk")).exclude(task=task)
        following = proposed.values_list("task_id", flat=True).first()
    return following


@require_POST
@login_required
def dispute_take_back(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    within, found = task_or_404(request, project, task, "feedback.review")
    try:
        take_back(task=found, adjudicator=request.user, now=timezone.now())
    except AdjudicationRefused as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        messages.success(request, "Taken back: the task is as if nobody had settled it.")
    return redirect("dispute", within.slug, found.pk)


@require_POST
@login_required
def dispute_let_stand(request: SignedInRequest, project: str, task: str) -> HttpResponse:
    within, found = task_or_404(request, project, task, "feedback.review")
    try:
        let_stand(task=found, dismissed_by=request.user, reason=request.POST.get("reason", ""), now=timezone.now())
    except AlreadyDismissed as refusal:
        messages.error(request, sentence(refusal))
    else:
        messages.success(request, "The difference may stand; the task is off the list.")
    return after_settling(request, within, found)


def dispute_context(
    request: SignedInRequest, project: Project, task: Task, form: ReasonForm, entered: Mapping[str, Any]
) -> dict[str, Any]:
    schema = task.queue.schema
    assert schema is not None, "a queue has its label schema"
    name_of = names_for(request.user, project)
    standing = adjudication_of(task)
    latest = task.adjudications.first()
    if not entered and standing is not None:
        settled = answer_of(standing)
        entered = {"answer": settled.as_sent(schema.asks.kind), "flags": settled.flags}
    gold = Gold.objects.filter(task=task).first()
    return {
        **answer_fields(task, schema.asks, request.user, entered),
        "project": project,
        "queue": task.queue,
        "task": task,
        "form": form,
        "seen": latest.pk if latest else "none",
        "opinions": opinions_of(project, task, name_of),
        "standing": standing,
        "standing_words": adjudicated_in_words(task, standing),
        "adjudications": task.adjudications.select_related("adjudicator"),
        "gold_words": gold_in_words(schema.asks, gold.answer) if gold else "",
        "scores": scores_of(project, task),
        "changes": changes_between(task),
        "dispute": Dispute.objects.filter(task=task).select_related("dismissed_by").first(),
        "comments": Comment.objects.filter(task=task).select_related("author"),
        "may_review": may(request.user, "feedback.review", project),
        "took_part": has_part_in(task_id=task.pk, person=request.user),
        "may_settle": schema.asks.kind != TaskKind.CONVERSATION and task.repeat_of_id is None,
    }


def adjudicated_in_words(task: Task, standing: Any) -> str:
    if standing is None:
        return ""
    assert task.queue.schema is not None, "a queue has its label schema"
    answer = answer_of(standing)
    return in_words(task.queue.schema.asks, answer.preference, answer.content)


def opinions_of(project: Project, task: Task, name_of: Callable[[User], str]) -> list[Opinion]:
    judgments = Judgment.objects.current().filter(task=task).with_review_state()
    reliability = reliability_of(project)
    found = []
    for judgment in judgments.select_related("annotator", "schema__queue").order_by("id"):
        judgment.task = task
        preference = judgment.preference
        side = "" if preference is None else "a" if preference < 0 else "b" if preference > 0 else "tie"
        found.append(
            Opinion(
                judgment=judgment,
                name=name_of(judgment.annotator),
                words=said(judgment),
                side=side,
                sides=sides_judged(judgment),
                flags=[flag_in_words(judgment.schema.asks, one) for one in judgment.flags],
                accuracy=reliability.get(judgment.annotator_id),
                review=judgment.review_state,  # type: ignore[attr-defined]  # annotated
                first_shown=LETTERS[judgment.display_order[0]] if len(judgment.display_order) > 1 else "",
            )
        )
    return found


def reliability_of(project: Project) -> dict[int, tuple[int, int, int]]:
    """Return each person's estimated accuracy with its interval, from the latest report on people."""
    report = report_for(project=project, kind=Report.Kind.PEOPLE)
    content = report.content if report else {}
    figures = content.get("figures", {})
    columns = [figures.get(name, []) for name in ("accuracy", "accuracy_low", "accuracy_high")]
    rows = zip(content.get("person", []), *columns, strict=False)
    return {
        person: (round(100 * mean), round(100 * low), round(100 * high))
        for person, mean, low, high in rows
        if None not in (mean, low, high)
    }


def scores_of(project: Project, task: Task) -> list[tuple[str, list[tuple[str, float]]]]:
    """Return what each reward model gives to the task's responses, by letter."""
    texts = task.texts
    scores = Score.objects.filter(project=project, response__in=texts).order_by("-scorer_id")
    found: dict[str, dict[Any, float]] = {}
    for score in scores:
        found.setdefault(score.scorer_name, {}).setdefault(score.response_id, score.value)
    return [
        (name, [(LETTERS[place], values[one.pk]) for place, one in enumerate(texts) if one.pk in values])
        for name, values in found.items()
    ]


def changes_between(task: Task) -> list[Piece]:
    """Return how the second of two responses differs from the first, by words."""
    texts = task.texts
    return text_changes(texts[0].text, texts[1].text) if len(texts) == 2 else []
