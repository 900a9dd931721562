"""A policy against its reference: both answer the same prompts, and a reward model says who does it better.

With the win rate goes what tells whether the reward was earned: how far the policy has moved (KL), whether it still
chooses among words (entropy), and what a reward model is easily fooled by: length, repetition, fewer refusals.

Answers are kept batch by batch, so an evaluation that is cut off goes on where it was.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from feedback.contract import PromptRow
from training.configs import EvaluateConfig
from training.ml.chat import prompt_ids, refuse_too_long, response_ids
from training.ml.intervals import Z_95, wilson_interval
from training.ml.models import DTYPES, load_policy, load_tokenizer, pick_device
from training.ml.reward_functions import distinct_share, is_refusal
from training.ml.reward_models import check_reward_source, load_scorer
from training.ml.rl import entropy_from_logits, logprobs_from_logits, masked_sum
from training.ml.sampling import Interrupted, generate_tokens, readable, response_seed
from training.ml.sequences import lay_out, response_logits
from training.rundir import ModelSource, RunDirectory, append_lines, keep_lines, read_lines

SHOWN = 20
"""Pairs of answers that are kept for people to read."""


@dataclass(frozen=True)
class Answer:
    """What one model wrote to one prompt: a line of answers.jsonl, with whose it is."""

    tokens: list[int]
    text: str
    entropy: float
    """Mean over the response's tokens, nats."""
    logprob: float
    """Of the response under the model that wrote it, summed over its tokens."""
    policys_logprob: float = 0.0
    """With a reference's answer: that of the policy's answer to the same prompt, under the reference."""


def compare_with_reference(
    run: RunDirectory, policy: ModelSource, reference: ModelSource, judge: ModelSource, prompts: Sequence[PromptRow],
    config: EvaluateConfig,
) -> dict[str, Any] | None:  # fmt: skip
    """Return the figures of the policy against its reference; None when somebody asked to stop.

    One model is in memory at a time. Both draw with the same seed for each prompt.
    """
    tokenizer = load_tokenizer(policy)
    ids = [prompt_ids(tokenizer, row["messages"]) for row in prompts]
    names = [f"prompt {row['prompt_id']}" for row in prompts]
    refuse_too_long([len(one) for one in ids], config.max_length, "max_length", names)
    seeds = [response_seed(config.seed, row["prompt_id"], 0) for row in prompts]
    total = 3 * len(prompts)
    kept = list(read_lines(run.answers_path))
    keep_lines(run.answers_path, kept)  # drops a line torn by a crash

    written: list[list[Answer]] = []
    for who, source in (("policy", policy), ("reference", reference)):
        mine = [Answer(**row["answer"]) for row in kept if row["who"] == who]
        run.write_progress(f"writing with the {who}", len(written) * len(prompts) + len(mine), total)
        if len(mine) < len(prompts):
            model = load_policy(source, tokenizer, DTYPES[config.precision]).to(pick_device()).eval()
            writing = Writing(run, model, tokenizer, ids, seeds, config)
            if not write_rest(writing, who, mine, written[0] if written else None, total):
                return None
            del model, writing
        written.append(mine)
    ours, theirs = written

    run.write_progress("judging", 2 * len(prompts), total)
    scores = judged(judge, prompts, [[one.text for one in own] for own in written], config)
    keep_examples(run, prompts, ours, theirs, scores)
    distances = [own.logprob - other.policys_logprob for own, other in zip(ours, theirs, strict=True)]
    figures = won([own - other for own, other in zip(*scores, strict=True)])
    figures["kl"] = mean_of(distances)
    figures["kl_per_token"] = sum(distances) / sum(len(one.tokens) for one in ours)
    for name, one, scored in (("policy", ours, scores[0]), ("reference", theirs, scores[1])):
        figures[name] = described(one, scored, tokenizer.eos_token_id)
    return figures


@dataclass(frozen=True)
class Writing:
    """A model and the prompts that it answers."""

    run: RunDirectory
    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    ids: Sequence[list[int]]
    seeds: Sequence[int]
    config: EvaluateConfig


def write_rest(
    writing: Writing, who: str, answers: list[Answer], policy_answers: Sequence[Answer] | None, total: int
) -> bool:
    """Answer the prompts after those that `answers` answers, adding to it and to answers.jsonl.

    With `policy_answers` the model reads those, too. Batches are always the same ones, of which an earlier attempt may
    have left a part: then it is written anew. False when somebody asked to stop.
    """
    run, config = writing.run, writing.config
    done = len(answers)
    for start in range(done - done % config.batch_size, len(writing.ids), config.batch_size):
        rows = slice(start, start + config.batch_size)
        try:
            found = answer(writing, rows, policy_answers)
        except Interrupted:
            return False
        new = found[len(answers) - start :]
        append_lines(run.answers_path, [{"who": who, "answer": asdict(one)} for one in new])
        answers += new
        run.write_progress(f"writing with the {who}", len(policy_answers or ()) + len(answers), total)
    return True


def answer(writing: Writing, rows: slice, policy_answers: Sequence[Answer] | None) -> list[Answer]:
    """Answer one batch of prompts and read the answers. Raises Interrupted."""
    model, tokenizer, config = writing.model, writing.tokenizer, writing.config
    ids = writing.ids[rows]
    written = generate_tokens(
        model,
        tokenizer,
        ids,
        writing.seeds[rows],
        temperature=config.temperature,
        top_p=1.0,
        max_new_tokens=config.max_new_tokens,
        min_new_tokens=1,
        interrupted=writing.run.cancel_requested,
    )
    own = read(model, tokenizer, ids, written, config.batch_size)
    others = [0.0] * len(ids)
    if policy_answers is not None:
        theirs = [one.tokens for one in policy_answers[rows]]
        others = [logprob for logprob, _ in read(model, tokenizer, ids, theirs, config.batch_size)]
    return [
        Answer(tokens, readable(tokenizer, tokens), entropy, logprob, other)
        for tokens, (logprob, entropy), other in zip(written, own, others, strict=True)
    ]


@torch.no_grad()
def read(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    ids: Sequence[list[int]],
    tokens: Sequence[list[int]],
    batch_size: int,
) -> list[tuple[float, float]]:
    """Return for each response (its log-probability, the mean entropy of its tokens' distributions), in nats.

    Of the model's own distribution, at temperature 1, whatever it was drawn at.
    """
    found: list[tuple[float, float]] = []
    for start in range(0, len(ids), batch_size):
        end = start + batch_size
        rollouts = lay_out(ids[start:end], tokens[start:end], tokenizer.pad_token_id, model.device)
        logits = response_logits(model, rollouts)
        logprobs, entropy = logprobs_from_logits(logits, rollouts.response_ids), entropy_from_logits(logits)
        for row in range(len(rollouts)):
            one = slice(row, row + 1)
            mask = rollouts.response_mask[one]
            found.append((float(masked_sum(logprobs[one], mask)), float(masked_sum(entropy[one], mask) / mask.sum())))
    return found


def judged(
    judge: ModelSource, prompts: Sequence[PromptRow], texts: Sequence[Sequence[str]], config: EvaluateConfig
) -> list[list[float]]:
    """Return what the judge says of each model's texts, a mean over its members; in the judge's own tokens."""
    judge = check_reward_source(judge)
    tokenizer = load_tokenizer(judge)
    scorer = load_scorer(judge, tokenizer, precision=config.precision)
    heads = [prompt_ids(tokenizer, row["messages"]) for row in prompts]
    return [
        scorer.scores(
            [[*head, *response_ids(tokenizer, text)] for head, text in zip(heads, own, strict=True)], config.batch_size
        )
        .mean(0)
        .tolist()
        for own in texts
    ]


def won(gaps: Sequence[float]) -> dict[str, Any]:
    """Return {"win_rate", "low", "high", "n", "gap"} of score gaps, one for each prompt; a gap of 0 counts half."""
    wins = sum(1.0 if gap > 0 else 0.5 if gap == 0 else 0.0 for gap in gaps)
    low, high = wilson_interval(wins, len(gaps))
    return {"win_rate": wins / len(gaps), "low": low, "high": high, "n": len(gaps), "gap": mean_of(gaps)}


def mean_of(values: Sequence[float]) -> dict[str, float]:
    """Return the mean with its 95 % interval by the normal distribution; without one for a single value."""
    mean = statistics.fmean(values)
    half = Z_95 * statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else 0.0
    return {"value": mean, "low": mean - half, "high": mean + half}


def described(answers: Sequence[Answer], scores: Sequence[float], end_id: int) -> dict[str, float]:
    """Return what a model's answers are like: each a mean over answers."""
    return {
        "score": statistics.fmean(scores),
        "tokens": statistics.fmean(len(one.tokens) for one in answers),
        "entropy": statistics.fmean(one.entropy for one in answers),
        "repetition": statistics.fmean(1.0 - distinct_share(one.text) for one in answers),
        "refusals": statistics.fmean(float(is_refusal(one.text)) for one in answers),
        "unfinished": statistics.fmean(float(one.tokens[-1] != end_id) for one in answers),
    }


def keep_examples(
    run: RunDirectory,
    prompts: Sequence[PromptRow],
    ours: Sequence[Answer],
    theirs: Sequence[Answer],
    scores: Sequence[Sequence[float]],
) -> None:
    """Write some pairs of answers for people to read: step 0 is the reference, step 1 the policy."""
    lines = [
        {
            "step": step,
            "place": place,
            "prompt": row["messages"][-1]["content"],
            "response": own[place].text,
            "score": scored[place],
        }
        for place, row in enumerate(prompts[:SHOWN])
        for step, (own, scored) in enumerate(((theirs, scores[1]), (ours, scores[0])))
    ]
    keep_lines(run.previews_path, lines)
