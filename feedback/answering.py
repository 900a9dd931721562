"""Answer the turns of talks: the verbs of the worker that lets models speak (`training.talking`).

A turn that waits is leased to one worker at a time. Times are the database's; every write names owner and attempt, so
that a worker which lost its lease, however late it wakes up, changes nothing. What a dead worker held is swept up by
the next claim. Whatever happens, the person's words stay.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from feedback.answers import ANSWERS
from feedback.models import Response, Turn
from feedback.responses import add_response
from feedback.row_leases import Lease, lease_end

ATTEMPTS = 3
"""Attempts in vain after which the person is asked whether to try again."""
ERROR_LENGTH_LIMIT = 2_000


@dataclass(frozen=True)
class WrittenAnswer:
    """What one checkpoint answered. `finished` is False when it was cut off by max_new_tokens."""

    text: str
    finished: bool
    model_name: str = ""
    checkpoint_id: uuid.UUID | None = None


def turn_lease(turn: Turn) -> Lease:
    return Lease(Turn, turn.pk, turn.lease_owner, turn.attempt, settings.TURN_LEASE_SECONDS)


def claim_turn(*, worker: str) -> Turn | None:
    """Take the turn that has waited longest; None when none waits.

    One conditional UPDATE decides between workers; on PostgreSQL they also pass over what another one has locked.
    Without work there is only a read, so that an idle worker never holds SQLite's write lock.
    """
    sweep()
    while Turn.objects.answerable().exists():
        with transaction.atomic():
            found = Turn.objects.answerable().select_for_update(skip_locked=True, of=("self",)).first()
            if found is None:
                return None
            taken = Turn.objects.filter(pk=found.pk, state=Turn.State.WAITING).update(
                state=Turn.State.RUNNING,
                lease_owner=worker,
                attempt=F("attempt") + 1,
                lease_expires_at=lease_end(settings.TURN_LEASE_SECONDS),
            )
        if taken:
            return Turn.objects.select_related("prompt", "task__queue__project").get(pk=found.pk)
    return None


def sweep() -> None:
    """Put back the turns of workers that have vanished; one that takes down every worker is given up."""
    if not Turn.objects.orphaned().exists():
        return
    Turn.objects.orphaned().filter(failures__gte=ATTEMPTS - 1).update(
        **END_OF_LEASE, state=Turn.State.FAILED, failures=F("failures") + 1, error="The worker vanished."
    )
    Turn.objects.orphaned().update(**END_OF_LEASE, state=Turn.State.WAITING, failures=F("failures") + 1)


END_OF_LEASE: Mapping[str, Any] = {"lease_owner": "", "lease_expires_at": None}


@transaction.atomic
def answer_turn(lease: Lease, *, answers: Sequence[WrittenAnswer]) -> Turn:
    """Store the two answers, in the order in which the turn names its checkpoints. Raises LeaseLost."""
    assert len(answers) == ANSWERS, f"a turn has {ANSWERS} answers, not {len(answers)}"
    turn = lease.rows().select_for_update().select_related("prompt").first()
    if turn is None:
        raise lease.lost()
    first, second = [store_answer(turn, place, answer) for place, answer in enumerate(answers)]
    lease.write(**END_OF_LEASE, state=Turn.State.READY, first=first, second=second, answered_at=Now(), error="")
    turn.refresh_from_db()
    return turn


def store_answer(turn: Turn, place: int, answer: WrittenAnswer) -> Response:
    sampling = {name: value for name, value in turn.sampling.items() if name != "seeds"}
    return add_response(
        prompt=turn.prompt,
        text=answer.text,
        origin=f"turn:{turn.pk}:{turn.attempt}:{place}",
        model_name=answer.model_name,
        checkpoint_id=answer.checkpoint_id,
        sampling={**sampling, "seed": turn.sampling["seeds"][place], "finished": answer.finished},
    )


def fail_turn(lease: Lease, *, message: str, for_good: bool = False) -> None:
    """Say that no answer could be had: the turn waits for another attempt, or after ATTEMPTS of them for the person.

    `for_good` saves the further attempts where none can help. Raises LeaseLost.
    """
    turn = lease.rows().first()
    if turn is None:
        raise lease.lost()
    is_over = for_good or turn.failures + 1 >= ATTEMPTS
    lease.write(
        **END_OF_LEASE,
        state=Turn.State.FAILED if is_over else Turn.State.WAITING,
        failures=F("failures") + 1,
        error=message[:ERROR_LENGTH_LIMIT],
    )


def give_back_turn(lease: Lease) -> None:
    """Let another worker answer the turn, without counting an attempt: this one is told to stop. Raises LeaseLost."""
    lease.write(**END_OF_LEASE, state=Turn.State.WAITING)
