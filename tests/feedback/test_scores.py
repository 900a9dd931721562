"""What reward models say of responses: stored once per scorer, read as the gap of a comparison."""

from __future__ import annotations

import pytest

from feedback.models import Judgment, Score
from feedback.models.people import new_id
from feedback.scores import Scored, Scorer, ScoreRefused, contradicting, read_gaps, scorers, store_scores, with_gap
from tests.factories import make_judgment, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db

ONE, OTHER = Scorer(new_id(), "reward-1"), Scorer(new_id(), "reward-2")


def score(task, first: float, second: float, scorer: Scorer = ONE) -> None:
    values = zip(task.texts, (first, second), strict=True)
    project = task.queue.project
    store_scores(project=project, scorer=scorer, scored=[Scored(response.pk, value) for response, value in values])


def test_scores_are_stored_once_per_scorer(project):
    task = make_task(make_queue(project))
    rows = [Scored(response.pk, 0.5, 0.1) for response in task.texts]
    assert store_scores(project=project, scorer=ONE, scored=rows) == 2
    assert store_scores(project=project, scorer=ONE, scored=[Scored(rows[0].response, 9.0)]) == 0
    assert store_scores(project=project, scorer=OTHER, scored=rows[:1]) == 1
    assert sorted(Score.objects.values_list("scorer_name", "value", "spread")) == [
        ("reward-1", 0.5, 0.1),
        ("reward-1", 0.5, 0.1),
        ("reward-2", 0.5, 0.1),
    ]
    assert [scorer.name for scorer in scorers(project)] == ["reward-2", "reward-1"]


def test_more_scores_than_one_statement_takes(project):
    prompt = make_task(make_queue(project)).prompt
    rows = [Scored(make_response(prompt, f"text {number}").pk, number) for number in range(1_001)]
    assert store_scores(project=project, scorer=ONE, scored=rows) == 1_001
    assert store_scores(project=project, scorer=ONE, scored=rows) == 0


def test_a_response_of_another_project_and_no_number_are_refused(project):
    task = make_task(make_queue(project))
    foreign = make_response(make_task(make_queue()).prompt)
    for bad in (Scored(foreign.pk, 1.0), Scored(new_id(), 1.0)):
        with pytest.raises(ScoreRefused, match="there is no response"):
            store_scores(project=project, scorer=ONE, scored=[Scored(task.texts[0].pk, 1.0), bad])
    for value in (float("nan"), float("inf")):
        with pytest.raises(ScoreRefused, match="no finite number"):
            store_scores(project=project, scorer=ONE, scored=[Scored(task.texts[0].pk, value)])
    assert not Score.objects.exists()


def test_the_gap_has_the_sign_of_a_preference(project):
    queue = make_queue(project)
    known, unknown = make_task(queue), make_task(queue)
    score(known, 1.0, 3.5)
    score(known, 9.0, 0.0, OTHER)
    for task in (known, unknown):
        make_judgment(task=task)
    gaps = with_gap(Judgment.objects.all(), ONE.pk).values_list("task", "reward_gap")
    assert dict(gaps) == {known.pk: 2.5, unknown.pk: None}
    assert list(read_gaps(project=project, scorer=ONE.pk)) == [(known.pk, 2.5)]
    assert list(read_gaps(project=project, scorer=OTHER.pk)) == [(known.pk, -9.0)]


def test_judgments_that_contradict_the_reward_model_come_widest_gap_first(project):
    queue = make_queue(project)
    made = {}
    for name, preference, gap in (("agrees", 2, 1.0), ("narrow", 1, -0.5), ("wide", -1, 4.0), ("tie", 0, 4.0)):
        task = make_task(queue)
        score(task, 0.0, gap)
        made[make_judgment(task=task, preference=preference).pk] = name
    found = contradicting(Judgment.objects.all(), ONE.pk)
    stored = {pk: Judgment.objects.get(pk=pk).preference for pk in made}
    assert sorted(stored.values()) == [-1, 0, 1, 2]
    assert [made[judgment.pk] for judgment in found] == ["wide", "narrow"]
    assert [made[judgment.pk] for judgment in contradicting(Judgment.objects.all(), ONE.pk, least=1.0)] == ["wide"]
