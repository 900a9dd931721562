"""A running site on a data directory of its own, and people in front of a real browser."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from benchmarks.own_site import OwnSite
from tests.browser.people import PASSWORD, PROJECT

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
EXPECTED = ("the server responded with a status of 4", "net::ERR_", "Failed to fetch")
"""In the console: refusals, and a network that a test has cut."""
PATIENCE = 120
"""Seconds until a wait for something that must come is given up."""


class Site(OwnSite):
    """The site that the tests of this folder visit."""

    def project(self, path: str = "") -> str:
        return f"{self.url}/p/{PROJECT}/{path}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.tiny_model import save_tiny_model

    model = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny-model")
    with Site(base_model=str(model)) as running:
        running.environment["OMP_NUM_THREADS"] = "1"
        running.fill("tests.browser.people")
        running.start()
        yield running


@dataclass
class Complaints:
    """What a browser held against the site: policy violations, script errors, server errors, failed loads."""

    seen: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import expect, sync_playwright

    expect.set_options(timeout=30_000)  # what must come may come late on a busy machine
    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser")
        chromium = playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield chromium
        chromium.close()


@pytest.fixture
def complaints() -> Iterator[Complaints]:
    """Collect the browser's complaints and fail the test that leaves any."""
    found = Complaints()
    yield found
    assert found.seen == []


@pytest.fixture
def log_in(browser, site: Site, complaints: Complaints) -> Iterator[Callable]:
    """Return a function that logs a person in and returns their page, in a session of its own."""
    contexts = []

    def enter(username: str, **options: object):
        context = browser.new_context(accept_downloads=True, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        watch(page, complaints)
        give_password(page, site, username)
        return page

    yield enter
    for context in contexts:
        context.close()


def watch(page, complaints: Complaints) -> None:
    page.on("pageerror", lambda error: complaints.seen.append(f"{page.url}: {error}"))
    page.on("console", lambda message: note_console(page.url, message, complaints))
    page.on("response", lambda answer: note_answer(answer, complaints))


def give_password(page, site: OwnSite, username: str) -> None:
    page.goto(f"{site.url}/accounts/login/")
    page.fill("[name=login]", username)
    page.fill("[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "/accounts/" not in url)


def note_console(url: str, message, complaints: Complaints) -> None:
    expected = any(words in message.text for words in EXPECTED)
    if message.type == "error" and not expected:
        complaints.seen.append(f"{url}: {message.text}")


def note_answer(answer, complaints: Complaints) -> None:
    if answer.status >= 500:
        complaints.seen.append(f"{answer.url}: {answer.status}")
