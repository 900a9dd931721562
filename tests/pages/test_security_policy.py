"""The strict content security policy on every page of the site, and nothing on any page that it would block."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse

from feedback.models import Project, Role, User
from tests.factories import (
    make_judgment,
    make_member,
    make_policy_checkpoint,
    make_queue,
    make_response,
    make_run,
    make_snapshot,
    make_task,
    make_user,
)
from training.models import Run

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
    "base-uri": "'none'",
    "manifest-src": "'self'",
}
NO_PAGES = {"health", "api-schema", "snapshot-download", "run-metrics", "run-log"}
"""Addresses that answer with something other than a page."""


class Blocked(HTMLParser):
    """Collects what the policy blocks: inline scripts, handlers and styles, and files of other hosts."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.found += [f"{tag} {name}" for name in values if name == "style" or name.startswith(("on", "hx-on"))]
        if tag == "style" or (tag == "script" and not values.get("src")):
            self.found.append(f"inline {tag}")
        source = values.get("src") or (values.get("href") if tag == "link" else None)
        if source is not None and not re.match(r"/(?!/)|data:image/", source):
            self.found.append(f"{tag} of {source}")


def page_patterns(patterns: list[Any]) -> list[URLPattern]:
    """Return every page's pattern; the API's own are JSON, and the administration is Django's."""
    found: list[URLPattern] = []
    for one in patterns:
        if isinstance(one, URLResolver):
            if str(one.pattern) not in ("admin/", "api/v1/"):
                found += page_patterns(one.url_patterns)
        elif one.name not in NO_PAGES:
            found.append(one)
    return found


@pytest.fixture
def person(project: Project) -> User:
    person = make_user(username="everybody", is_superuser=True, is_staff=True)
    for role in Role:
        make_member(project, role, user=person)
    return person


@pytest.fixture
def rows(project: Project, person: User) -> dict[str, Any]:
    """One row for every name that stands in an address; the names are the same on all pages."""
    queue = make_queue(
        project, guideline="# Look\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n$x^2$"
    )
    task = make_task(queue, slots=2)
    make_response(
        task.prompt, "<script>alert(1)</script> <b style='color:red' onclick='x()'>bold</b> ![i](http://a.b/c)"
    )
    judgment = make_judgment(task=task, annotator=person, rationale="<i style=a>why</i>")
    make_task(queue)
    snapshot = make_snapshot(project)
    return {
        "project": project.slug,
        "prompt": task.prompt_id,
        "queue": queue.pk,
        "queue_kind": "rating",
        "task": task.pk,
        "what": "schema",
        "number": 1,
        "skip": 1,
        "response": task.texts[0].pk,
        "person": person.pk,
        "expertise": 1,
        "judgment": judgment.pk,
        "snapshot": snapshot.pk,
        "run": make_run(project, "dpo", snapshot=snapshot, state="running").pk,
        "checkpoint": make_policy_checkpoint(project, snapshot=snapshot).pk,
    }


def addresses(rows: dict[str, Any]) -> dict[str, str]:
    found = {"admin": reverse("admin:index"), "api-docs": reverse("api-docs"), "missing": "/nowhere/"}
    for pattern in page_patterns(get_resolver().url_patterns):
        for kind in Run.Kind.values if pattern.name == "run-start" else ("",):
            values = {**rows, "kind": kind}
            named = {name: values[name] for name in pattern.pattern.converters}
            found[f"{pattern.name} {kind}".strip()] = reverse(pattern.name, kwargs=named)
    return found


def refusals(client: Client, found: dict[str, str], fragment: bool = False) -> dict[str, Any]:
    """Return what is wrong with each address; under "pages" how many were looked at."""
    wrong: dict[str, Any] = {"pages": 0}
    for name, address in found.items():
        answer = client.get(address, headers={"HX-Request": "true"} if fragment else {})
        policy = dict(part.strip().split(" ", 1) for part in answer["Content-Security-Policy"].split(";"))
        if policy != POLICY:
            wrong[name] = policy
        if answer.status_code in (302, 405):
            continue
        parser = Blocked()
        parser.feed(answer.content.decode())
        wrong["pages"] += 1
        if parser.found:
            wrong[name] = parser.found
    return wrong


def test_every_page_is_strict_and_keeps_to_it(rows: dict[str, Any], person: User, client: Client) -> None:
    found = addresses(rows)
    client.force_login(person)
    answer = refusals(client, found)
    assert answer.pop("pages") >= 35
    assert answer == {}


def test_every_fragment_keeps_to_it(rows: dict[str, Any], person: User, client: Client) -> None:
    client.force_login(person)
    answer = refusals(client, addresses(rows), fragment=True)
    assert answer.pop("pages") >= 35
    assert answer == {}


def test_a_visitors_pages_keep_to_it(rows: dict[str, Any], client: Client) -> None:
    answer = refusals(client, addresses(rows))
    assert answer.pop("pages") >= 4
    assert answer == {}


def test_the_parser_sees_what_is_blocked() -> None:
    parser = Blocked()
    parser.feed(
        '<b style="a" onclick="b">c</b><script>d</script><style></style><img src="http://e/f"><a href="http://g">h</a>'
    )
    assert parser.found == ["b style", "b onclick", "inline script", "inline style", "img of http://e/f"]
