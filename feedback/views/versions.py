"""Pages of what a queue said when: every version of guidelines, label schema and rules, and what changed in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.contrib.auth.decorators import login_required
from django.db.models import Count
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, render
from django.views.decorators.http import require_safe

from feedback.changes import Piece, line_changes
from feedback.models import Guideline, Judgment, LabelSchema, Queue, QueuePolicy
from feedback.queue_forms import rules_in_words, value_in_words
from feedback.schema_forms import SettingsForm
from feedback.schemas import Attribute, Flag, Schema
from feedback.views.queues import queue_or_404
from feedback.views.requests import SignedInRequest
from feedback.views.schema_preview import preview_parts

KINDS = {"guidelines": "Guidelines", "schema": "Label schema", "rules": "Rules"}


@dataclass(frozen=True)
class Change:
    what: str
    before: str
    after: str


@dataclass(frozen=True)
class Version:
    """One version of one of the three, with what changed from the one before."""

    what: str
    number: int
    created_by: str
    created_at: datetime
    judgments: int
    in_force: bool
    changes: list[Change] = field(default_factory=list)
    lines: list[Piece] = field(default_factory=list)

    @property
    def title(self) -> str:
        return KINDS[self.what]


@require_safe
@login_required
def queue_versions(request: SignedInRequest, project: str, queue: str) -> HttpResponse:
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    versions = sorted(versions_of(found), key=lambda version: version.created_at, reverse=True)
    context = {"project": within, "queue": found, "versions": versions}
    return render(request, "feedback/queue_versions.html", context)


@require_safe
@login_required
def queue_version(request: SignedInRequest, project: str, queue: str, what: str, number: int) -> HttpResponse:
    """Show one version whole."""
    within, found = queue_or_404(request, project, queue, "feedback.read_queues")
    if what not in KINDS:
        raise Http404("there is no such kind of version")
    version = next((one for one in versions_of(found) if (one.what, one.number) == (what, number)), None)
    if version is None:
        raise Http404("there is no such version")
    context: dict[str, Any] = {"project": within, "queue": found, "version": version, "new_kind": found.kind}
    if what == "guidelines":
        context["text"] = get_object_or_404(found.guidelines, number=number).text
    elif what == "schema":
        asks = get_object_or_404(found.schemas.select_related("queue"), number=number).asks
        context |= {"preview": preview_parts(asks, request.user), "settings": settings_in_words(asks)}
    else:
        context["rules"] = rules_in_words(
            get_object_or_404(found.policies.select_related("qualification"), number=number)
        )
    return render(request, "feedback/queue_version.html", context)


def versions_of(queue: Queue) -> list[Version]:
    guidelines = list(queue.guidelines.select_related("created_by").order_by("number"))
    schemas = list(queue.schemas.select_related("created_by", "queue").order_by("number"))
    policies = list(queue.policies.select_related("created_by", "qualification").order_by("number"))
    judged = judgments_by_version(queue)
    guideline, schema, rules = judged["guideline"], judged["schema"], judged["policy"]
    return [
        *(
            version("guidelines", one, queue.guideline_id, guideline, lines=lines)
            for one, lines in with_lines(guidelines)
        ),
        *(version("schema", one, queue.schema_id, schema, changes=changed) for one, changed in with_settings(schemas)),
        *(version("rules", one, queue.policy_id, rules, changes=changed) for one, changed in with_rules(policies)),
    ]


def judgments_by_version(queue: Queue) -> dict[str, Counter[int]]:
    """Count the queue's judgments by version of each of the three, in one pass: they may be a million."""
    names = ("guideline", "schema", "policy")
    found: dict[str, Counter[int]] = {name: Counter() for name in names}
    rows = Judgment.objects.filter(queue=queue).order_by().values_list(*names).annotate(number=Count("*"))
    for *versions, number in rows:
        for name, pk in zip(names, versions, strict=True):
            found[name][pk] += number
    return found


def version(what: str, row: Any, in_force: object, judged: Counter[int], **changed: Any) -> Version:
    return Version(
        what=what,
        number=row.number,
        created_by=row.created_by.username,
        created_at=row.created_at,
        judgments=judged[row.pk],
        in_force=row.pk == in_force,
        **changed,
    )


def with_lines(guidelines: Sequence[Guideline]) -> list[tuple[Guideline, list[Piece]]]:
    before: list[str | None] = [None, *(one.text for one in guidelines)]
    return [
        (one, [] if text is None else line_changes(text, one.text))
        for one, text in zip(guidelines, before, strict=False)
    ]


def with_settings(schemas: Sequence[LabelSchema]) -> list[tuple[LabelSchema, list[Change]]]:
    words = [settings_in_words(one.asks) for one in schemas]
    return [(one, [] if not place else changes(words[place - 1], words[place])) for place, one in enumerate(schemas)]


def with_rules(policies: Sequence[QueuePolicy]) -> list[tuple[QueuePolicy, list[Change]]]:
    words = [rules_in_words(one) for one in policies]
    return [(one, [] if not place else changes(words[place - 1], words[place])) for place, one in enumerate(policies)]


def changes(before: Mapping[str, str], after: Mapping[str, str]) -> list[Change]:
    """Return what is different, in the order of what is asked now; what is gone comes last."""
    names = [*after, *(name for name in before if name not in after)]
    return [
        Change(name, before.get(name, ""), after.get(name, ""))
        for name in names
        if before.get(name, "") != after.get(name, "")
    ]


def settings_in_words(asks: Schema) -> dict[str, str]:
    """Return what a schema asks by the labels of its form; attributes and flags by their own labels."""
    settings = {}
    for name, value in asks.to_json().items():
        if name in SettingsForm.base_fields:
            settings[str(SettingsForm.base_fields[name].label or name.capitalize())] = value_in_words(value)
        elif name == "policies":
            settings["Checkpoints that answer"] = value_in_words(value)
    for place, attribute in enumerate(asks.attributes, start=1):
        settings[f"Attribute {attribute.label}"] = attribute_in_words(attribute, place)
    for place, flag in enumerate(asks.flags, start=1):
        settings[f"Flag {flag.label}"] = flag_in_words(flag, place)
    return settings


def attribute_in_words(attribute: Attribute, place: int) -> str:
    scale = "thumbs" if attribute.style == "thumbs" else f"{attribute.low} to {attribute.high}"
    parts = [f"no. {place}", attribute.key, scale, "required" if attribute.required else "optional"]
    return "; ".join([*parts, *attribute.anchors, *([attribute.definition] if attribute.definition else [])])


def flag_in_words(flag: Flag, place: int) -> str:
    return "; ".join([f"no. {place}", flag.key, *([flag.definition] if flag.definition else []), *flag.kinds])
