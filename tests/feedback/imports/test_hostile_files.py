"""Files made to break the import: each is refused with a reason, and nothing is imported."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from feedback.imports.errors import ImportRefused
from feedback.models import FileImport, Prompt
from tests.feedback.imports.loading import import_prompts

pytestmark = pytest.mark.django_db

PROMPTS = b'{"prompt": "Why?"}\n' * 1_000


def archive(name: str, content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", compression) as written:
        written.writestr(name, content)
    return packed.getvalue()


def parquet(**columns: Any) -> bytes:
    sink = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.table(columns), sink)
    return sink.getvalue()


def arrow(table: pyarrow.Table) -> bytes:
    sink = io.BytesIO()
    with pyarrow.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def damaged_lzma() -> bytes:
    content = bytearray(archive("a.jsonl", PROMPTS, zipfile.ZIP_LZMA))
    content[60:90] = b"\xff" * 30
    return bytes(content)


def broken_offsets() -> bytes:
    """Return a file whose second text would begin far behind the first."""
    content = arrow(pyarrow.table({"prompt": ["Why?", "Who are you?", "What now?"]}))
    offsets = struct.pack("<4i", 0, 4, 16, 25)
    assert content.count(offsets) == 1
    return content.replace(offsets, struct.pack("<4i", 0, 90_000, 16, 25))


def twice() -> pyarrow.Table:
    return pyarrow.Table.from_arrays([pyarrow.array(["Why?"]), pyarrow.array(["Who?"])], ["prompt", "prompt"])


HOSTILE = {
    "lzma.zip": (damaged_lzma(), "not a zip archive that can be read"),
    "name.zip": (archive("é.jsonl", PROMPTS).replace("é".encode(), b"\xff\xff"), "not a zip archive that can be read"),
    "deep.zip": (archive("a/" * 1_900 + "x.jsonl", PROMPTS), "more than 20 deep"),
    "nameless.zip": (archive("QQQQ", PROMPTS).replace(b"QQQQ", b"\0QQQ"), "an entry whose name is ''"),
    "dot.zip": (archive(".", PROMPTS), "an entry whose name is '.'"),
    "nested.zip": (archive("state.json", b"[" * 100_000), "state.json does not list"),
    "long.zip": (
        archive("state.json", json.dumps({"_data_files": [{"filename": "x" * 5_000}]}).encode()),
        "state.json does not list",
    ),
    "tags.jsonl": (json.dumps({"prompt": "Why?", "tags": "[" * 100_000}).encode(), "not JSON"),
    "twice.jsonl": (b'{"prompt": "Why?", "prompt": "Who?"}', "'prompt' stands there more than once"),
    "twice.json": (b'[{"messages": [{"role": "user", "role": "system"}]}]', "'role' stands there more than once"),
    "time.parquet": (parquet(text=pyarrow.array([10**18], pyarrow.timestamp("ms"))), "not a whole Parquet file"),
    "span.parquet": (parquet(text=pyarrow.array([2**62], pyarrow.duration("s"))), "not a whole Parquet file"),
    "twice.arrow": (arrow(twice()), "the column prompt more than once"),
    "time.arrow": (
        arrow(pyarrow.table({"text": pyarrow.array([10**9], pyarrow.date32())})),
        "not a whole Arrow file",
    ),
    "offsets.arrow": (broken_offsets(), "not a whole Arrow file"),
}


@pytest.mark.parametrize("filename", HOSTILE)
def test_a_hostile_file_is_refused_with_a_reason(project, tmp_path, filename):
    content, reason = HOSTILE[filename]
    path = tmp_path / "upload"
    path.write_bytes(content)
    with pytest.raises(ImportRefused) as caught:
        import_prompts(project=project, path=path, filename=filename)
    assert reason in caught.value.errors[0].message
    assert len(caught.value.errors[0].message) < 500
    assert not Prompt.objects.exists()
    assert not FileImport.objects.exists()


@pytest.mark.parametrize("filename", ["a." + "x" * 250, "a." + "é" * 200])
def test_an_ending_too_long_for_a_file_name_is_refused_like_any_other(project, curator, client, filename):
    client.force_login(curator)
    upload = SimpleUploadedFile(filename, PROMPTS)
    answer = client.post(reverse("import-new", args=[project.slug]), {"file": upload})
    assert answer.status_code == 422
    assert "none of the files that can be read" in answer.content.decode()
