"""What the live fragment of a run brings: everything that is new since the page asked last, and nothing twice."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Project, User
from tests.factories import make_run
from training.models import Run, RunMetric
from training.news import STEPS_AT_ONCE

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(client: Client, ml_staff: User) -> Client:
    client.force_login(ml_staff)
    return client


def ask(page: Client, run: Run, seen: dict[str, str] | None = None) -> str:
    return page.get(reverse("run-live", args=[run.project.slug, run.pk]), seen or {}).content.decode()


def seen_in(fragment: str) -> dict[str, str]:
    """What the page would send with its next request."""
    part = fragment.split('id="run-seen"')[1].split("</div>")[0]
    return dict(re.findall(r'name="(\w+)" value="(\d+)"', part))


def steps_in(fragment: str) -> dict[str, Any]:
    return json.loads(html.unescape(re.search(r'data-rows="([^"]*)"', fragment)[1]))


def add_steps(run: Run, *steps: int) -> None:
    RunMetric.objects.bulk_create(RunMetric(run=run, step=step, values={"loss": 1 / step}) for step in steps)


def test_steps_come_once(page: Client, project: Project) -> None:
    run = make_run(project, "dpo", state="running")
    add_steps(run, 1, 2)
    first = ask(page, run)
    assert steps_in(first) == {"steps": [1, 2], "values": {"loss": [1.0, 0.5]}}
    add_steps(run, 3)
    second = ask(page, run, seen_in(first))
    assert steps_in(second) == {"steps": [3], "values": {"loss": [0.333333]}}
    assert steps_in(ask(page, run, seen_in(second)))["steps"] == []


def test_a_page_that_is_far_behind_fetches_by_itself(page: Client, project: Project) -> None:
    run = make_run(project, "dpo", state="running")
    add_steps(run, *range(1, STEPS_AT_ONCE + 2))
    fragment = ask(page, run)
    assert " data-behind" in fragment
    assert steps_in(fragment)["steps"] == []


def test_a_run_that_was_taken_up_again_makes_the_page_start_over(page: Client, project: Project) -> None:
    run = make_run(project, "dpo", state="running", attempt=1)
    add_steps(run, 1, 2)
    seen = seen_in(ask(page, run))
    Run.objects.filter(pk=run.pk).update(attempt=2)
    assert " data-behind" in ask(page, run, seen)


def test_log_texts_and_preflight_come_when_they_have_changed(page: Client, project: Project) -> None:
    run = make_run(project, "dpo", state="running")
    run.directory.mkdir(parents=True)
    nothing = ask(page, run)
    assert [f'id="{part}"' in nothing for part in ("log", "texts", "preflight")] == [False] * 3
    (run.directory / "log.txt").write_text("one line\n")
    (run.directory / "samples_preview.jsonl").write_text(
        '{"step": 0, "place": 0, "prompt": "Why?", "response": "So."}\n'
    )
    check = {"name": "length", "verdict": "ok", "message": "They fit.", "figures": {}}
    Run.objects.filter(pk=run.pk).update(preflight={"checks": [check], "examples": [], "estimate": {}})
    everything = ask(page, run, seen_in(nothing))
    for words in ("one line", "So.", "They fit."):
        assert words in everything
    again = ask(page, run, seen_in(everything))
    assert [f'id="{part}"' in again for part in ("log", "texts", "preflight")] == [False] * 3


def test_the_preflight_opens_when_the_run_stops_for_a_look(page: Client, project: Project) -> None:
    check = {"name": "length", "verdict": "ok", "message": "They fit.", "figures": {}}
    run = make_run(
        project, "dpo", state="running", waits_after_preflight=True,
        preflight={"checks": [check], "examples": [], "estimate": {}},
    )  # fmt: skip
    seen = seen_in(ask(page, run))
    Run.objects.filter(pk=run.pk).update(state="paused", lease_expires_at=None)
    opened = ask(page, run, seen)
    assert re.search(r'<details id="preflight"[^>]* open', opened)
    assert "Looks right: go" in opened


@pytest.mark.parametrize("nonsense", ["-1", "many", "9" * 40, "1.5", "\u0663"])
def test_nonsense_is_nothing_seen(page: Client, project: Project, nonsense: str) -> None:
    run = make_run(project, "dpo", state="running")
    add_steps(run, 1)
    seen = dict.fromkeys(seen_in(ask(page, run)), nonsense)
    assert steps_in(ask(page, run, seen))["steps"] == [1]


def test_an_answer_without_news_is_small(page: Client, project: Project) -> None:
    run = make_run(project, "dpo", state="running")
    run.directory.mkdir(parents=True)
    (run.directory / "log.txt").write_text("a line\n" * 5000)
    add_steps(run, *range(1, 100))
    first = ask(page, run)
    assert len(ask(page, run, seen_in(first)).encode()) < 8_000
