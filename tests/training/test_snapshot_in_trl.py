"""A downloaded snapshot goes into TRL as it is: what its card and its page promise to people who train elsewhere."""

from __future__ import annotations

import io
import math
import zipfile
from pathlib import Path
from typing import Any

import pytest

from feedback.models import Project
from feedback.snapshots import snapshot_zip
from tests.factories import make_snapshot

pytestmark = [pytest.mark.torch, pytest.mark.django_db]


@pytest.fixture
def rows(project: Project, tmp_path: Path) -> Any:
    """The snapshot's splits, by way of the zip that people download."""
    from datasets import load_dataset

    snapshot = make_snapshot(project, labels=8)
    with zipfile.ZipFile(io.BytesIO(b"".join(snapshot_zip(snapshot)))) as archive:
        archive.extractall(tmp_path)
    (directory,) = (path.parent for path in tmp_path.glob("*/README.md"))
    return load_dataset(str(directory), cache_dir=str(tmp_path / "cache"))


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


def test_the_reward_trainer_takes_the_rows(rows: Any, tiny_model: Path, tmp_path: Path) -> None:
    from trl import RewardConfig, RewardTrainer

    trainer = RewardTrainer(
        model=str(tiny_model), args=RewardConfig(**arguments(tmp_path)), train_dataset=rows["train"],
        eval_dataset=rows["evaluation"],
    )  # fmt: skip
    trainer.train()
    assert trainer.state.global_step == 1
    assert "margin" in trainer.train_dataset.column_names
    assert math.isfinite(trainer.evaluate()["eval_loss"])


def test_the_dpo_trainer_takes_the_rows(rows: Any, tiny_model: Path, tmp_path: Path) -> None:
    from trl import DPOConfig, DPOTrainer

    trainer = DPOTrainer(model=str(tiny_model), args=DPOConfig(**arguments(tmp_path)), train_dataset=rows["train"])
    trainer.train()
    assert trainer.state.global_step == 1
    (loss,) = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    assert loss == pytest.approx(math.log(2), abs=1e-4)
