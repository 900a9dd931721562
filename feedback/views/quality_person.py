"""The page of one person's evidence, and what a curator decides on it. The person sees the same figures."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, project_or_404
from feedback.forms import show_refusal
from feedback.models import Project, Standing, User
from feedback.quality.costs import cost_of
from feedback.quality.people import people_report
from feedback.quality.person_evidence import evidence_of, gold_series, latest_seconds, marks_of
from feedback.standings import (
    StandingRefused,
    answer_standing,
    decide_standing,
    standings_of,
    suspension_of,
    workers,
)
from feedback.views.evidence_parts import lines_of
from feedback.views.person_pictures import evidence_picture, pace_picture
from feedback.views.quality import report_context
from feedback.views.requests import SignedInRequest

MATRIX_WORDS = {
    3: ("the one at place A", "a tie", "the one at place B"),
    2: ("the one at place A", "the one at place B"),
}


class StandingForm(forms.Form):
    decision = forms.ChoiceField(label="What you decide", choices=[])
    reason = forms.CharField(
        label="Why",
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="The person reads it, sees the figures of this page with it, and can answer.",
    )

    def __init__(self, *args: Any, suspended: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["decision"].choices = [  # type: ignore[attr-defined]
            ("", "Choose"),
            ("noted", "Only a note"),
            ("talked", "Ask them to read the guidelines again"),
            ("reinstated", "Reinstate: they get tasks again") if suspended else ("suspended", "Suspend: no new tasks"),
        ]


class AnswerForm(forms.Form):
    text = forms.CharField(label="Your answer", widget=forms.Textarea(attrs={"rows": 3}))


@require_safe
@login_required
def quality_person(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    within, found = worker_or_404(request, project, person)
    return render(request, "feedback/quality_person.html", person_context(request, within, found))


@require_POST
@login_required
def standing_decide(request: SignedInRequest, project: str, person: int) -> HttpResponse:
    """Store a decision with the evidence as it stands at this moment."""
    within, found = worker_or_404(request, project, person)
    suspended = suspension_of(project=within, person=found) is not None
    form = StandingForm(request.POST, suspended=suspended)
    if form.is_valid():
        try:
            standing = decide_standing(
                project=within,
                person=found,
                **form.cleaned_data,
                evidence=evidence_of(project=within, person=found),
                decided_by=request.user,
                now=timezone.now(),
            )
        except StandingRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"{found.username}: {standing.get_decision_display().lower()}.")
            return redirect("quality-person", within.slug, found.pk)
    context = person_context(request, within, found, decide_form=form)
    return render(request, "feedback/quality_person.html", context, status=422)


@require_POST
@login_required
def standing_answer(request: SignedInRequest, project: str, person: int, standing: int) -> HttpResponse:
    """Answer, as a curator, what the person said to a decision."""
    within, found = worker_or_404(request, project, person)
    decided = get_object_or_404(Standing, pk=standing, project=within, person=found)
    form = AnswerForm(request.POST)
    if form.is_valid():
        try:
            answer_standing(standing=decided, author=request.user, text=form.cleaned_data["text"], now=timezone.now())
        except StandingRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, "Answered. They read it on their own page.")
            return redirect("quality-person", within.slug, found.pk)
    context = person_context(request, within, found, answer_form=form, answering=decided.pk)
    return render(request, "feedback/quality_person.html", context, status=422)


def worker_or_404(request: SignedInRequest, project: str, person: int) -> tuple[Project, User]:
    """Return a person who labels in the project, or has."""
    within = project_or_404(request.user, project, "feedback.manage_annotators")
    return within, get_object_or_404(workers(within), pk=person)


def person_context(
    request: SignedInRequest,
    project: Project,
    person: User,
    *,
    decide_form: StandingForm | None = None,
    answer_form: AnswerForm | None = None,
    answering: int | None = None,
) -> dict[str, Any]:
    report = people_report(project=project)
    marks = marks_of(project=project, person=person)
    row, evidence = report.of(person.pk), evidence_of(project=project, person=person, marks=marks)
    suspension = suspension_of(project=project, person=person)
    seconds = latest_seconds(project=project, person=person)
    return {
        "project": project,
        "person": person,
        "row": row,
        "evidence": evidence,
        "lines": lines_of(evidence),
        "suspension": suspension,
        "standings": standings_of(project=project, person=person),
        "series": evidence_picture(gold_series(marks)),
        "pace": pace_picture(seconds, "How long tasks took"),
        "matrix": matrix_rows(row.figures["matrix"]) if row else None,
        "cost": cost_of(project=project, person=person, row=row)
        if row and may(request.user, "feedback.manage_people", project)
        else None,
        "decide_form": decide_form or StandingForm(suspended=suspension is not None),
        "answer_form": answer_form or AnswerForm(),
        "answering": answering,
        "is_self": person == request.user,
        **report_context(project, report.shown),
    }


def matrix_rows(matrix: list[list[float]] | None) -> list[dict[str, Any]] | None:
    """Return the confusion matrix as shares in words: true answer by row, said by column."""
    if matrix is None:
        return None
    words = MATRIX_WORDS[len(matrix)]
    return [
        {
            "truth": words[number],
            "cells": [
                {
                    "share": f"{100 * share:.0f} %",
                    "heat": min(5, int(share * 6)),
                    "on": number == place,
                    "said": words[place],
                }
                for place, share in enumerate(row)
            ],
        }
        for number, row in enumerate(matrix)
    ]
