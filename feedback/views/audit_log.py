"""The page of the audit log: who did what, when, and what it was before; also as a table to download."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from typing import Any

from django.contrib.auth.decorators import login_required
from django.http import HttpResponse, StreamingHttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from feedback.access import project_or_404
from feedback.changes import Piece, text_changes
from feedback.models import AuditEvent, Project
from feedback.review_forms import AuditFilter
from feedback.views.requests import SignedInRequest

PAGE = 50
HEAD = ["when", "who", "action", "subject", "subject_id", "reason", "before", "after", "bulk"]
PAGES: Mapping[str, str] = {
    "judgment": "judgment",
    "task": "task",
    "queue": "queue",
    "snapshot": "snapshot",
    "bulk": "bulk",
    "prompt": "prompt",
}
"""Kinds of things that have a page, and the name of its address."""


@require_safe
@login_required
def audit_log(request: SignedInRequest, project: str) -> HttpResponse:
    within = project_or_404(request.user, project, "feedback.review")
    filters = AuditFilter(request.GET, project=within)
    found = filters.select().select_related("actor")
    beyond = request.GET.get("beyond", "")
    if beyond.isascii() and beyond.isdigit() and len(beyond) < 18:
        found = found.filter(pk__lt=int(beyond))
    events = list(found[: PAGE + 1])
    more = len(events) > PAGE
    context = {
        "project": within,
        "filters": filters,
        "rows": [(event, page_of(within, event), differences(event)) for event in events[:PAGE]],
        "beyond": events[PAGE - 1].pk if more else None,
    }
    return render(request, "feedback/audit.html", context)


@require_safe
@login_required
def audit_csv(request: SignedInRequest, project: str) -> StreamingHttpResponse:
    """Send the events that the filters choose as CSV, the latest first, while they are read."""
    within = project_or_404(request.user, project, "feedback.review")
    events = AuditFilter(request.GET, project=within).select().select_related("actor")
    answer = StreamingHttpResponse(lines(events.iterator(chunk_size=2_000)), content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="audit-{within.slug}.csv"'
    return answer


class Echo:
    """A file that hands back what is written to it."""

    def write(self, line: str) -> str:
        return line


def lines(events: Iterator[AuditEvent]) -> Iterator[str]:
    writer = csv.writer(Echo())
    yield writer.writerow(HEAD)
    for event in events:
        yield writer.writerow(
            [
                event.created_at.isoformat(),
                event.actor.username if event.actor else "",
                event.action,
                event.subject,
                event.subject_id,
                unformulated(event.reason),
                json.dumps(event.before, ensure_ascii=False),
                json.dumps(event.after, ensure_ascii=False),
                event.bulk_id or "",
            ]
        )


def unformulated(text: str) -> str:
    """Keep a spreadsheet from taking what somebody wrote for a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text


def page_of(project: Project, event: AuditEvent) -> str:
    name = PAGES.get(event.subject)
    if name:
        return reverse(name, args=[project.slug, event.subject_id])
    if event.subject == "person":
        return reverse("member", args=[project.slug, event.subject_id])
    return ""


def differences(event: AuditEvent) -> list[tuple[str, list[Piece]]]:
    """Return what changed, value by value, as pieces that were there, are there now, or both."""
    found = []
    for key in {**event.before, **event.after}:
        was, now = as_text(event.before.get(key)), as_text(event.after.get(key))
        if was == now or (key == "reason" and now == event.reason):
            continue  # a reason stands above its changes already
        long = len(was) > 60 or len(now) > 60
        plain = [Piece(kind, text) for kind, text in (("removed", was), ("added", now)) if text]
        found.append((key.replace("_", " "), text_changes(was, now) if long and was and now else plain))
    return found


def as_text(value: Any) -> str:
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
