"""Reward models on labels of which a known share is the wrong way round, against what the theory says.

    python -m benchmarks.reward_noise

A plain rule (the response that says thanks is better) and labels flipped at random with probability e, in training and
in evaluation alike. Bradley-Terry is then fitted best by a gap of logit(1 - e) wherever the rule speaks, so that

    accuracy against the flipped labels = e + (1 - 2 e) * accuracy against the rule
    mean gap                            = ln((1 - e) / e), which no longer grows with training
    log loss                            = -e ln e - (1 - e) ln(1 - e), the entropy of the noise
    temperature                         = 1: the probabilities can be believed

Prints a JSON line for each e, measured beside expected. A tiny model; some 10 seconds of one core for each e.
"""

from __future__ import annotations

import json
import math
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.reward_hh import carry_out, write_snapshot
from feedback.contract import EVALUATION, TRAIN
from tests.tiny_model import save_tiny_model
from training.rundir import ModelSource

TRAINED, MEASURED = 2000, 1000
SETTINGS: dict[str, Any] = {
    "steps": 125,
    "batch_size": 16,
    "learning_rate": 3e-3,
    "use_margin": False,
    "center_rewards_coefficient": 0.0,
    "checkpoint_every": 1000,
}
TOPICS = ("water", "tea", "cup", "day", "night", "red", "blue", "green", "two", "three")


def rows(count: int, flipped: float, seed: int) -> list[dict[str, Any]]:
    """Return preferences by the rule, each turned round with probability `flipped`; `margin` is 1 for a true label."""
    draw, found = random.Random(seed), []
    for number in range(count):
        topic, other = draw.sample(TOPICS, 2)
        better = f"thank you {topic}" + " please" * draw.randint(0, 2)
        worse = f"no {other}" + " bad" * draw.randint(0, 2)
        is_true = draw.random() >= flipped
        chosen, rejected = (better, worse) if is_true else (worse, better)
        found.append(
            {
                "prompt": [{"role": "user", "content": f"tell {topic} {other} {seed} {number}"}],
                "chosen": [{"role": "assistant", "content": chosen}],
                "rejected": [{"role": "assistant", "content": rejected}],
                "margin": 1.0 if is_true else 2.0,
                "origin": "comparison",
                "group": f"{seed}-{number}",
                "judgment_id": f"{seed}-{number}",
            }
        )
    return found


def measure(place: Path, base: Path, flipped: float) -> dict[str, Any]:
    """Train and measure with this share of flipped labels; return what was found beside what was expected."""
    held_out = rows(MEASURED, flipped, seed=1)
    snapshot, sha256 = write_snapshot(place / "snapshot", {TRAIN: rows(TRAINED, flipped, seed=0), EVALUATION: held_out})
    inputs = {"policy": ModelSource(str(base)), "snapshot": snapshot, "snapshot_sha256": sha256}
    outcome = carry_out(place / "run", "reward", SETTINGS, **inputs).outcome()
    assert outcome is not None, "a run that ended well has an outcome"
    found = outcome.evaluation
    true = {part["part"]: part for part in found.get("by_strength", [])}
    wrong = sum(row["margin"] == 2.0 for row in held_out) / MEASURED
    # Where a label was flipped the rule is on the other side.
    by_rule = (1 - wrong) * true["1"]["accuracy"] + wrong * (1 - true["2"]["accuracy"]) if wrong else found["accuracy"]
    entropy = sum(share * -math.log(share) for share in (flipped, 1 - flipped) if share)
    return {
        "benchmark": "reward_noise",
        "flipped": flipped,
        "flipped_in_evaluation": wrong,
        "accuracy_by_rule": round(by_rule, 4),
        "accuracy": round(found["accuracy"], 4),
        "accuracy_expected": round(wrong + (1 - 2 * wrong) * by_rule, 4),
        "gap": round(found["mean_gap"], 3),
        "gap_expected": round(math.log((1 - flipped) / flipped), 3) if flipped else None,
        "log_loss": round(found["calibration"]["log_loss_before"], 4),
        "log_loss_expected": round(entropy, 4),
        "temperature": round(found["calibration"]["temperature"], 3),
    }


def main() -> int:
    with tempfile.TemporaryDirectory() as place:
        base = save_tiny_model(Path(place) / "tiny")
        for number, flipped in enumerate((0.0, 0.1, 0.2, 0.3, 0.4)):
            print(json.dumps(measure(Path(place) / str(number), base, flipped)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
