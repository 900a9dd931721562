"""Supervised fine-tuning: which rows are learned, what the loss is, and that every way to tune comes to an end."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from tests.ml.conftest import easy_preferences, finished_run, in_this_process, make_run_directory, write_tables
from tests.ml.test_several_processes import start as start_processes
from training.configs import BadConfig, SFTConfig
from training.ml.readings import answered
from training.rundir import ModelSource, RunDirectory, RunSpec

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def assistant(text: str) -> dict[str, str]:
    return {"role": "assistant", "content": text}


def provenance(number: int, **overrides: Any) -> dict[str, Any]:
    return {"judgment_id": f"judgment-{number}", "task_id": f"task-{number}", "weight": 1.0, **overrides}


def demonstrations(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Responses with a plain rule: thanks, then the colour; some short, some long."""
    colours = ("red", "blue", "green")
    return [
        {
            "prompt": [user(f"tell {colours[number % 3]} {number}" + " please" * (number % 5))],
            "completion": [assistant(f"thank you {colours[number % 3]}" + " good day" * (number % 4))],
            **provenance(number),
        }
        for number in range(first, first + count)
    ]


def thumb(prompt: str, text: str, label: bool, number: int, **overrides: Any) -> dict[str, Any]:
    return {
        "prompt": [user(prompt)],
        "completion": [assistant(text)],
        "label": label,
        **provenance(number, **overrides),
    }


def snapshot_of(path, **tables: list[dict[str, Any]]) -> dict[str, str]:
    """Write the tables' rows into the train split; returns what a RunSpec says of a snapshot."""
    directory, sha256 = write_tables(path, {table: {"train": rows} for table, rows in tables.items()})
    return {"snapshot": directory, "snapshot_sha256": sha256}


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> dict[str, str]:
    directory, sha256 = write_tables(
        tmp_path_factory.mktemp("written") / "snapshot",
        {"sft": {"train": demonstrations(24), "evaluation": demonstrations(6, first=100)}},
    )
    return {"snapshot": directory, "snapshot_sha256": sha256}


@pytest.fixture(scope="module")
def sft_run(tmp_path_factory, tiny: ModelSource, written) -> RunDirectory:
    config = {"steps": 12, "learning_rate": 5e-3, "checkpoint_every": 4}
    return finished_run(tmp_path_factory.mktemp("sft") / "run", "sft", config, policy=tiny, **written)


def read(tokenizer, tables: dict[str, str], **config: Any):
    from training.ml.responses import read_responses

    return read_responses(RunSpec("1", "sft", {}, **tables), tokenizer, SFTConfig(**config))[0]


def texts(tokenizer, rows) -> list[str]:
    return [tokenizer.decode(row.ids[start : end - 1]) for row in rows for start, end in row.learned]


# What is learned --------------------------------------------------------------------------------------


def test_a_row_is_the_prompt_as_it_is_served_then_the_response_which_alone_is_learned(tokenizer, written):
    from training.ml.chat import prompt_ids, response_ids

    first = demonstrations(1)[0]
    row = read(tokenizer, written)[0]
    prompt = prompt_ids(tokenizer, first["prompt"])
    wanted = answered(prompt, response_ids(tokenizer, first["completion"][0]["content"]))
    assert [*row.readings()[0].ids] == [*wanted.ids]
    assert row.readings()[0].learned == wanted.learned
    assert row.ids[-1] == tokenizer.eos_token_id
    assert row.name == "train row 1 (judgment judgment-0)"


def test_accepted_are_the_chosen_and_those_with_a_thumb_up(tmp_path, tokenizer):
    pairs = easy_preferences(2)
    tables = snapshot_of(
        tmp_path / "s",
        preference=pairs,
        unpaired=[thumb("what is tea", "water", True, 7), thumb("what is tea", "bad", False, 8)],
    )
    rows = read(tokenizer, tables, demonstrations=False, accepted=True)
    chosen = [pair["chosen"][0]["content"] for pair in pairs]
    assert texts(tokenizer, rows) == [*chosen, "water"]
    assert [row.name for row in rows][1:] == [
        "preference train row 2 (judgment judgment-1)",
        "thumb train row 1 (judgment judgment-7)",
    ]


def test_a_response_that_is_rejected_as_often_as_chosen_is_not_accepted(tmp_path, tokenizer):
    one = easy_preferences(1)[0]
    turned = {**one, "chosen": one["rejected"], "rejected": one["chosen"]}
    even = snapshot_of(tmp_path / "even", preference=[one, turned])
    assert read(tokenizer, even, demonstrations=False, accepted=True) == []
    most = snapshot_of(tmp_path / "most", preference=[one, turned, one])
    assert texts(tokenizer, read(tokenizer, most, demonstrations=False, accepted=True)) == [one["chosen"][0]["content"]]


def test_a_correction_is_learned_once_though_it_is_a_preference_too(tmp_path, tokenizer):
    edited = {**easy_preferences(1)[0], "origin": "correction"}
    corrected = {"prompt": edited["prompt"], "completion": edited["chosen"], **provenance(0)}
    tables = snapshot_of(tmp_path / "s", preference=[edited], sft=[corrected])
    assert len(read(tokenizer, tables, accepted=True)) == 1
    assert read(tokenizer, tables, accepted=True, demonstrations=False) == []


def test_the_same_response_from_two_places_is_one_row_with_the_greater_weight(tmp_path, tokenizer):
    said = demonstrations(1)[0]
    again = {**said, **provenance(5, weight=3.0)}
    rows = read(tokenizer, snapshot_of(tmp_path / "s", sft=[said, again]))
    assert [row.weight for row in rows] == [3.0]


def test_a_row_without_weight_is_not_learned(tmp_path, tokenizer):
    rows = demonstrations(2)
    rows[0]["weight"] = 0.0
    assert len(read(tokenizer, snapshot_of(tmp_path / "s", sft=rows))) == 1


TALK = [user("what is tea"), assistant("water"), user("tell red"), assistant("red good"), user("thank you")]


def test_a_talk_is_one_row_in_which_every_answer_is_learned(tmp_path, tokenizer):
    from training.ml.chat import prompt_ids, response_ids

    tables = snapshot_of(tmp_path / "s", conversation=[{"messages": TALK, "turns": 2, **provenance(0)}])
    (row,) = read(tokenizer, tables, demonstrations=False, conversations=True)
    assert texts(tokenizer, [row]) == ["water", "red good"]
    for (start, end), place in zip(row.learned, (1, 3), strict=True):
        assert [*row.ids[:start]] == prompt_ids(tokenizer, TALK[:place])
        assert [*row.ids[start:end]] == response_ids(tokenizer, TALK[place]["content"])


def test_where_the_template_forgets_earlier_turns_each_answer_is_a_row_as_it_is_served(tokenizer):
    from training.ml.chat import prompt_ids
    from training.ml.responses import talk

    template = tokenizer.chat_template
    try:
        tokenizer.chat_template = template.replace("for message in messages", "for message in messages[-1:]")
        rows = talk(tokenizer, TALK, "talk", 1.0)
        prompts = [prompt_ids(tokenizer, TALK[:place]) for place in (1, 3)]
    finally:
        tokenizer.chat_template = template
    assert [[*row.ids[: row.learned[0][0]]] for row in rows] == prompts
    assert texts(tokenizer, rows) == ["water", "red good"]


def test_a_snapshot_without_the_rows_that_were_asked_for_is_refused(tmp_path, tiny, written):
    run = make_run_directory(
        tmp_path / "run", "sft", {"demonstrations": False, "conversations": True}, policy=tiny, **written
    )
    assert in_this_process(run) == 1
    assert "no conversation rows, which a sft run reads; it holds sft" in run.error()


def test_a_config_without_a_source_is_refused():
    with pytest.raises(BadConfig, match="at least one source"):
        SFTConfig(demonstrations=False)


# The loss ---------------------------------------------------------------------------------------------


def losses_by_hand(model, row) -> list[float]:
    """Return -log p of each response token of a row, read by itself."""
    with torch.no_grad():
        logprobs = model(input_ids=torch.tensor([row.ids])).logits[0].log_softmax(-1)
    return [-float(logprobs[place - 1, row.ids[place]]) for start, end in row.learned for place in range(start, end)]


def test_the_first_loss_is_the_mean_over_response_tokens_alone(tmp_path, tiny, tokenizer, written):
    from training.ml.models import load_policy

    model = load_policy(tiny, tokenizer).eval()
    losses = [loss for row in read(tokenizer, written) for loss in losses_by_hand(model, row)]
    config = {"steps": 1, "batch_size": 8, "gradient_accumulation": 3}  # one step reads all 24 rows
    run = finished_run(tmp_path / "run", "sft", config, policy=tiny, **written)
    assert run.metrics()[0]["loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-5)


def test_rows_are_weighed_in_the_loss(tmp_path, tiny, tokenizer):
    from training.ml.models import load_policy

    rows = demonstrations(4)
    for number, row in enumerate(rows):
        row["weight"] = float(number)
    tables = snapshot_of(tmp_path / "s", sft=rows)
    model = load_policy(tiny, tokenizer).eval()
    weighed = [(row.weight, loss) for row in read(tokenizer, tables) for loss in losses_by_hand(model, row)]
    wanted = sum(weight * loss for weight, loss in weighed) / sum(weight for weight, _ in weighed)
    run = finished_run(tmp_path / "run", "sft", {"steps": 1, "batch_size": 3}, policy=tiny, **tables)
    assert run.metrics()[0]["loss"] == pytest.approx(wanted, rel=1e-5)


def test_packed_rows_have_the_loss_that_they_have_alone(tmp_path, tiny, tokenizer, written):
    from training.ml.packing import pack

    rows = read(tokenizer, written)
    packs = pack(rows, 256)
    assert sorted(row.name for one in packs for row in one) == sorted(row.name for row in rows)
    assert all(sum(len(row.ids) for row in one) <= 256 for one in packs)
    config = {"steps": 1, "batch_size": len(packs), "max_length": 256}
    packed = finished_run(tmp_path / "packed", "sft", {**config, "packing": True}, policy=tiny, **written)
    plain = finished_run(tmp_path / "plain", "sft", {**config, "batch_size": 24}, policy=tiny, **written)
    assert packed.metrics()[0]["loss"] == pytest.approx(plain.metrics()[0]["loss"], rel=1e-5)
    assert packed.metrics()[0]["grad_norm"] == pytest.approx(plain.metrics()[0]["grad_norm"], rel=1e-3)


def test_a_model_that_mixes_packed_rows_is_refused(tiny, tokenizer, written, monkeypatch):
    from transformers.models.llama import modeling_llama

    from training.ml.models import load_policy
    from training.ml.packing import MixesRows, refuse_mixing

    model, rows = load_policy(tiny, tokenizer), read(tokenizer, written)
    refuse_mixing(model, rows)
    usual = modeling_llama.create_causal_mask
    monkeypatch.setattr(
        modeling_llama, "create_causal_mask", lambda *args, **options: usual(*args, **{**options, "position_ids": None})
    )
    with pytest.raises(MixesRows, match="llama models mix the rows of one sequence"):
        refuse_mixing(model, rows)


def test_virtual_tokens_and_packing_do_not_go_together():
    with pytest.raises(BadConfig, match="in front of each sequence"):
        SFTConfig(packing=True, tuning="prompt")


# Runs -------------------------------------------------------------------------------------------------


def test_the_model_learns_the_responses(sft_run):
    outcome = sft_run.outcome()
    figures = outcome.evaluation
    assert (outcome.status, outcome.step, figures["n"], figures["rows"]) == ("succeeded", 12, 6, 24)
    assert figures["held_out_loss"] < figures["held_out_loss_before"] - 1.0
    assert figures["loss_first"] == sft_run.metrics()[0]["loss"]


def test_every_step_has_a_row_with_the_promised_names(sft_run):
    assert [row["step"] for row in sft_run.metrics()] == list(range(1, 13))
    for row in sft_run.metrics():
        assert {"loss", "token_accuracy", "learning_rate", "grad_norm", "seconds", "tokens_per_second"} <= set(row)
        assert 0.0 <= row["token_accuracy"] <= 1.0


@pytest.mark.parametrize(
    "config",
    [
        {"tuning": "dora"},
        {"tuning": "prompt", "learning_rate": 0.3, "prompt_tokens": 4},
        {"tuning": "full", "learning_rate": 1e-3},
        {"tuning": "full", "learning_rate": 3e-3, "freeze_layers": 1},
        {"precision": "bfloat16"},
    ],
    ids=lambda config: "-".join(map(str, config.values())),
)
def test_every_way_to_tune_learns_and_leaves_what_it_measured(tmp_path, tiny, tokenizer, written, config):
    from training.ml.models import load_policy
    from training.ml.response_logprobs import let_score
    from training.ml.responses import read_responses
    from training.ml.sft import look_at

    config = {"steps": 12, "learning_rate": 5e-3, **config}
    run = finished_run(tmp_path / "run", "sft", config, policy=tiny, **written)
    figures = run.outcome().evaluation
    assert figures["held_out_loss"] < figures["held_out_loss_before"] - 0.1

    whole = config.get("tuning") == "full"
    assert (run.model_path / "config.json").is_file() is whole
    source = ModelSource(str(run.model_path)) if whole else ModelSource(tiny.base, (str(run.model_path),))
    _, held_out = read_responses(run.spec(), tokenizer, SFTConfig())
    model = load_policy(source, tokenizer)
    let_score(model)
    again = look_at(model, held_out, tokenizer.pad_token_id, 4)
    rounding = 1e-2 if config.get("precision") else 1e-4
    assert again["loss"] == pytest.approx(figures["held_out_loss"], rel=rounding)


def test_frozen_layers_do_not_move(tmp_path, tiny, tokenizer, written):
    from training.ml.models import load_policy

    config = {"steps": 2, "tuning": "full", "freeze_layers": 1, "learning_rate": 1e-2}
    run = finished_run(tmp_path / "run", "sft", config, policy=tiny, **written)
    before = load_policy(tiny, tokenizer).state_dict()
    after = load_policy(ModelSource(str(run.model_path)), tokenizer).state_dict()
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(name.startswith(("model.layers.1.", "model.norm.")) for name in moved)


@pytest.mark.parametrize("tuning", ["lora", "full"])
def test_gradient_checkpointing_changes_nothing_but_memory(tmp_path, tiny, written, tuning):
    config = {"steps": 3, "tuning": tuning, "learning_rate": 1e-3}
    runs = [
        finished_run(tmp_path / str(is_on), "sft", {**config, "gradient_checkpointing": is_on}, policy=tiny, **written)
        for is_on in (False, True)
    ]
    plain, saving = ([row["loss"] for row in run.metrics()] for run in runs)
    assert saving == pytest.approx(plain, rel=1e-5)


def weights(run: RunDirectory) -> bytes:
    (file,) = run.model_path.glob("*.safetensors")
    return file.read_bytes()


def test_it_looks_at_held_out_rows_and_stops_when_they_get_no_better(tmp_path, tiny):
    others = [{**row, "completion": [assistant("zq xj kw vv " * 4)]} for row in demonstrations(4, first=100)]
    directory, sha256 = write_tables(
        tmp_path / "snapshot", {"sft": {"train": demonstrations(24), "evaluation": others}}
    )
    config = {"steps": 40, "learning_rate": 1e-2, "evaluate_every": 2, "patience": 2}
    run = finished_run(tmp_path / "run", "sft", config, policy=tiny, snapshot=directory, snapshot_sha256=sha256)
    looks = {row["step"]: row["held_out_loss"] for row in run.metrics() if "held_out_loss" in row}
    best = min(looks, key=lambda step: looks[step])
    assert max(looks) == best + 4 < 40
    assert run.outcome().step == best
    assert run.outcome().evaluation["held_out_loss"] == pytest.approx(looks[best], rel=1e-4)


@pytest.mark.parametrize("tuning", ["lora", "full", "prompt"])
def test_texts_are_written_on_the_way_and_change_nothing(tmp_path, tiny, written, tuning):
    config = {"steps": 4, "tuning": tuning, "learning_rate": 1e-2}
    plain = finished_run(tmp_path / "plain", "sft", config, policy=tiny, **written)
    run = finished_run(tmp_path / "run", "sft", {**config, "sample_every": 2}, policy=tiny, **written)
    texts = [json.loads(line) for line in run.previews_path.read_text().splitlines()]
    assert [text["step"] for text in texts] == [0] * 4 + [2] * 4 + [4] * 4
    assert {text["response"] for text in texts[:4]} != {text["response"] for text in texts[-4:]}
    assert weights(run) == weights(plain)


def test_rows_that_do_not_fit_are_refused_or_left_out_as_the_run_says(tmp_path, tiny, written):
    config = {"steps": 1, "max_length": 42}
    refused = make_run_directory(tmp_path / "refused", "sft", config, policy=tiny, **written)
    assert in_this_process(refused) == 1
    assert "max_length = 42" in refused.error()
    run = finished_run(tmp_path / "run", "sft", {**config, "max_refused_percent": 50.0}, policy=tiny, **written)
    assert 0 < run.outcome().evaluation["rows"] < 24


def test_a_tuned_whole_model_is_a_base_for_the_next_run(tmp_path, tiny, written):
    config = {"steps": 2, "tuning": "full", "learning_rate": 1e-3}
    first = finished_run(tmp_path / "first", "sft", config, policy=tiny, **written)
    second = finished_run(
        tmp_path / "second", "sft", {"steps": 1}, policy=ModelSource(str(first.model_path)), **written
    )
    assert json.loads((second.model_path / "checkpoint.json").read_text())["base"] == str(first.model_path)
    assert second.outcome().template_digest == first.outcome().template_digest
    assert second.outcome().evaluation["held_out_loss_before"] == pytest.approx(
        first.outcome().evaluation["held_out_loss"], rel=1e-5
    )
    assert math.isfinite(second.metrics()[0]["loss"])


def test_two_processes_have_the_losses_of_one(tmp_path, tiny):
    rows = demonstrations(24)
    for number, row in enumerate(rows):
        row["weight"] = 1.0 + number % 3
    tables = snapshot_of(tmp_path / "s", sft=rows)
    config = {"steps": 3, "batch_size": 4, "gradient_accumulation": 2, "learning_rate": 5e-3}
    one = finished_run(tmp_path / "one", "sft", config, policy=tiny, **tables)
    launch = {"launcher": "accelerate", "processes": 2}
    two = make_run_directory(tmp_path / "two", "sft", config, launch=launch, policy=tiny, **tables)
    assert start_processes(two).wait(300) == 0, two.error() or two.log_path.read_text()[-3000:]
    for name in ("loss", "token_accuracy", "grad_norm"):
        assert [row[name] for row in two.metrics()] == pytest.approx([row[name] for row in one.metrics()], rel=1e-4)
