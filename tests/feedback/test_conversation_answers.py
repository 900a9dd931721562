"""The worker's side of a talk: claim, answer, fail, and the leases of workers that vanished."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.answering import (
    ATTEMPTS,
    WrittenAnswer,
    answer_turn,
    claim_turn,
    fail_turn,
    give_back_turn,
    turn_lease,
)
from feedback.conversations import retry
from feedback.models import Response, Turn
from feedback.queues import QueueRefused, change_schema
from feedback.row_leases import Lease, LeaseLost
from tests.factories import make_base_checkpoint, make_project, make_queue, make_reward_checkpoint, make_user
from tests.feedback.talks import hold, lease_of, make_talk_queue, say_it

pytestmark = pytest.mark.django_db

TWO = [WrittenAnswer("One", True), WrittenAnswer("Two", False)]


@pytest.fixture
def slot(project, annotator):
    return hold(make_talk_queue(project), annotator)


def vanish(turn):
    """Let the lease of the worker that holds the turn run out."""
    Turn.objects.filter(pk=turn.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def test_a_worker_takes_the_oldest_words_and_stores_two_answers(project):
    queue = make_talk_queue(project, tasks=2)
    slots = [hold(queue), hold(queue)]
    first, second = [say_it(slot, f"Words {place}") for place, slot in enumerate(slots)]
    turn = claim_turn(worker="w")
    assert turn == first
    assert (turn.state, turn.attempt, turn.lease_owner) == (Turn.State.RUNNING, 1, "w")
    checkpoint = make_base_checkpoint(project)
    answers = [WrittenAnswer("One", True, "m-1", checkpoint.pk), WrittenAnswer("Two \x00", False, "m-2")]
    ready = answer_turn(turn_lease(turn), answers=answers)
    assert ready.state == Turn.State.READY
    assert (ready.first.text, ready.second.text) == ("One", "Two \ufffd")
    assert (ready.first.model_name, ready.first.checkpoint_id) == ("m-1", checkpoint.pk)
    assert ready.first.prompt == first.prompt
    assert ready.first.sampling == {
        "temperature": 0.8, "top_p": 1.0, "max_new_tokens": 256, "seed": turn.sampling["seeds"][0], "finished": True
    }  # fmt: skip
    assert ready.answered_at is not None
    assert claim_turn(worker="w") == second
    assert claim_turn(worker="w") is None


def test_two_workers_never_have_the_same_turn(slot):
    say_it(slot)
    assert claim_turn(worker="one") is not None
    assert claim_turn(worker="two") is None


def test_a_worker_that_was_too_slow_changes_nothing(slot):
    say_it(slot)
    slow = claim_turn(worker="slow")
    vanish(slow)
    fast = claim_turn(worker="fast")
    assert (fast.pk, fast.attempt, fast.failures) == (slow.pk, 2, 1)
    for late in (
        lambda lease: answer_turn(lease, answers=TWO),
        lambda lease: fail_turn(lease, message="x"),
        give_back_turn,
        Lease.renew,
    ):
        with pytest.raises(LeaseLost):
            late(turn_lease(slow))
    assert not Response.objects.filter(prompt=fast.prompt).exists()
    assert answer_turn(turn_lease(fast), answers=TWO).state == Turn.State.READY
    with pytest.raises(LeaseLost):
        answer_turn(turn_lease(fast), answers=TWO)
    assert Response.objects.filter(prompt=fast.prompt).count() == 2


def test_a_renewed_lease_is_not_swept(slot):
    say_it(slot)
    turn = claim_turn(worker="w")
    vanish(turn)
    turn_lease(turn).renew()
    assert claim_turn(worker="other") is None


def test_a_failure_is_tried_again_and_then_told(slot):
    say_it(slot, "Precious words")
    for attempt in range(1, ATTEMPTS + 1):
        turn = claim_turn(worker="w")
        assert turn.attempt == attempt
        fail_turn(turn_lease(turn), message=f"Attempt {attempt} broke.")
    assert claim_turn(worker="w") is None
    turn.refresh_from_db()
    assert (turn.state, turn.error, turn.said) == (Turn.State.FAILED, f"Attempt {ATTEMPTS} broke.", "Precious words")


def test_a_failure_for_good_is_told_at_once(slot):
    say_it(slot)
    fail_turn(turn_lease(claim_turn(worker="w")), message="The talk is too long.", for_good=True)
    assert Turn.objects.get().state == Turn.State.FAILED


def test_a_turn_that_takes_its_workers_down_is_given_up(slot):
    say_it(slot)
    for attempt in range(1, ATTEMPTS + 1):
        turn = claim_turn(worker=f"w{attempt}")
        assert turn.attempt == attempt
        vanish(turn)
    assert claim_turn(worker="w9") is None
    turn.refresh_from_db()
    assert (turn.state, turn.error) == (Turn.State.FAILED, "The worker vanished.")


def test_a_turn_that_is_given_back_has_not_failed(slot):
    say_it(slot)
    give_back_turn(turn_lease(claim_turn(worker="w")))
    assert (Turn.objects.get().state, Turn.objects.get().failures) == (Turn.State.WAITING, 0)


def test_a_failed_turn_is_asked_again_under_the_schema_of_now(slot, project):
    say_it(slot)
    lease = turn_lease(claim_turn(worker="w"))
    fail_turn(lease, message="Gone.", for_good=True)
    other = make_base_checkpoint(project)
    queue = slot.task.queue
    change_schema(queue=queue, content={"policies": [str(other.pk)]}, changed_by=make_user())
    turn = retry(**lease_of(slot), number=1, now=timezone.now())
    assert (turn.state, turn.failures, turn.error) == (Turn.State.WAITING, 0, "")
    assert turn.policies == [str(other.pk)] * 2
    assert claim_turn(worker="w").attempt == 2
    with pytest.raises(LeaseLost):
        answer_turn(lease, answers=TWO)


# Who may answer -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["another project's", "a reward model", "no id"])
def test_a_queue_takes_only_checkpoints_of_its_project_that_can_speak(project, whose):
    wrong = {
        "another project's": lambda: str(make_base_checkpoint(make_project()).pk),
        "a reward model": lambda: str(make_reward_checkpoint(project).pk),
        "no id": lambda: "gpt",
    }[whose]()
    with pytest.raises(QueueRefused, match="is not the id of a base model or policy") as refused:
        make_queue(project, kind="conversation", schema={"policies": [wrong]})
    assert refused.value.field == "policies"
    queue = make_talk_queue(project)
    with pytest.raises(QueueRefused):
        change_schema(queue=queue, content={"policies": [wrong]}, changed_by=make_user())


def test_one_checkpoint_at_temperature_nought_would_say_the_same_twice(project):
    with pytest.raises(QueueRefused, match="same answer twice"):
        make_talk_queue(project, temperature=0)
