"""Losses on preferences and thumbs: values by hand, and the same as TRL's at any gap."""

from __future__ import annotations

import math

import pytest

torch = pytest.importorskip("torch")

from training.configs import NOISY_LOSSES, DPOConfig, KTOConfig  # noqa: E402
from training.ml.preference_losses import (  # noqa: E402
    WITHOUT_REFERENCE,
    PairLogprobs,
    implied_rewards,
    log_odds,
    pair_losses,
    thumb_losses,
    thumb_weights,
)

pytestmark = pytest.mark.torch

LOSSES = DPOConfig.__dataclass_fields__["loss"].metadata["choices"]


def pairs(chosen, rejected, reference=(0.0, 0.0), tokens=(1, 1)) -> PairLogprobs:
    return PairLogprobs(
        torch.tensor([chosen]),
        torch.tensor([rejected]),
        torch.tensor([tokens[0]]),
        torch.tensor([tokens[1]]),
        torch.tensor([reference[0]]),
        torch.tensor([reference[1]]),
    )


def loss(name: str, given: PairLogprobs, **overrides) -> float:
    needed = {"label_noise": 0.1} if name in NOISY_LOSSES else {"beta": 2.0} if name == "simpo" else {}
    return pair_losses(given, DPOConfig(loss=name, **{**needed, **overrides})).item()


def test_sigmoid_at_a_gap_of_ln_3():
    given = pairs(math.log(3), 0.0)
    assert loss("sigmoid", given, beta=1.0) == pytest.approx(math.log(4 / 3), abs=1e-6)


def test_with_noise_the_sigmoid_loss_mixes_in_the_label_turned_round():
    given = pairs(math.log(3), 0.0)
    by_hand = 0.8 * math.log(4 / 3) + 0.2 * math.log(4)
    assert loss("sigmoid", given, beta=1.0, label_noise=0.2) == pytest.approx(by_hand, abs=1e-6)


def test_the_robust_loss_is_unbiased_under_its_noise():
    """Averaged over labels of which a share e is wrong, it is the clean loss (arXiv:2403.00409, lemma 3.1)."""
    right, wrong = pairs(math.log(3), 0.0), pairs(0.0, math.log(3))
    noisy = 0.8 * loss("robust", right, beta=1.0, label_noise=0.2) + 0.2 * loss(
        "robust", wrong, beta=1.0, label_noise=0.2
    )
    assert noisy == pytest.approx(loss("sigmoid", right, beta=1.0), abs=1e-6)


def test_ipo_is_zero_where_the_gap_for_each_token_is_half_the_inverse_of_beta():
    given = pairs(10 * 2.5, 0.0, tokens=(10, 10))
    assert loss("ipo", given, beta=0.2) == pytest.approx(0.0, abs=1e-6)


def test_simpo_asks_for_a_margin_for_each_token():
    given = pairs(3 * math.log(1 / 2), 5 * math.log(1 / 4), tokens=(3, 5))
    by_hand = math.log(1 + math.exp(0.5) / 4)  # -log sigmoid(2 ln 2 - 0.5)
    assert loss("simpo", given, beta=2.0, simpo_gamma=0.5) == pytest.approx(by_hand, abs=1e-6)


def test_orpo_adds_the_odds_to_the_likelihood():
    given = pairs(3 * math.log(1 / 2), 5 * math.log(1 / 4), tokens=(3, 5))
    by_hand = math.log(2) + 0.1 * math.log(4 / 3)  # odds 1 against 1/3: sigmoid(ln 3) = 3/4
    assert loss("orpo", given, beta=0.1) == pytest.approx(by_hand, abs=1e-6)


def test_log_odds_of_a_half_and_near_certainty_are_finite():
    values = log_odds(torch.log(torch.tensor([0.5, 0.25, 1.0])))
    assert values[:2].tolist() == pytest.approx([0.0, -math.log(3)], abs=1e-6)
    assert torch.isfinite(values).all()


@pytest.mark.parametrize("name", WITHOUT_REFERENCE)
def test_a_loss_without_reference_reads_rewards_for_each_token(name):
    chosen, rejected = implied_rewards(pairs(-6.0, -20.0, tokens=(3, 5)), DPOConfig(loss=name, beta=1.5))
    assert (chosen.item(), rejected.item()) == pytest.approx((-3.0, -6.0))


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "apo_down"])
def test_every_loss_falls_when_the_chosen_response_gains(name):
    given = pairs(-8.0, -9.0, reference=(-8.5, -8.5), tokens=(4, 4))
    gained = pairs(-7.0, -9.0, reference=(-8.5, -8.5), tokens=(4, 4))
    assert loss(name, gained) < loss(name, given)


@pytest.fixture(scope="module")
def trl_trainer(tmp_path_factory, tiny, tokenizer):
    """A DPOTrainer of TRL's whose adapter has moved away from the reference."""
    from datasets import Dataset
    from peft import LoraConfig
    from trl import DPOConfig as TRLConfig
    from trl import DPOTrainer

    from tests.ml.conftest import easy_preferences
    from training.ml.models import load_policy
    from training.ml.preferences import tokenize

    rows = tokenize(easy_preferences(8), tokenizer, "train")

    class Tokenized(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset

    trainer = Tokenized(
        model=load_policy(tiny, tokenizer),
        peft_config=LoraConfig(target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False),
        args=TRLConfig(
            output_dir=str(tmp_path_factory.mktemp("trl")), use_cpu=True, bf16=False, report_to="none", max_length=None
        ),
        train_dataset=Dataset.from_dict(
            {
                "prompt_ids": [row.prompt for row in rows],
                "chosen_ids": [row.chosen for row in rows],
                "rejected_ids": [row.rejected for row in rows],
            }
        ),
        processing_class=tokenizer,
    )
    return trainer, rows


@pytest.mark.parametrize("name", [name for name in LOSSES if name not in WITHOUT_REFERENCE])
def test_every_loss_with_a_reference_is_trl_s_own_at_any_gap(name, trl_trainer, tokenizer):
    from training.ml.dpo import collate, loss_of, pairs_of
    from training.ml.response_logprobs import let_score, response_logprobs
    from training.ml.tuning import as_reference

    trainer, rows = trl_trainer
    noise = 0.1 if name in NOISY_LOSSES else 0.0
    config = DPOConfig(loss=name, beta=0.3, label_noise=noise)
    trainer.loss_types, trainer.beta, trainer.label_smoothing = [name], config.beta, noise
    trainer.model.eval()
    batch = trainer.data_collator([trainer.train_dataset[place] for place in range(len(rows))])
    with torch.no_grad():
        theirs = trainer._compute_loss(trainer.model, batch, return_outputs=False).item()

    let_score(trainer.model)
    ours = pairs_of(rows)
    with as_reference(trainer.model) as reference:
        readings = [reading for pair in ours for reading in (pair.chosen, pair.rejected)]
        found = response_logprobs(reference, readings, tokenizer.pad_token_id, 4)
    for pair, chosen, rejected in zip(ours, found[::2], found[1::2], strict=True):
        pair.reference = (chosen, rejected)
    with torch.no_grad():
        value, figures = loss_of(trainer.model, collate(ours, tokenizer.pad_token_id, hidden=0), config)
    assert figures["rewards_margin"].abs().max() > 0.1
    assert value.item() == pytest.approx(theirs, rel=1e-4)


# Thumbs -----------------------------------------------------------------------------------------------


def test_kto_at_the_reference_is_a_half_and_moves_with_its_side():
    ratio, is_up = torch.tensor([0.0, 0.0, math.log(3), math.log(3)]), torch.tensor([True, False, True, False])
    found = thumb_losses(ratio, is_up, torch.tensor(0.0), 1.0, 1.0, 1.0)
    assert found.tolist() == pytest.approx([0.5, 0.5, 0.25, 0.75], abs=1e-6)


def test_the_kl_moves_both_sides_apart():
    ratio, is_up = torch.zeros(2), torch.tensor([True, False])
    found = thumb_losses(ratio, is_up, torch.tensor(math.log(3)), 1.0, 2.0, 1.0)
    assert found.tolist() == pytest.approx([2 * 0.75, 0.25], abs=1e-6)


def test_balanced_thumbs_count_alike_on_both_sides():
    assert thumb_weights(30, 10, KTOConfig()) == (1.0, 3.0)
    assert thumb_weights(10, 30, KTOConfig(desirable_weight=2.0)) == (6.0, 1.0)
    assert thumb_weights(10, 30, KTOConfig(balance=False)) == (1.0, 1.0)
