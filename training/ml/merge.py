"""Write a policy's whole model and adapters as one whole model, and say how far its words are from theirs."""

from __future__ import annotations

import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from feedback.contract import Message
from training.configs import MergeConfig
from training.ml import CannotRun
from training.ml.chat import prompt_ids, template_digest
from training.ml.models import DTYPES, check_source, has_virtual_tokens, load_policy, load_tokenizer, publish_model
from training.rundir import ModelSource, Outcome, RunDirectory, RunSpec

SAYING: list[Message] = [{"role": "user", "content": "What is the capital of France, and why is it known?"}]


class NothingToMerge(CannotRun):
    """The policy has no adapter, or one that adds nothing to the weights."""


def run_merge(run: RunDirectory, spec: RunSpec, config: MergeConfig) -> Outcome:
    """Merge the adapters in single precision, write the weights in the config's, load them again and compare."""
    source = check_source(spec.policy, "policy to merge")
    if not source.adapters:
        raise NothingToMerge(f"{source.base} is a whole model already; there is no adapter to merge")
    if has_virtual_tokens(source):
        raise NothingToMerge(
            f"{source.adapters[-1]} is a tuned prompt: virtual tokens, not weights, so it cannot be merged. "
            "Merge the model below it"
        )
    tokenizer = load_tokenizer(source)
    run.write_progress("merging", 0, 2)
    model = load_policy(source, tokenizer).eval()
    before = log_probabilities(model, tokenizer)
    sha256 = publish_model(
        run, model.to(DTYPES[config.precision]), tokenizer, kind="policy", source=source, step=len(source.adapters)
    )
    run.write_progress("reading it back", 1, 2)
    again = load_policy(ModelSource(str(run.model_path)), tokenizer, DTYPES[config.precision]).eval()
    gap = float((log_probabilities(again, tokenizer) - before).abs().max())
    run.write_progress("done", 2, 2)
    parameters = sum(parameter.numel() for parameter in again.parameters())
    return Outcome(
        "succeeded",
        len(source.adapters),
        sha256,
        template_digest(tokenizer),
        {"largest_difference": gap, "parameters": parameters, "adapters": len(source.adapters)},
    )


@torch.no_grad()
def log_probabilities(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> torch.Tensor:
    """Return the log-probabilities that `model` gives each next token of a short chat, [L, V]."""
    ids = torch.tensor([prompt_ids(tokenizer, SAYING)])
    return model(input_ids=ids, use_cache=False).logits[0].float().log_softmax(-1)
