"""Answer the turns of talks: claim one, let its checkpoints speak, store what they said.

Apart from the worker for runs, so that a long training never lets anybody wait in a talk. What the talker holds in
memory can be lost at any time: a turn whose talker has vanished is claimed again.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress

from django.conf import settings
from django.db import connection

from feedback.alive import DATABASE_AWAY, TakesInTurn
from feedback.answering import (
    WrittenAnswer,
    answer_turn,
    claim_turn,
    fail_turn,
    give_back_turn,
    turn_lease,
)
from feedback.models import Turn, Worker
from feedback.row_leases import Lease, LeaseLost
from training.models import Checkpoint
from training.policies import find_policy
from training.voices import Job, NoAnswer, Speech, Voice, find_voice

logger = logging.getLogger(__name__)

NOBODY_CHOSEN = "The queue's label schema names no checkpoint that answers; a curator chooses one there."
TICK = 0.05
CANCEL_SECONDS = 5.0
"""How long a voice that was told to stop is waited for."""


class Talker(TakesInTurn[Turn]):
    work_of = Worker.Work.TALKS
    called = "talker"

    def __init__(self, *, voice: Voice | None = None, poll: float = 0.5, pause: float = 1.0) -> None:
        """`poll` is how often an idle talker looks for turns, `pause` how long it waits after an attempt in vain, in
        seconds."""
        super().__init__(poll=poll)
        self.pause = pause
        self.voice = voice or find_voice()

    def claim(self) -> Turn | None:
        return claim_turn(worker=self.name)

    def rest(self) -> None:
        self.voice.rest()

    def close(self) -> None:
        self.voice.close()

    def carry_out(self, turn: Turn) -> None:
        """Answer a claimed turn, say why it cannot be answered, or give it back."""
        lease = turn_lease(turn)
        started = time.monotonic()
        try:
            try:
                answers = self.spoken(self.voice.job(turn, checkpoints_of(turn)), lease)
            except NoAnswer as error:
                logger.warning("turn %s, attempt %d: %s", turn.pk, turn.attempt, error)
                fail_turn(lease, message=str(error), for_good=error.for_good)
                if not error.for_good:
                    self.stopping.wait(self.pause)
                return
            if answers is None:
                give_back_turn(lease)
                return
            self.until_written(lambda: answer_turn(lease, answers=answers))
            logger.info("turn %s is answered after %.1f s", turn.pk, time.monotonic() - started)
        except LeaseLost as error:
            logger.warning("%s; nothing more is written", error)

    def until_written(self, write: Callable[[], object]) -> None:
        """Write what would be a pity to lose, again and again while the database is away. Raises LeaseLost."""
        while True:
            try:
                write()
                return
            except DATABASE_AWAY as error:
                logger.warning("the database cannot be reached or is busy: %s", error)
                connection.close()
                if self.stopping.wait(self.poll):
                    raise

    def spoken(self, job: Job, lease: Lease) -> list[WrittenAnswer] | None:
        """Return the answers; None when the talker is to stop first. Raises NoAnswer, LeaseLost.

        The voice speaks in a thread of its own; this one keeps the lease.
        """
        speech = Speech(lambda: self.voice.answer(job))
        deadline = time.monotonic() + settings.TALK_ANSWER_SECONDS
        heartbeat = Heartbeat(lease)
        try:
            while not speech.done(TICK):
                if self.stopping.is_set():
                    return None
                if time.monotonic() > deadline:
                    raise NoAnswer(f"No answer came within {settings.TALK_ANSWER_SECONDS} seconds.")
                heartbeat.beat()
                with suppress(*DATABASE_AWAY):
                    self.alive.give()
        finally:
            if not speech.done(0):
                self.voice.cancel()
                speech.done(CANCEL_SECONDS)
        return speech.result()


class Heartbeat:
    """Renews a turn's lease every third of it, and bears a database that is away for as long as the lease lasts."""

    def __init__(self, lease: Lease) -> None:
        self.lease = lease
        self.asked = self.renewed = time.monotonic()

    def beat(self) -> None:
        """Raises LeaseLost."""
        now = time.monotonic()
        if now - self.asked < settings.TURN_LEASE_SECONDS / 3:
            return
        self.asked = now
        try:
            self.lease.renew()
            self.renewed = now
        except DATABASE_AWAY as error:
            logger.warning("cannot renew the lease of turn %s: %s", self.lease.pk, error)
            connection.close()
            if now - self.renewed > settings.TURN_LEASE_SECONDS:
                raise LeaseLost(f"turn {self.lease.pk} may have been taken by another talker") from error


def checkpoints_of(turn: Turn) -> list[Checkpoint]:
    """Return who answers first and second. Raises NoAnswer."""
    if not turn.policies:
        raise NoAnswer(NOBODY_CHOSEN, for_good=True)
    found = []
    for given in turn.policies:
        checkpoint = find_policy(turn.task.queue.project, given)
        if checkpoint is None:
            raise NoAnswer(f"{given} is not a base model or policy of this project any more.", for_good=True)
        found.append(checkpoint)
    return found
