"""Who may claim in a queue: each rule lets in whom it should, and refuses the others by its code."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feedback.appointing import name_person, unname_person
from feedback.claims import SlotGone, claim_next, reclaim
from feedback.eligibility import NotEligible, check_eligible
from feedback.people import save_profile, verify_expertise, withdraw_expertise
from feedback.qualifying import decide_qualification
from feedback.queues import change_policy
from tests.factories import make_assignment, make_judgment, make_member, make_prompt, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def refusal(queue, person, now=NOW) -> str:
    with pytest.raises(NotEligible) as caught:
        claim_next(queue=queue, annotator=person, now=now)
    assert str(caught.value)
    return caught.value.code


def speaks(person, *languages: str) -> None:
    save_profile(person=person, languages=languages, hourly_rate=None, currency="")


def test_without_rules_everybody_may_claim_and_two_statements_ask(project, annotator, django_assert_num_queries):
    queue = make_queue(project)
    with django_assert_num_queries(2):  # for consent, and for a curator's decision that the person gets no new tasks
        check_eligible(queue=queue, annotator=annotator, now=NOW)


def test_only_named_people_claim_where_the_policy_says_so(project, annotator, curator):
    queue = make_queue(project, named_only=True)
    make_task(queue, slots=3)
    assert refusal(queue, annotator) == "not_named"
    name_person(queue=queue, person=annotator, named_by=curator)
    held = claim_next(queue=queue, annotator=annotator, now=NOW)
    unname_person(queue=queue, person=annotator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) == held
    assert refusal(queue, annotator, NOW + timedelta(hours=1)) == "not_named"


@pytest.mark.parametrize(("speaks_", "may"), [(["de", "fr"], True), (["fr-CA"], True), (["de"], False), ([], False)])
def test_a_person_needs_one_of_the_queues_languages(project, annotator, speaks_, may):
    queue = make_queue(project, languages=["fr", "es"])
    make_task(queue)
    speaks(annotator, *speaks_)
    if may:
        assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None
    else:
        assert refusal(queue, annotator) == "language"


def test_expertise_counts_while_it_is_verified(project, annotator, curator):
    queue = make_queue(project, expertise="Medicine")
    make_task(queue, slots=3)
    assert refusal(queue, annotator) == "expertise"
    other = verify_expertise(person=annotator, domain="law", evidence="Bar exam.", verified_by=curator)
    assert refusal(queue, annotator) == "expertise"
    known = verify_expertise(person=annotator, domain=" MEDICINE ", evidence="Board.", verified_by=curator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None
    withdraw_expertise(expertise=known, now=NOW)
    assert refusal(queue, annotator, NOW + timedelta(hours=1)) == "expertise"
    assert other.withdrawn_at is None


def test_a_queue_behind_a_test_opens_for_who_passed_it(project, annotator, curator):
    test = make_queue(project, is_qualification=True)
    queue = make_queue(project, qualification=test)
    make_task(queue)
    assert refusal(queue, annotator) == "qualification"
    word = {"queue": test, "person": annotator, "decided_by": curator, "reason": "Known to us."}
    decide_qualification(**word, passed=False)
    assert refusal(queue, annotator) == "qualification_failed"
    assert refusal(test, annotator) == "qualification_failed"
    decide_qualification(**word, passed=True)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None


def test_a_cap_counts_what_is_judged_and_what_is_held(project, annotator):
    queue = make_queue(project, annotator_cap=2)
    make_judgment(task=make_task(queue), annotator=annotator, now=NOW)
    for _ in range(3):
        make_task(queue)
    held = claim_next(queue=queue, annotator=annotator, now=NOW)
    with pytest.raises(NotEligible, match="at most 2 judgments"):
        claim_next(queue=queue, annotator=annotator, now=NOW, beside=[held.pk])
    make_judgment(held, now=NOW)
    assert refusal(queue, annotator) == "annotator_cap"
    assert claim_next(queue=queue, annotator=make_member(project), now=NOW) is not None


def test_a_quota_is_per_day_of_the_sites_time_zone(project, annotator, settings):
    settings.TIME_ZONE = "Europe/Berlin"
    queue = make_queue(project, daily_quota=1)
    late = datetime(2030, 5, 6, 21, 30, tzinfo=UTC)  # half past eleven at night in Berlin
    make_judgment(task=make_task(queue), annotator=annotator, now=late)
    make_task(queue)
    assert refusal(queue, annotator, late + timedelta(minutes=20)) == "daily_quota"
    assert claim_next(queue=queue, annotator=annotator, now=late + timedelta(minutes=31)) is not None


def test_revisions_do_not_use_up_a_quota(project, annotator):
    from tests.feedback.test_revise_judgment import revise

    queue = make_queue(project, daily_quota=2)
    judgment = make_judgment(task=make_task(queue), annotator=annotator, now=NOW)
    revise(judgment, now=NOW)
    make_task(queue)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None


def test_what_a_person_holds_they_may_finish_whatever_the_rules_become(project, annotator, curator):
    queue = make_queue(project)
    slot = make_assignment(make_task(queue), annotator, NOW)
    change_policy(queue=queue, changed_by=curator, named_only=True, languages=["fi"], expertise="law", daily_quota=1)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) == slot
    assert make_judgment(slot, now=NOW).annotator == annotator


def test_a_lost_task_is_not_taken_again_by_who_may_not_claim_any_more(project, annotator, curator):
    queue = make_queue(project)
    slot = make_assignment(make_task(queue), annotator, NOW)
    change_policy(queue=queue, changed_by=curator, named_only=True)
    with pytest.raises(SlotGone, match="named"):
        reclaim(task=slot.task, annotator=annotator, now=NOW + timedelta(hours=1))


# Routing by language


@pytest.fixture
def routed(project):
    queue = make_queue(project, route_by_language=True)
    for language, priority in (("en", 1.0), ("fr", 3.0), ("", 2.0)):
        make_task(queue, prompt=make_prompt(project, language=language), priority=priority, slots=3)
    return queue


def languages_given(queue, person) -> list[str]:
    given = []
    while (slot := claim_next(queue=queue, annotator=person, now=NOW)) is not None:
        given.append(slot.task.prompt.language)
        make_judgment(slot, now=NOW)
    return given


@pytest.mark.parametrize(
    ("speaks_", "given"),
    [([], [""]), (["en-GB"], ["", "en"]), (["fr", "en"], ["fr", "", "en"]), (["de"], [""])],
)
def test_a_task_goes_to_who_reads_its_language_and_one_without_to_anybody(routed, annotator, speaks_, given):
    speaks(annotator, *speaks_)
    assert languages_given(routed, annotator) == given


def test_a_language_that_a_person_adds_opens_what_stood_before_their_place(routed, annotator):
    speaks(annotator, "en")
    assert languages_given(routed, annotator) == ["", "en"]
    speaks(annotator, "en", "fr")
    assert languages_given(routed, annotator) == ["fr"]


def test_without_routing_everybody_gets_every_language(routed, annotator, curator):
    change_policy(queue=routed, changed_by=curator, route_by_language=False)
    assert languages_given(routed, annotator) == ["fr", "", "en"]


def test_a_policy_that_stops_routing_opens_what_stood_before_a_persons_place(routed, annotator, curator):
    assert languages_given(routed, annotator) == [""]
    change_policy(queue=routed, changed_by=curator, route_by_language=False)
    assert languages_given(routed, annotator) == ["fr", "en"]


def test_the_random_arm_keeps_to_a_persons_languages(project, annotator):
    queue = make_queue(project, route_by_language=True, random_percent=100)
    for language in ("fr", "fr", "en"):
        make_task(queue, prompt=make_prompt(project, language=language))
    speaks(annotator, "en")
    assert languages_given(queue, annotator) == ["en"]


def test_a_stranger_without_a_profile_is_told_what_helps(project):
    queue = make_queue(project, languages=["fi"])
    make_task(queue)
    with pytest.raises(NotEligible, match="read fi"):
        claim_next(queue=queue, annotator=make_user(), now=NOW)
