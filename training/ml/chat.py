"""How a chat becomes token ids, in training, scoring and sampling alike.

A sequence is the rendered prompt (with the header of the assistant's turn), the response's tokens, and one end token.
The response is tokenized by itself, as the policy wrote it token by token, so that training sees the very ids that
sampling produces; nothing follows the end token, which is where a reward model is read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from feedback.contract import Message, digest
from training.ml import CannotRun

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


class NoChatTemplate(CannotRun):
    """The model's tokenizer cannot render a chat."""


class TooLong(CannotRun):
    """Rows have more tokens than the run allows; the message gives their number and the first of them."""


def check_chat_model(tokenizer: PreTrainedTokenizerBase, where: str) -> None:
    """Refuse a tokenizer without chat template or end token; make sure that pad is a token other than the end.

    Where pad and end are one token, a reward model would be read one token before the end.
    """
    if not tokenizer.chat_template:
        raise NoChatTemplate(f"the tokenizer in {where} has no chat template; use an instruction-tuned (chat) model")
    if tokenizer.eos_token_id is None:
        raise NoChatTemplate(f"the tokenizer in {where} has no end token")
    if tokenizer.pad_token_id is None or tokenizer.pad_token_id == tokenizer.eos_token_id:
        others = (tokenizer.unk_token, tokenizer.bos_token, tokenizer.convert_ids_to_tokens(0))
        tokenizer.pad_token = next(token for token in others if token and token != tokenizer.eos_token)


def template_digest(tokenizer: PreTrainedTokenizerBase) -> str:
    """Return the sha256 that tells whether two models speak the same chat format (template, start and end tokens)."""
    return digest(
        {"template": tokenizer.chat_template, "bos": tokenizer.bos_token or "", "eos": tokenizer.eos_token or ""}
    )


def prompt_ids(tokenizer: PreTrainedTokenizerBase, messages: Sequence[Message]) -> list[int]:
    """Return the ids of a chat up to and including the header of the assistant's turn."""
    rendered = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=False)
    return tokenizer(rendered, add_special_tokens=False)["input_ids"]


def response_ids(tokenizer: PreTrainedTokenizerBase, text: str) -> list[int]:
    """Return the ids of a response, closed by the end token."""
    return [*tokenizer(text, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]


def refuse_too_long(lengths: Sequence[int], limit: int, setting: str, names: Sequence[str]) -> None:
    """Raise TooLong when any of `lengths` exceeds `limit`; `names` say which row each belongs to."""
    long = [place for place, length in enumerate(lengths) if length > limit]
    if not long:
        return
    shown = "; ".join(f"{names[place]} has {lengths[place]} tokens" for place in long[:3])
    more = f"; and {len(long) - 3} more" if len(long) > 3 else ""
    raise TooLong(
        f"{len(long)} of {len(lengths)} rows are longer than {setting} = {limit} tokens: {shown}{more}. "
        f"Raise {setting} to {max(lengths)} or leave these rows out; nothing is truncated or dropped in silence."
    )
