"""Every kind of task judged in a real browser by keyboard alone, and on a phone by touch."""

from __future__ import annotations

import pytest

from tests.browser.labeling.conftest import ahead, submit, task

pytestmark = [pytest.mark.browser, pytest.mark.slow]


def keys(page, *pressed: str) -> None:
    for key in pressed:
        page.keyboard.press(key)


def test_comparisons_by_keyboard_alone_and_nothing_moves(opened, site):
    page = opened("comparison")
    moved = set()
    page.evaluate("() => { window.loadedOnce = true }")
    for number, pressed in enumerate([["1"], ["7"], ["ArrowLeft", "ArrowLeft"], ["4"]]):
        moved.add(page.locator("#scale").bounding_box()["y"])
        if number == 1:
            keys(page, "n")
            page.keyboard.type("The 2nd is sound; see step 3")
            keys(page, "Escape")
        keys(page, *pressed)
        submit(page)
        assert page.evaluate("document.activeElement.id") == "task-title"
        assert "Saved" in page.inner_text("#announce")
    before = task(page)
    keys(page, "s", "l", "2")
    page.get_by_text("Undo skip").wait_for()
    keys(page, "z")
    page.wait_for_function("before => document.querySelector('#task').dataset.task === before", arg=before)
    assert page.evaluate("() => window.loadedOnce")
    assert len(moved) == 1
    assert "4 done today" in page.inner_text(".strip-progress")
    assert [why for _, _, why, _ in site.judgments("comparison") if why] == ["The 2nd is sound; see step 3"]
    assert site.rows("select kind, reason, taken_back_at is null from feedback_skip") == [("later", "expertise", 0)]


def test_the_better_response_is_improved_by_keyboard(opened, site):
    page = opened("edit")
    keys(page, "5", "e")
    page.keyboard.type(" And one more word.")
    submit(page)
    preference, content, _, _ = site.judgments("edit")[-1]
    assert abs(preference) == 2
    assert content["edited"].endswith("And one more word.")
    assert content["edited"].startswith("The tide")
    keys(page, "1", "e")
    submit(page)
    assert site.judgments("edit")[-1][1] == {}, "an edit that changes nothing is none"


def test_a_ranking_by_keyboard_with_a_tie_and_one_that_cannot_be_ranked(opened, site):
    page = opened("ranking")
    keys(page, "2", "1", "4", "t", "3", "x")
    assert page.locator(".chip-rank").all_inner_texts() == ["1", "2", "2", "✕"]
    submit(page)
    ranks = site.judgments("ranking")[-1][1]
    assert sorted(rank or 0 for rank in ranks["ranks"]) == [0, 1, 2, 2]
    assert sum(ranks["not_rankable"]) == 1


def test_a_ranking_in_the_order_shown_is_asked_about_once(opened, site):
    page = opened("ranking")
    done = len(site.judgments("ranking"))
    before = task(page)
    keys(page, "1", "2", "3", "4", "Enter")
    assert "order in which they were shown" in page.inner_text("#problem")
    assert task(page) == before
    submit(page)
    assert len(site.judgments("ranking")) == done + 1


def test_a_ranking_by_dragging(opened, site):
    page = opened("ranking")
    for number in (1, 2, 3, 4):
        page.click(f'[data-chip="{number - 1}"]')
    last, first = page.locator('[data-chip="3"]').bounding_box(), page.locator('[data-chip="0"]').bounding_box()
    page.mouse.move(last["x"] + 20, last["y"] + 10)
    page.mouse.down()
    page.mouse.move(first["x"] + 4, first["y"] + 10, steps=8)
    page.mouse.up()
    assert page.locator(".chip-name").all_inner_texts() == [f"Response {number}" for number in (4, 1, 2, 3)]
    page.click('[data-rank="down"]')
    assert page.locator(".chip-name").all_inner_texts() == [f"Response {number}" for number in (1, 4, 2, 3)]
    assert [page.input_value(f"[name=rank-{place}]") for place in range(4)] == ["1", "3", "4", "2"]


def test_a_rating_by_keyboard(opened, site):
    page = opened("rating")
    keys(page, "4", "Enter")
    assert "Not every attribute" in page.inner_text("#problem")
    keys(page, "2", "-")
    submit(page)
    assert site.judgments("rating")[-1][1] == {"ratings": [{"helpfulness": 4, "correct": 2, "thumbs": -1}]}
    keys(page, "1", "ArrowUp", "5", "3")
    submit(page)
    assert site.judgments("rating")[-1][1] == {"ratings": [{"helpfulness": 5, "correct": 3}]}


def test_a_demonstration_by_keyboard(opened, site):
    words = "Twice a day? Press S or P: keys are only letters here."
    page = opened("demonstration")
    keys(page, "Enter")
    assert "Write the response first" in page.inner_text("#problem")
    keys(page, "Escape", "e")
    page.keyboard.type(words)
    assert page.inner_text("#count") == f"{len(words)} / 10,000 characters"
    submit(page)
    assert site.judgments("demonstration")[-1][1] == {"text": words}


def test_a_correction_by_keyboard_shows_what_it_changed(opened, site):
    page = opened("correction")
    keys(page, "Enter")
    assert "changed nothing" in page.inner_text("#problem")
    keys(page, "e")
    page.keyboard.type(" Corrected.")
    page.locator("#changes ins").get_by_text("Corrected.").wait_for()
    submit(page)
    assert site.judgments("correction")[-1][1]["text"].endswith("Corrected.")


def test_flags_name_their_kind_and_their_response(opened, site):
    page = opened("comparison")
    keys(page, "2")
    page.locator("[name=flag][value=unsafe]").check(force=True)
    page.locator("[name=flag-response-unsafe][value='1']").check(force=True)
    page.select_option("[name=flag-kind-unsafe]", "Self-harm")
    ahead(page)
    submit(page)
    (flag,) = site.judgments("comparison")[-1][3]
    assert (flag["flag"], flag["kind"]) == ("unsafe", "Self-harm")
    assert flag["response"] in (0, 1)


def test_differences_are_marked_without_touching_the_text(opened):
    page = opened("comparison")
    before = page.inner_html(".responses .prose")
    keys(page, "d")
    page.wait_for_function("() => CSS.highlights.get('differences')?.size > 0")
    assert page.inner_html(".responses .prose") == before
    keys(page, "d")
    page.wait_for_function("() => !CSS.highlights.has('differences')")


def test_single_keys_can_be_turned_off_and_typing_in_a_field_is_never_a_key(opened):
    page = opened("comparison")
    keys(page, "?")
    page.locator("#single-keys").uncheck()
    keys(page, "Escape", "3", "s", "g")
    assert page.locator("#scale input:checked").count() == 0
    assert not page.is_visible("#skip")
    before = task(page)
    page.locator("#scale input").first.check(force=True)
    ahead(page)
    submit(page)
    assert task(page) != before
    page.get_by_role("button", name="Keys").click()
    page.locator("#single-keys").check()
    keys(page, "Escape", "3")
    assert page.locator("#scale input:checked").get_attribute("data-key") == "3"


def test_the_clock_stands_still_in_a_pause(opened):
    page = opened("comparison")
    keys(page, "p")
    stopped = page.evaluate("bench.now.seconds")
    page.wait_for_timeout(1_300)
    assert page.evaluate("bench.now.seconds") == stopped
    keys(page, "Enter")
    assert not page.is_visible("#pause")
    page.wait_for_function("stopped => bench.now.seconds > stopped", arg=stopped)


def test_the_clock_stops_when_the_page_is_hidden_and_after_a_minute_without_a_sign(opened, site):
    page = opened("comparison")
    page.clock.install()
    page.reload()
    seconds = "bench.now.seconds"
    page.keyboard.press("3")
    page.clock.run_for(30_000)
    working = page.evaluate(seconds)
    assert 25 <= working <= 32
    page.evaluate("Object.defineProperty(document, 'visibilityState', { value: 'hidden', configurable: true })")
    page.clock.run_for(20_000)
    assert page.evaluate(seconds) <= working + 2
    page.evaluate("delete document.visibilityState")
    page.keyboard.press("4")
    page.clock.run_for(300_000)
    left_alone = page.evaluate(seconds)
    assert working + 50 <= left_alone <= working + 63
    page.keyboard.press("5")
    page.clock.run_for(10_000)
    assert page.evaluate(seconds) >= left_alone + 8


@pytest.mark.parametrize("name", ["comparison", "edit", "ranking", "rating", "demonstration", "correction"])
def test_a_phone_shows_everything_without_scrolling_sideways(opened, name):
    page = opened(name, viewport={"width": 375, "height": 812}, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 375
    button = page.locator("#submit").bounding_box()
    assert button["y"] + button["height"] <= 812


def test_a_phone_ranks_and_rates_by_touch(opened, site):
    page = opened("ranking", viewport={"width": 375, "height": 812}, has_touch=True)
    for place in (2, 0, 1, 3):
        page.tap(f'[data-chip="{place}"]')
    ahead(page)
    before = task(page)
    page.tap("#submit")
    page.wait_for_function("before => document.querySelector('#task').dataset.task !== before", arg=before)
    page.wait_for_function("() => bench.outbox.pending().length === 0")
    assert sorted(site.judgments("ranking")[-1][1]["ranks"]) == [1, 2, 3, 4]
