"""Success first, then each kind of file, then each refusal."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import zipfile
from pathlib import Path

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.imports.errors import ImportRefused
from feedback.models import FileImport, Prompt
from feedback.splits import cluster_of
from tests.conftest import SAMPLES
from tests.factories import make_project
from tests.feedback.imports.loading import Report, import_prompts, jsonl

pytestmark = pytest.mark.django_db

CHAT = [
    {"role": "user", "content": "Name a river."},
    {"role": "assistant", "content": "The Rhine."},
    {"role": "user", "content": "And a longer one?"},
]


@pytest.fixture
def load(project, tmp_path):
    """Import content under a file name into the project."""

    def load(filename: str, content: str | bytes, **options) -> Report:
        path = tmp_path / "upload"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return import_prompts(project=project, path=path, filename=filename, **options)

    return load


def refusal_of(load, filename: str, content: str | bytes) -> list[tuple[int, str, str]]:
    with pytest.raises(ImportRefused) as caught:
        load(filename, content)
    assert not Prompt.objects.exists()
    assert not FileImport.objects.exists()
    return [(error.row, error.column, error.message) for error in caught.value.errors]


# The plain success --------------------------------------------------------------------------------------


def test_messages_and_plain_text_become_prompts(load, project):
    report = load(
        "prompts.jsonl",
        jsonl({"messages": CHAT}, {"prompt": "Why is the sky blue?"}),
        source="a book",
        licence="CC0",
        language="en",
        tags=["demo"],
    )
    assert report == Report(read=2, added=2, already_there=0)
    first, second = project.prompts.order_by("id")
    assert first.messages == CHAT
    assert second.messages == [{"role": "user", "content": "Why is the sky blue?"}]
    assert (second.source, second.licence, second.language, second.tags) == ("a book", "CC0", "en", ["demo"])


def test_the_same_file_again_adds_nothing(load, project):
    content = jsonl({"messages": CHAT}, {"prompt": "Why is the sky blue?"}, {"prompt": "Why is the sky blue?"})
    assert load("prompts.jsonl", content) == Report(read=3, added=2, already_there=1)
    assert load("prompts.jsonl", content) == Report(read=3, added=0, already_there=3)
    assert project.prompts.count() == 2


def test_a_row_says_its_own_source_licence_language_and_tags(load, project):
    row = {"prompt": "Hi", "source": "here", "license": "MIT", "language": "de", "tags": ["a", "b", "a"]}
    load("prompts.jsonl", jsonl(row), source="there", licence="CC0", language="en", tags=["c"])
    prompt = project.prompts.get()
    assert (prompt.source, prompt.licence, prompt.language, prompt.tags) == ("here", "MIT", "de", ["a", "b"])


@pytest.mark.parametrize(
    ("row", "text"),
    [
        ({"question": "Who?"}, "Who?"),
        ({"text": "Go."}, "Go."),
        ({"instruction": "Shorten this.", "input": "A long text."}, "Shorten this.\n\nA long text."),
        ({"instruction": "Sing.", "input": ""}, "Sing."),
        ({"prompt": None, "question": "Who?"}, "Who?"),
        ({"prompt": "[1, 2] is what?"}, "[1, 2] is what?"),
        ({"prompt": '[{"a": 1}] is what in Python?'}, '[{"a": 1}] is what in Python?'),
        ({"id": 1, "data": {"prompt": "From Label Studio"}}, "From Label Studio"),
    ],
)
def test_a_prompt_is_found_under_its_usual_names(load, project, row, text):
    load("prompts.jsonl", jsonl(row))
    assert project.prompts.get().messages == [{"role": "user", "content": text}]


def test_the_command_says_what_it_did(project, tmp_path, capsys):
    path = tmp_path / "prompts.jsonl"
    path.write_text(jsonl({"prompt": "One?"}, {"prompt": "Two?"}))
    call_command("import_file", project.slug, str(path), "--tag", "x", "--source", "me")
    assert capsys.readouterr().out == "Read 2 rows of prompts: added 2 prompts; 0 were already there.\n"
    assert project.prompts.filter(source="me", tags=["x"]).count() == 2


def test_the_command_lists_what_is_wrong(project, tmp_path):
    path = tmp_path / "prompts.jsonl"
    path.write_text(jsonl({"prompt": "One?"}, {"prompt": ""}))
    with pytest.raises(CommandError, match="row 2, column prompt: there is no prompt in this row"):
        call_command("import_file", project.slug, str(path))
    with pytest.raises(CommandError, match=f"Projects: {project.slug}"):
        call_command("import_file", "nowhere", str(path))


# Splits -------------------------------------------------------------------------------------------------


def test_near_duplicates_share_a_split(load, project):
    rows = [{"prompt": f"{number}: what IS the  capital of France?!"} for number in range(40)]
    more = [{"prompt": f"{number} What is the capital, of france"} for number in range(40)]
    load("prompts.jsonl", jsonl(*rows, *more))
    assert project.prompts.count() == 80
    by_cluster: dict[str, set[str]] = {}
    for prompt in project.prompts.all():
        by_cluster.setdefault(prompt.cluster, set()).add(prompt.split)
    assert len(by_cluster) == 40
    assert all(len(splits) == 1 for splits in by_cluster.values())
    assert {split for splits in by_cluster.values() for split in splits} == {"train", "evaluation"}


def test_a_near_duplicate_follows_the_split_of_its_cluster_after_the_percentage_changed(load, project):
    project.evaluation_percent = 0
    project.save()
    load("prompts.jsonl", jsonl({"prompt": "What is tea?"}))
    project.evaluation_percent = 90
    project.save()
    load("prompts.jsonl", jsonl(*({"prompt": "What is tea" + "?" * number} for number in range(2, 20))))
    assert set(project.prompts.values_list("split", flat=True)) == {"train"}


def test_the_evaluation_share_is_what_the_project_asks_for(load, project):
    load("prompts.jsonl", jsonl(*({"prompt": f"Question number {number}"} for number in range(2_000))))
    assert 0.16 < project.prompts.filter(split="evaluation").count() / 2_000 < 0.24  # 20 % +- 4 standard errors


def test_another_project_draws_other_splits(load, project, tmp_path):
    content = jsonl(*({"prompt": f"Question number {number}"} for number in range(200)))
    load("prompts.jsonl", content)
    other = make_project()
    path = tmp_path / "again.jsonl"
    path.write_text(content)
    import_prompts(project=other, path=path, filename="again.jsonl")
    held_out = [set(p.prompts.filter(split="evaluation").values_list("digest", flat=True)) for p in (project, other)]
    assert held_out[0] != held_out[1]


def test_prompts_without_letters_are_not_all_one_cluster():
    clusters = {cluster_of([{"role": "user", "content": text}]) for text in ("?", "!", "🙂", "🙃")}
    assert len(clusters) == 4


# Kinds of files -----------------------------------------------------------------------------------------


def test_csv_with_messages_as_json_and_quoted_line_breaks(load, project):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["messages", "tags"])
    writer.writerow([json.dumps(CHAT), "geography, rivers"])
    load("prompts.csv", text.getvalue())
    assert project.prompts.get().messages == CHAT
    assert project.prompts.get().tags == ["geography", "rivers"]
    assert load("more.csv", 'Prompt;note\n"two\nlines; and ""quotes""";x\n\n').added == 1
    assert project.prompts.last().last_turn == 'two\nlines; and "quotes"'


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_byte_order_mark_is_understood(load, project, encoding):
    load("prompts.csv", "prompt\nWas heißt „Fluß“?\n".encode(encoding))
    assert project.prompts.get().last_turn == "Was heißt „Fluß“?"


def test_json_of_a_list_and_of_an_object_with_a_list(load):
    assert load("a.json", json.dumps([{"prompt": "1?"}, {"prompt": "2?"}])).added == 2
    assert load("b.json", json.dumps({"version": 1, "rows": [{"prompt": "3?"}]})).added == 1
    assert load("c.json", json.dumps({"prompt": "4?", "tags": ["x"]})).added == 1
    assert load("d.json", jsonl({"prompt": "5?"}, {"prompt": "6?"})).added == 2


def test_gzip_is_unpacked(load):
    assert load("prompts.jsonl.gz", gzip.compress(jsonl({"prompt": "1?"}).encode())).added == 1


def test_line_separators_inside_json_text_do_not_split_lines(load, project):
    load("prompts.jsonl", json.dumps({"prompt": "one\u2028line\x85still"}, ensure_ascii=False) + "\r\n")
    assert project.prompts.get().last_turn == "one\u2028line\x85still"


def table(*rows: dict) -> pyarrow.Table:
    return pyarrow.Table.from_pylist(list(rows))


def as_stream(rows: pyarrow.Table) -> bytes:
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return sink.getvalue().to_pybytes()


def test_parquet_and_arrow_files(load, project):
    rows = table({"messages": CHAT, "score": 1.0}, {"messages": CHAT[:1], "score": 2.0})
    assert load("prompts.parquet", as_parquet(rows)).added == 2
    assert load("prompts.arrow", as_stream(rows)) == Report(2, 0, 2)
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    assert load("prompts.feather", sink.getvalue().to_pybytes()) == Report(2, 0, 2)
    assert project.prompts.first().messages == CHAT


def write_dataset(directory: Path, *rows: dict) -> None:
    """Lay out files as `datasets.Dataset.save_to_disk` does."""
    directory.mkdir(parents=True)
    (directory / "data-00000-of-00001.arrow").write_bytes(as_stream(table(*rows)))
    (directory / "dataset_info.json").write_text("{}")
    (directory / "state.json").write_text(json.dumps({"_data_files": [{"filename": "data-00000-of-00001.arrow"}]}))


def test_a_hugging_face_dataset_directory_with_splits(project, tmp_path):
    write_dataset(tmp_path / "set" / "train", {"prompt": "1?"}, {"prompt": "2?"})
    write_dataset(tmp_path / "set" / "test", {"prompt": "3?"})
    (tmp_path / "set" / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert import_prompts(project=project, path=tmp_path / "set", filename="set").added == 3


def test_a_zip_of_a_dataset_directory(load, tmp_path):
    write_dataset(tmp_path / "set", {"prompt": "1?"}, {"prompt": "2?"})
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in (tmp_path / "set").iterdir():
            archive.write(path, f"set/{path.name}")
        archive.writestr("__MACOSX/._junk.jsonl", "junk")
    assert load("set.zip", packed.getvalue()).added == 2


@pytest.mark.torch
def test_a_directory_that_the_datasets_library_saved(project, tmp_path):
    import datasets

    rows = datasets.Dataset.from_list([{"prompt": f"Question {number}?"} for number in range(30)])
    datasets.DatasetDict({"train": rows, "test": rows.select(range(5))}).save_to_disk(tmp_path / "set")
    report = import_prompts(project=project, path=tmp_path / "set", filename="set")
    assert report == Report(read=35, added=30, already_there=5)


def zipped(name: str, content: bytes, mode: int = 0o644) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)
    return packed.getvalue()


def as_parquet(rows: pyarrow.Table) -> bytes:
    sink = pyarrow.BufferOutputStream()
    pyarrow.parquet.write_table(rows, sink)
    return sink.getvalue().to_pybytes()


WHOLE_FILES = {
    "jsonl": jsonl({"messages": CHAT, "tags": ["a"]}, {"prompt": "Grüße"}).encode(),
    "json": json.dumps([{"messages": CHAT}, {"prompt": "Why?"}]).encode(),
    "csv": b'prompt,tags\n"Why, then?",a\nWho?,"b,c"\n',
    "tsv": b"prompt\ttags\nWhy?\ta\n",
    "parquet": as_parquet(table({"messages": CHAT}, {"messages": CHAT[:1]})),
    "arrow": as_stream(table({"prompt": "Why?"}, {"prompt": "Who?"})),
    "jsonl.gz": gzip.compress(jsonl({"prompt": "Why?"}).encode()),
}
WHOLE_FILES["zip"] = zipped("a.jsonl", WHOLE_FILES["jsonl"])


# Refusals -----------------------------------------------------------------------------------------------


def test_bad_rows_are_named_with_row_and_column_and_nothing_is_imported(load):
    content = jsonl({"prompt": "Good?"}, {"messages": CHAT[:2]}, {"prompt": "  "}, {"other": 1}) + "{oops\n[1]\n"
    errors = refusal_of(load, "prompts.jsonl", content)
    assert [(row, column) for row, column, _ in errors] == [
        (2, "messages"),
        (3, "prompt"),
        (4, ""),
        (5, ""),
        (6, ""),
    ]
    messages = [message for _, _, message in errors]
    assert "the last message must be the user's" in messages[0]
    assert "has no text" in messages[1]
    assert "none of the columns messages, prompt" in messages[2]
    assert "not JSON" in messages[3]
    assert "an object is expected, not list" in messages[4]


@pytest.mark.parametrize(
    ("filename", "content", "where", "message"),
    [
        ("a.csv", "prompt,x\nfine,1\nragged\n", (2, ""), "1 cells stand under 2 columns (line 3)"),
        ("a.csv", 'prompt\n"unclosed\n', (1, ""), "not CSV from here on"),
        ("a.csv", "prompt,prompt\na,b\n", (0, ""), "the header names prompt more than once"),
        ("a.csv", b"prompt\nGr\xfc\xdfe\n", (0, ""), "line 2 holds the byte 0xfc, which is not UTF-8"),
        ("a.csv", "prompt\nnul\x00here\n", (1, "prompt"), "NUL"),
        ("a.csv", "prompt\n", (0, ""), "the file holds no rows"),
        ("a.csv", "messages\nnot json\n", (1, "messages"), "neither a list of messages nor JSON of one"),
        ("a.jsonl", "", (0, ""), "the file holds no rows"),
        ("a.jsonl", '{"prompt": "half \\ud800 a character"}', (1, "prompt"), "half a character (U+D800)"),
        ("a.jsonl", jsonl({"prompt": 7}), (1, "prompt"), "not int"),
        ("a.jsonl", jsonl({"prompt": "x" * 100_001}), (1, "prompt"), "100,001 characters; the most is 100,000"),
        ("a.jsonl", jsonl({"prompt": "x", "tags": {"a": 1}}), (1, "tags"), "not dict"),
        ("a.jsonl", jsonl({"prompt": "x", "licence": "y" * 101}), (1, "licence"), "the most is 100"),
        ("a.jsonl", "[" * 100_000, (1, ""), "not JSON"),
        ("a.json", "{", (0, ""), "not JSON"),
        ("a.json", "7", (0, ""), "neither a list of objects"),
        ("a.parquet", "PAR1 not really", (0, ""), "not a whole Parquet file"),
        ("a.arrow", "not really", (0, ""), "not a whole Arrow file"),
        ("a.zip", "not really", (0, ""), "not a zip archive"),
        ("a.jsonl.gz", "not really", (0, ""), "not whole gzip data"),
        ("a.xlsx", "x", (0, ""), "a.xlsx is none of the files that can be read"),
    ],
)
def test_what_is_wrong_is_said(load, filename, content, where, message):
    (error,) = refusal_of(load, filename, content)
    assert error[:2] == where
    assert message in error[2]


def test_only_the_first_hundred_errors_are_listed_and_all_are_counted(load):
    with pytest.raises(ImportRefused) as caught:
        load("a.jsonl", jsonl(*({"prompt": ""} for _ in range(250))))
    assert (len(caught.value.errors), caught.value.total) == (100, 250)


def test_too_many_bytes_or_rows_are_refused(load, settings):
    settings.IMPORT_MAX_ROWS = 2
    assert "more than 2 rows" in refusal_of(load, "a.jsonl", jsonl(*({"prompt": f"{n}"} for n in range(3))))[0][2]
    settings.IMPORT_MAX_BYTES = 100
    assert "the most is 100" in refusal_of(load, "a.jsonl", jsonl({"prompt": "x" * 100}))[0][2]
    settings.IMPORT_MAX_BYTES = 1_000
    assert "unpacks to more than" in refusal_of(load, "a.jsonl.gz", gzip.compress(b" " * 100_000))[0][2]
    cut_off = gzip.compress(jsonl({"prompt": "x"}).encode())[:-9]
    assert "not whole gzip data" in refusal_of(load, "a.jsonl.gz", cut_off)[0][2]


@pytest.mark.parametrize("name", ["../outside.jsonl", "/etc/outside.jsonl", "a/../../outside.jsonl", "C:/x.jsonl"])
def test_a_zip_cannot_write_outside(load, tmp_path, name):
    errors = refusal_of(load, "a.zip", zipped(name, b"{}"))
    assert "points out of it" in errors[0][2]
    assert not list(tmp_path.parent.rglob("outside.jsonl"))


def test_a_zip_with_a_link_or_a_bomb_or_nothing_is_refused(load, settings):
    assert "the link" in refusal_of(load, "a.zip", zipped("a.jsonl", b"/etc/passwd", 0o120777))[0][2]
    settings.IMPORT_MAX_BYTES = 10_000
    assert "unpacks to more than 100,000 bytes" in refusal_of(load, "a.zip", zipped("a.jsonl", b" " * 1_000_000))[0][2]
    assert "holds no .jsonl" in refusal_of(load, "a.zip", zipped("readme.txt", b"hello"))[0][2]


def test_a_dataset_directory_that_is_not_whole_is_refused(project, tmp_path):
    write_dataset(tmp_path / "set", {"prompt": "1?"})
    (tmp_path / "set" / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(ImportRefused, match=r"data-00000-of-00001\.arrow is missing"):
        import_prompts(project=project, path=tmp_path / "set", filename="set")
    (tmp_path / "set" / "state.json").write_text('{"_data_files": [{"filename": "../../outside.arrow"}]}')
    with pytest.raises(ImportRefused, match=r"outside\.arrow is missing"):
        import_prompts(project=project, path=tmp_path / "set", filename="set")


@pytest.mark.parametrize("values", [{"source": "x" * 201}, {"language": "\x00"}, {"tags": ["x" * 51]}])
def test_what_is_said_about_the_whole_file_is_checked_too(load, values):
    with pytest.raises(ImportRefused) as caught:
        load("a.jsonl", jsonl({"prompt": "Hi"}), **values)
    assert [(error.row, error.column) for error in caught.value.errors] == [(0, next(iter(values)))]


@pytest.mark.parametrize("suffix", ["jsonl", "json", "csv", "tsv", "parquet", "arrow", "zip", "jsonl.gz"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=300), seed=st.booleans(), place=st.integers(0, 2_000), byte=st.integers(0, 255))
def test_no_bytes_whatever_break_the_import(load, suffix, content, seed, place, byte):
    """Random bytes, and whole files with one byte changed, are imported or refused and nothing else."""
    if seed:
        whole = bytearray(WHOLE_FILES[suffix])
        whole[place % len(whole)] = byte
        content = bytes(whole)
    with contextlib.suppress(ImportRefused):
        load(f"a.{suffix}", content)


def test_a_missing_file_is_refused(project, tmp_path):
    with pytest.raises(ImportRefused, match=r"there is no file gone\.jsonl"):
        import_prompts(project=project, path=tmp_path / "gone.jsonl", filename="gone.jsonl")


# Other people's files -----------------------------------------------------------------------------------


@pytest.mark.samples
@pytest.mark.parametrize(
    ("name", "least"),
    [
        ("format_samples/labelstudio_input_data.json", 30),
        ("format_samples/labelstudio_output_data.json", 30),
        ("hh/test.jsonl.gz", 900),
        ("instructions/oasst_ranked_replies.jsonl.gz", 50),
        ("instructions/qa_feedback_500x4.jsonl.gz", 400),
        ("instructions/self_instruct_seed175.jsonl.gz", 170),
        ("instructions/self_instruct_user252_8models.jsonl.gz", 240),
    ],
)
def test_published_files_are_imported_as_they_are(project, name, least):
    path = SAMPLES / name
    report = import_prompts(project=project, path=path, filename=path.name)
    assert report.added >= least
    assert import_prompts(project=project, path=path, filename=path.name).added == 0
