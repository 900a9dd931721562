"""What the property tests throw at page and API: values that make no sense, and a witness that nothing has changed."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass, replace
from typing import Any

from django.db import models
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from feedback.answers import KEYS, check_answer
from feedback.claims import reclaim, skip
from feedback.models import (
    AnnotatorProfile,
    Assignment,
    Draft,
    Expertise,
    Gold,
    Guideline,
    GuidelineReading,
    Judgment,
    LabelSchema,
    Qualification,
    Queue,
    QueueMember,
    QueuePolicy,
    Review,
    Skip,
    Task,
    TaskResponse,
    Turn,
    User,
)
from tests.factories import (
    make_base_checkpoint,
    make_judgment,
    make_member,
    make_project,
    make_queue,
    make_response,
    make_task,
)

TABLES: tuple[type[models.Model], ...] = (
    AnnotatorProfile,
    Assignment,
    Draft,
    Expertise,
    Gold,
    Guideline,
    GuidelineReading,
    Judgment,
    LabelSchema,
    Qualification,
    Queue,
    QueueMember,
    QueuePolicy,
    Review,
    Skip,
    Task,
    TaskResponse,
    Turn,
)
KINDS = ("comparison", "ranking", "rating", "demonstration", "correction", "conversation")

ANSWERS: dict[str, dict[str, Any]] = {
    "comparison": {"preference": 2},
    "ranking": {"ranks": [2, 1, None], "not_rankable": [False, False, True]},
    "rating": {"ratings": [{"helpfulness": 4, "correctness": 2, "thumbs": 1}]},
    "demonstration": {"text": "What a person would answer."},
    "correction": {"text": "What it should have said."},
    "conversation": {},
}
"""A whole answer to a task of each kind, as `make_task` makes it."""


def bounded(examples: int) -> settings:
    """The same examples on every machine, few enough for every day."""
    return settings(
        max_examples=examples,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def rows() -> dict[str, list[dict[str, Any]]]:
    """Return every row of the tables that annotators and curators write."""
    return {table.__name__: list(table._default_manager.order_by("pk").values()) for table in TABLES}


def changes(before: dict[str, list[dict[str, Any]]]) -> dict[str, list[dict[str, Any]]]:
    """Return the rows that are not as they were, by table."""
    after = rows()
    return {
        name: [row for row in (*before[name], *after[name]) if row not in before[name] or row not in after[name]]
        for name in after
        if before[name] != after[name]
    }


# Values

TEXTS = st.one_of(
    st.text(max_size=20),
    st.sampled_from(
        [
            "", " ", "\x00", "NaN", "null", "-1", "1e309", "٣", "½", "²", "\u202e", "\ufffe", "a" * 20_001, "<script>",
            "00000000-0000-0000-0000-000000000000", "0" * 31, "' OR 1=1 --", "../..", "9" * 400, "x" * 11_000, "\r\n",
        ]
    ),
)  # fmt: skip
NUMBERS = st.one_of(
    st.integers(-10, 10),
    st.sampled_from([2**31, 2**63, -(2**63) - 1, 10**400, 1e308, -0.0, 0.5, 1e-320]),
    st.sampled_from([float("nan"), float("inf"), float("-inf")]),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, TEXTS, st.dates().map(datetime.date.isoformat))
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.one_of(st.sampled_from(["flag", "kind", "response", "text"]), TEXTS), inner, max_size=3),
    ),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, whole: Any) -> Any:
    """Return `whole` with one to three of its parts replaced, left out, doubled or added."""
    for _ in range(draw(st.integers(1, 3))):
        whole = draw(hurt(whole))
    return whole


@st.composite
def hurt(draw: st.DrawFn, part: Any) -> Any:
    if isinstance(part, dict) and part and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(part, key=str)))
        how = draw(st.integers(0, 4))
        if how == 0:
            return {name: value for name, value in part.items() if name != key}
        if how == 1:
            return {**part, draw(TEXTS): draw(VALUES)}
        return {**part, key: draw(hurt(part[key]))}
    if isinstance(part, list) and part and draw(st.integers(0, 3)):
        place = draw(st.integers(0, len(part) - 1))
        how = draw(st.integers(0, 3))
        if how == 0:
            return part[:place] + part[place + 1 :]
        if how == 1:
            return [*part, part[place]]
        return [*part[:place], draw(hurt(part[place])), *part[place + 1 :]]
    return draw(VALUES)


BODIES = st.sampled_from(
    [
        b"", b"{", b"[]", b'"text"', b"7", b"null", b"NaN", b"true", b"\xff\xfe", b"{}{}", b"--x\r\n",
        b"\x1f\x8b\x08\x00", b"[" * 50_000, b'{"a":' * 9_000, b'{"lease_token": ' + b"9" * 5_000 + b"}",
        rb'{"answer": "\ud800"}', rb'{"answer": {"text": "\udfff"}}', rb'{"rationale": "\u0000"}',
        b'{"answer": Infinity}', b'{"active_seconds": -Infinity}', b'{"active_seconds": 1e999}',
        b'{"answer": {}, "answer": {}}', b"answer=1&answer=2",
    ]
)  # fmt: skip
CONTENT_TYPES = st.sampled_from(
    [
        "application/json", "text/plain", "application/xml", "multipart/form-data", "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded", "application/json; charset=utf-16", "application/json; charset=nonsense",
        "", "*/*", "application/octet-stream",
    ]
)  # fmt: skip


def as_json(values: Any) -> bytes:
    """Write JSON with NaN and half characters in it, where there are any."""
    return json.dumps(values, default=str, ensure_ascii=True).encode()


# Situations


@dataclass
class Place:
    """A queue of one kind with a task in every state that a request can meet."""

    queue: Queue
    person: User
    other: User
    held: Assignment
    """The person's, under a live lease."""
    late: Assignment
    """Was the person's; the lease has run out and nobody has taken it."""
    taken: Assignment
    """Was the person's under `token_of_taken`; the other person has it now."""
    token_of_taken: Any
    foreign: Assignment
    """The other person's from the start."""
    judged: Judgment
    """The person's own."""
    others_judgment: Judgment
    skipped: Task
    elsewhere: Assignment
    """The other person's in a project in which the person has no role."""


TALKS = ("conversation",)


def have_talked(slot: Assignment) -> None:
    """Let the holder have said something and chosen one of two answers, so that the talk can be submitted."""
    if Turn.objects.filter(task=slot.task, annotator=slot.annotator).exists():
        return
    first, second = make_response(slot.task.prompt), make_response(slot.task.prompt)
    Turn.objects.create(
        task=slot.task,
        annotator=slot.annotator,
        number=1,
        prompt=slot.task.prompt,
        state=Turn.State.CHOSEN,
        policies=[],
        first=first,
        second=second,
        preference=-1,
        went_on_with=first,
    )


def make_place(kind: str, now: datetime.datetime) -> Place:
    """Make a queue of `kind` with tasks in every state, seen from one of its two annotators."""
    project, home = make_project(), make_project()
    person, other = make_member(project), make_member(project)
    make_member(home, user=other)
    schema = {"opening": "written", "policies": [str(make_base_checkpoint(project).pk)]} if kind in TALKS else {}
    queue = make_queue(project, kind=kind, schema=schema, lease_minutes=30, repeat_percent=0, random_percent=0)

    def leased(to: User, minutes: int, task: Task | None = None) -> Assignment:
        """A slot that was taken so many minutes ago."""
        slot = reclaim(task=task or make_task(queue), annotator=to, now=now - datetime.timedelta(minutes=minutes))
        if kind in TALKS:
            have_talked(slot)
        return Assignment.objects.with_task().get(pk=slot.pk)

    def judgment(by: User) -> Judgment:
        slot = leased(by, 120)
        return make_judgment(slot, answer=ANSWERS[kind], now=now - datetime.timedelta(minutes=110))

    judged, others_judgment = judgment(person), judgment(other)
    passed = leased(person, 50)
    skip(
        assignment_id=passed.pk,
        annotator=person,
        lease_token=passed.lease_token,
        reason=Skip.Reason.CANNOT_DECIDE,
        now=now - datetime.timedelta(minutes=49),
    )
    taken = leased(person, 90)
    return Place(
        queue=queue,
        person=person,
        other=other,
        held=leased(person, 1),
        late=leased(person, 40),
        taken=leased(other, 2, taken.task),
        token_of_taken=taken.lease_token,
        foreign=leased(other, 3),
        judged=judged,
        others_judgment=others_judgment,
        skipped=passed.task,
        elsewhere=leased(other, 1, make_task(make_queue(home, kind=kind))),
    )


def check_sound(place: Place) -> None:
    """What was accepted is an answer that the queue asks for."""
    for judgment in Judgment.objects.all():
        said, asks = judgment.shown_answer, judgment.schema.asks
        responses = len(judgment.display_order)
        sent = {name: value for name, value in said.as_sent(asks.kind).items() if name in KEYS[asks.kind]}
        again = check_answer(asks, responses, sent, rationale=said.rationale, flags=said.flags, whole=True)
        assert again == replace(said, content={name: said.content[name] for name in said.content if name in sent})
    assert Judgment.objects.filter(annotator=place.other).count() == 1
