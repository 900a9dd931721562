"""How people do, decisions about them and gold, over HTTP."""

from __future__ import annotations

import pytest

from feedback.models import Adjudication, Gold, GoldRetirement, Standing
from tests.api.people import ApiClient, error_of
from tests.factories import make_gold, make_judgment, make_member, make_queue, make_task
from tests.feedback.test_gold_rotation import answer_gold

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, overlap=2)


@pytest.fixture
def poor(queue):
    person = make_member(queue.project, username="poor")
    for _ in range(12):
        answer_gold(make_gold(make_task(queue)), person, preference=-2)
    return person


def test_figures_are_measured_and_read(project, curator, ml_staff, queue, poor):
    path = f"projects/{project.slug}/reliability/"
    assert ApiClient(curator).get(path).json()["results"] == []
    job = ApiClient(curator).post(path)
    assert (job.status_code, job.json()["state"]) == (202, "succeeded")
    answer = ApiClient(curator).get(path).json()
    (row,) = answer["results"]
    assert (row["person"], row["suspended"], row["looks"][0]["title"]) == ("poor", False, "Misses known answers")
    assert (row["figures"]["gold_asked"], row["figures"]["gold_right"]) == (12, 0)
    assert answer["computed_at"]
    assert answer["judgments_since"] == 0
    (hidden,) = ApiClient(ml_staff).get(path).json()["results"]
    assert hidden["person"] == project.pseudonym(poor)
    one = ApiClient(curator).get(path, queue=make_queue(project).pk).json()
    assert one["results"] == []
    assert error_of(ApiClient(curator).get(path, queue="x"))["attr"] == "queue"


def test_a_decision_is_made_with_its_evidence_and_both_sides_answer(project, curator, queue, poor):
    path = f"projects/{project.slug}/people/poor"
    evidence = ApiClient(curator).get(f"{path}/evidence/").json()
    assert evidence["gold"]["right"] == 0
    made = ApiClient(curator).post(f"{path}/decisions/", {"decision": "suspended", "reason": "Every one was missed."})
    assert made.status_code == 201
    number = made.json()["id"]
    assert made.json()["evidence"]["gold"]["asked"] == 12
    make_task(queue)
    refused = error_of(ApiClient(poor).post(f"queues/{queue.pk}/claim/"))
    assert refused["code"] == "suspended"
    assert "Every one was missed." in refused["detail"]
    said = ApiClient(poor).post(f"decisions/{number}/answers/", {"text": "The gold is wrong."})
    assert (said.status_code, said.json()["by"]) == (201, "you")
    ApiClient(curator).post(f"decisions/{number}/answers/", {"text": "We will look."})
    (decision,) = ApiClient(curator).get(f"{path}/decisions/").json()
    assert [(answer["by"], answer["text"]) for answer in decision["answers"]] == [
        ("poor", "The gold is wrong."),
        (curator.username, "We will look."),
    ]
    own = ApiClient(poor).get(f"projects/{project.slug}/own-standing/").json()
    assert own["suspended"] is True
    assert own["evidence"]["known_answers"] is None
    assert own["decisions"][0]["evidence"]["known_answers"] == {"asked": 10, "right": 0}
    assert [answer["by"] for answer in own["decisions"][0]["answers"]] == ["you", "curator"]
    assert own["decisions"][0]["decided_by"] == ""


@pytest.mark.parametrize(
    ("values", "status", "attr"),
    [
        ({"decision": "fired", "reason": "x"}, 400, "decision"),
        ({"decision": "suspended"}, 400, "reason"),
        ({"decision": "suspended", "reason": " "}, 422, "reason"),
        ({"decision": "reinstated", "reason": "x"}, 422, "decision"),
    ],
)
def test_a_decision_that_cannot_be_stored_is_refused(project, curator, poor, values, status, attr):
    answer = ApiClient(curator).post(f"projects/{project.slug}/people/poor/decisions/", values)
    assert (answer.status_code, error_of(answer)["attr"]) == (status, attr)
    assert not Standing.objects.exists()


def test_nobody_answers_a_decision_about_somebody_else(project, curator, poor):
    made = ApiClient(curator).post(
        f"projects/{project.slug}/people/poor/decisions/", {"decision": "noted", "reason": "Well done."}
    )
    other = make_member(project)
    answer = ApiClient(other).post(f"decisions/{made.json()['id']}/answers/", {"text": "I."})
    assert answer.status_code == 404
    empty = ApiClient(poor).post(f"decisions/{made.json()['id']}/answers/", {"text": ""})
    assert (empty.status_code, error_of(empty)["attr"]) == (422, "text")


def test_gold_is_listed_retired_and_put_back(curator, queue, poor):
    listed = ApiClient(curator).get(f"queues/{queue.pk}/gold/").json()
    assert len(listed) == 12
    assert {(one["judged"], one["right"], one["worn"], one["retired"]) for one in listed} == {(1, 0, "", None)}
    number = listed[0]["id"]
    retired = ApiClient(curator).post(f"gold/{number}/retire/", {"note": "Too easy."})
    assert (retired.status_code, retired.json()["retired_by"]) == (200, curator.username)
    again = ApiClient(curator).post(f"gold/{number}/retire/")
    assert (again.status_code, error_of(again)["attr"]) == (422, "gold")
    assert ApiClient(curator).get(f"queues/{queue.pk}/gold/").json()[0]["retired"]["note"] == "Too easy."
    assert ApiClient(curator).post(f"gold/{number}/put-back/").json()["returned_at"]
    assert ApiClient(curator).post(f"gold/{number}/put-back/").status_code == 422


def test_gold_that_everybody_has_seen_is_rotated(curator, project):
    queue = make_queue(project)
    gold = make_gold(make_task(queue))
    for _ in range(6):
        answer_gold(gold, make_member(project))
    (retired,) = ApiClient(curator).post(f"queues/{queue.pk}/rotate-gold/").json()
    assert (retired["reason"], retired["retired_by"]) == ("exposed", None)
    assert GoldRetirement.objects.get().gold == gold


def test_settled_tasks_are_proposed_and_made_gold(curator, queue):
    make_judgment(queue=queue)
    task, open_task = make_task(queue), make_task(queue)
    Adjudication.objects.create(task=task, answer={"preference": -2}, adjudicator=curator)
    path = f"queues/{queue.pk}/gold-candidates/"
    (proposed,) = ApiClient(curator).get(path, source="adjudicated").json()
    assert (proposed["task"], proposed["answer"]) == (str(task.pk), {"preference": -2})
    asked = {"source": "adjudicated", "tasks": [str(task.pk), str(open_task.pk)]}
    done = ApiClient(curator).post(path, asked).json()
    assert done["made"] == [str(task.pk)]
    assert [one["task"] for one in done["refused"]] == [str(open_task.pk)]
    assert Gold.objects.get().made_from == "adjudicated"
    assert ApiClient(curator).get(path).status_code == 400
    few = ApiClient(curator).get(path, source="unanimous", votes=2)
    assert (few.status_code, error_of(few)["attr"]) == (422, "votes")
