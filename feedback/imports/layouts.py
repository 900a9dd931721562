"""Exports of other tools, unfolded into plain rows: one for each annotation, its task's columns beside what was said.

Label Studio: JSON exports (tasks with `annotations`); its CSV and JSON_MIN exports are plain columns already. Argilla:
records as JSON of versions 1 and 2, and datasets of both (`<question>.responses` beside `<question>.responses.users`,
or a list of {user_id, value, status} under the question's name).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from feedback.imports.reading import FileRow

PLAIN = ""
LABEL_STUDIO = "label_studio"
ARGILLA = "argilla"
ARGILLA_TABLE = "argilla_table"
FORMS: Mapping[str, str] = {
    PLAIN: "Plain columns",
    LABEL_STUDIO: "Label Studio export",
    ARGILLA: "Argilla records",
    ARGILLA_TABLE: "Argilla dataset",
}
NOBODY = "nobody has annotated this task"
ANNOTATION = "annotator"
ARGILLA_OWN = ("id", "status", "_server_id", "metadata", "external_id", "vectors")


def guess_form(rows: Sequence[Mapping[str, Any]]) -> str:
    if not rows:
        return PLAIN
    if all(isinstance(row.get("data"), dict) for row in rows) and not any("prompt" in row for row in rows):
        return LABEL_STUDIO
    if all(isinstance(row.get("fields"), dict) for row in rows) and any("responses" in row for row in rows):
        return ARGILLA
    if any(answered_columns(row) for row in rows):
        return ARGILLA_TABLE
    return PLAIN


def unfold(form: str, rows: Iterator[FileRow], *, judged: bool) -> Iterator[FileRow]:
    """Yield the plain rows of each row: one for each annotation if it is `judged` that counts, else the task alone."""
    if form == PLAIN:
        yield from rows
        return
    for row in rows:
        if row.problem:
            yield row
            continue
        for values in UNFOLDED[form](row.values, judged):
            yield replace(row, values=values) if values else replace(row, values={}, problem=NOBODY)


# Label Studio -------------------------------------------------------------------------------------------


def label_studio_rows(task: Mapping[str, Any], judged: bool) -> Iterator[dict[str, Any]]:
    data = task.get("data")
    data = dict(data) if isinstance(data, dict) else {}
    if not judged or "annotations" not in task:
        yield data
        return
    given = task["annotations"]
    annotations = [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []
    whole = [one for one in annotations if not one.get("was_cancelled")]
    for annotation in whole:
        yield {
            **data,
            **said_in_label_studio(annotation.get("result")),
            ANNOTATION: named(annotation.get("completed_by")),
            "created_at": annotation.get("created_at"),
            "lead_time": annotation.get("lead_time"),
        }
    if not whole:
        yield {}


def named(person: Any) -> Any:
    """Return what names a person: an id, or of an object its email or id."""
    return person.get("email") or person.get("id") if isinstance(person, dict) else person


def said_in_label_studio(result: Any) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for region in result if isinstance(result, list) else []:
        if isinstance(region, dict) and isinstance(value := region.get("value"), dict):
            name = region.get("from_name")
            said[name if isinstance(name, str) else "result"] = plain_value(value)
    return said


def plain_value(value: Mapping[str, Any]) -> Any:
    for key in ("selected", "rating", "number", "choices", "text", "ranker", "taxonomy"):
        if key in value:
            found = value[key]
            if isinstance(found, list) and len(found) == 1:
                return found[0]
            return " ".join(found) if key == "text" and isinstance(found, list) and is_text(found) else found
    return value


def is_text(values: Sequence[Any]) -> bool:
    return all(isinstance(value, str) for value in values)


# Argilla ------------------------------------------------------------------------------------------------


def argilla_rows(record: Mapping[str, Any], judged: bool) -> Iterator[dict[str, Any]]:
    fields, given = record.get("fields"), record.get("responses")
    about = dict(fields) if isinstance(fields, dict) else {}
    if isinstance(external := record.get("external_id"), str) and external:
        about["external_id"] = external
    if isinstance(given, list):  # version 1: one member per person, with all questions
        said = {
            str(one.get("user_id")): {question: plain_answer(value) for question, value in one["values"].items()}
            for one in given
            if isinstance(one, dict) and isinstance(one.get("values"), dict) and counts(one)
        }
    elif isinstance(given, dict):  # version 2: one list per question, with all people
        said = by_person({question: answers for question, answers in given.items() if isinstance(answers, list)})
    else:
        said = {}
    yield from answered(about, said) if judged else [about]


def argilla_table_rows(values: Mapping[str, Any], judged: bool) -> Iterator[dict[str, Any]]:
    questions = answered_columns(values)
    about = {
        name: value
        for name, value in values.items()
        if not any(name == question or name.startswith((f"{question}.", f"{question}-")) for question in questions)
        and (name not in ARGILLA_OWN or (name == "external_id" and value))
    }
    yield from answered(about, by_person({name: answers_in(values, name) for name in questions})) if judged else [about]


def answered_columns(values: Mapping[str, Any]) -> list[str]:
    """Return the questions of a dataset that Argilla made."""
    new = [name.removesuffix(".responses") for name in values if name.endswith(".responses")]
    old = [
        name
        for name, value in values.items()
        if isinstance(value, list)
        and value
        and all(isinstance(one, dict) and "user_id" in one and "value" in one for one in value)
    ]
    return new + old


def answers_in(values: Mapping[str, Any], question: str) -> list[dict[str, Any]]:
    if f"{question}.responses" not in values:
        return list(values[question])
    said = values[f"{question}.responses"]
    people = values.get(f"{question}.responses.users")
    if not isinstance(said, list) or not isinstance(people, list):
        return []
    states = values.get(f"{question}.responses.status") or ["submitted"] * len(said)
    if not isinstance(states, list):
        return []
    return [
        {"value": value, "user_id": person, "status": state}
        for value, person, state in zip(said, people, states, strict=False)
    ]


def by_person(questions: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, Any]]:
    said: dict[str, dict[str, Any]] = {}
    for question, answers in questions.items():
        for one in answers:
            if isinstance(one, dict) and one.get("value") is not None and counts(one):
                said.setdefault(str(one.get("user_id") or ""), {})[question] = plain_answer(one["value"])
    return said


def counts(answer: Mapping[str, Any]) -> bool:
    return answer.get("status") in (None, "submitted")


def plain_answer(value: Any) -> Any:
    """Return an answer as one value; a ranking as an object of name and rank."""
    if isinstance(value, dict) and set(value) >= {"value"} and "rank" not in value:
        value = value["value"]
    if isinstance(value, dict) and isinstance(value.get("rank"), list) and isinstance(value.get("value"), list):
        return {str(name): rank for name, rank in zip(value["value"], value["rank"], strict=False)}
    if isinstance(value, list) and value and all(isinstance(one, dict) and "rank" in one for one in value):
        return {str(one.get("value")): one["rank"] for one in value}
    return value


def answered(about: dict[str, Any], said: Mapping[str, Mapping[str, Any]]) -> Iterator[dict[str, Any]]:
    for person, answers in said.items():
        yield {**about, **answers, ANNOTATION: person}
    if not said:
        yield {}


UNFOLDED: Mapping[str, Callable[[Mapping[str, Any], bool], Iterator[dict[str, Any]]]] = {
    LABEL_STUDIO: label_studio_rows,
    ARGILLA: argilla_rows,
    ARGILLA_TABLE: argilla_table_rows,
}
