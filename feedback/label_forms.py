"""What the annotator's pages send: the lease and ids as forms, the answer of each kind as `said_in` reads it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django import forms
from django.http import QueryDict

from feedback.claims import NOTE_LENGTH_LIMIT
from feedback.models import Skip
from feedback.schemas import RESPONSES, TURN_LIMIT, TaskKind

RATING = re.compile(r"rating-(\d)-([a-z0-9_]{1,40})")
OF_TURN = "turn-"
"""Starts the names of the fields that say something of one turn of a talk, and not of the whole."""
WHOLE_NUMBER = re.compile(r"-?\d{1,3}")


class ActiveSecondsField(forms.FloatField):
    """Seconds that a script has counted; a page without scripts sends none."""

    def clean(self, value: Any) -> float:
        return super().clean(value) or 0.0


class DraftForm(forms.Form):
    """An answer on its way; `said_in` reads the answer itself."""

    task = forms.UUIDField()
    shown = forms.IntegerField(min_value=0, max_value=max(most for _, most in RESPONSES.values()))
    active_seconds = ActiveSecondsField(required=False, min_value=0)


class RetakeForm(DraftForm):
    """An answer whose lease is lost."""

    submission_id = forms.UUIDField()


class JudgmentForm(RetakeForm):
    assignment = forms.UUIDField()
    lease_token = forms.UUIDField()


class TurnForm(JudgmentForm):
    """Something done in turn number `turn` of a talk."""

    turn = forms.IntegerField(min_value=1, max_value=TURN_LIMIT + 1)


class RevisionForm(forms.Form):
    active_seconds = ActiveSecondsField(required=False, min_value=0)
    submission_id = forms.UUIDField()


class LeaseForm(forms.Form):
    """The lease that a page holds."""

    assignment = forms.UUIDField()
    lease_token = forms.UUIDField()


class SkipForm(LeaseForm):
    kind = forms.ChoiceField(choices=Skip.Kind.choices, required=False)
    reason = forms.ChoiceField(choices=Skip.Reason.choices)
    note = forms.CharField(required=False, max_length=NOTE_LENGTH_LIMIT)
    active_seconds = ActiveSecondsField(required=False, min_value=0)


class UnskipForm(forms.Form):
    task = forms.UUIDField()


def said_in(posted: QueryDict, *, kind: str, responses: int) -> dict[str, Any]:
    """Return what a page's form says as the verbs take it: `answer`, `rationale` and `flags`, in display order.

    It only gives the fields their shape; whether they make sense is for `feedback.answers` to say.
    """
    return {
        "answer": answer_in(posted, kind=kind, responses=responses),
        "rationale": posted.get("rationale", ""),
        "flags": flags_in(posted),
    }


def answer_in(posted: QueryDict, *, kind: str, responses: int) -> dict[str, Any]:
    if kind == TaskKind.COMPARISON:
        answer: dict[str, Any] = {"preference": number(posted.get("preference"))}
        if edited := posted.get("edited", "").strip():
            answer["edited"] = edited
        return answer
    if kind == TaskKind.RANKING:
        aside = [f"not_rankable-{position}" in posted for position in range(responses)]
        ranks = [number(posted.get(f"rank-{position}")) for position in range(responses)]
        return {
            "ranks": [None if out else rank for rank, out in zip(ranks, aside, strict=True)],
            "not_rankable": aside,
        }
    if kind == TaskKind.RATING:
        ratings: list[dict[str, Any]] = [{} for _ in range(responses)]
        for name in posted:
            found = RATING.fullmatch(name)
            if found and int(found[1]) < responses and posted[name]:
                ratings[int(found[1])][found[2]] = number(posted.get(name))
        return {"ratings": ratings}
    if kind in (TaskKind.DEMONSTRATION, TaskKind.CORRECTION):
        return {"text": posted.get("text", "")}
    if kind == TaskKind.CONVERSATION:
        unsent = {
            "preference": number(posted.get("preference")),
            "message": posted.get("message", ""),
            "turn": number(posted.get("turn")),
            "why": posted.get(f"{OF_TURN}rationale", ""),
            "flags": flags_in(posted, OF_TURN),
        }
        return {name: value for name, value in unsent.items() if value not in (None, "", [])}
    return {}


def flags_in(posted: QueryDict, prefix: str = "") -> list[dict[str, Any]]:
    """Return every flag once for each response that it is raised for, or once for the whole."""
    return [
        {"flag": key, "kind": posted.get(f"{prefix}flag-kind-{key}", ""), "response": number(response)}
        for key in posted.getlist(f"{prefix}flag")
        for response in posted.getlist(f"{prefix}flag-response-{key}") or [""]
    ]


def number(text: str | None) -> Any:
    """Return a whole number, None for nothing, and anything else as it is, for the verb to refuse."""
    if text is None or not text.strip():
        return None
    return int(text) if WHOLE_NUMBER.fullmatch(text.strip()) else text


def kept_fields(posted: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return all that a form holds of the person's answer, to be sent again as it is."""
    assert isinstance(posted, QueryDict), "fields can be there several times"
    technical = ("csrfmiddlewaretoken", "assignment", "lease_token")
    return [(name, value) for name, values in posted.lists() if name not in technical for value in values]
