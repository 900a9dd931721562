"""Both responses of a pair after one prompt give the numbers of two sequences, and the gradients too."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from tests.ml.conftest import easy_preferences  # noqa: E402
from training.configs import DPOConfig  # noqa: E402
from training.ml import response_logprobs  # noqa: E402
from training.ml.dpo import collate, loss_of, pairs_of  # noqa: E402
from training.ml.models import load_policy  # noqa: E402
from training.ml.preferences import tokenize  # noqa: E402
from training.ml.readings import answered  # noqa: E402
from training.ml.response_logprobs import let_score, scoring_batch  # noqa: E402
from training.ml.shared_prompts import can_share, pair_batch, pair_logprobs, pays, shared_batch  # noqa: E402
from training.ml.tuning import tuned  # noqa: E402

pytestmark = pytest.mark.torch

WIDE = 10**6
"""So wide a model that reading together always pays."""


@pytest.fixture(scope="module")
def pairs(tokenizer):
    return pairs_of(tokenize(easy_preferences(6), tokenizer, "train"))


@pytest.fixture(scope="module")
def model(tiny, tokenizer):
    torch.manual_seed(1)
    adapted = tuned(load_policy(tiny, tokenizer), DPOConfig(lora_rank=4))
    for name, weight in adapted.named_parameters():
        if "lora_B" in name:  # away from the reference
            torch.nn.init.normal_(weight, std=0.2)
    let_score(adapted)
    return adapted


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_loss_and_gradients_are_those_of_two_sequences(model, pairs, tokenizer, precision):
    def learned(shares: bool):
        model.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss, figures = loss_of(model, collate(pairs, tokenizer.pad_token_id, WIDE if shares else 0), DPOConfig())
        loss.backward()
        gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        return figures["logps_chosen"], figures["logps_rejected"], torch.cat(gradients)

    tolerance = {"rtol": 1e-4, "atol": 1e-4} if precision == "float32" else {"rtol": 0.05, "atol": 0.3}
    for apart, together in zip(learned(False), learned(True), strict=True):
        torch.testing.assert_close(apart, together, **tolerance)


def test_what_stands_in_the_padding_changes_nothing(model, pairs, tokenizer):
    batch = shared_batch([(pair.chosen, pair.rejected) for pair in pairs], tokenizer.pad_token_id)
    real = torch.tensor([[len(pair.chosen.ids) + pair.rejected.learned_tokens] for pair in pairs])
    filled = batch["input_ids"].clone()
    filled[torch.arange(filled.shape[1])[None] >= real] = 7
    assert (filled != batch["input_ids"]).any()
    with torch.no_grad():
        clean = model(**batch, score_responses=True).sums
        dirty = model(**{**batch, "input_ids": filled}, score_responses=True).sums
    assert torch.isfinite(clean).all()
    torch.testing.assert_close(clean, dirty, rtol=0, atol=0)


def test_a_model_is_believed_only_where_its_numbers_agree(model, tiny, tokenizer, pairs):
    pair = (pairs[0].chosen, pairs[0].rejected)
    assert can_share(model, pair, tokenizer.pad_token_id)

    forgetful = load_policy(tiny, tokenizer)  # as one that takes no mask of its caller's
    let_score(forgetful)
    trunk = forgetful.model
    read = trunk.forward
    trunk.forward = lambda *args, attention_mask=None, **rest: read(*args, **rest)
    assert not can_share(forgetful, pair, tokenizer.pad_token_id)

    eager = load_policy(tiny, tokenizer)
    eager.set_attn_implementation("eager")
    let_score(eager)
    assert not can_share(eager, pair, tokenizer.pad_token_id)


def test_virtual_tokens_share_no_prompt(tiny, tokenizer, pairs):
    prompt = tuned(load_policy(tiny, tokenizer), DPOConfig(tuning="prompt"))
    let_score(prompt)
    assert not can_share(prompt, (pairs[0].chosen, pairs[0].rejected), tokenizer.pad_token_id)


def test_logits_worked_out_in_pieces_give_the_same_numbers(model, pairs, tokenizer, monkeypatch):
    batch = scoring_batch([pair.chosen for pair in pairs], tokenizer.pad_token_id)

    def learned():
        model.zero_grad()
        sums = model(**batch, score_responses=True).sums
        sums.sum().backward()
        return sums.detach(), torch.cat([w.grad.flatten() for w in model.parameters() if w.grad is not None])

    whole = learned()
    monkeypatch.setattr(response_logprobs, "PIECE", 5 * len(tokenizer))
    for one, other in zip(whole, learned(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_a_model_that_bends_its_logits_is_asked_for_them(tiny, tokenizer, pairs):
    bent = load_policy(tiny, tokenizer)
    let_score(bent)
    batch = scoring_batch([pair.chosen for pair in pairs], tokenizer.pad_token_id)
    with torch.no_grad():
        plain = bent(**batch, score_responses=True)
        bent.config.final_logit_softcapping = 30.0
        asked = bent(**batch, score_responses=True)
    torch.testing.assert_close(plain.sums, asked.sums, rtol=1e-5, atol=1e-5)  # the tiny model itself bends nothing
    assert asked.counts.tolist() == [pair.chosen.learned_tokens for pair in pairs]


def test_a_pair_without_prompt_shares_none(model, tokenizer):
    assert not can_share(model, (answered([], [5, 6]), answered([], [6, 5])), tokenizer.pad_token_id)


def test_long_responses_to_a_short_prompt_are_read_apart():
    assert pays([(100, [50, 50])], hidden=576)
    # 100 + 2 x 1000 in one: 2100 (1 + 2100 / 3456) = 3376; apart 2 x 1100 (1 + 1100 / 3456) = 2900
    assert not pays([(100, [1000, 1000])], hidden=576)
    assert pays([(100, [1000, 1000])], hidden=57_600)
    assert not pays([(10, [100])], hidden=576)  # nothing is shared
    # Padding counts: of two rows of the same total, the sequences apart are as wide as the longest response.
    assert pays([(5, [40, 2]), (5, [2, 40])], hidden=576)


def test_pairs_have_the_same_numbers_however_they_are_read(model, pairs, tokenizer, monkeypatch):
    from training.ml import shared_prompts

    both = [(pair.chosen, pair.rejected) for pair in pairs]
    assert "sources" in pair_batch(both, tokenizer.pad_token_id, WIDE)
    assert "sources" not in pair_batch(both, tokenizer.pad_token_id, 0)
    together = pair_logprobs(model, both, tokenizer.pad_token_id, 4)
    monkeypatch.setattr(shared_prompts, "pays", lambda *_: False)
    assert pair_logprobs(model, both, tokenizer.pad_token_id, 4) == pytest.approx(together, rel=1e-4)
