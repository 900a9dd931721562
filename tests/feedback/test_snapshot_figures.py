"""What a snapshot's card says of its comparisons: figures of people, each person for themselves."""

from __future__ import annotations

import pytest

from feedback import snapshot_figures
from feedback.models import ImportedPerson
from feedback.people import create_simulated_annotator
from feedback.selection import Selection
from tests.factories import (
    make_judgment,
    make_member,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
)

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


def judged(project, *people):
    """Two tasks that the first two people judge alike; whoever comes after says the opposite."""
    queue = make_queue(project)
    for _ in range(2):
        task = make_task(queue, slots=len(people))
        for number, person in enumerate(people):
            make_judgment(task=task, annotator=person, preference=1 if number < 2 else -1)


def agreement(project, **how):
    figures = make_snapshot(project, selection=Selection(**how)).manifest["figures"]
    return (figures["agreement"]["judgments"], figures["agreement"]["percent"]["value"])


def test_people_who_judge_alike_agree(project):
    judged(project, make_member(project), make_member(project))
    assert agreement(project) == (4, 1.0)


def test_a_third_person_counts(project):
    judged(project, *(make_member(project) for _ in range(3)))
    judgments, percent = agreement(project)
    assert (judgments, round(percent, 4)) == (6, 0.3333)


def test_simulated_labels_say_nothing_of_people_even_where_they_are_included(project):
    simulated = create_simulated_annotator(project=project, username="simulated-helpful", rule="helpful")
    judged(project, make_member(project), make_member(project), simulated)
    assert agreement(project, include_simulated=True) == (4, 1.0)


def test_who_stands_for_a_whole_dataset_is_no_person_to_agree_with(project):
    voice = make_member(project)
    ImportedPerson.objects.create(project=project, external_id="dataset: hh", user=voice, stands_for_many=True)
    judged(project, make_member(project), make_member(project), voice)
    assert agreement(project) == (4, 1.0)


def said_by_two(project, queue, language: str, *preferences: int) -> None:
    prompt = make_prompt(project, language=language)
    task = make_task(queue, prompt=prompt, responses=(make_response(prompt), make_response(prompt)), slots=2)
    for preference in preferences:
        make_judgment(task=task, annotator=make_member(project), preference=preference)


def test_agreement_is_told_by_strength_language_and_arm_where_there_are_enough_tasks(project, monkeypatch):
    queue = make_queue(project, random_percent=0)
    for preferences in ((3, 3), (-3, -3)):
        said_by_two(project, queue, "en", *preferences)
    for preferences in ((1, -1), (2, -1)):
        said_by_two(project, queue, "de", *preferences)
    said_by_two(project, queue, "fr", 3, 0)

    def parts(**how) -> dict:
        found = make_snapshot(project, selection=Selection(**how)).manifest["figures"]["agreement"]["parts"]
        return {name: {one["part"]: (one["tasks"], one["value"]) for one in of} for name, of in found.items()}

    assert parts() == {"strength": {}, "language": {}, "arm": {}}
    monkeypatch.setattr(snapshot_figures, "FEWEST_TASKS", 2)
    assert parts(keep_ties=True) == {
        # A judgment by far has another's agreement in two tasks of three; a tie is another answer.
        "strength": {"3": (3, 0.6667), "1": (2, 0.0)},
        "language": {"en": (2, 1.0), "de": (2, 0.0)},
        "arm": {"priority": (5, 0.4)},
    }
