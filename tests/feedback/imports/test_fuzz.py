"""Whatever comes in as a file, of any kind and layout: it is imported whole, or refused with reasons and not at all."""

from __future__ import annotations

import contextlib
import gzip
import io
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feedback.imports.errors import ImportRefused
from feedback.imports.whole import import_file
from feedback.models import FileImport, Judgment, Prompt, Response, Task
from tests.factories import make_member, make_project
from tests.feedback.imports.loading import jsonl

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

USER = {"role": "user", "content": "Name a river."}
GOOD: dict[str, list[dict[str, Any]]] = {
    "prompts": [{"prompt": "Why?", "tags": ["a"]}, {"messages": [USER]}],
    "responses": [{"prompt": "Why?", "response": "So.", "model": "m", "sampling": {"top_p": 0.5}, "response_id": 7}],
    "preferences": [
        {"prompt": [USER], "chosen": [{"role": "assistant", "content": "A"}], "rejected": "B", "margin": 2},
        {"chosen": "\n\nHuman: Hi\n\nAssistant: A", "rejected": "\n\nHuman: Hi\n\nAssistant: B"},
    ],
    "rankings": [{"prompt": "Why?", "responses": ["a", "b", "c"], "ranks": [1, 2, 3], "annotator": "ann"}],
    "ratings": [{"prompt": "Why?", "response": "So.", "ratings": {"quality": 4, "tone": 1}, "annotator": "ann"}],
    "demonstrations": [
        {"prompt": "Why?", "completion": "So."}, {"messages": [USER, {"role": "assistant", "content": "X"}]}
    ],
    "votes": [
        {
            "prompt": "Why?", "response_a": "So.", "response_b": "No.", "winner": "a", "annotator": "ann",
            "seconds": 1.5, "created_at": "2026-01-01T10:00:00Z", "rationale": "x", "strength": 2, "prompt_id": "p",
        },
        {"data": {"prompt": "Hi", "answer1": "x", "answer2": "y"}, "annotations": [{"completed_by": 1, "result": [
            {"value": {"selected": "left"}, "from_name": "c"}]}]},
        {"fields": {"prompt": "Hi", "response_a": "x", "response_b": "y"}, "responses": [
            {"user_id": "u", "status": "submitted", "values": {"winner": {"value": "a"}}}]},
        {
            "prompt": "Hi", "response_a": "x", "response_b": "y", "winner.responses": ["a"],
            "winner.responses.users": ["u"],
        },
    ],
}  # fmt: skip
COLUMNS = sorted({name for rows in GOOD.values() for one in rows for name in one})
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["", " ", "\x00", "\ud800", "[{", "{}", "[]", "NaN", "1e999", "9" * 5000, "\n\nHuman:", "=1+1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)  # fmt: skip
QUICK = settings(
    max_examples=60, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)  # fmt: skip


@pytest.fixture
def attempt(tmp_path):
    """Import bytes of a kind into a project of their own; hold that it was whole or nothing."""

    def attempt(filename: str, content: bytes, kind: str | None, **options: Any) -> FileImport | None:
        project = make_project()
        curator = make_member(project, "curator")
        path = Path(tmp_path) / "upload"
        path.write_bytes(content)
        refusal = None
        try:
            found = import_file(project=project, path=path, filename=filename, created_by=curator, kind=kind, **options)
        except ImportRefused as error:
            refusal = error
        if refusal is not None:
            assert refusal.total >= len(refusal.errors) > 0
            assert all(one.message and "nobody foresaw" not in one.message for one in refusal.errors)
            assert all(len(one.message) < 2_000 for one in refusal.errors)
            nothing_is_left_of(project)
            return None
        stored = found.counts["stored"]
        assert project.prompts.count() == stored.get("prompts", 0)
        assert Response.objects.in_project(project).count() == stored.get("responses", 0)
        assert Judgment.objects.in_project(project).count() == stored.get("judgments", 0)
        if stored.get("judgments"):
            assert stored["judgments"] + stored.get("there", 0) + stored.get("refused", 0) == found.counts["read"]
        return found

    return attempt


def nothing_is_left_of(project) -> None:
    assert not project.imports.exists()
    assert not project.prompts.exists()
    assert not project.queues.exists()
    assert not Task.objects.filter(queue__project=project).exists()


@pytest.mark.parametrize("kind", GOOD)
def test_the_good_rows_are_good(attempt, kind):
    for number, row in enumerate(GOOD[kind]):
        assert attempt("a.jsonl", jsonl(row).encode(), kind) is not None, (kind, number)


@pytest.mark.parametrize("kind", GOOD)
@QUICK
@given(seed=st.integers(0, 2**32), value=VALUES, drop=st.booleans())
def test_any_value_anywhere_in_a_row(attempt, kind, seed, value, drop):
    chance = random.Random(seed)
    row = json.loads(json.dumps(chance.choice(GOOD[kind])))
    place: Any = row
    while True:
        key = chance.choice(list(place)) if isinstance(place, dict) else chance.randrange(len(place))
        if isinstance(place[key], dict | list) and place[key] and chance.random() < 0.6:
            place = place[key]
            continue
        if drop:
            del place[key]
        else:
            place[key] = value
        break
    content = json.dumps(row, ensure_ascii=True).encode()
    attempt("a.jsonl", content, chance.choice([kind, None]))


@pytest.mark.parametrize("kind", GOOD)
@QUICK
@given(row=st.dictionaries(st.sampled_from(COLUMNS), VALUES))
def test_any_row_of_known_columns(attempt, kind, row):
    attempt("a.jsonl", json.dumps(row).encode() + b"\n" + json.dumps(GOOD[kind][0]).encode(), kind)


def packed(kind: str, suffix: str) -> bytes:
    rows = GOOD[kind][:1]
    if suffix == "json":
        return json.dumps(rows * 3).encode()
    if suffix == "parquet":
        sink = io.BytesIO()
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows * 3), sink)
        return sink.getvalue()
    if suffix == "csv":
        cells = [value if isinstance(value, str) else json.dumps(value) for value in rows[0].values()]
        quoted = ['"' + cell.replace('"', '""') + '"' for cell in cells]
        return (",".join(rows[0]) + "\n" + ",".join(quoted) + "\n").encode()
    if suffix == "jsonl.gz":
        return gzip.compress(jsonl(*rows).encode())
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/a.jsonl", jsonl(*rows))
    return sink.getvalue()


@pytest.mark.parametrize("suffix", ["json", "csv", "parquet", "jsonl.gz", "zip"])
@QUICK
@given(
    kind=st.sampled_from(sorted(GOOD)),
    seed=st.integers(0, 2**32),
    how=st.sampled_from(["cut", "byte", "double", "join"]),
)
def test_damaged_files_of_every_form(attempt, suffix, kind, seed, how):
    chance = random.Random(seed)
    content = bytearray(packed(kind, suffix))
    place = chance.randrange(len(content))
    if how == "cut":
        content = content[:place]
    elif how == "byte":
        content[place] = chance.randrange(256)
    elif how == "double":
        content = content[:place] + content
    else:
        content += struct.pack("<Q", seed)
    attempt(f"a.{suffix}", bytes(content), kind)


@pytest.mark.parametrize(
    "content",
    [
        jsonl(GOOD["votes"][0]).encode("utf-16-be"),
        jsonl({**GOOD["votes"][0], "rationale": "Grüße"}).replace("\\u00fc", "ü").encode("latin-1"),
        b'{"prompt": "a", "prompt": "b"}',
        b"[" * 200_000,
        b'{"a":' * 50_000,
        json.dumps({"prompt": "x" * 3_000_000}).encode(),
        b'{"prompt": NaN, "response_a": Infinity}',
        b'{"prompt": 1' + b"0" * 5_000 + b"}",
        b"\xef\xbb\xbf" + jsonl(GOOD["votes"][0]).encode(),
        b"\r".join([b'{"prompt": "a"}'] * 3),
    ],
)
@pytest.mark.parametrize("filename", ["a.jsonl", "a.json", "a.csv"])
def test_strange_texts(attempt, filename, content):
    attempt(filename, content, "votes")
    attempt(filename, content, None)


def test_a_bomb_is_stopped_before_it_fills_the_disk(attempt, settings):
    settings.IMPORT_MAX_BYTES = 100_000
    sink = io.BytesIO()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(5):
            archive.writestr(f"{number}.jsonl", b" " * 10_000_000)
    assert attempt("a.zip", sink.getvalue(), "prompts") is None
    assert attempt("a.jsonl.gz", gzip.compress(b"\n" * 50_000_000), "prompts") is None


def test_a_mapping_of_any_shape_is_refused_or_followed(attempt):
    rows = jsonl(*GOOD["votes"][:1]).encode()
    for mapping in (
        {"prompt": "winner", "winner": "prompt"},
        {"prompt": ["nothing"], "response_a": "prompt", "response_b": "prompt", "winner": "winner"},
        {"prompt": "data.prompt", "response_a": "a.b.c", "response_b": "response_b", "winner": "winner"},
    ):
        attempt("a.jsonl", rows, "votes", mapping=mapping)


@pytest.mark.parametrize("kind", ["", *GOOD])
def test_pages_and_api_answer_whatever_comes(project, curator, client, kind):
    client.force_login(curator)
    chance = random.Random(7)
    names = ["a.jsonl", "a.json", "a.csv", "a.parquet", "a.zip", "a.jsonl.gz", "a", ".gz", "a.tsv"]
    for number in range(12):
        content = packed(chance.choice(sorted(GOOD)), chance.choice(["json", "csv", "parquet", "zip"]))
        content = content[: chance.randrange(len(content))] if number % 2 else content
        upload = SimpleUploadedFile(chance.choice(names), content)
        answer = client.post(reverse("import-new", args=[project.slug]), {"file": upload, "kind": kind}, follow=True)
        assert answer.status_code in (200, 422)
    for found in FileImport.objects.all():
        shown = client.get(reverse("import", args=[project.slug, found.pk]))
        assert shown.status_code == 200
        for name in ("import-preview", "import-check", "import-store"):
            answer = client.post(reverse(name, args=[project.slug, found.pk]), {"column_prompt": "x"}, follow=True)
            assert answer.status_code in (200, 422)
    with contextlib.suppress(Prompt.DoesNotExist):
        assert all(prompt.file_import_id for prompt in project.prompts.all())
