"""Prefetch, outbox and drafts in a real browser: no network, a logout or a lost lease ever costs a word."""

from __future__ import annotations

import pytest

from tests.browser.conftest import give_password
from tests.browser.labeling.conftest import NEXT, ahead, sent, submit, task
from tests.browser.labeling.site import ANNOTATOR

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NO_AHEAD = "() => { bench.ahead = null }"


def latest(site) -> str:
    return site.judgments("comparison")[-1][2]


@pytest.fixture
def page(opened):
    return opened("comparison")


def test_enter_without_a_choice_says_so_and_sends_nothing(page):
    before = task(page)
    page.keyboard.press("Enter")
    assert "Choose a step" in page.inner_text("#problem")
    assert task(page) == before


def test_the_next_task_is_there_before_the_submission_is_sent(page, site):
    ahead(page)
    done = len(site.judgments("comparison"))
    before = task(page)
    page.context.set_offline(True)
    page.keyboard.press("6")
    page.keyboard.press("n")
    page.keyboard.type("sent from a tunnel")
    page.keyboard.press("Control+Enter")
    page.wait_for_function(NEXT, arg=before)
    page.get_by_text("Not sent yet").wait_for()
    assert len(site.judgments("comparison")) == done
    page.context.set_offline(False)
    sent(page)
    assert latest(site) == "sent from a tunnel"
    page.wait_for_selector("#trouble", state="hidden")


def test_the_outbox_is_sent_by_the_next_page_when_this_one_dies(page, site):
    ahead(page)
    page.evaluate("() => { window.fetch = () => Promise.reject(new Error('no network')) }")
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.type("before the crash")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Not sent yet").wait_for()
    page.goto(site.queue("comparison"))
    sent(page)
    assert latest(site) == "before the crash"
    ahead(page)
    assert page.input_value("#rationale") == ""
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('concord:')).length") == 0


def test_a_refused_submission_comes_back_with_all_that_was_typed(page, site):
    ahead(page)
    held = page.evaluate("bench.now.assignment").replace("-", "")
    page.keyboard.press("3")
    page.keyboard.press("n")
    page.keyboard.type("late words")
    page.get_by_text("draft saved").wait_for()
    site.rows(f"update feedback_assignment set lease_expires_at = '2020-01-01' where replace(id, '-', '') = '{held}'")
    before = task(page)
    page.keyboard.press("Control+Enter")
    page.wait_for_function(NEXT, arg=before)
    page.get_by_role("button", name="Go back to it").click()
    page.get_by_text("Take it again and submit").wait_for()
    assert "late words" in page.inner_text("#kept")
    page.keyboard.press("Enter")
    page.wait_for_selector("#scale")
    assert latest(site) == "late words"
    assert not page.is_visible("#returned")


def test_undo_brings_the_last_judgment_back_in_place_and_a_revision_counts(page, site):
    ahead(page)
    page.evaluate("() => { window.loadedOnce = true }")
    page.keyboard.press("2")
    submit(page)
    kept = task(page)
    page.keyboard.press("n")
    page.keyboard.type("half a thought")
    page.keyboard.press("Escape")
    page.keyboard.press("u")
    page.get_by_role("button", name="Save revision").wait_for()
    assert page.locator("#scale input:checked").get_attribute("data-key") == "2"
    assert "last judgment is back" in page.inner_text("#announce")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    page.wait_for_function("kept => document.querySelector('#task').dataset.task === kept", arg=kept)
    assert page.input_value("#rationale") == "half a thought"
    assert page.evaluate("() => window.loadedOnce")
    assert site.rows("select max(revision) from feedback_judgment") == [(2,)]
    page.keyboard.press("5")
    submit(page)
    assert latest(site) == "half a thought"


def test_undo_takes_a_judgment_out_of_the_outbox_before_it_was_sent(page, site):
    ahead(page)
    done = len(site.judgments("comparison"))
    first = task(page)
    page.context.set_offline(True)
    page.keyboard.press("6")
    page.keyboard.press("n")
    page.keyboard.type("second thoughts")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Not sent yet").wait_for()
    second = task(page)
    assert second != first
    page.keyboard.press("u")
    assert task(page) == first
    assert page.input_value("#rationale") == "second thoughts"
    assert page.locator("#scale input:checked").get_attribute("data-key") == "6"
    assert "has not been sent" in page.inner_text("#announce")
    page.keyboard.press("1")
    page.context.set_offline(False)
    page.keyboard.press("Enter")
    page.wait_for_function("second => document.querySelector('#task').dataset.task === second", arg=second)
    sent(page)
    assert len(site.judgments("comparison")) == done + 1
    preference, _, why, _ = site.judgments("comparison")[-1]
    assert (abs(preference), why) == (3, "second thoughts")


def test_what_is_typed_without_a_network_is_sent_when_it_is_back(page, site):
    ahead(page)
    page.evaluate(NO_AHEAD)
    before = task(page)
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
    assert latest(site) == "typed in a tunnel"
    assert not page.is_visible("#trouble")


def test_who_types_without_a_pause_is_saved_on_the_server_all_the_same(page, site):
    page.keyboard.press("n")
    page.keyboard.press("Control+a")
    with page.expect_request("**/draft/", timeout=12_000):
        for _ in range(20):
            page.keyboard.type("on and on ", delay=40)
    page.get_by_text("draft saved").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    submit(page)


def test_what_is_typed_survives_a_page_that_dies_offline(page, site):
    page.context.set_offline(True)
    page.keyboard.press("2")
    page.keyboard.press("n")
    page.keyboard.type("still here")
    page.evaluate("() => { window.fetch = () => Promise.reject(new Error('no network')) }")
    page.context.set_offline(False)
    page.goto(site.queue("comparison"))
    assert page.input_value("#rationale") == "still here"
    assert page.locator("#scale input:checked").get_attribute("data-key") == "2"
    page.get_by_text("draft saved").wait_for()
    assert page.evaluate("Object.keys(localStorage).filter((key) => key.startsWith('concord:draft')).length") == 0


def test_a_logout_in_between_loses_nothing(page, site):
    ahead(page)
    before = task(page)
    page.keyboard.press("7")
    page.keyboard.press("n")
    page.keyboard.press("Control+a")
    page.keyboard.type("before the logout")
    page.context.clear_cookies(name="sessionid")
    page.keyboard.press("Control+Enter")
    page.wait_for_function(NEXT, arg=before)
    page.get_by_text("You have been logged out").wait_for()
    tab = page.context.new_page()
    give_password(tab, site, ANNOTATOR)
    tab.close()
    page.evaluate("window.dispatchEvent(new Event('focus'))")
    sent(page)
    assert latest(site) == "before the logout"


def test_active_time_is_counted_while_the_person_is_at_work(page):
    page.keyboard.press("5")
    page.wait_for_function("() => parseFloat(document.querySelector('#timer').textContent.split(':')[1]) >= 2")
