"""Merging adapters into a whole model."""

from __future__ import annotations

import json

import pytest

from tests.ml.conftest import finished_run, in_this_process, make_run_directory
from training.rundir import ModelSource, directory_digest

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch


def logits(source, tokenizer, dtype=None):
    from training.ml.models import load_policy

    with torch.no_grad():
        model = load_policy(source, tokenizer, dtype or torch.float32)
        return model(input_ids=torch.tensor([[5, 9, 30, 41, 7]])).logits.float()


def test_the_merged_model_says_what_base_and_adapters_say(tmp_path, dpo_model, tokenizer):
    run = finished_run(tmp_path / "merge", "merge", {}, policy=dpo_model)
    whole = ModelSource(str(run.model_path))
    assert torch.allclose(logits(whole, tokenizer), logits(dpo_model, tokenizer), atol=1e-5)
    assert not torch.allclose(logits(whole, tokenizer), logits(ModelSource(dpo_model.base), tokenizer), atol=1e-2)
    outcome = run.outcome()
    assert outcome.status == "succeeded"
    assert outcome.model_sha256 == directory_digest(run.model_path)
    assert outcome.evaluation["largest_difference"] == 0.0
    assert json.loads((run.model_path / "checkpoint.json").read_text())["is_whole"] is True


def test_any_program_of_the_field_reads_it(tmp_path, dpo_model, tokenizer):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    run = finished_run(tmp_path / "merge", "merge", {}, policy=dpo_model)
    assert AutoTokenizer.from_pretrained(run.model_path).chat_template == tokenizer.chat_template
    assert AutoModelForCausalLM.from_pretrained(run.model_path).config.use_cache


def test_half_precision_takes_half_the_room_and_says_what_it_costs(tmp_path, dpo_model):
    plain = finished_run(tmp_path / "plain", "merge", {}, policy=dpo_model)
    half = finished_run(tmp_path / "half", "merge", {"precision": "bfloat16"}, policy=dpo_model)
    sizes = [(run.model_path / "model.safetensors").stat().st_size for run in (plain, half)]
    assert sizes[1] == pytest.approx(sizes[0] / 2, rel=0.05)
    assert 0.0 < half.outcome().evaluation["largest_difference"] < 1.0


def test_merging_again_leaves_the_same_files(tmp_path, dpo_model):
    first, second = (
        finished_run(tmp_path / name, "merge", {}, policy=dpo_model).outcome().model_sha256 for name in ("one", "two")
    )
    assert first == second


def test_a_whole_model_is_refused(tmp_path, tiny):
    run = make_run_directory(tmp_path / "merge", "merge", {}, policy=tiny)
    assert in_this_process(run) == 1
    assert "there is no adapter to merge" in run.error()


def test_a_tuned_prompt_is_refused(tmp_path, tiny, dpo_model):
    config = json.dumps({"peft_type": "PROMPT_TUNING"})
    place = tmp_path / "prompt"
    place.mkdir()
    (place / "adapter_config.json").write_text(config)
    run = make_run_directory(tmp_path / "merge", "merge", {}, policy=ModelSource(tiny.base, (str(place),)))
    assert in_this_process(run) == 1
    assert "cannot be merged. Merge the model below it" in run.error()


def test_a_merged_policy_is_evaluated_against_the_base_that_its_adapters_stood_on(tmp_path, dpo_model, snapshot):
    merged = finished_run(tmp_path / "merge", "merge", {}, policy=dpo_model)
    labels = {"snapshot": snapshot[0], "snapshot_sha256": snapshot[1]}
    before, after = (
        finished_run(tmp_path / name, "evaluate", {}, policy=policy, **labels).outcome().evaluation
        for name, policy in (("adapters", dpo_model), ("whole", ModelSource(str(merged.model_path))))
    )
    assert after == before
    assert after["accuracy"] == 1.0
