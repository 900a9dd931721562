"""A running site with every kind of queue, and an annotator in front of a real browser."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator

import pytest

from benchmarks.own_site import OwnSite
from tests.browser.conftest import Complaints, give_password, watch
from tests.browser.labeling.site import ANNOTATOR

NEXT = "before => document.querySelector('#task')?.dataset.task !== before"


class Site(OwnSite):
    queues: dict[str, str]

    def queue(self, name: str) -> str:
        return f"{self.url}/q/{self.queues[name]}/"

    def rows(self, sql: str) -> list[tuple]:
        with sqlite3.connect(self.data / "concord.sqlite3", timeout=20) as connection:
            return connection.execute(sql).fetchall()

    def judgments(self, name: str) -> list[tuple]:
        """Preference, content, rationale and flags of what was judged in the queue, the oldest first."""
        queue = self.queues[name].replace("-", "")
        found = self.rows(
            "select preference, content, rationale, flags from feedback_judgment "
            f"where replace(queue_id, '-', '') = '{queue}' order by id"
        )
        return [(preference, json.loads(content), why, json.loads(flags)) for preference, content, why, flags in found]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(workers=0) as running:
        running.queues = json.loads(running.fill("tests.browser.labeling.site").splitlines()[-1])
        running.start()
        yield running


@pytest.fixture(scope="module")
def session(browser, site: Site) -> dict:
    """The cookies of the annotator, who logs in once."""
    context = browser.new_context()
    give_password(context.new_page(), site, ANNOTATOR)
    state = context.storage_state()
    context.close()
    return state


@pytest.fixture
def opened(browser, site: Site, session: dict, complaints: Complaints) -> Iterator[Callable]:
    """Return a function that opens a queue; the test fails on a script error or a policy violation."""
    contexts = []

    def enter(name: str, **options: object):
        context = browser.new_context(
            **{"storage_state": session, "viewport": {"width": 1440, "height": 900}, **options}
        )
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        watch(page, complaints)
        page.goto(site.queue(name))
        return page

    yield enter
    for context in contexts:
        context.close()


def task(page) -> str:
    return page.get_attribute("#task", "data-task")


def ahead(page) -> None:
    """Wait until the next task has been fetched ahead."""
    page.wait_for_function("() => bench.ahead !== null && bench.ahead !== undefined")


def sent(page) -> None:
    """Wait until the server has acknowledged all that was submitted."""
    page.wait_for_function("() => bench.outbox.pending().length === 0 && !bench.now?.sending")


def submit(page) -> None:
    before = task(page)
    page.keyboard.press("Control+Enter")
    page.wait_for_function(NEXT, arg=before)
    sent(page)
