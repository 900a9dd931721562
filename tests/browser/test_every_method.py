"""Every kind of run from the browser's form with a tiny model: started, watched, and ended with what it is for."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import PATIENCE, Site
from training.configs import CONFIGS
from training.glossary import CHARTS, explained

pytestmark = [pytest.mark.browser, pytest.mark.torch, pytest.mark.slow]

ADAPTER = {"lora_rank": 4, "lora_alpha": 8}
SUPERVISED = {"steps": 2, "batch_size": 2, **ADAPTER}
GROUP = {"steps": 2, "prompts_per_step": 2, "max_new_tokens": 6, **ADAPTER}
FORMS: dict[str, dict[str, Any]] = {
    "sft": {**SUPERVISED, "sample_every": 1},
    "reward": SUPERVISED,
    "dpo": {**SUPERVISED, "evaluate_every": 1},
    "kto": SUPERVISED,
    "ppo": {"updates": 2, "batch_size": 4, "minibatch_size": 2, "max_new_tokens": 6, **ADAPTER},
    "grpo": {**GROUP, "responses_per_prompt": 2},
    "rloo": {**GROUP, "responses_per_prompt": 2},
    "online_dpo": GROUP,
    "sample": {"max_new_tokens": 6, "guideline": "Prefer the kinder one."},
    "score": {},
    "evaluate": {},
    "merge": {},
}
"""What a person types into the form of each kind; in this order, for later ones use what earlier ones left."""
MOST_BYTES = 40_000
"""Of one live answer before compression: state, buttons, lineage, log tail, and the steps of two seconds."""
LEAVE_NOTHING = ("sample", "score", "evaluate")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    from tests.tiny_model import save_tiny_model

    model = save_tiny_model(tmp_path_factory.mktemp("model") / "tiny-model")
    with Site(base_model=str(model)) as running:
        running.environment["OMP_NUM_THREADS"] = "1"
        running.fill("tests.browser.methods_site")
        running.start()
        yield running


def start(page: Page, site: Site, kind: str, settings: dict[str, Any]) -> None:
    page.goto(site.project(f"runs/start/{kind}/"))
    for summary in page.locator("form#start details > summary").all():
        summary.click()
    for name, value in settings.items():
        field = page.locator(f"#id_{name}")
        if field.get_attribute("type") == "checkbox":
            field.set_checked(value)
        else:
            field.fill(str(value))
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}/$"))


def wait_for(page: Page, *states: str) -> None:
    either = ", ".join(f"#run-live[data-state={state}]" for state in states)
    expect(page.locator(either)).to_be_visible(timeout=2 * PATIENCE * 1000)


def test_every_kind_has_a_form_here() -> None:
    assert list(FORMS) == list(CONFIGS)


@pytest.mark.parametrize("kind", CONFIGS)
def test_it_runs_from_the_form_to_its_end(log_in: Callable, site: Site, kind: str) -> None:
    page = log_in("mel")
    start(page, site, kind, FORMS[kind])
    wait_for(page, "succeeded", "failed")
    assert page.locator("#run-live").get_attribute("data-state") == "succeeded", page.locator("main").inner_text()
    page.reload()
    left = page.get_by_role("region", name="Result").get_by_role("link", name=re.compile("^Open "))
    expect(left).to_have_count(0 if kind in LEAVE_NOTHING else 1)
    if kind in CHARTS:
        run = page.url.rstrip("/").rsplit("/", 1)[1]
        answer = page.request.get(site.project(f"runs/{run}/metrics/")).json()
        assert [row["step"] for row in answer["rows"]] == [1, 2]
        written = {name for row in answer["rows"] for name in row} - {"step", "time"}
        assert written <= set(explained(kind))
        expect(page.locator(".chart canvas").first).to_be_visible()
        page.locator("#preflight > summary").click()
        expect(page.locator("#preflight .check-ok").first).to_be_visible()


def test_a_run_waits_for_a_look_goes_on_pauses_and_is_cancelled(log_in: Callable, site: Site) -> None:
    page = log_in("mel")
    start(page, site, "dpo", {**SUPERVISED, "steps": 5000, "waits_after_preflight": True})
    wait_for(page, "paused")
    expect(page.locator("#preflight")).to_have_attribute("open", "")
    expect(page.locator(".piece-learned").first).to_be_visible()
    page.get_by_role("button", name="Looks right: go").click()
    wait_for(page, "running")
    said = page.locator("[data-role=said]")
    expect(said).to_contain_text("steps, live", timeout=PATIENCE * 1000)

    # Whatever is new comes with one small request every two seconds.
    sizes: list[int] = []
    page.on("response", lambda response: sizes.append(len(response.body())))
    before, began = said.inner_text(), time.monotonic()
    page.wait_for_timeout(6_000)
    expect(said).not_to_have_text(before)
    assert 2 <= len(sizes) <= (time.monotonic() - began) / 2 + 1
    assert max(sizes) < MOST_BYTES

    page.get_by_role("button", name="Pause").click()
    wait_for(page, "paused")
    page.get_by_role("button", name="Go on").click()
    wait_for(page, "running")
    page.get_by_role("link", name="Compare", exact=True).click()
    expect(page.locator("[data-role=said]")).to_contain_text("steps, live")
    page.go_back()
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Cancel the run").click()
    wait_for(page, "cancelled")
