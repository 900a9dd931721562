"""The report of agreement: which judgments count, by which tie rule, in which slices, and against what."""

from __future__ import annotations

import uuid

import pytest

from feedback.models import Score
from feedback.quality.agreement import measure_agreement
from feedback.quality.reports import Measured
from feedback.reviewing import review_judgment
from feedback.stats.agreement import ceiling
from tests.factories import make_gold, make_judgment, make_member, make_prompt, make_queue, make_response, make_task
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db


def measured(project) -> Measured:
    return measure_agreement(project=project, params={}, tell=lambda done, total, words: None)


def only_question(project):
    (question,) = measured(project).content["people"]["questions"]
    return question


def test_two_people_are_compared_under_both_tie_rules(project):
    queue = make_queue(project, name="Help")
    people = make_people(queue, 2)
    for preferences in ([2, 1], [3, 3], [-1, -3], [-2, 2], [0, 0], [0, 3]):
        vote(queue, people, preferences)
    question = only_question(project)
    ties, decisive, scale = (question["figures"][rule] for rule in ("ties", "decisive", "scale"))
    assert (question["label"], question["kind"]) == ("Help", "comparison")
    assert (ties["units"], ties["percent"][0]) == (6, pytest.approx(4 / 6, abs=1e-5))
    assert (decisive["units"], decisive["percent"][0]) == (4, 0.75)
    assert (scale["units"], scale["percent"][0]) == (6, pytest.approx(2 / 6, abs=1e-5))
    assert question["ties"] == 3 / 12
    assert question["ceiling"]["votes"]["3"][0] == pytest.approx(ceiling(0.75, 3), abs=1e-5)
    assert question["standing"] == "few"


def test_gold_repeats_rejected_judgments_and_tests_do_not_count(project, curator):
    queue = make_queue(project)
    people = make_people(queue, 2)
    vote(queue, people, [2, 2])
    make_gold(vote(queue, people, [2, -2]))
    rejected = vote(queue, people, [2, -2])
    review_judgment(judgment=rejected.judgments.first(), reviewer=curator, accepted=False, reason="No.")
    repeated = make_task(queue, prompt=rejected.prompt, responses=rejected.texts, repeat_of=rejected, slots=1)
    make_judgment(task=repeated, annotator=people[0])
    found = measured(project).content["people"]
    (question,) = found["questions"]
    assert (question["figures"]["decisive"]["units"], question["figures"]["decisive"]["percent"][0]) == (1, 1.0)
    assert found["left_out"] == {"gold": 2, "repeat": 1, "rejected": 1, "nobody": 0}
    assert (found["judgments"], found["counted"]) == (7, 3)


def test_simulated_annotators_are_kept_apart(project):
    queue = make_queue(project)
    people = make_people(queue, 2)
    robots = [make_member(project, simulation_rule="length") for _ in range(2)]
    vote(queue, [*people, *robots], [2, 2, -1, 1])
    content = measured(project).content
    (of_people,), (of_robots,) = content["people"]["questions"], content["simulated"]["questions"]
    assert of_people["figures"]["decisive"]["percent"][0] == 1.0
    assert of_robots["figures"]["decisive"]["percent"][0] == 0.0
    assert of_people["figures"]["decisive"]["raters"] == 2


def test_slices_are_of_language_tag_guideline_and_split(project, curator):
    queue = make_queue(project, name="Help")
    people = make_people(queue, 2)
    for language, preferences in (("de", [1, 1]), ("de", [2, 1]), ("en", [1, -1])):
        vote(queue, people, preferences, language=language, tags=["code"] if language == "en" else ["code", "long"],
             split="train" if language == "de" else "evaluation")  # fmt: skip
    slices = {part["dimension"]: part["rows"] for part in only_question(project)["slices"]}
    agreement = {
        name: {row["name"]: row["figures"]["decisive"]["percent"][0] for row in rows} for name, rows in slices.items()
    }
    assert agreement["language"] == {"de": 1.0, "en": 0.0}
    assert agreement["split"] == {"train": 1.0, "evaluation": 0.0}
    assert agreement["tag"] == {"code": pytest.approx(2 / 3, abs=1e-5), "long": 1.0}
    assert "guideline" not in agreement


def test_strong_preferences_are_told_from_weak_ones(project):
    queue = make_queue(project)
    people = make_people(queue, 2)
    for preferences in ([3, 3], [3, 3], [1, -1], [1, 1]):
        vote(queue, people, preferences)
    found = {each["strength"]: each for each in only_question(project)["strengths"]}
    assert (found[3]["agreement"][0], found[3]["votes"]) == (1.0, 4)
    assert (found[1]["agreement"][0], found[1]["votes"]) == (0.5, 4)


def test_two_people_who_share_enough_tasks_are_listed(project):
    queue = make_queue(project)
    people = make_people(queue, 3)
    for number in range(8):
        vote(queue, people, [1, 1 if number < 6 else -1, None])
    pairs = only_question(project)["pairs"]
    assert pairs["count"] == 1
    (pair,) = pairs["least"]
    assert pair["people"] == [people[0].pk, people[1].pk]
    assert (pair["units"], pair["percent"][0]) == (8, 0.75)


def test_rankings_are_compared_two_responses_at_a_time(project):
    queue = make_queue(project, kind="ranking")
    people = make_people(queue, 2)
    prompt = make_prompt(project)
    task = make_task(queue, slots=2, prompt=prompt, responses=[make_response(prompt) for _ in range(3)])
    for person, stored in zip(people, ([1, 2, 3], [1, 3, 2]), strict=True):
        judge_in_order(task, person, {"ranks": stored})
    question = only_question(project)
    assert (question["kind"], question["figures"]["decisive"]["units"]) == ("ranking", 3)
    assert question["figures"]["decisive"]["percent_of_pairs"][0] == pytest.approx(2 / 3, abs=1e-5)


def test_ratings_are_compared_for_each_attribute(project):
    queue = make_queue(project, kind="rating", name="Rate")
    people = make_people(queue, 2)
    task = make_task(queue, slots=2)
    first, *others = queue.schema.asks.attributes
    for person, value in zip(people, (first.values[0], first.values[-1]), strict=True):
        ratings = [{first.key: value, **{each.key: each.values[0] for each in others}} for _ in task.texts]
        make_judgment(task=task, annotator=person, answer={"ratings": ratings})
    found = {question["attribute"]: question for question in measured(project).content["people"]["questions"]}
    assert list(found) == [first.key, *(each.key for each in others)]
    assert found[first.key]["figures"]["scale"]["percent"][0] == 0.0
    assert found[others[0].key]["figures"]["scale"]["percent"][0] == 1.0


def test_queues_of_one_kind_are_also_taken_together(project):
    people = None
    for name, preferences in (("One", [1, 1]), ("Two", [1, -1])):
        queue = make_queue(project, name=name)
        people = people or make_people(queue, 2)
        vote(queue, people, preferences)
    questions = {question["label"]: question for question in measured(project).content["people"]["questions"]}
    assert set(questions) == {"One", "Two", "All comparison queues"}
    assert questions["All comparison queues"]["figures"]["decisive"]["percent"][0] == 0.5


def test_agreement_is_a_curve_over_the_gap_once_a_reward_model_has_scored(project):
    queue = make_queue(project)
    people = make_people(queue, 2)
    tasks = [vote(queue, people, [2, 2] if number >= 20 else [1, -1]) for number in range(40)]
    assert only_question(project)["gap"] is None
    scorer = uuid.uuid4()
    for number, task in enumerate(tasks):
        for place, response in enumerate(task.texts):
            Score.objects.create(project=project, response=response, scorer_id=scorer, scorer_name="rm",
                                 value=place * number / 10)  # fmt: skip
    gap = only_question(project)["gap"]
    assert (gap["scorer"], gap["tasks"]) == ("rm", 40)
    assert sum(each["tasks"] for each in gap["bins"]) == 40
    assert (gap["bins"][0]["agreement"][0], gap["bins"][-1]["agreement"][0]) == (0.0, 1.0)
    assert gap["bins"][-1]["with_model"][0] == 1.0


def judge_in_order(task, person, stored):
    """Submit a ranking that is given in response order."""
    from tests.factories import make_assignment

    held = make_assignment(task, person)
    make_judgment(held, answer={"ranks": [stored["ranks"][place] for place in held.display_order]})
