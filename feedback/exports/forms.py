"""The files of an export, as a stream: nothing is kept but the rows that are being written.

parquet    one file a split
jsonl      one file a split, a line for every row
dataset    a directory as `datasets.DatasetDict.save_to_disk` writes it
openai     JSONL for OpenAI's fine-tuning: supervised from messages, preference from pairs

Several splits come as one zip, with a card. Zips are not compressed: Parquet is small already, and the others are taken
where speed matters more.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
from django.utils.text import slugify

from feedback.exports.formats import FORMATS, splits_of, tables_of
from feedback.exports.lines import openai_messages, openai_preference, plain_lines
from feedback.models import Snapshot
from feedback.refusals import Refusal
from feedback.snapshot_card import export_card
from feedback.snapshot_files import DICTIONARY_LIMIT, verify_directory
from feedback.snapshots import FORMAT, refuse_withdrawn

FORMS: Mapping[str, str] = {
    "parquet": "Parquet",
    "jsonl": "JSON lines",
    "dataset": "Hugging Face DatasetDict",
    "openai": "OpenAI fine-tuning",
}
OPENAI: Mapping[str, Callable[[pyarrow.Table], bytes]] = {
    "preference": openai_preference,
    "messages": openai_messages,
}
SUFFIXES = {"parquet": "parquet", "jsonl": "jsonl", "openai": "jsonl"}
LONG_AGO = (1980, 1, 1, 0, 0, 0)


class ExportRefused(Refusal):
    """The snapshot cannot be handed out like this; `field` says which choice is wrong."""


class Pipe:
    """A file that others write to, and whose bytes are taken out as they come."""

    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.written = 0
        self.closed = False

    def write(self, piece: Any) -> int:
        kept = piece if isinstance(piece, bytes) else bytes(piece)
        self.pieces.append(kept)
        self.written += len(kept)
        return len(kept)

    def tell(self) -> int:
        return self.written

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    def writable(self) -> bool:
        return True

    def readable(self) -> bool:
        return False

    def seekable(self) -> bool:
        return False

    def taken(self) -> bytes:
        pieces, self.pieces = self.pieces, []
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def forms_of(name: str) -> list[str]:
    """Return the file forms in which a format can be had."""
    return [form for form in FORMS if form != "openai" or name in OPENAI]


def check_export(snapshot: Snapshot, name: str, form: str, split: str = "") -> None:
    """Raise ExportRefused unless the snapshot has such rows."""
    if name not in FORMATS:
        raise ExportRefused("format", f"{name!r} is not one of {', '.join(FORMATS)}")
    if form not in forms_of(name):
        raise ExportRefused("form", f"{name} can be had as {', '.join(forms_of(name))}, not as {form!r}")
    if snapshot.manifest.get("format", 0) < FORMAT:
        raise ExportRefused("format", "an older version froze this snapshot; download it as it is, or freeze it again")
    there = splits_of(snapshot, name)
    if not there:
        raise ExportRefused("format", f"the snapshot has no rows for {name}; it holds {', '.join(snapshot.tables)}")
    if split and split not in there:
        raise ExportRefused("split", f"{name} has rows in {', '.join(there)}, not in {split!r}")
    if split and form == "dataset":
        raise ExportRefused("split", "a DatasetDict holds all splits; leave the split out")


def export_name(snapshot: Snapshot, name: str, form: str, split: str = "") -> str:
    """Return the file name under which an export is handed out."""
    stem = f"{slugify(snapshot.name) or 'snapshot'}-{snapshot.sha256[:8]}-{name}"
    return f"{stem}-{split}.{SUFFIXES[form]}" if split else f"{stem}-{form}.zip"


def export_stream(snapshot: Snapshot, *, name: str, form: str, split: str = "") -> Iterator[bytes]:
    """Check the files, then yield the export: a file for one split, or a zip of all.

    Raises ExportRefused or SnapshotDamaged before the first piece.
    """
    refuse_withdrawn(snapshot)
    check_export(snapshot, name, form, split)
    verify_directory(snapshot.directory, snapshot.sha256)
    return one_file(snapshot, name, form, split) if split else zipped(snapshot, name, form)


def one_file(snapshot: Snapshot, name: str, form: str, split: str) -> Iterator[bytes]:
    pipe = Pipe()
    for _ in written(pipe, snapshot, name, form, split):
        if piece := pipe.taken():
            yield piece
    if piece := pipe.taken():
        yield piece


def written(pipe: Any, snapshot: Snapshot, name: str, form: str, split: str) -> Iterator[int]:
    """Write one split's file to `pipe`; yield the rows of each step."""
    tables = tables_of(snapshot, name, split)
    schema = FORMATS[name].schema
    if form in ("jsonl", "openai"):
        lines = OPENAI[name] if form == "openai" else plain_lines
        for table in tables:
            pipe.write(lines(table))
            yield table.num_rows
        return
    if form == "dataset":
        with pyarrow.ipc.new_stream(pyarrow.PythonFile(pipe, "w"), schema) as writer:
            for table in tables:
                writer.write_table(table)
                yield table.num_rows
        return
    file = pyarrow.PythonFile(pipe, "w")
    with pyarrow.parquet.ParquetWriter(file, schema, dictionary_pagesize_limit=DICTIONARY_LIMIT) as parquet:
        for table in tables:
            parquet.write_table(table, row_group_size=max(1, table.num_rows))
            yield table.num_rows


def zipped(snapshot: Snapshot, name: str, form: str) -> Iterator[bytes]:
    """Yield a zip of all splits with their card, in pieces."""
    pipe = Pipe()
    folder = export_name(snapshot, name, form).removesuffix(".zip")
    counts: dict[str, int] = {}
    with zipfile.ZipFile(pipe, "w") as archive:
        for split in splits_of(snapshot, name):
            path = f"{folder}/{file_of(name, form, split)}"
            with archive.open(entry(path), "w", force_zip64=True) as target:
                for rows in written(target, snapshot, name, form, split):
                    counts[split] = counts.get(split, 0) + rows
                    if piece := pipe.taken():
                        yield piece
            if form == "dataset":
                for file, text in dataset_files(split).items():
                    archive.writestr(entry(f"{folder}/{split}/{file}"), text)
        if form == "dataset":
            archive.writestr(entry(f"{folder}/dataset_dict.json"), json.dumps({"splits": list(counts)}))
        card = export_card(snapshot.manifest, snapshot.sha256, name=name, form=form, counts=counts, file_of=file_of)
        archive.writestr(entry(f"{folder}/README.md"), card)
        yield pipe.taken()
    yield pipe.taken()


def file_of(name: str, form: str, split: str) -> str:
    return f"{split}/data-00000-of-00001.arrow" if form == "dataset" else f"{name}/{split}.{SUFFIXES[form]}"


def dataset_files(split: str) -> dict[str, str]:
    """Return what `datasets.load_from_disk` reads beside a split's Arrow file; it takes the columns from that."""
    state: dict[str, Any] = {
        "_data_files": [{"filename": "data-00000-of-00001.arrow"}],
        "_fingerprint": "concord",
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": split,
    }
    return {"state.json": json.dumps(state), "dataset_info.json": "{}"}


def entry(path: str) -> zipfile.ZipInfo:
    """Return an entry that is the same whenever it is made."""
    made = zipfile.ZipInfo(path, LONG_AGO)
    made.external_attr = 0o644 << 16
    return made
