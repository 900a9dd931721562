"""Twenty judgments are reviewed, one is taken back, and a dispute is settled, without a mouse."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser.conftest import Site

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(workers=0) as running:
        running.pages = json.loads(running.fill("tests.browser.review_site").splitlines()[-1])
        running.start()
        yield running


def press(page, *keys: str) -> None:
    """Press keys of which the last one leads to another page."""
    for key in keys[:-1]:
        page.keyboard.press(key)
    with page.expect_navigation():
        page.keyboard.press(keys[-1])
    page.wait_for_load_state()


def reject(page, key: str, reason: str) -> None:
    page.keyboard.press(key)
    assert page.evaluate("document.activeElement.id") == "id_reason"
    page.keyboard.type(reason)
    press(page, "Enter")


def test_twenty_judgments_by_keyboard(site, log_in):
    page = log_in("cura")
    page.goto(f"{site.url}{site.pages['list']}")
    press(page, "Enter")
    for number in range(20):
        first = page.url
        if number == 3:
            reject(page, "r", "It is wrong about the year.")
        elif number == 7:
            reject(page, "x", "Somebody else, please.")
        elif number == 11:
            press(page, "f")
            page.keyboard.press("1" if not page.is_checked("input[data-key='1']") else "2")
            press(page, "Enter")
        else:
            press(page, "a")
        assert page.url != first or number == 19
    assert "That was the last one." in page.content()
    press(page, "u")
    assert "Taken back: it is not reviewed again." in page.content()
    last = page.url
    press(page, "k")
    assert page.url != last
    press(page, "j")
    assert page.url == last
    page.keyboard.press("?")
    assert page.locator(".keys-list").first.is_visible()
    page.goto(f"{site.url}{site.pages['list']}&review=none")
    assert page.locator("tbody tr").count() == 1


def test_typing_a_comment_decides_nothing(site, log_in):
    page = log_in("cura")
    page.goto(f"{site.url}{site.pages['list']}")
    press(page, "Enter")
    page.keyboard.press("c")
    page.keyboard.type("a rare juxtaposition, four u?")
    press(page, "Control+Enter")
    assert "a rare juxtaposition, four u?" in page.locator(".comment").inner_text()
    assert page.locator("text=Your comment is there.").count() == 1


def test_a_dispute_is_settled_by_keyboard(site, log_in):
    page = log_in("cura")
    page.goto(f"{site.url}{site.pages['disputes']}")
    press(page, "Enter")
    assert page.locator(".opinion").count() == 2
    press(page, "2", "Enter")
    assert "Settled" in page.content()
    page.goto(f"{site.url}{site.pages['audit']}")
    assert "task.adjudicate" in page.content()
