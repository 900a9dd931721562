"""The four models of PPO on one backbone, told apart by which LoRA adapters are switched on.

    policy     the adapters it starts from, and "default", which is trained (arXiv:2106.09685: at first it adds nothing)
    reference  the adapters the policy starts from
    reward     the reward model's adapters, with its score head; frozen
    value      the reward model's adapters with the last one replaced by a trained copy, and a trained copy of the head

So 135 M weights are held once instead of four times. What was left out: a reward model on another base model.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, PeftConfig, TaskType, get_peft_model
from peft.utils import load_peft_weights, set_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.ml import CannotRun
from training.ml.chat import template_digest
from training.ml.models import MissingModel, backbone, load_policy, lora_config
from training.rundir import ModelSource

Part = Literal["policy", "reference", "reward", "value"]
SCORE_WEIGHT = "score.weight"


class OtherBaseModel(CannotRun):
    """The reward model stands on another base model, or speaks another chat format, than the policy."""


class SharedModels(nn.Module):
    def __init__(
        self,
        policy: ModelSource,
        reward: ModelSource,
        tokenizer: PreTrainedTokenizerBase,
        *,
        rank: int,
        alpha: int,
        seed: int,
    ) -> None:
        super().__init__()
        check_one_base(policy, reward, tokenizer)
        causal = load_policy(ModelSource(policy.base), tokenizer)
        torch.manual_seed(seed)
        self.peft = get_peft_model(causal, lora_config(rank, alpha, TaskType.CAUSAL_LM))
        names: dict[str, str] = {}
        for path in (*policy.adapters, *reward.adapters):
            if path not in names:
                names[path] = f"frozen{len(names)}"
                self._add_adapter(path, names[path])
        head = self._add_adapter(reward.adapters[-1], "value")
        if head is None:
            raise MissingModel(f"{reward.adapters[-1]} is not a reward model: it has no {SCORE_WEIGHT}")
        start = [names[path] for path in policy.adapters]
        scoring = [names[path] for path in reward.adapters]
        self.active: dict[Part, list[str]] = {
            "policy": [*start, "default"],
            "reference": start,
            "reward": scoring,
            "value": [*scoring[:-1], "value"],
        }
        self.score_head = scalar_head(head)
        self.value_head = scalar_head(head)
        self.use("policy")

    def _add_adapter(self, path: str, name: str) -> Tensor | None:
        """Load the adapter in `path` as `name`; return its score head, if it has one."""
        config = PeftConfig.from_pretrained(path)
        if not isinstance(config, LoraConfig):
            raise CannotRun(f"the adapter {path} is {config.peft_type}, not LoRA; PPO shares one backbone by LoRA")
        config.task_type = TaskType.CAUSAL_LM
        config.modules_to_save = None
        config.inference_mode = False
        weights = load_peft_weights(path, device="cpu")
        head = next((weights.pop(key) for key in list(weights) if key.endswith(SCORE_WEIGHT)), None)
        self.peft.add_adapter(name, config)
        unexpected = set_peft_model_state_dict(self.peft, weights, adapter_name=name).unexpected_keys
        if unexpected:
            raise MissingModel(f"the adapter {path} does not fit its base model: {unexpected[0]} has no place")
        return head

    @property
    def causal(self) -> nn.Module:
        return self.peft.get_base_model()

    @property
    def trunk(self) -> nn.Module:
        return backbone(self.causal)

    def use(self, part: Part) -> None:
        """Make `causal` and `trunk` the given model. Finish a backward pass before the next call."""
        self.peft.base_model.set_adapter(self.active[part], inference_mode=True)
        for parameter in self.trained().values():
            parameter.requires_grad_(True)

    def trained(self) -> dict[str, nn.Parameter]:
        """Return what PPO trains, by name, always in the same order."""
        mine = {
            name: parameter
            for name, parameter in self.peft.named_parameters()
            if ".default." in name or ".value." in name
        }
        return {**mine, "value_head.weight": self.value_head.weight}


def scalar_head(weight: Tensor) -> nn.Linear:
    """Return a frozen-shape linear layer from hidden states to one number that starts from `weight` [1, hidden]."""
    head = nn.Linear(weight.shape[1], 1, bias=False)
    head.weight = nn.Parameter(weight.detach().float().clone(), requires_grad=False)
    return head


def check_one_base(policy: ModelSource, reward: ModelSource, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a reward model that cannot share the policy's backbone or was trained on another chat format."""
    if policy.base != reward.base and Path(policy.base).resolve() != Path(reward.base).resolve():
        raise OtherBaseModel(
            f"the reward model stands on {reward.base}, the policy on {policy.base}; train one on the policy's base"
        )
    if not reward.adapters:
        raise MissingModel(f"{reward.base} is a base model, not a reward model: it has no adapter with a score head")
    trained_on = read_template_digest(reward.adapters)
    if trained_on and trained_on != template_digest(tokenizer):
        raise OtherBaseModel("the reward model was trained with another chat template or end token than the policy's")


def read_template_digest(adapters: Sequence[str]) -> str:
    """Return the template digest in the last adapter's checkpoint.json; empty when it has none."""
    path = Path(adapters[-1]) / "checkpoint.json"
    return json.loads(path.read_text()).get("template_digest", "") if path.is_file() else ""
