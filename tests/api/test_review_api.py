import pytest

from feedback.models import AuditEvent
from tests.api.people import ApiClient, error_of
from tests.factories import make_judgment, make_member, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(curator):
    return ApiClient(curator)


@pytest.fixture
def judgment(project):
    return make_judgment(queue=make_queue(project), preference=2)


def test_a_judgment_is_rejected_requeued_and_the_review_undone(api, judgment):
    made = api.post(
        f"judgments/{judgment.pk}/review/", {"accepted": False, "reason": "No.", "requeue": True, "seen": None}
    ).json()
    assert (made["state"], made["one_more_slot"] is not None) == ("rejected", True)
    undone = api.post(f"reviews/{made['id']}/undo/", {})
    assert (undone.status_code, undone.json()["accepted"], undone.json()["undoes"]) == (201, None, made["id"])
    again = api.post(f"reviews/{made['id']}/undo/", {})
    assert (again.status_code, error_of(again)["code"]) == (409, "moved_on")
    assert len(api.get(f"judgments/{judgment.pk}/review/").json()) == 2


def test_who_was_slower_is_told(api, judgment, project):
    other = ApiClient(make_member(project, "curator"))
    assert api.post(f"judgments/{judgment.pk}/review/", {"accepted": True, "seen": None}).status_code == 201
    answer = other.post(f"judgments/{judgment.pk}/review/", {"accepted": False, "reason": "No.", "seen": None})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "moved_on")


def test_a_judgment_is_fixed(api, judgment):
    made = api.post(f"judgments/{judgment.pk}/fix/", {"answer": {"preference": -1}, "reason": "The other one."})
    assert (made.status_code, made.json()["state"], made.json()["fixed"]["preference"]) == (201, "fixed", -1)
    for answer in ({"preference": 7}, {"ranks": [1]}, {}, {"preference": 2}):
        assert api.post(f"judgments/{judgment.pk}/fix/", {"answer": answer}).status_code == 422


def test_comments_go_to_the_annotator_and_back(api, judgment):
    api.post(f"judgments/{judgment.pk}/comments/", {"text": "Among us."})
    sent = api.post(f"judgments/{judgment.pk}/comments/", {"text": "Why so?", "for_annotator": True})
    assert sent.status_code == 201
    me = ApiClient(judgment.annotator)
    assert [(one["text"], one["mine"]) for one in me.get(f"own-judgments/{judgment.pk}/comments/").json()] == [
        ("Why so?", False)
    ]
    answer = me.post(f"own-judgments/{judgment.pk}/comments/", {"text": "It is true."})
    assert [one["mine"] for one in answer.json()] == [False, True]
    assert len(api.get(f"judgments/{judgment.pk}/comments/").json()) == 3


def test_a_task_is_adjudicated_taken_back_and_let_stand(api, judgment):
    task = f"tasks/{judgment.task_id}"
    made = api.post(f"{task}/adjudications/", {"answer": {"preference": -3}, "reason": "The year.", "seen": None})
    assert (made.status_code, made.json()["answer"]["preference"]) == (201, -3)
    late = api.post(f"{task}/adjudications/", {"answer": {"preference": 1}, "seen": None})
    assert late.status_code == 409
    assert api.post(f"{task}/adjudications/take-back/", {}).json()["answer"] is None
    assert api.post(f"{task}/adjudications/take-back/", {}).status_code == 204
    assert api.post(f"{task}/let-stand/", {"reason": "A matter of taste."}).status_code == 204
    assert api.post(f"{task}/let-stand/", {}).status_code == 409
    bad = api.post(f"{task}/adjudications/", {"answer": {"preference": 9}})
    assert (bad.status_code, error_of(bad)["attr"]) == (422, "preference")


def test_many_are_decided_at_once_counted_first_and_taken_back(api, project, judgment):
    make_judgment(queue=judgment.queue, preference=3)
    path, order = f"projects/{project.slug}/bulk-actions/", {"action": "accept", "filters": {"strength": "2"}}
    assert api.post(path, {**order, "dry_run": True}).json() == {"count": 1, "is_all": True}
    bulk = api.post(path, order).json()
    assert (bulk["count"], bulk["filters"]) == (1, {"strength": "2"})
    assert api.post(f"bulk-actions/{bulk['id']}/undo/").json()["undone_by"] == "curator"
    assert api.post(f"bulk-actions/{bulk['id']}/undo/").status_code == 409
    for filters in ({}, {"strenght": "2"}, {"strength": "8"}):
        assert api.post(path, {"action": "accept", "filters": filters}).status_code == 422
    assert api.get(path).json()["count"] == 1


def test_the_list_goes_on_where_a_page_ended(api, project):
    queue = make_queue(project)
    made = [str(make_judgment(queue=queue, preference=one).pk) for one in (3, 1, -3, 3)]
    page = api.get(f"projects/{project.slug}/judgments/", strength=3, limit=2).json()
    assert ([row["id"] for row in page["results"]], page["count"]) == ([made[3], made[2]], None)
    following = api.client.get(page["next"], headers=api.headers).json()
    assert ([row["id"] for row in following["results"]], following["next"]) == ([made[0]], None)
    bad = api.get(f"projects/{project.slug}/judgments/", since="soon")
    assert (bad.status_code, error_of(bad)["attr"]) == (422, "since")


def test_rates_and_the_audit_log(api, project, annotator):
    path = f"projects/{project.slug}/people/{annotator.username}/review-rate/"
    assert api.call("put", path, {"percent": 30}).json() == {"username": annotator.username, "percent": 30}
    assert api.call("put", path, {"percent": 130}).status_code == 422
    (event,) = api.get(f"projects/{project.slug}/audit/", action="person.set_review_rate").json()["results"]
    assert (event["actor"], event["before"], event["after"]) == ("curator", {"percent": None}, {"percent": 30})
    assert AuditEvent.objects.in_project(project).count() == api.get(f"projects/{project.slug}/audit/").json()["count"]
    assert api.get(f"projects/{project.slug}/audit/", since="soon").status_code == 422


def test_nobody_adjudicates_what_they_judged(project, curator, api):
    make_member(project, "annotator", user=curator)
    judgment = make_judgment(task=make_task(make_queue(project)), annotator=curator)
    answer = api.post(f"tasks/{judgment.task_id}/adjudications/", {"answer": {"preference": 1}})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "adjudicator")
    assert api.post(f"judgments/{judgment.pk}/review/", {"accepted": True}).status_code == 422
