"""Carry out the run in a directory: `python -m training.ml RUN_DIR`.

Ends with 0 and outcome.json, or with 1 and error.txt, a message for people. A run that was asked to pause ends with the
outcome "paused": take outcome.json and the file `pause` away, and the same command goes on. A run whose outcome is
there already ends at once. When the worker that started this process dies, the guard ends the whole process group.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
import warnings
from pathlib import Path

from training.configs import (
    BadConfig,
    DPOConfig,
    EvaluateConfig,
    GRPOConfig,
    KTOConfig,
    MergeConfig,
    OnlineDPOConfig,
    PPOConfig,
    RewardConfig,
    RLOOConfig,
    SampleConfig,
    ScoreConfig,
    SFTConfig,
    parse_config,
)
from training.ml import CannotRun, Paused, processes
from training.ml.allocation import keep_freed_memory
from training.ml.failures import drop_what_is_not_whole, explained
from training.rundir import BadRunDirectory, Outcome, RunDirectory, RunSpec, when_guard_closes, when_unattended


def die_with_the_group() -> None:
    """Kill this process and those it started."""
    if os.getpgrp() == os.getpid():
        os.killpg(0, signal.SIGKILL)
    os._exit(1)


def start_guard() -> None:
    """End with the worker, should it die: it left one end of a pipe in CONCORD_GUARD_FD."""
    when_guard_closes(die_with_the_group)
    if processes.count() > 1:
        processes.end_with_the_parent()


def prepare_environment(run: RunDirectory, spec: RunSpec) -> None:
    """Set what torch and its companions read while they are imported; what the worker set stays."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")  # the log is a file
    os.environ.setdefault("HF_DATASETS_CACHE", str(run.datasets_cache))
    if processes.count() == 1:
        os.environ.setdefault("CUDA_VISIBLE_DEVICES", "0")  # TRL refuses several devices in one process
    # What the libraries say of each other's versions is not for those who read the log.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"(transformers|trl|peft|accelerate)\b")
    source = spec.policy or spec.reward
    if source is not None and Path(source.base).exists():
        os.environ.setdefault("HF_HUB_OFFLINE", "1")


def carry_out(run: RunDirectory) -> Outcome:
    """Run what run.json describes and return its outcome; raises what went wrong."""
    spec = run.spec()
    config = parse_config(spec.kind, spec.config)
    prepare_environment(run, spec)
    keep_freed_memory()
    run.write_progress("loading torch")
    from training.ml.environment import write_environment

    if processes.is_first():
        write_environment(run, spec, config)
    match config:  # torch is imported here and not above: a bad config is told at once
        case SampleConfig():
            from training.ml.sampling import run_sample

            return run_sample(run, spec, config)
        case SFTConfig():
            from training.ml.sft import run_sft

            return run_sft(run, spec, config)
        case MergeConfig():
            from training.ml.merge import run_merge

            return run_merge(run, spec, config)
        case RewardConfig():
            from training.ml.reward import run_reward

            return run_reward(run, spec, config)
        case DPOConfig():
            from training.ml.dpo import run_dpo

            return run_dpo(run, spec, config)
        case KTOConfig():
            from training.ml.kto import run_kto

            return run_kto(run, spec, config)
        case PPOConfig():
            from training.ml.ppo_runs import run_ppo

            return run_ppo(run, spec, config)
        case GRPOConfig():
            from training.ml.grpo import run_grpo

            return run_grpo(run, spec, config)
        case RLOOConfig():
            from training.ml.rloo import run_rloo

            return run_rloo(run, spec, config)
        case OnlineDPOConfig():
            from training.ml.online_dpo import run_online_dpo

            return run_online_dpo(run, spec, config)
        case EvaluateConfig():
            from training.ml.evaluate import run_evaluate

            return run_evaluate(run, spec, config)
        case ScoreConfig():
            from training.ml.score import run_score

            return run_score(run, spec, config)
        case _:
            raise BadConfig("kind", f"{spec.kind!r} is a kind of run that training.ml does not carry out")


def main(arguments: list[str]) -> int:
    if arguments in (["-h"], ["--help"]):
        sys.stdout.write(f"{__doc__}\nWhat lies in the directory is told at the top of training/rundir.py.\n")
        return 0
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m training.ml RUN_DIR\n")
        return 2
    run = RunDirectory(arguments[0]) if processes.is_first() else processes.Follower(arguments[0])
    start_guard()
    when_unattended(run, die_with_the_group)
    if run.outcome() is not None:
        return 0
    if not run.path.is_dir():
        sys.stderr.write(f"{run.path} is not a directory\n")
        return 2
    if processes.is_first():
        run.error_path.unlink(missing_ok=True)
    try:
        outcome = carry_out(run)
        from training.ml.preflight import look_back  # as late as torch

        look_back(run)
    except Paused as pause:
        outcome = Outcome("paused", pause.step)
    except (BadConfig, BadRunDirectory, CannotRun) as error:
        run.write_error(str(error))
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:  # the process ends here: whatever it was, people must read it on the run's page
        traceback.print_exc()
        if processes.is_first():
            drop_what_is_not_whole(run)
        run.write_error(explained(run, error))
        return 1
    run.write_outcome(outcome)
    return 1 if outcome.status == "failed" else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
