"""Write responses to prompts, in batches, such that a run that is cut off and resumed leaves the same rows.

Several models may answer the same prompts, one after the other; each response may be the best of several drafts.

Every response has a seed of its own, made from the run's seed, the prompt and the response's index, and every batch
holds the same prompts in every attempt; so no response depends on what was written before it. Batches go prompt by
prompt, all temperatures of one before the next, so that whole sets of responses land early.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    StoppingCriteria,
    StoppingCriteriaList,
    TemperatureLogitsWarper,
    TopPLogitsWarper,
)

from feedback.contract import Message, PromptRow, SampleRow
from training.configs import SampleConfig
from training.ml import CannotRun
from training.ml.chat import prompt_ids, refuse_too_long, template_digest
from training.ml.drafts import Judge, best_drafts
from training.ml.models import DTYPES, check_source, load_policy, load_tokenizer, pick_device
from training.rundir import Outcome, RunDirectory, RunSpec, append_line, keep_lines, read_lines


class NoPrompts(CannotRun):
    """The run's prompts.jsonl is missing or empty."""


class NoJudge(CannotRun):
    """The run asks for the best of several drafts, and names no reward model; or names one that it has no use for."""


@dataclass(frozen=True)
class Job:
    """The index-th response to a prompt."""

    prompt_id: str
    index: int
    temperature: float
    seed: int
    ids: list[int]
    messages: list[Message]
    model: int


def response_seed(seed: int, prompt_id: str, index: int) -> int:
    """Return the 31-bit seed of one response."""
    return int.from_bytes(hashlib.sha256(f"{seed}:{prompt_id}:{index}".encode()).digest()[:4], "big") >> 1


def draft_seed(seed: int, draft: int) -> int:
    """Return the seed of a draft of the response with `seed`; the first draft has that seed itself."""
    return response_seed(seed, "draft", draft) if draft else seed


def plan_batches(
    prompts: Sequence[PromptRow], ids: Sequence[list[int]], config: SampleConfig, model: int = 0
) -> Iterator[list[Job]]:
    """Yield every batch of one of the run's models, always the same for the same prompts and config."""
    for start in range(0, len(prompts), config.batch_size):
        for place, temperature in enumerate(config.temperatures):
            for number in range(config.responses_per_temperature):
                index = model * config.responses + place * config.responses_per_temperature + number
                yield [
                    Job(
                        prompt_id=prompts[row]["prompt_id"],
                        index=index,
                        temperature=float(temperature),
                        seed=response_seed(config.seed, prompts[row]["prompt_id"], index),
                        ids=ids[row],
                        messages=prompts[row]["messages"],
                        model=model,
                    )
                    for row in range(start, min(start + config.batch_size, len(prompts)))
                ]


class SeededSampling(LogitsProcessor):
    """Add Gumbel noise from each row's own generator: the greedy choice is then a draw from the distribution."""

    def __init__(self, seeds: Sequence[int]) -> None:
        self.seeds = list(seeds)
        self.generators: list[torch.Generator] = []

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Return log-probabilities plus noise; [B, V] in and out."""
        assert scores.shape[0] == len(self.seeds), f"{scores.shape[0]} rows for {len(self.seeds)} seeds"
        if not self.generators:  # on the device: a draw for each token of the vocabulary is dear to move
            self.generators = [torch.Generator(scores.device).manual_seed(seed) for seed in self.seeds]
        noise = torch.empty(scores.shape, dtype=torch.float32, device=scores.device)
        for row, generator in zip(noise, self.generators, strict=True):
            row.exponential_(generator=generator)
        return scores.float().log_softmax(-1) - noise.log()


def sampling_processors(seeds: Sequence[int], temperature: float, top_p: float) -> LogitsProcessorList:
    """Return what turns greedy decoding into sampling; nothing at temperature 0."""
    processors = LogitsProcessorList()
    if temperature > 0:
        processors.append(TemperatureLogitsWarper(temperature))
        if top_p < 1.0:
            processors.append(TopPLogitsWarper(top_p))
        processors.append(SeededSampling(seeds))
    return processors


class Interrupted(Exception):
    """Somebody asked to stop while responses were being written; none of the batch is kept."""


def never() -> bool:
    return False


class StopWhen(StoppingCriteria):
    """Stop every row of a batch before its next token once `asked` says so."""

    def __init__(self, asked: Callable[[], bool]) -> None:
        self.asked = asked
        self.stopped = False

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        self.stopped = self.stopped or self.asked()
        return torch.full((input_ids.shape[0],), self.stopped, device=input_ids.device)


@torch.no_grad()
def generate_tokens(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[Sequence[int]],
    seeds: Sequence[int],
    *,
    temperature: float,
    top_p: float,
    max_new_tokens: int,
    min_new_tokens: int = 0,
    interrupted: Callable[[], bool] = never,
) -> list[list[int]]:
    """Return the ids that follow each prompt, up to and including the end token (missing when cut off).

    Raises Interrupted when `interrupted`, asked before every token, says so.
    """
    width = max(map(len, prompts))
    pad_id, end_id = tokenizer.pad_token_id, tokenizer.eos_token_id
    ids = torch.tensor([[*[pad_id] * (width - len(p)), *p] for p in prompts], device=model.device)
    attention = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in prompts], device=model.device)
    stop = StopWhen(interrupted)
    written = model.generate(
        input_ids=ids,
        attention_mask=attention,
        max_new_tokens=max_new_tokens,
        min_new_tokens=min_new_tokens,
        do_sample=False,
        logits_processor=sampling_processors(seeds, temperature, top_p),
        stopping_criteria=StoppingCriteriaList([stop]),
        pad_token_id=pad_id,
        eos_token_id=end_id,
    )[:, width:].tolist()
    if stop.stopped:
        raise Interrupted
    return [row[: row.index(end_id) + 1] if end_id in row else row for row in written]


def readable(tokenizer: PreTrainedTokenizerBase, tokens: Sequence[int]) -> str:
    """Return the text of a response; databases refuse NUL, so it becomes the replacement character."""
    return tokenizer.decode(tokens, skip_special_tokens=True).replace("\x00", "\ufffd")


def write_responses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    jobs: Sequence[Job],
    config: SampleConfig,
    interrupted: Callable[[], bool] = never,
    judge: Judge | None = None,
) -> list[SampleRow]:
    """Write one response per job, of its drafts the one that `judge` likes best; the jobs share their temperature.

    Raises Interrupted.
    """
    drafts = [
        generate_tokens(
            model,
            tokenizer,
            [job.ids for job in jobs],
            [draft_seed(job.seed, draft) for job in jobs],
            temperature=jobs[0].temperature,
            top_p=config.top_p,
            max_new_tokens=config.max_new_tokens,
            min_new_tokens=1,  # an empty response is nothing to compare
            interrupted=interrupted,
        )
        for draft in range(config.best_of)
    ]
    texts = [[readable(tokenizer, tokens) for tokens in draft] for draft in drafts]
    chosen, scores = [0] * len(jobs), None
    if judge is not None:
        scores = torch.stack([judge.scores([job.messages for job in jobs], draft) for draft in texts])
        chosen = best_drafts(scores)
    rows: list[SampleRow] = []
    for place, (job, draft) in enumerate(zip(jobs, chosen, strict=True)):
        row: SampleRow = {
            "prompt_id": job.prompt_id,
            "index": job.index,
            "text": texts[draft][place],
            "temperature": job.temperature,
            "top_p": config.top_p,
            "max_new_tokens": config.max_new_tokens,
            "seed": draft_seed(job.seed, draft),
            "finished": drafts[draft][place][-1] == tokenizer.eos_token_id,
            "model": job.model,
            "best_of": config.best_of,
        }
        if scores is not None:
            row["score"] = scores[draft, place].item()
        rows.append(row)
    return rows


def read_prompts(run: RunDirectory) -> list[PromptRow]:
    prompts = cast(list[PromptRow], list(read_lines(run.prompts_path)))
    if not prompts:
        raise NoPrompts(f"{run.prompts_path.name} holds no prompt; choose at least one")
    return prompts


def load_judge(spec: RunSpec, config: SampleConfig) -> Judge | None:
    """Return the reward model that chooses among drafts; raises NoJudge where the two do not go together."""
    if config.best_of == 1 and spec.reward is None:
        return None
    if spec.reward is None:
        raise NoJudge(f"best_of: a reward model must choose among {config.best_of} drafts, and the run names none")
    if config.best_of == 1:
        raise NoJudge("best_of: with one draft there is nothing for the reward model to choose; give 2 or more")
    return Judge(spec.reward)


def run_sample(run: RunDirectory, spec: RunSpec, config: SampleConfig) -> Outcome:
    """Append a row to samples.jsonl for every prompt, model, temperature and number that is not there yet."""
    sources = [check_source(one, "policy to sample from") for one in (spec.policy, *spec.others)]
    tokenizers = [load_tokenizer(source) for source in sources]
    prompts = read_prompts(run)
    run.write_progress("loading the model")
    judge = load_judge(spec, config)

    kept = list(read_lines(run.samples_path))
    keep_lines(run.samples_path, kept)  # drops a line torn by a crash
    there = {(row["prompt_id"], row["index"]) for row in kept}
    total = len(prompts) * config.responses * len(sources)
    digest = template_digest(tokenizers[0])
    for place, (source, tokenizer) in enumerate(zip(sources, tokenizers, strict=True)):
        ids = [prompt_ids(tokenizer, row["messages"]) for row in prompts]
        batches = [
            jobs
            for jobs in plan_batches(prompts, ids, config, place)
            if not all((job.prompt_id, job.index) in there for job in jobs)
        ]
        if not batches:
            continue
        run.write_progress("loading the model", len(there), total)
        model = load_policy(source, tokenizer, DTYPES[config.precision]).to(pick_device()).eval()
        refuse_too_long(
            [len(one) + config.max_new_tokens for one in ids],
            model.config.get_text_config().max_position_embeddings,
            "the model's window",
            [f"prompt {row['prompt_id']} with its response" for row in prompts],
        )
        run.write_progress("sampling", len(there), total)
        for jobs in batches:
            try:
                rows = write_responses(model, tokenizer, jobs, config, run.cancel_requested, judge)
            except Interrupted:
                return Outcome("cancelled", len(there), template_digest=digest)
            for row in rows:
                if (row["prompt_id"], row["index"]) not in there:
                    append_line(run.samples_path, row)
                    there.add((row["prompt_id"], row["index"]))
            run.write_progress("sampling", len(there), total)
        del model  # one at a time is held in memory
    run.write_progress("sampling", len(there), total)
    return Outcome("succeeded", len(there), template_digest=digest)
