"""The look before the first step: what blocks, what warns, what is shown, and what was left out."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ml.conftest import (
    easy_preferences,
    finished_run,
    in_this_process,
    make_run_directory,
    without_times,
    write_snapshot,
)
from training.configs import DPOConfig, GRPOConfig, KTOConfig, PPOConfig, RewardConfig, SFTConfig
from training.ml import checks
from training.ml.checks import ReadRow
from training.ml.estimates import padded, widest_batch, work_of
from training.ml.models import load_tokenizer
from training.ml.preferences import tokenize
from training.ml.preflight import PreflightFailed, look_first
from training.ml.readings import PromptTokens, Reading, answered, masked
from training.rundir import Check, ModelSource, Preflight, RunDirectory, RunSpec, write_json

pytestmark = pytest.mark.torch


@dataclass
class AnyRow:
    """A row of one sequence."""

    reading: Reading
    name: str = "row 1"

    def readings(self) -> list[Reading]:
        return [self.reading]


def read(rows) -> list[ReadRow]:
    return [ReadRow(row, row.readings()) for row in rows]


def row(tokenizer, text: str, *, prompt: str = "<|im_start|>user\ntea<|im_end|>", name: str = "row 1") -> AnyRow:
    """A prompt and a response exactly as written: its end token, too, must be in the text."""
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in (prompt, text)]
    return AnyRow(answered(*ids), name)


@pytest.fixture
def looking(tmp_path, tiny):
    run = RunDirectory(tmp_path / "run")
    spec = RunSpec("run", "dpo", {}, policy=tiny)
    run.write_spec(spec)

    def look(config, tokenizer, rows, held_out=(), **options) -> tuple[RunDirectory, Preflight, tuple]:
        kept = look_first(run, dataclasses.replace(spec, **options.pop("spec", {})), config, tokenizer, rows, held_out)
        preflight = run.preflight()
        assert preflight is not None
        return run, preflight, kept

    look.run = run
    return look


def verdicts(preflight: Preflight) -> dict[str, str]:
    return {check.name: check.verdict for check in preflight.checks}


# Whole runs -------------------------------------------------------------------------------------------


def test_a_run_shows_its_rows_with_the_learned_tokens_marked(dpo_run):
    example = dpo_run.preflight().examples[0]
    assert example["name"] == "train row 1 (judgment judgment-0), chosen"
    text = "".join(piece["text"] for piece in example["pieces"])
    assert text.startswith("<|im_start|>user\ntell ")
    learned = "".join(piece["text"] for piece in example["pieces"] if piece["learned"])
    assert learned.startswith("thank you")
    assert learned.endswith("<|im_end|>")
    assert learned.count("<|im_end|>") == 1
    assert all(piece["text"].startswith("<|") for piece in example["pieces"] if piece["special"])


def test_a_good_run_passes_every_check(dpo_run):
    found = verdicts(dpo_run.preflight())
    assert set(found) == {
        *("length", "empty", "start_token", "end_token", "control_tokens", "same", "mask", "overlap", "passes"),
        *("pad_token", "template", "memory", "learning_rate"),
    }
    assert set(found.values()) == {"ok"}


def test_what_happened_stands_beside_the_estimate(dpo_run):
    estimate = dpo_run.preflight().estimate
    assert estimate["seconds"] > 0
    assert estimate["memory_mb"] > 100
    rows = dpo_run.metrics()
    assert estimate["happened_step_seconds"] == pytest.approx(sum(row["seconds"] for row in rows) / 6, abs=1e-3)
    assert estimate["happened_memory_mb"] > 100


def test_the_look_changes_nothing_of_what_is_trained(dpo_run, tmp_path, tiny, snapshot, monkeypatch):
    """With dropout, which draws from torch's generator, a run whose trial was left out gives the same losses."""
    from training.ml import preflight

    config = {"steps": 3, "learning_rate": 5e-3, "lora_dropout": 0.3}
    inputs = {"policy": tiny, "snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    looked = finished_run(tmp_path / "looked", "dpo", config, **inputs)
    monkeypatch.setattr(preflight, "is_sharded", lambda: True)  # as where no process holds the whole model
    blind = finished_run(tmp_path / "blind", "dpo", config, **inputs)
    assert looked.preflight().estimate
    assert not blind.preflight().estimate
    assert without_times(looked.metrics()) == without_times(blind.metrics())


def test_a_run_waits_until_somebody_has_seen_what_was_found(tmp_path, tiny, snapshot):
    run = make_run_directory(
        tmp_path / "run",
        "dpo",
        {"steps": 2},
        policy=tiny,
        snapshot=snapshot[0],
        snapshot_sha256=snapshot[1],
        waits_after_preflight=True,
    )
    assert in_this_process(run) == 0
    assert (run.outcome().status, run.outcome().step) == ("paused", 0)
    assert run.preflight().examples
    assert not run.metrics()
    run.outcome_path.unlink()
    run.preflight_seen_path.touch()
    assert in_this_process(run) == 0
    assert (run.outcome().status, run.outcome().step) == ("succeeded", 2)


def test_rows_within_the_limit_are_left_out_and_counted(tmp_path, tiny):
    rows = easy_preferences(20)
    rows[3]["chosen"] = [{"role": "assistant", "content": "tea " * 300}]
    rows[4]["rejected"] = [{"role": "assistant", "content": " \n"}]
    directory, sha256 = write_snapshot(tmp_path / "snapshot", rows, easy_preferences(12, seed=1))
    inputs = {"policy": tiny, "snapshot": directory, "snapshot_sha256": sha256}
    config = {"steps": 2, "max_length": 200}
    refused = make_run_directory(tmp_path / "refused", "dpo", config, **inputs)
    assert in_this_process(refused) == 1
    assert "1 of 32 rows are longer than max_length = 200 tokens: train row 4 (judgment judgment-3)" in refused.error()
    assert "1 of 32 rows have an empty response: train row 5 (judgment judgment-4)." in refused.error()
    assert [check.name for check in refused.preflight().blocking] == ["length", "empty"]

    run = finished_run(tmp_path / "run", "dpo", config | {"max_refused_percent": 7.0}, **inputs)
    found = {check.name: check for check in run.preflight().checks}
    assert (found["length"].verdict, found["length"].figures["left_out"]) == ("warning", 1)
    assert (found["empty"].verdict, found["empty"].figures["left_out"]) == ("warning", 1)
    assert found["passes"].figures["rows"] == 18


# Each check -------------------------------------------------------------------------------------------


def test_a_start_token_that_stands_twice_blocks(tokenizer):
    twice = row(tokenizer, "yes<|im_end|>", prompt="<|im_start|><|im_start|>user\ntea", name="row 7")
    found = checks.check_start(read([twice]), tokenizer)
    assert found.verdict == "blocking"
    assert "first of row 7" in found.message


def test_a_start_token_that_the_tokenizer_sets_and_the_template_lacks_is_told(tiny_path):
    from tokenizers.processors import TemplateProcessing

    tokenizer = load_tokenizer(ModelSource(str(tiny_path)))
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", tokenizer.bos_token_id)]
    )
    missing = row(tokenizer, "yes<|im_end|>", prompt="tea ")
    found = checks.check_start(read([missing]), tokenizer)
    assert (found.verdict, found.figures) == ("warning", {"missing": 1})
    served_twice = checks.check_template(tokenizer, [])
    assert served_twice.verdict == "warning"
    assert "reads <|im_start|> twice" in served_twice.message


@pytest.mark.parametrize(
    ("text", "problem"),
    [("yes", "do not end with <|im_end|>"), ("yes<|im_end|><|im_end|>", "end with <|im_end|> twice")],
)
def test_an_end_token_that_is_missing_or_doubled_blocks(tokenizer, text, problem):
    found = checks.check_end(read([row(tokenizer, "no<|im_end|>"), row(tokenizer, text, name="row 2")]), tokenizer)
    assert found.verdict == "blocking"
    assert problem in found.message
    assert "row 2" in found.message


def test_every_turn_of_a_talk_must_end(tokenizer):
    ids = tokenizer("<|im_start|>yes<|im_end|>\nno<|im_start|>", add_special_tokens=False)["input_ids"]
    end = ids.index(tokenizer.eos_token_id)
    mask = [0] + [1] * end + [0] + [1] * (len(ids) - end - 2)
    talk = AnyRow(masked(ids, mask))
    assert len(talk.reading.learned) == 2
    assert checks.check_end(read([talk]), tokenizer).figures["missing"] == 1


def test_a_pad_token_that_is_the_end_token_blocks(tiny_path):
    tokenizer = load_tokenizer(ModelSource(str(tiny_path)))
    assert checks.check_pad(tokenizer).verdict == "ok"
    tokenizer.pad_token = tokenizer.eos_token
    assert checks.check_pad(tokenizer).verdict == "blocking"


def test_a_tokenizer_that_pads_with_its_end_token_is_given_another(tmp_path, tiny_path):
    from transformers import AutoTokenizer

    raw = AutoTokenizer.from_pretrained(tiny_path)
    raw.pad_token = raw.eos_token
    raw.save_pretrained(tmp_path / "padded")
    found = checks.check_pad(load_tokenizer(ModelSource(str(tmp_path / "padded"))))
    assert found.verdict == "ok"
    assert "padded with its end token <|im_end|>; this run pads with <|endoftext|>" in found.message


def test_a_token_of_the_template_within_a_response_is_a_warning(tokenizer):
    forged = row(tokenizer, "yes<|im_end|>\n<|im_start|>user\nmore<|im_end|>", name="row 9")
    found = checks.check_control_tokens(read([row(tokenizer, "no<|im_end|>"), forged]), tokenizer)
    assert (found.verdict, found.figures) == ("warning", {"rows": 1})
    assert "first row 9" in found.message


def test_pairs_of_one_text_are_a_warning(tokenizer):
    rows = easy_preferences(4)
    rows[2]["rejected"] = rows[2]["chosen"]
    found = checks.check_same(read(tokenize(rows, tokenizer, "train")))
    assert (found.verdict, found.figures) == ("warning", {"rows": 1})


@pytest.mark.parametrize(("again", "verdict"), [(0, "ok"), (1, "warning"), (2, "blocking")])
def test_prompts_that_are_trained_on_and_measured_on_are_found(looking, tokenizer, again, verdict):
    rows, held_out = easy_preferences(20), easy_preferences(30, seed=1)
    for place in range(again):
        held_out[place]["prompt"] = rows[place]["prompt"]
    both = [tokenize(part, tokenizer, split) for part, split in ((rows, "train"), (held_out, "evaluation"))]
    if verdict == "blocking":
        with pytest.raises(PreflightFailed, match="2 of 30 held-out rows"):
            looking(DPOConfig(), tokenizer, *both)
        assert verdicts(looking.run.preflight())["overlap"] == "blocking"
    else:
        assert verdicts(looking(DPOConfig(), tokenizer, *both)[1])["overlap"] == verdict


def test_nothing_held_out_is_a_warning(looking, tokenizer):
    found = verdicts(looking(DPOConfig(), tokenizer, tokenize(easy_preferences(20), tokenizer, "train"))[1])
    assert found["overlap"] == "warning"


def test_nothing_left_to_learn_blocks(looking, tokenizer):
    with pytest.raises(PreflightFailed, match="No row is left"):
        looking(DPOConfig(), tokenizer, [])


def test_many_passes_are_a_warning():
    assert checks.check_passes(20, 4, 40).verdict == "ok"
    assert checks.check_passes(20, 8, 40).figures["passes"] == 16.0
    assert checks.check_passes(20, 8, 40).verdict == "warning"


# The template -----------------------------------------------------------------------------------------

STRIPPED = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'].strip() + '<|im_end|>' + '\n' }}"
OTHER_END = "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|endoftext|>' + '\n' }}"
BODY = (
    "{{% for message in messages %}}{}{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n{{% endif %}}"
)


@pytest.mark.parametrize(
    ("turn", "said"),
    [(STRIPPED, "strips white space"), (OTHER_END, "'<|endoftext|>\\n<|im_start|>user'")],
)
def test_a_template_that_reads_a_response_otherwise_later_is_told(tiny_path, turn, said):
    tokenizer = load_tokenizer(ModelSource(str(tiny_path)))
    tokenizer.chat_template = BODY.format(turn)
    found = checks.check_template(tokenizer, [])
    assert found.verdict == "warning"
    assert said in found.message


def test_a_policy_of_another_template_blocks(tokenizer, tiny, tmp_path):
    adapter = tmp_path / "dpo-1"
    adapter.mkdir()
    write_json(adapter / "checkpoint.json", {"template_digest": "0" * 64})
    found = checks.check_template(tokenizer, [ModelSource(tiny.base, (str(adapter),))])
    assert found.verdict == "blocking"
    assert "dpo-1" in found.message


# Other kinds ------------------------------------------------------------------------------------------


def test_prompts_alone_are_looked_at_too(looking, tokenizer):
    prompts = [PromptTokens(f"prompt {number}", [1, 5, 6, number]) for number in range(10)]
    _, preflight, (kept, _) = looking(PPOConfig(max_prompt_length=8, updates=5), tokenizer, prompts)
    assert kept == prompts
    assert set(verdicts(preflight).values()) == {"ok"}
    assert not any(piece["learned"] for example in preflight.examples for piece in example["pieces"])
    with pytest.raises(PreflightFailed, match="longer than max_prompt_length = 3 tokens"):
        looking(PPOConfig(max_prompt_length=3), tokenizer, prompts)


def test_what_a_kind_has_to_say_itself_can_block(looking, tokenizer, tiny):
    rows = tokenize(easy_preferences(20), tokenizer, "train")
    run = looking.run
    own = [Check("own", "blocking", "Not so."), Check("other", "ok", "")]
    with pytest.raises(PreflightFailed, match=r"^Not so\.$"):
        look_first(run, run.spec(), DPOConfig(), tokenizer, rows, extra=own)


def test_a_long_example_is_shown_without_its_middle(looking, tokenizer):
    long = AnyRow(answered([5] * 1500, [6, tokenizer.eos_token_id]), "row 1")
    _, preflight, _ = looking(SFTConfig(max_length=2000), tokenizer, [long])
    (example,) = preflight.examples
    assert example["tokens"] == 1502
    assert any(piece["text"] == " … 502 tokens … " for piece in example["pieces"])
    assert example["pieces"][-1]["learned"]


@pytest.mark.parametrize(
    ("config", "trained", "read_each", "once"),
    [
        (SFTConfig(steps=10), 4 * 100, 0, 0),
        (RewardConfig(steps=10), 4 * 100, 0, 0),
        (DPOConfig(steps=2, batch_size=4, gradient_accumulation=2), 8 * 100, 0, 16 * 100),
        (DPOConfig(steps=1000), 4 * 100, 0, 20 * 100),
        (DPOConfig(loss="simpo", beta=2.0), 4 * 100, 0, 0),
        (KTOConfig(steps=1), 4 * 100, 4 * 100, 2 * 4 * 100),
        (PPOConfig(max_new_tokens=20, batch_size=8, ppo_epochs=3), 3 * 8 * 120, (3 * 8 - 4) * 120, 0),
        (
            PPOConfig(max_new_tokens=20, batch_size=8, ppo_epochs=3, value_model="own"),
            2 * 3 * 8 * 120,
            (4 * 8 - 4) * 120,
            0,
        ),
        (GRPOConfig(max_new_tokens=20, prompts_per_step=2, responses_per_prompt=4), 8 * 120, 2 * 8 * 120, 0),
    ],
)
def test_the_work_of_each_kind_is_counted_by_hand(config, trained, read_each, once):
    work = work_of(config, [[100]] * 20)
    assert (work.trained, work.read, work.read_once) == pytest.approx((trained, read_each, once))


def test_padding_is_counted_where_rows_are_not_grouped():
    assert padded([[10], [30]], 1, is_grouped=False) == 20
    assert padded([[10], [30]], 4, is_grouped=True) == 20
    assert padded([[10], [30]], 4, is_grouped=False) == pytest.approx(30 - 20 / 16, abs=1.5)


def test_rows_of_different_shape_are_counted_each_by_its_own():
    rows = [[10, 20], [5], [8, 30, 30]]  # a pair, a rating, a ranking of three
    assert padded(rows, 4, is_grouped=True) == pytest.approx((2 * 20 + 5 + 3 * 30) / 3)
    assert widest_batch(rows, 2) == 30 * 5
    work = work_of(RewardConfig(steps=1, batch_size=1), rows)
    assert (work.trained, work.widest) == (pytest.approx(45), 90)


def test_the_memory_that_is_there_is_told(tmp_path: Path):
    from training.ml.preflight import check_memory

    assert check_memory(1000, 2000 * 2**20).verdict == "ok"
    assert check_memory(3000, 2000 * 2**20).verdict == "warning"
    assert check_memory(3000, 0).verdict == "ok"


@pytest.mark.parametrize(
    ("tuning", "rate", "verdict"),
    [
        ("lora", 1e-4, "ok"),
        ("lora", 0.1, "warning"),
        ("full", 1e-5, "ok"),
        ("full", 1e-3, "warning"),
        ("prompt", 1e-4, "warning"),
        ("prompt", 0.03, "ok"),
    ],
)
def test_a_learning_rate_for_another_way_to_tune_is_told(tuning, rate, verdict):
    found = checks.check_learning_rate(tuning, rate)
    assert found.verdict == verdict
    assert verdict == "ok" or "is usual" in found.message
