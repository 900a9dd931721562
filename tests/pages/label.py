"""What the tests of the annotator's pages share: read the page's form, and make the lease run out."""

from __future__ import annotations

import re
from datetime import timedelta
from html import unescape
from typing import Any

from django.http import HttpResponse
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from feedback.answers import Answer, to_shown
from feedback.models import Assignment, Draft, Judgment, Queue

HTMX = {"HX-Request": "true"}
FIELD = re.compile(r'<input type="hidden" name="([\w-]+)" value="([^"]*)"')


def at(name: str, queue: Queue, *more: object) -> str:
    return reverse(name, args=[queue.pk, *more])


def form_on(page: HttpResponse) -> dict[str, Any]:
    """Return the hidden fields of the page's judgment form, as a browser would send them."""
    html = page.content.decode()
    start = html.index('id="judge"')
    return {name: unescape(value) for name, value in FIELD.findall(html[start : html.index("</form>", start)])}


def open_task(client: Client, queue: Queue) -> dict[str, Any]:
    page = client.get(at("label", queue))
    assert page.status_code == 200
    return form_on(page)


def submit(client: Client, queue: Queue, form: dict[str, Any], *, name: str = "label-submit", **said: Any) -> Any:
    values = {**form, "preference": 2, "active_seconds": 3, **said}
    return client.post(at(name, queue), values, headers=HTMX)


def let_lease_run_out(**which: Any) -> Assignment:
    slot = Assignment.objects.get(**which)
    Assignment.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1))
    return slot


def shown_draft(draft: Draft) -> Answer:
    """Return a draft as its person sees it."""
    order = draft.task.order_for(draft.annotator)
    return to_shown(Answer(draft.preference, draft.content, draft.rationale, draft.flags), order)


def first_shown(judgment: Judgment) -> Any:
    return judgment.task.texts[judgment.display_order[0]].pk


def keys_of(flags: list[dict[str, Any]]) -> list[str]:
    return [one["flag"] for one in flags]
