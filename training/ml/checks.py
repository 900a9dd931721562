"""What may be wrong with rows before a model learns from them; each check is one function of tokens.

The verdicts: "blocking" where the run would learn something wrong or nothing, "warning" where a person should decide.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import TYPE_CHECKING

from jinja2 import TemplateError

from feedback.contract import Message
from training.ml.chat import prompt_ids, response_ids, template_digest
from training.ml.readings import Reading, Row
from training.rundir import Check, ModelSource, read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

SHOWN = 3
"""Rows that a message names."""
OVERLAP_LIMIT = 5.0
"""Percent of held-out prompts that may also be trained on before their figures are worth nothing."""


@dataclass(frozen=True)
class ReadRow:
    """A row with its sequences."""

    row: Row
    readings: Sequence[Reading]
    held_out: bool = False

    @property
    def length(self) -> int:
        return max(len(reading.ids) for reading in self.readings)


def few(names: Iterable[str], count: int) -> str:
    """Return the first names of `count`, and how many more there are."""
    shown = "; ".join(names)
    return f"{shown}; and {count - SHOWN} more" if count > SHOWN else shown


def rows_word(count: int) -> str:
    return f"{count} row" if count == 1 else f"{count} rows"


# Rows that do not fit ---------------------------------------------------------------------------------


def too_long(rows: Sequence[ReadRow], limit: int) -> list[ReadRow]:
    return [one for one in rows if one.length > limit]


def without_response(rows: Sequence[ReadRow], tokenizer: PreTrainedTokenizerBase) -> list[ReadRow]:
    """Return the rows with a learned part that is empty but for its end token and white space."""
    blank: dict[int, bool] = {}

    def says_nothing(token: int) -> bool:
        if token not in blank:
            blank[token] = token == tokenizer.eos_token_id or not tokenizer.decode([token]).strip()
        return blank[token]

    return [
        one
        for one in rows
        if any(
            all(says_nothing(token) for token in reading.ids[start:end])
            for reading in one.readings
            for start, end in reading.learned
        )
    ]


def check_length(rows: Sequence[ReadRow], long: Sequence[ReadRow], limit: int, setting: str, is_refused: bool) -> Check:
    lengths = [one.length for one in rows]
    figures = {
        "rows": len(rows),
        "left_out": len(long),
        "percent": percent(len(long), len(rows)),
        "limit": limit,
        "longest": max(lengths),
        "mean": round(fmean(lengths), 1),
        "median": median(lengths),
    }
    if not long:
        return Check(
            "length", "ok", f"The longest of {rows_word(len(rows))} has {max(lengths)} of {limit} tokens.", figures
        )
    names = few((f"{one.row.name} has {one.length} tokens" for one in long[:SHOWN]), len(long))
    found = f"{len(long)} of {len(rows)} rows are longer than {setting} = {limit} tokens: {names}."
    if is_refused:
        message = (
            f"{found} Raise {setting} to {max(lengths)}, leave these rows out of the data, or let the run leave out "
            f"{figures['percent']} % of its rows; nothing is cut or dropped in silence."
        )
        return Check("length", "blocking", message, figures)
    return Check("length", "warning", f"{found} They are left out.", figures)


def check_empty(rows: Sequence[ReadRow], empty: Sequence[ReadRow], is_refused: bool) -> Check:
    figures = {"rows": len(rows), "left_out": len(empty), "percent": percent(len(empty), len(rows))}
    if not empty:
        return Check("empty", "ok", "Every response says something.", figures)
    found = (
        f"{len(empty)} of {len(rows)} rows have an empty response: "
        f"{few((one.row.name for one in empty[:SHOWN]), len(empty))}."
    )
    if is_refused:
        message = (
            f"{found} The model would learn to say nothing. Leave them out of the data, or let the run leave out "
            f"{figures['percent']} % of its rows."
        )
        return Check("empty", "blocking", message, figures)
    return Check("empty", "warning", f"{found} They are left out.", figures)


def percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0


# Start, end and pad tokens ----------------------------------------------------------------------------


def check_start(rows: Sequence[ReadRow], tokenizer: PreTrainedTokenizerBase) -> Check:
    """Look for a start token that is there twice, or lacks where the tokenizer itself would set one."""
    start = tokenizer.bos_token_id
    readings = [(one, reading) for one in rows for reading in one.readings]
    if start is None:
        return Check("start_token", "ok", "The model has no start token.")
    doubled = [one for one, reading in readings if list(reading.ids[:2]) == [start, start]]
    if doubled:
        return Check(
            "start_token",
            "blocking",
            f"The start token {tokenizer.bos_token} stands twice at the start of {len(doubled)} of {len(readings)} "
            f"sequences, first of {doubled[0].row.name}. Take it out of the chat template or out of the texts.",
            {"doubled": len(doubled)},
        )
    missing = [one for one, reading in readings if not reading.ids or reading.ids[0] != start]
    if missing and tokenizer("a")["input_ids"][:1] == [start]:
        return Check(
            "start_token",
            "warning",
            f"The model's tokenizer begins a text with {tokenizer.bos_token}, the chat template does not: "
            f"{len(missing)} of {len(readings)} sequences lack it. Put it into the chat template, unless the model was "
            "made without it.",
            {"missing": len(missing)},
        )
    return Check("start_token", "ok", "No start token is doubled or missing.", {"missing": len(missing)})


def check_end(rows: Sequence[ReadRow], tokenizer: PreTrainedTokenizerBase) -> Check:
    """Look for learned parts that do not end with the end token, or end with two of them."""
    end_id, end = tokenizer.eos_token_id, tokenizer.eos_token
    parts = [
        (one, reading.ids[start:stop]) for one in rows for reading in one.readings for start, stop in reading.learned
    ]
    if not parts:
        return Check("end_token", "ok", "The policy writes the responses itself.")
    missing = [one for one, ids in parts if ids[-1] != end_id]
    doubled = [one for one, ids in parts if list(ids[-2:]) == [end_id, end_id]]
    figures = {"missing": len(missing), "doubled": len(doubled), "responses": len(parts)}
    if missing:
        return Check(
            "end_token",
            "blocking",
            f"{len(missing)} of {len(parts)} responses do not end with {end}, first that of {missing[0].row.name}. "
            "The model would learn not to stop.",
            figures,
        )
    if doubled:
        return Check(
            "end_token",
            "blocking",
            f"{len(doubled)} of {len(parts)} responses end with {end} twice, first that of {doubled[0].row.name}. "
            f"Take {end} out of their texts; the run sets it itself.",
            figures,
        )
    return Check("end_token", "ok", f"Every response ends with {end}, once.", figures)


def check_pad(tokenizer: PreTrainedTokenizerBase) -> Check:
    """Tell whether the pad token is one that the model must learn."""
    pad, end = tokenizer.pad_token, tokenizer.eos_token
    if tokenizer.pad_token_id == tokenizer.eos_token_id:
        return Check(
            "pad_token",
            "blocking",
            f"{end} is both the end token and the pad token, so no mask can tell them apart. Give the tokenizer "
            "another pad token.",
        )
    before = str(tokenizer.init_kwargs.get("pad_token") or "")
    if before == pad:
        return Check("pad_token", "ok", f"Padding is {pad}, the end {end}.")
    why = "had no pad token" if not before else f"padded with its end token {before}"
    return Check("pad_token", "ok", f"The tokenizer {why}; this run pads with {pad}, so that {end} stays a token.")


def check_control_tokens(rows: Sequence[ReadRow], tokenizer: PreTrainedTokenizerBase) -> Check:
    """Look for the template's own tokens inside a response: somebody wrote, say, <|im_end|> into the text."""
    special = set(tokenizer.all_special_ids)
    found: Counter[str] = Counter()
    first = ""
    for one in rows:
        inside = [
            token
            for reading in one.readings
            for start, stop in reading.learned
            for token in reading.ids[start : stop - 1]
            if token in special
        ]
        if inside:
            first = first or one.row.name
            found[tokenizer.convert_ids_to_tokens(inside[0])] += 1
    if not found:
        return Check("control_tokens", "ok", "No response holds a token of the chat template.")
    return Check(
        "control_tokens",
        "warning",
        f"{rows_word(found.total())} have a token of the chat template within a response ({', '.join(sorted(found))}), "
        f"first {first}. The model would learn to end its turn there and to speak for others; clean the texts.",
        {"rows": found.total()},
    )


# What is compared, and what is measured ---------------------------------------------------------------


def check_same(rows: Sequence[ReadRow]) -> Check:
    """Look for pairs whose two responses are one text."""
    pairs = [one for one in rows if len(one.readings) == 2]
    same = [one for one in pairs if list(one.readings[0].ids) == list(one.readings[1].ids)]
    figures = {"rows": len(same)}
    if not same:
        return Check("same", "ok", "The responses of every pair differ.", figures)
    return Check(
        "same",
        "warning",
        f"{len(same)} of {len(pairs)} pairs compare a text with itself, first {same[0].row.name}. They teach nothing.",
        figures,
    )


def check_overlap(rows: Sequence[ReadRow], held_out: Sequence[ReadRow]) -> Check:
    """Look for prompts that are both trained on and measured on."""
    trained = {reading.prompt for one in rows for reading in one.readings}
    again = [one for one in held_out if any(reading.prompt in trained for reading in one.readings)]
    share = percent(len(again), len(held_out))
    figures = {"held_out": len(held_out), "overlap": len(again), "percent": share}
    if not held_out:
        return Check("overlap", "warning", "No row is held out, so nothing measures what the run learns.", figures)
    if not again:
        message = f"None of the prompts of {len(held_out)} held-out rows is trained on."
        return Check("overlap", "ok", message, figures)
    found = (
        f"The prompts of {len(again)} of {len(held_out)} held-out rows ({share} %) are also trained on, first that of "
        f"{again[0].row.name}; the figures on them would flatter the model."
    )
    if share > OVERLAP_LIMIT:
        return Check("overlap", "blocking", f"{found} Give every prompt one split and freeze a new snapshot.", figures)
    return Check("overlap", "warning", found, figures)


def check_mask(rows: Sequence[ReadRow]) -> Check:
    """Tell how much of what is read is learned."""
    tokens = sum(len(reading.ids) for one in rows for reading in one.readings)
    learned = sum(reading.learned_tokens for one in rows for reading in one.readings)
    figures = {"tokens": tokens, "learned": learned, "percent": percent(learned, tokens)}
    if not learned:
        return Check("mask", "ok", "The policy writes what it learns from.", figures)
    return Check("mask", "ok", f"The loss is on {figures['percent']} % of {tokens} tokens, the responses.", figures)


def check_passes(rows: int, rows_each_step: float, steps: int) -> Check:
    """Tell how often each row is seen."""
    passes = round(steps * rows_each_step / rows, 2)
    figures = {"passes": passes, "rows": rows}
    if passes > 10:
        return Check(
            "passes",
            "warning",
            f"The run sees each of its {rows_word(rows)} {passes:g} times; past a few times it learns them by heart.",
            figures,
        )
    return Check("passes", "ok", f"The run sees each of its {rows_word(rows)} {passes:g} times.", figures)


USUAL_RATES = {
    "full": (1e-7, 1e-4),
    "prompt": (1e-3, 1.0),
    **dict.fromkeys(("lora", "dora", "qlora"), (1e-6, 5e-3)),
}
"""By what is trained, rates between which it learns and does not run away."""


def check_learning_rate(tuning: str, rate: float) -> Check:
    """Tell a rate that is meant for another way to tune: virtual tokens want a thousand times that of whole weights."""
    low, high = USUAL_RATES[tuning]
    figures = {"learning_rate": rate, "low": low, "high": high}
    if low <= rate <= high:
        return Check("learning_rate", "ok", f"{rate:g} is usual where {tuning} is trained.", figures)
    what = "much; the weights may run away" if rate > high else "little; hardly anything is learned"
    return Check(
        "learning_rate",
        "warning",
        f"{rate:g} is {what}. Where {tuning} is trained, {low:g} to {high:g} is usual.",
        figures,
    )


# The chat template ------------------------------------------------------------------------------------

ASKED: list[Message] = [{"role": "user", "content": "How are you?"}]
ASKED_AGAIN: Message = {"role": "user", "content": "And now?"}


def check_template(tokenizer: PreTrainedTokenizerBase, sources: Sequence[ModelSource]) -> Check:
    """Compare how a chat is read here with how those read it who serve the model.

    Servers render the template and tokenize (vLLM and transformers without special tokens, some with). In a later turn
    the model should read its own response as it learned to write it.
    """
    now = template_digest(tokenizer)
    for folder in (Path(path) for source in sources for path in (source.base, *source.adapters)):
        before = (read_json(folder / "checkpoint.json") or {}).get("template_digest", "")
        if before and before != now:
            return Check(
                "template",
                "blocking",
                f"The model in {folder.name} was trained with another chat template than its base has now; put the "
                "template back, or train on the base.",
            )
    ours = prompt_ids(tokenizer, ASKED)
    served = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=True, return_dict=False)
    if list(served) != ours:
        return Check(
            "template",
            "blocking",
            "A server that renders the chat template reads other tokens than this run trains on; the template does not "
            "give the same text each time.",
        )
    if not tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False).strip():
        return Check("template", "blocking", "The chat template renders nothing; give the model another.")
    differences = [
        difference for text in ("Fine, thank you.", " Fine. ") if (difference := history_difference(tokenizer, text))
    ]
    rendered = tokenizer.apply_chat_template(ASKED, add_generation_prompt=True, tokenize=False)
    start = tokenizer.bos_token_id
    if start is not None and tokenizer(rendered)["input_ids"][:2] == [start, start]:
        differences.append(
            f"A server that tokenizes the rendered chat with special tokens reads {tokenizer.bos_token} twice; serve "
            "with add_special_tokens=False."
        )
    if differences:
        return Check("template", "warning", " ".join(dict.fromkeys(differences)))
    return Check("template", "ok", "Training, sampling and serving read a chat as the same tokens.")


def history_difference(tokenizer: PreTrainedTokenizerBase, text: str) -> str:
    """Say how a response is read in a later turn, where that differs from how it was learned; "" where it does not."""
    learned = [*prompt_ids(tokenizer, ASKED), *response_ids(tokenizer, text)]
    answer: Message = {"role": "assistant", "content": text}
    try:
        later = prompt_ids(tokenizer, [*ASKED, answer, ASKED_AGAIN])
    except TemplateError as error:
        return f"The chat template takes one turn only: {error}."
    if later[: len(learned)] == learned:
        return ""
    if text != text.strip() and history_difference(tokenizer, text.strip()) == "":
        return "The chat template strips white space around a response, training does not."
    place = next((at for at, (one, other) in enumerate(zip(learned, later, strict=False)) if one != other), len(later))
    return (
        f"In a later turn the model reads its response otherwise than it learned to write it: "
        f"{tokenizer.decode(later[place : place + 4])!r} where training has "
        f"{tokenizer.decode(learned[place : place + 4])!r}."
    )


ROW_CHECKS: tuple[Callable[[Sequence[ReadRow], PreTrainedTokenizerBase], Check], ...] = (
    check_start,
    check_end,
    check_control_tokens,
)
"""Checks of the rows that are left, in the order in which the page shows them."""
