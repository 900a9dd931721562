"""The page on which a snapshot is chosen, counted and frozen."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from feedback.access import project_or_404
from feedback.contract import ROW_SPLITS
from feedback.jobs import start_and_carry_out
from feedback.models import Job, Judgment, Project, Snapshot
from feedback.refusals import Refusal
from feedback.selection import LEFT_OUT, VERDICTS, Selection, SelectionRefused
from feedback.selection_forms import SelectionForm
from feedback.snapshot_jobs import preview
from feedback.snapshot_words import SPLIT_WORDS
from feedback.snapshots import check_freeze
from feedback.views.requests import SignedInRequest

AT_ONCE = 20_000
"""Up to so many judgments of the project are counted while the page is asked for; more, as a job."""


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def snapshot_freeze(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.freeze")
    if request.method == "POST":
        return freeze_or_count(request, within)
    form = SelectionForm(request.GET, project=within)
    form.is_valid()
    shown = counts_shown(within, form, request.GET.get("preview"))
    if request.htmx:
        return render(request, "feedback/_freeze_preview.html", {"project": within, "form": form, **shown})
    initial = {"name": f"{within.slug}-{within.snapshots.count() + 1}", **form.cleaned_data}
    fresh = SelectionForm(initial=initial, project=within)
    return render(request, "feedback/snapshot_freeze.html", {"project": within, "form": fresh, **shown})


def freeze_or_count(request: SignedInRequest, project: Project) -> HttpResponse:
    """Start a job that freezes what the form says, or only counts it; small ones are done when this returns."""
    form = SelectionForm(request.POST, project=project)
    counts_only = "count" in request.POST
    params: dict[str, Any] = {}
    if form.is_valid():
        params = {"selection": form.selection().to_json(), **({"preview": True} if counts_only else {})}
        try:
            params["name"] = check_freeze(
                project=project, name=form.cleaned_data["name"], selection=form.selection()
            )  # fmt: skip
        except Refusal as refusal:
            form.show(refusal)
    if form.errors:
        return form_again(request, project, form)
    job = start_and_carry_out(project=project, kind=Job.Kind.FREEZE, params=params, created_by=request.user)
    if job.state == Job.State.FAILED:
        form.add_error(None, job.error)
        return form_again(request, project, form)
    if job.state != Job.State.SUCCEEDED:
        return redirect("job", project.slug, job.pk)
    if counts_only:
        context = {"project": project, "form": form, **counts_of(job.result["counts"])}
        return render(request, "feedback/snapshot_freeze.html", context)
    messages.success(request, job.result["words"])
    return redirect("snapshot", project.slug, job.result["snapshot"])


def form_again(request: SignedInRequest, project: Project, form: SelectionForm) -> HttpResponse:
    context = {"project": project, "form": form, "existing": existing_named_in(project, form)}
    context |= counts_shown(project, form, None)
    return render(request, "feedback/snapshot_freeze.html", context, status=422)


def existing_named_in(project: Project, form: SelectionForm) -> Snapshot | None:
    """Return the snapshot that has the content already, if the refusal says that one does."""
    said = " ".join(str(error) for error in form.non_field_errors())
    if "holds exactly these judgments" not in said:
        return None
    return next((one for one in project.snapshots.all() if repr(one.name) in said), None)


def counts_shown(project: Project, form: SelectionForm, job: str | None) -> dict[str, Any]:
    """Return what a freeze would take: as a job counted it, or counted now where that is quick."""
    if job:
        found = get_object_or_404(project.jobs.filter(kind=Job.Kind.FREEZE, state=Job.State.SUCCEEDED), pk=job)
        return {**counts_of(found.result.get("counts")), "counted_at": found.finished_at}
    if Judgment.objects.in_project(project).order_by()[AT_ONCE : AT_ONCE + 1].exists():
        return counts_of(None)
    try:
        selection = form.selection()
    except SelectionRefused:
        selection = Selection()
    return counts_of(preview(project=project, selection=selection))


def counts_of(counts: dict[str, Any] | None) -> dict[str, Any]:
    """Return the counts as the page shows them: only the splits that there are."""
    if counts is None:
        return {"counts": None}
    splits = [split for split in ROW_SPLITS if any(one["splits"][split] for one in counts["tables"])]
    return {
        "counts": counts,
        "splits": [SPLIT_WORDS[split] for split in splits],
        "tables": [(one["table"], [one["splits"][split] for split in splits]) for one in counts["tables"]],
        "rules": [(VERDICTS[rule], count) for rule, count in counts["rules"].items() if rule != "latest"],
        "left_out": words_of(counts["left_out"]),
    }


def words_of(left_out: dict[str, int]) -> list[tuple[str, int]]:
    return [(words, left_out[reason]) for reason, words in LEFT_OUT.items() if left_out.get(reason)]
