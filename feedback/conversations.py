"""Hold a live talk over a task: say something, choose between two blind answers, go on from the chosen one.

One person's talk over one task is a row of turns, numbered from 1. A turn begins with the person's words (or, where the
queue gives the opening, with the task's prompt), waits for a worker that writes two answers (`feedback.answering`), and
is chosen by the person; only then comes the next. What is said is stored before anything else happens, under the number
of its turn, so that the same words sent twice are one turn.

A choice may be changed until the next turn begins or the talk is submitted. The submitted judgment lists the turns that
make up the talk, and these never change again: a revision changes what was said of the talk as a whole.

The prompt of a turn is the talk so far. It takes split and cluster of the task's prompt, so that a whole talk is on
one side of the wall between training and evaluation, and it is no prompt of the pool (`Prompt.objects.pool`): nobody
samples it, puts it into a queue, or trains a policy on it by PPO.
"""

from __future__ import annotations

import random
import secrets
import uuid
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from feedback.answers import (
    ANSWERS,
    RATIONALE_LENGTH_LIMIT,
    BadJudgment,
    checked_flags,
    checked_preference,
    checked_text,
    draw_order,
)
from feedback.claims import LeaseLost, held_by_token, lease_lost
from feedback.contract import BadMessages, check_messages, digest
from feedback.lease_tokens import was_given_out
from feedback.models import Assignment, Draft, Judgment, Prompt, Queue, Response, Task, Turn, User
from feedback.schemas import Schema, TaskKind

MESSAGE_LENGTH_LIMIT = 10_000
"""Characters of what a person says in one turn."""
CUT_SHORT = "The talk was submitted before an answer came."


class TurnConflict(Exception):
    """The talk is not where the person thinks it is; `code` says how: not_next, turn_taken, not_chosen, talk_full,
    empty_answer, not_ready, moved_on."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


# What the person says ---------------------------------------------------------------------------------


def open_talk(*, slot: Assignment, now: datetime) -> None:
    """Let the talk over a held slot begin with the task's prompt, where the queue gives the opening; once."""
    schema = schema_of(slot)
    if schema.kind != TaskKind.CONVERSATION or schema.opening != "given":
        return
    assert slot.annotator is not None, "a held slot has its holder"
    if not Turn.objects.of_talk(slot.task, slot.annotator).exists():
        begin_turn(slot=slot, annotator=slot.annotator, number=1, prompt=slot.task.prompt, now=now)


def say(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    number: int,
    text: str,
    active_seconds: float | None = None,
    now: datetime,
) -> Turn:
    """Store what the person says as turn `number`, to be answered by a worker.

    The same words under the same number again return the stored turn. When the lease is lost, the words are kept as a
    draft before LeaseLost is raised. Raises LeaseLost, BadJudgment, TurnConflict.
    """
    words = checked_words(text)
    try:
        return store_words(
            assignment_id=assignment_id,
            annotator=annotator,
            lease_token=lease_token,
            number=number,
            words=words,
            active_seconds=active_seconds,
            now=now,
        )
    except LeaseLost:
        keep_words(
            assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, number=number, words=words
        )
        raise


@transaction.atomic
def store_words(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    number: int,
    words: str,
    active_seconds: float | None,
    now: datetime,
) -> Turn:
    slot = talking_slot(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    schema = schema_of(slot)
    turns = list(Turn.objects.of_talk(slot.task, annotator).select_related("prompt", "went_on_with"))
    if 1 <= number <= len(turns):
        before = turns[number - 1]
        if before.said == words:
            return before
        raise TurnConflict("turn_taken", f"turn {number} is there already and says something else")
    check_may_say(schema, turns, number)
    prompt = prompt_of_turn(task=slot.task, turns=turns, words=words, annotator=annotator)
    turn = begin_turn(slot=slot, annotator=annotator, number=number, prompt=prompt, now=now)
    note_progress(slot=slot, active_seconds=active_seconds, now=now, sent=("message",))
    return turn


def check_may_say(schema: Schema, turns: Sequence[Turn], number: int) -> None:
    """Raise TurnConflict unless the person may begin turn `number` now."""
    if number != len(turns) + 1:
        raise TurnConflict("not_next", f"the next turn of this talk is {len(turns) + 1}, not {number}")
    if not turns and schema.opening == "given":
        raise TurnConflict("not_chosen", "the prompt opens this talk; choose one of its two answers first")
    if turns and turns[-1].state != Turn.State.CHOSEN:
        if turns[-1].state == Turn.State.READY:
            raise TurnConflict("not_chosen", "choose one of the two answers first")
        raise TurnConflict("not_chosen", "what you said before has no answers yet")
    if len(turns) >= schema.max_turns:
        raise TurnConflict("talk_full", f"this queue's talks have at most {schema.max_turns} turns; submit this one")
    if turns and not went_on_with(turns[-1]).text.strip():
        raise TurnConflict("empty_answer", "the answer that you chose is empty; choose the other one, or submit")


def checked_words(text: object) -> str:
    words = checked_text(text, "text", MESSAGE_LENGTH_LIMIT).strip()
    if not words:
        raise BadJudgment("text", "write something first")
    return words


def prompt_of_turn(*, task: Task, turns: Sequence[Turn], words: str, annotator: User) -> Prompt:
    """Return the talk so far with the person's words at its end, stored once per project. Raises BadJudgment."""
    if turns:
        last = turns[-1]
        so_far = [*last.prompt.messages, {"role": "assistant", "content": went_on_with(last).text}]
    else:
        so_far = [message for message in task.prompt.messages if message["role"] == "system"]
    try:
        messages = check_messages([*so_far, {"role": "user", "content": words}])
    except BadMessages as error:
        raise BadJudgment("text", f"this cannot be said here: {error}") from error
    prompt, _ = Prompt.objects.get_or_create(
        project_id=task.prompt.project_id,
        digest=digest(messages),
        defaults={
            "messages": messages,
            "cluster": task.prompt.cluster,
            "split": task.prompt.split,
            "source": "conversation",
            "licence": task.prompt.licence,
            "language": task.prompt.language,
            "of_talk": True,
            "created_by": annotator,
        },
    )
    return prompt


def begin_turn(*, slot: Assignment, annotator: User, number: int, prompt: Prompt, now: datetime) -> Turn:
    """Store a turn that waits for its answers; which checkpoint answers first is drawn here."""
    turn = Turn(task=slot.task, annotator=annotator, number=number, prompt=prompt)
    policies, sampling = drawn(turn, schema_of(slot), slot.task.queue)
    stored, _ = Turn.objects.get_or_create(
        task=slot.task,
        annotator=annotator,
        number=number,
        defaults={"id": turn.pk, "prompt": prompt, "policies": policies, "sampling": sampling, "created_at": now},
    )
    return stored


def drawn(turn: Turn, schema: Schema, queue: Queue) -> tuple[list[str], dict[str, Any]]:
    """Return who writes the first and the second answer, and how: the order from a secret salt, the seeds anew."""
    policies = list(schema.policies) * (ANSWERS if len(schema.policies) == 1 else 1)
    order = draw_order(salt=queue.project.salt, task=str(turn.pk), annotator=turn.annotator_id, responses=len(policies))
    return [policies[place] for place in order], {
        "temperature": float(schema.temperature),
        "top_p": 1.0,
        "max_new_tokens": schema.max_new_tokens,
        "seeds": [secrets.randbelow(2**31) for _ in range(ANSWERS)],
    }


# What the person chooses --------------------------------------------------------------------------------


@transaction.atomic
def choose(
    *,
    assignment_id: uuid.UUID,
    annotator: User,
    lease_token: uuid.UUID,
    number: int,
    preference: object,
    rationale: str = "",
    flags: Sequence[Any] = (),
    active_seconds: float | None = None,
    now: datetime,
) -> Turn:
    """Store which answer of turn `number` is better, in the order shown; the talk goes on from it.

    A tie goes on from one that the server draws, the same for the same turn. The same choice again changes nothing;
    another one replaces it until the next turn begins. A reason is never required here, but with the talk as a whole.
    Raises LeaseLost, BadJudgment, TurnConflict.
    """
    slot = talking_slot(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    schema = schema_of(slot)
    turn = turn_of(slot, annotator, number)
    step = checked_preference(schema, preference, whole=True)
    reason = checked_text(rationale, "rationale", RATIONALE_LENGTH_LIMIT).strip()
    if reason and schema.rationale == "off":
        raise BadJudgment("rationale", "this queue does not ask for a reason")
    raised = checked_flags(schema, ANSWERS, flags)
    if (turn.state, turn.preference, turn.rationale, turn.flags) == (Turn.State.CHOSEN, step, reason, raised):
        return turn
    if turn.state not in (Turn.State.READY, Turn.State.CHOSEN):
        raise TurnConflict("not_ready", f"the answers of turn {number} are not there yet")
    if Turn.objects.filter(task=slot.task, annotator=annotator, number__gt=number).exists():
        raise TurnConflict("moved_on", f"you have gone on from your choice in turn {number}; it stands")
    Turn.objects.filter(pk=turn.pk).update(
        state=Turn.State.CHOSEN,
        preference=step,
        rationale=reason,
        flags=raised,
        went_on_with=better_of(turn, step or 0, slot.task.queue.project.salt),
        chosen_at=now,
    )
    note_progress(slot=slot, active_seconds=active_seconds, now=now, sent=("preference", "why", "flags"))
    turn.refresh_from_db()
    return turn


def better_of(turn: Turn, preference: int, salt: str) -> Response:
    """Return the answer that the talk goes on from; of a tie, one drawn among those that say something."""
    assert turn.first is not None, "a turn that is chosen has its answers"
    assert turn.second is not None, "a turn that is chosen has its answers"
    if preference:
        return turn.first if preference < 0 else turn.second
    speaking = [each for each in (turn.first, turn.second) if each.text.strip()]
    return random.Random(f"{salt}:tie:{turn.pk}").choice(speaking or [turn.first, turn.second])


@transaction.atomic
def retry(*, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, number: int, now: datetime) -> Turn:
    """Ask once more for the answers that could not be had; a turn that has not failed stays as it is.

    Checkpoints and sampling are drawn anew from the label schema in force: its curator may have mended what was wrong.
    Raises LeaseLost, BadJudgment.
    """
    slot = talking_slot(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    turn = turn_of(slot, annotator, number)
    queue = Queue.objects.in_force().get(pk=slot.queue_id)
    assert queue.schema is not None, "an open queue has its label schema"
    queue.schema.queue = queue
    policies, sampling = drawn(turn, queue.schema.asks, queue)
    Turn.objects.filter(pk=turn.pk, state=Turn.State.FAILED).update(
        state=Turn.State.WAITING, failures=0, error="", policies=policies, sampling=sampling
    )
    turn.refresh_from_db()
    return turn


# The end ------------------------------------------------------------------------------------------------


def end_talk(*, task: Task, annotator: User, schema: Schema) -> dict[str, Any]:
    """Return what a judgment of the talk holds: {"turns": ids of the chosen turns, in order}. Raises BadJudgment.

    Called in the transaction that submits. Words that nobody has answered by then stay stored, but are no part of it.
    """
    turns = list(Turn.objects.of_talk(task, annotator))
    chosen = [str(turn.pk) for turn in turns if turn.state == Turn.State.CHOSEN]
    if any(turn.state == Turn.State.READY for turn in turns):
        raise BadJudgment("turns", "two answers are there; choose one of them before you submit")
    if len(chosen) < schema.min_turns:
        raise BadJudgment(
            "turns", f"this queue asks for at least {schema.min_turns} turns; you have chosen in {len(chosen)}"
        )
    Turn.objects.filter(task=task, annotator=annotator, state__in=[Turn.State.WAITING, Turn.State.RUNNING]).update(
        state=Turn.State.FAILED, error=CUT_SHORT, lease_owner="", lease_expires_at=None
    )
    return {"turns": chosen}


# What the verbs share -------------------------------------------------------------------------------------


def talking_slot(*, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, now: datetime) -> Assignment:
    """Return the slot that the person holds, locked: one act at a time in one talk. Raises LeaseLost, BadJudgment."""
    live = held_by_token(assignment_id=assignment_id, annotator=annotator, lease_token=lease_token, now=now)
    slot = (
        live.select_for_update(of=("self",))
        .select_related("task__prompt", "task__queue__project", "schema__queue", "annotator")
        .first()
    )
    if slot is None:
        raise lease_lost(assignment_id=assignment_id, annotator=annotator, now=now)
    if schema_of(slot).kind != TaskKind.CONVERSATION:
        raise BadJudgment("assignment", "nobody talks in this queue; it does not hold conversations")
    return slot


def schema_of(slot: Assignment) -> Schema:
    assert slot.schema is not None, "a held slot has its schema"
    return slot.schema.asks


def turn_of(slot: Assignment, annotator: User, number: int) -> Turn:
    turn = Turn.objects.of_talk(slot.task, annotator).filter(number=number).select_related("first", "second").first()
    if turn is None:
        raise BadJudgment("number", f"this talk has no turn {number}")
    return turn


def went_on_with(turn: Turn) -> Response:
    assert turn.went_on_with is not None, "a chosen turn has the answer that it went on with"
    return turn.went_on_with


def note_progress(*, slot: Assignment, active_seconds: float | None, now: datetime, sent: Sequence[str]) -> None:
    """Take what was sent out of the talk's draft; make one if there is none, for it brings the person back to the talk.

    A draft caps the active time that can be claimed later, so a new one starts from all that can have passed.
    """
    passed = (now - slot.leased_at).total_seconds() if slot.leased_at else 0.0
    stored, is_new = Draft.objects.get_or_create(
        task=slot.task, annotator=slot.annotator, defaults={"active_seconds": max(0.0, passed)}
    )
    if active_seconds is not None:
        stored.active_seconds = active_seconds if is_new else max(stored.active_seconds, active_seconds)
    unsent = {name: value for name, value in stored.content.items() if name not in sent}
    stored.content = {} if set(unsent) == {"turn"} else unsent
    if "preference" in sent:
        stored.preference = None
    stored.save()


def keep_words(*, assignment_id: uuid.UUID, annotator: User, lease_token: uuid.UUID, number: int, words: str) -> None:
    """Keep what was said too late as a draft of whoever had the lease, unless they have submitted the talk."""
    task = Task.objects.filter(assignments=assignment_id).select_related("queue__project").first()
    if task is None or Judgment.objects.filter(task=task, annotator=annotator).exists():
        return
    salt = task.queue.project.salt
    if not was_given_out(lease_token, salt=salt, assignment_id=assignment_id, person=annotator.pk):
        return
    Draft.objects.update_or_create(
        task=task, annotator=annotator, defaults={"content": {"message": words, "turn": number}}
    )
