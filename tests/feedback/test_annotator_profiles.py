"""What routes work to a person: languages and hourly rate, and expertise that somebody vouches for."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.utils import timezone

from feedback.models import AnnotatorProfile, Expertise
from feedback.people import ExpertiseRefused, ProfileRefused, save_profile, verify_expertise, withdraw_expertise
from tests.factories import make_user

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def test_a_profile_is_stored_and_replaced():
    person = make_user()
    save_profile(person=person, languages=["en", " pt-BR ", "en", ""], hourly_rate=Decimal("24.5"), currency="eur")
    profile = AnnotatorProfile.objects.get(user=person)
    assert (profile.languages, profile.hourly_rate, profile.currency) == (["en", "pt-BR"], Decimal("24.50"), "EUR")
    save_profile(person=person, languages=[], hourly_rate=None, currency="")
    profile.refresh_from_db()
    assert (profile.languages, profile.hourly_rate, profile.currency) == ([], None, "")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("languages", {"languages": "en"}),
        ("languages", {"languages": ["english please"]}),
        ("languages", {"languages": ["en_GB"]}),
        ("languages", {"languages": ["x" * 21]}),
        ("languages", {"languages": [f"aa-{number}" for number in range(51)]}),
        ("hourly_rate", {"hourly_rate": Decimal("-1")}),
        ("hourly_rate", {"hourly_rate": Decimal("NaN")}),
        ("hourly_rate", {"hourly_rate": Decimal("1e9")}),
        ("currency", {"hourly_rate": Decimal("10")}),
        ("currency", {"currency": "euro"}),
    ],
)
def test_bad_values_are_named_and_nothing_is_stored(field, values):
    with pytest.raises(ProfileRefused) as caught:
        save_profile(person=make_user(), **{"languages": ["en"], "hourly_rate": None, "currency": "", **values})
    assert caught.value.field == field
    assert not AnnotatorProfile.objects.exists()


def test_expertise_names_its_evidence_and_who_vouches():
    person, curator = make_user(), make_user()
    known = verify_expertise(person=person, domain=" Medicine ", evidence=" Board certified. ", verified_by=curator)
    assert (known.user, known.domain, known.evidence, known.verified_by) == (
        person,
        "medicine",
        "Board certified.",
        curator,
    )


def test_expertise_is_withdrawn_once_and_can_be_verified_anew():
    person, curator = make_user(), make_user()
    values = {"person": person, "domain": "law", "evidence": "Bar exam.", "verified_by": curator}
    known = verify_expertise(**values)
    with pytest.raises(ExpertiseRefused, match="withdraw that first"):
        verify_expertise(**values)
    assert withdraw_expertise(expertise=known, now=NOW).withdrawn_at == NOW
    assert withdraw_expertise(expertise=known, now=timezone.now()).withdrawn_at == NOW
    verify_expertise(**values)
    assert Expertise.objects.filter(withdrawn_at__isnull=True).count() == 1


def test_nobody_vouches_for_themselves():
    person = make_user()
    with pytest.raises(ExpertiseRefused, match="nobody vouches for themselves"):
        verify_expertise(person=person, domain="law", evidence="I know.", verified_by=person)


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("domain", {"domain": " "}),
        ("domain", {"domain": "x" * 61}),
        ("evidence", {"evidence": ""}),
        ("evidence", {"evidence": "\x00"}),
    ],
)
def test_expertise_needs_a_domain_and_evidence(field, values):
    with pytest.raises(ExpertiseRefused) as caught:
        verify_expertise(
            **{"person": make_user(), "domain": "law", "evidence": "x", "verified_by": make_user(), **values}
        )
    assert caught.value.field == field
    assert not Expertise.objects.exists()
