"""The annotator's page in a real browser: keys, drafts that survive the network and a logout, no jump, no violation."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.error import URLError

import pytest

from tests.factories import PASSWORD
from tests.pages.label_site import ANNOTATOR

pytestmark = [pytest.mark.browser, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
FLAGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
NEXT = "before => document.querySelector('#task')?.dataset.comparison !== before"


@dataclass
class Site:
    url: str
    queue: str
    database: Path

    def rows(self, sql: str) -> list[tuple]:
        with sqlite3.connect(self.database, timeout=20) as connection:
            return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    data = tmp_path_factory.mktemp("label-site")
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "CONCORD_MODE")}
    environment |= {"CONCORD_DATA_DIR": str(data), "DJANGO_SETTINGS_MODULE": "rlhf_site.settings"}
    filled = subprocess.run(
        [sys.executable, "-m", "tests.pages.label_site"], cwd=ROOT, env=environment, check=True, capture_output=True
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
        yield Site(url, filled.stdout.decode().split()[-1], data / "concord.sqlite3")
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
def page(browser, site):
    """The annotator's page on the queue; the test fails on a script error or a policy violation."""
    context = browser.new_context(viewport={"width": 1440, "height": 900})
    page = context.new_page()
    page.set_default_timeout(15_000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: "Security Policy" in message.text and complaints.append(message.text))
    log_in(page, site)
    page.goto(f"{site.url}/q/{site.queue}/")
    yield page
    context.close()
    assert complaints == []


def comparison(page) -> str:
    return page.get_attribute("#task", "data-comparison")


def latest(site: Site) -> tuple:
    return site.rows("select rationale, active_seconds from feedback_judgment order by id desc limit 1")[0]


def test_labels_by_keyboard_alone_and_nothing_moves(page, site):
    moved = set()
    page.evaluate("() => { window.loadedOnce = true }")
    for number, keys in enumerate([["1"], ["7"], ["ArrowLeft", "ArrowLeft"], ["4"]]):
        before = comparison(page)
        moved.add(page.locator("#scale").bounding_box()["y"])
        if number == 1:
            page.keyboard.press("n")
            page.keyboard.type("The 2nd is sound; see step 3")
            page.keyboard.press("Escape")
        for key in [*keys, "Enter", "Enter"]:
            page.keyboard.press(key)
        page.wait_for_function(NEXT, arg=before)
        assert page.evaluate("document.activeElement.id") in ("task-title", "")
    before = comparison(page)
    page.keyboard.press("s")
    page.keyboard.press("2")
    page.wait_for_function(NEXT, arg=before)
    assert page.evaluate("() => window.loadedOnce")
    assert len(moved) == 1
    assert "4 done today" in page.inner_text(".strip-progress")
    assert site.rows("select count(*) from feedback_judgment") == [(4,)]
    assert site.rows("select reason from feedback_skip") == [("expertise",)]
    assert site.rows("select count(*) from feedback_judgment where rationale = 'The 2nd is sound; see step 3'") == [
        (1,)
    ]


def test_enter_without_a_choice_says_so_and_sends_nothing(page):
    before = comparison(page)
    page.keyboard.press("Enter")
    assert "Choose a step" in page.inner_text("#problem")
    assert comparison(page) == before


def test_the_last_judgment_is_revised_by_keyboard(page, site):
    before = comparison(page)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.wait_for_function(NEXT, arg=before)
    page.keyboard.press("b")
    page.wait_for_url("**/history/**")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/q/{site.queue}/")
    assert site.rows("select max(revision) from feedback_judgment") == [(2,)]


def test_what_is_typed_without_a_network_is_sent_when_it_is_back(page, site):
    before = comparison(page)
    page.context.set_offline(True)
    page.keyboard.press("6")
    page.keyboard.press("n")
    page.keyboard.type("typed in a tunnel")
    page.get_by_text("Not saved yet").wait_for()
    page.keyboard.press("Control+Enter")
    page.get_by_text("Not sent yet").wait_for()
    assert page.input_value("#rationale") == "typed in a tunnel"
    page.context.set_offline(False)
    page.wait_for_function(NEXT, arg=before)
    assert latest(site)[0] == "typed in a tunnel"
    assert not page.is_visible("#trouble")


def test_what_is_typed_survives_a_page_that_dies_offline(page, site):
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.type("still here")
    page.evaluate("() => { window.fetch = () => Promise.reject(new Error('no network')) }")
    page.context.set_offline(False)
    page.goto(f"{site.url}/q/{site.queue}/")
    assert page.input_value("#rationale") == "still here"
    assert page.locator("#scale input:checked").get_attribute("data-key") == "2"
    page.get_by_text("draft saved").wait_for()
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('concord:draft')).length") == 0


def test_an_expired_lease_is_taken_again_by_one_key(page, site):
    page.keyboard.press("3")
    page.keyboard.press("n")
    page.keyboard.type(" and late")
    page.keyboard.press("Escape")
    page.wait_for_timeout(1_200)
    site.rows("update feedback_assignment set lease_expires_at = '2020-01-01' where state = 'leased'")
    page.keyboard.press("Enter")
    page.get_by_text("Take it again and submit").wait_for()
    assert "and late" in page.inner_text("#kept")
    page.keyboard.press("Enter")
    page.wait_for_selector("#scale")
    assert latest(site)[0].endswith("and late")


def test_a_logout_in_between_loses_nothing(page, site):
    before = comparison(page)
    page.keyboard.press("7")
    page.keyboard.press("n")
    page.keyboard.type("before the logout")
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("Control+Enter")
    page.get_by_text("You have been logged out").wait_for()
    assert page.input_value("#rationale") == "before the logout"
    tab = page.context.new_page()
    log_in(tab, site)
    tab.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    page.wait_for_function(NEXT, arg=before)
    assert latest(site)[0] == "before the logout"


def test_a_phone_shows_everything_without_scrolling_sideways(page):
    page.set_viewport_size({"width": 375, "height": 812})
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    scale, submit = page.locator("#scale").bounding_box(), page.locator("#submit").bounding_box()
    assert scale["y"] < submit["y"] < 812
    assert submit["y"] + submit["height"] <= 812


def test_active_time_is_counted_while_the_person_is_at_work(page):
    page.keyboard.press("5")
    page.wait_for_function("() => parseFloat(document.querySelector('#timer').textContent.split(':')[1]) >= 2")
