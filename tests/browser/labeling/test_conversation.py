"""A talk with a real model in a real browser: by keyboard alone, on a phone, through a reload and without answers."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.browser.labeling.conftest import Site, sent, task
from tests.browser.test_accessibility import AXE, LEVELS, RUN

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.torch]

STATE = "state => document.querySelector('#talk')?.dataset.state === state"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.tiny_model import save_tiny_model

    model = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny-model")
    with Site(base_model=str(model), workers=0, talkers=1) as running:
        running.environment["OMP_NUM_THREADS"] = "1"
        running.queues = json.loads(running.fill("tests.browser.labeling.talk_site").splitlines()[-1])
        running.start()
        yield running


def becomes(page, state: str) -> None:
    page.wait_for_function(STATE, arg=state, timeout=90_000)


def turns(site: Site, name: str) -> list[tuple]:
    queue = site.queues[name].replace("-", "")
    return site.rows(
        "select turn.number, turn.state, turn.preference, turn.rationale from feedback_turn turn "
        "join feedback_task task on task.id = turn.task_id "
        f"where replace(task.queue_id, '-', '') = '{queue}' order by turn.task_id, turn.number"
    )


def test_a_talk_of_two_turns_by_keyboard_alone(opened, site):
    page = opened("talk")
    first_task = task(page)
    page.keyboard.press("e")
    page.keyboard.type("What is water? 3 words, please")
    page.keyboard.press("Control+Enter")
    becomes(page, "waiting")
    assert "Sent." in page.inner_text("#announce")
    becomes(page, "choosing")
    assert "Two answers are there" in page.inner_text("#announce")
    page.keyboard.press("Enter")
    assert "Choose a step" in page.inner_text("#problem")
    page.keyboard.press("n")
    page.keyboard.type("Because 7 is more than 1")
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    becomes(page, "writing")
    assert page.evaluate("document.activeElement.id") == "message", "one can write on at once"
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert "more turns: 1 to go" in page.inner_text("#problem")
    page.keyboard.press("Escape")
    page.keyboard.press("c")
    becomes(page, "choosing")
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    becomes(page, "writing")
    page.keyboard.type("And tea?")
    page.keyboard.press("Control+Enter")
    becomes(page, "choosing")
    page.keyboard.press("4")
    page.keyboard.press("Control+Enter")
    becomes(page, "writing")
    sent(page)
    page.keyboard.press("Escape")
    page.keyboard.press("Enter")
    assert "once more to submit" in page.inner_text("#problem")
    assert task(page) == first_task
    page.keyboard.press("Enter")
    page.wait_for_function("before => document.querySelector('#task')?.dataset.task !== before", arg=first_task)
    page.wait_for_function("() => bench.outbox.pending().length === 0 && !bench.now?.sending")
    assert turns(site, "talk") == [(1, "chosen", 2, "Because 7 is more than 1"), (2, "chosen", 0, "")]
    ((_, content, _, _),) = site.judgments("talk")
    assert len(content["turns"]) == 2


def test_unsent_words_survive_a_reload_and_another_device(opened, site):
    page = opened("talk")
    page.keyboard.press("e")
    page.keyboard.type("Half a thought about rain")
    page.reload()
    assert page.input_value("#message") == "Half a thought about rain"
    page.wait_for_function("() => bench.now && bench.drafts.signature() === bench.now.saved")
    other = opened("talk")
    assert other.input_value("#message") == "Half a thought about rain"


def test_a_network_that_is_cut_loses_no_words(opened, site):
    page = opened("talk")
    page.fill("#message", "Words on a bad line")
    page.context.set_offline(True)
    page.click("#send")
    page.wait_for_selector("#trouble:not([hidden])")
    assert page.input_value("#message") == "Words on a bad line"
    page.context.set_offline(False)
    page.click("#send")
    becomes(page, "choosing")
    assert "Words on a bad line" in page.inner_text("#talk-so-far")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_at_any_moment_of_a_talk(opened, site, theme):
    page = opened("given", color_scheme=theme, reduced_motion="reduce", bypass_csp=True)
    found = {}

    def look(moment: str) -> None:
        page.evaluate(AXE)
        if violations := page.evaluate(RUN, LEVELS):
            found[moment] = violations

    becomes(page, "choosing")
    look("choosing")
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    becomes(page, "writing")
    look("writing")
    page.keyboard.type("One more thing")
    page.keyboard.press("Control+Enter")
    becomes(page, "waiting")
    look("waiting")
    becomes(page, "choosing")
    page.keyboard.press("s")
    page.keyboard.press("o")
    page.keyboard.press("1")
    page.wait_for_selector("#unskip")
    assert found == {}


def test_a_given_opening_is_answered_while_one_looks_on_a_phone(opened, site):
    page = opened("given", viewport={"width": 375, "height": 700}, has_touch=True, is_mobile=True)
    becomes(page, "choosing")
    assert page.evaluate("document.documentElement.scrollWidth <= 375")
    page.locator(".step").last.tap()
    page.tap("#choose")
    becomes(page, "writing")
    page.fill("#message", "One more thing")
    assert page.evaluate("document.documentElement.scrollWidth <= 375")
    page.tap("#send")
    becomes(page, "waiting")
    becomes(page, "choosing")
    assert "One more thing" in page.inner_text("#talk-so-far")
