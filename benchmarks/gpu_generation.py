"""How fast a model writes on this device, in several ways; prints one JSON list.

    python -m benchmarks.gpu_generation SETTINGS.json

one by one: a prompt at a time. batched: as Concord samples and rolls out (training.ml.sampling). compiled: the same
batch with a cache of fixed size, the forward pass compiled. continuous: transformers' continuous batching. Every way
writes the same number of tokens to the same prompts, once to warm up (compiling counts there), once for the clock.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig, PreTrainedModel
from transformers.generation import ContinuousBatchingConfig

from benchmarks.training_meter import peak_mib
from training.ml.chat import check_chat_model, prompt_ids
from training.ml.models import pick_device
from training.ml.sampling import generate_tokens

Way = Callable[[], int]
"""Writes to all prompts and returns how many tokens."""


class NeedsGPU(Exception):
    """This way of writing is for a GPU alone."""


def main() -> int:
    asked = json.loads(Path(sys.argv[1]).read_text())
    device = pick_device()
    tokenizer = AutoTokenizer.from_pretrained(asked["model"])
    check_chat_model(tokenizer, asked["model"])
    dtype = torch.bfloat16 if device.type == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(asked["model"], dtype=dtype).to(device).eval()
    rows = [json.loads(line) for line in Path(asked["rows"]).read_text(encoding="utf-8").splitlines()]
    prompts = [prompt_ids(tokenizer, row["messages"]) for row in rows]
    found = [
        measured(name, way, asked["new_tokens"])
        for name, way in ways(model, tokenizer, prompts, asked["new_tokens"]).items()
    ]
    print(json.dumps(found), flush=True)
    return 0


def ways(model: PreTrainedModel, tokenizer: Any, prompts: list[list[int]], new_tokens: int) -> dict[str, Way]:
    def ours(batch: list[list[int]]) -> int:
        limits = {"max_new_tokens": new_tokens, "min_new_tokens": new_tokens}
        written = generate_tokens(model, tokenizer, batch, [17] * len(batch), temperature=0.7, top_p=1.0, **limits)
        return sum(map(len, written))

    exactly = {
        "max_new_tokens": new_tokens,
        "min_new_tokens": new_tokens,
        "do_sample": True,
        "temperature": 0.7,
        "top_k": 0,
        "pad_token_id": tokenizer.pad_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }

    def compiled() -> int:
        width = max(map(len, prompts))
        ids = torch.tensor([[*[tokenizer.pad_token_id] * (width - len(one)), *one] for one in prompts])
        attention = torch.tensor([[0] * (width - len(one)) + [1] * len(one) for one in prompts])
        with torch.no_grad():
            written = model.generate(
                ids.to(model.device),
                attention_mask=attention.to(model.device),
                generation_config=GenerationConfig(
                    **exactly, cache_implementation="static", disable_compile=model.device.type != "cuda"
                ),
            )
        return len(prompts) * (written.shape[1] - width)

    def continuous() -> int:
        if model.device.type != "cuda":
            raise NeedsGPU("its cache would take most of this machine's memory")
        half = ContinuousBatchingConfig(max_memory_percent=0.5)
        with torch.no_grad():
            outputs = model.generate_batch(
                prompts,
                generation_config=GenerationConfig(**exactly),
                continuous_batching_config=half,
                progress_bar=False,
            )
        return sum(len(output.generated_tokens) for output in outputs.values())

    return {
        "one by one": lambda: sum(ours([prompt]) for prompt in prompts[:2]),
        "batched": lambda: ours(prompts),
        "compiled": compiled,
        "continuous": continuous,
    }


def measured(name: str, way: Way, new_tokens: int) -> dict[str, Any]:
    try:
        way()
        wait()
        started = time.monotonic()
        tokens = way()
        wait()
    except Exception as error:  # a way that this device or library does not have: said, and the others go on
        return {"way": name, "skipped": f"{type(error).__name__}: {str(error)[:200]}"}
    seconds = time.monotonic() - started
    return {
        "way": name,
        "new_tokens": new_tokens,
        "tokens": tokens,
        "tokens_per_second": round(tokens / seconds, 1),
        "peak_mib": round(peak_mib()),
    }


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


if __name__ == "__main__":
    sys.exit(main())
