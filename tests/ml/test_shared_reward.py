"""A reward model that reads all responses to a prompt in one sequence learns what it would from one for each."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from peft import TaskType  # noqa: E402

from tests.ml.conftest import finished_run, write_tables  # noqa: E402
from tests.ml.test_reward_kinds import RANKINGS, RATINGS  # noqa: E402
from training.configs import RewardConfig  # noqa: E402
from training.ml.models import load_policy  # noqa: E402
from training.ml.reward_models import with_score_head  # noqa: E402
from training.ml.reward_rows import RewardRow  # noqa: E402
from training.ml.reward_trainer import READ, Collate, Objective, can_share_prompts, let_score_ends  # noqa: E402
from training.ml.tuning import tuned  # noqa: E402

pytestmark = pytest.mark.torch

END = 2
WIDE = 10**6
"""So wide a model that reading together always pays."""


def row(prompt: list[int], *lengths: int, ranks: list[int], **fields) -> RewardRow:
    responses = [[*range(10 * at + 10, 10 * at + 9 + length), END] for at, length in enumerate(lengths)]
    return RewardRow(f"row {len(prompt)}", prompt, responses, ranks, **fields)


ROWS = [
    row([5, 6, 7, 8], 3, 6, ranks=[1, 2], margin=2.0),
    row([9, 5], 4, 2, ranks=[1, 1]),
    row([6, 6, 5], 2, 5, 3, 4, ranks=[1, 2, 2, 3]),
    row([8, 7, 6, 5, 9], 3, ranks=[1], ratings={"polite": 0.75}),
]


def classifier(tiny, tokenizer, tuning: str = "lora"):
    config = RewardConfig(tuning=tuning)
    torch.manual_seed(3)
    model = tuned(with_score_head(load_policy(tiny, tokenizer), 3, rows=4), config, TaskType.SEQ_CLS)
    for name, weight in model.named_parameters():
        if "lora_B" in name or "score" in name:
            torch.nn.init.normal_(weight, std=0.2)
    let_score_ends(model)
    return model


@pytest.fixture(scope="module")
def model(tiny, tokenizer):
    return classifier(tiny, tokenizer)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_loss_gradients_and_figures_are_those_of_sequences_of_their_own(tiny, tokenizer, tuning):
    model = classifier(tiny, tokenizer, tuning)
    objective = Objective(heads=2, nu=0.5, use_ties=True, centring=0.01)

    def learned(shares: bool):
        model.zero_grad()
        batch = Collate(tokenizer.pad_token_id, ("polite",), True, WIDE if shares else 0)(ROWS)
        assert ("position_ids" in batch) == shares
        loss, sums = objective(model(**{name: batch[name] for name in READ if name in batch}).logits, batch)
        loss.backward()
        gradients = [weight.grad.flatten() for weight in model.parameters() if weight.grad is not None]
        return loss.detach(), sums, torch.cat(gradients)

    apart, together = learned(False), learned(True)
    assert float(apart[2].norm()) > 0.01
    for one, other in zip(apart, together, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_tokens_read_together_are_fewer_and_those_told_are_the_same(tokenizer):
    apart, together = (Collate(tokenizer.pad_token_id, (), True, hidden)(ROWS[:3]) for hidden in (0, WIDE))
    assert int(apart["attention_mask"].sum()) == int(apart["tokens"]) == int(together["tokens"])
    assert together["input_ids"].numel() < apart["input_ids"].numel()
    assert together["input_ids"].shape == (3, max(4 + 9, 2 + 6, 3 + 14))


def test_what_stands_in_the_padding_changes_no_score(model, tokenizer):
    batch = Collate(tokenizer.pad_token_id, ("polite",), True, WIDE)(ROWS)
    read = {name: batch[name] for name in READ}
    filled = batch["input_ids"].clone()
    for place, one in enumerate(ROWS):
        filled[place, one.shared_length :] = 7
    assert (filled != batch["input_ids"]).any()
    with torch.no_grad():
        clean, dirty = model(**read).logits, model(**{**read, "input_ids": filled}).logits
    torch.testing.assert_close(clean, dirty, rtol=0, atol=0)


def test_a_model_is_believed_only_where_its_scores_agree(model, tiny, tokenizer):
    pad_id = tokenizer.pad_token_id
    assert can_share_prompts(model, ROWS, pad_id)
    assert not can_share_prompts(model, ROWS[3:], pad_id)  # no row has two responses

    forgetful = classifier(tiny, tokenizer, "full")
    read = forgetful.model.forward
    forgetful.model.forward = lambda *args, attention_mask=None, **rest: read(*args, **rest)
    assert not can_share_prompts(forgetful, ROWS, pad_id)

    eager = classifier(tiny, tokenizer, "full")
    eager.set_attn_implementation("eager")
    assert not can_share_prompts(eager, ROWS, pad_id)


def test_a_run_that_shares_ends_where_one_that_does_not_ends(tmp_path, tiny, snapshot, monkeypatch):
    from training.ml import reward

    config = {"steps": 3, "learning_rate": 5e-3, "group_by_length": False}
    inputs = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    shared = finished_run(tmp_path / "shared", "reward", config, **inputs)
    monkeypatch.setattr(reward, "can_share_prompts", lambda *_: False)
    apart = finished_run(tmp_path / "apart", "reward", config, **inputs)
    for name in ("loss", "grad_norm", "accuracy", "margin"):
        assert [line[name] for line in shared.metrics()] == pytest.approx(
            [line[name] for line in apart.metrics()], rel=1e-3, abs=1e-5
        )


# Attribute heads --------------------------------------------------------------------------------------


def asked_otherwise(rated: dict) -> dict:
    return {**rated, "prompt": [{"role": "user", "content": rated["prompt"][0]["content"].replace("what", "tell")}]}


def test_heads_are_measured_on_held_out_ratings_and_asked_for_without_any_refused(tmp_path, tiny, snapshot):
    from tests.ml.conftest import easy_preferences, in_this_process, make_run_directory

    directory, sha256 = write_tables(
        tmp_path / "snapshot",
        {
            "preference": {"train": easy_preferences(12), "evaluation": easy_preferences(4, seed=1)},
            "ranking": {"train": RANKINGS},
            "rating": {"train": RATINGS, "evaluation": [asked_otherwise(one) for one in RATINGS]},
        },
    )
    config = {"steps": 40, "learning_rate": 1e-2, "attribute_heads": True}
    run = finished_run(tmp_path / "run", "reward", config, policy=tiny, snapshot=directory, snapshot_sha256=sha256)
    clear, polite = run.outcome().evaluation["attributes"]
    assert (polite["attribute"], polite["n"], clear["attribute"], clear["n"]) == ("polite", 16, "clear", 8)
    assert polite["error"] < polite["error_of_one"] == 0.5  # eight at the upper end, eight at the lower
    assert 0.5 < polite["low"] < polite["order"] <= polite["high"] <= 1.0
    assert clear["order"] is None
    labels = next(check for check in run.preflight().checks if check.name == "labels")
    assert labels.message == "It learns from 12 preferences, 4 ties, 6 rankings, 16 ratings."

    without = make_run_directory(
        tmp_path / "without", "reward", {"attribute_heads": True}, policy=tiny, snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
    )  # fmt: skip
    assert in_this_process(without) == 1
    assert "attribute_heads: the snapshot has no rating in its train split" in without.error()
