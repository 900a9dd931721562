"""What a report on people says: figures that can be counted by hand, and who needs a look first."""

from __future__ import annotations

import math
import uuid
from datetime import UTC, datetime, timedelta

import pytest

from feedback.models import Arm, Assignment, Judgment, Report
from feedback.quality.looks import looks_of
from feedback.quality.people import measure_people, people_report
from feedback.quality.reports import measure
from feedback.reviewing import review_judgment
from feedback.stats.intervals import wilson
from tests.factories import (
    make_gold,
    make_judgment,
    make_member,
    make_prompt,
    make_queue,
    make_response,
    make_task,
    make_user,
)

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def measured(project, **params):
    content = measure_people(project=project, params=params, tell=lambda *said: None).content
    return {
        person: {name: column[at] for name, column in content["figures"].items()}
        for at, person in enumerate(content["person"])
    }


def copies(judgment: Judgment, count: int, **values) -> None:
    """Store judgments beside the verbs: figures are counted, how a judgment is made is tested elsewhere."""
    for number in range(count):
        task = make_task(judgment.queue, slots=0)
        store(
            judgment,
            task,
            judgment.annotator,
            **{name: of(number) if callable(of) else of for name, of in values.items()},
        )


def store(like: Judgment, task, person, **values) -> Judgment:
    slot = Assignment.objects.get(pk=like.assignment_id)
    slot.pk, slot.task, slot.annotator, slot.slot, slot._state.adding = uuid.uuid4(), task, person, None, True
    slot.save()
    given = {name: getattr(like, name) for name in GIVEN}
    return Judgment.objects.create(
        **{**given, "assignment": slot, "task": task, "annotator": person, "submission_id": uuid.uuid4(), **values}
    )


GIVEN = (
    *("queue", "preference", "content", "display_order", "guideline", "policy", "schema", "propensity", "arm"),
    *("arm_propensity", "interface", "active_seconds", "created_at", "simulation_rule"),
)


@pytest.fixture
def queue(project):
    return make_queue(project, overlap=3)


@pytest.fixture
def people(project):
    return [make_member(project) for _ in range(3)]


def test_agreement_and_ties_are_what_one_counts_by_hand(project, queue, people):
    one, two, three = people
    for said in ((1, 2, -1), (3, 1, 1), (0, 0, 2)):
        task = make_task(queue)
        for person, preference in zip(people, said, strict=True):
            make_judgment(task=task, annotator=person, preference=preference)
    found = measured(project)
    # one: 1 of 2 others, 2 of 2, 1 of 2; three: none, both, none
    assert found[one.pk]["agreement"] == pytest.approx((0.5 + 1 + 0.5) / 3, abs=1e-4)
    assert found[three.pk]["agreement"] == pytest.approx(1 / 3, abs=1e-4)
    assert [found[person.pk]["compared"] for person in people] == [3, 3, 3]
    assert found[two.pk]["tie_rate"] == pytest.approx(1 / 3, abs=1e-4)
    assert found[one.pk]["judgments"] == 3


def test_gold_right_of_asked_with_wilsons_interval_and_its_evidence(project, queue, people):
    first = make_judgment(task=make_task(queue), annotator=people[0])
    for number in range(20):
        task = make_task(queue, slots=0)
        make_gold(task)
        store(first, task, people[0], arm=Arm.GOLD, preference=2 if number < 5 else -2)
    figures = measured(project)[people[0].pk]
    low, high = wilson(5, 20)
    assert (figures["gold_right"], figures["gold_asked"]) == (5, 20)
    assert (figures["gold_low"], figures["gold_high"]) == pytest.approx((float(low), float(high)), abs=1e-4)
    bets = [(p1 / 0.75) ** 5 * ((1 - p1) / 0.25) ** 15 for p1 in (0.45, 0.55, 0.65, 0.70)]
    assert figures["gold_evidence"] == pytest.approx(math.log10(sum(bets) / 4), abs=1e-3)
    assert figures["gold_named"]
    look = looks_of(figures)[0]
    assert (look.code, look.weight) == ("gold", 3)
    assert "5 of 20 known answers right (25 %" in look.why


def test_of_somebody_without_gold_or_overlap_nothing_is_said(project, queue, people):
    make_judgment(task=make_task(queue), annotator=people[0])
    figures = measured(project)[people[0].pk]
    for name in ("gold_low", "gold_evidence", "accuracy", "agreement", "same", "bits"):
        assert figures[name] is None, name
    assert looks_of(figures) == []


def test_dawid_and_skene_tell_who_contradicts_everybody(project, queue):
    people = [make_member(project) for _ in range(5)]
    first = make_judgment(task=make_task(queue), annotator=people[0])
    for number in range(40):
        task = make_task(queue, slots=0)
        side = 2 if number % 2 else -2
        for person in people[:4]:
            store(first, task, person, preference=side)
        store(first, task, people[4], preference=2 if number % 4 < 2 else -2)
    found = measured(project)
    assert found[people[0].pk]["accuracy_low"] > 0.85
    assert found[people[4].pk]["accuracy"] == pytest.approx(0.5, abs=0.06)
    assert found[people[0].pk]["bits"] > 0.8
    assert found[people[4].pk]["bits"] < 0.05
    assert found[people[0].pk]["useful"] == pytest.approx(41 * found[people[0].pk]["bits"], rel=0.05)


def test_repeats_tell_how_often_somebody_says_the_same_again(project, queue, people):
    first = make_judgment(task=make_task(queue), annotator=people[0])
    for number in range(10):
        task = make_task(queue, slots=0)
        store(first, task, people[0], preference=2)
        again = make_task(queue, slots=0, prompt=task.prompt, responses=task.texts, repeat_of=task)
        store(first, again, people[0], preference=1 if number < 8 else -1)
    figures = measured(project)[people[0].pk]
    assert (figures["repeats"], figures["same"]) == (10, pytest.approx(0.8))
    assert figures["same_accuracy"] == pytest.approx(0.887, abs=1e-3)  # (1 + sqrt(2 * 0.8 - 1)) / 2


def test_somebody_who_always_takes_the_first_is_drawn_by_the_side(project, queue, people):
    first = make_judgment(task=make_task(queue), annotator=people[0])
    for number in range(60):
        swapped = number % 2
        task = make_task(queue, slots=0)
        order, preference = ([1, 0], 2) if swapped else ([0, 1], -2)
        store(first, task, people[0], display_order=order, preference=preference)
        store(first, task, people[1], display_order=order, preference=2 if number % 4 < 2 else -2)
    found = measured(project)
    assert found[people[0].pk]["first_rate"] > 0.95
    assert found[people[0].pk]["side_low"] > 0.7
    assert "side" in [look.code for look in looks_of(found[people[0].pk])]
    assert found[people[1].pk]["first_rate"] == pytest.approx(0.5)
    assert looks_of(found[people[1].pk]) == []


def test_the_longer_response_is_counted_in_words(project, queue, people):
    prompt = make_prompt(project)
    short, long = make_response(prompt, "Yes."), make_response(prompt, "Yes, and\nhere is why in many words.")
    task = make_task(queue, prompt=prompt, responses=[short, long])
    place = [text.pk for text in task.texts].index(long.pk)
    make_judgment(task=task, annotator=people[0], preference=2 if place else -2, active_seconds=16.0)
    figures = measured(project)[people[0].pk]
    assert figures["longer_rate"] == 1.0
    assert figures["per_100_words"] == pytest.approx(1600 / 9, abs=1e-3)  # 16 seconds for 1 + 8 words
    assert figures["seconds_median"] == 16.0
    assert figures["fast"] == 0.0


def test_pace_is_measured_where_somebody_measured_it(project, queue, people):
    first = make_judgment(task=make_task(queue), annotator=people[0], active_seconds=10.0)
    copies(first, 4, active_seconds=lambda number: [2.0, 4.0, 8.0, None][number])
    figures = measured(project)[people[0].pk]
    assert (figures["timed"], figures["seconds_median"], figures["hours"]) == (
        4,
        6.0,
        pytest.approx(24 / 3600, abs=1e-4),
    )


def test_reviews_that_stand_count_and_a_rejected_judgment_leaves_agreement(project, queue, people, curator):
    task = make_task(queue)
    bad = make_judgment(task=task, annotator=people[0])
    make_judgment(task=task, annotator=people[1])
    review_judgment(judgment=bad, reviewer=curator, accepted=False, reason="No.")
    found = measured(project)
    assert (found[people[0].pk]["rejected"], found[people[1].pk]["rejected"]) == (1, 0)
    assert found[people[1].pk]["compared"] == 0


def test_simulated_people_stand_apart_and_nobody_looks_at_them(project, queue, people, curator):
    robot = make_member(project, user=make_user(simulation_rule="coin"))
    task = make_task(queue)
    for person in (*people[:2], robot):
        make_judgment(task=task, annotator=person)
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    rows = people_report(project=project).rows
    assert [row.simulated for row in rows] == [False, False, True]
    assert (rows[2].person, rows[2].looks) == (robot.pk, [])
    assert people_report(project=project).of(people[0].pk).figures["compared"] == 1


def test_one_queue_is_measured_by_itself(project, queue, people):
    make_judgment(task=make_task(queue), annotator=people[0])
    other = make_queue(project)
    make_judgment(queue=other, annotator=people[0])
    make_judgment(queue=other, annotator=people[1])
    assert measured(project)[people[0].pk]["judgments"] == 2
    assert set(measured(project, queue=str(queue.pk))) == {people[0].pk}


def test_nothing_at_all_can_be_measured(project):
    assert measured(project) == {}


def test_when_somebody_began_and_judged_last(project, queue, people):
    first = make_judgment(task=make_task(queue), annotator=people[0], now=NOW)
    copies(first, 1, created_at=NOW + timedelta(days=3))
    figures = measured(project)[people[0].pk]
    assert (figures["first"], figures["last"]) == ("2030-05-06T12:00:00+00:00", "2030-05-09T12:00:00+00:00")


def test_ratings_agree_within_one_step(project, people):
    queue = make_queue(project, kind="rating", overlap=2)
    task = make_task(queue)
    asked = queue.schema.asks.attributes
    for person, value in ((people[0], 2), (people[1], 3)):
        values = {each.key: 1 if each.style == "thumbs" else value for each in asked}
        make_judgment(task=task, annotator=person, answer={"ratings": [values]})
    found = measured(project)
    assert found[people[0].pk]["agreement"] == 1.0
    assert found[people[0].pk]["compared"] == len(asked)
