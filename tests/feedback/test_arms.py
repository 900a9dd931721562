"""What a claim draws, and the probability that is stored with it."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.appointing import give_task
from feedback.claims import claim_next, reclaim, skip
from feedback.models import Assignment, Skip, Task
from feedback.models.people import new_id, new_id_beside
from feedback.queues import change_policy
from feedback.steering import return_task, withdraw_task
from tests.factories import make_assignment, make_gold, make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db

NOW = timezone.now()
A_DAY_LATER = NOW + timedelta(hours=25)


class Always(random.Random):
    """Draws the same number every time: 0.0 gives the first arm with a share, 0.999 the priority arm."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def random(self) -> float:
        return self.number


class Numbers(random.Random):
    """Draws these numbers, one after the other."""

    def __init__(self, *numbers: float) -> None:
        super().__init__()
        self.numbers = iter(numbers)

    def random(self) -> float:
        return next(self.numbers)


FIRST, LAST = Always(0.0), Always(0.999)


def put_off(slot, annotator, kind="others", now=NOW):
    return skip(
        assignment_id=slot.pk, annotator=annotator, lease_token=slot.lease_token, kind=kind, reason="break", now=now
    )


# Gold


def test_gold_is_mixed_in_by_its_share_and_looks_like_any_other_slot(project, annotator):
    queue = make_queue(project, gold_percent=10)
    gold = make_task(queue)
    make_gold(gold)
    ordinary = make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
    assert (slot.task, slot.arm, slot.arm_propensity) == (gold, "gold", 0.1)
    assert (slot.state, slot.annotator, slot.lease_expires_at) == ("leased", annotator, NOW + timedelta(minutes=30))
    make_judgment(slot)
    assert claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST).task == ordinary


def test_each_gold_task_goes_to_a_person_once_and_to_everybody(project):
    queue = make_queue(project, gold_percent=100)
    golds = {make_task(queue).pk for _ in range(3)}
    for pk in golds:
        make_gold(Task.objects.get(pk=pk))
    make_task(queue, slots=5)
    for _ in range(2):
        person = make_member(project)
        drawn = []
        while (slot := claim_next(queue=queue, annotator=person, now=NOW)).arm == "gold":
            drawn.append(slot.task_id)
            make_judgment(slot)
        assert (sorted(drawn), len(drawn)) == (sorted(golds), 3)
        assert (slot.arm, slot.arm_propensity) == ("priority", 1.0)


def test_a_task_that_becomes_gold_leaves_the_order(project, annotator):
    queue = make_queue(project, overlap=2)
    task = make_task(queue)
    make_gold(task)
    assert set(task.assignments.values_list("state", flat=True)) == {"withdrawn"}
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None


def test_who_holds_a_task_that_becomes_gold_finishes_it_and_nobody_else_gets_the_slot(project, annotator):
    queue = make_queue(project)
    slot = make_assignment(make_task(queue), annotator, NOW)
    make_gold(slot.task)
    later = NOW + timedelta(minutes=31)
    assert claim_next(queue=queue, annotator=make_member(project), now=later) is None
    assert claim_next(queue=queue, annotator=annotator, now=later).pk == slot.pk
    put_off(reclaim(task=slot.task, annotator=annotator, now=later), annotator, now=later)
    assert claim_next(queue=queue, annotator=make_member(project), now=later) is None


def test_newcomers_get_another_share_of_gold(project, annotator):
    queue = make_queue(project, gold_percent=5, newcomer_gold_percent=30, newcomer_judgments=2)
    for _ in range(3):
        make_gold(make_task(queue))
    make_task(queue, slots=3)
    for expected in (0.3, 0.3, 0.05):
        slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
        assert (slot.arm, slot.arm_propensity) == ("gold", expected)
        make_judgment(slot)


def test_gold_is_never_handed_out_alone(project, annotator):
    queue = make_queue(project, gold_percent=100)
    make_gold(make_task(queue))
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is None


def test_gold_that_a_person_passes_over_stays_theirs_and_can_be_asked_for_again(project, annotator):
    queue = make_queue(project, gold_percent=10)
    gold = make_task(queue)
    make_gold(gold)
    ordinary = make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
    put_off(slot, annotator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST).task == ordinary
    again = reclaim(task=gold, annotator=annotator, now=NOW)
    assert (again.pk, again.arm, again.arm_propensity) == (slot.pk, "gold", 0.1)


def test_gold_that_is_out_for_review_is_not_handed_out(project, annotator):
    queue = make_queue(project, gold_percent=100)
    gold = make_task(queue)
    make_gold(gold)
    make_task(queue, slots=2)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
    put_off(slot, annotator, kind="review")
    assert claim_next(queue=queue, annotator=make_member(project), now=NOW, chance=FIRST).arm == "priority"


# Repeats


@pytest.fixture
def judged(project, annotator):
    """A queue that repeats 3 % of a person's judgments after a day, with one judgment by the annotator."""
    queue = make_queue(project, repeat_percent=3)
    judgment = make_judgment(task=make_task(queue), annotator=annotator, now=NOW)
    make_task(queue, slots=3)
    return judgment


def test_a_repeat_shows_a_person_their_own_task_with_the_sides_swapped(judged, annotator):
    slot = claim_next(queue=judged.queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST)
    assert (slot.arm, slot.arm_propensity) == ("repeat", 0.03)
    assert (slot.task.repeat_of_id, slot.task.prompt_id) == (judged.task_id, judged.task.prompt_id)
    assert [response.pk for response in slot.task.texts] == [response.pk for response in judged.task.texts]
    assert slot.display_order == judged.display_order[::-1]
    assert slot.task.propensity == judged.task.propensity


def test_a_task_is_repeated_once_and_a_repeat_never(judged, annotator):
    repeat = claim_next(queue=judged.queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST)
    make_judgment(repeat, now=A_DAY_LATER)
    much_later = A_DAY_LATER + timedelta(days=2)
    assert claim_next(queue=judged.queue, annotator=annotator, now=much_later, chance=FIRST).arm == "priority"
    assert Task.objects.filter(repeat_of__isnull=False).count() == 1


def test_nothing_is_repeated_before_its_time(judged, annotator):
    early = NOW + timedelta(hours=23)
    assert claim_next(queue=judged.queue, annotator=annotator, now=early, chance=FIRST).arm == "priority"


def test_nobody_else_is_shown_a_repeat(judged, annotator, project):
    repeat = claim_next(queue=judged.queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST)
    after_the_lease = A_DAY_LATER + timedelta(hours=1)
    others = {claim_next(queue=judged.queue, annotator=make_member(project), now=after_the_lease).task_id for _ in "ab"}
    assert repeat.task_id not in others


def test_gold_and_what_is_written_are_not_repeated(project, annotator):
    queue = make_queue(project, repeat_percent=50, gold_percent=50)
    make_gold(make_task(queue))
    make_task(queue, slots=3)
    make_judgment(claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST), now=NOW)
    assert claim_next(queue=queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST).arm == "priority"
    written = make_queue(project, kind="demonstration", repeat_percent=50)
    first = make_assignment(make_task(written), annotator, NOW)
    make_judgment(first, answer={"text": "So."}, now=NOW)
    make_task(written)
    assert claim_next(queue=written, annotator=annotator, now=A_DAY_LATER, chance=FIRST).arm == "priority"


# The random arm and the shares


def test_the_random_arm_takes_any_task_whatever_its_priority(project):
    queue = make_queue(project, random_percent=10)
    tasks = [make_task(queue, slots=40, priority=float(number)) for number in range(4)]
    drawn: Counter[str] = Counter()
    for number in range(40):
        chance = Numbers(0.0, number / 40)
        slot = claim_next(queue=queue, annotator=make_member(project), now=NOW, chance=chance)
        assert (slot.arm, slot.arm_propensity) == ("random", 0.1)
        drawn[slot.task_id] += 1
    assert len(drawn) > 1
    assert drawn[tasks[-1].pk] < 40


def test_the_random_order_goes_round(project, annotator):
    queue = make_queue(project, random_percent=100)
    task = make_task(queue)
    Assignment.objects.update(random_key=0.5)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=Always(0.9))
    assert (slot.task, slot.arm, slot.arm_propensity) == (task, "random", 1.0)


def test_the_shares_are_kept_over_many_claims(project):
    queue = make_queue(project, random_percent=20, gold_percent=10)
    make_task(queue, slots=300)
    make_gold(make_task(queue))
    chance = random.Random(1)
    arms = Counter(
        claim_next(queue=queue, annotator=make_member(project), now=NOW, chance=chance).arm for _ in range(300)
    )
    # Three standard deviations of a binomial share either way.
    assert abs(arms["gold"] - 30) <= 16
    assert abs(arms["random"] - 60) <= 21
    assert arms["priority"] == 300 - arms["gold"] - arms["random"]


def test_an_arm_with_nothing_to_offer_leaves_its_share_to_priority(project, annotator):
    queue = make_queue(project, gold_percent=20, repeat_percent=30, random_percent=10)
    make_task(queue)
    slot = claim_next(queue=queue, annotator=annotator, now=NOW, chance=LAST)
    assert (slot.arm, slot.arm_propensity) == ("priority", pytest.approx(0.9))


def test_the_shares_of_all_arms_that_have_something_sum_to_one(judged, annotator, curator):
    change_policy(queue=judged.queue, changed_by=curator, gold_percent=7, random_percent=11)
    make_gold(make_task(judged.queue))
    slot = claim_next(queue=judged.queue, annotator=annotator, now=A_DAY_LATER, chance=LAST)
    assert (slot.arm, slot.arm_propensity) == ("priority", pytest.approx(1 - 0.07 - 0.03 - 0.11))


def test_the_judgment_keeps_the_arm_and_its_probability(project, annotator):
    queue = make_queue(project, gold_percent=10)
    make_gold(make_task(queue))
    make_task(queue)
    judgment = make_judgment(claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST))
    assert (judgment.arm, judgment.arm_propensity) == ("gold", 0.1)


def test_a_task_that_a_person_asks_for_again_says_so(project, annotator):
    slot = make_assignment(make_task(make_queue(project)), annotator, NOW)
    put_off(slot, annotator)
    again = reclaim(task=slot.task, annotator=annotator, now=NOW)
    assert (again.arm, again.arm_propensity) == ("asked", 1.0)
    assert Skip.objects.get().taken_back_at == NOW


def test_gold_that_was_put_off_comes_back_as_gold_when_nothing_else_is_left(project, annotator):
    queue = make_queue(project, gold_percent=25)
    make_gold(make_task(queue))
    other = make_member(project)
    ordinary = make_task(queue)
    first = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
    put_off(first, annotator, kind="later")
    held = claim_next(queue=queue, annotator=other, now=NOW, chance=LAST)
    again = claim_next(queue=queue, annotator=annotator, now=NOW, chance=FIRST)
    assert held.task == ordinary
    assert (again.pk, again.arm, again.arm_propensity) == (first.pk, "gold", 0.25)


def test_of_a_task_that_was_put_off_the_slot_comes_back_that_is_reserved_for_the_person(project, annotator, curator):
    task = make_task(make_queue(project), slots=2)
    given = give_task(task=task, person=annotator, given_by=curator)
    held = claim_next(queue=task.queue, annotator=annotator, now=NOW)
    assert held.pk == given.pk
    put_off(held, annotator, kind="later")
    again = claim_next(queue=task.queue, annotator=annotator, now=NOW)
    assert (again.pk, again.arm) == (given.pk, "named")
    assert withdraw_task(task=task, withdrawn_by=curator, now=NOW) == 1


def made_at(number: uuid.UUID) -> timedelta:
    return timedelta(milliseconds=number.int >> 80)


def test_no_id_tells_that_a_slot_or_a_repeat_was_made_at_the_claim(project, annotator):
    queue = make_queue(project, repeat_percent=50)
    long_ago = uuid.UUID(int=(new_id().int >> 80) - 30 * 24 * 3_600_000 << 80 | new_id().int & (1 << 80) - 1)
    done, waiting = make_task(queue, id=new_id_beside(long_ago)), make_task(queue, id=long_ago)
    make_judgment(make_assignment(done, annotator, now=NOW), now=NOW)
    slot = claim_next(queue=queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST)
    assert slot.task.repeat_of == done
    assert abs(made_at(slot.task_id) - made_at(waiting.pk)) < timedelta(seconds=1)
    assert {each.pk.version for each in (slot, *waiting.assignments.all())} == {4}


def test_a_task_that_was_taken_out_is_not_repeated(project, annotator, curator):
    queue = make_queue(project, repeat_percent=50)
    judgment = make_judgment(make_assignment(make_task(queue), annotator, now=NOW), now=NOW)
    waiting = make_task(queue)
    withdraw_task(task=judgment.task, withdrawn_by=curator, now=NOW)
    assert claim_next(queue=queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST).task == waiting


def test_a_repeat_in_hand_that_is_taken_out_and_returned_stays_one_persons(project, annotator, curator):
    queue = make_queue(project, repeat_percent=50)
    make_judgment(make_assignment(make_task(queue), annotator, now=NOW), now=NOW)
    make_task(queue)
    repeat = claim_next(queue=queue, annotator=annotator, now=A_DAY_LATER, chance=FIRST)
    assert repeat.task.repeat_of_id is not None
    withdraw_task(task=repeat.task, withdrawn_by=curator, now=A_DAY_LATER)
    return_task(task=repeat.task, returned_by=curator, now=A_DAY_LATER)
    repeat.refresh_from_db()
    assert repeat.reserved_for == annotator
