"""Read what a selection considers as columns of numbers: the votes from which a snapshot's rows are decided.

A million judgments are one statement, which sees one point in time, and some 40 bytes each. Texts are read later
(`feedback.snapshot_reading`), a few at a time. Reviews that fix an answer and adjudications are read before and after
it; where one came in between, all is read again.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from django.db.models import Exists, Max, OuterRef, TextField
from django.db.models.functions import Cast
from numpy.typing import NDArray

from feedback.contract import HELD_OUT_PEOPLE, PREFERENCE_LIMIT, ROW_SPLITS
from feedback.models import Adjudication, HeldOutPerson, Judgment, Project, Prompt, Review, Task
from feedback.quality.columns import (
    ID,
    NO_PREFERENCE,
    Bools,
    Ints,
    Raw,
    as_raw,
    batches,
    halves,
    numbered,
    places_in,
)
from feedback.refusals import Refusal
from feedback.schemas import TaskKind
from feedback.selection import LEFT_OUT, Selection

REASONS = ("", *LEFT_OUT)
"""What `Votes.reason` counts in."""
READ_AGAIN = 5
SWAPPED = {"[0, 1]": 0, "[1, 0]": 1, "[0,1]": 0, "[1,0]": 1}
NOBODY = 0
Progress = Callable[[int, int | None, str], None]


class StillChanging(Refusal):
    """People settle things faster than they can be read; try again."""


@dataclass(frozen=True)
class Circumstances:
    """What many judgments share."""

    queue: str
    guideline: int
    policy: int
    schema: int
    arm: str
    arm_propensity: float
    propensity: float
    simulated: bool


class TextsChanged(Exception):
    """What a freeze reads was redacted, erased or taken back by an undone import meanwhile."""


@dataclass
class Votes:
    """Considered judgments, one each, by task and then by id. All columns of [votes] unless said."""

    judgment: Raw
    task: Ints
    """Index into `tasks`."""
    person: Ints
    """Primary key of the user."""
    preference: NDArray[np.int8]
    """In response order, as fixed in review; NO_PREFERENCE of other kinds than a comparison."""
    swapped: NDArray[np.int8]
    """1 where the person saw the response at place 1 first, 0 where not, -1 where that says nothing."""
    circumstances: Ints
    """Index into `shared`."""
    reason: NDArray[np.uint8]
    """Index into REASONS: why it stays out, 0 for what goes in."""
    apart: Bools
    """Of people whose labels are a split of their own."""
    has_content: Bools
    """There is more to the answer than a preference."""
    flagged: Bools
    """It raises a flag."""
    # Of the tasks
    tasks: Raw
    """In order of prompt, then of task."""
    task_prompt: Ints
    """[tasks], index into `prompts`."""
    prompts: Raw
    prompt_split: NDArray[np.int8]
    """[prompts], index into ROW_SPLITS."""
    prompt_words: list[tuple[str, str, str]]
    """[prompts]: language, source, licence."""
    # Few, or shared
    shared: list[Circumstances]
    kinds: dict[str, str]
    """Kind of task by queue."""
    flags: dict[bytes, str]
    """By judgment, the JSON of those that raise any."""
    fixed: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    """By judgment, the answer that a reviewer put in its place."""
    adjudicated: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    """By task, the answer that a curator settled on."""

    def __len__(self) -> int:
        return len(self.judgment)

    def of_shared(self, what: Callable[[Circumstances], Any], dtype: Any) -> NDArray[Any]:
        """Return, for every vote, what its circumstances say."""
        return np.array([what(one) for one in self.shared] or [0], dtype=dtype)[self.circumstances]

    def is_comparison(self) -> Bools:
        return self.of_shared(lambda one: self.kinds[one.queue] == TaskKind.COMPARISON, bool)

    def split(self) -> NDArray[np.int8]:
        """Return the split of every vote's row, as an index into ROW_SPLITS."""
        own = self.prompt_split[self.task_prompt[self.task]]
        return np.where(self.apart, ROW_SPLITS.index(HELD_OUT_PEOPLE), own).astype(np.int8)

    def left_out(self) -> Counter[str]:
        """Count the votes by reason; those that go in under ""."""
        counts = np.bincount(self.reason, minlength=len(REASONS)).tolist()
        return Counter(dict(zip(REASONS, counts, strict=True)))


def read_votes(*, project: Project, selection: Selection, progress: Progress | None = None) -> Votes:
    """Read everything that the selection considers. Raises StillChanging."""
    for _ in range(READ_AGAIN):
        before = newest_words(project)
        fixed, adjudicated = fixed_answers(project), adjudicated_answers(project)
        votes = read_once(project, selection, progress)
        if newest_words(project) == before:
            votes.fixed, votes.adjudicated = fixed, adjudicated
            apply_fixes(votes, selection)
            return votes
    raise StillChanging("judgments", "reviews and adjudications come in while they are read; try again in a moment")


def newest_words(project: Project) -> tuple[Any, ...]:
    reviews = Review.objects.filter(judgment__queue__project=project, fixed__isnull=False).aggregate(Max("pk"))
    settled = Adjudication.objects.filter(task__queue__project=project).aggregate(Max("pk"))
    return (*reviews.values(), *settled.values())


def read_once(project: Project, selection: Selection, progress: Progress | None) -> Votes:
    considered = selection.considered(project).order_by()
    wanted = considered.values_list(
        *(Cast(name, TextField()) for name in ("id", "task_id", "queue_id")),
        *("guideline_id", "policy_id", "schema_id", "arm", "arm_propensity", "propensity", "simulation_rule"),
        *("annotator_id", "preference", "left_out"),
        *(Cast(name, TextField()) for name in ("display_order", "flags", "content")),
    )
    number = {reason: place for place, reason in enumerate(REASONS)}
    known: dict[tuple[Any, ...], int] = {}
    flags: dict[bytes, str] = {}
    parts: dict[str, list[NDArray[Any]]] = {name: [empty] for name, empty in NOTHING.items()}
    done = 0
    for batch in batches(wanted):
        columns = list(zip(*batch, strict=True))
        ids = as_raw(columns[0])
        circumstances = [known.setdefault(key, len(known)) for key in zip(*columns[2:10], strict=True)]
        who, preference, left_out, order, raised, content = columns[10:]
        for name, values in {
            "judgment": ids,
            "task": as_raw(columns[1]),
            "person": np.array(who, dtype=np.int32),
            "preference": np.array([NO_PREFERENCE if one is None else one for one in preference], dtype=np.int8),
            "swapped": np.array([SWAPPED.get(one, -1) for one in order], dtype=np.int8),
            "circumstances": np.array(circumstances, dtype=np.int32),
            "reason": np.array([number[one] for one in left_out], dtype=np.uint8),
            "has_content": np.array([one is not None and len(one) > 2 for one in content], dtype=bool),
            "flagged": np.array([len(one) > 2 for one in raised], dtype=bool),
        }.items():
            parts[name].append(values)
        flags.update((ids[row].tobytes(), raised[row]) for row in np.flatnonzero(parts["flagged"][-1]).tolist())
        done += len(batch)
        if progress is not None:
            progress(done, None, "Reading judgments")
    columns_of: dict[str, Any] = {name: np.concatenate(parts.pop(name)) for name in list(parts)}
    shared = [
        Circumstances(as_id(queue), guideline, policy, schema, arm, arm_propensity, propensity, bool(rule))
        for queue, guideline, policy, schema, arm, arm_propensity, propensity, rule in known
    ]
    tasks, task = numbered(columns_of["task"])
    columns_of["task"], of_tasks = by_prompt(project, tasks, task)
    by_task = np.lexsort((*halves(columns_of["judgment"]), columns_of["task"]))
    for name in list(columns_of):
        columns_of[name] = columns_of[name][by_task]
    held_out = list(HeldOutPerson.objects.filter(project=project).values_list("person", flat=True))
    return Votes(
        **columns_of,
        **of_tasks,
        apart=np.isin(columns_of["person"], held_out),
        shared=shared,
        kinds={str(pk): kind for pk, kind in project.queues.values_list("pk", "kind")},
        flags=flags,
    )


NOTHING: dict[str, NDArray[Any]] = {
    "judgment": np.empty(0, ID),
    "task": np.empty(0, ID),
    "person": np.empty(0, np.int32),
    "preference": np.empty(0, np.int8),
    "swapped": np.empty(0, np.int8),
    "circumstances": np.empty(0, np.int32),
    "reason": np.empty(0, np.uint8),
    "has_content": np.empty(0, bool),
    "flagged": np.empty(0, bool),
}


def as_id(text: str) -> str:
    """Return a UUID with its dashes, however the database gave it."""
    return text if "-" in text else f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def by_prompt(project: Project, tasks: Raw, task: Ints) -> tuple[Ints, dict[str, Any]]:
    """Put the tasks in the order of their prompts; return where each vote's stands then, and what is known of them."""
    ids, prompts = [np.empty(0, ID)], [np.empty(0, ID)]
    wanted = Task.objects.filter(queue__project=project).order_by()
    for batch in batches(wanted.values_list(*(Cast(name, TextField()) for name in ("id", "prompt_id")))):
        one, prompt = zip(*batch, strict=True)
        ids.append(as_raw(one))
        prompts.append(as_raw(prompt))
    at = places_in(np.concatenate(ids), tasks)
    prompt_ids, task_prompt = numbered(np.concatenate(prompts)[at])
    order = np.argsort(task_prompt, kind="stable")  # within a prompt, the tasks stay in order of their ids
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order), dtype=np.int32)
    split, words = read_prompts(project, prompt_ids)
    return place[task], {
        "tasks": tasks[order],
        "task_prompt": task_prompt[order],
        "prompts": prompt_ids,
        "prompt_split": split,
        "prompt_words": words,
    }


def read_prompts(project: Project, prompts: Raw) -> tuple[NDArray[np.int8], list[tuple[str, str, str]]]:
    ids, splits, words = [np.empty(0, ID)], [], []
    wanted = Prompt.objects.filter(project=project).order_by()
    for batch in batches(wanted.values_list(Cast("id", TextField()), "split", "language", "source", "licence")):
        one, split, *rest = zip(*batch, strict=True)
        ids.append(as_raw(one))
        splits += [ROW_SPLITS.index(each) for each in split]
        words += list(zip(*rest, strict=True))
    at = places_in(np.concatenate(ids), prompts).tolist()
    same: dict[tuple[str, str, str], tuple[str, str, str]] = {}
    return np.array([splits[one] for one in at], dtype=np.int8), [
        same.setdefault(words[one], words[one]) for one in at
    ]  # fmt: skip


# What curators put in place of what was said ------------------------------------------------------------


def fixed_answers(project: Project) -> dict[bytes, dict[str, Any]]:
    later = Review.objects.filter(judgment=OuterRef("judgment"), pk__gt=OuterRef("pk"))
    fixes = Review.objects.filter(~Exists(later), judgment__queue__project=project, fixed__isnull=False)
    return {pk.bytes: fixed for pk, fixed in fixes.values_list("judgment", "fixed") if fixed}


def adjudicated_answers(project: Project) -> dict[bytes, dict[str, Any]]:
    later = Adjudication.objects.filter(task=OuterRef("task"), pk__gt=OuterRef("pk"))
    settled = Adjudication.objects.filter(~Exists(later), task__queue__project=project, answer__isnull=False)
    return {pk.bytes: answer for pk, answer in settled.values_list("task", "answer") if answer}


def apply_fixes(votes: Votes, selection: Selection) -> None:
    """Let the fixed answers stand where the votes' own did, and look anew at what kept those out."""
    if not votes.fixed:
        return
    rows = np.flatnonzero(places_in(as_raw(one.hex() for one in votes.fixed), votes.judgment) >= 0)
    for row in rows.tolist():
        key = votes.judgment[row].tobytes()
        fixed = votes.fixed[key]
        if fixed.get("preference") is not None:
            votes.preference[row] = fixed["preference"]
        votes.has_content[row] = bool(fixed.get("content"))
        votes.flags.pop(key, None)
        votes.flagged[row] = bool(fixed.get("flags"))
        if fixed.get("flags"):
            votes.flags[key] = json.dumps(fixed["flags"])
        strength = abs(int(votes.preference[row]))
        if selection.verdict == "latest" and votes.reason[row] == 0 and strength <= PREFERENCE_LIMIT:
            votes.reason[row] = REASONS.index(selection.why_not(strength))


def judgments_by_id(votes: Votes, rows: Ints) -> dict[bytes, Any]:
    """Read the content of these votes' judgments, as it was said or as it was fixed. Raises TextsChanged."""
    ids = [one.tobytes() for one in votes.judgment[rows]]
    wanted = Judgment.objects.filter(pk__in=[one.hex() for one in ids]).order_by()
    found = {pk.bytes: content for pk, content in wanted.values_list("pk", "content")}
    if len(found) < len(set(ids)):
        raise TextsChanged
    return {one: votes.fixed[one].get("content") or {} if one in votes.fixed else found[one] for one in ids}
