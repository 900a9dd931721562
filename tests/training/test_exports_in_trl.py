"""Every format of an export goes into the trainer of TRL 1.16 that it is for, as it was downloaded."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from feedback.exports.forms import export_stream
from feedback.models import Project, Snapshot, User
from tests.every_kind import judge_everything
from tests.factories import make_snapshot

pytestmark = [pytest.mark.torch, pytest.mark.django_db]
Load = Callable[..., Any]


@pytest.fixture
def snapshot(project: Project, annotator: User) -> Snapshot:
    for split in ("train", "train", "evaluation"):
        judge_everything(project, annotator, split)
    return make_snapshot(project)


@pytest.fixture
def load(snapshot: Snapshot, tmp_path: Path) -> Load:
    """Unpack an export and load it as its card says."""

    def loaded(name: str, form: str) -> Any:
        from datasets import load_dataset, load_from_disk

        place = tmp_path / f"{name}-{form}"
        with zipfile.ZipFile(io.BytesIO(b"".join(export_stream(snapshot, name=name, form=form)))) as archive:
            archive.extractall(place)
        (card,) = place.glob("*/README.md")
        if form == "dataset":
            return load_from_disk(str(card.parent))
        return load_dataset(str(card.parent), cache_dir=str(tmp_path / "cache"))

    return loaded


def arguments(place: Path, **more: Any) -> dict[str, Any]:
    return {
        "output_dir": str(place),
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
        **more,
    }


def loss_of(trainer: Any) -> float:
    trainer.train()
    assert trainer.state.global_step == 1
    (loss,) = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return loss


@pytest.mark.parametrize("form", ["parquet", "jsonl", "dataset"])
def test_pairs_train_a_reward_model_with_their_margin_and_evaluation_pairs_measure_it(load, tiny_model, tmp_path, form):
    from trl import RewardConfig, RewardTrainer

    rows, measured = load("preference", form), load("evaluation", form)
    trainer = RewardTrainer(
        model=str(tiny_model), args=RewardConfig(**arguments(tmp_path)), train_dataset=rows["train"],
        eval_dataset=measured["evaluation"],
    )  # fmt: skip
    assert math.isfinite(loss_of(trainer))
    assert "margin" in trainer.train_dataset.column_names
    assert math.isfinite(trainer.evaluate()["eval_loss"])


def test_pairs_train_a_policy_by_dpo(load, tiny_model, tmp_path):
    from trl import DPOConfig, DPOTrainer

    rows = load("preference", "jsonl")["train"]
    trainer = DPOTrainer(model=str(tiny_model), args=DPOConfig(**arguments(tmp_path)), train_dataset=rows)
    assert loss_of(trainer) == pytest.approx(math.log(2), abs=1e-4)


@pytest.mark.parametrize("form", ["jsonl", "dataset"])
def test_good_and_bad_responses_train_a_policy_by_kto(load, tiny_model, tmp_path, form):
    from trl import KTOConfig, KTOTrainer

    rows = load("unpaired", form)["train"].shuffle(seed=1)
    assert set(rows["label"]) == {True, False}
    trainer = KTOTrainer(model=str(tiny_model), args=KTOConfig(**arguments(tmp_path)), train_dataset=rows)
    assert loss_of(trainer) == pytest.approx(0.5, abs=1e-4)


@pytest.mark.parametrize("name", ["prompt_completion", "messages"])
@pytest.mark.parametrize("form", ["parquet", "jsonl", "dataset"])
def test_written_responses_and_talks_train_a_policy_by_sft(load, tiny_model, tmp_path, name, form):
    from trl import SFTConfig, SFTTrainer

    rows = load(name, form)["train"]
    trainer = SFTTrainer(model=str(tiny_model), args=SFTConfig(**arguments(tmp_path)), train_dataset=rows)
    assert math.isfinite(loss_of(trainer))


@pytest.mark.parametrize("trainer_name", ["GRPO", "RLOO"])
def test_prompts_alone_train_a_policy_by_its_own_samples(load, tiny_model, tmp_path, trainer_name):
    import trl

    rows = load("prompt_only", "jsonl")["train"]
    config = getattr(trl, f"{trainer_name}Config")(
        **arguments(tmp_path, num_generations=2, max_completion_length=4, temperature=1.0)
    )

    def length(completions: Any, **_: Any) -> list[float]:
        return [float(len(completion[0]["content"])) for completion in completions]

    trainer = getattr(trl, f"{trainer_name}Trainer")(
        model=str(tiny_model), args=config, train_dataset=rows, reward_funcs=length
    )
    assert math.isfinite(loss_of(trainer))


@pytest.mark.parametrize("name", ["ranking", "rating"])
def test_what_no_trainer_takes_is_loaded_all_the_same_and_looks_like_no_pair(load, name):
    for form in ("parquet", "jsonl", "dataset"):
        assert not {"chosen", "rejected"} & set(load(name, form)["train"].column_names)
