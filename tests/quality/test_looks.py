"""Who needs a look: each rule speaks up on strong evidence, and is silent one step before."""

from __future__ import annotations

import pytest

from feedback.quality.looks import looks_of

HARMLESS = {
    "judgments": 500, "rejected": 2, "tie_rate": 0.1, "gold_asked": 40, "gold_right": 36, "gold_low": 0.77,
    "gold_high": 0.96, "gold_evidence": -1.2, "gold_named": False, "drift": 0.0, "accuracy": 0.8,
    "accuracy_low": 0.75, "accuracy_high": 0.84, "overlapping": 300, "bits": 0.4, "repeats": 20, "same": 0.85,
    "same_low": 0.64, "same_high": 0.95, "decided": 400, "first_rate": 0.52, "longer_rate": 0.55, "side_low": -0.1,
    "side_high": 0.3, "length_low": 0.0, "length_high": 0.4, "markup_low": -0.2, "markup_high": 0.2, "fast": 0.02,
    "timed": 500,
}  # fmt: skip

RULES = [
    ("gold", 3, {"gold_evidence": 3.0, "gold_named": True, "gold_right": 20}, {"gold_evidence": 1.9}),
    ("gold", 2, {"gold_evidence": 2.1}, {"gold_evidence": None}),
    ("drift", 3, {"drift": 3.1}, {"drift": 2.9}),
    ("accuracy", 3, {"accuracy_high": 0.5, "bits": 0.05}, {"accuracy_high": 0.56, "bits": 0.05}),
    ("accuracy", 2, {"accuracy_high": 0.5, "tie_rate": 0.6}, {"accuracy_high": 0.5, "overlapping": 19}),
    ("same", 2, {"same_high": 0.55}, {"same_high": 0.55, "repeats": 9}),
    ("side", 2, {"side_low": 0.8, "side_high": 1.4}, {"side_low": 0.6, "side_high": 1.4}),
    ("side", 2, {"side_low": -1.4, "side_high": -0.8}, {"side_low": 0.8, "decided": 19}),
    ("length", 1, {"length_low": 0.8, "length_high": 1.4}, {"length_low": None}),
    ("markup", 1, {"markup_low": 0.8, "markup_high": 1.4}, {"markup_low": 0.69}),
    ("fast", 2, {"fast": 0.6}, {"fast": 0.6, "timed": 19}),
    ("ties", 2, {"tie_rate": 0.97}, {"tie_rate": 0.95}),
    ("rejected", 2, {"rejected": 60}, {"rejected": 4, "judgments": 10}),
]


def test_most_people_need_none():
    assert looks_of(HARMLESS) == []


@pytest.mark.parametrize(("code", "weight", "strong", "weak"), RULES)
def test_each_rule_speaks_up_on_strong_evidence_only(code, weight, strong, weak):
    (look,) = looks_of({**HARMLESS, **strong})
    assert (look.code, look.weight) == (code, weight)
    assert look.title
    assert look.why.endswith(".")
    assert looks_of({**HARMLESS, **weak}) == []


def test_the_weightiest_comes_first():
    figures = {**HARMLESS, "length_low": 0.8, "length_high": 1.4, "fast": 0.6, "drift": 4.0}
    assert [look.code for look in looks_of(figures)] == ["drift", "fast", "length"]


def test_of_somebody_of_whom_nothing_is_known_nothing_is_said():
    nothing = {name: 0 if isinstance(value, int) else None for name, value in HARMLESS.items()}
    assert looks_of({**nothing, "gold_named": False}) == []
