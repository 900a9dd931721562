"""A curator opens a queue and edits what it asks: by keyboard with the preview beside it, and without any script."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.browser.conftest import Complaints, Site, give_password, watch

pytestmark = [pytest.mark.browser, pytest.mark.slow]


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    with Site(workers=0) as running:
        running.pages = json.loads(running.fill("tests.browser.every_page_site").splitlines()[-1])
        running.start()
        yield running


def form_of_a_rating_queue(page, site: Site) -> None:
    """Go to the form; the cursor is in its name, which a key pressed before that would miss."""
    from playwright.sync_api import expect

    page.goto(f"{site.url}{site.pages['everybody']['queue-open']}")
    page.get_by_role("link", name="Rating").press("Enter")
    page.wait_for_url("**/open/rating/")
    expect(page.get_by_label("Name", exact=True)).to_be_focused()


def test_by_keyboard_the_preview_follows_what_is_typed(log_in, site: Site) -> None:
    from playwright.sync_api import expect

    page = log_in("everybody")
    form_of_a_rating_queue(page, site)
    preview = page.locator("#schema-preview")
    page.keyboard.type("Tone of voice")  # the cursor is in the name
    page.get_by_label("Question", exact=True).fill("How does it sound?")
    preview.get_by_text("How does it sound?").wait_for()
    page.get_by_role("button", name="Add attribute").press("Enter")
    expect(page.locator("[name=attribute-3-label]")).to_be_focused()
    page.keyboard.type("Warmth")
    preview.get_by_text("Warmth").wait_for()
    page.get_by_role("button", name="Move New attribute up").press("Enter")
    expect(page.get_by_role("button", name="Move Warmth up")).to_be_focused()
    page.get_by_role("button", name="No flags").press("Enter")
    expect(preview.locator("[name=flag]")).to_have_count(0)
    assert page.get_by_label("Name", exact=True).input_value() == "Tone of voice"
    asked = preview.locator(".attribute-label")
    expect(asked).to_have_text([re.compile(name) for name in ("Helpfulness", "Correctness", "Warmth", "All in all")])
    expect(preview.locator("[inert] .attribute")).to_have_count(4)
    page.get_by_label("Name", exact=True).press("Enter")
    page.get_by_role("heading", name="Tone of voice").wait_for()
    page.get_by_text("Helpfulness, Correctness, Warmth, All in all").wait_for()


def test_a_refused_rule_opens_its_fold(log_in, site: Site) -> None:
    page = log_in("everybody")
    form_of_a_rating_queue(page, site)
    page.keyboard.type("Refused")
    page.locator("#rules-unseen > summary").press("Enter")
    page.get_by_label("Gold, in percent", exact=True).fill("95")
    page.get_by_label("Uniformly random tasks, in percent").fill("20")
    page.get_by_role("button", name="Open the queue").last.press("Enter")
    page.get_by_text("together are more than 100 percent").wait_for()
    assert page.get_by_label("Gold, in percent", exact=True).input_value() == "95"


def test_without_scripts_buttons_and_preview_are_pages(browser, site: Site, complaints: Complaints) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    watch(page, complaints)
    give_password(page, site, "everybody")
    form_of_a_rating_queue(page, site)
    page.get_by_label("Name", exact=True).fill("By hand")
    page.get_by_role("button", name="Add attribute").click()
    page.locator("[name=attribute-3-label]").fill("Warmth")
    page.get_by_role("button", name="Show the preview").click()
    page.locator("#schema-preview").get_by_text("Warmth").wait_for()
    page.go_back()
    page.locator("[name=attribute-3-label]").fill("Warmth")
    page.get_by_role("button", name="Open the queue").last.click()
    page.get_by_role("heading", name="By hand").wait_for()
    context.close()
