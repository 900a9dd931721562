"""The fields that each kind of import has, and the names under which other people's files have them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from feedback.imports.cells import is_filled
from feedback.models import FileImport

Kind = FileImport.Kind


@dataclass(frozen=True)
class Field:
    key: str
    label: str
    names: tuple[str, ...] = ()
    """Columns that are taken for it where nobody says otherwise; compared without case, spaces and dashes."""
    many: bool = False
    """Whether several columns belong to it together; of another field with several, the first that is filled counts."""
    help: str = ""


PROMPT = Field(
    "prompt", "Prompt", ("messages", "prompt", "instruction", "question", "query", "text"),
    help="Text, or a chat that ends with the user's turn. Several columns: the first that is filled counts.",
)  # fmt: skip
INPUT = Field("input", "Input of the instruction", ("input",), help="Put below the prompt.")
PROMPT_ID = Field(
    "prompt_id", "Id of the prompt", ("prompt_id", "question_id", "external_id"),
    help="What the other system calls it; later files can refer to it.",
)  # fmt: skip
ABOUT = (
    Field("source", "Source", ("source",)),
    Field("licence", "Licence", ("licence", "license")),
    Field("language", "Language", ("language", "lang")),
    Field("tags", "Tags", ("tags",), help="A list, or text with commas."),
)
PERSON = Field(
    "annotator", "Annotator",
    (
        "annotator_id", "annotator", "worker_id", "worker", "judge", "user_id", "completed_by", "labeler", "labeller",
        "rater", "rater_id", "annotated_by",
    ),
    help="Who said so. Without it the votes belong to the dataset as a whole.",
)  # fmt: skip
MADE = (
    PERSON,
    Field("created_at", "Time", ("created_at", "submitted_at", "timestamp", "tstamp", "judged_at")),
    Field(
        "seconds", "Seconds it took",
        ("active_seconds", "lead_time", "seconds", "assignment_seconds", "duration", "time_spent"),
    ),
    Field("rationale", "Reason", ("rationale", "reason", "explanation", "justification", "comment")),
)  # fmt: skip
STRENGTH = Field(
    "strength", "Strength", ("strength", "margin", "preference_strength"),
    help="1, 2, 3 or words such as slightly better; other numbers are a margin and are brought onto 1 to 3.",
)  # fmt: skip
RESPONSE_NAMES = ("response", "completion", "output", "answer", "generation", "model_output")

FIELDS: Mapping[str, tuple[Field, ...]] = {
    Kind.PROMPTS: (PROMPT, INPUT, PROMPT_ID, *ABOUT),
    Kind.RESPONSES: (
        PROMPT, INPUT, PROMPT_ID,
        Field(
            "responses", "Responses", (*RESPONSE_NAMES, "responses", "answer1", "answer2", "response_1", "response_2"),
            many=True, help="One column or several; a cell may hold a list, or an object of model and text.",
        ),
        Field("response_id", "Id of the response", ("response_id", "answer_id")),
        Field("model", "Model", ("model_name", "model", "model_id", "generator")),
        Field("sampling", "Sampling", ("sampling", "generation_config", "sampling_params")),
        *ABOUT,
    ),
    Kind.PREFERENCES: (
        PROMPT, INPUT, PROMPT_ID,
        Field("chosen", "Chosen", ("chosen",), help="The better answer, or the whole chat with it at the end."),
        Field("rejected", "Rejected", ("rejected",)),
        STRENGTH,
        Field("score_chosen", "Score of the chosen one", ("score_chosen", "chosen_score", "chosen_rating")),
        Field("score_rejected", "Score of the rejected one", ("score_rejected", "rejected_score", "rejected_rating")),
        Field("chosen_model", "Model of the chosen one", ("chosen_model", "chosen_model_name")),
        Field("rejected_model", "Model of the rejected one", ("rejected_model", "rejected_model_name")),
        *MADE, *ABOUT,
    ),
    Kind.RANKINGS: (
        PROMPT, INPUT, PROMPT_ID,
        Field(
            "responses", "Responses", ("responses", "replies", "answers", "completions", "generations"), many=True,
            help="A column with a list, or several columns. Without ranks, the first is the best.",
        ),
        Field("ranks", "Ranks", ("ranks", "rank", "ranking"), many=True, help="The lowest is the best; equal = tied."),
        Field("scores", "Scores", ("scores",), many=True, help="In place of ranks: the highest is the best."),
        Field("models", "Models", ("models", "model_names"), many=True),
        *MADE, *ABOUT,
    ),
    Kind.RATINGS: (
        PROMPT, INPUT, PROMPT_ID,
        Field("response", "Response", RESPONSE_NAMES),
        Field("response_id", "Id of the response", ("response_id", "answer_id")),
        Field("model", "Model", ("model_name", "model", "model_id", "generator")),
        Field(
            "ratings", "Ratings",
            (
                "ratings", "helpfulness", "correctness", "coherence", "complexity", "verbosity", "honesty",
                "harmlessness", "truthfulness", "instruction_following", "rating", "overall", "quality", "thumbs",
                "label",
            ),
            many=True, help="Each column is an attribute of whole numbers; true and false are thumbs.",
        ),
        *MADE, *ABOUT,
    ),
    Kind.DEMONSTRATIONS: (
        PROMPT, INPUT, PROMPT_ID,
        Field("completion", "Written response", ("completion", "output", "response", "answer", "target")),
        Field("talk", "Chat with the response at its end", ("messages", "conversations")),
        *MADE, *ABOUT,
    ),
    Kind.VOTES: (
        PROMPT, INPUT, PROMPT_ID,
        Field("response_a", "First response", ("response_a", "answer_a", "answer1", "response_1", "response1")),
        Field("response_b", "Second response", ("response_b", "answer_b", "answer2", "response_2", "response2")),
        Field("response_a_id", "Id of the first", ("response_a_id", "a_id", "answer_a_id")),
        Field("response_b_id", "Id of the second", ("response_b_id", "b_id", "answer_b_id")),
        Field("model_a", "Model of the first", ("model_a", "model_1")),
        Field("model_b", "Model of the second", ("model_b", "model_2")),
        Field("winner", "Winner", ("winner", "vote", "preferred", "choice", "comparison")),
        Field(
            "preference", "Preference as a number", ("preference",),
            help="From -3 (the first is much better) over 0 (a tie) to 3.",
        ),
        STRENGTH,
        *MADE, *ABOUT,
    ),
}  # fmt: skip

QUEUE_KIND: Mapping[str, str] = {
    Kind.PREFERENCES: "comparison",
    Kind.VOTES: "comparison",
    Kind.RANKINGS: "ranking",
    Kind.RATINGS: "rating",
    Kind.DEMONSTRATIONS: "demonstration",
}
"""Kind of the queue that the judgments of an import belong to; prompts and responses have none."""

NEEDED: Mapping[str, tuple[tuple[str, ...], ...]] = {
    Kind.PROMPTS: (("prompt",),),
    Kind.RESPONSES: (("prompt", "prompt_id"), ("responses",)),
    Kind.PREFERENCES: (("chosen",), ("rejected",)),
    Kind.RANKINGS: (("prompt", "prompt_id"), ("responses",)),
    Kind.RATINGS: (("prompt", "prompt_id", "response_id"), ("response", "response_id", "model"), ("ratings",)),
    Kind.DEMONSTRATIONS: (("talk", "prompt", "prompt_id"), ("talk", "completion")),
    Kind.VOTES: (
        ("response_a", "response_a_id", "model_a"),
        ("response_b", "response_b_id", "model_b"),
        ("winner", "preference"),
    ),
}
"""Of each group one field needs a column."""


def fields_of(kind: str) -> dict[str, Field]:
    return {field.key: field for field in FIELDS[kind]}


# What a file seems to be --------------------------------------------------------------------------------

A_WORDS = (
    "a", "left", "first", "model_a", "response_a", "answer_a", "option_a", "assistant_a", "a1", "answer1", "answer_1",
    "response1", "response_1", "text_a", "model a", "response a", "answer a",
)  # fmt: skip
B_WORDS = (
    "b", "right", "second", "model_b", "response_b", "answer_b", "option_b", "assistant_b", "a2", "answer2",
    "answer_2", "response2", "response_2", "text_b", "model b", "response b", "answer b",
)  # fmt: skip
TIE_WORDS = (
    "tie", "equal", "same", "draw", "both", "neither", "none", "tie (inconsistent)", "tie (bothbad)", "bothbad",
    "both_bad", "both bad", "no preference", "both are good", "both are bad",
)  # fmt: skip
SAMPLED_WORDS = 50


def plain(name: str) -> str:
    return re.sub(r"[\s_\-.]+", "_", name.strip().lower())


def guess_kind(rows: Sequence[Mapping[str, Any]]) -> str:
    """Say what the rows seem to be; a person has the last word."""
    names = {plain(name) for row in rows for name in row}
    if {"chosen", "rejected"} <= names:
        return Kind.PREFERENCES
    mapped = {kind: guess_mapping(kind, rows) for kind in (Kind.VOTES, Kind.RANKINGS, Kind.RATINGS)}
    if not missing_fields(Kind.VOTES, mapped[Kind.VOTES]):
        return Kind.VOTES
    if not missing_fields(Kind.RANKINGS, mapped[Kind.RANKINGS]) and is_ranked(rows, mapped[Kind.RANKINGS]):
        return Kind.RANKINGS
    if not missing_fields(Kind.RATINGS, mapped[Kind.RATINGS]):
        return Kind.RATINGS
    responses = guess_mapping(Kind.RESPONSES, rows)
    talks = guess_mapping(Kind.DEMONSTRATIONS, rows)
    if "talk" in talks and all(ends_with_answer(row.get(talks["talk"][0])) for row in rows):
        return Kind.DEMONSTRATIONS
    if not missing_fields(Kind.RESPONSES, responses):
        has_more = "model" in responses or "response_id" in responses or len(responses["responses"]) > 1
        several = any(isinstance(row.get(responses["responses"][0]), list | dict) for row in rows)
        return Kind.RESPONSES if has_more or several else Kind.DEMONSTRATIONS
    if {"prompt", "completion"} <= set(talks) or ("instruction" in names and "completion" in talks):
        return Kind.DEMONSTRATIONS
    return Kind.PROMPTS


def ends_with_answer(value: object) -> bool:
    last = value[-1] if isinstance(value, list) and value else None
    return isinstance(last, dict) and (last.get("role") or last.get("from")) in ("assistant", "gpt", "bot")


def is_ranked(rows: Sequence[Mapping[str, Any]], mapping: Mapping[str, Sequence[str]]) -> bool:
    if "ranks" in mapping or "scores" in mapping:
        return True
    replies = next((row[mapping["responses"][0]] for row in rows if is_filled(row.get(mapping["responses"][0]))), None)
    return isinstance(replies, list) and any(isinstance(one, dict) and "rank" in one for one in replies)


def guess_mapping(kind: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return which columns seem to belong to which field of the kind; no column belongs to two."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    by_name: dict[str, str] = {}
    for column in columns:
        by_name.setdefault(plain(column), column)
    mapping: dict[str, list[str]] = {}
    taken: set[str] = set()
    for field in sorted(FIELDS[kind], key=lambda field: field.key == "prompt" and kind != Kind.PROMPTS):
        found = [by_name[name] for name in field.names if name in by_name and by_name[name] not in taken]
        if field.key == "talk":
            found = [name for name in found if all(ends_with_answer(row.get(name)) for row in rows)]
        if field.key == "ratings":
            found = [name for name in found if any(is_rating(row.get(name)) for row in rows)]
        if found:
            mapping[field.key] = found if field.many or field.key == "prompt" else found[:1]
            taken.update(mapping[field.key])
    if kind == Kind.VOTES and "winner" not in mapping and "preference" in mapping:
        column = mapping["preference"][0]
        if any(isinstance(row.get(column), str) and not is_number(row[column]) for row in rows):
            mapping["winner"] = mapping.pop("preference")
    if kind == Kind.VOTES and not {"winner", "preference"} & set(mapping) and (words := winner_column(columns, rows)):
        mapping["winner"] = [words]
    return mapping


def is_rating(value: object) -> bool:
    if isinstance(value, dict):
        return bool(value) and all(isinstance(one, int | float | bool) for one in value.values())
    return isinstance(value, int | float) or is_number(value)


def is_number(value: object) -> bool:
    return isinstance(value, str) and re.fullmatch(r"\s*-?\d{1,9}(\.\d*)?\s*", value) is not None


def winner_column(columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str | None:
    """Return a column whose cells all say left or right, or the like."""
    for column in columns:
        said = {str(row[column]).strip().lower() for row in rows if is_filled(row.get(column))}
        if said and said <= {*A_WORDS, *B_WORDS, *TIE_WORDS} and said & {*A_WORDS, *B_WORDS}:
            return column
    return None


def guess_words(values: Sequence[object]) -> dict[str, list[str]]:
    """Sort the words of a winner column into those for the first response, the second, and a tie."""
    said = list(dict.fromkeys(str(value).strip().lower() for value in values if is_filled(value)))[:SAMPLED_WORDS]
    words = {"a": [*A_WORDS], "b": [*B_WORDS], "tie": [*TIE_WORDS]}
    numbers = {word for word in said if word in ("0", "1", "2")}
    if numbers and numbers <= {"1", "2"} and "2" in numbers:
        words["a"].append("1")
        words["b"].append("2")
    elif numbers and numbers <= {"0", "1"} and "0" in numbers:
        words["a"].append("0")
        words["b"].append("1")
    return words


def missing_fields(kind: str, mapping: Mapping[str, Sequence[str]]) -> list[tuple[str, ...]]:
    """Return the groups of fields of which none has a column."""
    return [group for group in NEEDED[kind] if not any(mapping.get(key) for key in group)]
