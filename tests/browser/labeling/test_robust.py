"""Two tabs, a double Enter, the back button, a browser that keeps nothing, a site that breaks, no scripts at all."""

from __future__ import annotations

import pytest

from tests.browser.labeling.conftest import ahead, sent, submit, task

pytestmark = [pytest.mark.browser, pytest.mark.slow]
FORBIDDEN = """
  const refuse = () => { throw new DOMException("forbidden", "SecurityError") };
  Object.defineProperty(window, "localStorage", { get: refuse });
  Object.defineProperty(window, "sessionStorage", { get: refuse });
"""
FULL = """
  Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError") };
"""


def count(site, name: str = "comparison") -> int:
    return len(site.judgments(name))


def say(page, key: str, why: str) -> None:
    page.keyboard.press(key)
    page.keyboard.press("n")
    page.keyboard.type(why)


def test_a_double_enter_submits_once(opened, site):
    page = opened("comparison")
    ahead(page)
    done = count(site)
    page.keyboard.press("2")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    sent(page)
    assert count(site) == done + 1
    assert "Choose a step" in page.inner_text("#problem")


def test_the_second_tab_on_a_task_loses_nothing(opened, site):
    page = opened("comparison")
    done = count(site)
    other = page.context.new_page()
    other.goto(site.queue("comparison"))
    assert task(other) == task(page)
    say(other, "6", "from the second tab")
    page.keyboard.press("2")
    submit(page)
    ahead(other)
    other.keyboard.press("Control+Enter")
    other.get_by_role("button", name="Go back to it").click()
    other.get_by_text("You have judged it already").wait_for()
    assert "from the second tab" in other.inner_text("#kept")
    assert count(site) == done + 1


def test_the_back_button_shows_the_task_of_now_with_what_was_typed(opened, site):
    page = opened("comparison")
    say(page, "3", "typed before leaving")
    held = task(page)
    page.keyboard.press("Escape")
    page.get_by_role("link", name="History").click()
    page.wait_for_url("**/history/")
    page.go_back()
    page.wait_for_function("held => document.querySelector('#task')?.dataset.task === held", arg=held)
    page.wait_for_function("() => document.querySelector('#rationale').value === 'typed before leaving'")
    submit(page)
    assert site.judgments("comparison")[-1][2] == "typed before leaving"


@pytest.mark.parametrize("script", [FORBIDDEN, FULL], ids=["forbidden", "full"])
def test_a_browser_that_keeps_nothing_still_submits_after_a_cut(opened, site, script):
    page = opened("comparison")
    page.context.add_init_script(script)
    page.reload()
    ahead(page)
    done = count(site)
    page.context.set_offline(True)
    say(page, "7", "kept in memory")
    page.keyboard.press("Control+Enter")
    page.get_by_text("Not sent yet").wait_for()
    page.context.set_offline(False)
    sent(page)
    assert count(site) == done + 1
    assert site.judgments("comparison")[-1][2] == "kept in memory"


def test_two_judgments_made_without_a_network_arrive_in_order(opened, site):
    page = opened("comparison")
    ahead(page)
    done = count(site)
    page.context.set_offline(True)
    for why in ("the first", "the second"):
        say(page, "1", why)
        page.keyboard.press("Control+Enter")
        page.get_by_text("Not sent yet").wait_for()
    assert page.evaluate("bench.outbox.pending().length") == 2
    page.context.set_offline(False)
    page.wait_for_function("() => bench.outbox.pending().length === 0 && bench.now && !bench.now.sending")
    assert [why for _, _, why, _ in site.judgments("comparison")[done:]] == ["the first", "the second"]


def test_a_site_that_breaks_is_asked_again_with_the_same_submission(opened, site, complaints):
    page = opened("comparison")
    ahead(page)
    done, answers = count(site), []

    def break_once(route):
        answers.append(route.request.post_data)
        if len(answers) == 1:
            route.fulfill(status=502, body="")
        else:
            route.continue_()

    page.route("**/submit/", break_once)
    say(page, "2", "through a broken gateway")
    page.keyboard.press("Control+Enter")
    page.get_by_text("the site has a problem").wait_for()
    sent(page)
    page.unroute("**/submit/")
    complaints.seen[:] = [said for said in complaints.seen if "502" not in said]
    assert answers[0] == answers[1]
    assert count(site) == done + 1


def test_an_answer_that_got_lost_does_not_make_a_second_judgment(opened, site):
    page = opened("comparison")
    ahead(page)
    done, tries = count(site), []

    def lose_the_answer(route):
        tries.append(1)
        answer = route.fetch()
        if len(tries) == 1:
            route.abort()
        else:
            route.fulfill(response=answer)

    page.route("**/submit/", lose_the_answer)
    page.keyboard.press("6")
    page.keyboard.press("Enter")
    page.get_by_text("Not sent yet").wait_for()
    sent(page)
    page.unroute("**/submit/")
    assert len(tries) == 2
    assert count(site) == done + 1


def test_guidelines_that_change_under_a_task_come_with_the_next_and_are_marked(opened, site):
    page = opened("edit")
    page.keyboard.press("g")
    page.keyboard.press("2")
    submit(page)
    page.evaluate("bench.ahead = null")
    site.manage(
        *("shell", "-v", "0", "-c"),
        "from feedback.models import Queue, User; from feedback.queues import change_guideline;"
        f"change_guideline(queue=Queue.objects.get(pk='{site.queues['edit']}'), text='Now prefer the **shorter**.',"
        "changed_by=User.objects.first())",
    )
    held = task(page)
    page.keyboard.press("2")
    submit(page)
    assert task(page) != held
    page.keyboard.press("4")
    submit(page)
    assert page.get_attribute("#guidelines", "data-number") == "2"
    page.evaluate("document.querySelector('#guidelines').hidden && bench.guidelines.toggle()")
    assert "shorter" in page.inner_text("#guidelines")
    assert "Changed since you last read them" in page.inner_text("#guidelines")


def test_a_draft_is_there_on_another_device(opened, site):
    page = opened("demonstration")
    page.keyboard.press("e")
    page.keyboard.type("Begun at the desk.")
    page.get_by_text("draft saved").wait_for()
    phone = opened("demonstration", viewport={"width": 375, "height": 812})
    assert task(phone) == task(page)
    assert phone.input_value("#text") == "Begun at the desk."


def test_a_draft_outlives_its_lease(opened, site):
    page = opened("demonstration")
    page.keyboard.press("e")
    page.keyboard.press("Control+a")
    page.keyboard.type("A long thought.")
    page.get_by_text("draft saved").wait_for()
    held = task(page)
    site.rows("update feedback_assignment set lease_expires_at = '2020-01-01' where state = 'leased'")
    page.reload()
    assert task(page) == held
    assert page.input_value("#text") == "A long thought."


SAID = {
    "comparison": [("check", "[name=preference][value='2']")],
    "ranking": [("select", f"[name=rank-{place}]", str(place + 1)) for place in range(4)],
    "rating": [("check", "[name=rating-0-helpfulness][value='4']"), ("check", "[name=rating-0-correct][value='2']")],
    "demonstration": [("fill", "#text", "Without any script.")],
    "correction": [("fill", "#text", "Corrected without any script.")],
}


@pytest.mark.parametrize("kind", SAID)
def test_every_kind_is_judged_without_scripts(opened, site, kind):
    page = opened(kind, java_script_enabled=False)
    done = count(site, kind)
    held = task(page)
    for how, where, *more in SAID[kind]:
        if how == "check":
            page.locator(where).check(force=True)
        elif how == "select":
            page.select_option(where, *more)
        else:
            page.fill(where, *more)
    page.click("#submit")
    page.wait_for_load_state()
    assert task(page) != held
    assert count(site, kind) == done + 1


def test_skip_undo_and_guidelines_work_without_scripts(opened, site):
    page = opened("correction", java_script_enabled=False)
    held = task(page)
    page.get_by_role("button", name="Skip").click()
    page.get_by_role("button", name="I cannot decide").click()
    page.wait_for_load_state()
    assert task(page) != held
    page.get_by_role("button", name="Undo skip").click()
    page.wait_for_load_state()
    assert task(page) == held
    page.get_by_role("link", name="Guidelines").click()
    page.get_by_role("button", name="Label").click()
    page.wait_for_load_state()
    assert page.locator("#judge").count() == 1
