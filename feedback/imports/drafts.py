"""What a row says, checked and not yet stored. No database: what a row refers to is looked up when it is stored."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from feedback.contract import Message, digest, digest_of_chat
from feedback.imports import saying
from feedback.imports.cells import (
    ID_LENGTH_LIMIT,
    LENGTH_LIMITS,
    BadCell,
    cell_at,
    checked_id,
    checked_list,
    checked_object,
    checked_seconds,
    checked_tags,
    checked_text,
    checked_time,
    is_filled,
)
from feedback.imports.chats import (
    PROMPT_LENGTH_LIMIT,
    is_transcript,
    read_answer,
    read_pair,
    read_prompt,
    read_talk,
)
from feedback.imports.fields import FIELDS, Kind, fields_of
from feedback.imports.reading import FileRow

RATIONALE_LENGTH_LIMIT = 10_000


@dataclass(slots=True)
class PromptDraft:
    messages: list[Message]
    digest: str
    about: dict[str, Any]
    """source, licence, language, tags."""
    external_id: str = ""


@dataclass(slots=True)
class ResponseDraft:
    text: str | None
    """None = the response is there already, and known by its id, or by its model and prompt."""
    external_id: str = ""
    model: str = ""
    sampling: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Draft:
    row: FileRow
    prompt: PromptDraft | None = None
    prompt_id: str = ""
    """Refers to a prompt that is there already."""
    responses: list[ResponseDraft] = field(default_factory=list)
    """In the order of the file."""
    preference: int | None = None
    """Of a comparison; negative = the first response of the file."""
    content: dict[str, Any] = field(default_factory=dict)
    """What else was said, in the order of the file: ranks, or one object of ratings, or a text."""
    person: str = ""
    """As the file names them; empty for nobody in particular."""
    made_at: datetime | None = None
    seconds: float | None = None
    rationale: str = ""


@dataclass(frozen=True)
class Plan:
    """How the rows of a file are understood."""

    kind: str
    form: str = ""
    mapping: Mapping[str, Sequence[str]] = field(default_factory=dict)
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """source, licence, language and tags of rows that name none."""
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Of a winner column: which words mean a, b and tie."""
    order_known: bool = False
    """Whether people saw the responses in the order of the file; else nobody knows."""
    largest_margin: float = 3.0
    """The margin that counts as the strongest preference."""


class DraftReader:
    """Reads rows by one plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.columns: dict[str, list[str]] = {key: list(columns) for key, columns in plan.mapping.items() if columns}
        self.known = fields_of(plan.kind)
        self.parse: Callable[[FileRow], Draft] = getattr(self, f"read_{plan.kind}")
        self.scale = saying.Scale(plan.words, self.columns, plan.largest_margin)
        self.about_columns = [key for key in ("source", "licence", "language", "tags") if key in self.columns]
        self.defaults = dict(plan.defaults)

    def read(self, row: FileRow) -> Draft:
        """Return what the row says. Raises BadCell."""
        if row.problem:
            raise BadCell(row.column, row.problem)
        return self.parse(row)

    def cell(self, row: FileRow, key: str) -> tuple[str, Any]:
        """Return the first filled cell of the columns of a field, and which column it is; None where there is none."""
        columns = self.columns.get(key)
        if not columns:
            return key, None
        values = row.values
        for column in columns:
            if is_filled(value := values[column] if column in values else cell_at(values, column)):
                return column, value
        return columns[0], None

    def needed(self, row: FileRow, key: str) -> tuple[str, Any]:
        column, value = self.cell(row, key)
        if value is None:
            if key not in self.columns:
                raise BadCell("", f"no column of the file is the {self.known[key].label.lower()}; choose one")
            if not any(name in row.values for name in self.columns[key]):
                raise BadCell("", f"the row has none of the columns {', '.join(self.columns[key])}")
            raise BadCell(column, f"there is no {self.known[key].label.lower()} in this row")
        return column, value

    def text(self, row: FileRow, key: str, limit: int = ID_LENGTH_LIMIT) -> str:
        column, value = self.cell(row, key)
        return "" if value is None else checked_text(column, value, limit).strip()

    def name(self, row: FileRow, key: str) -> str:
        column, value = self.cell(row, key)
        return "" if value is None else checked_id(column, value)

    # What all kinds have

    def about(self, row: FileRow) -> dict[str, Any]:
        if not self.about_columns:
            return self.defaults
        about = dict(self.defaults)
        for key in self.about_columns:
            column, value = self.cell(row, key)
            if value is not None:
                about[key] = checked_tags(column, value) if key == "tags" else checked_text(
                    column, value, LENGTH_LIMITS[key]
                )  # fmt: skip
        return about

    def prompt_of(self, row: FileRow, messages: list[Message]) -> PromptDraft:
        return PromptDraft(messages, digest_of_chat(messages), self.about(row), self.name(row, "prompt_id"))

    def own_prompt(self, row: FileRow) -> PromptDraft:
        column, value = self.needed(row, "prompt")
        beside, more = self.cell(row, "input")
        if more is not None and isinstance(value, str):
            value = f"{value}\n\n{checked_text(beside, more, PROMPT_LENGTH_LIMIT)}"
        return self.prompt_of(row, read_prompt(column, value))

    def asked(self, row: FileRow) -> Draft:
        """Return a draft with the row's prompt: in words, or by the id of one that is there already."""
        if self.cell(row, "prompt")[1] is not None:
            return Draft(row, prompt=self.own_prompt(row))
        name = self.name(row, "prompt_id")
        if not name:
            self.needed(row, "prompt" if "prompt" in self.columns or "prompt_id" not in self.columns else "prompt_id")
        return Draft(row, prompt_id=name)

    def made(self, row: FileRow, draft: Draft) -> Draft:
        """Add who said it, when, in how many seconds, and why."""
        draft.person = self.name(row, "annotator")
        column, value = self.cell(row, "created_at")
        draft.made_at = None if value is None else checked_time(column, value)
        column, value = self.cell(row, "seconds")
        draft.seconds = None if value is None else checked_seconds(column, value)
        draft.rationale = self.text(row, "rationale", RATIONALE_LENGTH_LIMIT)
        return draft

    def messages_of(self, draft: Draft) -> list[Message] | None:
        return draft.prompt.messages if draft.prompt is not None else None

    # Kinds

    def read_prompts(self, row: FileRow) -> Draft:
        return Draft(row, prompt=self.own_prompt(row))

    def read_responses(self, row: FileRow) -> Draft:
        draft = self.asked(row)
        _, name = self.cell(row, "response_id")
        column, sampling = self.cell(row, "sampling")
        for response in self.answers(row, draft):
            response.sampling = {} if sampling is None else checked_object(column, sampling)
            draft.responses.append(response)
        if name is not None:
            if len(draft.responses) > 1:
                raise BadCell(self.columns["response_id"][0], "one id and several responses; give each a row")
            draft.responses[0].external_id = self.name(row, "response_id")
        return draft

    def answers(self, row: FileRow, draft: Draft) -> list[ResponseDraft]:
        """Return the responses of a row: several columns, or one that holds a list or an object of model and text."""
        filled = [
            (name, value) for name in self.columns.get("responses", ()) if is_filled(value := cell_at(row.values, name))
        ]
        if not filled:
            self.refuse_unless_empty(row)
            filled = [(self.columns["responses"][0], "")]
        models = self.models(row)
        found: list[ResponseDraft] = []
        for column, value in filled:
            for one, model in saying.members_of(column, value):
                text = read_answer(column, one, self.messages_of(draft))
                named = model or (one.get("model") or one.get("model_name") if isinstance(one, dict) else "")
                found.append(ResponseDraft(text, model=checked_text(column, named or "", LENGTH_LIMITS["model"])))
        for place, response in enumerate(found):
            response.model = response.model or (models[place] if len(models) == len(found) else "")
        return found

    def refuse_unless_empty(self, row: FileRow) -> None:
        """Let a model have answered with nothing, where the row says which model or response that is."""
        columns = self.columns.get("responses", [])
        if (
            len(columns) != 1
            or row.values.get(columns[0]) != ""
            or not (self.cell(row, "model")[1] or self.cell(row, "response_id")[1])
        ):
            self.needed(row, "responses")

    def models(self, row: FileRow) -> list[str]:
        names: list[str] = []
        for column in (*self.columns.get("models", ()), *self.columns.get("model", ())):
            value = cell_at(row.values, column)
            if is_filled(value):
                several = checked_list(column, value) if isinstance(value, list) or "[" in str(value)[:1] else [value]
                names += [checked_text(column, one, LENGTH_LIMITS["model"]) for one in several]
        return names

    def read_preferences(self, row: FileRow) -> Draft:
        (better, chosen), (worse, rejected) = self.needed(row, "chosen"), self.needed(row, "rejected")
        column, prompt = self.cell(row, "prompt")
        beside, more = self.cell(row, "input")
        if more is not None and isinstance(prompt, str):
            prompt = f"{prompt}\n\n{checked_text(beside, more, PROMPT_LENGTH_LIMIT)}"
        if prompt is None and (name := self.name(row, "prompt_id")) and isinstance(chosen, str):
            draft = Draft(row, prompt_id=name)
            texts = (read_answer(better, chosen), read_answer(worse, rejected))
        else:
            messages, *found = read_pair((column, better, worse), prompt, chosen, rejected)
            draft, texts = Draft(row, prompt=self.prompt_of(row, messages)), (found[0], found[1])
        if texts[0] == texts[1]:
            raise BadCell(worse, "chosen and rejected are the same text; leave the row out")
        draft.responses = [
            ResponseDraft(text, model=self.text(row, key, LENGTH_LIMITS["model"]))
            for text, key in zip(texts, ("chosen_model", "rejected_model"), strict=True)
        ]
        draft.preference = -self.scale.strength_of_pair(*(self.cell(row, key) for key in saying.MARGINS))
        return self.made(row, draft)

    def read_rankings(self, row: FileRow) -> Draft:
        draft = self.asked(row)
        draft.responses = self.answers(row, draft)
        columns = self.columns["responses"]
        saying.refuse_repeats(columns[-1], [(one.text, one.model) for one in draft.responses])
        if not 3 <= len(draft.responses) <= 9:
            raise BadCell(columns[0], f"{len(draft.responses)} responses; a ranking has 3 to 9 (2 are a vote)")
        draft.content = {"ranks": self.scale.ranks(row.values, columns, len(draft.responses))}
        return self.made(row, draft)

    def read_ratings(self, row: FileRow) -> Draft:
        name, model = self.name(row, "response_id"), self.text(row, "model", LENGTH_LIMITS["model"])
        draft = self.asked(row) if not name or self.cell(row, "prompt")[1] is not None else Draft(row)
        draft.prompt_id = draft.prompt_id or ("" if draft.prompt else self.name(row, "prompt_id"))
        column, value = self.cell(row, "response")
        if value is None and not name and not model:
            self.needed(row, "response")
        text = None if value is None else read_answer(column, value, self.messages_of(draft))
        draft.responses = [ResponseDraft(text, name, model)]
        draft.content = {"rated": self.scale.ratings(row.values)}
        return self.made(row, draft)

    def read_demonstrations(self, row: FileRow) -> Draft:
        column, talk = self.cell(row, "talk")
        if talk is not None:
            messages, text = read_talk(column, talk)
            draft = Draft(row, prompt=self.prompt_of(row, messages))
        else:
            draft = self.asked(row)
            column, value = self.needed(row, "completion")
            text = read_answer(column, value, self.messages_of(draft))
        draft.content = {"text": saying.checked_demonstration(column, text)}
        return self.made(row, draft)

    def read_votes(self, row: FileRow) -> Draft:
        sides = [self.side(row, side) for side in ("a", "b")]
        known_by_id = all(side.external_id and side.text is None for side in sides)
        if self.cell(row, "prompt")[1] is None and known_by_id:
            draft = Draft(row, prompt_id=self.name(row, "prompt_id"))
        elif self.cell(row, "prompt")[1] is None and self.cell(row, "prompt_id")[1] is None:
            draft = self.vote_on_chats(row, sides)
        else:
            draft = self.asked(row)
        draft.responses = sides
        if (sides[0].text, sides[0].external_id, sides[0].model) == (
            sides[1].text,
            sides[1].external_id,
            sides[1].model,
        ):
            raise BadCell(self.side_column("b"), "both responses are the same; there is nothing to compare")
        draft.preference = self.scale.preference(
            row.values, self.cell(row, "winner"), self.cell(row, "preference"), self.cell(row, "strength")
        )
        return self.made(row, draft)

    def vote_on_chats(self, row: FileRow, sides: list[ResponseDraft]) -> Draft:
        """Return a draft whose prompt is the start that both chats share."""
        (first, a), (second, b) = self.cell(row, "response_a"), self.cell(row, "response_b")
        if not all(isinstance(one, list) or is_transcript(one) for one in (a, b)):
            self.needed(row, "prompt")
        messages, sides[0].text, sides[1].text = read_pair(("prompt", first, second), None, a, b)
        return Draft(row, prompt=self.prompt_of(row, messages))

    def side(self, row: FileRow, side: str) -> ResponseDraft:
        column, value = self.cell(row, f"response_{side}")
        name = self.name(row, f"response_{side}_id")
        model = self.text(row, f"model_{side}", LENGTH_LIMITS["model"])
        if value is None and not name and not model:
            if row.values.get(column) == "":
                return ResponseDraft("")  # a model can answer with nothing
            column = self.side_column(side)
            raise BadCell(column, "there is no response here: neither its text nor its id nor its model")
        chat = isinstance(value, list) or is_transcript(value)
        if value is None or (chat and self.cell(row, "prompt")[1] is None):
            return ResponseDraft(None if value is None else "", name, model)
        return ResponseDraft(read_answer(column, value), name, model)

    def side_column(self, side: str) -> str:
        keys = (f"response_{side}", f"response_{side}_id", f"model_{side}")
        return next((self.columns[key][0] for key in keys if key in self.columns), "")


def origin_of(response: ResponseDraft) -> str:
    """Return the origin that makes an imported response the same one wherever it is imported from."""
    return f"import:{digest([response.text, response.model, response.external_id])[:40]}"


def checked_plan(plan: Plan) -> Plan:
    """Return the plan if it can be followed: its kind is known, its columns belong to fields. Raises BadCell."""
    if plan.kind not in Kind.values:
        raise BadCell("kind", f"{plan.kind!r} is not one of {', '.join(Kind.values)}")
    if unknown := sorted(set(plan.mapping) - {one.key for one in FIELDS[plan.kind]}):
        names = ", ".join(one.key for one in FIELDS[plan.kind])
        raise BadCell("mapping", f"{plan.kind} have no field {unknown[0]!r}; use {names}")
    return plan
