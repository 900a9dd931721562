"""The card of a snapshot: a README.md for people, whose header tells the `datasets` library what lies where."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from feedback.contract import SPLITS, TABLES, table_file

USES: Mapping[str, str] = {
    "preference": (
        "`chosen` is better than `rejected`. TRL's `RewardTrainer` and `DPOTrainer` take the rows unchanged. `origin` "
        "says how that is known: `comparison`, `ranking` and `conversation` rows are two responses that a person saw "
        "beside each other; in `edit` and `correction` rows a person wrote `chosen`, to be better than a response. "
        "Nobody compared those two, so leave them out where you measure agreement with people."
    ),
    "ranking": "Several responses in the order that one person gave them. The pairs that follow stand in `preference`.",
    "rating": "What one person said of one response by itself. Ratings are never turned into pairs.",
    "unpaired": "Thumbs up or down on one response. TRL's `KTOTrainer` takes the rows unchanged.",
    "sft": "Responses that people wrote or corrected. TRL's `SFTTrainer` takes the rows unchanged.",
    "conversation": (
        "Whole talks, going on with the answers that the person chose. TRL's `SFTTrainer` takes the rows unchanged; "
        "the choices stand in `preference`."
    ),
}
MEANINGS: Mapping[str, Mapping[str, str]] = {
    "preference": {
        "prompt": "the chat up to the user's last turn, as messages of role and content",
        "chosen, rejected": "the two responses, each as one assistant message",
        "margin": "strength of the preference, 1.0 slightly to 3.0 by far; 0.0 where nobody said how strong it is",
        "origin": "comparison, ranking, conversation; edit, correction",
        "group": "rows with the same group are pairs over one prompt from one judgment: keep them in one batch",
    },
    "ranking": {
        "prompt": "the chat up to the user's last turn",
        "responses": "each as one assistant message",
        "ranks": "1 = best, equal = tied, null = not rankable",
        "not_rankable": "true where the person said that the response cannot be ranked",
    },
    "rating": {
        "prompt, response": "the chat up to the user's last turn, and one assistant message",
        "ratings": "attribute, value, and the ends of its scale; manifest.json has definitions under `schemas`",
    },
    "unpaired": {
        "prompt, completion": "the chat up to the user's last turn, and one assistant message",
        "label": "true = thumbs up",
        "attribute": "the attribute that asked for the thumb",
    },
    "sft": {"prompt, completion": "the chat up to the user's last turn, and the response that the person wrote"},
    "conversation": {"messages": "the talk", "turns": "how often the person chose"},
}
PROVENANCE: Mapping[str, str] = {
    "judgment_id, task_id, queue_id, task_kind": "where the row comes from",
    "annotator": "a pseudonym, stable within the project",
    "simulated": "true when a rule judged, not a person",
    "propensity": "the probability with which the task's responses were drawn among all on offer",
    "arm, arm_propensity": "why the queue gave the person this task, and the probability of that",
    "flags": "what the person marked as wrong: flag, kind, and the place of the response among the row's own, from 0 "
    "(chosen = 0, rejected = 1); null = the whole",
}


def card(*, project: str, rows: Mapping[str, Mapping[str, int]], people: int, simulated: int) -> str:
    """Return the card of a snapshot with these rows per table and split, from so many annotators of each sort."""
    parts = [header(project, rows), f"# Human feedback of {project}", opening(people, simulated)]
    parts += ['```python\nfrom datasets import load_dataset\n\nrows = load_dataset("path/to/this/directory"'
              f"{named(rows)})\n```"]  # fmt: skip
    for table in rows:
        counts = "\n".join(f"| {split} | {rows[table][split]:,} |" for split in SPLITS if rows[table][split])
        parts += [f"## {table}", USES[table], f"| split | rows |\n|---|---|\n{counts}", columns(MEANINGS[table])]
    parts += ["## In every table", columns(PROVENANCE)]
    return "\n\n".join(parts) + "\n"


def write_card(
    directory: Path, *, project: str, rows: Mapping[str, Mapping[str, int]], people: int, simulated: int
) -> None:
    text = card(project=project, rows=rows, people=people, simulated=simulated)
    (directory / "README.md").write_text(text, encoding="utf-8")


def header(project: str, rows: Mapping[str, Mapping[str, int]]) -> str:
    """Return the YAML block; the first table that is there is what `load_dataset` gives when no name is asked for."""
    lines = ["---", f"pretty_name: Human feedback of {project}", "task_categories:", "- text-generation", "tags:"]
    lines += ["- preference", "- rlhf", "- concord", "configs:"]
    tables = [table for table in TABLES if table in rows]
    for number, table in enumerate(tables):
        lines += [f"- config_name: {table}", *(["  default: true"] if number == 0 else []), "  data_files:"]
        for split in SPLITS:
            if rows[table][split]:
                lines += [f"  - split: {split}", f"    path: {table_file(table, split)}"]
    return "\n".join([*lines, "---"])


def opening(people: int, simulated: int) -> str:
    who = [f"{people:,} {'person' if people == 1 else 'people'}"] if people or not simulated else []
    if simulated:
        who.append(f"{simulated:,} simulated annotator{'' if simulated == 1 else 's'}")
    return (
        f"Judged by {' and '.join(who)}. Rejected judgments, ties, gold, repeats, qualification tests and tasks that a "
        "curator took out are left out; `manifest.json` counts them. Prompts of the evaluation split were set aside "
        "when they were imported and share "
        "no near-duplicate with the train split."
    )


def named(rows: Mapping[str, Mapping[str, int]]) -> str:
    """Return the second argument that the example shows; nothing where there is one table."""
    return "" if len(rows) < 2 else f', "{next(iter(rows))}"'


def columns(meanings: Mapping[str, str]) -> str:
    return "| column | meaning |\n|---|---|\n" + "\n".join(f"| {name} | {text} |" for name, text in meanings.items())
