"""Rows for the training benchmarks, as a snapshot for our runs and as plain JSON lines for a TRL script.

HH pairs (see docs/benchmarks.md on where they are looked for), or pairs that are made up, which need no data at all.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet

from benchmarks.published_files import json_lines, shared_data
from feedback.contract import TRAIN, Message, table_file


@dataclass(frozen=True)
class Pair:
    prompt: list[Message]
    chosen: str
    rejected: str

    def texts(self) -> list[str]:
        """Return the two whole sequences as text, for counting."""
        before = "\n".join(message["content"] for message in self.prompt)
        return [f"{before}\n{self.chosen}", f"{before}\n{self.rejected}"]


class NoData(Exception):
    """The published pairs are not on this machine."""


def hh_pairs(count: int, most_tokens: int, tokens: Callable[[Pair], int], seed: int = 0) -> list[Pair]:
    """Return `count` pairs of HH's training file, drawn at random among those of at most `most_tokens`."""
    path = shared_data() / "hh" / "train.jsonl.gz"
    if not path.is_file():
        raise NoData(f"{path} is not there; set CONCORD_SHARED_DATA to the folder that holds hh/, or use --quick")
    rows = list(json_lines(path))
    random.Random(seed).shuffle(rows)
    found: list[Pair] = []
    for row in rows:
        pair = Pair(row["prompt"], row["chosen"][-1]["content"], row["rejected"][-1]["content"])
        if pair.chosen.strip() and pair.rejected.strip() and tokens(pair) <= most_tokens:
            found.append(pair)
        if len(found) == count:
            return found
    raise NoData(f"HH has {len(found)} pairs of at most {most_tokens} tokens, and {count} are wanted")


WORDS = ("water", "tea", "cup", "day", "night", "red", "blue", "green", "two", "three", "yes", "no", "good", "please")


def made_up_pairs(count: int, seed: int = 0) -> list[Pair]:
    """Return pairs of very different lengths, as real ones are: the better response thanks, the worse one does not."""
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=max(1, min(most, round(draw.lognormvariate(2.0, 0.8))))))

    return [
        Pair(
            [{"role": "user", "content": f"tell {number} {words(30)}"}],
            f"thank you {words(30)}",
            f"no {words(30)}",
        )
        for number in range(count)
    ]


def assistant(text: str) -> list[Message]:
    return [{"role": "assistant", "content": text}]


def write_snapshot(directory: Path, pairs: Sequence[Pair]) -> tuple[str, str]:
    """Write the pairs as a frozen snapshot with preferences and demonstrations; return (directory, sha256)."""
    tables: dict[str, list[dict[str, Any]]] = {"preference": [], "sft": []}
    for number, pair in enumerate(pairs):
        origin = {
            "judgment_id": f"judgment-{number}",
            "task_id": f"task-{number}",
            "annotator": "annotator-1",
            "simulated": False,
            "weight": 1.0,
        }
        tables["preference"].append(
            {
                "prompt": pair.prompt,
                "chosen": assistant(pair.chosen),
                "rejected": assistant(pair.rejected),
                "margin": 0.0,
                "origin": "comparison",
                "group": f"judgment-{number}",
                **origin,
            }
        )
        tables["sft"].append({"prompt": pair.prompt, "completion": assistant(pair.chosen), **origin})
    files: dict[str, str] = {}
    for table, rows in tables.items():
        path = directory / table_file(table, TRAIN)
        path.parent.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        files[table_file(table, TRAIN)] = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = json.dumps({"files": files}).encode()
    (directory / "manifest.json").write_bytes(manifest)
    return str(directory), hashlib.sha256(manifest).hexdigest()


def write_plain(path: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs as TRL takes them: prompt, chosen, rejected, each a list of messages."""
    with open(path, "w", encoding="utf-8") as file:
        for pair in pairs:
            row = {"prompt": pair.prompt, "chosen": assistant(pair.chosen), "rejected": assistant(pair.rejected)}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


def write_prompts(path: Path, pairs: Sequence[Pair]) -> None:
    """Write the pairs' prompts as a run directory's prompts.jsonl."""
    with open(path, "w", encoding="utf-8") as file:
        for number, pair in enumerate(pairs):
            row = {"prompt_id": f"prompt-{number}", "messages": pair.prompt, "split": TRAIN}
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
