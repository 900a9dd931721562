"""What the annotator's pages share: who may open them, what they show, and that nothing on them unblinds.

Only what is named here reaches a template: texts, never a Response, a Comparison or an Assignment.
"""

from __future__ import annotations

import functools
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Concatenate, ParamSpec

from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, render
from django.urls import reverse
from django.utils.cache import patch_vary_headers
from django.utils.safestring import SafeString

from feedback.access import check
from feedback.contract import PREFERENCE_LIMIT
from feedback.display import STRENGTHS, seal
from feedback.judging import RATIONALE_LENGTH_LIMIT, Flag
from feedback.markdown import render as render_markdown
from feedback.markdown import render_document
from feedback.models import Assignment, Comparison, Guideline, Judgment, Queue, QueuePolicy, Response, Skip, User
from feedback.own_work import entered as typed
from feedback.own_work import own_progress
from feedback.views.requests import SignedInRequest

TURN_LABELS = {"system": "Instruction to the assistant", "user": "User", "assistant": "Assistant"}

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
        found = get_object_or_404(Queue.objects.select_related("project"), pk=queue)
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
    shared = {"project": queue.project, "queue": queue, "fragment": f"feedback/annotator/{fragment}", **context}
    template = shared["fragment"] if request.htmx else "feedback/annotator/label.html"
    return render(request, template, shared, status=status)


def refusal(code: str, detail: str, *, status: int = 409, **more: object) -> JsonResponse:
    """Return what scripts read of a refusal."""
    return JsonResponse({"code": code, "detail": detail, **more}, status=status)


# What is shown


@dataclass(frozen=True)
class Turn:
    role: str
    label: str
    html: SafeString


@dataclass(frozen=True)
class Step:
    """One step of the scale, in display order: negative = left."""

    value: int
    key: int
    side: str
    words: str
    checked: bool

    @property
    def strength(self) -> range:
        return range(abs(self.value))


def turns_of(comparison: Comparison) -> list[Turn]:
    return [
        Turn(message["role"], TURN_LABELS[message["role"]], render_markdown(message["content"]))
        for message in comparison.prompt.messages
    ]


def texts_of(responses: tuple[Response, Response]) -> list[SafeString | None]:
    """Return the two responses as HTML, None for an empty one."""
    return [render_markdown(response.text) if response.text.strip() else None for response in responses]


def steps(chosen: int | None, *, allow_tie: bool) -> list[Step]:
    """Return the scale from left to right; a step keeps its key whether or not there is a tie."""
    scale = []
    for value in range(-PREFERENCE_LIMIT, PREFERENCE_LIMIT + 1):
        if value or allow_tie:
            side = "left" if value < 0 else "right" if value > 0 else ""
            words = STRENGTHS[abs(value) - 1] if value else "About the same"
            scale.append(Step(value, value + PREFERENCE_LIMIT + 1, side, words, value == chosen))
    return scale


def parts(
    *,
    comparison: Comparison,
    shown: tuple[Response, Response],
    annotator: User,
    policy: QueuePolicy,
    entered: Mapping[str, Any],
) -> dict[str, Any]:
    """Return what a task and a revision show alike. `entered` has what the form holds, in display order."""
    return {
        "turns": turns_of(comparison),
        "texts": texts_of(shown),
        "order": seal(comparison=comparison, annotator=annotator, shown_first_id=shown[0].pk),
        "steps": steps(entered["preference"], allow_tie=policy.allow_tie),
        "require_rationale": policy.require_rationale,
        "rationale": entered["rationale"],
        "rationale_limit": RATIONALE_LENGTH_LIMIT,
        "flags": [(value, label, value in entered["flags"]) for value, label in Flag.choices],
        "active_seconds": f"{entered['active_seconds']:.1f}",
        "submission_id": entered.get("submission_id") or uuid.uuid4(),
        "person": annotator.pk,
    }


def task_context(
    *, queue: Queue, slot: Assignment, annotator: User, now: datetime, entered: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Return all that the page of a held slot shows; `entered` stands in for the stored draft."""
    comparison = slot.comparison
    assert slot.policy is not None, "a held slot has its policy"
    assert slot.guideline is not None, "a held slot has its guideline"
    last = last_judgment(queue=queue, annotator=annotator)
    draft = comparison.drafts.filter(annotator=annotator).first()
    return {
        **parts(
            comparison=comparison,
            shown=slot.shown_responses,
            annotator=annotator,
            policy=slot.policy,
            entered=entered or typed(draft, shown_first_id=slot.shown_first_id),
        ),
        "comparison_id": comparison.pk,
        "assignment_id": slot.pk,
        "lease_token": slot.lease_token,
        "lease_expires_at": slot.lease_expires_at,
        "seconds_left": seconds_left(slot, now),
        "progress": own_progress(queue=queue, annotator=annotator, now=now),
        "skip_reasons": Skip.Reason.choices,
        "last_judgment_id": last.pk if last else None,
        **guideline_context(slot.guideline, last),
    }


def seconds_left(slot: Assignment, now: datetime) -> int:
    """Return for how long the lease still runs, so that the page need not trust its own clock."""
    return int((slot.lease_expires_at - now).total_seconds()) if slot.lease_expires_at else 0


def guideline_context(guideline: Guideline, last: Judgment | None) -> dict[str, Any]:
    """Return the guidelines, and whether the person has judged under another version, or under none yet."""
    return {
        "guideline_number": guideline.number,
        "guideline_html": render_document(guideline.text),
        "guideline_is_new": last is None or last.guideline_id != guideline.pk,
        "guideline_has_changed": last is not None and last.guideline_id != guideline.pk,
    }


def last_judgment(*, queue: Queue, annotator: User) -> Judgment | None:
    """Return what the person judged last in this queue, in the revision that counts."""
    return Judgment.objects.current().filter(queue=queue, annotator=annotator).select_related("guideline").first()


def in_words(preference: int | None) -> str:
    """Say a preference of display order in words."""
    if preference is None:
        return "No choice yet"
    if preference == 0:
        return "About the same"
    return f"{'Left' if preference < 0 else 'Right'} is {STRENGTHS[abs(preference) - 1]}"
