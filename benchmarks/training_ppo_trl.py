"""Train with the PPO of TRL 1.12, the last that had one, and print what its updates took.

    PYTHON_WITH_TRL_1_12 -m benchmarks.training_ppo_trl SETTINGS.json

Policy with a LoRA adapter, reference by switching it off, reward model and value model each a model of their own, as
its example script has it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"

from datasets import Dataset
from peft import LoraConfig
from transformers import (
    AutoModelForCausalLM,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    TrainerCallback,
)
from trl.experimental.ppo import PPOConfig, PPOTrainer

from benchmarks.training_meter import Meter


class Metered(TrainerCallback):
    def __init__(self, meter: Meter) -> None:
        self.meter = meter
        self.scores: list[float] = []
        self.kl: list[float] = []

    def on_train_begin(self, *_: Any, **__: Any) -> None:
        self.meter.start()

    def on_step_end(self, *_: Any, **__: Any) -> None:
        self.meter.step()

    def on_log(self, *_: Any, logs: dict[str, Any] | None = None, **__: Any) -> None:
        if logs and "objective/scores" in logs:
            self.scores.append(float(logs["objective/scores"]))
            self.kl.append(float(logs["objective/kl"]))


def main() -> int:
    asked = json.loads(Path(sys.argv[1]).read_text())
    config = asked["config"]
    tokenizer = AutoTokenizer.from_pretrained(asked["model"], padding_side="left")
    prompts = [json.loads(line)["messages"] for line in Path(asked["rows"]).read_text(encoding="utf-8").splitlines()]
    rendered = [tokenizer.apply_chat_template(one, add_generation_prompt=True, tokenize=False) for one in prompts]
    dataset = Dataset.from_dict({"input_ids": tokenizer(rendered, add_special_tokens=False)["input_ids"]})
    reward, value = (
        AutoModelForSequenceClassification.from_pretrained(asked["reward"], num_labels=1) for _ in range(2)
    )
    meter = Meter()
    metered = Metered(meter)
    trainer = PPOTrainer(
        args=PPOConfig(
            output_dir=asked["out"],
            use_cpu=True,
            bf16=False,
            gradient_checkpointing=False,
            report_to="none",
            disable_tqdm=True,
            save_strategy="no",
            logging_steps=1,
            num_sample_generations=0,
            seed=config["seed"],
            per_device_train_batch_size=config["minibatch_size"],
            gradient_accumulation_steps=config["batch_size"] // config["minibatch_size"],
            num_mini_batches=config["batch_size"] // config["minibatch_size"],
            local_rollout_forward_batch_size=config["batch_size"],
            num_ppo_epochs=config["ppo_epochs"],
            total_episodes=config["updates"] * config["batch_size"],
            response_length=config["max_new_tokens"],
            temperature=config["temperature"],
            learning_rate=config["learning_rate"],
            kl_coef=config["kl_coef"],
            missing_eos_penalty=None,
            stop_token="eos",
        ),
        processing_class=tokenizer,
        model=AutoModelForCausalLM.from_pretrained(asked["model"]),
        ref_model=None,
        reward_model=reward,
        value_model=value,
        train_dataset=dataset,
        eval_dataset=dataset,
        callbacks=[metered],
        peft_config=LoraConfig(
            r=config["lora_rank"], lora_alpha=config["lora_alpha"], target_modules="all-linear", task_type="CAUSAL_LM"
        ),
    )
    trainer.train()
    trainer.save_model(asked["out"])
    written = config["updates"] * config["batch_size"] * config["max_new_tokens"]
    meter.tell(scores=metered.scores, kl=metered.kl, generated=written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
