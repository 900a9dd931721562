"""The models of PPO on one backbone, told apart by which LoRA adapters are switched on.

policy     the adapters it starts from, and "default", which is trained (arXiv:2106.09685: at first it adds nothing)
reference  the adapters the policy starts from
reward     the reward model's adapters, with its score heads; frozen; one set for each full member of an ensemble
value      a trained head on the states that the reward model's first member reads anyway for its score; the head starts
           as that member's. With `value_model` own also a trained copy of the member's last adapter, and so a pass of
           its own

So 135 M weights are held once instead of four times. Where the reward model cannot share the backbone (it is a whole
model, stands on another base, or is no plain LoRA) it is loaded beside it, and the value head starts from zeros on the
policy's states, or on those of an adapter of its own; so it does where a function alone gives the reward.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from peft import LoraConfig, PeftConfig, TaskType, get_peft_model
from peft.utils import load_peft_weights, set_peft_model_state_dict
from torch import Tensor, nn
from transformers import PreTrainedTokenizerBase

from training.configs import PPOConfig
from training.ml import CannotRun
from training.ml.adapted_linear import without_detours
from training.ml.chat import template_digest
from training.ml.models import DTYPES, MissingModel, backbone, load_policy
from training.ml.reward_models import member_path, model_directory, read_card
from training.ml.sequences import (
    Rollouts,
    hidden_states,
    last_of,
    response_logits,
    response_logits_and_states,
    response_states,
)
from training.rundir import ModelSource

Part = Literal["policy", "reference", "reward", "value"]
SCORE_WEIGHT = "score.weight"


class OtherFormat(CannotRun):
    """The reward model speaks another chat format than the policy."""


class CannotShare(CannotRun):
    """An adapter is of a kind that PPO's backbone cannot carry."""


@dataclass(frozen=True)
class Member:
    """One member of the reward model: the adapters to switch on, and the head to read."""

    adapters: list[str]
    head: nn.Linear
    centre: float
    """Taken off its scores, so that members can be compared."""


class SharedModels(nn.Module):
    def __init__(
        self,
        policy: ModelSource,
        reward: ModelSource | None,
        tokenizer: PreTrainedTokenizerBase,
        config: PPOConfig,
    ) -> None:
        """Load everything; `reward` is None where it is not to share the backbone (see `can_share`)."""
        super().__init__()
        dora = config.tuning == "dora"
        stacked = reward is not None  # else the policy's adapters are merged, which is quicker to compute with
        causal = load_policy(ModelSource(policy.base) if stacked else policy, tokenizer, DTYPES[config.precision])
        torch.manual_seed(config.seed)
        fresh = LoraConfig(
            r=config.lora_rank,
            lora_alpha=config.lora_alpha,
            use_dora=dora,
            target_modules="all-linear",
            task_type=TaskType.CAUSAL_LM,
        )
        self.peft = get_peft_model(causal, fresh)
        self.members: list[Member] = []
        start: list[str] = []
        value = ["value"]
        own = config.value_model == "own"
        self.value_reads: Literal["own", "reward", "policy"] = "own" if own else "reward" if stacked else "policy"
        """Whose hidden states the value head is on."""
        self.value_shift: float = 0.0
        """Taken off what the value head reads, as the reward model's centre is of its scores."""
        head = torch.zeros(1, causal.config.get_text_config().hidden_size)
        if reward is None and own:
            self.peft.add_adapter("value", fresh)
        if reward is not None:
            names: dict[str, str] = {}
            for path in (*policy.adapters, *reward.adapters[:-1]):
                if path not in names:
                    names[path] = f"frozen{len(names)}"
                    self._add_adapter(path, names[path])
            start = [names[path] for path in policy.adapters]
            below = [names[path] for path in reward.adapters[:-1]]
            self.members = self._add_members(reward, below)
            head = self.members[0].head.weight
            self.value_shift = self.members[0].centre
            if own:
                self._add_adapter(reward.adapters[-1], "value")
                value = [*below, "value"]
        self.member_heads = nn.ModuleList(member.head for member in self.members)
        self.value_head = scalar_head(head)
        self.active: dict[Part, list[str]] = {"policy": [*start, "default"], "reference": start, "value": value}
        self.switched_on: list[str] | None = None
        without_dropout(self.peft)
        without_detours(self.peft)
        if config.gradient_checkpointing:
            causal.gradient_checkpointing_enable({"use_reentrant": False})
        self.use("policy")

    def _add_adapter(self, path: str, name: str) -> Tensor | None:
        """Load the adapter in `path` as `name`; return its score heads, if it has them."""
        config = PeftConfig.from_pretrained(path)
        if not isinstance(config, LoraConfig):
            raise CannotShare(f"the adapter {path} is {config.peft_type}, not LoRA; PPO shares one backbone by LoRA")
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

    def _add_members(self, reward: ModelSource, below: list[str]) -> list[Member]:
        """Load every full member's adapter; of each, its heads of the reward itself (see `reward_models`)."""
        card = read_card(reward)
        found: list[Member] = []
        for number in range(card.full_members):
            path = str(member_path(model_directory(reward), number))
            weight = self._add_adapter(path, f"member{number}")
            if weight is None:
                raise MissingModel(f"{path} is not a reward model: it has no {SCORE_WEIGHT}")
            if len(weight) != card.head_rows:
                raise MissingModel(f"{path} has {len(weight)} score heads, and its card says {card.head_rows}")
            for row in weight[:: len(card.heads)]:
                centre = card.centre[len(found)] if card.centre else 0.0
                found.append(Member([*below, f"member{number}"], scalar_head(row[None]), centre))
        return found

    @property
    def causal(self) -> nn.Module:
        return self.peft.get_base_model()

    @property
    def trunk(self) -> nn.Module:
        return backbone(self.causal)

    def use(self, part: Part) -> None:
        """Make `causal` and `trunk` the given model. Finish a backward pass before the next call."""
        self._switch_on(self.active[part])

    def _switch_on(self, adapters: list[str]) -> None:
        if adapters == self.switched_on:
            return
        self.switched_on = adapters
        self.peft.base_model.set_adapter(adapters, inference_mode=True)
        for parameter in self.trained().values():
            parameter.requires_grad_(True)

    @torch.no_grad()
    def scores(self, sequences: Sequence[Sequence[int]], pad_id: int, batch_size: int) -> Tensor:
        """Return what each member says of each sequence, [members, B]; no row where no reward model shares."""
        return self.scores_and_states(sequences, pad_id, batch_size, [1] * len(sequences), 0)[0]

    @torch.no_grad()
    def scores_and_states(
        self, sequences: Sequence[Sequence[int]], pad_id: int, batch_size: int, starts: Sequence[int], length: int
    ) -> tuple[Tensor, Tensor]:
        """Return `scores`, and the first member's states from which tokens were chosen, [B, length, hidden].

        Those of row b are the ones before `sequences[b][starts[b]]` and after; whatever stands past its end. Sequences
        of like length are read together.
        """
        told = torch.zeros(len(self.members), len(sequences))
        width, device = self.value_head.in_features, self.value_head.weight.device
        states = torch.zeros(len(sequences), length, width, device=device)
        order = sorted(range(len(sequences)), key=lambda row: len(sequences[row]))
        for number, member in enumerate(self.members):
            self._switch_on(member.adapters)
            for begin in range(0, len(order), batch_size):
                rows = order[begin : begin + batch_size]
                hidden = hidden_states(self.trunk, [sequences[row] for row in rows], pad_id).float()
                ends = last_of(hidden, [sequences[row] for row in rows])
                told[number, rows] = member.head(ends).squeeze(-1).cpu()
                for place, row in enumerate(rows if number == 0 else ()):
                    found = hidden[place, starts[row] - 1 :][:length]
                    states[row, : len(found)] = found
            told[number] -= member.centre
        return told, states

    def values_of(self, states: Tensor) -> Tensor:
        """Return the value that the head reads off each state: [B, T, hidden] to [B, T]."""
        return self.value_head(states.float()).squeeze(-1) - self.value_shift

    def own_values(self, rollouts: Rollouts) -> Tensor:
        """Return the value before each response token, [B, T], by an adapter of its own; switches that on."""
        assert self.value_reads == "own", "the value head has no adapter of its own"
        self.use("value")
        return self.values_of(response_states(self.trunk, rollouts))

    def policy_pass(self, rollouts: Rollouts) -> tuple[Tensor, Tensor | None]:
        """Return the policy's logits, [B, T, V], and its states, [B, T, hidden], where the value head reads those."""
        self.use("policy")
        if self.value_reads == "policy":
            return response_logits_and_states(self.causal, rollouts)
        return response_logits(self.causal, rollouts), None

    def trained(self) -> dict[str, nn.Parameter]:
        """Return what PPO trains, by name, always in the same order."""
        mine = {
            name: parameter
            for name, parameter in self.peft.named_parameters()
            if ".default." in name or ".value." in name
        }
        return {**mine, "value_head.weight": self.value_head.weight}

    def policy_weights(self) -> dict[str, Tensor]:
        """Return copies of the policy's trained weights, by name."""
        return {
            name: parameter.detach().cpu().clone() for name, parameter in self.trained().items() if ".default." in name
        }

    @torch.no_grad()
    def put(self, weights: dict[str, Tensor]) -> None:
        """Put trained weights, by name, in their places."""
        trained = self.trained()
        for name, weight in weights.items():
            trained[name].copy_(weight)


def scalar_head(weight: Tensor) -> nn.Linear:
    """Return a frozen-shape linear layer from hidden states to one number that starts from `weight` [1, hidden]."""
    head = nn.Linear(weight.shape[1], 1, bias=False)
    head.weight = nn.Parameter(weight.detach().float().clone(), requires_grad=False)
    return head


def without_dropout(model: nn.Module) -> None:
    """Switch every dropout off for good: the ratio of the first minibatch must be 1, in training mode too."""
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "attention_dropout"):
            vars(module)["attention_dropout"] = 0.0  # a plain number that its forward pass reads


def can_share(policy: ModelSource, reward: ModelSource, tuning: str) -> bool:
    """Tell whether policy and reward model can stand on one backbone, their adapters added side by side.

    A DoRA adapter scales what lies below it, so it can be added to the bare base alone.
    """
    if not reward.adapters:
        return False
    if policy.base != reward.base and Path(policy.base).resolve() != Path(reward.base).resolve():
        return False
    if tuning == "dora" and policy.adapters:
        return False
    return all(map(is_plain, policy.adapters)) and (len(reward.adapters) == 1 or all(map(is_plain, reward.adapters)))


def is_plain(path: str) -> bool:
    """Tell whether an adapter is LoRA without DoRA."""
    config = json.loads((Path(path) / "adapter_config.json").read_text())
    return config.get("peft_type") == "LORA" and not config.get("use_dora")


def check_one_format(reward: ModelSource, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a reward model that was trained on another chat format than the policy's."""
    trained_on = read_template_digest(reward)
    if trained_on and trained_on != template_digest(tokenizer):
        raise OtherFormat("the reward model was trained with another chat template or end token than the policy's")


def read_template_digest(source: ModelSource) -> str:
    """Return the template digest in the last part's checkpoint.json; empty when it has none."""
    path = Path(source.adapters[-1] if source.adapters else source.base) / "checkpoint.json"
    return json.loads(path.read_text()).get("template_digest", "") if path.is_file() else ""
