"""Choose between two blind answers, change one's mind in time, submit the talk."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from feedback.answering import claim_turn, fail_turn, turn_lease
from feedback.claims import LeaseLost
from feedback.conversations import CUT_SHORT, TurnConflict
from feedback.judging import BadJudgment, SubmissionDiffers, revise_judgment, save_draft, submit_judgment
from feedback.models import Assignment, Draft, Judgment, Turn
from feedback.own_work import retake_and_submit
from tests.feedback.talks import answer_next, choose_it, hold, lease_of, make_talk_queue, say_it, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def slot(project, annotator):
    return hold(make_talk_queue(project), annotator)


def submit(slot, **overrides):
    values = {"answer": {}, "submission_id": uuid.uuid4(), "active_seconds": 9.0, "interface": "page"}
    return submit_judgment(**lease_of(slot), now=timezone.now(), **{**values, **overrides})


def test_a_choice_is_stored_with_reason_and_flags_and_the_talk_goes_on_from_it(slot):
    say_it(slot)
    ready = answer_next("One", "Two")
    turn = choose_it(slot, 2, rationale=" It is right. ", flags=["off_topic", {"flag": "hallucination", "response": 0}])
    assert (turn.state, turn.preference, turn.rationale) == (Turn.State.CHOSEN, 2, "It is right.")
    assert turn.flags == [
        {"flag": "hallucination", "kind": "", "response": 0},
        {"flag": "off_topic", "kind": "", "response": None},
    ]
    assert turn.went_on_with == ready.second
    assert turn.chosen_at is not None


def test_a_choice_can_be_changed_until_the_next_turn_begins(slot):
    say_it(slot)
    answer_next()
    first = choose_it(slot, -1)
    assert first.went_on_with == first.first
    changed = choose_it(slot, 3)
    assert (changed.preference, changed.went_on_with) == (3, changed.second)
    say_it(slot, "On", 2)
    with pytest.raises(TurnConflict) as refused:
        choose_it(slot, -3)
    assert refused.value.code == "moved_on"
    assert choose_it(slot, 3) == changed, "the very same choice again is no change"
    changed.refresh_from_db()
    assert changed.preference == 3


def test_a_tie_goes_on_from_an_answer_that_the_server_draws_for_good(slot):
    say_it(slot)
    answer_next()
    drawn = {choose_it(slot, 0).went_on_with_id}
    choose_it(slot, 1)
    drawn.add(choose_it(slot, 0).went_on_with_id)
    assert len(drawn) == 1


def test_a_tie_never_goes_on_from_an_empty_answer(project):
    queue = make_talk_queue(project, tasks=8)
    for _ in range(8):
        slot = hold(queue)
        say_it(slot)
        answer_next("", "Something.")
        assert choose_it(slot, 0).went_on_with.text == "Something."


def test_a_queue_without_ties_takes_none(project, annotator):
    slot = hold(make_talk_queue(project, allow_tie=False, levels=4), annotator)
    say_it(slot)
    answer_next()
    for wrong in (0, 3, -3, None, True, "1", 1.5):
        with pytest.raises(BadJudgment) as refused:
            choose_it(slot, wrong)
        assert refused.value.field == "preference"
    assert choose_it(slot, -2).preference == -2


@pytest.mark.parametrize(
    "flags", [["unknown"], "off_topic", [{"flag": "off_topic", "response": 2}], [{"flag": "off_topic", "x": 1}], [7]]
)
def test_flags_that_make_no_sense_are_refused(slot, flags):
    say_it(slot)
    answer_next()
    with pytest.raises(BadJudgment) as refused:
        choose_it(slot, 1, flags=flags)
    assert refused.value.field == "flags"
    assert Turn.objects.get().state == Turn.State.READY


def test_nothing_can_be_chosen_before_the_answers_are_there(slot):
    say_it(slot)
    for _ in range(2):
        with pytest.raises(TurnConflict) as refused:
            choose_it(slot)
        assert refused.value.code == "not_ready"
        claim_turn(worker="somebody")
    with pytest.raises(BadJudgment, match="no turn 2"):
        choose_it(slot, number=2)


def test_a_choice_needs_the_lease(slot):
    say_it(slot)
    answer_next()
    Assignment.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost):
        choose_it(slot)
    assert Turn.objects.get().state == Turn.State.READY


def test_the_table_takes_no_chosen_turn_without_a_choice(slot):
    say_it(slot)
    answer_next()
    for wrong in ({"state": "chosen"}, {"preference": 4}, {"preference": 1}, {"state": "running", "first": None}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Turn.objects.update(**wrong)


# Submitting ---------------------------------------------------------------------------------------------


def test_a_submitted_talk_lists_its_turns_and_is_idempotent(slot):
    turns = talk(slot, 2)
    sent = uuid.uuid4()
    judgment = submit(slot, rationale="A pleasant talk.", flags=["other"], submission_id=sent)
    assert judgment.content == {"turns": [str(turn.pk) for turn in turns]}
    assert judgment.preference is None
    assert judgment.flags == [{"flag": "other", "kind": "", "response": None}]
    assert not Draft.objects.exists()
    assert submit(slot, rationale="A pleasant talk.", flags=["other"], submission_id=sent) == judgment
    with pytest.raises(SubmissionDiffers):
        submit(slot, rationale="Another word", submission_id=sent)
    assert Judgment.objects.count() == 1


def test_a_talk_too_short_cannot_be_submitted(project, annotator):
    slot = hold(make_talk_queue(project, min_turns=2), annotator)
    talk(slot, 1)
    with pytest.raises(BadJudgment, match="at least 2 turns"):
        submit(slot)
    slot.refresh_from_db()
    assert slot.state == Assignment.State.LEASED
    talk(slot, 1, first=2)
    assert submit(slot).content["turns"]


def test_answers_that_are_there_have_to_be_chosen_before_submitting(slot):
    talk(slot, 1)
    say_it(slot, "More", 2)
    answer_next()
    with pytest.raises(BadJudgment, match="choose one of them"):
        submit(slot)


def test_words_without_answers_stay_and_are_no_part_of_the_talk(slot):
    (turn,) = talk(slot, 1)
    say_it(slot, "And then?", 2)
    assert submit(slot).content == {"turns": [str(turn.pk)]}
    left = Turn.objects.get(number=2)
    assert (left.state, left.error, left.said) == (Turn.State.FAILED, CUT_SHORT, "And then?")
    assert claim_turn(worker="late") is None


def test_unsent_words_are_not_lost_by_submitting(slot):
    talk(slot, 1)
    with pytest.raises(BadJudgment, match="not sent"):
        submit(slot, answer={"message": "Half a thought", "turn": 2})
    with pytest.raises(BadJudgment, match="send your choice"):
        submit(slot, answer={"preference": 1})
    slot.refresh_from_db()
    assert slot.state == Assignment.State.LEASED


def test_a_submitted_talk_takes_no_words_and_no_other_choice(slot):
    talk(slot, 1)
    submit(slot)
    with pytest.raises(LeaseLost):
        say_it(slot, "More", 2)
    with pytest.raises(LeaseLost):
        choose_it(slot, 3)
    assert not Draft.objects.exists()


def test_a_revision_keeps_the_turns_and_changes_what_was_said_of_the_whole(slot):
    turns = talk(slot, 1)
    judgment = submit(slot)
    sent = uuid.uuid4()
    for _ in range(2):
        revision = revise_judgment(
            judgment=judgment,
            annotator=slot.annotator,
            submission_id=sent,
            answer={},
            rationale="On second thought.",
            active_seconds=1.0,
            interface="page",
            now=timezone.now(),
        )
    assert revision.revision == 2
    assert revision.content == {"turns": [str(turns[0].pk)]}
    assert revision.rationale == "On second thought."


def test_a_talk_whose_lease_ran_out_is_taken_again_and_submitted(slot):
    turns = talk(slot, 1)
    Assignment.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    with pytest.raises(LeaseLost):
        submit(slot)
    judgment = retake_and_submit(
        task=slot.task,
        annotator=slot.annotator,
        submission_id=uuid.uuid4(),
        answer={},
        rationale="",
        flags=(),
        active_seconds=1.0,
        interface="page",
        now=timezone.now(),
    )
    assert judgment.content == {"turns": [str(turns[0].pk)]}


# Drafts -------------------------------------------------------------------------------------------------


def test_a_draft_keeps_the_choice_that_is_not_sent_apart_from_what_is_said_of_the_whole(slot):
    say_it(slot)
    answer_next()
    flags = [{"flag": "hallucination", "kind": "", "response": 1}]
    draft = save_draft(
        task=slot.task,
        annotator=slot.annotator,
        answer={"preference": -2, "turn": 1, "why": "Becau", "flags": flags},
        rationale="A talk about",
        active_seconds=3,
    )
    assert (draft.preference, draft.content) == (-2, {"turn": 1, "why": "Becau", "flags": flags})
    choose_it(slot, -2, rationale="Because.", flags=flags)
    draft.refresh_from_db()
    assert (draft.preference, draft.content, draft.rationale) == (None, {}, "A talk about")


@pytest.mark.parametrize(
    "answer", [{"text": "x"}, {"turn": "1"}, {"turn": 52}, {"turn": True}, {"message": 3}, {"why": 3}, {"flags": "x"}]
)
def test_a_draft_of_another_shape_is_refused(slot, answer):
    with pytest.raises(BadJudgment):
        save_draft(task=slot.task, annotator=slot.annotator, answer=answer, active_seconds=0)


def test_a_failed_turn_does_not_keep_anybody_from_submitting(slot):
    turns = talk(slot, 1)
    say_it(slot, "More", 2)
    fail_turn(turn_lease(claim_turn(worker="w")), message="No.", for_good=True)
    assert submit(slot).content == {"turns": [str(turns[0].pk)]}
