"""Page of the people of one queue: who is named for it, and how everybody stands in its test."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.db.models import Q
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST, require_safe

from feedback.access import may, names_for
from feedback.appointing import AppointmentRefused, name_person, unname_person
from feedback.forms import show_refusal
from feedback.models import Project, Qualification, Queue, User
from feedback.qualifying import QualificationRefused, decide_qualification, standing
from feedback.steering_forms import DecideForm, PersonForm, annotators_of
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest

PAGE = 100


@require_safe
@login_required
def queue_people(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    return render(request, "feedback/queue_people.html", people_context(request, within, found))


@require_POST
@login_required
def person_name(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_annotators")
    form = PersonForm(request.POST, project=within)
    if form.is_valid():
        person = form.cleaned_data["person"]
        try:
            name_person(queue=found, person=person, named_by=request.user)
        except AppointmentRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(request, f"{person.username} is named for this queue.")
            return redirect("queue-people", within.slug, found.pk)
    context = people_context(request, within, found, name_form=form)
    return render(request, "feedback/queue_people.html", context, status=422)


@require_POST
@login_required
def person_unname(request: SignedInRequest, project: str, queue: str, person: int) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_annotators")
    named = get_object_or_404(User, pk=person, named_for__queue=found)
    unname_person(queue=found, person=named, unnamed_by=request.user)
    messages.success(request, f"{named.username} is no longer named. What they hold they may finish.")
    return redirect("queue-people", within.slug, found.pk)


@require_POST
@login_required
def qualification_decide(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.manage_annotators")
    if not found.is_qualification:
        raise Http404("this queue is no test")
    form = DecideForm(request.POST, project=within)
    if form.is_valid():
        asked = form.cleaned_data
        passed = asked["passed"] == "yes"
        try:
            decide_qualification(
                queue=found, person=asked["person"], passed=passed, decided_by=request.user, reason=asked["reason"]
            )
        except QualificationRefused as refusal:
            show_refusal(form, refusal)
        else:
            messages.success(
                request, f"{asked['person'].username}: {'passed' if passed else 'not passed'}, by your word."
            )
            return redirect("queue-people", within.slug, found.pk)
    context = people_context(request, within, found, decide_form=form)
    return render(request, "feedback/queue_people.html", context, status=422)


def people_context(
    request: SignedInRequest,
    project: Project,
    queue: Queue,
    *,
    name_form: PersonForm | None = None,
    decide_form: DecideForm | None = None,
) -> dict[str, Any]:
    name_of = names_for(request.user, project)
    assert queue.policy is not None, "a queue has its policy"
    named = queue.named.select_related("person", "named_by").order_by("person__username")
    begun = Q(pk__in=queue.judgments.values("annotator")) | Q(pk__in=queue.qualifications.values("person"))
    tested = annotators_of(project).filter(begun)[:PAGE] if queue.is_qualification else []
    words = Qualification.objects.filter(queue=queue).select_related("person", "decided_by", "policy")
    return {
        "project": project,
        "queue": queue,
        "policy": queue.policy,
        "named": [(member, name_of(member.person)) for member in named],
        "standings": [(person, name_of(person), standing(queue=queue, person=person)) for person in tested],
        "words": [(word, name_of(word.person)) for word in words[:PAGE]],
        "name_form": name_form or PersonForm(project=project, auto_id="name_%s"),
        "decide_form": decide_form or DecideForm(project=project, auto_id="decide_%s"),
        "may_appoint": may(request.user, "feedback.manage_annotators", project),
    }
