"""Say something in a talk: stored at once and once, whatever comes after."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.claims import LeaseLost, reclaim
from feedback.conversations import MESSAGE_LENGTH_LIMIT, TurnConflict, open_talk, retry
from feedback.filling import fillable_prompts
from feedback.imports.whole import import_file
from feedback.judging import BadJudgment
from feedback.models import Assignment, Draft, Turn
from tests.factories import make_assignment, make_base_checkpoint, make_member, make_prompt, make_queue, make_task
from tests.feedback.talks import answer_next, choose_it, hold, lease_of, make_talk_queue, say_it, talk

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_talk_queue(project)


@pytest.fixture
def slot(queue, annotator):
    return hold(queue, annotator)


def let_lease_run_out(slot):
    Assignment.objects.filter(pk=slot.pk).update(lease_expires_at=timezone.now() - timedelta(minutes=1))


def test_words_are_stored_with_the_talk_so_far_and_wait_for_answers(slot):
    turn = say_it(slot, "How do tides work?\r\nIn short.  ")
    assert (turn.number, turn.state, turn.said) == (1, Turn.State.WAITING, "How do tides work?\nIn short.")
    assert turn.prompt.messages == [{"role": "user", "content": "How do tides work?\nIn short."}]
    assert turn.annotator == slot.annotator
    answer_next("They follow the moon.", "Water.")
    choose_it(slot, -3)
    second = say_it(slot, "Why the moon?", 2)
    assert second.prompt.messages == [
        {"role": "user", "content": "How do tides work?\nIn short."},
        {"role": "assistant", "content": "They follow the moon."},
        {"role": "user", "content": "Why the moon?"},
    ]


def test_the_prompt_of_a_turn_shares_the_fate_of_the_tasks_prompt_and_is_none_of_the_pool(project, annotator):
    queue = make_talk_queue(project, tasks=0)
    topic = make_prompt(project, split="evaluation", licence="CC-BY-4.0", language="en")
    make_task(queue, prompt=topic)
    turn = say_it(hold(queue, annotator))
    made = turn.prompt
    assert (made.split, made.cluster, made.licence, made.language) == ("evaluation", topic.cluster, "CC-BY-4.0", "en")
    assert made.of_talk
    assert list(project.prompts.pool()) == [topic]
    assert made not in fillable_prompts(make_queue(project, kind="demonstration"))


def test_a_prompt_that_was_said_and_is_imported_later_joins_the_pool(slot, project, tmp_path):
    said = say_it(slot, "How do tides work?").prompt
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"messages": said.messages}) + "\n")
    assert "prompts" not in import_file(project=project, path=path, kind="prompts").counts["stored"]
    assert said in project.prompts.pool()


def test_words_that_are_an_imported_prompt_keep_it_in_the_pool(slot, project):
    from feedback.contract import digest

    messages = [{"role": "user", "content": "How do tides work?"}]
    imported = make_prompt(project, messages=messages)
    assert imported.digest == digest(messages)
    assert say_it(slot, "How do tides work?").prompt == imported
    assert not imported.of_talk


def test_the_given_opening_is_the_first_turn_once(project, annotator):
    queue = make_talk_queue(project, opening="given")
    slot = hold(queue, annotator)
    open_talk(slot=slot, now=timezone.now())
    turn = Turn.objects.get()
    assert (turn.number, turn.prompt, turn.state) == (1, slot.task.prompt, Turn.State.WAITING)
    with pytest.raises(TurnConflict) as refused:
        say_it(slot, "Too early", 2)
    assert refused.value.code == "not_chosen"


def test_a_system_message_of_the_task_opens_a_written_talk(project, annotator):
    queue = make_talk_queue(project, tasks=0)
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Ask about tides."}]
    make_task(queue, prompt=make_prompt(project, messages=messages))
    turn = say_it(hold(queue, annotator), "Hello")
    assert turn.prompt.messages == [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}]


def test_who_answers_first_is_drawn_for_every_turn(project, annotator):
    policies = [str(make_base_checkpoint(project).pk), str(make_base_checkpoint(project).pk)]
    queue = make_talk_queue(project, tasks=60, policies=policies, temperature=0.5, max_new_tokens=33)
    firsts = []
    for _ in range(60):
        slot = hold(queue, make_member(project))
        turn = say_it(slot)
        assert sorted(turn.policies) == sorted(policies)
        assert turn.sampling["temperature"] == 0.5
        assert turn.sampling["max_new_tokens"] == 33
        assert len(set(turn.sampling["seeds"])) == 2
        firsts.append(turn.policies[0])
    assert 10 < firsts.count(policies[0]) < 50


def test_one_checkpoint_answers_twice(slot):
    turn = say_it(slot)
    assert len(turn.policies) == 2
    assert turn.policies[0] == turn.policies[1]


def test_the_same_words_again_are_the_same_turn_even_when_it_is_over(slot):
    turn = say_it(slot)
    assert say_it(slot) == turn
    answer_next()
    choose_it(slot)
    assert say_it(slot) == turn
    assert Turn.objects.count() == 1


def test_other_words_under_the_same_number_are_refused(slot):
    say_it(slot, "One thing")
    with pytest.raises(TurnConflict) as refused:
        say_it(slot, "Another thing")
    assert refused.value.code == "turn_taken"
    assert Turn.objects.get().said == "One thing"


def test_a_turn_begins_only_after_the_choice_in_the_one_before(slot):
    say_it(slot)
    with pytest.raises(TurnConflict, match="no answers yet"):
        say_it(slot, "More", 2)
    answer_next()
    with pytest.raises(TurnConflict, match="choose one of the two"):
        say_it(slot, "More", 2)
    choose_it(slot)
    assert say_it(slot, "More", 2).number == 2


@pytest.mark.parametrize("number", [0, -1, 3, 51])
def test_a_number_that_is_not_the_next_is_refused(slot, number):
    with pytest.raises(TurnConflict, match="the next turn of this talk is 1"):
        say_it(slot, number=number)
    assert not Turn.objects.exists()


def test_a_full_talk_takes_no_further_words(project, annotator):
    slot = hold(make_talk_queue(project, max_turns=2), annotator)
    talk(slot, 2)
    with pytest.raises(TurnConflict, match="at most 2 turns") as refused:
        say_it(slot, "More", 3)
    assert refused.value.code == "talk_full"


def test_a_talk_cannot_go_on_from_an_empty_answer(slot):
    say_it(slot)
    answer_next("  ", "Something.")
    choose_it(slot, -1)
    with pytest.raises(TurnConflict, match="is empty"):
        say_it(slot, "More", 2)
    choose_it(slot, 1)
    assert say_it(slot, "More", 2).number == 2


@pytest.mark.parametrize("text", ["", "  \n ", "x" * (MESSAGE_LENGTH_LIMIT + 1), "a\x00b", None, 7, ["x"]])
def test_words_that_cannot_be_stored_are_refused(slot, text):
    with pytest.raises(BadJudgment) as refused:
        say_it(slot, text)
    assert refused.value.field == "text"
    assert not Turn.objects.exists()


def test_words_said_too_late_are_kept_as_a_draft_and_can_be_said_after_all(slot, queue):
    let_lease_run_out(slot)
    with pytest.raises(LeaseLost) as lost:
        say_it(slot, "Kept words")
    assert lost.value.slot_free
    assert Draft.objects.get().content == {"message": "Kept words", "turn": 1}
    again = reclaim(task=slot.task, annotator=slot.annotator, now=timezone.now())
    assert say_it(again, "Kept words").said == "Kept words"
    assert Draft.objects.get().content == {}


def test_a_talk_goes_on_under_a_new_lease_where_it_was(slot, queue):
    talk(slot, 1)
    let_lease_run_out(slot)
    again = hold(queue, slot.annotator)
    assert again.task == slot.task
    assert say_it(again, "On we go", 2).number == 2


def test_somebody_else_starts_a_talk_of_their_own(slot, queue, project):
    talk(slot, 1)
    let_lease_run_out(slot)
    other = hold(queue, make_member(project))
    assert other.task == slot.task
    assert say_it(other, "Hello from another").number == 1
    assert Turn.objects.of_talk(slot.task, slot.annotator).count() == 1


def test_a_strangers_token_and_another_kind_of_queue_are_refused(slot, project):
    with pytest.raises(LeaseLost):
        say_it(slot, lease_token=uuid.uuid4())
    with pytest.raises(LeaseLost):
        say_it(slot, annotator=make_member(project))
    other = make_assignment(make_task(make_queue(project)), slot.annotator)
    with pytest.raises(BadJudgment, match="does not hold conversations"):
        say_it(other)
    assert not Turn.objects.exists()


def test_a_retry_of_what_has_not_failed_changes_nothing(slot):
    turn = say_it(slot)
    assert retry(**lease_of(slot), number=1, now=timezone.now()).state == Turn.State.WAITING
    with pytest.raises(BadJudgment, match="no turn 2"):
        retry(**lease_of(slot), number=2, now=timezone.now())
    turn.refresh_from_db()
    assert turn.failures == 0
