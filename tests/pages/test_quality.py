"""The pages of quality: what is said first, where one comes from there, and that looking changes nothing."""

from __future__ import annotations

import uuid

import pytest
from django.urls import reverse

from feedback.models import Job, Report, Score
from feedback.quality import reports
from feedback.quality.reports import measure
from tests.factories import make_member, make_queue
from tests.quality.voting import make_people, vote

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, name="Help")


def fill(queue, agreeing, differing, models=("ash", "birch")):
    people = make_people(queue, 2)
    for number in range(agreeing + differing):
        vote(queue, people, [1, 1] if number < agreeing else [1, -1], models=models)
    return people


def page(client, person, name, project, **query):
    client.force_login(person)
    answer = client.get(reverse(name, args=[project.slug]), query)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_overview_says_that_nothing_is_measured_and_measures_at_the_press_of_a_button(client, queue, curator):
    fill(queue, 8, 32)
    text = page(client, curator, "quality", queue.project)
    assert "Nothing has been measured yet" in text
    assert "Measure now" in text
    assert not Report.objects.exists()
    answer = client.post(reverse("quality-measure", args=[queue.project.slug]), {"report": "all"})
    assert answer.status_code == 302
    assert set(Report.objects.values_list("kind", flat=True)) >= {"agreement", "models", "people"}
    text = page(client, curator, "quality", queue.project)
    assert "Low agreement in Help" in text
    assert "20 % name the same one" in " ".join(text.split())
    assert f"{reverse('quality-agreement', args=[queue.project.slug])}?question={queue.pk.hex}" in text


def test_looking_writes_nothing(client, queue, curator):
    fill(queue, 2, 1)
    for name in ("quality", "quality-agreement", "quality-models", "quality-what-if"):
        page(client, curator, name, queue.project)
    page(client, curator, "quality-what-if", queue.project, flags="unsafe")
    assert not Job.objects.exists()
    assert not Report.objects.exists()


def test_agreement_says_first_what_is_wrong_and_shows_every_coefficient(client, queue, curator):
    fill(queue, 8, 32)
    measure(project=queue.project, kind="agreement", created_by=curator)
    text = page(client, curator, "quality-agreement", queue.project)
    assert "People agree less than is usual in “Help”" in text
    assert reverse("queue-guidelines", args=[queue.project.slug, queue.pk]) in text
    assert text.index("People agree less") < text.index("Coefficients")
    for words in ("alpha, nominal", "alpha, ordinal", "AC1", "InstructGPT", "No reward model has scored", "none since"):
        assert words in text


def test_agreement_that_is_usual_is_said_to_be(client, queue, curator):
    fill(queue, 32, 8)
    measure(project=queue.project, kind="agreement", created_by=curator)
    text = page(client, curator, "quality-agreement", queue.project)
    assert "People agree as far as is usual" in text
    assert "80.0 % (" in text


def test_one_opinion_each_cannot_be_compared_and_the_page_says_what_to_do(client, queue, curator):
    vote(queue, make_people(queue, 1), [1])
    measure(project=queue.project, kind="agreement", created_by=curator)
    text = page(client, curator, "quality-agreement", queue.project)
    assert "There is nothing to compare yet" in text
    assert reverse("queue-policy", args=[queue.project.slug, queue.pk]) in text


def test_simulated_annotators_have_a_page_apart(client, queue, curator):
    fill(queue, 3, 0)
    robots = [make_member(queue.project, simulation_rule="length") for _ in range(2)]
    vote(queue, robots, [1, -1])
    measure(project=queue.project, kind="agreement", created_by=curator)
    assert "See them apart" in page(client, curator, "quality-agreement", queue.project)
    text = page(client, curator, "quality-agreement", queue.project, who="simulated")
    assert "they say nothing of people" in text


def test_two_people_are_shown_by_name_to_curators_and_by_pseudonym_to_ml_staff(client, queue, curator, ml_staff):
    people = fill(queue, 5, 4)
    measure(project=queue.project, kind="agreement", created_by=curator)
    assert people[0].username in page(client, curator, "quality-agreement", queue.project)
    text = page(client, ml_staff, "quality-agreement", queue.project)
    assert people[0].username not in text
    assert queue.project.pseudonym(people[0]) in text


def test_the_gap_of_a_reward_model_is_drawn_with_its_table(client, queue, curator):
    fill(queue, 20, 20)
    scorer = uuid.uuid4()
    for number, task in enumerate(queue.tasks.all()):
        for place, response in enumerate(task.texts):
            Score.objects.create(project=queue.project, response=response, scorer_id=scorer, scorer_name="rm-7",
                                 value=place * number)  # fmt: skip
    measure(project=queue.project, kind="agreement", created_by=curator)
    text = page(client, curator, "quality-agreement", queue.project)
    assert "Rewards of “rm-7”" in text
    assert "the table below says the same" in text


def test_models_are_shown_raw_and_with_style_held_equal(client, queue, curator):
    fill(queue, 12, 8)
    measure(project=queue.project, kind="models", created_by=curator)
    text = page(client, curator, "quality-models", queue.project)
    for words in ("ash", "birch", "Length and style held equal", "How few votes would flip first place", "Davidson"):
        assert words in text


def test_models_without_names_say_how_to_name_them(client, queue, curator):
    fill(queue, 2, 1, models=("", ""))
    measure(project=queue.project, kind="models", created_by=curator)
    text = page(client, curator, "quality-models", queue.project)
    assert "Give responses a model_name when you import them" in " ".join(text.split())


def test_what_if_is_asked_computed_and_shown_with_a_way_to_freeze_it(client, queue, curator):
    people = fill(queue, 6, 3)
    client.force_login(curator)
    address = reverse("quality-what-if", args=[queue.project.slug])
    asked = {"people": [people[1].pk], "days": ""}
    answer = client.post(address, asked)
    assert answer.status_code == 302
    assert answer["Location"] == f"{address}?people={people[1].pk}"
    text = client.get(answer["Location"]).content.decode()
    assert "9 of 18 judgments, by 1 person" in " ".join(text.split())
    freeze = reverse("snapshot-freeze", args=[queue.project.slug])
    assert f"{freeze}?without_people={people[1].pk}" in text
    assert "would change place" in text


def test_ml_staff_sees_what_if_without_the_button_that_freezes(client, queue, curator, ml_staff):
    people = fill(queue, 3, 1)
    measure(project=queue.project, kind="what_if", params={"people": [people[1].pk]}, created_by=curator)
    text = page(client, ml_staff, "quality-what-if", queue.project, people=people[1].pk)
    assert "What would be left out" in text
    assert reverse("snapshot-freeze", args=[queue.project.slug]) not in text


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({}, "Choose at least one"),
        ({"people": "999999999"}, "999999999 is not one of the available choices"),
        ({"days": "yesterday"}, "is neither a date"),
        ({"days": "2026-03-02..2026-03-01"}, "ends before it begins"),
        ({"days": "0001-01-01..9999-12-31"}, "longer than a year"),
        ({"guidelines": "x" * 3000}, "not one of the available choices"),
        ({"flags": "\x00"}, "not one of the available choices"),
    ],
)
def test_what_cannot_be_left_out_is_refused_beside_its_field(client, queue, curator, asked, said):
    client.force_login(curator)
    answer = client.post(reverse("quality-what-if", args=[queue.project.slug]), asked)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not Job.objects.exists()


def test_a_measurement_that_waits_is_shown_and_not_asked_for_twice(client, queue, curator, monkeypatch):
    monkeypatch.setattr(reports, "INLINE_JUDGMENTS", 0)
    fill(queue, 1, 0)
    client.force_login(curator)
    for _ in range(2):
        client.post(reverse("quality-measure", args=[queue.project.slug]), {"report": "agreement"})
    assert Job.objects.count() == 1
    text = page(client, curator, "quality-agreement", queue.project)
    assert reverse("job-live", args=[queue.project.slug, Job.objects.get().pk]) in text
    assert "Measure now" not in text


def test_the_button_leads_back_to_its_page_and_nowhere_else(client, queue, curator):
    client.force_login(curator)
    address = reverse("quality-measure", args=[queue.project.slug])
    there = reverse("quality-models", args=[queue.project.slug])
    assert client.post(address, {"report": "models", "next": there})["Location"] == there
    elsewhere = client.post(address, {"report": "models", "next": "https://elsewhere.example/"})
    assert elsewhere["Location"] == reverse("quality", args=[queue.project.slug])
    assert client.post(address, {"report": "weather"}).status_code == 422


def test_who_may_not_read_judgments_may_not_measure(client, queue, annotator, outsider):
    for person, status in ((annotator, 403), (outsider, 404)):
        client.force_login(person)
        for name in ("quality-measure", "quality-what-if"):
            assert client.post(reverse(name, args=[queue.project.slug]), {"report": "all"}).status_code == status
    assert not Job.objects.exists()
