"""A person's own page in a project: the evidence that curators see of them, what was decided, and their answer."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from feedback.access import project_or_404
from feedback.models import Project, Standing
from feedback.quality.person_evidence import evidence_of, hidden_now
from feedback.standings import StandingRefused, answer_standing, standings_of, suspension_of
from feedback.views.evidence_parts import lines_of
from feedback.views.requests import SignedInRequest


@require_safe
@login_required
def own_standing(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.label")
    return render(request, "feedback/annotator/own_standing.html", own_context(request, within))


@require_POST
@login_required
def own_answer(request: SignedInRequest, project: str, standing: int) -> HttpResponse:
    """Answer a decision about oneself."""
    within = project_or_404(request.user, project, "feedback.label")
    decided = get_object_or_404(Standing, pk=standing, project=within, person=request.user)
    try:
        answer_standing(standing=decided, author=request.user, text=request.POST.get("text", ""), now=timezone.now())
    except StandingRefused:
        problem = _("Write what you want to say, in at most 4,000 characters.")
    else:
        messages.success(request, _("Sent. The curators see it, and their answer will stand here."))
        return redirect("own-standing", within.slug)
    context = own_context(request, within, problem=problem, answering=decided.pk)
    context["typed"] = request.POST.get("text", "")
    return render(request, "feedback/annotator/own_standing.html", context, status=422)


def own_context(
    request: SignedInRequest, project: Project, *, problem: str = "", answering: int | None = None
) -> dict[str, Any]:
    evidence = evidence_of(project=project, person=request.user)
    decided = [
        (standing, lines_of(standing.evidence, for_annotator=True))
        for standing in standings_of(project=project, person=request.user)
    ]
    return {
        "project": project,
        "judgments": evidence["judgments"],
        "computed_at": parse_datetime(evidence["computed_at"]) if evidence["computed_at"] else None,
        "lines": [line for line in lines_of(evidence, for_annotator=True) if line.key not in hidden_now(project)],
        "suspension": suspension_of(project=project, person=request.user),
        "decided": decided,
        "problem": problem,
        "answering": answering,
    }
