"""What of a model is trained: an adapter (LoRA, DoRA, LoRA on 4-bit weights), virtual tokens, or the weights.

A run loads its model with `load_to_train`, and either hands `adapter_config` to a trainer of TRL's, which wraps the
model itself, or wraps it with `tuned`. While and after training, `as_policy` and `as_reference` give the plain model
to measure or to write with.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from typing import Any

import torch
from peft import LoraConfig, PeftConfig, PeftModel, PromptTuningConfig, TaskType, get_peft_model
from peft import prepare_model_for_kbit_training as prepare_four_bit
from torch import nn
from transformers import BitsAndBytesConfig, PreTrainedModel, PreTrainedTokenizerBase

from training.configs import TuningConfig
from training.ml import CannotRun
from training.ml.adapted_linear import without_detours
from training.ml.estimates import is_sharded
from training.ml.models import backbone, has_virtual_tokens, load_policy
from training.ml.virtual_tokens import reading_first
from training.rundir import ModelSource


class CannotTune(CannotRun):
    """This model, or this machine, cannot be trained in the way that the run asks for."""


def load_to_train(source: ModelSource, tokenizer: PreTrainedTokenizerBase, config: TuningConfig) -> PreTrainedModel:
    """Load the policy that a run starts from, ready to be wrapped: in 4 bits for qlora, layers frozen for full.

    Raises CannotTune where the model or the machine does not allow it.
    """
    if has_virtual_tokens(source):
        raise CannotTune(
            f"{source.adapters[-1]} is a tuned prompt: virtual tokens, not weights, so nothing can be trained on top. "
            "Start from the model below it"
        )
    if config.tuning != "qlora":
        model = load_policy(source, tokenizer)
        if config.tuning == "full":
            model.requires_grad_(True)  # merging an adapter in left the weights frozen
            freeze_layers(model, config.freeze_layers)
    else:
        check_four_bit(source)
        four_bit = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        model = load_policy(source, tokenizer, torch.bfloat16, quantization_config=four_bit, device_map={"": 0})
        model = prepare_four_bit(model, use_gradient_checkpointing=False)
    return model


def check_four_bit(source: ModelSource) -> None:
    """Refuse qlora where the weights cannot be held in 4 bits (arXiv:2305.14314)."""
    if not torch.cuda.is_available():
        raise CannotTune("qlora holds weights in 4 bits, which needs a CUDA GPU; this machine has none. Choose lora")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise CannotTune(
            "qlora needs the package bitsandbytes, which is not installed here. Install it, or choose lora"
        )
    if source.adapters:
        raise CannotTune(
            "qlora starts from a whole model, and this policy is one with adapters, which would be rounded to 4 bits. "
            "Merge it first (a run of kind merge), then start from what that leaves"
        )


def freeze_layers(model: PreTrainedModel, count: int) -> None:
    """Keep the embeddings and the first `count` layers as they are; 0 freezes nothing.

    An output layer that shares the embeddings' weights is frozen with them.
    """
    if not count:
        return
    layers = layers_of(model)
    if count >= len(layers):
        raise CannotTune(
            f"freeze_layers is {count}, and the model has {len(layers)} layers; freeze at most {len(layers) - 1}"
        )
    for frozen in (model.get_input_embeddings(), *layers[:count]):
        frozen.requires_grad_(False)


def layers_of(model: PreTrainedModel) -> nn.ModuleList:
    """Return the model's blocks, first to last."""
    wanted = model.config.get_text_config().num_hidden_layers
    for module in backbone(model).modules():
        if isinstance(module, nn.ModuleList) and len(module) == wanted:
            return module
    raise CannotTune(f"{type(model).__name__} has no list of {wanted} layers; set freeze_layers to 0")


def adapter_config(config: TuningConfig, task: TaskType = TaskType.CAUSAL_LM) -> PeftConfig | None:
    """Return what is added to the model to be trained; None where the model's own weights are.

    A fresh LoRA or DoRA adapter, on every linear layer but the output's, changes no output at first.
    """
    if config.tuning == "full":
        return None
    if config.tuning == "prompt":
        return PromptTuningConfig(
            task_type=task, num_virtual_tokens=config.prompt_tokens, prompt_tuning_init="SAMPLE_VOCAB"
        )
    return LoraConfig(
        r=config.lora_rank,
        lora_alpha=config.lora_alpha,
        lora_dropout=config.lora_dropout,
        use_dora=config.tuning == "dora",
        target_modules="all-linear",
        task_type=task,
        modules_to_save=["score"] if task == TaskType.SEQ_CLS else None,
    )


def tuned(
    model: PreTrainedModel, config: TuningConfig, task: TaskType = TaskType.CAUSAL_LM
) -> PreTrainedModel | PeftModel:
    """Wrap what `load_to_train` gave; new weights are drawn from torch's global generator, so seed it first."""
    adapter = adapter_config(config, task)
    if adapter is None:
        return model
    wrapped = get_peft_model(model, adapter)
    if config.tuning == "lora" and not config.lora_dropout and not is_sharded():
        without_detours(wrapped)
    return wrapped


def train_padded(model: PreTrainedModel | PeftModel) -> None:
    """Let a tuned prompt read padded rows in training as it reads each alone; what is trained otherwise stays as it is.

    The library's own forward pass drops position ids, so that padding would lie between virtual tokens and prompt.
    """
    if not isinstance(model, PeftModel) or not model.active_peft_config.is_prompt_learning:
        return
    inner, tokens = model.get_base_model(), model.prompt_encoder["default"].embedding.weight

    def forward(*args: Any, **arguments: Any) -> Any:
        with reading_first(inner, tokens):
            return inner(*args, **arguments)

    model.forward = forward


@contextlib.contextmanager
def as_policy(model: PreTrainedModel | PeftModel) -> Iterator[PreTrainedModel]:
    """Give the trained model as a plain one in evaluation mode, its adapter or virtual tokens at work."""
    inner = model.get_base_model() if isinstance(model, PeftModel) else model
    was_training = model.training
    model.eval()
    try:
        if isinstance(model, PeftModel) and model.active_peft_config.is_prompt_learning:
            with reading_first(inner, model.prompt_encoder["default"].embedding.weight):
                yield inner
        else:
            yield inner
    finally:
        model.train(was_training)


@contextlib.contextmanager
def as_reference(model: PeftModel) -> Iterator[PreTrainedModel]:
    """Give the model that training started from, in evaluation mode, by switching the adapter off."""
    was_training = model.training
    model.eval()
    try:
        with model.disable_adapter():
            yield model.get_base_model()
    finally:
        model.train(was_training)
