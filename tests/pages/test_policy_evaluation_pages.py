"""A policy against its reference: started from the form, shown on the run's page and on the checkpoint's."""

from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.contract import EVALUATION, TRAIN
from tests.factories import make_prompt, make_run
from tests.pages.test_run_start import adapter, filled, ready, text, url  # noqa: F401 (fixtures)
from training.models import Run

pytestmark = pytest.mark.django_db

ANSWERS = {"score": 0.5, "tokens": 20.0, "entropy": 2.5, "repetition": 0.1, "refusals": 0.0, "unfinished": 0.25}
FIGURES = {
    "win_rate": 0.625, "low": 0.45, "high": 0.77, "n": 32, "kl_per_token": 0.04,
    "gap": {"value": 0.31, "low": 0.1, "high": 0.52}, "kl": {"value": 1.7, "low": 1.2, "high": 2.2},
    "policy": ANSWERS, "reference": {**ANSWERS, "tokens": 11.0},
}  # fmt: skip


def test_a_judge_in_the_form_leaves_the_snapshot_out(client, project, ready, adapter, ml_staff):  # noqa: F811
    make_prompt(project, split=EVALUATION)
    client.force_login(ml_staff)
    chosen = filled(project, "evaluate", model=adapter.pk, judge=ready["reward"].pk)
    assert client.post(url(project, "evaluate"), chosen).status_code == 302
    run = Run.objects.get(kind="evaluate")
    assert (run.policy, run.reward, run.snapshot, run.prompt_ids) == (adapter, ready["reward"], None, [])


def test_some_prompts_are_drawn_from_the_evaluation_split(client, project, ready, adapter, ml_staff):  # noqa: F811
    held_out = {str(make_prompt(project, split=EVALUATION).pk) for _ in range(3)}
    make_prompt(project, split=TRAIN)
    client.force_login(ml_staff)
    chosen = filled(project, "evaluate", model=adapter.pk, judge=ready["reward"].pk, prompts="random", prompt_count=2)
    assert client.post(url(project, "evaluate"), chosen).status_code == 302
    prompts = set(project.prompts.filter(split=EVALUATION).values_list("pk", flat=True))
    drawn = Run.objects.get(kind="evaluate").prompt_ids
    assert len(drawn) == 2
    assert {*drawn} <= {str(pk) for pk in prompts}
    assert held_out <= {str(pk) for pk in prompts}


def test_a_reward_model_cannot_write_what_a_judge_would_read(client, project, ready, ml_staff):  # noqa: F811
    client.force_login(ml_staff)
    chosen = filled(project, "evaluate", model=ready["reward"].pk, judge=ready["reward"].pk)
    answer = client.post(url(project, "evaluate"), chosen)
    assert answer.status_code == 422
    assert "it scores text but cannot write any" in text(answer)
    assert not Run.objects.filter(kind="evaluate").exists()


def test_labels_bring_their_own_prompts(client, project, ready, ml_staff):  # noqa: F811
    client.force_login(ml_staff)
    answer = client.post(url(project, "evaluate"), filled(project, "evaluate", prompts="train"))
    assert answer.status_code == 422
    assert "The labels of a snapshot bring their own prompts" in text(answer)


def test_the_run_and_its_policy_show_the_win_and_what_it_may_have_cost(client, project, ready, adapter, ml_staff):  # noqa: F811
    run = make_run(
        project, "evaluate", state="succeeded", policy=adapter, reward=ready["reward"], snapshot=None,
        outcome={"status": "succeeded", "evaluation": FIGURES},
    )  # fmt: skip
    client.force_login(ml_staff)
    for page in (
        reverse("run", args=[project.slug, run.pk]), reverse("checkpoint", args=[project.slug, adapter.pk])
    ):  # fmt: skip
        shown = text(client.get(page))
        assert "of 32 prompts are answered better than by its reference" in shown
        assert "1.7 nats for each answer" in shown
        assert "Tokens for each answer" in shown
        assert "no label lies on an evaluation prompt" not in shown.split("better than by its reference")[1]
