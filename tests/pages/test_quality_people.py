"""Who needs a look, one person's evidence, and what a curator decides on it."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import AnnotatorProfile, AuditEvent, Report, Standing
from feedback.quality.reports import measure
from feedback.standings import answer_standing, decide_standing
from tests.factories import make_gold, make_judgment, make_member, make_queue, make_task, make_user
from tests.feedback.test_gold_rotation import answer_gold

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, name="Help", overlap=2)


@pytest.fixture
def poor(queue):
    """Somebody who misses every known answer."""
    person = make_member(queue.project, username="poor")
    for _ in range(12):
        answer_gold(make_gold(make_task(queue)), person, preference=-2)
    return person


@pytest.fixture
def fine(queue):
    person = make_member(queue.project, username="fine")
    make_judgment(queue=queue, annotator=person)
    return person


def at(name: str, project, *args) -> str:
    return reverse(name, args=[project.slug, *args])


def test_who_needs_a_look_stands_first_with_the_reason_in_words(project, curator, client, poor, fine):
    client.force_login(curator)
    assert client.post(at("quality-people-measure", project)).status_code == 302
    page = client.get(at("quality-people", project)).content.decode()
    assert "1 person to look at first" in page
    assert "0 of 12 known answers right (0 %" in page
    assert page.index(">poor<") < page.index(">fine<")
    assert "just now" in page


def test_nothing_is_shown_before_it_is_measured(project, curator, client, poor):
    client.force_login(curator)
    page = client.get(at("quality-people", project)).content.decode()
    assert "Nothing has been measured yet" in page
    assert ">poor<" not in page


def test_filters_and_orders_narrow_the_list(project, curator, client, queue, poor, fine):
    robot = make_member(project, user=make_user(username="robot", simulation_rule="coin"))
    make_judgment(queue=queue, annotator=robot)
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    client.force_login(curator)

    def shown(**asked) -> set[str]:
        page = client.get(at("quality-people", project), asked).content.decode()
        return {name for name in ("poor", "fine", "robot") if f">{name}<" in page}

    assert shown() == {"poor", "fine"}
    assert shown(stands="look") == {"poor"}
    assert shown(stands="simulated") == {"robot"}
    assert shown(q="oo") == {"poor"}
    assert shown(q="\x00") == {"poor", "fine"}
    for sort in ("judgments", "accuracy", "gold", "agreement", "pace", "useful", "nonsense"):
        assert shown(sort=sort) == {"poor", "fine"}
    assert shown(stands="suspended") == set()


def test_ml_staff_see_pseudonyms_and_no_way_to_decide(project, ml_staff, curator, client, poor, fine):
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    client.force_login(ml_staff)
    page = client.get(at("quality-people", project), {"q": "poor"}).content.decode()
    assert ">poor<" not in page
    assert project.pseudonym(poor) in page
    assert project.pseudonym(fine) in page
    assert at("quality-person", project, poor.pk) not in page
    assert client.get(at("quality-person", project, poor.pk)).status_code == 403


def test_one_queue_is_measured_and_shown_by_itself(project, curator, client, queue, poor):
    other = make_queue(project)
    elsewhere = make_member(project, username="elsewhere")
    make_judgment(queue=other, annotator=elsewhere)
    client.force_login(curator)
    answer = client.post(at("quality-people-measure", project), {"queue": queue.pk}, follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain[0][0].endswith(f"?queue={queue.pk}")
    assert ">poor<" in page
    assert ">elsewhere<" not in page


def test_the_page_of_a_person_shows_the_evidence_and_its_course(project, curator, client, poor):
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    client.force_login(curator)
    page = client.get(at("quality-person", project, poor.pk)).content.decode()
    assert "Misses known answers" in page
    assert "0 of 12 (0 %, 95 % interval 0 to 24 %)" in page
    assert page.count('class="evidence-wrong"') == 12
    assert "Active time for a task" in page


def test_a_decision_is_stored_with_the_evidence_that_stood_there(project, curator, client, poor):
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    client.force_login(curator)
    posted = {"decision": "suspended", "reason": "Every known answer was missed."}
    answer = client.post(at("standing-decide", project, poor.pk), posted, follow=True)
    assert "Gets no new tasks since" in answer.content.decode()
    standing = Standing.objects.get()
    assert (standing.person, standing.decided_by, standing.reason) == (poor, curator, posted["reason"])
    assert standing.evidence["gold"]["asked"] == 12
    assert standing.evidence["looks"][0]["title"] == "Misses known answers"
    assert AuditEvent.objects.filter(action="person.suspend").count() == 1
    listed = client.get(at("quality-people", project), {"stands": "suspended"}).content.decode()
    assert ">poor<" in listed


@pytest.mark.parametrize(
    "posted",
    [{}, {"decision": "suspended"}, {"decision": "fired", "reason": "x"}, {"decision": "reinstated", "reason": "x"}],
)
def test_a_decision_that_cannot_be_stored_is_refused_with_what_was_typed(project, curator, client, poor, posted):
    client.force_login(curator)
    answer = client.post(at("standing-decide", project, poor.pk), posted)
    assert answer.status_code == 422
    assert posted.get("reason", "") in answer.content.decode()
    assert not Standing.objects.exists()


def test_nobody_decides_about_themselves(project, curator, client, queue):
    make_member(project, user=curator)
    make_judgment(queue=queue, annotator=curator)
    client.force_login(curator)
    assert "another curator decides about it" in client.get(at("quality-person", project, curator.pk)).content.decode()
    posted = {"decision": "noted", "reason": "Well done."}
    assert client.post(at("standing-decide", project, curator.pk), posted).status_code == 422
    assert not Standing.objects.exists()


def test_an_answer_waits_on_the_page_of_people_until_a_curator_answers(project, curator, client, poor):
    standing = decide_standing(
        project=project,
        person=poor,
        decision="suspended",
        reason="No.",
        evidence={},
        decided_by=curator,
        now=timezone.now(),
    )
    answer_standing(standing=standing, author=poor, text="The gold is wrong.", now=timezone.now())
    client.force_login(curator)
    page = client.get(at("quality-people", project)).content.decode()
    assert "1 person waits for your answer" in page
    assert "The gold is wrong." in page
    empty = client.post(at("standing-answer", project, poor.pk, standing.pk), {"text": " "})
    assert empty.status_code == 422
    client.post(at("standing-answer", project, poor.pk, standing.pk), {"text": "We will look."})
    assert [answer.text for answer in standing.answers.all()] == ["The gold is wrong.", "We will look."]
    assert "waits for your answer" not in client.get(at("quality-people", project)).content.decode()


def test_only_who_may_see_pay_sees_what_a_useful_label_costs(project, curator, project_admin, client, queue, fine):
    AnnotatorProfile.objects.create(user=fine, hourly_rate=36, currency="EUR")
    measure(project=project, kind=Report.Kind.PEOPLE, created_by=curator)
    for person, sees in ((curator, False), (project_admin, True)):
        client.force_login(person)
        page = client.get(at("quality-person", project, fine.pk)).content.decode()
        assert ("Pay at 36.00 EUR an hour" in page) is sees


def test_a_stranger_has_no_such_page(project, curator, client):
    client.force_login(curator)
    assert client.get(at("quality-person", project, make_user().pk)).status_code == 404
