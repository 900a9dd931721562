"""What every config is made of: settings with a label and a range, and the refusal of what does not fit."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints


class BadConfig(ValueError):
    """A run's config has an unknown key, a wrong type or a value out of range; `field` says which."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


def is_finite(value: object) -> bool:
    """Tell whether `value` is a number that a float can hold; a bool is none."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number past any float
        return False


def shortened(value: object) -> str:
    """Return `value` as a message shows it."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


TYPES = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
"""What a message calls the types of settings."""


def setting(
    default: Any,
    label: str,
    help: str = "",
    *,
    minimum: float | None = None,
    maximum: float | None = None,
    choices: tuple[str, ...] | None = None,
    advanced: bool = False,
) -> Any:
    return dataclasses.field(
        default=default,
        metadata={
            "label": label,
            "help": help,
            "minimum": minimum,
            "maximum": maximum,
            "choices": choices,
            "advanced": advanced,
        },
    )


@dataclass(frozen=True)
class Settings:
    """A frozen dataclass of `setting`s that refuses what does not fit."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            self._check_type(field.name, value, hints[field.name])
            self._check_range(field.name, value, field.metadata)

    @staticmethod
    def _check_type(name: str, value: object, expected: Any) -> None:
        if expected is bool:
            right = isinstance(value, bool)
        elif expected is int:
            right = isinstance(value, int) and not isinstance(value, bool)
        elif expected is float:
            right = is_finite(value)
        elif expected is str:
            right = isinstance(value, str)
        else:  # tuple[float, ...]
            right = isinstance(value, list | tuple) and all(is_finite(part) for part in value)
        if not right:
            raise BadConfig(name, f"{shortened(value)} is not {TYPES.get(expected, 'a list of numbers')}")
        if isinstance(value, str) and "\x00" in value:
            raise BadConfig(name, f"{shortened(value)} holds a NUL character, which no database keeps")

    @staticmethod
    def _check_range(name: str, value: Any, metadata: Mapping[str, Any]) -> None:
        low, high, choices = metadata.get("minimum"), metadata.get("maximum"), metadata.get("choices")
        if choices and value not in choices:
            raise BadConfig(name, f"{shortened(value)} is not one of {', '.join(choices)}")
        for part in value if isinstance(value, list | tuple) else (value,):
            if low is not None and part < low:
                raise BadConfig(name, f"{shortened(part)} is too small; the least is {low}")
            if high is not None and part > high:
                raise BadConfig(name, f"{shortened(part)} is too large; the most is {high}")


def refuse_idle(config: Settings, names: Sequence[str], why: str) -> None:
    """Raise BadConfig for the first of the named settings that is not as by default: it would change nothing."""
    for field in dataclasses.fields(config):
        if field.name in names and getattr(config, field.name) != field.default:
            raise BadConfig(field.name, f"{why}; leave it at {field.default}")


@dataclass(frozen=True)
class Config(Settings):
    """What every run kind has."""

    seed: int = setting(17, "Seed", "The same seed, data and code give the same run.", minimum=0, maximum=2**31 - 1)
