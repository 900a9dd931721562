"""The look before the first step: the rows as the model reads them, what is wrong with them, what the run will take.

Every kind that trains calls `look_first` once its rows are tokenized and its model is loaded. It writes preflight.json
and then either gives back the rows to train on, refuses the run, or ends it for now where somebody wants to look first.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from training.configs import (
    AdapterConfig,
    GroupConfig,
    OnlineConfig,
    PPOConfig,
    RewardConfig,
    SFTConfig,
    TrainingConfig,
)
from training.ml import CannotRun, Paused, checks
from training.ml.checks import ReadRow
from training.ml.estimates import (
    MIB,
    TRIAL_TOKENS,
    available_memory,
    estimate,
    forget_peak,
    is_sharded,
    memory_now,
    peak_memory,
    run_steps,
    step_rows,
    try_out,
    work_of,
)
from training.ml.readings import Reading, Row, some
from training.rundir import Check, Preflight, RunDirectory, RunSpec

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedTokenizerBase

R = TypeVar("R", bound=Row)
H = TypeVar("H", bound=Row)

EXAMPLES = 3
SHOWN_TOKENS = 1000
"""Of one example; a longer one is shown without its middle."""


class PreflightFailed(CannotRun):
    """A check says that the run would waste its time; the message is that of every blocking check."""


def look_first(
    run: RunDirectory,
    spec: RunSpec,
    config: AdapterConfig,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[R],
    held_out: Sequence[H] = (),
    *,
    model: nn.Module | None = None,
    extra: Sequence[Check] = (),
    shares_prompts: bool = False,
) -> tuple[list[R], list[H]]:
    """Write preflight.json and return (rows, held_out) without those that may be left out.

    `rows` are what the run learns from, `held_out` what it is measured on; `model` is the one that is trained, its
    adapter on, for the estimate of memory and time; `extra` are what the kind itself has to say; `shares_prompts` says
    that a pair is read as one sequence. Raises PreflightFailed when a check blocks, and Paused when the run waits for a
    person who has not yet seen what was found.
    """
    run.write_progress("looking at the rows")
    limit, setting = longest_allowed(config)
    every = [
        *(ReadRow(row, row.readings()) for row in rows),
        *(ReadRow(row, row.readings(), held_out=True) for row in held_out),
    ]
    long, empty = checks.too_long(every, limit), checks.without_response(every, tokenizer)
    left_out = {id(one) for one in (*long, *empty)}
    is_refused = checks.percent(len(left_out), len(every)) > config.max_refused_percent
    kept = [one for one in every if id(one) not in left_out]
    trained = [one for one in kept if not one.held_out]
    measured = [one for one in kept if one.held_out]
    found: list[Check] = []
    if every:
        found += [
            checks.check_length(every, long, limit, setting, is_refused),
            checks.check_empty(every, empty, is_refused),
        ]
    found += row_checks(config, tokenizer, trained, measured) if trained else [NO_ROWS]
    found.append(checks.check_pad(tokenizer))
    found.append(checks.check_template(tokenizer, [one for one in (spec.policy, spec.reward) if one is not None]))
    if isinstance(config, TrainingConfig | GroupConfig | PPOConfig):
        found.append(checks.check_learning_rate(config.tuning, config.learning_rate))
    found += extra
    guessed: dict[str, Any] = {}
    if model is not None and not is_sharded() and trained and not any(check.verdict == "blocking" for check in found):
        guessed = look_at_device(config, model, trained, some(measured), shares_prompts)
        found.append(check_memory(guessed["memory_mb"], available_memory()))
    examples = [example(tokenizer, one, reading) for one in pick(trained) for reading in one.readings]
    preflight = Preflight(found, examples, guessed)
    run.write_preflight(preflight)
    if preflight.blocking:
        raise PreflightFailed(" ".join(check.message for check in preflight.blocking))
    if spec.waits_after_preflight and not run.preflight_seen_path.exists():
        raise Paused
    forget_peak()
    return (
        [row for row, one in zip(rows, every, strict=False) if id(one) not in left_out],
        [row for row, one in zip(held_out, every[len(rows) :], strict=True) if id(one) not in left_out],
    )


NO_ROWS = Check("rows", "blocking", "No row is left to learn from; label more whose prompts are not held out.")


def longest_allowed(config: AdapterConfig) -> tuple[int, str]:
    """Return the most tokens of a sequence and the name of the setting that says so."""
    match config:
        case TrainingConfig():
            return config.max_length, "max_length"
        case OnlineConfig():
            return config.max_prompt_length, "max_prompt_length"
        case _:
            raise TypeError(f"{type(config).__name__} reads no rows")


def row_checks(
    config: AdapterConfig, tokenizer: PreTrainedTokenizerBase, trained: list[ReadRow], measured: list[ReadRow]
) -> list[Check]:
    found = [check(trained, tokenizer) for check in checks.ROW_CHECKS]
    if any(len(one.readings) == 2 for one in trained):
        found.append(checks.check_same(trained))
    if not isinstance(config, RewardConfig):  # its loss is on a score, not on tokens
        found.append(checks.check_mask(trained))
    if measured or isinstance(config, TrainingConfig):
        found.append(checks.check_overlap(trained, measured))
    rows_each_step = step_rows(config)
    if isinstance(config, SFTConfig) and config.packing:
        rows_each_step *= max(1.0, config.max_length * len(trained) / sum(one.length for one in trained))
    found.append(checks.check_passes(len(trained), rows_each_step, run_steps(config)))
    return found


# Memory and time --------------------------------------------------------------------------------------


def look_at_device(
    config: AdapterConfig, model: nn.Module, trained: list[ReadRow], measured: list[ReadRow], shares_prompts: bool
) -> dict[str, Any]:
    """Return the estimate of memory and time, from a short trial on the run's own tokens."""

    def lengths(one: ReadRow) -> list[int]:
        """Return the tokens of each sequence of a row, or of the one that all of them share."""
        each = [len(reading.ids) for reading in one.readings]
        return [sum(each) - (len(each) - 1) * len(one.readings[0].prompt)] if shares_prompts else each

    work = work_of(config, [lengths(one) for one in trained], sum(sum(lengths(one)) for one in measured))
    tokens: list[int] = []
    for one in trained:
        tokens += one.readings[0].ids
        if len(tokens) >= TRIAL_TOKENS:
            break
    trial = try_out(model, config, tokens[:TRIAL_TOKENS], work.at_once)
    return estimate(config, work, trial, memory_now())  # weights come into memory when they are first read


def check_memory(needed_mb: int, available: int) -> Check:
    figures = {"needed_mb": needed_mb, "available_mb": available // MIB}
    if available and needed_mb * MIB > available:
        return Check(
            "memory",
            "warning",
            f"The run should take about {needed_mb} MB, and {available // MIB} MB are there. Lower the batch size or "
            "the longest sequence, or turn gradient checkpointing on.",
            figures,
        )
    return Check("memory", "ok", f"The run should take about {needed_mb} MB of {available // MIB} MB.", figures)


def look_back(run: RunDirectory) -> None:
    """Write beside the estimate what then happened: seconds for each step and the most memory."""
    preflight = run.preflight()
    if preflight is None or not preflight.estimate:
        return
    seconds = [row["seconds"] for row in run.metrics() if row.get("seconds") is not None]
    happened = {
        "happened_memory_mb": round(peak_memory() / MIB),
        "happened_step_seconds": round(sum(seconds) / len(seconds), 3) if seconds else None,
    }
    run.write_preflight(dataclasses.replace(preflight, estimate={**preflight.estimate, **happened}))


# Examples ---------------------------------------------------------------------------------------------


def pick(rows: Sequence[ReadRow]) -> list[ReadRow]:
    """Return the first rows and the longest one."""
    if not rows:
        return []
    first = list(rows[: EXAMPLES - 1])
    longest = max(rows, key=lambda one: one.length)
    return first if longest in first else [*first, longest]


def example(tokenizer: PreTrainedTokenizerBase, one: ReadRow, reading: Reading) -> dict[str, Any]:
    """Return a sequence as pieces of text, each of tokens that are alike: learned or not, special or not."""
    special = set(tokenizer.all_special_ids)
    learned = [False] * len(reading.ids)
    for start, end in reading.learned:
        learned[start:end] = [True] * (end - start)
    half = SHOWN_TOKENS // 2
    count = len(reading.ids)
    pieces: list[dict[str, Any]] = []
    run_of: list[int] = []
    kind: tuple[bool, bool] | None = None

    def close() -> None:
        if run_of and kind is not None:
            text = tokenizer.decode(run_of, clean_up_tokenization_spaces=False)
            pieces.append({"text": text, "learned": kind[0], "special": kind[1]})
            run_of.clear()

    for place, token in enumerate(reading.ids):
        if count > SHOWN_TOKENS and half <= place < count - half:
            if place == half:
                close()
                pieces.append({"text": f" … {count - 2 * half} tokens … ", "learned": False, "special": False})
                kind = None
            continue
        if (now := (learned[place], token in special)) != kind:
            close()
            kind = now
        run_of.append(token)
    close()
    name = f"{one.row.name}, {reading.part}" if reading.part else one.row.name
    return {"name": name, "tokens": count, "pieces": pieces}
