"""A downloaded snapshot goes into TRL as it is: what its card and its page promise to people who train elsewhere."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from feedback.contract import TABLES
from feedback.models import Project, User
from feedback.snapshots import snapshot_zip
from tests.every_kind import judge_everything
from tests.factories import make_snapshot

pytestmark = [pytest.mark.torch, pytest.mark.django_db]


@pytest.fixture
def directory(project: Project, annotator: User, tmp_path: Path) -> Path:
    """A snapshot of every kind of task, by way of the zip that people download."""
    for split in ("train", "train", "evaluation"):
        judge_everything(project, annotator, split)
    snapshot = make_snapshot(project)
    with zipfile.ZipFile(io.BytesIO(b"".join(snapshot_zip(snapshot)))) as archive:
        archive.extractall(tmp_path)
    (card,) = tmp_path.glob("*/README.md")
    return card.parent


def load(directory: Path, *table: str) -> Any:
    from datasets import load_dataset

    return load_dataset(str(directory), *table, cache_dir=str(directory.parent / "cache"))


def arguments(place: Path) -> dict[str, Any]:
    return {
        "output_dir": str(place),
        "max_steps": 1,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "bf16": False,
        "report_to": "none",
        "save_strategy": "no",
        "logging_steps": 1,
    }


def loss_of(trainer: Any) -> float:
    """Train for one step and return its loss."""
    trainer.train()
    assert trainer.state.global_step == 1
    (loss,) = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    return loss


def test_every_table_is_a_configuration_with_both_splits(directory: Path) -> None:
    from datasets import get_dataset_config_names

    assert set(get_dataset_config_names(str(directory))) == set(TABLES)
    for table in TABLES:
        loaded = load(directory, table)
        assert set(loaded) == {"train", "evaluation"}
        assert all(
            {"judgment_id", "annotator", "simulated", "flags"} <= set(rows.column_names) for rows in loaded.values()
        )


def test_preferences_are_what_is_loaded_when_no_table_is_named(directory: Path) -> None:
    assert load(directory)["train"].to_list() == load(directory, "preference")["train"].to_list()


def test_the_reward_trainer_takes_the_preferences(directory: Path, tiny_model: Path, tmp_path: Path) -> None:
    from trl import RewardConfig, RewardTrainer

    rows = load(directory)
    trainer = RewardTrainer(
        model=str(tiny_model), args=RewardConfig(**arguments(tmp_path)), train_dataset=rows["train"],
        eval_dataset=rows["evaluation"],
    )  # fmt: skip
    assert math.isfinite(loss_of(trainer))
    assert "margin" in trainer.train_dataset.column_names
    assert math.isfinite(trainer.evaluate()["eval_loss"])


def test_the_dpo_trainer_takes_the_preferences(directory: Path, tiny_model: Path, tmp_path: Path) -> None:
    from trl import DPOConfig, DPOTrainer

    rows = load(directory)["train"]
    trainer = DPOTrainer(model=str(tiny_model), args=DPOConfig(**arguments(tmp_path)), train_dataset=rows)
    assert loss_of(trainer) == pytest.approx(math.log(2), abs=1e-4)


def test_the_kto_trainer_takes_the_thumbs(directory: Path, tiny_model: Path, tmp_path: Path) -> None:
    from trl import KTOConfig, KTOTrainer

    rows = load(directory, "unpaired")["train"]
    assert sorted(rows["label"]) == [False, False, True, True]
    trainer = KTOTrainer(model=str(tiny_model), args=KTOConfig(**arguments(tmp_path)), train_dataset=rows)
    assert loss_of(trainer) == pytest.approx(0.5, abs=1e-4)  # policy and reference are one model: sigmoid(0)


@pytest.mark.parametrize("table", ["sft", "conversation"])
def test_the_sft_trainer_takes_what_people_wrote_and_their_talks(
    directory: Path, tiny_model: Path, tmp_path: Path, table: str
) -> None:
    from trl import SFTConfig, SFTTrainer

    rows = load(directory, table)["train"]
    trainer = SFTTrainer(model=str(tiny_model), args=SFTConfig(**arguments(tmp_path)), train_dataset=rows)
    assert math.isfinite(loss_of(trainer))


def test_no_column_of_ratings_and_rankings_looks_like_a_pair(directory: Path) -> None:
    for table in ("rating", "ranking"):
        assert not {"chosen", "rejected"} & set(load(directory, table)["train"].column_names)
