"""Read the texts of decided rows and turn them into tables, some thousand rows at a time.

Rows come by prompt, so that a text is read once for all the judgments about it, and the Parquet files keep it once.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
import pyarrow
import pyarrow.compute
from django.db.models import TextField
from django.db.models.functions import Cast
from numpy.typing import NDArray

from feedback.contract import COMPARED, ROW_SPLITS, Message
from feedback.models import LabelSchema, Project, Prompt, Response, TaskResponse, Turn, User
from feedback.quality.columns import NO_PREFERENCE, Bools, Ints, as_uuid
from feedback.schemas import Attribute, TaskKind
from feedback.selection import ADJUDICATED
from feedback.snapshot_columns import assistants, chats, dashed, flags_of, picked
from feedback.snapshot_files import COLUMNS, schema_of
from feedback.snapshot_rows import Said, TurnSaid, edit_rows, raised, rows_of
from feedback.snapshot_verdicts import RULES, Rows
from feedback.snapshot_votes import TextsChanged, Votes, judgments_by_id

ROWS_AT_ONCE = 4_000
Tables = dict[tuple[str, str], pyarrow.Table]


@dataclass
class Found:
    """What is seen on the way, for the manifest and the card."""

    compared: Counter[str] = field(default_factory=Counter)
    """Preferences by split that a person gave between two responses, all pairs of a ranking as one."""
    ties: Counter[str] = field(default_factory=Counter)
    """By split, rows of two responses that a person found equally good."""
    thumbs_up: Counter[str] = field(default_factory=Counter)
    """By split."""
    longer: int = 0
    """Comparisons whose better response is the longer one."""
    shorter: int = 0
    characters: Counter[str] = field(default_factory=Counter)
    """Of the better and of the worse responses of comparisons."""


@dataclass
class Texts:
    """The texts of a run of prompts."""

    messages: list[list[Message]]
    """By prompt, from the first one on."""
    texts: list[str]
    places: Ints
    """[tasks x most places], index into `texts`, -1 for none."""

    @cached_property
    def chats(self) -> pyarrow.Array:
        return chats(self.messages)

    @cached_property
    def array(self) -> pyarrow.Array:
        return pyarrow.array(self.texts, pyarrow.string())

    @cached_property
    def lengths(self) -> Ints:
        return pyarrow.compute.utf8_length(self.array).to_numpy(zero_copy_only=False)

    def of_task(self, task: int) -> list[str]:
        return [self.texts[one] for one in self.places[task].tolist() if one >= 0]


class Reading:
    """Turns rows into tables. `found` is whole once all of `tables` was read."""

    def __init__(self, project: Project, votes: Votes, rows: Rows, *, keeps_ties: bool) -> None:
        self.project, self.votes, self.rows, self.keeps_ties = project, votes, rows, keeps_ties
        self.found = Found()
        self.people: dict[int, str] = {
            person.pk: project.pseudonym(person)
            for person in User.objects.filter(pk__in=np.unique(votes.person[rows.votes]).tolist())
        }
        schemas = LabelSchema.objects.filter(queue__project=project).select_related("queue")
        self.attributes: dict[int, Sequence[Attribute]] = {one.pk: one.asks.attributes for one in schemas}
        self.kind = np.array([votes.kinds[one.queue] for one in votes.shared])

    def tables(self) -> Iterator[tuple[int, Tables]]:
        """Yield how many rows are read, and their tables by (table, split)."""
        for begin, end in self.pieces():
            yield end, self.piece(np.arange(begin, end))
            pyarrow.default_memory_pool().release_unused()  # or the pool keeps some 30 MB that nobody needs

    def pieces(self) -> Iterator[tuple[int, int]]:
        """Yield runs of about ROWS_AT_ONCE rows, cut where a task ends, and where a prompt ends if that is near."""
        task, begin = self.rows.task, 0
        prompt = self.votes.task_prompt[task]
        while begin < len(task):
            end = begin + ROWS_AT_ONCE
            if end >= len(task):
                end = len(task)
            else:
                start_of_prompt = int(np.searchsorted(prompt, prompt[end]))
                end = start_of_prompt if start_of_prompt > begin else int(np.searchsorted(task, task[end], "right"))
            yield begin, end
            begin = end

    def piece(self, which: Ints) -> Tables:
        """Return the tables of these rows, which follow each other."""
        votes, rows = self.votes, self.rows
        first_task, last_task = int(rows.task[which[0]]), int(rows.task[which[-1]])
        first_prompt, last_prompt = int(votes.task_prompt[first_task]), int(votes.task_prompt[last_task])
        texts = self.read(first_task, last_task, first_prompt, last_prompt)
        task, prompt = rows.task[which] - first_task, votes.task_prompt[rows.task[which]] - first_prompt
        made: dict[tuple[str, str], list[pyarrow.Table]] = defaultdict(list)
        is_tie = rows.preference[which] == 0
        is_pair = (rows.preference[which] != NO_PREFERENCE) & ~is_tie
        for number, split in enumerate(ROW_SPLITS):
            at = np.flatnonzero(is_pair & (rows.split[which] == number))
            if len(at):
                made["preference", split].append(self.pairs(which[at], task[at], prompt[at], texts, split))
            at = np.flatnonzero(is_tie & (rows.split[which] == number))
            if len(at):
                made["ranking", split].append(self.ties(which[at], task[at], prompt[at], texts, split))
        for key, table in self.others(which, task, prompt, texts):
            made[key].append(table)
        return {key: pyarrow.concat_tables(parts) for key, parts in made.items()}

    # Comparisons, as columns ----------------------------------------------------------------------------

    def pairs(self, which: Ints, task: Ints, prompt: Ints, texts: Texts, split: str) -> pyarrow.Table:
        """Return the preference rows of comparisons."""
        second_wins = self.rows.preference[which] > 0
        first, second = texts.places[task, 0], texts.places[task, 1]
        better, worse = np.where(second_wins, second, first), np.where(second_wins, first, second)
        long, short = texts.lengths[better], texts.lengths[worse]
        self.found.longer += int((long > short).sum())
        self.found.shorter += int((long < short).sum())
        self.found.characters.update(chosen=int(long.sum()), rejected=int(short.sum()))
        self.found.compared[split] += len(which)
        shared = self.provenance(which)
        several = pyarrow.compute.is_null(shared["judgment_id"])
        group = pyarrow.compute.if_else(several, shared["task_id"], shared["judgment_id"])
        columns = {
            "prompt": texts.chats.take(picked(prompt)),
            "chosen": assistants(texts.array.take(picked(better))),
            "rejected": assistants(texts.array.take(picked(worse))),
            "margin": pyarrow.array(self.rows.margin[which]),
            "origin": pyarrow.repeat("comparison", len(which)),
            "group": group,
            **shared,
            "flags": self.raised_on(which, second_wins),
        }
        return pyarrow.table(columns, schema=schema_of("preference"))

    def ties(self, which: Ints, task: Ints, prompt: Ints, texts: Texts, split: str) -> pyarrow.Table:
        """Return the ranking rows of comparisons that were tied: two responses on one rank."""
        self.found.ties[split] += len(which)
        offsets = pyarrow.array(np.arange(0, 2 * len(which) + 1, 2, dtype=np.int32))

        def of_both(values: pyarrow.Array) -> pyarrow.Array:
            return pyarrow.ListArray.from_arrays(offsets, values)

        columns = {
            "prompt": texts.chats.take(picked(prompt)),
            "responses": of_both(assistants(texts.array.take(picked(texts.places[task, :2].ravel())))),
            "ranks": of_both(pyarrow.array(np.ones(2 * len(which), dtype=np.int64))),
            "not_rankable": of_both(pyarrow.array(np.zeros(2 * len(which), dtype=bool))),
            **self.provenance(which),
            "flags": self.raised_on(which, np.zeros(len(which), dtype=bool)),
        }
        return pyarrow.table(columns, schema=schema_of("ranking"))

    def raised_on(self, which: Ints, second_first: Bools) -> pyarrow.Array:
        """Return the flags on the two responses of comparisons; `second_first` tells whose second one the row names
        first."""
        flags: list[list[dict[str, Any]]] = [[] for _ in which]
        for row in np.flatnonzero(self.is_flagged(which)).tolist():
            flags[row] = raised(self.flags(int(which[row])), (1, 0) if second_first[row] else (0, 1))
        return flags_of(flags)

    # All other rows, one by one -------------------------------------------------------------------------

    def others(
        self, which: Ints, task: Ints, prompt: Ints, texts: Texts
    ) -> Iterator[tuple[tuple[str, str], pyarrow.Table]]:
        """Yield the tables of other kinds of task, and of what the edits of comparisons add."""
        rows, votes = self.rows, self.votes
        counts = rows.start[which + 1] - rows.start[which]
        of_row = np.repeat(np.arange(len(which)), counts)
        voters = rows.votes[rows.start[which[0]] : rows.start[which[-1] + 1]]
        wanted = votes.has_content[voters] | (rows.preference[which] == NO_PREFERENCE)[of_row]
        if not wanted.any():
            return
        content = judgments_by_id(votes, voters[wanted])
        turns = self.turns(which)
        found: dict[tuple[str, str], list[tuple[int, Any]]] = defaultdict(list)
        for row in np.unique(of_row[wanted]).tolist():
            split = ROW_SPLITS[int(rows.split[which[row]])]
            grouped = set()
            for made in self.rows_of(int(which[row]), int(task[row]), int(prompt[row]), texts, content, turns):
                found[made.table, split].append((row, made))
                self.found.thumbs_up[split] += made.table == "unpaired" and made.columns["label"]
                self.found.ties[split] += made.table == "ranking" and made.columns["ranks"] == [1, 1]
                if made.table == "preference" and made.columns["origin"] in COMPARED:
                    grouped.add(made.columns["group"])
            self.found.compared[split] += len(grouped)
        for (table, split), made in found.items():
            shared = self.provenance(which[[row for row, _ in made]])
            own = pyarrow.Table.from_pylist([one.columns for _, one in made], schema=pyarrow.schema(COLUMNS[table]))
            columns = {**{name: own[name] for name in COLUMNS[table]}, **shared}
            columns["flags"] = flags_of([one.flags for _, one in made])
            yield (table, split), pyarrow.table(columns, schema=schema_of(table))

    def rows_of(
        self, row: int, task: int, prompt: int, texts: Texts, content: Mapping[bytes, Any], turns: dict[str, Any]
    ) -> Iterator[Any]:
        votes, rows = self.votes, self.rows
        voters = rows.votes[rows.start[row] : rows.start[row + 1]].tolist()
        shared = votes.shared[votes.circumstances[voters[0]]]
        kind = votes.kinds[shared.queue]
        task_key = votes.tasks[rows.task[row]].tobytes()
        group = str(as_uuid(votes.judgment[voters[0]])) if len(voters) == 1 else str(UUID(bytes=task_key))
        base = Said(
            kind, group, None, {}, self.flags(row), texts.messages[prompt],
            texts.of_task(task), self.attributes[shared.schema], turns.get(group, ()), self.keeps_ties,
        )  # fmt: skip
        if RULES[rows.rule[row]] == ADJUDICATED:
            answer = votes.adjudicated[task_key]
            whole = Said(**{**vars(base), "content": answer.get("content") or {}, "preference": answer["preference"]})
            if kind != TaskKind.COMPARISON:
                yield from rows_of(whole)
            elif whole.preference:
                yield from edit_rows(whole)
            return
        for voter in voters:
            said = content.get(votes.judgment[voter].tobytes()) or {}
            if kind != TaskKind.COMPARISON:
                yield from rows_of(Said(**{**vars(base), "content": said}))
            elif said.get("edited") and int(votes.preference[voter]) * int(rows.preference[row]) > 0:
                preference = int(votes.preference[voter])
                yield from edit_rows(Said(**{**vars(base), "content": said, "preference": preference}))

    def is_flagged(self, which: Ints) -> Bools:
        """Tell which rows may have flags: a voter raised one, or a curator adjudicated."""
        start = self.rows.start[which]
        counts = self.rows.start[which + 1] - start
        offsets = np.cumsum(counts) - counts
        at = self.rows.votes[np.repeat(start - offsets, counts) + np.arange(counts.sum())]
        return np.logical_or.reduceat(self.votes.flagged[at], offsets) | (
            self.rows.rule[which] == RULES.index(ADJUDICATED)
        )

    def flags(self, row: int) -> list[dict[str, Any]]:
        """Return what the row's voters marked as wrong, or whoever adjudicated it, each thing once."""
        votes, rows = self.votes, self.rows
        if RULES[rows.rule[row]] == ADJUDICATED:
            return list(votes.adjudicated[votes.tasks[rows.task[row]].tobytes()].get("flags") or [])
        found: dict[str, dict[str, Any]] = {}
        for voter in rows.votes[rows.start[row] : rows.start[row + 1]].tolist():
            text = votes.flags.get(votes.judgment[voter].tobytes())
            for one in json.loads(text) if text else ():
                found.setdefault(json.dumps(one, sort_keys=True), one)
        return list(found.values())

    def provenance(self, which: Ints) -> dict[str, pyarrow.Array]:
        """Return the columns that every table has, but for `flags`."""
        votes, rows = self.votes, self.rows
        start, counts = rows.start[which], rows.start[which + 1] - rows.start[which]
        offsets = np.append(0, np.cumsum(counts)).astype(np.int32)
        at = rows.votes[np.repeat(start - offsets[:-1], counts) + np.arange(offsets[-1])]
        first, single = rows.votes[start], counts == 1
        ids, people = dashed(votes.judgment[at]), self.names(votes.person[at])
        own, prompt = votes.circumstances[first], votes.task_prompt[rows.task[which]]
        alike = np.minimum.reduceat(votes.circumstances[at], offsets[:-1]) == np.maximum.reduceat(
            votes.circumstances[at], offsets[:-1]
        )
        shared = [votes.shared[one] for one in own.tolist()]
        words = [votes.prompt_words[one] for one in prompt.tolist()]
        fixed = [one.tobytes() in votes.fixed for one in votes.judgment[at]] if votes.fixed else []
        simulated = np.array([one.simulated for one in votes.shared])[votes.circumstances[at]]
        nobody = pyarrow.scalar(None, pyarrow.string())
        only = pyarrow.array(single)
        heads = picked(offsets[:-1])
        return {
            "judgment_id": pyarrow.compute.if_else(only, ids.take(heads), nobody),
            "task_id": dashed(votes.tasks[rows.task[which]]),
            "prompt_id": dashed(votes.prompts[prompt]),
            "queue_id": pyarrow.array([one.queue for one in shared], pyarrow.string()),
            "task_kind": pyarrow.array(self.kind[own].tolist(), pyarrow.string()),
            "annotator": pyarrow.compute.if_else(only, people.take(heads), nobody),
            "judgments": pyarrow.ListArray.from_arrays(pyarrow.array(offsets), ids),
            "annotators": pyarrow.ListArray.from_arrays(pyarrow.array(offsets), people),
            "verdict": pyarrow.array([RULES[one] for one in rows.rule[which].tolist()], pyarrow.string()),
            "posterior": pyarrow.array(rows.posterior[which], from_pandas=True),
            "weight": pyarrow.array(rows.weight[which]),
            "fixed": pyarrow.array(
                np.logical_or.reduceat(fixed, offsets[:-1]) if fixed else np.zeros(len(which), dtype=bool)
            ),
            "simulated": pyarrow.array(np.logical_or.reduceat(simulated, offsets[:-1])),
            "propensity": pyarrow.array([one.propensity for one in shared], pyarrow.float64()),
            "arm": pyarrow.array([one.arm if same else "" for one, same in zip(shared, alike.tolist(), strict=True)]),
            "arm_propensity": pyarrow.array(
                [one.arm_propensity if same else None for one, same in zip(shared, alike.tolist(), strict=True)],
                pyarrow.float64(),
            ),
            "language": pyarrow.array([one[0] for one in words], pyarrow.string()),
            "source": pyarrow.array([one[1] for one in words], pyarrow.string()),
            "licence": pyarrow.array([one[2] for one in words], pyarrow.string()),
        }

    def names(self, people: Ints) -> pyarrow.Array:
        known, at = np.unique(people, return_inverse=True)
        return pyarrow.array([self.people[one] for one in known.tolist()], pyarrow.string()).take(picked(at))

    # From the database ----------------------------------------------------------------------------------

    def read(self, first_task: int, last_task: int, first_prompt: int, last_prompt: int) -> Texts:
        """Read the texts of these tasks, and of nothing that lies between them by chance."""
        votes = self.votes
        low, high = as_uuid(votes.prompts[first_prompt]), as_uuid(votes.prompts[last_prompt])
        number = {
            votes.prompts[one].tobytes().hex(): one - first_prompt for one in range(first_prompt, last_prompt + 1)
        }
        messages: list[Any] = [None] * len(number)
        prompts = Prompt.objects.filter(pk__gte=low, pk__lte=high).order_by()
        for pk, text in prompts.values_list(Cast("id", TextField()), Cast("messages", TextField())):
            if (place := number.get(pk.replace("-", ""))) is not None:
                messages[place] = json.loads(text)
        texts: list[str] = []
        known: dict[str, int] = {}
        responses = Response.objects.filter(prompt__gte=low, prompt__lte=high).order_by()
        for pk, text in responses.values_list(Cast("id", TextField()), "text"):
            known[pk] = len(texts)
            texts.append(text)
        tasks = places_of(votes.tasks[first_task : last_task + 1])
        places = np.full((len(tasks), 2), -1, dtype=np.int64)
        links = TaskResponse.objects.filter(task__prompt__gte=low, task__prompt__lte=high).order_by()
        for task, response, place in links.values_list(
            *(Cast(name, TextField()) for name in ("task_id", "response_id")), "place"
        ):
            row = tasks.get(task.replace("-", ""))
            if row is not None:
                if place >= places.shape[1]:
                    more = np.full((len(tasks), place + 1 - places.shape[1]), -1, dtype=np.int64)
                    places = np.concatenate([places, more], axis=1)
                if response not in known:
                    text = Response.objects.filter(pk=UUID(response)).values_list("text", flat=True).first()
                    if text is None:
                        raise TextsChanged
                    known[response] = len(texts)
                    texts.append(text)
                places[row, place] = known[response]
        return Texts(messages, texts, places)

    def turns(self, which: Ints) -> dict[str, list[TurnSaid]]:
        """Read the turns of talks, by the judgment that they are in."""
        votes, rows = self.votes, self.rows
        first = rows.votes[rows.start[which]]
        talks = np.flatnonzero(self.kind[votes.circumstances[first]] == TaskKind.CONVERSATION)
        if not len(talks):
            return {}
        wanted = [as_uuid(votes.tasks[one]) for one in np.unique(rows.task[which[talks]])]
        by_task: dict[tuple[UUID, int], list[TurnSaid]] = defaultdict(list)
        turns = Turn.objects.filter(task__in=wanted).select_related("prompt", "first", "second", "went_on_with")
        for turn in turns:
            said = TurnSaid(
                id=str(turn.pk),
                messages=turn.prompt.messages,
                first=turn.first.text if turn.first else None,
                second=turn.second.text if turn.second else None,
                went_on_with=turn.went_on_with.text if turn.went_on_with else None,
                preference=turn.preference,
                flags=turn.flags,
            )
            by_task[turn.task_id, turn.annotator_id].append(said)
        return {
            str(as_uuid(votes.judgment[one])): by_task[as_uuid(votes.tasks[votes.task[one]]), int(votes.person[one])]
            for one in first[talks].tolist()
        }


def places_of(ids: NDArray[np.void]) -> dict[str, int]:
    """Return where each id, in hexadecimal, stands."""
    return {one.hex(): place for place, one in enumerate(ids.tolist())}
