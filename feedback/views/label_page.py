"""What the annotator's pages share: who may open them, what stands around a task, how refusals are told."""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers

from feedback.access import check
from feedback.conversations import open_talk
from feedback.guidelines import news_of
from feedback.markdown import render_document
from feedback.models import Assignment, Guideline, Judgment, Queue, Skip, User
from feedback.own_work import entered as typed
from feedback.own_work import own_progress
from feedback.schemas import TaskKind
from feedback.views.label_parts import parts
from feedback.views.requests import SignedInRequest
from feedback.views.talk_parts import talk_context

P = ParamSpec("P")
View = Callable[Concatenate[SignedInRequest, Queue, P], HttpResponse]


def in_queue(view: View[P]) -> Callable[..., HttpResponse]:
    """Give `view` the queue, for people who label in its project; others get 404, members without the role 403.

    A script whose person has been logged out gets 401, for a redirect to the login page would replace what was typed.
    """

    @functools.wraps(view)
    def with_queue(request: SignedInRequest, queue: uuid.UUID, *args: P.args, **kwargs: P.kwargs) -> HttpResponse:
        if not request.user.is_authenticated:
            if request.htmx or wants_json(request):
                return HttpResponse(status=401)
            return redirect_to_login(
                request.get_full_path() if request.method == "GET" else reverse("label", args=[queue])
            )
        found = get_object_or_404(Queue.objects.in_force(), pk=queue)
        check(request.user, "feedback.label", found.project)
        response = view(request, found, *args, **kwargs)
        patch_vary_headers(response, ["HX-Request"])
        response.headers["Cache-Control"] = "no-store"  # a page out of the cache would show a lease long gone
        return response

    return with_queue


def wants_json(request: HttpRequest) -> bool:
    return request.headers.get("Accept") == "application/json"


def answer(
    request: SignedInRequest, queue: Queue, fragment: str, context: Mapping[str, Any], *, status: int = 200
) -> HttpResponse:
    """Return the fragment, or the whole page around it for a browser that did not ask by htmx."""
    shared = {
        "project": queue.project,
        "queue": queue,
        "kind": queue.kind,
        "fragment": f"feedback/annotator/{fragment}",
        **context,
    }
    template = shared["fragment"] if request.htmx else "feedback/annotator/label.html"
    return render(request, template, shared, status=status)


def refusal(code: str, detail: str, *, status: int = 409, **more: object) -> JsonResponse:
    """Return what scripts read of a refusal."""
    return JsonResponse({"code": code, "detail": detail, **more}, status=status)


def task_context(
    *,
    queue: Queue,
    slot: Assignment,
    annotator: User,
    now: datetime,
    entered: Mapping[str, Any] | None = None,
    ahead: bool = False,
    again: bool = False,
) -> dict[str, Any]:
    """Return all that the page of a held slot shows; `entered` stands in for the stored draft.

    Of a task that is fetched `ahead`, what the page shows already is left out: progress and the last judgment.
    Of a talk, `again` shows the last choice to be made anew.
    """
    assert slot.schema is not None, "a held slot has its schema"
    assert slot.guideline is not None, "a held slot has its guideline"
    schema = slot.schema.asks
    if entered is None:
        draft = slot.task.drafts.filter(annotator=annotator).first()
        entered = typed(draft, order=slot.display_order or [], kind=schema.kind)
    context = {
        **parts(task=slot.task, shown=slot.shown_responses, annotator=annotator, schema=schema, entered=entered),
        "task_id": slot.task_id,
        "assignment_id": slot.pk,
        "lease_token": slot.lease_token,
        "lease_expires_at": slot.lease_expires_at,
        "seconds_left": seconds_left(slot, now),
        "skip_kinds": Skip.Kind.choices,
        "skip_reasons": Skip.Reason.choices,
    }
    if ahead:
        context["ahead"] = True
        context["guideline_number"] = slot.guideline.number
    else:
        last = last_judgment_id(queue=queue, annotator=annotator)
        context |= {"progress": own_progress(queue=queue, annotator=annotator, now=now), "last_judgment_id": last}
        context |= guideline_context(slot.guideline, annotator)
    if schema.kind == TaskKind.CONVERSATION:
        open_talk(slot=slot, now=now)  # whoever sees the opening for the first time begins the talk
        context |= talk_context(slot=slot, annotator=annotator, entered=entered, now=now, again=again)
    return context


def seconds_left(slot: Assignment, now: datetime) -> int:
    """Return for how long the lease still runs, so that the page need not trust its own clock."""
    return int((slot.lease_expires_at - now).total_seconds()) if slot.lease_expires_at else 0


def guideline_context(guideline: Guideline | None, annotator: User) -> dict[str, Any]:
    """Return the guidelines, and whether the person has read another version, or none yet."""
    if guideline is None:
        return {}
    news = news_of(guideline=guideline, person=annotator)
    return {
        "guideline_number": guideline.number,
        "guideline_html": render_document(guideline.text),
        "guideline_is_new": news.is_new,
        "guideline_has_changed": news.has_changed,
    }


def last_judgment_id(*, queue: Queue, annotator: User) -> uuid.UUID | None:
    """Return what the person judged last in this queue, in the revision that counts."""
    mine = Judgment.objects.current().filter(queue=queue, annotator=annotator)
    return mine.values_list("pk", flat=True).first()
