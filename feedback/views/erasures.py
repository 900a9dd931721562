"""Pages of admins: what would be erased of a person, the receipts, what people ask for, and withdrawn snapshots."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.db.models import Exists, OuterRef, Q
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import project_or_404
from feedback.erasing import ErasureRefused, dry_run, holdings, refuse_request, start_erasure
from feedback.forms import show_refusal
from feedback.jobs import carry_out
from feedback.models import Erasure, ErasureRequest, Judgment, Project, User
from feedback.views.requests import SignedInRequest
from feedback.withdrawing import WithdrawalRefused, withdraw_snapshot

PAGE = 50
REASON = "For the record; it stands on the receipt and in the audit log."


class ErasureForm(forms.Form):
    reason = forms.CharField(label="Why", max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}), help_text=REASON)
    account = forms.BooleanField(
        label="Close the account, too",
        required=False,
        help_text="Name, address, password, roles and profile go. Only for an account that no other project uses.",
    )
    name = forms.CharField(label="Type the person's username", max_length=150, help_text="This cannot be undone.")

    def __init__(self, *args: Any, person: User, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person

    def clean_name(self) -> str:
        if self.cleaned_data["name"] != self.person.username:
            raise forms.ValidationError(f"Type {self.person.username} to go on.")
        return str(self.cleaned_data["name"])


class WithdrawalForm(forms.Form):
    reason = forms.CharField(
        label="Why", max_length=5_000, widget=forms.Textarea(attrs={"rows": 3}), help_text="It stands in the audit log."
    )
    name = forms.CharField(label="Type the snapshot's name", max_length=200, help_text="This cannot be undone.")


class RefusalForm(forms.Form):
    reason = forms.CharField(max_length=5_000)


@require_safe
@login_required
def erasure_list(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.erase")
    receipts = Erasure.objects.filter(project=within).select_related("requested_by", "job__project")
    context = {
        "project": within,
        "requests": ErasureRequest.objects.filter(project=within, settled_at__isnull=True).select_related("person"),
        "page_obj": Paginator(receipts, PAGE).get_page(request.GET.get("page")),
    }
    return render(request, "feedback/erasures.html", context)


@require_safe
@login_required
def erasure_detail(request: SignedInRequest, project: str, erasure: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.erase")
    receipts = Erasure.objects.select_related("requested_by", "person", "job__project", "job__created_by")
    found = get_object_or_404(receipts.filter(project=within), pk=erasure)
    holding = holdings(project=within, person=found.person)
    return render(request, "feedback/erasure.html", {"project": within, "erasure": found, "holdings": holding})


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def person_erase(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    """Show what would be erased, and where copies are; posted, erase it, here if it is little."""
    within, found = person_or_404(request, project, person)
    form = ErasureForm(request.POST if request.method == "POST" else None, person=found)
    if request.method == "POST" and form.is_valid():
        try:
            erasure = start_erasure(
                project=within,
                person=found,
                reason=form.cleaned_data["reason"],
                account=form.cleaned_data["account"],
                requested_by=request.user,
                now=timezone.now(),
            )
        except ErasureRefused as refusal:
            show_refusal(form, refusal)
        else:
            if erasure.job is not None:
                carry_out(erasure.job, seconds=1)
            return redirect("erasure", within.slug, erasure.pk)
    context = {
        "project": within,
        "person": found,
        "form": form,
        "receipt": dry_run(project=within, person=found),
        "holdings": holdings(project=within, person=found),
        "asked": ErasureRequest.objects.filter(project=within, person=found, settled_at__isnull=True).first(),
    }
    return render(request, "feedback/person_erase.html", context, status=422 if form.errors else 200)


@require_POST
@login_required
def erasure_refuse(request: SignedInRequest, project: str, asked: int) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.erase")
    found = get_object_or_404(ErasureRequest.objects.filter(project=within), pk=asked)
    form = RefusalForm(request.POST)
    try:
        reason = form.cleaned_data["reason"] if form.is_valid() else ""
        refuse_request(request=found, by=request.user, reason=reason, now=timezone.now())
    except ErasureRefused as refusal:
        messages.error(request, f"Nothing was stored: {refusal.message}.")
    else:
        messages.success(request, "Settled. The person reads your reason on their page.")
    return redirect("erasures", within.slug)


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def snapshot_withdraw(request: SignedInRequest, project: str, snapshot: str) -> HttpResponse:
    """Ask once more; posted, delete the snapshot's files."""
    within = project_or_404(request.user, project, "feedback.erase")
    found = get_object_or_404(within.snapshots.select_related("created_by"), pk=snapshot)
    form = WithdrawalForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        try:
            withdraw_snapshot(snapshot=found, by=request.user, now=timezone.now(), **form.cleaned_data)
        except WithdrawalRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"“{found.name}” is withdrawn; its files are deleted.")
            return redirect("snapshot", within.slug, found.pk)
    context = {"project": within, "snapshot": found, "form": form}
    return render(request, "feedback/snapshot_withdraw.html", context, status=422 if form.errors else 200)


def person_or_404(request: SignedInRequest, project: str, person: int) -> tuple[Project, User]:
    """Return somebody who takes part in the project, or has said something in it."""
    within = project_or_404(request.user, project, "feedback.erase")
    judged = Judgment.objects.filter(queue__project=within, annotator=OuterRef("pk"))
    here = Q(Exists(within.memberships.filter(user=OuterRef("pk")))) | Q(Exists(judged))
    return within, get_object_or_404(User.objects.filter(here), pk=person)
