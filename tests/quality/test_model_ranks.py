"""The report on models: who wrote what, strengths and their errors, ties, style, rankings, and fragile first places."""

from __future__ import annotations

import uuid

import pytest

from feedback.answering import WrittenAnswer, answer_turn, claim_turn, turn_lease
from feedback.models import ImportedPerson, Judgment
from feedback.quality.model_ranks import measure_models
from feedback.quality.reports import measure, report_for
from feedback.reviewing import review_judgment
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task
from tests.feedback.talks import choose_it, hold, make_talk_queue, say_it
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db

MODELS = ("ash", "birch")


def measured(project):
    return measure_models(project=project, params={}, tell=lambda done, total, words: None).content


@pytest.fixture
def queue(project):
    return make_queue(project)


def test_votes_of_people_rank_the_models(project, queue):
    people = make_people(queue, 3)
    for preferences in ([-2, -1, 1], [-1, -2, -3], [0, 1, -1]):
        vote(queue, people, preferences, models=MODELS)
    found = measured(project)
    ranks = found["comparisons"]
    assert (found["votes"], found["people"], found["unnamed"]) == (9, 3, 0)
    assert found["ties"] == pytest.approx(1 / 9, abs=1e-5)
    assert [model["name"] for model in ranks["models"]] == ["ash", "birch"]
    ash, birch = ranks["models"]
    assert (ash["votes"], ash["won"], ash["tied"]) == (9, 6, 1)
    # Two models: log-odds of 6.5 to 2.5, shared out on both sides of 0
    assert ash["raw"][0] == pytest.approx(0.5 * 0.955511, abs=1e-4)
    assert birch["raw"][0] == pytest.approx(-ash["raw"][0], abs=1e-4)
    assert ash["raw"][1] < ash["raw"][0] < ash["raw"][2]
    # Davidson, of two models: log-odds of 6 to 2
    assert ash["davidson"][0] - birch["davidson"][0] == pytest.approx(1.098612, abs=1e-4)
    assert ranks["table"] == {"won": [[0, 6], [2, 0]], "tied": [[0, 1], [1, 0]]}
    assert (ranks["lead"]["first"], ranks["lead"]["second"]) == MODELS


def test_how_few_votes_flip_first_place_is_counted(project, queue):
    people = make_people(queue, 3)
    for preferences in ([-1, -1, 1], [-1, 1, 1], [-1, -1, 1]):
        vote(queue, people, preferences, models=MODELS)
    ranks = measured(project)["comparisons"]
    # 5 to 4: without two of the five it is 3 to 4
    assert (ranks["flip_votes"]["dropped"], ranks["flip_votes"]["of"], ranks["flip_votes"]["rival"]) == (2, 9, "birch")
    assert ranks["flip_people"]["dropped"] == 1
    assert ranks["flip_people"]["people"] == [people[0].pk]


def test_simulated_and_rejected_votes_and_votes_without_names_do_not_count(project, queue, curator):
    people = make_people(queue, 1)
    robot = make_member(project, simulation_rule="length")
    vote(queue, [*people, robot], [-1, 1], models=MODELS)
    rejected = vote(queue, people, [1], models=MODELS).judgments.get()
    review_judgment(judgment=rejected, reviewer=curator, accepted=False, reason="No.")
    vote(queue, people, [1], models=("ash", ""))
    vote(queue, people, [1], models=("ash", "ash"))
    found = measured(project)
    assert (found["votes"], found["unnamed"]) == (1, 1)
    assert found["comparisons"]["lead"] is None
    assert [model["raw"] for model in found["comparisons"]["models"]] == [None, None]


def test_a_checkpoint_keeps_its_id_and_a_person_is_one_of_the_writers(project, queue):
    people = make_people(queue, 2)
    prompt, checkpoint = make_prompt(project), uuid.uuid4()
    responses = [
        make_response(prompt, model_name="policy", checkpoint_id=checkpoint),
        make_response(prompt, model_name="", person=people[0]),
    ]
    task = make_task(queue, slots=2, prompt=prompt, responses=responses)
    for person, preference in zip(people, (1, -1), strict=True):
        make_judgment(task=task, annotator=person, preference=preference)
    models = {model["name"]: model for model in measured(project)["comparisons"]["models"]}
    assert set(models) == {"policy", "people"}
    assert models["policy"]["checkpoint"] == str(checkpoint).replace("-", "")
    assert models["people"]["checkpoint"] is None


def test_length_is_held_equal_beside_the_raw_strengths(project, queue):
    people = make_people(queue, 2)
    for number in range(24):
        prompt = make_prompt(project)
        long, short = "word " * (10 + 5 * (number % 7)), "word " * (5 + number % 3)
        texts = (long, short) if number % 3 else (short, long)
        responses = [make_response(prompt, text, model_name=name) for text, name in zip(texts, MODELS, strict=True)]
        task = make_task(queue, slots=2, prompt=prompt, responses=responses)
        towards_long = -1 if number % 3 else 1
        for person, preference in zip(
            people, (towards_long, towards_long if number % 5 else -towards_long), strict=True
        ):
            make_judgment(task=task, annotator=person, preference=preference)
    ranks = measured(project)["comparisons"]
    effects = {effect["name"]: effect["effect"] for effect in ranks["effects"]}
    ash = ranks["models"][0]
    assert effects["words"][0] > 0.5
    assert abs(ash["controlled"][0]) < abs(ash["raw"][0])


def test_style_is_counted_in_the_database(project, queue):
    people = make_people(queue, 1)
    prompt = make_prompt(project)
    text = "# Head\n\nSome **bold** words\n- one\n- two\n1. three"
    responses = [make_response(prompt, text, model_name="ash"), make_response(prompt, "", model_name="birch")]
    make_judgment(task=make_task(queue, slots=1, prompt=prompt, responses=responses), annotator=people[0])
    from feedback.quality.columns import read_columns
    from feedback.quality.writers import FEATURES, read_writers

    writers = read_writers(read_columns(project=project), project)
    first = dict(zip(FEATURES, writers.features[0, 0].tolist(), strict=True))
    assert first == {"words": 12, "headers": 1, "list items": 3, "bold words": 1}
    assert writers.features[0, 1].tolist() == [1, 0, 0, 0]
    assert [writers.names[at] for at in writers.writer[0]] == ["ash", "birch"]


def test_rankings_have_strengths_of_their_own(project):
    queue = make_queue(project, kind="ranking")
    people = make_people(queue, 3)
    for ranks in ([1, 2, 3], [1, 3, 2], [2, 1, 3], [3, 2, 1], [2, 3, 1]):
        prompt = make_prompt(project)
        responses = [make_response(prompt, model_name=name) for name in ("ash", "birch", "cedar")]
        task = make_task(queue, slots=1, prompt=prompt, responses=responses)
        from tests.factories import make_assignment

        held = make_assignment(task, people[ranks[0] - 1])
        make_judgment(held, answer={"ranks": [ranks[place] for place in held.display_order]})
    found = measured(project)
    assert found["comparisons"] is None
    assert found["rankings"]["rankings"] == 5
    assert found["rankings"]["models"][0]["name"] == "ash"
    assert sum(model["raw"][0] for model in found["rankings"]["models"]) == pytest.approx(0, abs=1e-4)


def test_choices_at_the_turns_of_talks_are_votes_once_the_talk_is_judged(project):
    queue = make_talk_queue(project)
    slot = hold(queue)
    for number, preference in ((1, -2), (2, 0), (3, 1)):
        say_it(slot, f"Words of turn {number}.", number)
        turn = claim_turn(worker="somebody")
        answers = [WrittenAnswer("One.", True, model_name="ash"), WrittenAnswer("Two.", True, model_name="birch")]
        answer_turn(turn_lease(turn), answers=answers)
        choose_it(slot, preference, number)
    assert measured(project)["votes"] == 0
    make_judgment(slot, answer={})
    found = measured(project)
    ash = {model["name"]: model for model in found["comparisons"]["models"]}["ash"]
    assert (found["votes"], ash["won"], ash["tied"], ash["votes"]) == (3, 1, 1, 3)


def test_a_project_without_models_says_so(project):
    assert measured(project) == {
        "votes": 0, "unnamed": 0, "people": 0, "ties": None, "comparisons": None, "rankings": None,
    }  # fmt: skip


def test_a_dataset_that_names_nobody_votes_but_is_no_person(project, queue, curator):
    """Its votes are not one person's: its intervals are as those of as many people, and no figure is about it."""
    people = make_people(queue, 4)
    for person, preference in zip(people, [-1, -1, -1, 1], strict=True):
        vote(queue, [person], [preference], models=("ash", "birch"))
    measure(project=project, kind="models", created_by=curator)
    by_people = report_for(project=project, kind="models").content
    dataset, again = make_people(queue, 2)
    Judgment.objects.update(annotator=dataset)
    for number, one in enumerate((dataset, again)):
        ImportedPerson.objects.create(project=project, external_id=f"{number}", user=one, stands_for_many=True)
    measure(project=project, kind="models", created_by=curator)
    by_nobody = report_for(project=project, kind="models").content
    assert by_nobody["comparisons"]["models"] == by_people["comparisons"]["models"]
    assert (by_people["people"], by_nobody["people"]) == (4, 0)
    vote(queue, [dataset, again, *people[:2]], [2, -2, 1, 1])
    measure(project=project, kind="agreement", created_by=curator)
    agreement = report_for(project=project, kind="agreement").content["people"]
    assert (agreement["people"], agreement["left_out"]["nobody"]) == (2, 6)
    assert agreement["questions"][0]["figures"]["decisive"]["percent"][0] == 1
    measure(project=project, kind="people", created_by=curator)
    assert sorted(report_for(project=project, kind="people").content["person"]) == sorted(p.pk for p in people[:2])
