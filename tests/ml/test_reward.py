"""Reward models through TRL."""

from __future__ import annotations

import json

import pytest
import torch

from tests.ml.conftest import easy_preferences, finished_run
from training.ml.evaluate import reward_margins
from training.ml.models import load_policy
from training.ml.preferences import tokenize
from training.ml.reward_models import load_scorer, with_score_head
from training.rundir import directory_digest

pytestmark = pytest.mark.torch


def test_easy_preferences_are_learned(reward_run):
    outcome = reward_run.outcome()
    assert (outcome.status, outcome.step) == ("succeeded", 20)
    assert outcome.evaluation["accuracy"] == 1.0
    assert outcome.evaluation["n"] == 12
    assert outcome.evaluation["low"] == pytest.approx(0.7575, abs=1e-4)
    assert outcome.model_sha256 == directory_digest(reward_run.model_path)


def test_every_step_has_a_row_with_the_promised_names(reward_run):
    names = {"step", "time", "seconds", "tokens_per_second", "memory_mb", "loss", "accuracy", "margin", "mean_reward"}
    names |= {"learning_rate", "grad_norm"}
    assert all(set(row) == names for row in reward_run.metrics())
    assert [row["step"] for row in reward_run.metrics()] == list(range(1, 21))


def test_the_model_directory_holds_the_score_head(reward_run):
    from safetensors import safe_open

    with safe_open(reward_run.model_path / "adapter_model.safetensors", "pt") as file:
        assert any(name.endswith("score.weight") for name in file.keys())  # noqa: SIM118 (not a dict)
    assert json.loads((reward_run.model_path / "checkpoint.json").read_text())["kind"] == "reward"


def test_a_loaded_reward_model_prefers_what_the_trained_one_preferred(reward_model, tokenizer):
    rows = tokenize(easy_preferences(12, seed=1), tokenizer, "evaluation")
    assert bool((reward_margins(load_scorer(reward_model, tokenizer), rows, 3) > 0).all())


def test_trl_and_concord_read_the_score_at_the_same_place(reward_model, tokenizer):
    """The sequence classifier looks for the last token that is not padding; ours goes by length."""
    scorer = load_scorer(reward_model, tokenizer)
    rows = tokenize(easy_preferences(4, seed=2), tokenizer, "train")
    margins = reward_margins(scorer, rows, 4)[0].tolist()
    model = scorer.members[0].model
    with torch.no_grad():
        pairs = [[torch.tensor([row.prompt + response]) for response in (row.chosen, row.rejected)] for row in rows]
        theirs = [float(model(chosen).logits - model(rejected).logits) for chosen, rejected in pairs]
    assert margins == pytest.approx(theirs, abs=1e-4)


def test_strong_preferences_ask_for_a_wider_gap(tmp_path, tiny, snapshot):
    losses = []
    for use_margin in (True, False):
        config = {"steps": 1, "use_margin": use_margin, "center_rewards_coefficient": 0.0}
        run = finished_run(
            tmp_path / str(use_margin),
            "reward",
            config,
            policy=tiny,
            snapshot=snapshot[0],
            snapshot_sha256=snapshot[1],
        )
        losses.append(run.metrics()[0]["loss"])
    assert losses[0] > losses[1] + 0.3


def test_a_fresh_score_head_is_the_same_for_the_same_seed(tiny, tokenizer):
    policy = load_policy(tiny, tokenizer)
    heads = [with_score_head(policy, seed).score.weight.detach() for seed in (3, 3, 4)]
    assert torch.equal(heads[0], heads[1])
    assert not torch.equal(heads[0], heads[2])
    assert float(heads[0].std()) == pytest.approx(0.1 * 65**-0.5, rel=0.3)
