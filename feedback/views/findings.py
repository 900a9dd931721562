"""Pages of what was found in texts: look at it, and decide."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import project_or_404
from feedback.hygiene.redacting import SETTLED_AT_ONCE, settle_findings, snapshots_with, take_back
from feedback.hygiene.scan_job import start_scan
from feedback.hygiene.showing import choices_of, shown_findings, waiting_by_kind
from feedback.hygiene_forms import FindingFilter
from feedback.models import Finding, Job, Project
from feedback.models.findings import FindingQuerySet
from feedback.refusals import Refusal
from feedback.views.requests import SignedInRequest
from feedback.views.words import count, sentence

PAGE = 25
PRIMARY_KEY = re.compile(r"[0-9]{1,18}")
AT_MOST = 2_000
"""Findings that one press of a button settles."""
DONE = {"redact": "redacted", "leave": "left as they are", "leave_out": "left out for good"}


@require_safe
@login_required
def finding_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    filters = FindingFilter(request.GET, label_suffix="")
    page_obj = Paginator(with_texts(filters.select(found_in(within))), PAGE).get_page(request.GET.get("page"))
    waiting = waiting_by_kind(within)
    kind = filters.cleaned_data.get("kind") or ""
    context = {
        "project": within,
        "filters": filters,
        "page_obj": page_obj,
        "rows": shown_findings(page_obj),
        "waiting": [(Finding.Kind(each).label, each, number) for each, number in waiting.items() if number],
        "total": sum(waiting.values()),
        "any": found_in(within).exists(),
        "settlements": choices_of(kind),
        "may_all": page_obj.paginator.count > len(page_obj) and request.GET.get("show", "") == "",
        "at_most": AT_MOST,
        "scan": within.jobs.filter(kind=Job.Kind.SCAN).first(),
    }
    return render(request, "feedback/findings.html", context)


@require_safe
@login_required
def finding_detail(request: SignedInRequest, project: str, finding: int) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    found = get_object_or_404(with_texts(found_in(within)), pk=finding)
    context = {
        "project": within,
        "row": shown_findings([found], whole=True)[0],
        "finding": found,
        "settlements": choices_of(found.kind),
        "snapshots": snapshots_with(within, [found]),
    }
    return render(request, "feedback/finding.html", context)


@require_POST
@login_required
def findings_settle(request: SignedInRequest, project: str) -> HttpResponse:
    """Settle one finding by its own button, those that are ticked, or all that fit the filters of the page."""
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    one, _, its = request.POST.get("one", "").partition(":")
    settlement = its or request.POST.get("settlement", "")
    asked = QueryDict(request.POST.get("filters", "")[:500])
    try:
        if request.POST.get("all") and not one:
            wanted = FindingFilter(asked).select(found_in(within)).unsettled()[:AT_MOST]
        else:
            ticked = [
                pk for pk in ([one] if one else request.POST.getlist("finding")) if pk.isascii() and pk.isdigit()
            ][:AT_MOST]
            wanted = found_in(within).filter(pk__in=[int(pk) for pk in ticked if len(pk) < 19])
        settled = settle_in_pieces(request, within, list(wanted), settlement)
    except Refusal as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        say_settled(request, within, settled, settlement)
    if request.POST.get("back") == "finding" and len(settled_ids := request.POST.getlist("finding")) == 1:
        return redirect("finding", within.slug, settled_ids[0])
    return redirect(f"{reverse('findings', args=[within.slug])}?{asked.urlencode()}")


@require_POST
@login_required
def finding_take_back(request: SignedInRequest, project: str, finding: int) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    found = get_object_or_404(found_in(within), pk=finding)
    try:
        take_back(finding=found, by=request.user, now=timezone.now())
    except Refusal as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        messages.success(request, "It waits for a decision again.")
    return redirect("finding", within.slug, found.pk)


@require_POST
@login_required
def findings_scan(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.manage_prompts")
    job = start_scan(project=within, started_by=request.user)
    if job.state == Job.State.SUCCEEDED:
        messages.success(request, job.result["words"])
        return redirect("findings", within.slug)
    return redirect("job", within.slug, job.pk)


# What the pages share


def found_in(project: Project) -> FindingQuerySet:
    return Finding.objects.filter(project=project).order_by("-pk")


def with_texts(findings: FindingQuerySet) -> FindingQuerySet:
    return findings.select_related("prompt", "response__prompt", "judgment__task__prompt", "settled_by")


def settle_in_pieces(
    request: SignedInRequest, project: Project, findings: list[Finding], settlement: str
) -> list[Finding]:
    settled: list[Finding] = []
    for start in range(0, len(findings), SETTLED_AT_ONCE):
        settled += settle_findings(
            project=project, findings=findings[start : start + SETTLED_AT_ONCE], settlement=settlement,
            settled_by=request.user, now=timezone.now(),
        )  # fmt: skip
    return settled


def say_settled(request: SignedInRequest, project: Project, settled: list[Finding], settlement: str) -> None:
    if not settled:
        messages.info(request, "Nothing was ticked that still waits for a decision.")
        return
    done = f"{count(len(settled), 'finding')}: {DONE[settlement]}."
    frozen: list[Any] = snapshots_with(project, settled) if settlement == "redact" else []
    if frozen:
        names = ", ".join(snapshot.name for snapshot, _ in frozen[:5])
        holding = count(len(frozen), "frozen snapshot")
        done += f" The original stays in {holding}: {names}. Withdraw what must not be used."
    messages.success(request, done)
