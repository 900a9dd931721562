"""What a project asks its annotators to agree to: versions, agreement before labeling, taking it back."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.claims import claim_next
from feedback.consenting import (
    ConsentRefused,
    agree,
    change_text,
    has_withdrawn,
    in_force,
    is_missing,
    text_in_force,
    withdraw,
    withdrawn_people,
)
from feedback.eligibility import NotEligible
from feedback.models import AuditEvent, Consent, ConsentText
from tests.factories import make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def ask(project, curator):
    def change(text: str) -> ConsentText | None:
        return change_text(project=project, text=text, by=curator, now=timezone.now())

    return change


def agreed(project, person, number: int) -> Consent:
    return agree(project=project, person=person, number=number, now=timezone.now())


def taken_back(project, person) -> Consent:
    return withdraw(project=project, person=person, now=timezone.now())


def test_a_project_that_asks_nothing_lets_people_label(project, annotator):
    queue = make_queue(project)
    make_task(queue)
    assert text_in_force(project) is None
    assert not is_missing(project, annotator)
    assert claim_next(queue=queue, annotator=annotator, now=timezone.now()) is not None


def test_nobody_claims_before_they_have_agreed(project, annotator, ask):
    queue = make_queue(project)
    make_task(queue)
    ask("We use your labels to train models.")
    with pytest.raises(NotEligible) as refusal:
        claim_next(queue=queue, annotator=annotator, now=timezone.now())
    assert refusal.value.code == "consent"
    consent = agreed(project, annotator, 1)
    assert (consent.text.number, consent.withdrawn_at) == (1, None)
    assert claim_next(queue=queue, annotator=annotator, now=timezone.now()) is not None


def test_a_new_version_is_asked_anew_and_the_same_text_is_none(project, annotator, ask):
    first = ask("One.")
    agreed(project, annotator, 1)
    assert ask("One.") == first
    assert not is_missing(project, annotator)
    assert ask("Two.").number == 2
    assert is_missing(project, annotator)
    with pytest.raises(ConsentRefused, match="version 2 is in force by now"):
        agreed(project, annotator, 1)
    agreed(project, annotator, 2)
    assert not is_missing(project, annotator)
    assert Consent.objects.count() == 1


def test_an_empty_text_ends_the_question(project, annotator, ask):
    ask("One.")
    ask("   ")
    assert text_in_force(project) is None
    assert not is_missing(project, annotator)
    with pytest.raises(ConsentRefused, match="nothing to agree to"):
        agreed(project, annotator, 2)


def test_agreeing_twice_is_agreeing_once(project, annotator, ask):
    ask("One.")
    assert agreed(project, annotator, 1) == agreed(project, annotator, 1)
    assert AuditEvent.objects.filter(action="consent.give").count() == 1


def test_whoever_takes_consent_back_labels_nothing_more_until_they_agree_again(project, annotator, ask):
    ask("One.")
    agreed(project, annotator, 1)
    first = taken_back(project, annotator)
    assert taken_back(project, annotator) == first, "again changes nothing"
    assert is_missing(project, annotator)
    assert has_withdrawn(project, annotator)
    assert list(withdrawn_people(project)) == [annotator.pk]
    agreed(project, annotator, 1)
    assert not is_missing(project, annotator)
    assert not has_withdrawn(project, annotator)
    assert list(withdrawn_people(project)) == []
    assert in_force(project, annotator).pk != first.pk, "what was taken back stays on record"
    taken_back(project, annotator)
    assert list(withdrawn_people(project)) == [annotator.pk]


def test_consent_is_taken_back_where_nothing_was_ever_asked(project, annotator):
    taken_back(project, annotator)
    assert is_missing(project, annotator)
    assert list(withdrawn_people(project)) == [annotator.pk]
    agreed(project, annotator, 0)
    assert not is_missing(project, annotator)


def test_consent_is_one_projects_own(project, annotator, outsider, ask):
    ask("One.")
    elsewhere = outsider.memberships.get().project
    taken_back(elsewhere, annotator)
    assert list(withdrawn_people(project)) == []
    agreed(project, annotator, 1)
    assert not is_missing(project, annotator)
    assert is_missing(elsewhere, annotator)


@pytest.mark.parametrize("text", ["x" * 50_001, "a\x00b"])
def test_a_text_that_cannot_be_stored_is_refused(ask, text):
    with pytest.raises(ConsentRefused):
        ask(text)
    assert not ConsentText.objects.exists()


def test_every_act_is_in_the_audit_log(project, annotator, curator, ask):
    ask("One.")
    agreed(project, annotator, 1)
    taken_back(project, annotator)
    events = AuditEvent.objects.order_by("id").values_list("action", "actor__username", "subject")
    assert list(events) == [
        ("consent.change", "curator", "consenttext"),
        ("consent.give", "annotator", "consent"),
        ("consent.withdraw", "annotator", "consent"),
    ]
