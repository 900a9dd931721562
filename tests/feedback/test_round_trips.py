"""What goes out comes in again: export, import into another project, freeze there, export, and it says the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feedback.exports.forms import export_stream
from feedback.imports.whole import import_file
from feedback.models import FileImport, Project, Snapshot
from feedback.selection import Selection
from tests.every_kind import judge
from tests.factories import (
    make_judgment,
    make_member,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
)

pytestmark = pytest.mark.django_db

SUFFIXES = {"jsonl": ".jsonl", "parquet": ".parquet", "dataset": ".zip", "openai": ".jsonl"}
TRIPS = [
    ("preference", "preferences", ("prompt", "chosen", "rejected", "margin"), ("jsonl", "parquet", "dataset")),
    ("ranking", "rankings", ("prompt", "responses", "ranks"), ("jsonl", "parquet", "dataset")),
    ("unpaired", "ratings", ("prompt", "completion", "label"), ("jsonl", "parquet", "dataset")),
    ("prompt_completion", "demonstrations", ("prompt", "completion"), ("jsonl", "parquet", "dataset")),
    ("messages", "demonstrations", ("messages",), ("jsonl", "parquet", "dataset", "openai")),
    ("prompt_only", "prompts", ("prompt", "language", "source", "licence"), ("jsonl", "parquet", "dataset")),
]
"""Format, what it is imported as, the columns that have to be equal, the forms of file."""
KINDS = {"preference": ("comparison",), "unpaired": ("rating",)}
"""Where a format holds rows of several kinds of task, the one that it comes in as."""
EVERY = [(name, kind, columns, form) for name, kind, columns, forms in TRIPS for form in forms]


@pytest.fixture
def project() -> Project:
    return make_project(evaluation_percent=0)


@pytest.fixture
def judged(project: Project, annotator) -> Project:
    """Every kind of answer once or twice, with texts that files break on."""
    odd = "“Quotes”, commas;\n\ttabs — and an emoji 🙂, <b>tags</b>, \u2028 and a backslash \\n."
    about = {"language": "en", "source": "a source", "licence": "CC-BY-4.0"}
    queue = make_queue(project)
    for number, preference in enumerate((-3, -1, 2, 3)):
        prompt = make_prompt(project, f"Question {number}: {odd}", **about)
        responses = [make_response(prompt, f"{side} {number} {odd}") for side in ("one", "other")]
        task = make_task(queue, prompt=prompt, responses=responses)
        make_judgment(task=task, annotator=annotator, preference=preference)
    for number in range(2):
        texts = tuple(f"{name} {number} {odd}" for name in ("a", "b", "c"))
        judge(project, annotator, "ranking", texts, answer={"ranks": [2, 1, 2], "not_rankable": [False] * 3})
    thumbs = {
        "ratings": [{"helpfulness": good, "correctness": 2, "thumbs": thumb} for good, thumb in ((4, 1), (2, -1))]
    }
    judge(project, annotator, "rating", (f"up {odd}", f"down {odd}"), answer=thumbs)
    for number in range(2):
        judge(project, annotator, "demonstration", answer={"text": f"Written {number} {odd}"})
    return project


def rows_of(snapshot: Snapshot, name: str, columns: tuple[str, ...]) -> list[str]:
    """Return what the columns of a format say, whatever the order of the rows."""
    lines = b"".join(export_stream(snapshot, name=name, form="jsonl", split="train")).decode().split("\n")
    rows = [json.loads(line) for line in lines if line]
    return sorted(json.dumps([row[column] for column in columns], sort_keys=True) for row in rows)


def brought_in(snapshot: Snapshot, name: str, form: str, kind: str, folder: Path, **options: Any) -> FileImport:
    """Export, and import that into a project of its own."""
    path = folder / f"exported{SUFFIXES[form]}"
    path.write_bytes(
        b"".join(export_stream(snapshot, name=name, form=form, split="" if form == "dataset" else "train"))
    )
    other = make_project(evaluation_percent=0)
    by = make_member(other, "curator")
    return import_file(project=other, path=path, filename=path.name, kind=kind, created_by=by, **options)


@pytest.mark.parametrize(("name", "kind", "columns", "form"), EVERY, ids=[f"{n} as {f}" for n, _, _, f in EVERY])
def test_what_goes_out_comes_in_again(judged, tmp_path, name, kind, columns, form):
    snapshot = make_snapshot(judged, selection=Selection(kinds=KINDS.get(name)))
    found = brought_in(snapshot, name, form, kind, tmp_path)
    assert found.counts.get("bad", 0) == 0
    before = rows_of(snapshot, name, columns)
    assert before
    if kind == "prompts":
        prompts = found.project.prompts.values_list("messages", "language", "source", "licence")
        assert sorted(json.dumps(list(row), sort_keys=True) for row in prompts) == before
        return
    again = make_snapshot(found.project)
    assert rows_of(again, name, columns) == before


def test_a_pair_of_a_ranking_comes_in_as_a_slight_preference(judged, tmp_path):
    """A ranking says which is better and not by how much; a comparison has to say a strength, so it says the least."""
    snapshot = make_snapshot(judged, selection=Selection(kinds=("ranking",)))
    found = brought_in(snapshot, "preference", "jsonl", "preferences", tmp_path)
    again = make_snapshot(found.project)
    columns = ("prompt", "chosen", "rejected")
    assert rows_of(again, "preference", columns) == rows_of(snapshot, "preference", columns)
    assert set(rows_of(again, "preference", ("margin",))) == {"[1.0]"}
