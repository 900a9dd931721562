"""What a talk looks like to the person who holds it. Texts and numbers only, as in `label_parts`."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.utils.safestring import SafeString

from feedback.answers import ANSWERS
from feedback.conversations import MESSAGE_LENGTH_LIMIT
from feedback.markdown import render as render_markdown
from feedback.models import Assignment, Response, Task, User
from feedback.models import Turn as StoredTurn
from feedback.policies import policies
from feedback.schemas import Schema
from feedback.views.label_parts import (
    ShownResponse,
    Turn,
    asked_flags,
    preference_in_words,
    shown_responses,
    steps,
    turns_of,
)

WRITING, WAITING, CHOOSING, FAILED, OVER = "writing", "waiting", "choosing", "failed", "over"
STATES = {
    StoredTurn.State.WAITING: WAITING,
    StoredTurn.State.RUNNING: WAITING,
    StoredTurn.State.READY: CHOOSING,
    StoredTurn.State.FAILED: FAILED,
    StoredTurn.State.CHOSEN: WRITING,
}


@dataclass(frozen=True)
class Past:
    """A turn whose answer is chosen, or the words that wait for one (then without answers)."""

    number: int
    words: SafeString
    answer: SafeString | None = None
    other: SafeString | None = None
    choice: str = ""


@dataclass(frozen=True)
class Talk:
    state: str
    task_id: uuid.UUID
    number: int
    """Of the turn that is written, waited for or chosen."""
    topic: Sequence[Turn] = ()
    """What the queue gives a person to talk about; of a given opening, what comes before the first user turn."""
    past: Sequence[Past] = ()
    message: str = ""
    """Words that are not sent yet."""
    unsent: str = ""
    """Words that were not sent and for which there is no place now."""
    chosen: int = 0
    min_turns: int = 1
    max_turns: int = 1
    choosing_again: bool = False
    somebody_answers: bool = True
    message_limit: int = field(default=MESSAGE_LENGTH_LIMIT)

    @property
    def is_full(self) -> bool:
        return self.chosen >= self.max_turns

    @property
    def lacking(self) -> int:
        """How many more turns the queue asks for before the talk may be submitted."""
        return max(0, self.min_turns - self.chosen)

    @property
    def mark(self) -> str:
        return mark_of(self.number, self.state, self.somebody_answers)


def mark_of(number: int, state: str, somebody_answers: bool) -> str:
    """Return what changes when there is something new to see of a talk that waits."""
    return f"{number}-{state}-{int(somebody_answers)}"


def mark_now(*, task: Task, annotator: User, now: datetime) -> str:
    last = StoredTurn.objects.of_talk(task, annotator).values_list("number", "state").last()
    if last is None:
        return mark_of(1, WRITING, True)
    state = STATES[StoredTurn.State(last[1])]
    alive = state != WAITING or policies().somebody_answers(now)
    return mark_of(last[0] + (state == WRITING), state, alive)


def talk_context(
    *, slot: Assignment, annotator: User, entered: Mapping[str, Any], now: datetime, again: bool = False
) -> dict[str, Any]:
    """Return what the page of a conversation shows besides what every task does.

    `entered` is what the person has typed and not sent. With `again`, the last choice is shown to be made anew.
    """
    assert slot.schema is not None, "a held slot has its schema"
    schema = slot.schema.asks
    turns = stored_turns(slot.task, annotator)
    last = turns[-1] if turns else None
    state = STATES[StoredTurn.State(last.state)] if last else WRITING
    again = again and last is not None and last.state == StoredTurn.State.CHOSEN
    if again:
        state = CHOOSING
    chosen = [turn for turn in turns if turn.state == StoredTurn.State.CHOSEN]
    number = len(turns) + 1 if state == WRITING else len(turns)
    message, unsent = words_of(entered["answer"], turns, writing=state == WRITING, number=number)
    choosing = last if state == CHOOSING else None
    talk = Talk(
        state=state,
        task_id=slot.task_id,
        number=number,
        topic=topic_of(slot.task, schema),
        past=past_of(schema, turns, now_choosing=choosing),
        message=message,
        unsent=unsent,
        chosen=len(chosen),
        min_turns=schema.min_turns,
        max_turns=schema.max_turns,
        choosing_again=again,
        somebody_answers=state != WAITING or policies().somebody_answers(now),
    )
    if choosing is None:
        return {"talk": talk, "responses": [], "flags": asked_flags(schema, entered["flags"], 0)}
    return {"talk": talk, **choice_of(choosing, schema, entered)}


def choice_of(turn: StoredTurn, schema: Schema, entered: Mapping[str, Any]) -> dict[str, Any]:
    """Return the two answers, the scale and the flags of a turn; what was typed wins over what was chosen before.

    What the person has said of the talk as a whole is carried along (`of_whole`).
    """
    typed = entered["answer"]
    before = {"preference": turn.preference, "why": turn.rationale, "flags": turn.flags}
    said = typed if typed.get("turn") == turn.number else before
    return {
        "responses": shown_answers(turn, schema),
        "steps": steps(schema, said.get("preference")),
        "flags": asked_flags(schema, said.get("flags", ()), ANSWERS),
        "rationale": said.get("why", ""),
        "of_whole": {"rationale": entered["rationale"], "flags": asked_flags(schema, entered["flags"], 0)},
    }


def shown_answers(turn: StoredTurn, schema: Schema) -> list[ShownResponse]:
    return shown_responses([answer for answer in (turn.first, turn.second) if answer is not None], schema, {})


def words_of(answer: Mapping[str, Any], turns: Sequence[StoredTurn], *, writing: bool, number: int) -> tuple[str, str]:
    """Return the words for the box, and those for which there is none; words that are said already are neither."""
    words = str(answer.get("message") or "")
    if not words.strip():
        return "", ""
    is_said = answer.get("turn") != number and words.strip() in {turn.said for turn in turns}
    if is_said:
        return "", ""
    return (words, "") if writing else ("", words)


def stored_turns(task: Task, annotator: User) -> list[StoredTurn]:
    found = StoredTurn.objects.of_talk(task, annotator)
    return list(found.select_related("prompt", "first", "second", "went_on_with"))


def topic_of(task: Task, schema: Schema) -> list[Turn]:
    """Return what stands above the talk: all of the prompt, or of a given opening all but its last turn."""
    turns = turns_of(task)
    return turns[:-1] if schema.opening == "given" else turns


def past_of(schema: Schema, turns: Sequence[StoredTurn], *, now_choosing: StoredTurn | None) -> list[Past]:
    """Return the talk so far; the turn that is being chosen has words only."""
    return [
        past_turn(schema, turn)
        if turn.state == StoredTurn.State.CHOSEN and turn is not now_choosing
        else Past(turn.number, render_markdown(turn.said))
        for turn in turns
    ]


def past_turn(schema: Schema, turn: StoredTurn) -> Past:
    kept = turn.went_on_with
    other = turn.second if turn.went_on_with_id == turn.first_id else turn.first
    return Past(
        turn.number, render_markdown(turn.said), shown(kept), shown(other), preference_in_words(schema, turn.preference)
    )


def shown(response: Response | None) -> SafeString:
    return render_markdown(response.text if response is not None else "")


def finished_talk(*, task: Task, annotator: User, schema: Schema) -> dict[str, Any]:
    """Return a submitted talk for a page on which nothing of it can be changed."""
    turns = [turn for turn in stored_turns(task, annotator) if turn.state == StoredTurn.State.CHOSEN]
    talk = Talk(
        state=OVER,
        task_id=task.pk,
        number=len(turns),
        topic=topic_of(task, schema),
        past=past_of(schema, turns, now_choosing=None),
        chosen=len(turns),
        min_turns=schema.min_turns,
        max_turns=schema.max_turns,
    )
    return {"talk": talk}
