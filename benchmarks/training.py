"""Our training runs against plain scripts of TRL's: `make bench-training`.

One JSON line for each comparison; every ratio is of runs that took turns on this machine, on the same rows and with the
same adapter. docs/benchmarks.md says how to read them. Figures of time never fail it; a run that fails does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any

from benchmarks.own_site import ROOT, base_model
from benchmarks.training_data import (
    NoData,
    Pair,
    hh_pairs,
    made_up_pairs,
    write_plain,
    write_prompts,
    write_snapshot,
)
from benchmarks.trl_1_12 import NoPackages, python_with_trl_1_12
from training.rundir import ModelSource, RunDirectory, RunSpec

KINDS = ("sft", "reward", "dpo", "ppo")
SETTINGS = ("equal", "defaults")
GOALS = {"equal": 0.98, "defaults": 1.5}
"""Least speed ratios that the product wants."""
PPO_GOALS = {"speed_ratio": 2.0, "memory_ratio": 0.5}
VALUE_MODELS = ("head", "own")
"""Ours; TRL has a whole model for its values."""


@dataclass(frozen=True)
class Sizes:
    rows: int = 24
    passes: int = 2
    """Over the rows; what is done once for all of them pays from the second on."""
    batch_size: int = 4
    most_tokens: int = 256
    most_prompt_tokens: int = 32
    """Of PPO's prompts, the template apart."""
    updates: int = 6
    repeats: int = 2


QUICK = Sizes(rows=8, passes=2, batch_size=4, updates=2, repeats=1)


class RunFailed(Exception):
    """A process of a comparison ended with an error; the message is the end of what it said."""


@dataclass(frozen=True)
class Bench:
    """Where a benchmark works and on what."""

    folder: Path
    model: str
    name: str
    """Of the model, for the lines."""
    sizes: Sizes
    pairs: Sequence[Pair]
    questions: Sequence[Pair]
    """Whose prompts PPO answers: short ones."""
    environment: Mapping[str, str]

    def process(self, python: str, module: str, argument: Path) -> dict[str, Any]:
        """Run a module and return what its last line says."""
        done = subprocess.run(
            [python, "-m", module, str(argument)], cwd=ROOT, env=self.environment, capture_output=True, text=True
        )
        if done.returncode:
            raise RunFailed(f"{module}: {(done.stderr or done.stdout).strip()[-3000:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def main() -> int:
    asked = arguments()
    sizes = QUICK
    if not asked.quick:
        sizes = Sizes(rows=asked.rows, most_tokens=asked.most_tokens, updates=asked.updates, repeats=asked.repeats)
    fine = True
    with tempfile.TemporaryDirectory(prefix="concord-bench-training-") as folder:
        try:
            bench = lay_out(Path(folder), sizes, quick=asked.quick, threads=asked.threads)
            for kind in asked.kinds:
                fine &= ppo_lines(bench) if kind == "ppo" else lines_of(bench, kind, asked.settings)
        except (NoData, RunFailed) as failure:
            print(f"bench-training: {failure}", file=sys.stderr)
            fine = False
    return 0 if fine else 1


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench-training ARGS=...", description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--settings", nargs="+", choices=SETTINGS, default=list(SETTINGS))
    parser.add_argument("--repeats", type=int, default=2, help="how often the two take turns")
    parser.add_argument("--rows", type=int, default=Sizes.rows)
    parser.add_argument("--most-tokens", type=int, default=Sizes.most_tokens, help="of a row")
    parser.add_argument("--updates", type=int, default=Sizes.updates, help="of PPO")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--quick", action="store_true", help="a tiny model and made-up rows: that it runs, not how fast"
    )
    return parser.parse_args()


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def lay_out(folder: Path, sizes: Sizes, *, quick: bool, threads: int) -> Bench:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "TOKENIZERS_PARALLELISM": "false",
        "HF_HUB_OFFLINE": "1",
        "HF_DATASETS_CACHE": str(folder / "datasets-cache"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    if quick:
        from tests.tiny_model import save_tiny_model

        model = str(save_tiny_model(folder / "tiny"))
        pairs = made_up_pairs(sizes.rows)
        return Bench(folder, model, "tiny", sizes, pairs, pairs, environment)
    model = base_model(say)
    tokens = counter(model)
    pairs = hh_pairs(sizes.rows, sizes.most_tokens, lambda pair: max(map(tokens, pair.texts())))
    questions = hh_pairs(
        sizes.rows, sizes.most_prompt_tokens, lambda pair: tokens(pair.texts()[0]) - tokens(pair.chosen)
    )
    return Bench(folder, model, Path(model).name, sizes, pairs, questions, environment)


def counter(model: str) -> Callable[[str], int]:
    """Return what counts a text's tokens, without loading torch."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(Path(model) / "tokenizer.json"))
    return lambda text: len(tokenizer.encode(text).ids)


# SFT, reward, DPO ---------------------------------------------------------------------------------------


def lines_of(bench: Bench, kind: str, settings: Sequence[str]) -> bool:
    for which in settings:
        pairs = [
            (ours(bench, kind, which, turn), plain(bench, kind, which, turn)) for turn in range(bench.sizes.repeats)
        ]
        tell(bench, pairs, kind=kind, settings=which, against="trl", goal=GOALS[which], rows=bench.sizes.rows)
    return True


def steps(sizes: Sizes) -> int:
    return sizes.rows * sizes.passes // sizes.batch_size


def ours(bench: Bench, kind: str, which: str, turn: int) -> dict[str, Any]:
    snapshot = bench.folder / "snapshot"
    if not snapshot.exists():
        write_snapshot(snapshot, bench.pairs)
    run = RunDirectory(bench.folder / f"{kind}-{which}-{turn}")
    config: dict[str, Any] = {"steps": steps(bench.sizes), "batch_size": bench.sizes.batch_size, "max_length": 4096}
    if which == "equal":
        config |= {"group_by_length": False, "checkpoint_every": steps(bench.sizes), "learning_rate": 1e-4}
        if kind == "reward":
            config["center_rewards_coefficient"] = 0.0
    run.write_spec(
        RunSpec(
            run.path.name,
            kind,
            config,
            policy=ModelSource(bench.model),
            snapshot=str(snapshot),
            snapshot_sha256=sha256_of(snapshot),
        )
    )
    return bench.process(sys.executable, "benchmarks.training_ours", run.path)


def sha256_of(snapshot: Path) -> str:
    import hashlib

    return hashlib.sha256((snapshot / "manifest.json").read_bytes()).hexdigest()


def plain(bench: Bench, kind: str, which: str, turn: int) -> dict[str, Any]:
    rows = bench.folder / "pairs.jsonl"
    if not rows.exists():
        write_plain(rows, bench.pairs)
    asked = {
        "kind": kind,
        "settings": which,
        "model": bench.model,
        "rows": str(rows),
        "out": str(bench.folder / f"trl-{kind}-{which}-{turn}"),
        "steps": steps(bench.sizes),
        "batch_size": bench.sizes.batch_size,
    }
    return bench.process(sys.executable, "benchmarks.training_plain", written(bench, asked))


def written(bench: Bench, asked: Mapping[str, Any]) -> Path:
    path = bench.folder / "settings.json"
    path.write_text(json.dumps(asked))
    return path


# PPO ----------------------------------------------------------------------------------------------------


def ppo_lines(bench: Bench) -> bool:
    """Compare our PPO, with either value model, with TRL's last: in speed, in memory, and in what was learned."""
    try:
        python = python_with_trl_1_12(bench.folder / "trl-1.12")
    except NoPackages as reason:
        print(json.dumps({"benchmark": "training", "kind": "ppo", "against": "trl 1.12", "skipped": str(reason)}))
        return True
    config = {
        "updates": bench.sizes.updates,
        "batch_size": 4,
        "minibatch_size": 4,
        "ppo_epochs": 2,
        "max_new_tokens": 24,
        "lora_rank": 16,
        "lora_alpha": 32,
        "learning_rate": 1e-4,
        "kl_coef": 0.05,
        "temperature": 0.7,
        "missing_eos_penalty": 0.0,
        "checkpoint_every": bench.sizes.updates,
        "seed": 17,
    }
    reward = reward_model(bench)
    turns = [
        {
            **{one: our_ppo(bench, {**config, "value_model": one}, reward, turn) for one in VALUE_MODELS},
            "trl": trl_ppo(bench, python, config, turn),
        }
        for turn in range(bench.sizes.repeats)
    ]
    theirs = learned(bench, "trl", reward)
    for value_model in VALUE_MODELS:
        tell(
            bench,
            [(turn[value_model], turn["trl"]) for turn in turns],
            kind="ppo",
            settings="equal",
            value_model=value_model,
            against="trl 1.12",
            goal=PPO_GOALS["speed_ratio"],
            memory_goal=PPO_GOALS["memory_ratio"],
            trained_per_generated=config["ppo_epochs"],
            learned={"ours": learned(bench, value_model, reward), "theirs": theirs},
        )
    return True


def learned(bench: Bench, which: str, reward: ModelSource) -> dict[str, Any]:
    """Return what the first turn's policy gained: both PPOs are judged by our evaluation against the base model.

    The mean score that the reward model gives the policy's answers to the prompts, less that of the base model's, with
    its 95 % interval; and how far it came from it. All answers are drawn with the same seeds.
    """
    adapter = bench.folder / "trl-ppo-0" if which == "trl" else bench.folder / f"ppo-{which}-0" / "model"
    run = RunDirectory(bench.folder / f"learned-{which}")
    config = {"max_new_tokens": 24, "batch_size": 8, "temperature": 0.7}
    policy = ModelSource(bench.model, (str(adapter),))
    run.write_spec(
        RunSpec(run.path.name, "evaluate", config, policy=policy, reward=reward, reference=ModelSource(bench.model))
    )
    write_prompts(run.prompts_path, bench.questions)
    command = [sys.executable, "-m", "training.ml", str(run.path)]
    done = subprocess.run(command, cwd=ROOT, env=bench.environment, capture_output=True, text=True)
    outcome = run.outcome()
    if outcome is None:
        raise RunFailed(f"evaluating {adapter}: {run.error() or done.stderr[-3000:]}")
    figures = outcome.evaluation
    return {
        "prompts": figures["n"],
        "score_gained": [round(figures["gap"][name], 3) for name in ("value", "low", "high")],
        "kl": round(figures["kl"]["value"], 3),
    }


def reward_model(bench: Bench) -> ModelSource:
    """Train a reward model for a few steps, and write it as a whole classifier as TRL wants it; return ours."""
    run = RunDirectory(bench.folder / "reward-for-ppo")
    snapshot = bench.folder / "snapshot"
    if not snapshot.exists():
        write_snapshot(snapshot, bench.pairs)
    run.write_spec(
        RunSpec(
            run.path.name,
            "reward",
            {"steps": steps(bench.sizes), "batch_size": bench.sizes.batch_size, "max_length": 4096, "calibrate": False},
            policy=ModelSource(bench.model),
            snapshot=str(snapshot),
            snapshot_sha256=sha256_of(snapshot),
        )
    )
    bench.process(sys.executable, "benchmarks.training_ours", run.path)
    source = ModelSource(bench.model, (str(run.model_path),))
    asked = {"base": source.base, "adapters": list(source.adapters), "out": str(bench.folder / "whole-reward")}
    bench.process(sys.executable, "benchmarks.training_whole_reward", written(bench, asked))
    return source


def our_ppo(bench: Bench, config: Mapping[str, Any], reward: ModelSource, turn: int) -> dict[str, Any]:
    run = RunDirectory(bench.folder / f"ppo-{config['value_model']}-{turn}")
    spec = RunSpec(run.path.name, "ppo", dict(config), policy=ModelSource(bench.model), reward=reward)
    run.write_spec(spec)
    write_prompts(run.prompts_path, bench.questions)
    return bench.process(sys.executable, "benchmarks.training_ours", run.path)


def trl_ppo(bench: Bench, python: str, config: Mapping[str, Any], turn: int) -> dict[str, Any]:
    rows = bench.folder / "prompts.jsonl"
    write_prompts(rows, bench.questions)
    asked = {
        "model": bench.model,
        "reward": str(bench.folder / "whole-reward"),
        "rows": str(rows),
        "out": str(bench.folder / f"trl-ppo-{turn}"),
        "config": dict(config),
    }
    return bench.process(python, "benchmarks.training_ppo_trl", written(bench, asked))


# Lines --------------------------------------------------------------------------------------------------


def tell(bench: Bench, pairs: Sequence[tuple[dict[str, Any], dict[str, Any]]], **about: Any) -> None:
    """Print one comparison: `pairs` are (ours, theirs) of each turn."""
    ratios = [theirs["cpu_s"] / mine["cpu_s"] for mine, theirs in pairs]
    if "generated" in pairs[0][0]:  # what is compared is the cost of a token, should one of the two write more
        ratios = [
            (mine["generated"] / mine["cpu_s"]) / (theirs["generated"] / theirs["cpu_s"]) for mine, theirs in pairs
        ]
    line = {
        "benchmark": "training",
        "model": bench.name,
        **about,
        "batch_size": bench.sizes.batch_size,
        "speed_ratio": round(median(ratios), 3),
        "speed_ratios": [round(ratio, 3) for ratio in ratios],
        "memory_ratio": round(median(mine["peak_mib"] / theirs["peak_mib"] for mine, theirs in pairs), 3),
        "ours": taken([mine for mine, _ in pairs]),
        "theirs": taken([theirs for _, theirs in pairs]),
        "load": round(os.getloadavg()[0], 1),
    }
    print(json.dumps(line), flush=True)


def taken(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "steps": runs[0]["steps"],
        "cpu_s_per_step": round(median(run["cpu_s"] / run["steps"] for run in runs), 4),
        "seconds_per_step": round(median(run["seconds"] / run["steps"] for run in runs), 4),
        "peak_mib": round(median(run["peak_mib"] for run in runs)),
    }
    if "generated" in runs[0]:
        found["generated_per_cpu_s"] = round(median(run["generated"] / run["cpu_s"] for run in runs), 2)
        last = max(1, runs[0]["steps"] // 5)
        found["score_first"] = round(fmean(run["scores"][0] for run in runs), 3)
        found["score_last"] = round(fmean(fmean(run["scores"][-last:]) for run in runs), 3)
        found["kl_last"] = round(fmean(fmean(run["kl"][-last:]) for run in runs), 3)
    return found


if __name__ == "__main__":
    sys.exit(main())
