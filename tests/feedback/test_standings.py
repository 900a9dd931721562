"""A curator decides about a person's work on evidence; the person can answer, and keeps what they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from feedback.appointing import AppointmentRefused, give_task
from feedback.claims import SlotGone, claim_next, reclaim
from feedback.eligibility import NotEligible
from feedback.judging import submit_judgment
from feedback.models import AuditEvent, Judgment, Standing
from feedback.standings import (
    StandingRefused,
    answer_standing,
    decide_standing,
    is_suspended,
    suspended_people,
    suspension_of,
)
from tests.factories import make_judgment, make_member, make_project, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db

NOW = datetime(2030, 5, 6, 12, 0, tzinfo=UTC)


def decide(project, person, decision, by, **values) -> Standing:
    given = {"reason": "Half of the known answers were missed.", "evidence": {"gold": {"right": 12, "judged": 30}}}
    return decide_standing(
        project=project, person=person, decision=decision, decided_by=by, now=NOW, **{**given, **values}
    )


def test_a_suspended_person_gets_nothing_new_until_they_are_reinstated(project, annotator, curator):
    queue = make_queue(project)
    make_task(queue)
    decide(project, annotator, "suspended", curator)
    with pytest.raises(NotEligible) as refused:
        claim_next(queue=queue, annotator=annotator, now=NOW)
    assert refused.value.code == "suspended"
    assert "Half of the known answers were missed." in str(refused.value)
    assert f"projects/{project.slug}/own-standing/" in str(refused.value)
    assert suspended_people(project) == {annotator.pk}
    decide(project, annotator, "reinstated", curator, reason="You were right: the guidelines were unclear.")
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None
    assert suspended_people(project) == set()


def test_what_a_suspended_person_holds_they_may_finish(project, annotator, curator):
    queue = make_queue(project)
    task = make_task(queue)
    held = claim_next(queue=queue, annotator=annotator, now=NOW)
    decide(project, annotator, "suspended", curator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) == held
    submit_judgment(
        assignment_id=held.pk,
        annotator=annotator,
        lease_token=held.lease_token,
        submission_id=held.pk,
        answer={"preference": 1},
        rationale="",
        flags=(),
        active_seconds=5.0,
        interface="page",
        now=NOW,
    )
    assert Judgment.objects.get().task == task


def test_a_lost_task_is_not_taken_again_by_a_suspended_person(project, annotator, curator):
    queue = make_queue(project)
    task = make_task(queue)
    claim_next(queue=queue, annotator=annotator, now=NOW)
    decide(project, annotator, "suspended", curator)
    with pytest.raises(SlotGone, match="your text is kept"):
        reclaim(task=task, annotator=annotator, now=NOW + timedelta(hours=5))


def test_nobody_gives_a_suspended_person_a_task(project, annotator, curator):
    task = make_task(make_queue(project))
    decide(project, annotator, "suspended", curator)
    with pytest.raises(AppointmentRefused, match="gets no new tasks"):
        give_task(task=task, person=annotator, given_by=curator)


def test_it_holds_in_that_project_only(project, annotator, curator):
    other = make_project()
    make_member(other, user=annotator)
    queue = make_queue(other)
    make_task(queue)
    decide(project, annotator, "suspended", curator)
    assert claim_next(queue=queue, annotator=annotator, now=NOW) is not None


def test_a_note_changes_nothing_about_tasks(project, annotator, curator):
    for decision in ("noted", "talked"):
        decide(project, annotator, decision, curator)
        assert not is_suspended(project=project, person=annotator)
    decide(project, annotator, "suspended", curator)
    decide(project, annotator, "noted", curator)
    assert suspension_of(project=project, person=annotator).decision == "suspended"


def test_the_decision_keeps_the_evidence_and_is_in_the_audit_log(project, annotator, curator):
    standing = decide(project, annotator, "suspended", curator)
    assert (standing.evidence, standing.decided_by) == ({"gold": {"right": 12, "judged": 30}}, curator)
    event = AuditEvent.objects.get()
    assert (event.actor, event.action, event.subject, event.subject_id) == (
        curator,
        "person.suspend",
        "person",
        str(annotator.pk),
    )
    assert (event.before, event.after) == ({"suspended": False}, {"suspended": True, "standing": standing.pk})
    assert event.reason == standing.reason


def test_the_person_answers_and_a_curator_answers_in_turn(project, annotator, curator):
    standing = decide(project, annotator, "suspended", curator)
    assert not Standing.objects.waiting().exists()
    answer_standing(standing=standing, author=annotator, text=" I was ill. ", now=NOW)
    assert list(Standing.objects.waiting()) == [standing]
    answer_standing(standing=standing, author=curator, text="Thank you for telling us.", now=NOW)
    assert not Standing.objects.waiting().exists()
    assert [answer.text for answer in standing.answers.all()] == ["I was ill.", "Thank you for telling us."]
    assert AuditEvent.objects.filter(action="standing.answer").count() == 2


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"decision": "banned"}, "decision"),
        ({"reason": "  "}, "reason"),
        ({"reason": "x" * 4_001}, "reason"),
        ({"reason": "a\x00b"}, "reason"),
        ({"decision": "reinstated"}, "decision"),
    ],
)
def test_what_cannot_be_decided_is_refused_and_nothing_is_stored(project, annotator, curator, values, field):
    with pytest.raises(StandingRefused) as refused:
        decide(project, annotator, values.pop("decision", "suspended"), curator, **values)
    assert refused.value.field == field
    assert not Standing.objects.exists()
    assert not AuditEvent.objects.exists()


def test_nobody_decides_twice_the_same_about_themselves_or_about_a_stranger(project, annotator, curator):
    decide(project, annotator, "suspended", curator)
    for person, by, field in (
        (annotator, curator, "decision"),
        (annotator, annotator, "person"),
        (make_user(), curator, "person"),
    ):
        with pytest.raises(StandingRefused) as refused:
            decide(project, person, "suspended", by)
        assert refused.value.field == field
    assert Standing.objects.count() == 1


def test_about_somebody_who_has_left_it_can_still_be_decided(project, annotator, curator):
    make_judgment(queue=make_queue(project), annotator=annotator)
    annotator.memberships.all().delete()
    assert decide(project, annotator, "noted", curator).person == annotator


@pytest.mark.parametrize("text", ["", "   ", "x" * 4_001, "a\x00b"])
def test_an_empty_or_endless_answer_is_refused(project, annotator, curator, text):
    standing = decide(project, annotator, "noted", curator)
    with pytest.raises(StandingRefused):
        answer_standing(standing=standing, author=annotator, text=text, now=NOW)
    assert not standing.answers.exists()
