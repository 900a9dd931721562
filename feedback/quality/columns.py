"""A project's judgments as columns of numbers: what every figure of quality is computed from.

A million rows are read as raw tuples, never as model instances. Ids are 16 raw bytes; whatever repeats is an index
into a short list beside the column. Rows are in the order of time.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from django.db.models import QuerySet, TextField
from django.db.models.functions import Cast, Substr
from numpy.typing import NDArray

from feedback.contract import SPLITS
from feedback.models import Arm, Gold, Guideline, Judgment, Project, Prompt, Queue, Review, Task, User

if TYPE_CHECKING:
    from feedback.selection import Selection

ROWS_AT_ONCE = 20_000
NO_PREFERENCE = -128
"""In `Columns.preference`, of a judgment that is no comparison."""
ID = np.dtype("V16")
ARMS = tuple(Arm.values)

Ints = NDArray[np.integer[Any]]
Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]
Raw = NDArray[np.void]


@dataclass(frozen=True)
class Columns:
    """Current judgments, one row each; `without` and `only` narrow them. All columns of [judgments] unless said."""

    judgment: Raw
    task: Ints
    """Index into `tasks`."""
    annotator: Ints
    """Index into `people`."""
    queue: Ints
    """Index into `queues`."""
    guideline: Ints
    """Index into `guidelines`."""
    preference: NDArray[np.int8]
    """In response order, -3..+3; NO_PREFERENCE of other kinds than a comparison."""
    shown_swapped: NDArray[np.int8]
    """1 where the person saw the response at place 1 first, 0 where not, -1 where nobody knows or there are not two."""
    seconds: NDArray[np.float32]
    """Active seconds; nan where nobody measured them."""
    arm: NDArray[np.int8]
    """Index into ARMS."""
    at: NDArray[np.datetime64]
    """When it was made, in whole seconds."""
    simulated: Bools
    rejected: Bools
    """Its latest review rejects it."""
    # Which flags were raised: rows and flags as pairs
    flag_row: Ints
    flag_code: Ints
    """Index into `flags`."""
    # Of the tasks
    tasks: Raw
    task_prompt: Ints
    """[tasks], index into `prompts`."""
    task_gold: Bools
    """[tasks]"""
    task_repeats: Ints
    """[tasks], index into `tasks` of the one that it repeats, -2 where nobody judged that one, -1 of no repeat."""
    # Of the prompts
    prompts: Raw
    prompt_split: NDArray[np.int8]
    """[prompts], index into SPLITS."""
    prompt_language: Ints
    """[prompts], index into `languages`."""
    prompt_source: Ints
    """[prompts], index into `sources`."""
    tag_prompt: Ints
    """Which tags prompts have: prompts and tags as pairs."""
    tag_code: Ints
    """Index into `tags`."""
    # What the indices mean
    people: tuple[int, ...]
    """Primary keys of users."""
    for_many: Bools
    """[people]: not one person, but a dataset that names nobody."""
    queues: tuple[Queue, ...]
    guidelines: tuple[Guideline, ...]
    """Without their text."""
    flags: tuple[str, ...]
    languages: tuple[str, ...]
    sources: tuple[str, ...]
    tags: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.judgment)

    @cached_property
    def prompt(self) -> Ints:
        return self.task_prompt[self.task]

    @cached_property
    def gold(self) -> Bools:
        return self.task_gold[self.task]

    @cached_property
    def by_nobody(self) -> Bools:
        """By a dataset that names nobody: votes, but no one person's."""
        return self.for_many[self.annotator]

    @cached_property
    def repeat(self) -> Bools:
        """One person's second look at a task."""
        return self.task_repeats[self.task] != -1

    @cached_property
    def split(self) -> NDArray[np.int8]:
        return self.prompt_split[self.prompt]

    @cached_property
    def language(self) -> Ints:
        return self.prompt_language[self.prompt]

    @cached_property
    def source(self) -> Ints:
        return self.prompt_source[self.prompt]

    @cached_property
    def day(self) -> NDArray[np.datetime64]:
        return self.at.astype("datetime64[D]")

    @cached_property
    def kind_of_queue(self) -> tuple[str, ...]:
        return tuple(queue.kind for queue in self.queues)

    def of_kind(self, kind: str) -> Bools:
        """Rows of queues of that kind of task."""
        return np.array([each == kind for each in self.kind_of_queue], dtype=bool)[self.queue]

    def with_flag(self, flag: str) -> Bools:
        """Rows that raise `flag` on anything."""
        mask = np.zeros(len(self), dtype=bool)
        if flag in self.flags:
            mask[self.flag_row[self.flag_code == self.flags.index(flag)]] = True
        return mask

    def with_tag(self, tag: str) -> Bools:
        """Rows whose prompt has `tag`."""
        tagged = np.zeros(len(self.prompts), dtype=bool)
        if tag in self.tags:
            tagged[self.tag_prompt[self.tag_code == self.tags.index(tag)]] = True
        return tagged[self.prompt]

    def only(self, mask: Bools) -> Columns:
        """Return the rows of `mask` [judgments]; tasks, prompts and all lists stay as they are."""
        kept = np.flatnonzero(mask)
        new_row = np.full(len(self), -1, dtype=np.int64)
        new_row[kept] = np.arange(len(kept))
        raised = mask[self.flag_row]
        narrowed = {name: getattr(self, name)[kept] for name in PER_JUDGMENT}
        return replace(self, **narrowed, flag_row=new_row[self.flag_row[raised]], flag_code=self.flag_code[raised])


PER_JUDGMENT = tuple(field.name for field in fields(Columns))[
    : [field.name for field in fields(Columns)].index("flag_row")
]


def read_columns(
    *, project: Project, selection: Selection | None = None, queues: Iterable[Queue] | None = None
) -> Columns:
    """Read the project's current judgments that are not erased; with a `selection`, those that it would freeze."""
    judgments = Judgment.objects.current().in_project(project) if selection is None else selection.eligible(project)
    if queues is not None:
        judgments = judgments.filter(queue__in=[queue.pk for queue in queues])
    found = judgment_columns(judgments)
    task_ids, found["task"] = numbered(found["task"])
    known_queues = list(project.queues.all())
    known_guidelines = list(Guideline.objects.filter(queue__project=project).defer("text").order_by("id"))
    queue_ids = as_raw(queue.pk.hex for queue in known_queues)
    guideline_pks, found["guideline"] = np.unique(found["guideline"], return_inverse=True)
    guidelines = {guideline.pk: guideline for guideline in known_guidelines}
    people, found["annotator"] = np.unique(found["annotator"], return_inverse=True)
    found["queue"] = places_in(queue_ids, found["queue"])
    order = np.lexsort((*halves(found["judgment"]), found["at"].astype(np.int64)))
    raised: list[str] = found.pop("flags")
    flag_row, flag_code, flags = raised_flags([raised[row] for row in order.tolist()])
    rows = {name: column[order] for name, column in found.items()}
    return Columns(
        **rows,
        rejected=rejected_among(project, rows["judgment"]),
        flag_row=flag_row,
        flag_code=flag_code,
        flags=flags,
        people=tuple(people.tolist()),
        for_many=np.isin(people, [one.user_id for one in project.imported_people.filter(stands_for_many=True)]),
        queues=tuple(known_queues),
        guidelines=tuple(guidelines[pk] for pk in guideline_pks.tolist()),
        **task_columns(project, task_ids),
    )


def judgment_columns(judgments: QuerySet[Judgment]) -> dict[str, Any]:
    """Read the judgments' own columns in the database's order; task, queue, guideline and annotator still as ids."""
    wanted = judgments.order_by().values_list(
        *(Cast(name, TextField()) for name in ("id", "task_id", "queue_id")),
        *("annotator_id", "guideline_id", "preference", "active_seconds", "arm", "simulation_rule"),
        *(Substr(Cast("created_at", TextField()), 1, 19), Cast("display_order", TextField())),
        Cast("flags", TextField()),
    )
    arms = {arm: number for number, arm in enumerate(ARMS)}
    swapped = {"[0, 1]": 0, "[1, 0]": 1, "[0,1]": 0, "[1,0]": 1}
    parts: list[dict[str, Any]] = []
    flags: list[str] = []
    for batch in batches(wanted):
        ids, task, queue, who, guideline, preference, seconds, arm, rule, at, order, raised = zip(*batch, strict=True)
        flags += [text if len(text) > 2 else "" for text in raised]
        parts.append({
            "judgment": as_raw(ids),
            "task": as_raw(task),
            "queue": as_raw(queue),
            "annotator": np.array(who, dtype=np.int64),
            "guideline": np.array(guideline, dtype=np.int64),
            "preference": np.array([NO_PREFERENCE if one is None else one for one in preference], dtype=np.int8),
            "seconds": np.array(seconds, dtype=np.float32),  # None becomes nan
            "arm": np.array([arms[one] for one in arm], dtype=np.int8),
            "simulated": np.array([one != "" for one in rule], dtype=bool),
            "at": np.array(at, dtype="datetime64[s]"),
            "shown_swapped": np.array([swapped.get(one, -1) for one in order], dtype=np.int8),
        })  # fmt: skip
    parts.append(NOTHING)
    return {name: np.concatenate([part[name] for part in parts]) for name in NOTHING} | {"flags": flags}


NOTHING: dict[str, Any] = {
    "judgment": np.empty(0, ID),
    "task": np.empty(0, ID),
    "queue": np.empty(0, ID),
    "annotator": np.empty(0, np.int64),
    "guideline": np.empty(0, np.int64),
    "preference": np.empty(0, np.int8),
    "seconds": np.empty(0, np.float32),
    "arm": np.empty(0, np.int8),
    "simulated": np.empty(0, bool),
    "at": np.empty(0, "datetime64[s]"),
    "shown_swapped": np.empty(0, np.int8),
}


def task_columns(project: Project, tasks: Raw) -> dict[str, Any]:
    """Read what is known of the judged `tasks`, of those that they repeat, and of their prompts."""
    wanted = Task.objects.filter(queue__project=project).order_by()
    ids, prompts, originals = [], [], []
    for batch in batches(
        wanted.values_list(*(Cast(name, TextField()) for name in ("id", "prompt_id", "repeat_of_id")))
    ):
        one, prompt, of = zip(*batch, strict=True)
        ids.append(as_raw(one))
        prompts.append(as_raw(prompt))
        originals.append(as_raw(each or "0" * 32 for each in of))
    at = places_in(np.concatenate([np.empty(0, ID), *ids]), tasks)
    prompt_ids, task_prompt = numbered(np.concatenate([np.empty(0, ID), *prompts])[at])
    repeated = np.concatenate([np.empty(0, ID), *originals])[at]
    original = places_in(tasks, repeated)
    is_repeat = np.logical_or(*halves(repeated))
    golds = Gold.objects.filter(queue__project=project).order_by().values_list(Cast("task_id", TextField()), flat=True)
    return {
        "tasks": tasks,
        "task_prompt": task_prompt,
        "task_gold": places_in(as_raw(golds), tasks) >= 0,
        "task_repeats": np.where(is_repeat, np.where(original < 0, -2, original), -1),
        "prompts": prompt_ids,
        **prompt_columns(project, prompt_ids),
    }


def prompt_columns(project: Project, prompts: Raw) -> dict[str, Any]:
    known = Prompt.objects.filter(project=project).order_by()
    wanted = known.values_list(Cast("id", TextField()), "split", "language", "source", Cast("tags", TextField()))
    ids = [np.empty(0, ID)]
    splits: list[str] = []
    languages: list[str] = []
    sources: list[str] = []
    tags: list[str] = []
    for batch in batches(wanted):
        one, split, language, source, tag = zip(*batch, strict=True)
        ids.append(as_raw(one))
        splits += split
        languages += language
        sources += source
        tags += [text if len(text) > 2 else "" for text in tag]
    at = places_in(np.concatenate(ids), prompts).tolist()
    language_code, language_names = coded([languages[place] for place in at])
    source_code, source_names = coded([sources[place] for place in at])
    tag_prompt, tag_code, tag_names = listed([json.loads(tags[place]) if tags[place] else () for place in at])
    return {
        "prompt_split": np.array([SPLITS.index(splits[place]) for place in at], dtype=np.int8),
        "prompt_language": language_code,
        "languages": language_names,
        "prompt_source": source_code,
        "sources": source_names,
        "tag_prompt": tag_prompt,
        "tag_code": tag_code,
        "tags": tag_names,
    }


def rejected_among(project: Project, judgments: Raw) -> Bools:
    """Tell of each judgment whether its latest review rejects it."""
    reviews = Review.objects.filter(judgment__queue__project=project).order_by("id")
    latest = dict(reviews.values_list(Cast("judgment_id", TextField()), "accepted").iterator(ROWS_AT_ONCE))
    return places_in(as_raw(one for one, accepted in latest.items() if accepted is False), judgments) >= 0


def people_of(columns: Columns) -> list[User]:
    """Return the annotators in the order of `columns.people`."""
    found = User.objects.in_bulk(columns.people)
    return [found[pk] for pk in columns.people]


# Raw ids


def as_raw(texts: Iterable[str]) -> Raw:
    """Turn UUIDs, written in hexadecimal with or without dashes, into 16 bytes each."""
    return np.frombuffer(bytes.fromhex("".join(texts).replace("-", "")), dtype=ID)


def as_uuid(raw: np.void) -> uuid.UUID:
    return uuid.UUID(bytes=raw.tobytes())


def halves(raw: Raw) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the low and the high half of each id as numbers that sort as the ids do."""
    both = np.ascontiguousarray(raw).view(">u8").reshape(-1, 2)
    return both[:, 1].astype(np.uint64), both[:, 0].astype(np.uint64)


def numbered(raw: Raw) -> tuple[Raw, Ints]:
    """Return the distinct ids in order, and the index of each of `raw` among them."""
    low, high = halves(raw)
    order = np.lexsort((low, high))
    low, high = low[order], high[order]
    starts = np.ones(len(raw), dtype=bool)
    starts[1:] = (low[1:] != low[:-1]) | (high[1:] != high[:-1])
    index = np.empty(len(raw), dtype=np.int32)
    index[order] = np.cumsum(starts) - 1
    return raw[order[starts]], index


def places_in(known: Raw, wanted: Raw) -> Ints:
    """Return where each of `wanted` stands among the distinct `known`; -1 for none."""
    distinct, index = numbered(np.concatenate([known, wanted]))
    place = np.full(len(distinct), -1, dtype=np.int64)
    place[index[: len(known)]] = np.arange(len(known))
    return place[index[len(known) :]]


# Lists of words


def coded(words: Sequence[str]) -> tuple[Ints, tuple[str, ...]]:
    """Return an index for each word, and the distinct words in alphabetical order."""
    names = tuple(sorted(set(words)))
    number = {name: place for place, name in enumerate(names)}
    return np.array([number[word] for word in words], dtype=np.int32), names


def listed(lists: Sequence[Iterable[str]]) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Return (row, index) pairs of lists of words, and the distinct words."""
    pairs = [(row, str(word)) for row, words in enumerate(lists) for word in words]
    codes, names = coded([word for _, word in pairs])
    return np.array([row for row, _ in pairs], dtype=np.int64), codes, names


def raised_flags(texts: Sequence[str]) -> tuple[Ints, Ints, tuple[str, ...]]:
    """Return (row, index) pairs of the flags that judgments raise, each once a judgment, and the distinct flags."""
    return listed([{raised["flag"] for raised in json.loads(text)} if text else () for text in texts])


def batches(rows: QuerySet[Any]) -> Iterator[list[tuple[Any, ...]]]:
    """Yield the rows ROWS_AT_ONCE at a time, without keeping them."""
    batch: list[tuple[Any, ...]] = []
    for row in rows.iterator(ROWS_AT_ONCE):
        batch.append(row)
        if len(batch) == ROWS_AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch
