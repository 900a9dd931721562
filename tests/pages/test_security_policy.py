"""The strict content security policy on every page of the site, and nothing on any page that it would block."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from feedback.models import Project, User
from tests.pages.every_page import addresses, make_everybody, make_rows

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


@pytest.fixture
def person(project: Project) -> User:
    return make_everybody(project)


@pytest.fixture
def rows(project: Project, person: User) -> dict[str, Any]:
    return make_rows(project, person)


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
