"""What people said elsewhere becomes tasks with filled slots and judgments, like those of people who label here.

Tasks have the same identity as in `feedback.filling`, so that a comparison that is there already gets one more
judgment, and one that was imported can be labeled on. A second judgment of one thing by one person becomes a repeat
(`Task.repeat_of`), as when the queue shows somebody their own task again. Where nobody is named, contradicting rows
are said by another voice of the dataset (`named_people.voice`).
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db.models import Max, Q

from feedback.answers import Answer, BadJudgment, check_answer
from feedback.contract import digest
from feedback.imports.cells import BadCell
from feedback.imports.drafts import Draft
from feedback.imports.inserting import Insert
from feedback.imports.named_people import add_people, known_people, voice
from feedback.imports.placing import KnownResponse, Placed
from feedback.models import Arm, Assignment, FileImport, Judgment, Queue, Task, TaskResponse
from feedback.models.people import new_id, new_timeless_id
from feedback.models.tasks import draw_key
from feedback.schemas import Schema, TaskKind

INTERFACE = "import"
VOICES_LIMIT = 20
"""How often a dataset that names nobody may contradict itself about one thing."""


NO_TASK = uuid.UUID(int=0)


@dataclass(slots=True)
class Said:
    """A judgment that is there, or will be."""

    answer: tuple[Any, ...]
    made_at: datetime | None
    file_import: uuid.UUID | None


@dataclass(slots=True)
class Vote:
    placed: Placed
    submission: uuid.UUID
    key: str
    order: list[int]
    """Place of each response of the file among the task's responses."""
    answer: Answer
    person: str = ""
    task: uuid.UUID = NO_TASK
    is_repeat: bool = False
    judgment: uuid.UUID = field(default_factory=new_id)


@dataclass
class Voting:
    """One batch: what the queue holds of it, and what it adds."""

    file_import: FileImport
    queue: Queue
    schema: Schema
    label: str
    """Of the dataset, where it names nobody."""
    order_known: bool
    also_ask: int
    """Open slots that every new task gets besides."""
    votes: list[Vote] = field(default_factory=list)
    refused: list[tuple[Draft, BadCell]] = field(default_factory=list)
    new_tasks: list[tuple[str, uuid.UUID, Placed, uuid.UUID | None]] = field(default_factory=list)
    """Key, id, whose draft, and what it repeats."""
    there: int = 0

    def work_out(self, placed: Sequence[Placed]) -> None:
        """Decide what becomes of each draft; reads, and writes nothing."""
        votes = []
        for one in placed:
            try:
                votes.append(self.vote_of(one))
            except BadCell as error:
                self.refused.append((one.draft, error))
        self.read(votes)
        for vote in votes:
            if vote.submission in self.submissions:
                self.there += 1
            elif self.take(vote):
                self.votes.append(vote)
            else:
                self.there += 1

    def vote_of(self, placed: Placed) -> Vote:
        draft = placed.draft
        in_order = sorted(placed.responses, key=lambda response: response.id)
        if len({response.id for response in in_order}) < len(in_order):
            raise BadCell("", "both responses are the same one; there is nothing to compare")
        order = [in_order.index(response) for response in placed.responses]
        answer = checked_answer(self.schema, draft, order)
        parts = [
            str(self.queue.pk),
            self.file_import.sha256,
            draft.row.file,
            str(draft.row.number),
            digest(said(answer)),
        ]
        return Vote(
            placed=placed,
            submission=uuid.uuid5(uuid.NAMESPACE_OID, "\n".join([*parts, draft.person])),
            key=task_key(placed.prompt.id, in_order),
            order=order,
            answer=answer,
            person=draft.person,
        )

    # What is there

    def read(self, votes: Sequence[Vote]) -> None:
        stored = Judgment.objects.filter(submission_id__in=[vote.submission for vote in votes])
        self.submissions = set(stored.values_list("submission_id", flat=True))
        keys = {vote.key for vote in votes}
        self.tasks = dict(Task.objects.filter(queue=self.queue, key__in=keys).values_list("key", "id"))
        roots = list(self.tasks.values())
        self.people = known_people(self.file_import.project, self.names_of(votes))
        names = {person: name for name, person in self.people.items()}
        columns = (
            "task_id", "task__repeat_of_id", "annotator_id", "preference", "content", "rationale", "created_at",
            "file_import_id",
        )  # fmt: skip
        about = Q(task__in=roots) | Q(task__repeat_of__in=roots)
        current = Judgment.objects.current().filter(about, annotator__in=list(names))
        self.said: dict[tuple[uuid.UUID, str], list[Said]] = {}
        for task, root, person, *answer, made_at, origin in current.values_list(*columns) if roots else ():
            self.said.setdefault((root or task, names[person]), []).append(Said(tuple(answer), made_at, origin))
        last = Assignment.objects.filter(task__in=roots, slot__isnull=False).values("task").annotate(last=Max("slot"))
        self.slots: dict[uuid.UUID, int] = {task: slot + 1 for task, slot in last.values_list("task", "last")}

    def names_of(self, votes: Sequence[Vote]) -> set[str]:
        named = {vote.person for vote in votes if vote.person}
        if any(not vote.person for vote in votes):
            named |= {voice(self.label, number) for number in range(1, VOICES_LIMIT + 1)}
        return named

    # What is new

    def take(self, vote: Vote) -> bool:
        """Find the task and the person of a vote; False where it was said before."""
        root = vote.task = self.task_of(vote)
        if not vote.person:
            free = self.free_voice(vote)
            if free is None:
                return False
            vote.person = free
        elif before := self.said.get((root, vote.person), []):
            if any(self.is_same(vote, one) for one in before):
                return False
            vote.key = digest(["imported repeat", str(root), vote.person, len(before)])
            vote.task, vote.is_repeat = self.task_of(vote, repeats=root), True
        mine = Said(said(vote.answer), vote.placed.draft.made_at, self.file_import.pk)
        self.said.setdefault((root, vote.person), []).append(mine)
        return True

    def free_voice(self, vote: Vote) -> str | None:
        """Return the first voice of the dataset that has not judged the task; None if one said just this."""
        for number in range(1, VOICES_LIMIT + 1):
            name = voice(self.label, number)
            before = self.said.get((vote.task, name), [])
            if any(one.answer == said(vote.answer) for one in before):
                return None
            if not before:
                return name
        return None

    def is_same(self, vote: Vote, other: Said) -> bool:
        """Tell whether a vote of a named person is one that is there: the same words at the same time.

        Where nobody knows the time, the same words in another file are; in this file they were said twice.
        """
        if other.answer != said(vote.answer):
            return False
        if vote.placed.draft.made_at is None:
            return other.file_import != self.file_import.pk
        return other.made_at == vote.placed.draft.made_at

    def task_of(self, vote: Vote, repeats: uuid.UUID | None = None) -> uuid.UUID:
        if vote.key not in self.tasks:
            self.tasks[vote.key] = new_id()
            self.new_tasks.append((vote.key, self.tasks[vote.key], vote.placed, repeats))
        return self.tasks[vote.key]

    def store(self, now: datetime) -> None:
        """Write tasks, slots and judgments; part of a transaction that has locked the project."""
        self.people |= add_people(self.file_import, [vote.person for vote in self.votes])
        Insert(Task, ("id", "queue", "prompt", "key", "repeat_of", "file_import", "created_at")).rows(
            (task, self.queue.pk, placed.prompt.id, key, root, self.file_import.pk, now)
            for key, task, placed, root in self.new_tasks
        )
        Insert(TaskResponse, ("task", "response", "place")).rows(
            (task, response.id, place)
            for _, task, placed, _ in self.new_tasks
            for place, response in enumerate(sorted(placed.responses, key=lambda one: one.id))
        )
        made = [(vote, new_timeless_id()) for vote in self.votes]
        Insert(Assignment, FILLED_SLOT).rows(self.filled_slot(vote, slot) for vote, slot in made)
        Insert(Judgment, JUDGMENT).rows(self.judgment_row(vote, slot) for vote, slot in made)
        if self.also_ask:
            Insert(Assignment, OPEN_SLOT).rows(self.open_slots(now))

    def with_words(self) -> list[Judgment]:
        """Return the new judgments in which somebody wrote something, as models that are not stored."""
        return [
            Judgment(id=vote.judgment, rationale=vote.answer.rationale, content=vote.answer.content)
            for vote in self.votes
            if vote.answer.rationale or "text" in vote.answer.content
        ]

    def next_slot(self, task: uuid.UUID) -> int:
        self.slots[task] = self.slots.get(task, 0) + 1
        return self.slots[task] - 1

    def made_at(self, vote: Vote) -> datetime:
        return vote.placed.draft.made_at or self.file_import.created_at

    def shown(self, vote: Vote) -> list[int]:
        """Return the display order, empty where nobody knows it."""
        return vote.order if self.order_known else []

    def filled_slot(self, vote: Vote, slot: uuid.UUID) -> tuple[Any, ...]:
        person, moment = self.people[vote.person], self.made_at(vote)
        number = None if vote.is_repeat else self.next_slot(vote.task)
        return (
            slot, vote.task, self.queue.pk, number, draw_key(), draw_key(), vote.placed.prompt.language,
            person if vote.is_repeat else None, Assignment.State.DONE, moment, person, uuid.uuid4(), moment, moment,
            self.shown(vote), self.queue.guideline_id, self.queue.policy_id, self.queue.schema_id, Arm.IMPORTED, 1.0,
        )  # fmt: skip

    def judgment_row(self, vote: Vote, slot: uuid.UUID) -> tuple[Any, ...]:
        return (
            vote.judgment, slot, vote.task, self.queue.pk, self.people[vote.person], vote.submission,
            vote.answer.preference, vote.answer.content, vote.answer.rationale, vote.placed.draft.seconds,
            self.shown(vote), self.queue.guideline_id, self.queue.policy_id, self.queue.schema_id, 1.0, Arm.IMPORTED,
            1.0, INTERFACE, draw_key(), self.file_import.pk, self.made_at(vote),
        )  # fmt: skip

    def open_slots(self, now: datetime) -> Iterator[tuple[Any, ...]]:
        for _, task, placed, root in self.new_tasks:
            order, by_chance = draw_key(), draw_key()
            for _ in range(0 if root else self.also_ask):
                number = self.next_slot(task)
                language = placed.prompt.language
                yield new_timeless_id(), task, self.queue.pk, number, order, by_chance, language, now


OPEN_SLOT = ("id", "task", "queue", "slot", "order_key", "random_key", "language", "opened_at")
FILLED_SLOT = (
    "id", "task", "queue", "slot", "order_key", "random_key", "language", "reserved_for", "state", "opened_at",
    "annotator", "lease_token", "leased_at", "lease_expires_at", "display_order", "guideline", "policy", "schema",
    "arm", "arm_propensity",
)  # fmt: skip
JUDGMENT = (
    "id", "assignment", "task", "queue", "annotator", "submission_id", "preference", "content", "rationale",
    "active_seconds", "display_order", "guideline", "policy", "schema", "propensity", "arm", "arm_propensity",
    "interface", "review_draw", "file_import", "created_at",
)  # fmt: skip


def said(answer: Answer) -> tuple[Any, ...]:
    return answer.preference, answer.content, answer.rationale


def task_key(prompt: uuid.UUID, responses: Sequence[KnownResponse]) -> str:
    """Return what `feedback.filling.enqueue_task` calls the task of these responses, which are in id order."""
    return digest([str(prompt), *(str(response.id) for response in responses)])


def checked_answer(schema: Schema, draft: Draft, order: Sequence[int]) -> Answer:
    """Return what a draft says, in response order, as the queue's schema takes it. Raises BadCell."""
    answer: dict[str, Any] = {}
    if schema.kind == TaskKind.COMPARISON:
        said_of_first = draft.preference or 0
        answer = {"preference": said_of_first if order[0] == 0 else -said_of_first}
    elif schema.kind == TaskKind.RANKING:
        ranks: list[int | None] = [None] * len(order)
        for place, rank in zip(order, draft.content["ranks"], strict=True):
            ranks[place] = rank
        answer = {"ranks": ranks, "not_rankable": [rank is None for rank in ranks]}
    elif schema.kind == TaskKind.RATING:
        rated = draft.content["rated"].items()
        answer = {"ratings": [{key: (1 if one else -1) if isinstance(one, bool) else one for key, one in rated}]}
    elif schema.kind == TaskKind.DEMONSTRATION:
        answer = {"text": draft.content["text"]}
    try:
        return check_answer(schema, len(order), answer, rationale=draft.rationale)
    except BadJudgment as error:
        raise BadCell(error.field, error.message) from error
