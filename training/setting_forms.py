"""Form fields for the settings of a config, in groups that are read together. Nothing is described twice."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import Any

from django import forms

from training.configs import is_finite

GROUPS: dict[str, tuple[str, ...]] = {
    "Learning": (
        "steps", "updates", "batch_size", "minibatch_size", "prompts_per_step", "responses_per_prompt",
        "gradient_accumulation", "ppo_epochs", "learning_rate", "learning_rate_schedule", "warmup_steps",
        "weight_decay", "max_grad_norm",
    ),
    "What is trained": (
        "tuning", "lora_rank", "lora_alpha", "lora_dropout", "prompt_tokens", "freeze_layers", "precision",
        "gradient_checkpointing",
    ),
    "Distance from the reference": ("kl_coef", "kl_target", "kl_horizon", "max_kl", "beta"),
    "Reward": (
        "reward_function", "reward_aggregation", "variance_penalty", "length_penalty", "missing_eos_penalty",
        "whiten_rewards", "scale_rewards",
    ),
    "Responses": ("max_new_tokens", "temperature", "top_p", "max_prompt_length"),
    "Rows": ("max_length", "max_refused_percent", "group_by_length", "packing"),
    "Looks and checkpoints": ("evaluate_every", "patience", "sample_every", "checkpoint_every"),
    "Chance": ("seed",),
}  # fmt: skip
"""Settings that several kinds share, by the heading under which a form shows them."""

OWN = "Method"
"""Heading of the settings that belong to one kind alone; it comes first."""


@dataclass(frozen=True)
class FieldGroup:
    title: str
    fields: list[forms.BoundField]


def grouped(form: forms.Form, names: list[str]) -> list[FieldGroup]:
    """Return the named fields under their headings, the kind's own ones first; headings without a field are left
    out."""
    shared = {name for group in GROUPS.values() for name in group}
    headings = {OWN: tuple(name for name in names if name not in shared), **GROUPS}
    groups = [FieldGroup(title, [form[name] for name in of if name in names]) for title, of in headings.items()]
    return [group for group in groups if group.fields]


class NumbersField(forms.CharField):
    """Several numbers in one line, such as `0.3, 1.0`."""

    whole = False
    refusal = "Give numbers with commas between them, such as 0.3, 1.0."

    def to_python(self, value: Any) -> Any:
        parts = [part for part in re.split(r"[\s,;]+", str(value or "")) if part]
        try:
            found = tuple(int(part) if self.whole else float(part) for part in parts)
        except ValueError:
            raise forms.ValidationError(self.refusal) from None
        if not all(is_finite(one) for one in found):
            raise forms.ValidationError(self.refusal)
        return found

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else value


class SeedsField(NumbersField):
    """Several whole numbers in one line, such as `18, 19`."""

    whole = True
    refusal = "Give whole numbers with commas between them, such as 18, 19."


def takes(setting: dataclasses.Field, value: Any) -> bool:
    """Tell whether a stored value is of the kind that the setting has now: settings change over the years."""
    default = setting.default
    if isinstance(default, bool) or isinstance(value, bool):
        return isinstance(default, bool) and isinstance(value, bool)
    if isinstance(default, int | float):
        return is_finite(value)
    if isinstance(default, tuple):
        return isinstance(value, list) and all(is_finite(part) for part in value)
    return isinstance(value, str)


def setting_field(setting: dataclasses.Field, kind_of_value: Any) -> forms.Field:
    """Return the form field of one setting of a config."""
    about = setting.metadata
    common: dict[str, Any] = {
        "label": about["label"],
        "help_text": about["help"],
        "initial": setting.default,
        "required": True,
    }
    if kind_of_value is bool:
        return forms.BooleanField(**{**common, "required": False})
    if about["choices"]:
        return forms.ChoiceField(choices=[(one, one) for one in about["choices"]], **common)
    if kind_of_value in (int, float):
        number = forms.IntegerField if kind_of_value is int else forms.FloatField
        return number(min_value=about["minimum"], max_value=about["maximum"], **common)
    if kind_of_value is str:
        suggested = {"list": f"{setting.name}-known"} if setting.name == "reward_function" else {}
        return forms.CharField(
            max_length=1000, widget=forms.TextInput(attrs=suggested), **{**common, "required": False}
        )
    return NumbersField(**common)
