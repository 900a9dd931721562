"""Keep a person's labels apart, or let them in again."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from feedback.access import project_or_404
from feedback.holding_out import HoldOutRefused, hold_out, let_in, people_of
from feedback.views.requests import SignedInRequest
from feedback.views.words import sentence


@require_POST
@login_required
def person_hold_out(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    """Hold the person out with `held_out=1`, let them in with anything else."""
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    found = get_object_or_404(people_of(within), pk=person)
    back = redirect("members", within.slug)
    if within.memberships.filter(user=found).exists():
        back = redirect("member", within.slug, found.pk)
    if request.POST.get("held_out") != "1":
        let_in(project=within, person=found, let_in_by=request.user, now=timezone.now())
        messages.success(request, f"Later snapshots may train on what {found.username} says.")
        return back
    try:
        hold_out(project=within, person=found, held_out_by=request.user, now=timezone.now())
    except HoldOutRefused as refusal:
        messages.error(request, sentence(refusal.message))
    else:
        messages.success(request, f"What {found.username} says is a split of its own in every later snapshot.")
    return back
