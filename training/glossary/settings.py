"""What the settings of runs mean, each once: from the configs that check them and make the forms."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any

from training.configs import CONFIGS, LaunchConfig, NeedsConfig


@dataclass(frozen=True)
class SettingWords:
    name: str
    """As the API and run.json call it."""
    label: str
    help: str
    values: str
    """What it may be, in words; empty for any."""
    defaults: dict[str, list[str]] = field(default_factory=dict)
    """The kinds of run that have it, by the default that they give it."""


def settings_explained() -> list[SettingWords]:
    """Return the settings of every kind of run by their labels; one that means the same in several kinds once."""
    found: dict[tuple[str, ...], SettingWords] = {}
    for kind, config in {**CONFIGS, "launch": LaunchConfig, "needs": NeedsConfig}.items():
        for one in dataclasses.fields(config):
            about = one.metadata
            words = (one.name, about["label"], about["help"], values_of(about))
            known = found.setdefault(words, SettingWords(*words))
            known.defaults.setdefault(written(one.default), []).append(kind)
    return sorted(found.values(), key=lambda one: (one.label.lower(), one.name))


def values_of(about: Any) -> str:
    """Return the choices or the range of a setting."""
    if about["choices"]:
        return ", ".join(about["choices"])
    low, high = about["minimum"], about["maximum"]
    if low is None and high is None:
        return ""
    if high is None:
        return f"from {low:,.10g}"
    return f"{low:,.10g} to {high:,.10g}" if low is not None else f"to {high:,.10g}"


def written(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value)) or "empty"
    return str(value) if value != "" else "empty"
