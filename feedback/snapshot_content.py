"""What a snapshot's manifest says of its rows: how they were chosen, from whom they are, under which rules."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from feedback.contract import ROW_SPLITS
from feedback.models import Guideline, LabelSchema, Project, Queue, QueuePolicy, User
from feedback.quality.columns import as_uuid
from feedback.queues import RULES
from feedback.schemas import TaskKind
from feedback.selection import LEFT_OUT, Selection
from feedback.snapshot_figures import figures_of
from feedback.snapshot_reading import Reading
from feedback.snapshot_verdicts import Rows
from feedback.snapshot_votes import Votes


def manifest_of(
    *,
    project: Project,
    votes: Votes,
    rows: Rows,
    selection: Selection,
    reading: Reading,
    counts: dict[str, dict[str, int]],
) -> dict[str, Any]:
    """Return the manifest's content. Names, times and people stay out: the same rows say the same."""
    members = np.unique(rows.votes)
    people = people_of(project, votes, members)
    left_out = votes.left_out()
    return {
        "project": project.slug,
        "selection": said_selection(project, selection),
        "newest": newest(votes, members),
        "counts": {
            "judgments": len(members),
            "answers": len(rows),
            "kinds": kinds_of(votes, members),
            "rows": counts,
            "compared": by_split(reading.found.compared),
            **({"thumbs_up": by_split(reading.found.thumbs_up)} if "unpaired" in counts else {}),
            **({"ties": by_split(reading.found.ties)} if selection.keep_ties else {}),
            "left_out": {reason: left_out[reason] for reason in LEFT_OUT},
            **words_of(votes, rows),
        },
        "figures": figures_of(project=project, votes=votes, rows=rows, found=reading.found),
        "annotators": people,
        **rules_in_force(votes, members),
    }


def by_split(counted: Counter[str]) -> dict[str, int]:
    return {split: counted[split] for split in ROW_SPLITS}


def newest(votes: Votes, members: Any) -> str:
    """Return the highest id, which is the newest judgment."""
    ids = votes.judgment[members]
    high = np.ascontiguousarray(ids).view(">u8").reshape(-1, 2)
    top = np.flatnonzero(high[:, 0] == high[:, 0].max())
    return str(max(as_uuid(one) for one in ids[top]))


def said_selection(project: Project, selection: Selection) -> dict[str, Any]:
    """Return the selection with people under their pseudonyms; what is not said is as by default."""
    said = selection.to_json()
    if selection.without_people:
        people = User.objects.filter(pk__in=selection.without_people)
        said["without_people"] = sorted(project.pseudonym(person) for person in people)
    if selection.without_guidelines:
        versions = Guideline.objects.filter(pk__in=selection.without_guidelines).order_by("queue", "number")
        said["without_guidelines"] = [f"{one.queue_id}:{one.number}" for one in versions]
    return {"verdict": selection.verdict, "include_simulated": selection.include_simulated, **said}


def kinds_of(votes: Votes, members: Any) -> dict[str, int]:
    kinds: Counter[str] = Counter()
    counts = np.bincount(votes.circumstances[members], minlength=len(votes.shared)).tolist()
    for one, count in zip(votes.shared, counts, strict=True):
        kinds[votes.kinds[one.queue]] += count
    return {kind: kinds[kind] for kind in sorted(TaskKind.values) if kinds[kind]}


def words_of(votes: Votes, rows: Rows) -> dict[str, dict[str, int]]:
    """Count the answers by language, source and licence of their prompt; "" where nobody said."""
    found: dict[str, Counter[str]] = {"languages": Counter(), "sources": Counter(), "licences": Counter()}
    counts = np.bincount(votes.task_prompt[rows.task], minlength=len(votes.prompts)).tolist()
    for words, count in zip(votes.prompt_words, counts, strict=True):
        if count:
            for name, word in zip(found, words, strict=True):
                found[name][word] += count
    return {name: dict(sorted(counted.items(), key=lambda one: (-one[1], one[0]))) for name, counted in found.items()}


def people_of(project: Project, votes: Votes, members: Any) -> list[dict[str, Any]]:
    people, counts = np.unique(votes.person[members], return_counts=True)
    known = User.objects.in_bulk(people.tolist())
    apart = set(votes.person[votes.apart].tolist())
    said = [
        {
            "annotator": project.pseudonym(known[pk]),
            "simulated": known[pk].is_simulated,
            "judgments": count,
            **({"held_out": True} if pk in apart else {}),
        }
        for pk, count in zip(people.tolist(), counts.tolist(), strict=True)
    ]
    return sorted(said, key=lambda one: one["annotator"])


def rules_in_force(votes: Votes, members: Any) -> dict[str, Any]:
    """Return what was in force while people judged, with how many judgments were made under each version."""
    counts = np.bincount(votes.circumstances[members], minlength=len(votes.shared)).tolist()
    used: dict[str, Counter[int]] = {"guideline": Counter(), "policy": Counter(), "schema": Counter()}
    for one, count in zip(votes.shared, counts, strict=True):
        for what, counted in used.items():
            if count:
                counted[getattr(one, what)] += count
    guidelines = Guideline.objects.in_bulk(list(used["guideline"]))
    policies = QueuePolicy.objects.select_related("qualification").in_bulk(list(used["policy"]))
    schemas = LabelSchema.objects.select_related("queue").in_bulk(list(used["schema"]))
    return {
        "guidelines": by_version(guidelines, used["guideline"], lambda version: {"text": version.text}),
        "policies": by_version(
            policies, used["policy"], lambda version: {rule: said(getattr(version, rule)) for rule in RULES}
        ),
        "schemas": by_version(
            schemas, used["schema"], lambda version: {"kind": version.queue.kind, "content": version.content}
        ),
    }


def by_version(
    versions: Mapping[int, Any], counts: Counter[int], content: Callable[[Any], dict[str, Any]]
) -> list[dict[str, Any]]:
    found = [
        {"queue": str(version.queue_id), "number": version.number, **content(version), "judgments": counts[pk]}
        for pk, version in versions.items()
    ]
    return sorted(found, key=lambda version: (version["queue"], version["number"]))


def said(value: Any) -> Any:
    """Return a rule's value as JSON holds it: of another queue, its id."""
    return str(value.pk) if isinstance(value, Queue) else value
