"""Score responses with a reward model, in batches, such that a run that is cut off and resumed scores each once.

A response longer than `max_length` gets no score: a model that reads half of it would say something of another text.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from torch import Tensor

from training.configs import ScoreConfig
from training.ml import CannotRun
from training.ml.chat import prompt_ids, response_ids, template_digest
from training.ml.models import load_tokenizer
from training.ml.reward_models import check_reward_source, load_scorer
from training.rundir import Outcome, RunDirectory, RunSpec, append_lines, keep_lines, read_lines

BATCHES_TOGETHER = 16
"""Batches whose responses are sorted by length, so that little is padded, and whose scores are written together."""


def run_score(run: RunDirectory, spec: RunSpec, config: ScoreConfig) -> Outcome:
    """Append a row to scores.jsonl for every response of responses.jsonl that has none and is not too long."""
    # 1. What is there, and what is done already.
    total = sum(1 for _ in read_lines(run.responses_path))
    if not total:
        raise CannotRun("there is no response to score: all have a score of this model already, or there are none")
    kept = list(read_lines(run.scores_path))
    keep_lines(run.scores_path, kept)  # drops a line torn by a crash
    done = {row["response_id"]: row["value"] for row in kept}

    # 2. The model.
    run.write_progress("loading the model", len(done), total)
    source = check_reward_source(spec.reward)
    tokenizer = load_tokenizer(source)
    scorer = load_scorer(source, tokenizer, precision=config.precision)

    # 3. Batch by batch: whole chat and response, read on the last token.
    too_long = 0
    rows = (row for row in read_lines(run.responses_path) if row["response_id"] not in done)
    while chunk := list(islice(rows, BATCHES_TOGETHER * config.batch_size)):
        if run.cancel_requested():
            return outcome("cancelled", done, too_long, template_digest(tokenizer))
        ids = {
            row["response_id"]: [*prompt_ids(tokenizer, row["messages"]), *response_ids(tokenizer, row["text"])]
            for row in chunk
        }
        fitting = sorted((one for one in ids if len(ids[one]) <= config.max_length), key=lambda one: len(ids[one]))
        too_long += len(ids) - len(fitting)
        by_head = scorer.all_scores([ids[one] for one in fitting], config.batch_size)
        rows_scored = score_rows(fitting, by_head, scorer.card.heads[1:])
        append_lines(run.scores_path, rows_scored)
        done |= {row["response_id"]: row["value"] for row in rows_scored}
        run.write_progress("scoring", len(done) + too_long, total)
    return outcome("succeeded", done, too_long, template_digest(tokenizer))


def score_rows(response_ids: Sequence[str], by_head: Tensor, attributes: Sequence[str] = ()) -> list[dict[str, Any]]:
    """Return the lines of scores.jsonl; `by_head` is [members, heads, responses], the reward first.

    Of an ensemble the mean, and the standard deviation over its members. Of each attribute, where on its scale the
    response should lie: 0 = its lower end, 1 = its upper.
    """
    by_member = by_head[:, 0]
    rows: list[dict[str, Any]] = [
        {"response_id": one, "value": value}
        for one, value in zip(response_ids, by_member.mean(0).tolist(), strict=True)
    ]
    if len(by_member) > 1:
        for row, spread in zip(rows, by_member.std(0, correction=0).tolist(), strict=True):
            row["spread"] = spread
    for attribute, places in zip(attributes, by_head[:, 1:].sigmoid().mean(0).tolist(), strict=True):
        for row, place in zip(rows, places, strict=True):
            row.setdefault("attributes", {})[attribute] = place
    return rows


def outcome(status: str, scores: Mapping[str, float], too_long: int, digest: str) -> Outcome:
    values = list(scores.values())
    figures = {
        "n": len(values),
        "too_long": too_long,
        "mean": statistics.fmean(values) if values else None,
        "spread": statistics.stdev(values) if len(values) > 1 else None,
    }
    return Outcome(status=status, step=len(values), template_digest=digest, evaluation=figures)
