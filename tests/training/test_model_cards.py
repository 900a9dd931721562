"""The model card says what is on record, and nothing that nobody measured."""

from __future__ import annotations

import pytest

from feedback.people import create_simulated_annotator
from feedback.selection import Selection
from tests.factories import (
    make_base_checkpoint,
    make_judgment,
    make_policy_checkpoint,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
    make_task,
)
from training.configs import CONFIGS, config_values
from training.model_cards import figure_rows, model_card
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db
FIGURES = {"accuracy": 0.7, "n": 20, "low": 0.481, "high": 0.855, "loss_last": 0.51234567}


@pytest.fixture
def base(project) -> Checkpoint:
    return make_base_checkpoint(project, name="small", licence="Apache-2.0", origin="a hub", is_whole=True)


def test_a_trained_policy_tells_of_its_data_training_evaluation_and_limits(project, base):
    snapshot = make_snapshot(project, labels=6)
    policy = make_policy_checkpoint(project, parent=base, snapshot=snapshot, evaluation=FIGURES, note="Be *kind*.")
    environment = {"commit": "abc123", "changed": True, "versions": {"torch": "2.13.0"}, "device": "cpu"}
    config = config_values(CONFIGS["dpo"](seed=99))
    Run.objects.filter(pk=policy.run_id).update(environment=environment, config=config)
    card = model_card(Checkpoint.objects.get(pk=policy.pk))
    for words in (
        'license: "apache-2.0"', 'base_model:\n- "small"', "Be *kind*.", f"`{policy.sha256}`", f"`{snapshot.sha256}`",
        "6 judgments by", "| Seed | 99 |", "| git commit of Concord | abc123, with changes |", "| torch | 2.13.0 |",
        "| accuracy, percent | 70.0 (48.1 to 85.5) of 20 |", "| loss last | 0.5123 |", "too few to choose between",
        "cannot be told from a coin", 'PeftModel.from_pretrained(model, "path/to/policy-',
    ):  # fmt: skip
        assert words in card, words


def test_a_base_model_tells_where_it_comes_from_and_that_nobody_evaluated_it(base):
    card = model_card(base)
    assert "A base model from a hub" in card
    assert "It has not been evaluated" in card
    assert "## How it was trained" not in card


def test_a_licence_that_nobody_stated_is_not_made_up(project):
    card = model_card(make_base_checkpoint(project))
    assert "license:" not in card
    assert "Nobody has stated the licence" in card


def test_a_policy_that_was_trained_towards_a_score_warns_of_it(project, base):
    snapshot = make_snapshot(project, labels=4)
    reward = make_reward_checkpoint(project, parent=base, snapshot=snapshot)
    run = make_run(project, "ppo", state="succeeded", policy=base, reward=reward)
    card = model_card(make_policy_checkpoint(project, parent=base, run=run, snapshot=snapshot))
    assert f"through the reward model {reward.name}" in card
    assert "A higher score is not what people prefer" in card


def test_evaluations_since_are_told_with_what_they_were_on(project, base):
    reward = make_reward_checkpoint(project, parent=base, snapshot=make_snapshot(project, labels=4))
    make_judgment(task=make_task(make_queue(project)))
    later = make_snapshot(project)
    make_run(
        project, "evaluate", state="succeeded", name="Second look", reward=reward, snapshot=later,
        outcome={"evaluation": FIGURES},
    )  # fmt: skip
    card = model_card(reward)
    assert f"Second look on the snapshot `{later.sha256[:12]}`" in card
    assert "It has not been evaluated" not in card


def test_a_group_of_figures_is_told_with_its_name():
    assert list(figure_rows({"by_strength": {"3": {"accuracy": 0.5, "n": 2, "low": 0.1, "high": 0.9}}, "kl": 1.5})) == [
        ("by strength: 3: accuracy, percent", "50.0 (10.0 to 90.0) of 2"),
        ("kl", "1.5"),
    ]


def test_simulated_annotators_are_named_as_such(project, base):
    robot = create_simulated_annotator(project=project, username="robot", rule="the shorter one")
    make_judgment(task=make_task(make_queue(project)), annotator=robot)
    snapshot = make_snapshot(project, selection=Selection(include_simulated=True))
    card = model_card(make_policy_checkpoint(project, parent=base, snapshot=snapshot))
    assert "- simulated" in card.partition("\n---\n")[0]
    assert "Simulated annotators follow a rule" in card
