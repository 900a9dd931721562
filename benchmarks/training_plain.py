"""Train as a plain script of TRL's would, and print what its steps took.

    python -m benchmarks.training_plain SETTINGS.json

`settings` is "equal" (what our run is told, in TRL's words) or "defaults" (TRL's own, on the same rows, batch size and
adapter); `arguments` are put over both.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from datasets import Dataset
from peft import LoraConfig
from transformers import AutoTokenizer, TrainerCallback
from trl import (
    DPOConfig,
    DPOTrainer,
    GRPOConfig,
    GRPOTrainer,
    RewardConfig,
    RewardTrainer,
    SFTConfig,
    SFTTrainer,
)

from benchmarks.training_meter import Meter

EQUAL = {
    "bf16": False,
    "gradient_checkpointing": False,
    "learning_rate": 1e-4,
    "logging_steps": 1,
    "max_length": None,
    "max_grad_norm": 1.0,
}


class Metered(TrainerCallback):
    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.losses: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.meter.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.meter.step()

    def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        if logs and "loss" in logs:
            self.losses.append(float(logs["loss"]))


def near_twenty_words(completions: list[list[dict[str, str]]], **_: Any) -> list[float]:
    """As our reward function words:20."""
    return [-abs(len(completion[0]["content"].split()) - 20) / 20 for completion in completions]


def main() -> int:
    asked = json.loads(Path(sys.argv[1]).read_text())
    rows = [json.loads(line) for line in Path(asked["rows"]).read_text(encoding="utf-8").splitlines()]
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    arguments = {
        "output_dir": asked["out"],
        "max_steps": asked["steps"],
        "per_device_train_batch_size": asked["batch_size"],
        "use_cpu": True,
        "report_to": "none",
        "disable_tqdm": True,
        "save_strategy": "no",
        **(EQUAL if asked["settings"] == "equal" else {}),
        **asked.get("arguments", {}),
    }
    adapter: dict[str, Any] = {"r": 16, "lora_alpha": 32, "target_modules": "all-linear"}
    meter = Meter()
    metered = Metered(meter)
    common: dict[str, Any] = {"model": asked["model"], "processing_class": tokenizer, "callbacks": [metered]}
    match asked["kind"]:
        case "sft":
            told = [{"prompt": row["prompt"], "completion": row["chosen"]} for row in rows]
            trainer: Any = SFTTrainer(
                args=SFTConfig(**arguments),
                train_dataset=Dataset.from_list(told),
                peft_config=LoraConfig(task_type="CAUSAL_LM", **adapter),
                **common,
            )
        case "dpo":
            trainer = DPOTrainer(
                args=DPOConfig(**arguments),
                train_dataset=Dataset.from_list(rows),
                peft_config=LoraConfig(task_type="CAUSAL_LM", **adapter),
                **common,
            )
        case "grpo":
            arguments.pop("max_length", None)
            trainer = GRPOTrainer(
                args=GRPOConfig(**arguments, **asked["grpo"]),
                reward_funcs=near_twenty_words,
                train_dataset=Dataset.from_list([{"prompt": row["prompt"]} for row in rows]),
                peft_config=LoraConfig(task_type="CAUSAL_LM", **adapter),
                **common,
            )
        case "reward":
            trainer = RewardTrainer(
                args=RewardConfig(**arguments),
                train_dataset=Dataset.from_list(rows),
                peft_config=LoraConfig(task_type="SEQ_CLS", modules_to_save=["score"], **adapter),
                **common,
            )
    trainer.train()
    meter.tell(losses=metered.losses)
    return 0


if __name__ == "__main__":
    sys.exit(main())
