"""Published data sets through the product's own importers: MT-Bench votes, UKPConvArg1, HH pairs.

    from benchmarks.published import import_mt_bench, import_ukp
    votes = import_mt_bench(project=project, by=curator)        # a stored FileImport; votes.queue holds the judgments

The files are no part of the repository (`shared_data()` says where they are looked for). What the publishers give is
written as plain files in a temporary folder and imported as a curator would import it, in this process.

MT-Bench: both turns of a question are one prompt; what answers it in turn 2 is the rest of the talk. UKPConvArg1: a
topic and a stance are a prompt, arguments its responses; the seconds of an assignment are shared among its pairs.
"""

from __future__ import annotations

import json
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks.published_files import csv_rows, json_lines, shared_data
from feedback.imports.whole import import_file
from feedback.models import FileImport, Project, User

TURNS = {"1": "{0[0]}", "2": "{0[0]}\n\nUser: {1}\n\nAssistant: {0[1]}"}


def import_rows(
    rows: Iterable[dict[str, Any]], name: str, *, project: Project, by: User | None, **about: Any
) -> FileImport:
    """Write rows as JSON lines and import that file whole."""
    with tempfile.TemporaryDirectory(prefix="concord-published-") as folder:
        path = Path(folder) / name
        with path.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
        return import_file(project=project, path=path, created_by=by, **about)


# MT-Bench -----------------------------------------------------------------------------------------------


def mt_bench_answers(folder: Path) -> Iterator[dict[str, Any]]:
    questions = {one["question_id"]: one for one in json_lines(folder / "mtbench_questions.jsonl.gz")}
    for answer in json_lines(folder / "mtbench_answers.jsonl.gz"):
        question = questions[answer["question_id"]]
        for turn, text in TURNS.items():
            yield {
                "prompt": question["turns"][0],
                "prompt_id": f"mt-bench {question['question_id']}",
                "response": text.format(answer["turns"], question["turns"][1]),
                "response_id": f"{answer['question_id']}:{turn}:{answer['model']}",
                "model": answer["model"],
                "tags": ["mt-bench", question["category"]],
            }


def mt_bench_votes(folder: Path, file: str) -> Iterator[dict[str, Any]]:
    for vote in csv_rows(folder / file):
        names = {side: f"{vote['question_id']}:{vote['turn']}:{vote[f'model_{side}']}" for side in ("a", "b")}
        yield {
            "prompt_id": f"mt-bench {vote['question_id']}",
            "response_a_id": names["a"],
            "response_b_id": names["b"],
            "winner": vote["winner"],
            "annotator": vote["annotator_id"],
        }


def import_mt_bench(
    *, project: Project, by: User | None, votes: str = "mtbench_human_votes.csv.gz", folder: Path | None = None
) -> FileImport:
    """Import questions, answers and votes: 3,355 of 65 people on 1,814 comparisons."""
    folder = folder or shared_data() / "multi_annotator_pref"
    about = {"source": "MT-Bench human judgments", "licence": "CC-BY-4.0", "language": "en"}
    import_rows(mt_bench_answers(folder), "mt_bench_answers.jsonl", project=project, by=by, kind="responses", **about)
    name = votes.removesuffix(".csv.gz") + ".jsonl"
    return import_rows(mt_bench_votes(folder, votes), name, project=project, by=by, kind="votes", **about)


# UKPConvArg1 --------------------------------------------------------------------------------------------


def ukp_arguments(folder: Path) -> Iterator[dict[str, Any]]:
    for argument in json_lines(folder / "ukp_arguments.jsonl.gz"):
        yield {
            "prompt": f"{argument['debate']}. Argue for this side: {argument['stance']}.",
            "prompt_id": argument["topic"],
            "response": argument["text"],
            "response_id": argument["arg_id"],
            "tags": ["argument"],
        }


def ukp_votes(folder: Path) -> Iterator[dict[str, Any]]:
    pairs = {pair["pair_id"]: pair for pair in json_lines(folder / "ukp_pairs.jsonl.gz")}
    together = Counter(vote["assignment_id"] for vote in csv_rows(folder / "ukp_votes.csv.gz"))
    for vote in csv_rows(folder / "ukp_votes.csv.gz"):
        pair = pairs[vote["pair_id"]]
        yield {
            "prompt_id": pair["topic"],
            "response_a_id": pair["a1"],
            "response_b_id": pair["a2"],
            "winner": vote["value"],
            "annotator": vote["annotator_id"],
            "rationale": vote["reason"],
            "created_at": vote["submitted_at"],
            "seconds": round(float(vote["assignment_seconds"]) / together[vote["assignment_id"]], 1),
        }


def import_ukp(*, project: Project, by: User | None, folder: Path | None = None) -> FileImport:
    """Import arguments and votes: 68,682 of 3,793 people on 13,767 pairs."""
    folder = folder or shared_data() / "multi_annotator_pref"
    about = {"source": "UKPConvArg1", "licence": "CC-BY-4.0", "language": "en"}
    import_rows(ukp_arguments(folder), "ukp_arguments.jsonl", project=project, by=by, kind="responses", **about)
    return import_rows(ukp_votes(folder), "ukp_votes.jsonl", project=project, by=by, kind="votes", **about)


# HH -----------------------------------------------------------------------------------------------------


def import_hh(*, project: Project, by: User | None, name: str = "train", folder: Path | None = None) -> FileImport:
    """Import a file of HH pairs as it was published: `train` has 3,547, `test` 1,000."""
    path = (folder or shared_data() / "hh") / f"{name}.jsonl.gz"
    return import_file(project=project, path=path, created_by=by, source="HH-RLHF", licence="MIT", language="en")
