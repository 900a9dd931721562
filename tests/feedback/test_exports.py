"""Every format of a snapshot, in every form of file, says what the frozen tables say."""

from __future__ import annotations

import io
import json
import zipfile
from typing import Any

import pyarrow.ipc
import pyarrow.parquet
import pytest

from feedback.exports.formats import FORMATS, splits_of
from feedback.exports.forms import ExportRefused, export_stream, forms_of
from feedback.exports.lines import plain_lines
from feedback.models import Project, Snapshot, User
from feedback.snapshots import SnapshotDamaged
from tests.every_kind import judge_everything
from tests.factories import make_judgment, make_queue, make_snapshot

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(project: Project, annotator: User) -> Snapshot:
    for split in ("train", "train", "evaluation"):
        judge_everything(project, annotator, split)
    return make_snapshot(project)


def whole(snapshot: Snapshot, name: str, form: str, split: str = "") -> bytes:
    return b"".join(export_stream(snapshot, name=name, form=form, split=split))


def lines(snapshot: Snapshot, name: str, split: str = "train", form: str = "jsonl") -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole(snapshot, name, form, split).splitlines()]


def frozen(snapshot: Snapshot, table: str, split: str = "train") -> list[dict[str, Any]]:
    return pyarrow.parquet.read_table(snapshot.directory / "data" / table / f"{split}.parquet").to_pylist()


# Formats ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "table"),
    [("preference", "preference"), ("ranking", "ranking"), ("rating", "rating"), ("prompt_completion", "sft")],
)
def test_what_is_a_table_of_the_snapshot_is_given_as_it_was_frozen(snapshot, name, table):
    assert lines(snapshot, name) == frozen(snapshot, table)


def test_thumbs_and_both_sides_of_pairs_are_unpaired_rows(snapshot):
    thumbs, pairs, rows = frozen(snapshot, "unpaired"), frozen(snapshot, "preference"), lines(snapshot, "unpaired")
    assert [row["origin"] for row in rows[: len(thumbs)]] == ["thumb"] * len(thumbs)
    assert [(row["prompt"], row["completion"], row["label"]) for row in rows[len(thumbs) :]] == [
        (pair["prompt"], pair[side], side == "chosen") for pair in pairs for side in ("chosen", "rejected")
    ]


def test_written_responses_and_talks_are_whole_chats(snapshot):
    rows = lines(snapshot, "messages")
    talks, written = frozen(snapshot, "conversation"), frozen(snapshot, "sft")
    assert [row["messages"] for row in rows] == [
        *(talk["messages"] for talk in talks),
        *(row["prompt"] + row["completion"] for row in written),
    ]


def test_every_prompt_is_given_once(snapshot):
    rows = lines(snapshot, "prompt_only")
    tables = ("preference", "ranking", "rating", "unpaired", "sft")
    known = {json.dumps(row["prompt"]) for table in tables for row in frozen(snapshot, table)}
    assert len(rows) == len(known)
    assert {json.dumps(row["prompt"]) for row in rows} == known


def test_evaluation_rows_were_compared_by_people_and_are_never_of_the_train_split(snapshot):
    assert list(splits_of(snapshot, "evaluation")) == ["evaluation"]
    rows = lines(snapshot, "evaluation", "evaluation")
    origins = ("comparison", "ranking", "conversation")
    compared = [row for row in frozen(snapshot, "preference", "evaluation") if row["origin"] in origins]
    assert [(row["id"], row["chosen"], row["votes"]) for row in rows] == [
        (row["group"], row["chosen"], 1) for row in compared
    ]
    with pytest.raises(ExportRefused, match="has rows in evaluation, not in 'train'"):
        whole(snapshot, "evaluation", "jsonl", "train")


# Files --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_parquet_lines_and_arrow_say_the_same(snapshot, name):
    split = "evaluation"
    table = pyarrow.parquet.read_table(io.BytesIO(whole(snapshot, name, "parquet", split)))
    assert table.schema == FORMATS[name].schema
    assert table.to_pylist() == lines(snapshot, name, split)
    with zipfile.ZipFile(io.BytesIO(whole(snapshot, name, "dataset"))) as archive:
        assert archive.testzip() is None
        (arrow,) = [each for each in archive.namelist() if each.endswith(f"/{split}/data-00000-of-00001.arrow")]
        assert pyarrow.ipc.open_stream(archive.read(arrow)).read_all().to_pylist() == table.to_pylist()


@pytest.mark.parametrize("name", FORMATS)
def test_a_zip_holds_every_split_and_a_card_that_names_them(snapshot, name):
    for form in forms_of(name):
        with zipfile.ZipFile(io.BytesIO(whole(snapshot, name, form))) as archive:
            files = [path.split("/", 1)[1] for path in archive.namelist()]
            card = archive.read(archive.namelist()[-1]).decode()
        for split in splits_of(snapshot, name):
            assert any(f"/{split}." in file or file.startswith(f"{split}/") for file in files)
            assert f"| {split} |" in card
        assert files[-1] == "README.md"
        assert snapshot.sha256 in card


def test_the_same_export_again_is_the_same_bytes(snapshot):
    assert whole(snapshot, "preference", "parquet") == whole(snapshot, "preference", "parquet")


def test_openai_takes_messages_and_pairs(snapshot):
    chats = lines(snapshot, "messages", form="openai")
    assert [set(row) for row in chats] == [{"messages"}] * len(lines(snapshot, "messages"))
    pairs = lines(snapshot, "preference", form="openai")
    for row, pair in zip(pairs, frozen(snapshot, "preference"), strict=True):
        assert row == {
            "input": {"messages": pair["prompt"], "tools": [], "parallel_tool_calls": True},
            "preferred_output": pair["chosen"],
            "non_preferred_output": pair["rejected"],
        }


def test_texts_that_need_escapes_come_back_as_they_were():
    text = 'a "quoted" 100 % line\n\u2028 größer \U0001f600 \\ end'
    table = pyarrow.table({"50 %": [text, None], "list": [[1], []]})
    assert [json.loads(line) for line in plain_lines(table).decode().split("\n")[:-1]] == table.to_pylist()


# Refusals -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("choice", "field"),
    [
        (("poem", "jsonl"), "format"),
        (("preference", "xls"), "form"),
        (("ranking", "openai"), "form"),
        (("ranking", "jsonl"), "format"),
        (("preference", "jsonl", "holdout"), "split"),
        (("preference", "dataset", "train"), "split"),
    ],
)
def test_what_there_is_not_is_refused(project, choice, field):
    make_judgment(queue=make_queue(project))
    with pytest.raises(ExportRefused) as caught:
        whole(make_snapshot(project), *choice)
    assert caught.value.field == field


def test_a_damaged_snapshot_is_not_exported(snapshot):
    (snapshot.directory / "README.md").write_text("changed")
    with pytest.raises(SnapshotDamaged):
        whole(snapshot, "preference", "jsonl")


def test_a_snapshot_from_before_a_reason_was_known_is_exported(snapshot):
    del snapshot.manifest["counts"]["left_out"]["weak"]
    assert whole(snapshot, "preference", "jsonl")
