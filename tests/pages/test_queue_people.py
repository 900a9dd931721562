"""The people of a queue, and the page of a person."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.urls import reverse

from feedback.models import AnnotatorProfile, Expertise, Qualification, QueueMember
from feedback.people import save_profile, verify_expertise
from tests.factories import make_member, make_queue


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def at(name: str, queue, *more) -> str:
    return reverse(name, args=[queue.project.slug, queue.pk, *more])


def test_a_person_is_named_and_taken_off(project, annotator, curator, client):
    queue = make_queue(project, named_only=True)
    assert "Nobody is named" in client.get(reverse("queue", args=[project.slug, queue.pk])).content.decode()
    client.post(at("queue-person-name", queue), {"person": annotator.pk})
    member = QueueMember.objects.get()
    assert (member.queue, member.person, member.named_by) == (queue, annotator, curator)
    assert "annotator" in client.get(at("queue-people", queue)).content.decode()
    client.post(at("queue-person-unname", queue, annotator.pk))
    assert not QueueMember.objects.exists()


def test_only_annotators_of_the_project_are_named(project, ml_staff, outsider, client):
    queue = make_queue(project)
    for person in (ml_staff, outsider):
        assert client.post(at("queue-person-name", queue), {"person": person.pk}).status_code == 422
    assert client.post(at("queue-person-unname", queue, ml_staff.pk)).status_code == 404


def test_a_curators_word_decides_a_test(project, annotator, curator, client):
    test = make_queue(project, kind="rating", is_qualification=True)
    said = {"person": annotator.pk, "passed": "yes", "reason": "Has done it elsewhere."}
    client.post(at("queue-qualification", test), said)
    word = Qualification.objects.get()
    assert (word.person, word.passed, word.decided_by) == (annotator, True, curator)
    page = client.get(at("queue-people", test)).content.decode()
    assert "Has done it elsewhere." in page
    assert "by word" in page


@pytest.mark.parametrize("wrong", [{"reason": " "}, {"passed": "perhaps"}, {"person": ""}])
def test_a_word_without_person_result_or_reason_is_refused(project, annotator, client, wrong):
    test = make_queue(project, kind="rating", is_qualification=True)
    said = {"person": annotator.pk, "passed": "no", "reason": "Why.", **wrong}
    assert client.post(at("queue-qualification", test), said).status_code == 422
    assert not Qualification.objects.exists()


def test_a_queue_that_is_no_test_has_nothing_to_decide(project, annotator, client):
    queue = make_queue(project)
    said = {"person": annotator.pk, "passed": "no", "reason": "Why."}
    assert client.post(at("queue-qualification", queue), said).status_code == 404
    assert not Qualification.objects.exists()


def test_ml_staff_see_pseudonyms(project, annotator, ml_staff, client):
    test = make_queue(project, kind="rating", is_qualification=True)
    client.post(at("queue-person-name", test), {"person": annotator.pk})
    client.force_login(ml_staff)
    page = client.get(at("queue-people", test)).content.decode()
    assert project.pseudonym(annotator) in page
    assert ">annotator<" not in page


# One person -------------------------------------------------------------------------------------------


def of(name: str, project, person, *more) -> str:
    return reverse(name, args=[project.slug, person.pk, *more])


def test_a_curator_stores_languages_and_leaves_the_rate_alone(project, annotator, client):
    save_profile(person=annotator, languages=["de"], hourly_rate=Decimal("20"), currency="EUR")
    page = client.get(of("member", project, annotator)).content.decode()
    assert "hourly" not in page.lower()
    assert "EUR" not in page
    client.post(of("member", project, annotator), {"languages": "en, pt-BR", "hourly_rate": "1", "currency": "USD"})
    profile = AnnotatorProfile.objects.get()
    assert (profile.languages, profile.hourly_rate, profile.currency) == (["en", "pt-BR"], Decimal("20.00"), "EUR")


def test_an_admin_stores_the_rate_too(project, annotator, project_admin, client):
    client.force_login(project_admin)
    client.post(of("member", project, annotator), {"languages": "en", "hourly_rate": "18.50", "currency": "eur"})
    profile = AnnotatorProfile.objects.get()
    assert (profile.languages, profile.hourly_rate, profile.currency) == (["en"], Decimal("18.50"), "EUR")


@pytest.mark.parametrize(
    "wrong", [{"languages": "not a code!"}, {"hourly_rate": "-1"}, {"hourly_rate": "20", "currency": "euros"}]
)
def test_a_profile_that_cannot_be_is_refused_on_its_field(project, annotator, project_admin, client, wrong):
    client.force_login(project_admin)
    values = {"languages": "en", "hourly_rate": "", "currency": "", **wrong}
    answer = client.post(of("member", project, annotator), values)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not AnnotatorProfile.objects.exists()


def test_expertise_is_verified_with_evidence_and_withdrawn(project, annotator, curator, client):
    client.post(of("member-expertise", project, annotator), {"domain": "Medicine", "evidence": "A licence, seen."})
    known = Expertise.objects.get()
    assert (known.domain, known.verified_by, known.withdrawn_at) == ("medicine", curator, None)
    assert "A licence, seen." in client.get(of("member", project, annotator)).content.decode()
    client.post(of("member-expertise-withdraw", project, annotator, known.pk))
    known.refresh_from_db()
    assert known.withdrawn_at is not None


def test_expertise_without_evidence_or_twice_is_refused(project, annotator, curator, client):
    verify_expertise(person=annotator, domain="law", evidence="A degree.", verified_by=curator)
    for wrong in ({"domain": "medicine", "evidence": ""}, {"domain": "Law", "evidence": "Again."}):
        assert client.post(of("member-expertise", project, annotator), wrong).status_code == 422
    assert Expertise.objects.count() == 1


def test_nobody_vouches_for_themselves(project, curator, client):
    answer = client.post(of("member-expertise", project, curator), {"domain": "law", "evidence": "Me."})
    assert answer.status_code == 422
    assert "vouches for themselves" in answer.content.decode()


def test_the_page_names_tests_and_queues(project, annotator, curator, client):
    test = make_queue(project, kind="rating", is_qualification=True, name="Entrance test")
    client.post(at("queue-qualification", test), {"person": annotator.pk, "passed": "no", "reason": "Too fast."})
    client.post(at("queue-person-name", test), {"person": annotator.pk})
    page = client.get(of("member", project, annotator)).content.decode()
    assert page.count("Entrance test") == 2
    assert "Too fast." in page


def test_somebody_elses_person_and_expertise_are_not_found(project, annotator, outsider, curator, client):
    known = verify_expertise(person=outsider, domain="law", evidence="A degree.", verified_by=curator)
    assert client.get(of("member", project, outsider)).status_code == 404
    assert client.post(of("member-expertise-withdraw", project, annotator, known.pk)).status_code == 404


def test_the_list_links_to_people_for_curators_only(project, annotator, ml_staff, client):
    other = make_member(project)
    assert of("member", project, other) in client.get(reverse("members", args=[project.slug])).content.decode()
    client.force_login(ml_staff)
    assert of("member", project, other) not in client.get(reverse("members", args=[project.slug])).content.decode()
