"""What happens when PPO is given more and more of a reward model that is not quite right (arXiv:2210.10760).

    python -m benchmarks.overoptimisation [--quick] [--svg FILE]

On a tiny model, whose gold reward is a function (`benchmarks.gold`), as in the paper's synthetic setting: reward models
learn from 256, 1,024 or 4,096 comparisons that the gold reward decided, then PPO without a KL penalty climbs them, and
the gold reward of what it writes is watched. Also best-of-n by the same reward models, whose KL is known exactly. And
PPO against the gold reward itself over five seeds, with a KL target.

One JSON line for each curve: square root of the KL, what the reward model says, what gold says, all less their start.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import math
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks import gold
from benchmarks.training_data import WORDS, Pair, write_prompts, write_snapshot
from training.rundir import ModelSource, RunDirectory, RunSpec

TOKENS = 8
PROMPTS = 64
KL_TARGET = 6.0
"""Nats that PPO against gold itself may come from its start."""
SMOOTHED = 4
"""Updates that one point of a curve is the mean of."""


@dataclass(frozen=True)
class Sizes:
    comparisons: tuple[int, ...] = (256, 1024, 4096)
    seeds: int = 1
    updates: int = 100
    rollouts: int = 64
    best_of: tuple[int, ...] = (1, 2, 4, 8, 16, 32, 64)
    gold_seeds: int = 5
    gold_updates: int = 60
    reward_steps: int = 300


QUICK = Sizes((32,), 1, 8, 8, (1, 2, 4), 1, 8, 10)


@dataclass(frozen=True)
class Bench:
    folder: Path
    base: ModelSource
    sizes: Sizes


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overoptimisation", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a few updates: that it runs, not what comes out")
    parser.add_argument("--svg", type=Path, help="draw the curves into this file")
    asked = parser.parse_args(arguments)
    os.environ["CONCORD_REWARD_FUNCTIONS"] = "gold=benchmarks.gold:gold,watch=benchmarks.gold:watch"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    from tests.tiny_model import save_tiny_model

    with tempfile.TemporaryDirectory(prefix="concord-overoptimisation-") as folder:
        base = ModelSource(str(save_tiny_model(Path(folder) / "tiny")))
        bench = Bench(Path(folder), base, QUICK if asked.quick else Sizes())
        lines = [against_gold(bench), *(line for count in bench.sizes.comparisons for line in of_proxy(bench, count))]
    if asked.svg:
        from benchmarks.overoptimisation_picture import draw

        asked.svg.write_text(draw(lines), encoding="utf-8")
    return 0


def tell(line: dict[str, Any]) -> dict[str, Any]:
    print(json.dumps(line), flush=True)
    return line


def prompts(count: int = PROMPTS) -> list[Pair]:
    return [
        Pair([{"role": "user", "content": f"tell {WORDS[number % len(WORDS)]} {number}"}], "", "")
        for number in range(count)
    ]


def carry_out(bench: Bench, name: str, kind: str, config: dict[str, Any], **inputs: Any) -> RunDirectory:
    from training.ml.__main__ import carry_out as in_this_process

    run = RunDirectory(bench.folder / name)
    run.write_spec(RunSpec(name, kind, config, policy=bench.base, **inputs))
    if kind == "ppo":
        write_prompts(run.prompts_path, prompts())
    with contextlib.redirect_stdout(sys.stderr):  # TRL tells every step; standard output is for the lines
        run.write_outcome(in_this_process(run))
    return run


# PPO against the gold reward itself -----------------------------------------------------------------------


def against_gold(bench: Bench) -> dict[str, Any]:
    """Tell what PPO gets of the gold reward, seed by seed, at which KL."""
    found = []
    began = time.process_time()
    for seed in range(bench.sizes.gold_seeds):
        config = {
            **ppo_config(bench, seed, bench.sizes.gold_updates),
            "reward_function": "gold",
            "kl_coef": 0.1,
            "kl_target": KL_TARGET,
            "kl_horizon": bench.sizes.rollouts,  # by a fifth in each update
        }
        rows = carry_out(bench, f"gold-{seed}", "ppo", config).metrics()
        last = rows[-5:]
        found.append(
            {
                "seed": seed,
                "gold_first": round(rows[0]["score_mean"], 3),
                "gold_last": round(fmean(row["score_mean"] for row in last), 3),
                "kl_last": round(fmean(row["kl"] for row in last), 2),
                "kl_highest": round(max(row["kl"] for row in rows), 2),
            }
        )
    gains = [one["gold_last"] - one["gold_first"] for one in found]
    return tell(
        {
            "benchmark": "overoptimisation",
            "figure": "ppo_against_gold",
            "updates": bench.sizes.gold_updates,
            "kl_target": KL_TARGET,
            "gain_least": round(min(gains), 3),
            "gain_median": round(median(gains), 3),
            "seeds": found,
            "cpu_s": round(time.process_time() - began, 1),
        }
    )


def ppo_config(bench: Bench, seed: int, updates: int) -> dict[str, Any]:
    return {
        "updates": updates,
        "batch_size": bench.sizes.rollouts,
        "minibatch_size": bench.sizes.rollouts,  # one step an update: a batch is little enough to judge a step by
        "ppo_epochs": 1,
        "max_new_tokens": TOKENS,
        "temperature": 1.0,
        "missing_eos_penalty": 0.0,
        "learning_rate": 3e-3,
        "lora_rank": 8,
        "lora_alpha": 16,
        "checkpoint_every": updates,
        "seed": seed,
    }


# PPO and best-of-n against reward models that learned from gold -------------------------------------------


def of_proxy(bench: Bench, comparisons: int) -> list[dict[str, Any]]:
    """Tell both curves of reward models that learned from so many comparisons: PPO's and best-of-n's."""
    climbs, picks = [], []
    for seed in range(bench.sizes.seeds):
        proxy, accuracy = reward_model(bench, comparisons, seed)
        climbs.append({**climb(bench, proxy, f"{comparisons}-{seed}", seed), "accuracy": accuracy})
        picks.append(best_of_n(bench, proxy, seed))
    told = []
    for figure, curves in (("ppo", climbs), ("best_of_n", picks)):
        curve = [means(points) for points in zip(*(one["points"] for one in curves), strict=True)]
        top = max(curve, key=lambda point: point["gold"])
        told.append(
            tell(
                {
                    "benchmark": "overoptimisation",
                    "figure": figure,
                    "comparisons": comparisons,
                    "seeds": bench.sizes.seeds,
                    "accuracy": round(fmean(one["accuracy"] for one in climbs), 3),
                    "gold_highest": round(top["gold"], 3),
                    "at_root_kl": round(top["root_kl"], 3),
                    "gold_last": round(curve[-1]["gold"], 3),
                    "proxy_last": round(curve[-1]["proxy"], 3),
                    **fitted(curve, figure),
                    "points": [{name: round(value, 4) for name, value in point.items()} for point in curve],
                }
            )
        )
    return told


def means(points: Sequence[dict[str, float]]) -> dict[str, float]:
    return {name: fmean(point[name] for point in points) for name in points[0]}


def fitted(curve: Sequence[dict[str, float]], figure: str) -> dict[str, float]:
    """Fit the paper's form of the gold reward by least squares: d (alpha - beta log d) of PPO, d (alpha - beta d) of
    best-of-n, where d is the square root of the KL; `r_squared` says how much of the curve it explains."""
    import numpy as np

    points = [point for point in curve if point["root_kl"] > 0.05]
    if len(points) < 3:
        return {}
    d = np.array([point["root_kl"] for point in points])
    y = np.array([point["gold"] for point in points])
    bend = d * np.log(d) if figure == "ppo" else d * d
    (alpha, beta), *_ = np.linalg.lstsq(np.stack([d, -bend], axis=1), y, rcond=None)
    rest = y - (alpha * d - beta * bend)
    spread = float(((y - y.mean()) ** 2).sum())
    return {
        "alpha": round(float(alpha), 3),
        "beta": round(float(beta), 3),
        "r_squared": round(1.0 - float((rest**2).sum()) / spread, 3) if spread else 0.0,
    }


def reward_model(bench: Bench, comparisons: int, seed: int) -> tuple[ModelSource, float]:
    """Return a reward model that learned from comparisons of the base's responses, and its accuracy on others."""
    held_out = min(256, comparisons)
    pairs = labelled(bench, comparisons + held_out, seed)
    directory = bench.folder / f"snapshot-{comparisons}-{seed}"
    snapshot, sha256 = write_snapshot(directory, pairs[:comparisons])
    config = {
        "steps": bench.sizes.reward_steps,
        "batch_size": 16,
        "learning_rate": 3e-3,
        "lora_rank": 32,
        "lora_alpha": 64,
        "use_margin": False,
        "calibrate": False,
        "checkpoint_every": bench.sizes.reward_steps,
        "seed": seed,
    }
    run = carry_out(bench, f"reward-{comparisons}-{seed}", "reward", config, snapshot=snapshot, snapshot_sha256=sha256)
    proxy = ModelSource(bench.base.base, (str(run.model_path),))
    right = zip(
        scores(proxy, [(pair.prompt, pair.chosen) for pair in pairs[comparisons:]]),
        scores(proxy, [(pair.prompt, pair.rejected) for pair in pairs[comparisons:]]),
        strict=True,
    )
    return proxy, fmean(chosen > rejected for chosen, rejected in right)


def labelled(bench: Bench, count: int, seed: int) -> list[Pair]:
    """Return pairs of the base model's responses, the better one by gold first; none that gold calls equal."""
    found: list[Pair] = []
    turn = 0
    while len(found) < count:
        asked = [pair.prompt for pair in prompts()]
        one, other = (written(bench, asked, f"{seed} {turn} {side}") for side in ("left", "right"))
        for prompt, *texts in zip(asked, one, other, strict=True):
            texts.sort(key=gold.of_text, reverse=True)
            if gold.of_text(texts[0]) > gold.of_text(texts[1]) and texts[1].strip():
                found.append(Pair(prompt, texts[0], texts[1]))
        turn += 1
    return found[:count]


def written(bench: Bench, asked: Sequence[Any], occasion: str) -> list[str]:
    """Return the base model's response to each prompt."""
    from training.ml.chat import prompt_ids
    from training.ml.models import load_policy, load_tokenizer
    from training.ml.sampling import generate_tokens, readable, response_seed

    tokenizer = load_tokenizer(bench.base)
    model = load_policy(bench.base, tokenizer).eval()
    texts: list[str] = []
    for start in range(0, len(asked), 64):
        batch = asked[start : start + 64]
        tokens = generate_tokens(
            model,
            tokenizer,
            [prompt_ids(tokenizer, prompt) for prompt in batch],
            [response_seed(0, occasion, start + row) for row in range(len(batch))],
            temperature=1.0,
            top_p=1.0,
            max_new_tokens=TOKENS,
        )
        texts += [readable(tokenizer, one) for one in tokens]
    return texts


def scores(proxy: ModelSource, asked: Sequence[tuple[Any, str]]) -> list[float]:
    from training.ml.chat import prompt_ids, response_ids
    from training.ml.models import load_tokenizer
    from training.ml.reward_models import load_scorer

    tokenizer = load_tokenizer(proxy)
    sequences = [[*prompt_ids(tokenizer, prompt), *response_ids(tokenizer, text)] for prompt, text in asked]
    return load_scorer(proxy, tokenizer).scores(sequences, 64)[0].tolist()


def climb(bench: Bench, proxy: ModelSource, name: str, seed: int) -> dict[str, Any]:
    """Return PPO's curve without a KL penalty."""
    gold.seen.clear()
    config = {**ppo_config(bench, seed, bench.sizes.updates), "kl_coef": 0.0, "reward_function": "watch"}
    rows = carry_out(bench, f"ppo-{name}", "ppo", config, reward=proxy).metrics()
    golds = [fmean(batch) for batch in gold.seen]
    points = []
    for start in range(0, len(rows) - SMOOTHED + 1, SMOOTHED):
        part = range(start, start + SMOOTHED)
        points.append(
            {
                "root_kl": math.sqrt(max(0.0, fmean(rows[place]["kl"] for place in part))),
                "proxy": fmean(rows[place]["score_mean"] for place in part) - rows[0]["score_mean"],
                "gold": fmean(golds[place] for place in part) - golds[0],
            }
        )
    return {"points": points}


def best_of_n(bench: Bench, proxy: ModelSource, seed: int) -> dict[str, Any]:
    """Return the curve of taking the best of n responses by the reward model; its KL is log n - (n - 1) / n."""
    most = max(bench.sizes.best_of)
    asked = [pair.prompt for pair in prompts(16) for _ in range(most)]
    texts = written(bench, asked, f"best of {seed}")
    told = scores(proxy, list(zip(asked, texts, strict=True)))
    golds = [gold.of_text(text) for text in texts]
    points = []
    for n in bench.sizes.best_of:
        picked = [
            max(range(start, start + n), key=told.__getitem__)
            for first in range(0, len(asked), most)
            for start in range(first, first + most, n)
        ]
        points.append(
            {
                "root_kl": math.sqrt(math.log(n) - (n - 1) / n),
                "proxy": fmean(told[place] for place in picked) - fmean(told),
                "gold": fmean(golds[place] for place in picked) - fmean(golds),
            }
        )
    return {"points": points}


if __name__ == "__main__":
    sys.exit(main())
