"""The page that says what would be without some people, days, guideline versions or flags."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, QueryDict
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.http import require_http_methods

from feedback.access import may, names_for, project_or_404
from feedback.models import Project, Report, Task
from feedback.quality.leaving_out import selection_of
from feedback.quality.reports import Shown, measure, shown_for
from feedback.quality.verdicts_in_words import Lead
from feedback.quality_forms import WhatIfForm
from feedback.selection import LEFT_OUT
from feedback.views.charts import number, percent, track
from feedback.views.quality import report_context
from feedback.views.quality_agreement import main_figure, question_track
from feedback.views.requests import SignedInRequest

RULES = (("majority", "By the majority"), ("dawid_skene", "By Dawid and Skene's model"))


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def quality_what_if(request: SignedInRequest, project: str) -> HttpResponse:
    """Show what was computed for the choice in the address; POST computes it."""
    within = project_or_404(request.user, project, "feedback.read_judgments")
    names = names_for(request.user, within)
    asked = request.POST if request.method == "POST" else request.GET or None
    form = WhatIfForm(asked, project=within, names=names)
    params = form.params
    if request.method == "POST" and form.is_valid() and params:
        measure(project=within, kind=Report.Kind.WHAT_IF, params=params, created_by=request.user)
        return redirect(f"{reverse('quality-what-if', args=[within.slug])}?{query_of(params)}")
    if request.method == "POST" and not form.errors:
        form.add_error(None, "Choose at least one person, day, guideline version or flag to leave out.")
    shown = shown_for(project=within, kind=Report.Kind.WHAT_IF, params=params) if params else None
    context = {
        "project": within,
        "form": form,
        "asked": form.is_bound and not form.errors and bool(params),
        **(found_context(request, within, shown, params) if shown else {}),
    }
    return render(request, "feedback/quality_what_if.html", context, status=422 if request.method == "POST" else 200)


def query_of(params: dict[str, Any]) -> str:
    """Return the address' query that chooses `params`."""
    return urlencode({name: ",".join(value) if name == "days" else value for name, value in params.items()}, doseq=True)


def found_context(request: SignedInRequest, project: Project, shown: Shown, params: dict[str, Any]) -> dict[str, Any]:
    found = shown.content
    context = {**report_context(project, shown), "found": found}
    if not found:
        return context
    return {
        **context,
        "lead": lead_of(found),
        "agreement": agreement_rows(found["agreement"]),
        "verdicts": verdict_parts(project, found["verdicts"]),
        "models": model_rows(found["models"]),
        "moved": [row for row in found["models"] if row["place"] != row["place_after"]],
        "dataset": dataset_rows(found["dataset"]["rows"]),
        "out": [(LEFT_OUT[why], *numbers) for why, numbers in found["dataset"]["left_out"].items() if why in LEFT_OUT],
        "freeze_url": freeze_url(project, params) if may(request.user, "feedback.freeze", project) else "",
    }


def lead_of(found: dict[str, Any]) -> Lead:
    majority = found["verdicts"]["majority"]
    lost = sum(after - before for splits in found["dataset"]["rows"].values() for before, after in splits.values())
    if not found["dropped"]:
        return Lead("plain", "Nothing would change", "No judgment of a person is left out by this.")
    lost_words = f", {majority['lost']:,} of them for want of any vote" if majority["lost"] else ""
    words = (
        f"{found['dropped']:,} of {found['judgments']:,} judgments, by {found['people']:,} "
        f"{'person' if found['people'] == 1 else 'people'} on {found['tasks']:,} tasks. "
        f"{majority['changed']:,} of {majority['tasks']:,} majorities would change"
        f"{lost_words}; the dataset would have {abs(lost):,} rows {'fewer' if lost < 0 else 'more'}."
    )
    return Lead("plain", "What would be left out", words)


def agreement_rows(questions: list[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for each in questions:
        before, after = ({**each, **each[when]} for when in ("before", "after"))
        rows.append({
            "label": each["label"],
            "before": main_figure(before), "before_track": question_track(before),
            "after": main_figure(after), "after_track": question_track(after),
            "alpha": [alpha_words(each[when]["figures"]) for when in ("before", "after")],
        })  # fmt: skip
    return rows


def alpha_words(figures: dict[str, Any]) -> str:
    return number((figures.get("ties") or figures["scale"])["alpha_ordinal"], digits=3)


def verdict_parts(project: Project, verdicts: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            **verdicts[rule],
            "label": label,
            "listed": [{**row, "text": texts.get(row["task"], "")} for row in verdicts[rule]["listed"]],
        }
        for rule, label in RULES
        for texts in [prompts_of(project, [row["task"] for row in verdicts[rule]["listed"]])]
    ]


def prompts_of(project: Project, tasks: list[str]) -> dict[str, str]:
    """Return the prompt's last turn of each of the tasks."""
    found = Task.objects.filter(queue__project=project, pk__in=tasks).values_list("pk", "prompt__messages")
    return {str(task): messages[-1]["content"] for task, messages in found}


def model_rows(models: list[dict[str, Any]]) -> list[dict[str, Any]]:
    ends = [
        abs(value) for row in models for when in ("before", "after") for value in row[when] or () if value is not None
    ]
    scale = (-max([0.5, *ends]), max([0.5, *ends]))
    return [
        {
            **row,
            "before_track": track(row["before"], scale=scale, tone="muted"),
            "after_track": track(row["after"], scale=scale),
            "before_words": number(row["before"]),
            "after_words": number(row["after"]),
        }
        for row in models
    ]


def dataset_rows(rows: dict[str, dict[str, list[int]]]) -> list[dict[str, Any]]:
    return [
        {
            "table": table, "split": split, "before": before, "after": after, "change": after - before,
            "share": percent((after / before, None, None)) if before else "",
        }
        for table, splits in rows.items()
        for split, (before, after) in splits.items()
    ]  # fmt: skip


def freeze_url(project: Project, params: dict[str, Any]) -> str:
    """Return the page that freezes a snapshot without what `params` leave out."""
    chosen = QueryDict(mutable=True)
    for name, values in selection_of(params).to_json().items():
        words = [str(value) for value in values]
        chosen.setlist(name, [",".join(words)] if name in ("without_days", "without_flags") else words)
    return f"{reverse('snapshot-freeze', args=[project.slug])}?{chosen.urlencode()}"
