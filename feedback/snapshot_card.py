"""The card of a snapshot: a README.md for people, whose header tells the `datasets` library and a hub what lies where.

Made from the manifest alone, so that it can be made again, and says nothing that the files do not hold.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from feedback.contract import HELD_OUT_PEOPLE, ROW_SPLITS, TABLES, table_file
from feedback.selection import LEFT_OUT, VERDICTS, WEIGHTS
from feedback.snapshot_words import MEANINGS, PROVENANCE, USES

FEWEST_PEOPLE = 5
"""Fewer people than this are not counted in public: with few, a number says who they are."""
SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def write_card(directory: Path, manifest: Mapping[str, Any]) -> None:
    (directory / "README.md").write_text(card(manifest), encoding="utf-8")


def card(manifest: Mapping[str, Any]) -> str:
    """Return the card of a snapshot with this manifest."""
    rows = manifest["counts"]["rows"]
    parts = [header(manifest), f"# Human feedback of {manifest['project']}", opening(manifest)]
    parts += ["## How to load it", loading(rows)]
    parts += ["## How it was chosen", chosen(manifest)]
    if manifest["figures"]:
        parts += ["## How good it is", figures(manifest)]
    parts += ["## Who and what", who_and_what(manifest)]
    parts += ["## Known limits", limits(manifest)]
    for table in rows:
        counts = [(split, f"{rows[table][split]:,}") for split in ROW_SPLITS if rows[table][split]]
        parts += [f"## {table}", USES[table], table_of(("split", "rows"), counts), columns(MEANINGS[table])]
    parts += ["## In every table", columns(PROVENANCE)]
    return "\n\n".join(parts) + "\n"


def header(manifest: Mapping[str, Any]) -> str:
    """Return the YAML block; the first table that is there is what `load_dataset` gives when no name is asked for."""
    rows, counts = manifest["counts"]["rows"], manifest["counts"]
    lines = ["---", f"pretty_name: {quoted('Human feedback of ' + manifest['project'])}", "task_categories:"]
    lines += ["- text-generation", "tags:", "- preference", "- rlhf", "- concord"]
    if any(one["simulated"] for one in manifest["annotators"]):
        lines += ["- simulated"]
    languages = [language for language in counts["languages"] if language]
    if languages:
        lines += ["language:", *(f"- {quoted(language)}" for language in sorted(languages))]
    licences = [licence for licence in counts["licences"] if licence]
    if len(licences) == 1 and "" not in counts["licences"]:
        lines += [f"license: {quoted(licences[0].lower())}"]
    elif licences:
        lines += ["license: other", f"license_name: {quoted(', '.join(sorted(licences)))}"]
    total = sum(sum(splits.values()) for splits in rows.values())
    lines += ["size_categories:", f"- {next((word for limit, word in SIZES if total < limit), 'n>1M')}", "configs:"]
    tables = [table for table in TABLES if table in rows]
    for number, table in enumerate(tables):
        lines += [f"- config_name: {table}", *(["  default: true"] if number == 0 else []), "  data_files:"]
        for split in ROW_SPLITS:
            if rows[table][split]:
                lines += [f"  - split: {split}", f"    path: {table_file(table, split)}"]
    return "\n".join([*lines, "---"])


def quoted(text: str) -> str:
    """Return a text as YAML takes it, whatever is in it."""
    escaped = "".join(character if character.isprintable() else " " for character in text)
    return '"' + escaped.replace("\\", "\\\\").replace('"', '\\"') + '"'


def opening(manifest: Mapping[str, Any]) -> str:
    simulated = sum(one["simulated"] for one in manifest["annotators"])
    people = len(manifest["annotators"]) - simulated
    who = [people_words(people)] if people or not simulated else []
    if simulated:
        who.append(plural(simulated, "simulated annotator"))
    counts = manifest["counts"]
    said = f"{plural(counts['judgments'], 'judgment')} by {' and '.join(who)}."
    if simulated:
        said += " **Simulated annotators follow a rule, not an opinion**; their rows have `simulated: true`."
    return said


def people_words(people: int) -> str:
    if 0 < people < FEWEST_PEOPLE:
        return f"fewer than {FEWEST_PEOPLE} people"
    return f"{people:,} {'person' if people == 1 else 'people'}"


def loading(rows: Mapping[str, Any]) -> str:
    name = "" if len(rows) < 2 else f', "{next(iter(rows))}"'
    return (
        '```python\nfrom datasets import load_dataset\n\nrows = load_dataset("path/to/this/directory"'
        f"{name})\n```\n\nRows lie by prompt. Shuffle them before training with anything that does not."
    )


def chosen(manifest: Mapping[str, Any]) -> str:
    selection, counts = manifest["selection"], manifest["counts"]
    lines = [f"- Verdict: {VERDICTS[selection['verdict']].lower()} (`{selection['verdict']}`)."]
    if selection["verdict"] != "latest":
        lines += [
            "- The comparisons of a task are one row; of other kinds of task every judgment is a row. What a curator "
            "adjudicated outranks the votes."
        ]
    weights = selection.get("weights", "none")
    lines += [f"- Weights: {WEIGHTS[weights].lower()} (`{weights}`)."]
    for name, value in selection.items():
        if name not in ("verdict", "weights", "include_simulated"):
            lines += [f"- {name.replace('_', ' ').capitalize()}: {said(value)}."]
    # A snapshot that was frozen before a reason was there does not count it.
    known = {why: counts["left_out"].get(why, 0) for why in LEFT_OUT}
    left_out = [(LEFT_OUT[why], f"{count:,}") for why, count in known.items() if count]
    if left_out:
        lines += ["", table_of(("left out: judgments", "how many"), left_out)]
    return "\n".join(lines)


def said(value: Any) -> str:
    return ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)


def figures(manifest: Mapping[str, Any]) -> str:
    """Return the figures with n and 95 % interval."""
    found = manifest["figures"]
    rows: list[tuple[str, str, str]] = []
    ties = "rows of `ranking`" if manifest.get("selection", {}).get("keep_ties") else "left out of the rows"
    agreement = found.get("agreement")
    if agreement:
        n = f"{agreement['tasks']:,} tasks of two or more judgments"
        rows += [
            ("agreement of two people, percent", ranged(agreement["percent"], percent=True), n),
            ("Krippendorff's alpha (nominal, a tie is an answer)", ranged(agreement["alpha_nominal"]), n),
            ("Gwet's AC1", ranged(agreement["ac1"]), n),
        ]
    for name, words in (
        ("gold", "right on gold, percent"),
        ("first_shown", "preferred what was shown first, percent (50 = no bias)"),
        ("longer", "preferred the longer response, percent"),
        ("ties", f"ties, percent ({ties} unless outvoted)"),
        ("actively_chosen", "judgments on tasks chosen actively, percent"),
        ("random", "judgments on tasks drawn at random, percent"),
    ):
        if one := found.get(name):
            rows.append((words, ranged(one, percent=True), f"{one['n']:,} judgments"))
    text = table_of(("of comparisons", "value (95 % interval)", "n"), rows)
    if not agreement:
        text += "\n\nNo task was judged by two people, so nothing is known of how far they agree."
    if not found.get("gold"):
        text += "\n\nThere is no gold among these tasks."
    return text


def ranged(one: Mapping[str, float | None], *, percent: bool = False) -> str:
    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{100 * value:.1f}" if percent else f"{value:.3f}"

    if one["low"] is None:
        return shown(one["value"])
    return f"{shown(one['value'])} ({shown(one['low'])} to {shown(one['high'])})"


def who_and_what(manifest: Mapping[str, Any]) -> str:
    counts = manifest["counts"]
    allowed = manifest["selection"].get("allow_personal_data", False)
    policy = (
        "texts with personal data that nobody had settled were let in on purpose"
        if allowed
        else "texts in which a scan found personal data that nobody had settled are left out; a scan finds e-mail "
        "addresses, numbers of phones, cards and accounts and the like, not names"
    )
    lines = [
        f"- Languages of the prompts: {counted(counts['languages'])}.",
        f"- Sources: {counted(counts['sources'])}.",
        f"- Licences: {counted(counts['licences'])}. A text whose licence is not stated may not be free to pass on.",
        f"- Personal data: {policy}. Annotators stand under pseudonyms that are the same in every snapshot of the "
        "project. Whoever has withdrawn consent, or had what they said erased, is left out.",
        f"- Guidelines: {plural(len(manifest['guidelines']), 'version')}, whole in "
        "`manifest.json`, with the rules and label schemas in force.",
    ]
    return "\n".join(lines)


def counted(words: Mapping[str, int]) -> str:
    return ", ".join(f"{word or 'not stated'} ({count:,})" for word, count in words.items()) or "none"


def limits(manifest: Mapping[str, Any]) -> str:
    """Return what a reader must not take for granted here."""
    counts, found, selection = manifest["counts"], manifest["figures"], manifest["selection"]
    lines = [
        "- Prompts of the evaluation and holdout splits were set aside before anybody judged them, and share no "
        "near-duplicate that was found with the train split. Near-duplicates are found by their words, not by meaning."
    ]
    if any(splits[HELD_OUT_PEOPLE] for splits in counts["rows"].values()):
        lines += ["- `held_out_people`: rows of people whose labels are in no other split; the prompts may be."]
    if selection["verdict"] == "latest":
        lines += ["- A task that several people judged is in several rows, which may contradict each other."]
    else:
        lines += ["- What decides nothing is left out: agreement measured on these rows is higher than people's own."]
    if selection["verdict"] == "dawid_skene" or selection.get("weights") == "reliability":
        lines += ["- Dawid-Skene takes people's errors as independent; where all are misled alike, it is misled too."]
    if (active := found.get("actively_chosen")) and active["value"]:
        lines += [
            "- Some tasks were chosen because a model was unsure of them. Only rows with `arm: random` are a fair "
            "sample; `propensity` corrects which responses were drawn, not which prompt came first."
        ]
    if (first := found.get("first_shown")) and not first["low"] <= 0.5 <= first["high"]:
        lines += ["- People here prefer one side of the screen more often than chance; sides were drawn at random."]
    if any(one["simulated"] for one in manifest["annotators"]):
        lines += ["- Labels of simulated annotators say nothing of what people prefer."]
    if counts["rows"].get("rating"):
        lines += ["- Ratings are one person's each; scales are used differently by different people."]
    return "\n".join(lines)


def plural(count: int, word: str) -> str:
    return f"{count:,} {word}{'' if count == 1 else 's'}"


def table_of(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)])


def columns(meanings: Mapping[str, str]) -> str:
    return table_of(("column", "meaning"), list(meanings.items()))


def export_card(
    manifest: Mapping[str, Any],
    sha256: str,
    *,
    name: str,
    form: str,
    counts: Mapping[str, int],
    file_of: Callable[[str, str, str], str],
) -> str:
    """Return the card of an export in one format: its own header and counts, then what the snapshot's card says."""
    whole = card(manifest)
    head, _, rest = whole.removeprefix("---\n").partition("\n---\n")
    lines = head.split("\nconfigs:")[0].splitlines()
    if form in ("parquet", "jsonl"):
        lines += ["configs:", f"- config_name: {name}", "  default: true", "  data_files:"]
        for split in counts:
            lines += [f"  - split: {split}", f"    path: {file_of(name, form, split)}"]
    verb = "load_from_disk" if form == "dataset" else "load_dataset"
    own = [
        f"# {name} of {manifest['project']}",
        f"The `{name}` format of the snapshot `{sha256}`, as {form}. The snapshot's own card follows.",
        table_of(("split", "rows"), [(split, f"{count:,}") for split, count in counts.items()]),
        f'```python\nfrom datasets import {verb}\n\nrows = {verb}("path/to/this/directory")\n```'
        if form != "openai"
        else "Upload a file with the purpose `fine-tune`.",
    ]
    return "---\n" + "\n".join(lines) + "\n---\n\n" + "\n\n".join(part for part in own if part) + "\n" + rest
