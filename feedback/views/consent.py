"""What a project asks its annotators to agree to: their own page, and the page on which the text is kept."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Count, Q
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from feedback.access import may, project_or_404
from feedback.consenting import (
    ConsentRefused,
    agree,
    change_text,
    has_withdrawn,
    in_force,
    is_missing,
    text_in_force,
    withdraw,
    withdrawn_people,
)
from feedback.erasing import ErasureRefused, request_erasure
from feedback.forms import show_refusal
from feedback.models import Consent, ErasureRequest, Project, Queue, Role
from feedback.views.requests import SignedInRequest


class AgreeForm(forms.Form):
    number = forms.IntegerField(min_value=0, max_value=2**31 - 1)
    queue = forms.UUIDField(required=False)


class NoteForm(forms.Form):
    note = forms.CharField(required=False, max_length=5_000)


class ConsentTextForm(forms.Form):
    text = forms.CharField(
        label="What you ask annotators to agree to",
        required=False,
        widget=forms.Textarea(attrs={"rows": 16}),
        help_text="Markdown. Say what becomes of their labels and texts, who sees them, for how long they are kept, "
        "and how they can be taken back. An empty text asks nothing.",
    )


# The annotator's own ------------------------------------------------------------------------------------


@require_safe
@login_required
def consent(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.label")
    return render(request, "feedback/annotator/consent.html", own_context(request, within))


@require_POST
@login_required
def consent_agree(request: SignedInRequest, project: str) -> HttpResponse:
    """Store the consent, and go on to the queue that the person came from."""
    within = project_or_404(request.user, project, "feedback.label")
    form = AgreeForm(request.POST)
    number = form.cleaned_data["number"] if form.is_valid() else -1
    try:
        agree(project=within, person=request.user, number=number, now=timezone.now())
    except ConsentRefused:
        context = own_context(request, within, problem=_("The text has changed. Read it as it is now, then agree."))
        return render(request, "feedback/annotator/consent.html", context, status=422)
    wanted = form.cleaned_data["queue"]
    queue = Queue.objects.filter(project=within, pk=wanted).first() if wanted else None
    return redirect("label", queue.pk) if queue else redirect("consent", within.slug)


@require_POST
@login_required
def consent_withdraw(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.label")
    withdraw(project=within, person=request.user, now=timezone.now())
    messages.success(request, _("Your consent is taken back. Later datasets leave your labels out."))
    return redirect("consent", within.slug)


@require_POST
@login_required
def erasure_request(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.label")
    form = NoteForm(request.POST)
    try:
        note = form.cleaned_data["note"] if form.is_valid() else "\x00"
        request_erasure(project=within, person=request.user, note=note, now=timezone.now())
    except ErasureRefused:
        problem = _("Say it in at most 5,000 ordinary characters.")
        context = own_context(request, within, problem=problem)
        return render(request, "feedback/annotator/consent.html", context, status=422)
    messages.success(request, _("An admin has your request and will answer it here."))
    return redirect("consent", within.slug)


def own_context(request: SignedInRequest, project: Project, problem: str = "") -> dict[str, Any]:
    queue = request.POST.get("queue") or request.GET.get("queue", "")
    return {
        "project": project,
        "text": text_in_force(project),
        "held": in_force(project, request.user),
        "missing": is_missing(project, request.user),
        "withdrawn": has_withdrawn(project, request.user),
        "queue": queue if AgreeForm({"number": 0, "queue": queue}).is_valid() else "",
        "asked": ErasureRequest.objects.filter(project=project, person=request.user).first(),
        "problem": problem,
    }


# The text -----------------------------------------------------------------------------------------------


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def consent_text(request: SignedInRequest, project: str) -> HttpResponse:
    """Show the text, its versions and who agreed; posted, put a new version in force."""
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    current = text_in_force(within)
    if request.method != "POST":
        form = ConsentTextForm(initial={"text": current.text if current else ""})
        return render(request, "feedback/consent_text.html", text_context(request, within, form))
    form = ConsentTextForm(request.POST)
    if form.is_valid():
        try:
            change_text(project=within, text=form.cleaned_data["text"], by=request.user, now=timezone.now())
        except ConsentRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, "Stored. Annotators are asked before they take their next task.")
            return redirect("consent-text", within.slug)
    return render(request, "feedback/consent_text.html", text_context(request, within, form), status=422)


def text_context(request: SignedInRequest, project: Project, form: ConsentTextForm) -> dict[str, Any]:
    current = text_in_force(project)
    given = Count("consents", filter=Q(consents__withdrawn_at__isnull=True))
    people = project.memberships.filter(role=Role.ANNOTATOR, user__simulation_rule="")
    agreed = Consent.objects.filter(project=project, withdrawn_at__isnull=True, text=current) if current else None
    withdrawn = withdrawn_people(project)
    return {
        "project": project,
        "form": form,
        "current": current,
        "versions": project.consent_texts.select_related("created_by").annotate(given=given).order_by("-number"),
        "annotators": people.count(),
        "agreed": people.filter(user__in=agreed.values("person")).count() if agreed is not None else 0,
        "withdrawn": withdrawn.count(),
        "requests": ErasureRequest.objects.filter(project=project, settled_at__isnull=True).count(),
        "may_erase": may(request.user, "feedback.erase", project),
    }
