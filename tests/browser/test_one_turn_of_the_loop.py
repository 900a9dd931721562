"""One turn of the loop in a browser, by a curator, an annotator and ML staff, on a tiny model and a real worker."""

from __future__ import annotations

import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.conftest import PATIENCE, Site

pytestmark = [pytest.mark.browser, pytest.mark.torch, pytest.mark.slow]

SUBJECTS = (
    *("tides", "lighthouses", "gulls", "anchors", "ropes", "charts", "storms", "harbours", "ferries", "currents"),
    *("whales", "reefs", "sails", "knots", "compasses", "piers", "fog", "salt", "boats", "islands"),
)
GUIDELINES = "# What to compare\n\nChoose the response that *answers the question*.\n\n```python\nprint('tie')\n```\n"


def write_prompts(path: Path, *, broken: bool = False) -> Path:
    rows: list[dict] = [{"prompt": f"Explain {subject} to a child in two sentences."} for subject in SUBJECTS]
    if broken:
        rows[6] = {"prompt": "   "}
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def import_prompts(page: Page, site: Site, directory: Path) -> None:
    bring_in(page, site, write_prompts(directory / "broken.jsonl", broken=True))
    expect(page.get_by_role("heading", name="rows have errors")).to_be_visible()
    expect(page.get_by_role("region", name="What is wrong").get_by_role("row")).to_have_count(2)
    expect(page.get_by_role("region", name="What is wrong")).to_contain_text("7")
    whole = write_prompts(directory / "prompts.jsonl")
    for _ in range(2):
        bring_in(page, site, whole)
        page.get_by_role("button", name=re.compile("^Store [0-9]")).click()
        expect(page.get_by_role("button", name="Undo this import")).to_be_visible()
    expect(page.locator("main")).to_contain_text(re.compile(r"already", re.I))


def bring_in(page: Page, site: Site, path: Path) -> None:
    page.goto(site.project("imports/new/"))
    page.get_by_label("File").set_input_files(path)
    page.get_by_role("button", name="Upload").click()
    page.wait_for_url(re.compile(r"/imports/[0-9a-f-]{36}/$"))


def open_queue(page: Page, site: Site, name: str) -> str:
    page.goto(site.project("queues/open/"))
    page.get_by_role("link", name=re.compile("^Comparison")).click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("textbox", name="Guidelines").fill(GUIDELINES)
    page.get_by_role("button", name="Open the queue").or_(page.get_by_role("button", name="Open queue")).click()
    page.wait_for_url(re.compile(r"/queues/[0-9a-f-]{36}/$"))
    expect(page.get_by_role("heading", name=re.compile(name))).to_be_visible()
    return page.url.rstrip("/").rsplit("/", 1)[1]


def start(page: Page, site: Site, query: str, **settings: object) -> str:
    """Fill in the form of a run, start it, and return the address of its page."""
    kind = query.split("?")[0]
    parameters = query[len(kind) :]
    page.goto(site.project(f"runs/start/{kind}/{parameters}"))
    page.locator("details:has(#id_seed) > summary").click()
    for name, value in settings.items():
        field = page.locator(f"#id_{name}")
        if field.evaluate("node => node.tagName") == "SELECT":
            field.select_option(str(value))
        else:
            field.fill(str(value))
    page.get_by_role("button", name="Start the run").click()
    page.wait_for_url(re.compile(r"/runs/[0-9a-f-]{36}/$"))
    return page.url


def wait_for_state(page: Page, state: str) -> None:
    expect(page.locator(f"#run-live[data-state={state}]")).to_be_visible(timeout=PATIENCE * 1000)


def label_all(page: Page, *, note_every: int = 4) -> int:
    """Label by keyboard alone until nothing is left; skip the second task. Return how many were submitted."""
    submitted = 0
    for number in range(60):
        expect(page.locator("#task")).to_be_visible()
        if page.locator("#judge").count() == 0:
            break
        # Keys count once the scripts know the task; nobody presses one in the same instant.
        page.wait_for_function("() => bench?.now?.key.endsWith(document.querySelector('#task').dataset.task)")
        before = page.locator("#task").get_attribute("data-task")
        if number == 1:
            page.keyboard.press("s")
            expect(page.locator("#skip")).to_be_visible()
            page.keyboard.press("1")
        else:
            if number % note_every == 0:
                drag_larger(page)
                page.keyboard.press("n")
                page.keyboard.type(f"Because of {number}.")
                page.keyboard.press("Escape")
            page.keyboard.press("1" if number % 2 else "6")
            expect(page.locator("#scale input:checked")).to_have_count(1)
            page.keyboard.press("Enter")
            submitted += 1
        page.wait_for_function(
            "old => !document.querySelector('#judge') || document.querySelector('#task').dataset.task != old",
            arg=before,
        )
    return submitted


def drag_larger(page: Page) -> None:
    """Leave the mark that dragging the corner of the text field leaves: a style that must not be carried over."""
    page.locator("#rationale").evaluate("field => { field.style.height = '90px' }")


def test_three_people_make_one_turn_of_the_loop(log_in: Callable, site: Site, tmp_path: Path) -> None:
    curator, trainer, annotator = log_in("cleo"), log_in("mel"), log_in("ann")
    for page in (curator, trainer, annotator):
        page.on("dialog", lambda dialog: accept(dialog))

    # The curator imports prompts and opens a queue.
    import_prompts(curator, site, tmp_path)
    queue = open_queue(curator, site, "First round")

    # ML staff sample two responses to each prompt into it.
    sampling = start(trainer, site, f"sample?queue={queue}", max_new_tokens=12)
    wait_for_state(trainer, "succeeded")

    # The annotator finds the work at home and does it by keyboard, without a page load.
    annotator.goto(site.url)
    expect(annotator.get_by_role("link", name="Start labeling")).to_be_focused()
    annotator.keyboard.press("Enter")
    annotator.wait_for_url(f"{site.url}/q/{queue}/")
    annotator.evaluate("window.sameDocument = true")
    submitted = label_all(annotator)
    assert submitted >= 10
    assert annotator.evaluate("window.sameDocument") is True
    for word in ("tiny", sampling.rstrip("/").rsplit("/", 1)[1], "temperature"):
        assert word not in annotator.content()
    annotator.goto(f"{site.url}/q/{queue}/history/")
    expect(annotator.locator("main")).to_contain_text("Because of 0.")

    # The curator reads the judgments and freezes a snapshot, which `datasets` loads as it is.
    curator.goto(site.project(f"judgments/?queue={queue}"))
    curator.locator("main tbody a").first.click()
    expect(curator.locator("main")).to_contain_text("Propensity")
    curator.goto(site.project("snapshots/freeze/"))
    curator.get_by_label("Name").fill("Round one")
    curator.get_by_role("button", name="Freeze").click()
    curator.wait_for_url(re.compile(r"/snapshots/[0-9a-f-]{36}/$"))
    snapshot_url = curator.url
    snapshot = snapshot_url.rstrip("/").rsplit("/", 1)[1]
    with curator.expect_download() as waiting:
        curator.get_by_role("link", name="Download").click()
    assert rows_of(Path(waiting.value.path()), tmp_path) == submitted

    # ML staff train a reward model, a DPO policy and a PPO policy on it, and stop a run that is too long.
    small = {"steps": 3, "batch_size": 2, "lora_rank": 4, "lora_alpha": 8, "checkpoint_every": 1}
    start(trainer, site, f"reward?snapshot={snapshot}", **small)
    wait_for_state(trainer, "succeeded")
    expect(trainer.locator(".chart canvas").first).to_be_visible()
    trainer.get_by_role("link", name=re.compile("^Open ")).click()
    reward = trainer.url.rstrip("/").rsplit("/", 1)[1]
    start(
        trainer,
        site,
        f"ppo?reward={reward}",
        updates=2,
        batch_size=4,
        minibatch_size=2,
        max_new_tokens=8,
        lora_rank=4,
        lora_alpha=8,
    )
    wait_for_state(trainer, "succeeded")
    expect(trainer.get_by_role("heading", name="Rollouts")).to_be_visible()
    start(trainer, site, f"dpo?snapshot={snapshot}", **{**small, "steps": 5000})
    expect(trainer.locator("[data-role=latest]").first).not_to_have_text(re.compile(r"^\D*$"), timeout=PATIENCE * 1000)
    trainer.get_by_role("button", name="Cancel the run").click()
    wait_for_state(trainer, "cancelled")
    start(trainer, site, f"dpo?snapshot={snapshot}", **small)
    wait_for_state(trainer, "succeeded")

    # From the checkpoint one click leads to its snapshot, from there to its judgments, and back.
    trainer.get_by_role("link", name=re.compile("^Open ")).click()
    checkpoint_url = trainer.url
    trainer.get_by_role("link", name="Round one", exact=True).click()
    expect(trainer).to_have_url(snapshot_url)
    trainer.get_by_role("link", name=f"Its {submitted} judgments").click()
    expect(trainer).to_have_url(re.compile(rf"/judgments/\?snapshot={snapshot}"))
    expect(trainer.locator("main tbody tr").first).to_be_visible()
    trainer.goto(snapshot_url)
    trainer.locator(f"main a[href='{checkpoint_url.removeprefix(site.url)}']").first.click()
    expect(trainer).to_have_url(checkpoint_url)

    # New responses from the new policy reach the annotator in a new queue.
    trainer.get_by_role("link", name="Sample from it").click()
    trainer.locator("#id_queue_name").fill("Second round")
    trainer.locator("#id_max_new_tokens").fill("12")
    trainer.get_by_role("button", name="Start the run").click()
    wait_for_state(trainer, "succeeded")
    annotator.goto(site.url)
    expect(annotator.locator("main")).to_contain_text("Second round")
    annotator.get_by_role("link", name="Start labeling").first.click()
    expect(annotator.locator("#judge")).to_be_visible()


def accept(dialog: Dialog) -> None:
    dialog.accept()


def rows_of(archive: Path, directory: Path) -> int:
    """Unpack a downloaded snapshot, load it with `datasets`, and return its rows."""
    from datasets import load_dataset

    with zipfile.ZipFile(archive) as content:
        content.extractall(directory / "snapshot")
    (card,) = (directory / "snapshot").rglob("README.md")
    loaded = load_dataset(str(card.parent), cache_dir=str(directory / "cache"))
    assert set(loaded) == {"train", "evaluation"}
    return sum(split.num_rows for split in loaded.values())
