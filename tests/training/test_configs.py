"""A config refuses every value that its run could not use, and says so in one short line."""

from __future__ import annotations

import pytest

from training.configs import CONFIGS, NOISY_LOSSES, BadConfig, config_values, parse_config

HOSTILE = [
    None, "x", "\x00", {}, {"a": 1}, [[1]], [None], [10**400], [float("nan")], 10**400, -(10**400), 10**30, -1,
    float("nan"), float("inf"), -1e308, "a" * 100_000,
]  # fmt: skip


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_value_whatever_breaks_a_config(kind):
    for name in config_values(parse_config(kind, {})):
        for value in HOSTILE:
            with pytest.raises(BadConfig) as refused:
                parse_config(kind, {name: value})
            assert refused.value.field == name
            assert len(refused.value.message) < 200


@pytest.mark.parametrize("kind", CONFIGS)
def test_the_values_of_a_config_make_the_same_config(kind):
    config = parse_config(kind, {})
    assert parse_config(kind, config_values(config)) == config


@pytest.mark.parametrize("loss", NOISY_LOSSES)
def test_a_loss_for_noisy_labels_is_refused_without_their_share(loss):
    with pytest.raises(BadConfig) as refused:
        parse_config("dpo", {"loss": loss})
    assert refused.value.field == "label_noise"
    assert parse_config("dpo", {"loss": loss, "label_noise": 0.1})


@pytest.mark.parametrize("loss", ["ipo", "hinge", "nca_pair", "apo_zero", "apo_down"])
def test_a_loss_that_would_ignore_the_share_of_wrong_labels_refuses_it(loss):
    with pytest.raises(BadConfig) as refused:
        parse_config("dpo", {"loss": loss, "label_noise": 0.1})
    assert refused.value.field == "label_noise"


def test_a_kl_target_is_refused_where_the_coefficient_could_never_move():
    with pytest.raises(BadConfig) as refused:
        parse_config("ppo", {"kl_target": 6.0, "kl_coef": 0.0})
    assert refused.value.field == "kl_target"


def test_one_update_can_never_turn_the_kl_coefficient_negative():
    with pytest.raises(BadConfig) as refused:
        parse_config("ppo", {"kl_target": 6.0, "kl_horizon": 7, "batch_size": 8})
    assert refused.value.field == "kl_horizon"
    assert parse_config("ppo", {"kl_target": 6.0, "kl_horizon": 8, "batch_size": 8})


@pytest.mark.parametrize(
    ("kind", "values", "field"),
    [
        ("dpo", {"simpo_gamma": 1.0}, "simpo_gamma"),
        ("reward", {"ensemble": "heads"}, "ensemble"),
        ("sft", {"prompt_tokens": 8}, "prompt_tokens"),
        ("kto", {"freeze_layers": 2}, "freeze_layers"),
        ("sft", {"tuning": "full", "lora_rank": 8}, "lora_rank"),
        ("grpo", {"tuning": "full", "lora_alpha": 8}, "lora_alpha"),
        ("dpo", {"tuning": "prompt", "lora_dropout": 0.1}, "lora_dropout"),
        ("ppo", {"kl_horizon": 500}, "kl_horizon"),
        ("ppo", {"variance_penalty": 1.0}, "variance_penalty"),
        ("online_dpo", {"variance_penalty": 1.0}, "variance_penalty"),
        ("grpo", {"clip_range": 0.3}, "clip_range"),
        ("rloo", {"clip_range": 0.3}, "clip_range"),
    ],
)
def test_a_setting_that_would_change_nothing_is_refused(kind, values, field):
    with pytest.raises(BadConfig, match="leave it at") as refused:
        parse_config(kind, values)
    assert refused.value.field == field


def test_simpo_is_refused_the_beta_of_other_losses():
    with pytest.raises(BadConfig, match="give 2 to 10") as refused:
        parse_config("dpo", {"loss": "simpo"})
    assert refused.value.field == "beta"
    assert parse_config("dpo", {"loss": "simpo", "beta": 2.0, "simpo_gamma": 1.0})
