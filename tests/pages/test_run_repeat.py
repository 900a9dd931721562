"""What a run's page offers in each state, the look at its preflight, and running it again."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from feedback.models import Project, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_run, make_snapshot
from tests.training.conftest import with_files
from training.configs import CONFIGS, config_values
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db
VERBS = {"pause": "running", "resume": "paused", "retry": "failed", "repeat": "succeeded"}
"""A verb of the page, and a state in which it can be asked."""


def url(run: Run, verb: str = "") -> str:
    return reverse(f"run-{verb}" if verb else "run", args=[run.project.slug, run.pk])


def run_in(project: Project, state: str, **overrides: Any) -> Run:
    """A run whose repetition could start: its inputs have their files."""
    snapshot = make_snapshot(project)
    base = with_files(make_base_checkpoint(project))
    config = config_values(CONFIGS["dpo"](steps=7))
    return make_run(project, "dpo", state=state, policy=base, snapshot=snapshot, config=config, **overrides)


@pytest.mark.parametrize(("verb", "state"), VERBS.items())
def test_the_page_offers_what_can_be_asked_in_that_state(
    client: Client, project: Project, ml_staff: User, curator: User, verb: str, state: str
) -> None:
    run = run_in(project, state)
    client.force_login(ml_staff)
    page = client.get(url(run)).content.decode()
    assert {one for one in VERBS if url(run, one) in page} == {verb}
    client.force_login(curator)
    assert url(run, verb) not in client.get(url(run)).content.decode()


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_repeat_nothing(
    client: Client, project: Project, request: pytest.FixtureRequest, person: str, status: int
) -> None:
    run = run_in(project, "succeeded")
    assert client.post(url(run, "repeat"))["Location"].startswith(reverse("account_login"))
    client.force_login(request.getfixturevalue(person))
    assert client.post(url(run, "repeat")).status_code == status
    assert Run.objects.count() == 1


def test_a_run_that_waits_for_a_look_at_its_preflight_says_go(client: Client, project: Project, ml_staff: User) -> None:
    preflight = {
        "checks": [{"name": "pad_token", "verdict": "warning", "message": "Padding is odd.", "figures": {}}],
        "examples": [
            {"name": "row 1", "tokens": 3, "pieces": [
                {"text": "<b>asked", "learned": False, "special": False},
                {"text": "answered", "learned": True, "special": False},
                {"text": "<|end|>", "learned": True, "special": True},
            ]},
        ],
        "estimate": {"device": "CPU", "memory_mb": 1712, "step_seconds": 0.5, "seconds": 90},
    }  # fmt: skip
    run = run_in(project, "paused", attempt=1, waits_after_preflight=True, preflight=preflight)
    client.force_login(ml_staff)
    page = client.get(url(run)).content.decode()
    assert "Looks right: go" in page
    assert "Pad token" in page
    assert "Padding is odd." in page
    assert '<span class="piece">&lt;b&gt;asked</span>' in page
    assert '<span class="piece piece-learned">answered</span>' in page
    assert '<span class="piece piece-learned piece-special">&lt;|end|&gt;</span>' in page
    assert "1.7 GB" in page
    client.post(url(run, "resume"))
    run.refresh_from_db()
    assert (run.state, run.waits_after_preflight) == ("queued", False)


# Running again -------------------------------------------------------------------------------------------


def test_a_repetition_has_the_inputs_settings_and_seed_of_the_first(
    client: Client, project: Project, ml_staff: User
) -> None:
    first = run_in(project, "succeeded")
    client.force_login(ml_staff)
    answer = client.post(url(first, "repeat"))
    again = Run.objects.get(repeats=first)
    assert answer["Location"] == url(again)
    assert (again.config, again.policy, again.snapshot) == (first.config, first.policy, first.snapshot)
    assert (again.state, again.created_by, again.name) == ("queued", ml_staff, f"{first.name}, again")
    assert "not known yet" in client.get(url(again)).content.decode()
    assert again.name in client.get(url(first)).content.decode()


@pytest.mark.parametrize(("sha256", "word"), [("ab", "the same sha256"), ("cd", "other sha256")])
def test_both_pages_say_whether_the_same_came_of_it(
    client: Client, project: Project, ml_staff: User, sha256: str, word: str
) -> None:
    first = make_run(project, "dpo", state="succeeded", environment={"threads": 1, "commit": "c1"})
    again = make_run(project, "dpo", state="succeeded", repeats=first, environment={"threads": 2, "commit": "c1"})
    base = make_base_checkpoint(project)
    make_policy_checkpoint(project, run=first, parent=base, sha256="ab")
    make_policy_checkpoint(project, run=again, parent=base, sha256=sha256)
    client.force_login(ml_staff)
    for run in (first, again):
        page = client.get(url(run)).content.decode()
        assert word in page
        assert "<dt>threads</dt>" in page
        assert "<dt>commit</dt>" not in page


def test_a_run_whose_snapshot_is_gone_is_not_repeated(client: Client, project: Project, ml_staff: User) -> None:
    first = run_in(project, "succeeded")
    (first.snapshot.directory / "manifest.json").unlink()
    client.force_login(ml_staff)
    answer = client.post(url(first, "repeat"))
    assert answer.status_code == 409
    assert "are gone" in answer.content.decode()
    assert not Run.objects.filter(repeats=first).exists()


@pytest.mark.parametrize(
    ("kind", "state", "word"), [("sample", "succeeded", "leaves nothing"), ("dpo", "failed", "has not succeeded")]
)
def test_only_what_can_be_compared_is_repeated(
    client: Client, project: Project, ml_staff: User, kind: str, state: str, word: str
) -> None:
    run = make_run(project, kind, state=state)
    client.force_login(ml_staff)
    answer = client.post(url(run, "repeat"))
    assert answer.status_code == 409
    assert word in answer.content.decode()
    assert Checkpoint.objects.count() == 0
