"""GRPO's and RLOO's advantages and online DPO's loss against values worked out by hand."""

from __future__ import annotations

import importlib
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from tests.ml import synthetic_rewards
from tests.ml.conftest import make_run_directory, prompt_rows, write_prompts
from tests.ml.test_group_runs import QUICK
from training.configs import parse_config
from training.ml import rl
from training.ml.group_runs import make_ready
from training.ml.online_dpo import pair_losses
from training.ml.sequences import lay_out, response_logits
from training.ml.tuning import as_policy

pytestmark = pytest.mark.torch

REWARDS = [1.0, 2.0, 6.0, 0.0, 0.0, 3.0]
"""Of two prompts with three responses each."""


@pytest.fixture
def trainer_with(tmp_path, tiny, monkeypatch) -> Callable[..., Any]:
    """Return a function that makes a trainer of a kind whose responses are worth `rewards`, whatever they are."""

    def make(kind: str, rewards: list[float], **settings: Any) -> Any:
        monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "given=tests.ml.synthetic_rewards:given")
        monkeypatch.setattr(synthetic_rewards, "to_give", rewards)
        values = {**QUICK, "reward_function": "given", "missing_eos_penalty": 0.0, **settings}
        run = make_run_directory(tmp_path / kind, kind, values, policy=tiny)
        write_prompts(run, prompt_rows(4))
        config: Any = parse_config(kind, values)
        ready = make_ready(run, run.spec(), config)
        return importlib.import_module(f"training.ml.{kind}").make_trainer(run, config, ready)

    return make


def advantages_of(trainer: Any) -> torch.Tensor:
    trainer.model.train()
    rows = [{"row": 0}] * 3 + [{"row": 1}] * 3
    return trainer._generate_and_score_completions(rows)["advantages"].view(2, 3)


def test_grpo_takes_off_the_mean_of_the_group_so_that_advantages_sum_to_zero(trainer_with):
    trainer = trainer_with("grpo", REWARDS, responses_per_prompt=3, scale_rewards=False)
    advantages = advantages_of(trainer)
    torch.testing.assert_close(advantages, torch.tensor([[-2.0, -1.0, 3.0], [-1.0, -1.0, 2.0]]))
    torch.testing.assert_close(advantages.sum(1), torch.zeros(2))


def test_grpo_divides_by_the_spread_of_the_group(trainer_with):
    trainer = trainer_with("grpo", REWARDS, responses_per_prompt=3)
    spreads = torch.tensor([[7.0], [3.0]]).sqrt()  # (4 + 1 + 9) / 2 and (1 + 1 + 4) / 2
    expected = torch.tensor([[-2.0, -1.0, 3.0], [-1.0, -1.0, 2.0]]) / spreads
    torch.testing.assert_close(advantages_of(trainer), expected, atol=1e-3, rtol=0.0)


def test_rloo_takes_off_the_mean_of_the_others(trainer_with):
    """1 - (2 + 6) / 2 = -3, and so on; at the first step the KL to the reference is 0 and takes nothing off."""
    trainer = trainer_with("rloo", REWARDS, responses_per_prompt=3)
    torch.testing.assert_close(
        advantages_of(trainer), torch.tensor([[-3.0, -1.5, 4.5], [-1.5, -1.5, 3.0]]), atol=1e-4, rtol=0.0
    )


def test_online_dpos_first_loss_is_ln_2_whatever_the_rewards_differ_by(trainer_with):
    trainer = trainer_with("online_dpo", [0.0, 5.0, 1.0, 2.0])
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, {"row": torch.tensor([0, 1])})
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)


def test_pairs_of_equal_reward_teach_nothing(trainer_with):
    trainer = trainer_with("online_dpo", [2.0, 5.0, 2.0, 5.0])
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, {"row": torch.tensor([0, 1])})
    loss.backward()
    assert loss.item() == 0.0
    assert all(not weight.grad.any() for weight in trainer.model.parameters() if weight.grad is not None)
    assert trainer.figures["alike_fraction"] == [1.0]


def test_a_pair_of_equal_reward_leaves_the_loss_of_the_others_as_it_is(trainer_with):
    trainer = trainer_with("online_dpo", [2.0, 5.0, 2.0, 4.0])
    loss = trainer.compute_loss(trainer.model.train(), {"row": torch.tensor([0, 1])})
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)
    assert trainer.figures["alike_fraction"] == [0.5]


def test_the_losses_of_a_pair_are_those_of_the_papers():
    policy, reference = torch.tensor([[-1.0, -4.0], [-3.0, -2.0]]), torch.tensor([[-2.0, -2.0], [-1.0, -3.0]])
    first = torch.tensor([True, True])  # log-ratios 1 against -2, and -2 against 1
    sigmoid = pair_losses(policy, reference, first, 0.5, "sigmoid")
    torch.testing.assert_close(sigmoid, torch.tensor([math.log1p(math.exp(-1.5)), math.log1p(math.exp(1.5))]))
    torch.testing.assert_close(pair_losses(policy, reference, ~first, 0.5, "sigmoid"), sigmoid.flip(0))
    torch.testing.assert_close(pair_losses(policy, reference, first, 0.5, "ipo"), torch.tensor([4.0, 16.0]))
    with pytest.raises(ValueError, match="'hinge' is not one of sigmoid, ipo"):
        pair_losses(policy, reference, first, 0.5, "hinge")


@pytest.mark.parametrize("kind", ["grpo", "rloo", "online_dpo"])
def test_a_tuned_prompt_reads_padded_rows_in_training_as_it_writes_them(trainer_with, kind):
    """Padding on the left lies before the virtual tokens, not between them and the prompt."""
    count = 4 if kind == "online_dpo" else 6
    trainer = trainer_with(kind, [0.0] * count, tuning="prompt", prompt_tokens=5, lora_rank=16)
    prompts, responses = [[5, 6, 7, 8, 9] * 4, [11, 12]], [[20, 21, 22], [23, 24, 25]]
    rollouts = lay_out(prompts, responses, 0, trainer.args.device)
    with as_policy(trainer.model) as policy:
        logits = response_logits(policy, rollouts)
    expected = rl.logprobs_from_logits(logits, rollouts.response_ids)
    if kind == "online_dpo":
        found, _ = trainer.logprobs(trainer.model, rollouts)
    else:
        found, *_ = trainer._get_per_token_logps_and_entropies(
            trainer.model, rollouts.ids, rollouts.attention_mask, logits_to_keep=3
        )
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=0.0)
    found.sum().backward()
    assert trainer.model.prompt_encoder["default"].embedding.weight.grad.any()
