"""Loading a model from its source, and publishing what training made; `tuning` says what of it is trained.

A policy is a whole model with LoRA adapters merged in, in order, and perhaps virtual tokens in front; reward models are
`reward_models`' business. Nothing here depends on the pad token: lengths and masks say what is real.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import torch
from peft import PeftModel
from peft.utils import load_peft_weights
from torch import Tensor, nn
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)

from training.ml import CannotRun, processes
from training.ml.chat import check_chat_model, template_digest
from training.ml.virtual_tokens import read_first
from training.rundir import ModelSource, RunDirectory, directory_digest, publish_directory, read_json, write_json

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


class MissingModel(CannotRun):
    """A directory that should hold a model or an adapter is not there or holds something else."""


def pick_device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def check_source(source: ModelSource | None, role: str) -> ModelSource:
    """Return `source` when its base and adapters can be loaded; raises MissingModel that names the directory."""
    if source is None:
        raise MissingModel(f"the run names no {role}")
    base = Path(source.base)
    if (base.is_absolute() or base.exists()) and not (base / "config.json").is_file():
        raise MissingModel(f"the {role}'s base model {base} is not a model directory: it has no config.json")
    for adapter in source.adapters:
        if not (Path(adapter) / "adapter_config.json").is_file():
            raise MissingModel(f"the {role}'s adapter {adapter} is gone: it has no adapter_config.json")
    return source


def load_tokenizer(source: ModelSource) -> PreTrainedTokenizerBase:
    """Load the base model's tokenizer, with a chat template and a pad token other than the end token."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source.base)
    except (OSError, ValueError) as error:
        raise MissingModel(f"no tokenizer can be read from {source.base}: {error}") from error
    check_chat_model(tokenizer, source.base)
    return tokenizer


def load_base(base: str, dtype: torch.dtype = torch.float32, **loading: Any) -> PreTrainedModel:
    try:
        return AutoModelForCausalLM.from_pretrained(base, dtype=dtype, **loading)
    except (OSError, ValueError) as error:
        raise MissingModel(f"no language model can be read from {base}: {error}") from error


def peft_type(adapter: str | Path) -> str:
    """Return "LORA", "PROMPT_TUNING" or another of the library's names for the adapter in a directory."""
    return str((read_json(Path(adapter) / "adapter_config.json") or {}).get("peft_type", ""))


def has_virtual_tokens(source: ModelSource) -> bool:
    """Tell whether the last adapter of `source` is a tuned prompt, on which nothing can be built."""
    return bool(source.adapters) and peft_type(source.adapters[-1]) == "PROMPT_TUNING"


def base_of(source: ModelSource) -> str:
    """Return the model that nobody trained here, which `source` comes from by whatever runs."""
    base = source.base
    while below := (read_json(Path(base) / "checkpoint.json") or {}).get("base"):
        base = below
    return base


def merge_adapter(model: PreTrainedModel, adapter: str) -> PreTrainedModel:
    """Return `model` with a saved adapter added to its weights (and its saved modules put in place).

    A tuned prompt has no weights to add to: the model reads its virtual tokens first from now on.
    """
    try:
        if peft_type(adapter) == "PROMPT_TUNING":
            read_first(model, load_peft_weights(adapter, device="cpu")["prompt_embeddings"])
            return model
        return PeftModel.from_pretrained(model, adapter).merge_and_unload()
    except (OSError, ValueError, RuntimeError, KeyError) as error:
        raise MissingModel(f"the adapter in {adapter} does not fit its base model: {error}") from error


def load_policy(
    source: ModelSource, tokenizer: PreTrainedTokenizerBase, dtype: torch.dtype = torch.float32, **loading: Any
) -> PreTrainedModel:
    """Load a causal language model, whole or with every adapter merged in; `loading` goes to the library."""
    model = load_base(source.base, dtype, **loading)
    for adapter in source.adapters:
        model = merge_adapter(model, adapter)
    model.config.pad_token_id = tokenizer.pad_token_id
    # Some models bring sampling habits of their own (penalties, top k) that would bend what a run asks for.
    model.generation_config = GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    return model


def backbone(model: PreTrainedModel) -> nn.Module:
    """Return the part of `model` that ends in hidden states."""
    return getattr(model, model.base_model_prefix)


def publish_model(
    run: RunDirectory,
    model: PreTrainedModel | PeftModel,
    tokenizer: PreTrainedTokenizerBase,
    *,
    kind: str,
    source: ModelSource,
    step: int,
) -> str:
    """Write what was trained and checkpoint.json to `model/`, whole or not at all; return its sha256.

    Of a PeftModel that is the adapter named "default", which stands on `source`; of any other model its weights and the
    tokenizer, which stand by themselves. The first of several processes writes; the others wait for it and get "".
    """
    weights = processes.whole_weights(model)
    if not processes.is_first():
        processes.wait_for_all()
        return ""
    temporary = run.path / ".model.tmp"
    shutil.rmtree(temporary, ignore_errors=True)
    if isinstance(model, PeftModel):
        save_adapter(model, temporary, weights)
    else:
        save_whole(model, tokenizer, temporary, weights)
    write_json(
        temporary / "checkpoint.json",
        {
            "kind": kind,
            "base": source.base,
            "adapters": list(source.adapters),
            "is_whole": not isinstance(model, PeftModel),
            "template_digest": template_digest(tokenizer),
            "step": step,
        },
    )
    publish_directory(temporary, run.model_path)
    processes.wait_for_all()
    return directory_digest(run.model_path)


def save_adapter(model: PeftModel, directory: Path, weights: dict[str, Tensor] | None = None) -> None:
    """Write the adapter named "default" such that the same training leaves the same files.

    `weights` are those of a model that is parted over processes.
    """
    kept = {} if weights is None else {"state_dict": weights}
    model.save_pretrained(directory, selected_adapters=["default"], save_embedding_layers=False, **kept)
    (directory / "README.md").unlink(missing_ok=True)
    config = read_json(directory / "adapter_config.json")
    if config.get("target_modules"):
        config["target_modules"] = sorted(config["target_modules"])  # a set: same run, same sha256
    write_json(directory / "adapter_config.json", config)


def save_whole(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    directory: Path,
    weights: dict[str, Tensor] | None = None,
) -> None:
    """Write weights, config and tokenizer as any program of the field reads them; `weights` as in `save_adapter`."""
    model.config.use_cache = True  # training switches it off; whoever writes with the model wants it
    model.save_pretrained(directory, **({} if weights is None else {"state_dict": weights}))
    tokenizer.save_pretrained(directory)
