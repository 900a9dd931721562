"""Answer turns of conversations for as long as somebody asks: `python -m training.ml.talk`.

One JSON object per line comes in on standard input, one goes out on standard output for each:

    {"id": "...", "messages": [...], "temperature": 0.8, "top_p": 1.0, "max_new_tokens": 256,
     "answers": [{"base": "...", "adapters": [...], "seed": 1}, {"base": "...", "adapters": [...], "seed": 2}]}
    {"id": "...", "answers": [{"text": "...", "finished": true}, {"text": "...", "finished": true}]}
    {"id": "...", "error": "for people", "for_good": true}

Models stay in memory between turns, at most MODELS of them; the process ends with its input, and the guard ends it when
whoever started it dies. What was left out: batching the turns of several talks, which a serving engine does better.
"""

from __future__ import annotations

import json
import os
import sys
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from training.ml import CannotRun
from training.ml.__main__ import die_with_the_group
from training.rundir import ModelSource, when_guard_closes

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODELS = 2
"""A talk has at most two; 135 million parameters are half a gigabyte in single precision."""


class Voices:
    """Models that were asked of late, the last one last."""

    def __init__(self, most: int = MODELS) -> None:
        self.most = most
        self.loaded: OrderedDict[ModelSource, tuple[PreTrainedModel, PreTrainedTokenizerBase]] = OrderedDict()

    def of(self, source: ModelSource) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
        """Return the model and its tokenizer, loaded if need be; the one asked longest ago makes room first."""
        from training.ml.models import check_source, load_policy, load_tokenizer, pick_device

        if source not in self.loaded:
            while len(self.loaded) >= self.most:
                self.loaded.popitem(last=False)
            tokenizer = load_tokenizer(check_source(source, "checkpoint"))
            self.loaded[source] = (load_policy(source, tokenizer).to(pick_device()).eval(), tokenizer)
        self.loaded.move_to_end(source)
        return self.loaded[source]


def answer(voices: Voices, asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the answers that were asked for; those of one checkpoint are written side by side. Raises CannotRun."""
    written: dict[int, dict[str, Any]] = {}
    for source, places in by_source(asked["answers"]):
        seeds = [asked["answers"][place]["seed"] for place in places]
        for place, said in zip(places, say(voices, source, seeds, asked), strict=True):
            written[place] = said
    return [written[place] for place in range(len(asked["answers"]))]


def by_source(answers: Sequence[Mapping[str, Any]]) -> Iterator[tuple[ModelSource, list[int]]]:
    places: dict[ModelSource, list[int]] = {}
    for place, wanted in enumerate(answers):
        places.setdefault(ModelSource(wanted["base"], tuple(wanted["adapters"])), []).append(place)
    yield from places.items()


def say(voices: Voices, source: ModelSource, seeds: list[int], asked: Mapping[str, Any]) -> list[dict[str, Any]]:
    from training.ml.chat import prompt_ids, refuse_too_long
    from training.ml.sampling import generate_tokens, readable

    model, tokenizer = voices.of(source)
    ids = prompt_ids(tokenizer, asked["messages"])
    window = model.config.get_text_config().max_position_embeddings
    refuse_too_long([len(ids) + asked["max_new_tokens"]], window, "the model's window", ["the talk with its answer"])
    rows = generate_tokens(
        model,
        tokenizer,
        [ids] * len(seeds),
        seeds,
        temperature=asked["temperature"],
        top_p=asked["top_p"],
        max_new_tokens=asked["max_new_tokens"],
        min_new_tokens=1,
    )
    return [{"text": readable(tokenizer, row), "finished": row[-1] == tokenizer.eos_token_id} for row in rows]


def serve(lines: TextIO, out: TextIO) -> None:
    voices = Voices()
    for line in lines:
        asked = json.loads(line)
        try:
            said: dict[str, Any] = {"answers": answer(voices, asked)}
        except CannotRun as error:
            said = {"error": str(error), "for_good": True}
        out.write(json.dumps({"id": asked["id"], **said}) + "\n")
        out.flush()


def prepare_environment() -> None:
    """Set what torch and its companions read while they are imported; what the starter set stays."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


def main() -> int:
    when_guard_closes(die_with_the_group)
    prepare_environment()
    # Whatever a library prints must not get between the answers.
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    serve(sys.stdin, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
