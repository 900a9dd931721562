"""A running site with every kind of queue, and an annotator in front of a real browser."""

from __future__ import annotations

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.labeling.site import ANNOTATOR, PASSWORD

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NEXT = "before => document.querySelector('#task')?.dataset.task !== before"


@dataclass
class Site:
    url: str
    queues: dict[str, str]
    database: Path

    def queue(self, name: str) -> str:
        return f"{self.url}/q/{self.queues[name]}/"

    def rows(self, sql: str) -> list[tuple]:
        with sqlite3.connect(self.database, timeout=20) as connection:
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
def site(tmp_path_factory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("label-site")
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CONCORD_MODE")}
    environment |= {"CONCORD_DATA_DIR": str(data)}
    environment.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    filled = subprocess.run(
        [sys.executable, "-m", "tests.labeling.site"], cwd=ROOT, env=environment, check=True, capture_output=True
    )
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "gunicorn", "rlhf_site.wsgi:application", "-k", "gthread", "--threads", "4"]
    with open(data / "site.log", "wb") as log:
        process = subprocess.Popen(
            [*command, "-b", f"127.0.0.1:{port}"], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(f"{url}/healthz")
        yield Site(url, json.loads(filled.stdout.decode().splitlines()[-1]), data / "concord.sqlite3")
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_until_up(url: str) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()
            return
        except URLError:
            assert time.monotonic() < deadline, "the site did not come up"
            time.sleep(0.2)


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=FLAGS)
        yield chromium
        chromium.close()


def log_in(page, site: Site) -> None:
    page.goto(f"{site.url}/accounts/login/")
    page.fill("[name=login]", ANNOTATOR)
    page.fill("[name=password]", PASSWORD)
    page.press("[name=password]", "Enter")
    page.wait_for_url(lambda address: "/accounts/" not in address)


@pytest.fixture
def opened(browser, site) -> Iterator[Callable]:
    """Return a function that opens a queue; the test fails on a script error or a policy violation."""
    contexts = []
    complaints: list[str] = []

    def enter(name: str, **options: object):
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: "Security Policy" in message.text and complaints.append(message.text))
        log_in(page, site)
        page.goto(site.queue(name))
        return page

    yield enter
    for context in contexts:
        context.close()
    assert complaints == []


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
