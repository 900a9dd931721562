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
