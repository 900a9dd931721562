"""Every endpoint of the people's side, asked by everybody."""

from __future__ import annotations

import re
import uuid

import pytest
from django.utils import timezone

from feedback.api.urls import urlpatterns
from feedback.appointing import name_person
from feedback.imports.starting import check_import
from feedback.models import Assignment, BulkAction, ErasureRequest, HeldOutPerson, Judgment, Report, Skip, Task
from feedback.people import verify_expertise
from feedback.reviewing import review_judgment
from feedback.standings import decide_standing
from tests.api.people import ApiClient
from tests.factories import (
    make_erasure,
    make_finding,
    make_gold,
    make_import,
    make_job,
    make_judgment,
    make_member,
    make_queue,
    make_snapshot,
    make_task,
    make_user,
)

pytestmark = pytest.mark.django_db

ALL = {"annotator": True, "curator": True, "ml_staff": True}
STAFF = {"annotator": False, "curator": True, "ml_staff": True}
CURATORS = {"annotator": False, "curator": True, "ml_staff": False}
NOBODY = {"annotator": False, "curator": False, "ml_staff": False}
"""Of these three: an admin may."""
ANNOTATORS = {"annotator": True, "curator": False, "ml_staff": False}
ANSWERERS = {"annotator": True, "curator": True, "ml_staff": False}
"""The annotator whom it is about, and curators."""

ENDPOINTS = [
    ("get", "projects/{project}/", ALL),
    ("get", "projects/{project}/prompts/", STAFF),
    ("post", "projects/{project}/prompts/import/", CURATORS),
    ("get", "projects/{project}/imports/", CURATORS),
    ("post", "projects/{project}/imports/", CURATORS),
    ("get", "imports/{imported}/", CURATORS),
    ("patch", "imports/{imported}/", CURATORS),
    ("get", "imports/{imported}/preview/", CURATORS),
    ("post", "imports/{imported}/check/", CURATORS),
    ("post", "imports/{imported}/store/", CURATORS),
    ("post", "imports/{imported}/undo/", CURATORS),
    ("post", "imports/{imported}/drop/", CURATORS),
    ("get", "imports/{imported}/errors/", CURATORS),
    ("get", "projects/{project}/queues/", ALL),
    ("post", "projects/{project}/queues/", STAFF),
    ("get", "projects/{project}/judgments/", STAFF),
    ("get", "projects/{project}/snapshots/", STAFF),
    ("post", "projects/{project}/snapshots/", CURATORS),
    ("post", "projects/{project}/snapshots/preview/", CURATORS),
    ("post", "projects/{project}/simulated-annotators/", STAFF),
    ("get", "queues/{queue}/", ALL),
    ("patch", "queues/{queue}/", STAFF),
    ("post", "queues/{queue}/fill/", STAFF),
    ("get", "projects/{project}/findings/", CURATORS),
    ("post", "projects/{project}/findings/settle/", CURATORS),
    ("post", "projects/{project}/findings/scan/", CURATORS),
    ("post", "findings/{finding}/take-back/", CURATORS),
    ("get", "projects/{project}/splits/", CURATORS),
    ("patch", "projects/{project}/splits/", CURATORS),
    ("get", "projects/{project}/clusters/{cluster}/", CURATORS),
    ("get", "projects/{project}/languages/", CURATORS),
    ("get", "projects/{project}/held-out/", CURATORS),
    ("post", "projects/{project}/held-out/", CURATORS),
    ("delete", "projects/{project}/held-out/{username}/", CURATORS),
    ("get", "projects/{project}/self-naming/", STAFF),
    ("get", "projects/{project}/reliability/", STAFF),
    ("post", "projects/{project}/reliability/", STAFF),
    ("get", "projects/{project}/own-standing/", ANNOTATORS),
    ("get", "projects/{project}/people/{username}/evidence/", CURATORS),
    ("get", "projects/{project}/people/{username}/decisions/", CURATORS),
    ("post", "projects/{project}/people/{username}/decisions/", CURATORS),
    ("post", "decisions/{standing}/answers/", ANSWERERS),
    ("get", "queues/{queue}/gold/", STAFF),
    ("get", "queues/{queue}/gold-candidates/", CURATORS),
    ("post", "queues/{queue}/gold-candidates/", CURATORS),
    ("post", "queues/{queue}/rotate-gold/", CURATORS),
    ("post", "gold/{gold}/retire/", CURATORS),
    ("post", "gold/{gold}/put-back/", CURATORS),
    ("get", "projects/{project}/people/", CURATORS),
    ("get", "projects/{project}/people/{username}/", CURATORS),
    ("patch", "projects/{project}/people/{username}/", CURATORS),
    ("post", "projects/{project}/people/{username}/expertise/", CURATORS),
    ("post", "projects/{project}/people/{username}/expertise/{expertise}/withdraw/", CURATORS),
    ("get", "queues/{queue}/guidelines/", STAFF),
    ("get", "queues/{queue}/schemas/", STAFF),
    ("get", "queues/{queue}/policies/", STAFF),
    ("get", "queues/{queue}/tasks/", STAFF),
    ("post", "queues/{queue}/tasks/", STAFF),
    ("post", "queues/{queue}/prioritize/", STAFF),
    ("get", "queues/{queue}/named/", CURATORS),
    ("post", "queues/{queue}/named/", CURATORS),
    ("delete", "queues/{queue}/named/{username}/", CURATORS),
    ("get", "queues/{queue}/qualifications/", CURATORS),
    ("post", "queues/{queue}/qualifications/", CURATORS),
    ("get", "queues/{queue}/skips/", STAFF),
    ("post", "skips/{skip}/settle/", CURATORS),
    ("post", "self-naming/{naming}/settle/", CURATORS),
    ("get", "tasks/{task}/", STAFF),
    ("post", "tasks/{task}/take-out/", STAFF),
    ("post", "tasks/{task}/put-back/", STAFF),
    ("post", "tasks/{task}/gold/", CURATORS),
    ("post", "tasks/{task}/give/", CURATORS),
    ("post", "queues/{queue}/claim/", ANNOTATORS),
    ("get", "queues/{queue}/own-work/", ANNOTATORS),
    ("get", "queues/{queue}/guideline/", ANNOTATORS),
    ("post", "queues/{queue}/guideline/", ANNOTATORS),
    ("get", "own-judgments/{judgment}/", ANNOTATORS),
    ("get", "queues/{queue}/own-judgments/", ANNOTATORS),
    ("post", "assignments/{assignment}/submit/", ANNOTATORS),
    ("post", "assignments/{assignment}/skip/", ANNOTATORS),
    ("post", "assignments/{assignment}/renew/", ANNOTATORS),
    ("get", "assignments/{assignment}/talk/", ANNOTATORS),
    ("post", "assignments/{assignment}/talk/say/", ANNOTATORS),
    ("post", "assignments/{assignment}/talk/choose/", ANNOTATORS),
    ("post", "assignments/{assignment}/talk/retry/", ANNOTATORS),
    ("get", "tasks/{task}/draft/", ANNOTATORS),
    ("put", "tasks/{task}/draft/", ANNOTATORS),
    ("post", "tasks/{task}/reclaim/", ANNOTATORS),
    ("get", "judgments/{judgment}/review/", STAFF),
    ("post", "judgments/{judgment}/review/", CURATORS),
    ("post", "judgments/{judgment}/fix/", CURATORS),
    ("get", "judgments/{judgment}/comments/", CURATORS),
    ("post", "judgments/{judgment}/comments/", CURATORS),
    ("get", "own-judgments/{judgment}/comments/", ANNOTATORS),
    ("post", "own-judgments/{judgment}/comments/", ANNOTATORS),
    ("post", "reviews/{review}/undo/", CURATORS),
    ("get", "tasks/{task}/adjudications/", STAFF),
    ("post", "tasks/{task}/adjudications/", CURATORS),
    ("post", "tasks/{task}/adjudications/take-back/", CURATORS),
    ("post", "tasks/{task}/let-stand/", CURATORS),
    ("get", "projects/{project}/bulk-actions/", CURATORS),
    ("post", "projects/{project}/bulk-actions/", CURATORS),
    ("post", "bulk-actions/{bulk}/undo/", CURATORS),
    ("put", "projects/{project}/people/{username}/review-rate/", CURATORS),
    ("get", "projects/{project}/audit/", CURATORS),
    ("post", "judgments/{judgment}/revise/", ANNOTATORS),
    ("get", "projects/{project}/reports/", STAFF),
    ("post", "projects/{project}/reports/", STAFF),
    ("get", "reports/{report}/", STAFF),
    ("get", "projects/{project}/consent/", ANNOTATORS),
    ("post", "projects/{project}/consent/", ANNOTATORS),
    ("post", "projects/{project}/consent/withdraw/", ANNOTATORS),
    ("get", "projects/{project}/consent-texts/", CURATORS),
    ("post", "projects/{project}/consent-texts/", CURATORS),
    ("get", "projects/{project}/erasure-requests/", NOBODY),
    ("post", "projects/{project}/erasure-requests/", ANNOTATORS),
    ("post", "erasure-requests/{asked}/refuse/", NOBODY),
    ("get", "projects/{project}/erasures/", NOBODY),
    ("post", "projects/{project}/erasures/", NOBODY),
    ("get", "erasures/{erasure}/", NOBODY),
    ("post", "snapshots/{snapshot}/withdraw/", NOBODY),
    ("get", "projects/{project}/jobs/", STAFF),
    ("get", "jobs/{job}/", CURATORS),
    ("post", "jobs/{job}/cancel/", CURATORS),
    ("post", "jobs/{job}/resume/", CURATORS),
    ("get", "snapshots/{snapshot}/", STAFF),
    ("get", "snapshots/{snapshot}/download/", STAFF),
    ("get", "snapshots/{snapshot}/exports/", STAFF),
    ("post", "snapshots/{snapshot}/exports/", STAFF),
    ("get", "snapshots/{snapshot}/exports/{format}/{form}/", STAFF),
    ("post", "snapshots/{snapshot}/push/", CURATORS),
    ("get", "snapshots/{snapshot}/compare/{snapshot}/", STAFF),
]
OPEN_TO_ALL = {"projects/"}


@pytest.fixture
def places(project, annotator, curator):
    snapshot = make_snapshot(project, labels=2)
    queue = make_queue(project)
    make_task(queue)
    judgment = make_judgment(queue=queue, annotator=annotator)
    name_person(queue=queue, person=annotator, named_by=curator)
    known = verify_expertise(person=annotator, domain="medicine", evidence="A degree.", verified_by=curator)
    standing = decide_standing(
        project=project,
        person=annotator,
        decision="noted",
        reason="Well done.",
        evidence={},
        decided_by=curator,
        now=timezone.now(),
    )
    passed = Skip.objects.create(task=judgment.task, annotator=annotator, kind="others", reason="other")
    HeldOutPerson.objects.create(project=project, person=annotator, created_by=curator)
    found = make_finding(judgment.task.prompt)
    review = review_judgment(judgment=judgment, reviewer=make_user(), accepted=True)
    bulk = BulkAction.objects.create(project=project, action="accept", created_by=make_user())
    return {
        "finding": found.pk,
        "cluster": judgment.task.prompt.cluster,
        "review": review.pk,
        "bulk": bulk.pk,
        "naming": judgment.task.texts[0].pk,
        "username": annotator.username,
        "standing": standing.pk,
        "gold": make_gold(make_task(queue, slots=0)).pk,
        "expertise": known.pk,
        "skip": passed.pk,
        "project": project.slug,
        "queue": queue.pk,
        "assignment": Assignment.objects.filter(queue=queue, state="open").get().pk,
        "task": Task.objects.filter(queue=queue, judgments=None, gold=None).get().pk,
        "judgment": judgment.pk,
        "snapshot": snapshot.pk,
        "format": "preference",
        "form": "jsonl",
        "job": make_job(project).pk,
        "imported": check_import(file_import=make_import(project), by=None).pk,
        "report": Report.objects.create(project=project, kind="agreement", key="0", judgments=0, seconds=0).pk,
        "asked": ErasureRequest.objects.create(project=project, person=make_user()).pk,
        "erasure": make_erasure(project, annotator).pk,
    }


def ask(person, method, path, places):
    client = ApiClient(person)
    if path.endswith("/import/") or (method == "post" and path.endswith("/imports/")):
        return client.client.post(f"/api/v1/{path.format(**places)}", {}, headers=client.headers)
    if method == "get":
        return client.get(path.format(**places))
    return client.call(method, path.format(**places), {})


@pytest.mark.parametrize(("method", "path", "allowed"), ENDPOINTS, ids=[f"{m} {p}" for m, p, _ in ENDPOINTS])
def test_who_may(places, method, path, allowed, annotator, curator, ml_staff, outsider):
    people = {"annotator": annotator, "curator": curator, "ml_staff": ml_staff}
    for role, may in allowed.items():
        status = ask(people[role], method, path, places).status_code
        if may:
            assert status < 500, (role, status)
            assert status not in (401, 403, 404, 405), (role, status)
        else:
            assert status == 403, (role, status)
    assert ask(outsider, method, path, places).status_code == 404
    assert ask(None, method, path, places).status_code == 401


@pytest.mark.parametrize(("method", "path", "allowed"), ENDPOINTS, ids=[f"{m} {p}" for m, p, _ in ENDPOINTS])
def test_what_is_not_there_is_not_found(method, path, allowed, project):
    role = "curator" if allowed["curator"] else "annotator" if allowed["annotator"] else "admin"
    rows = (
        "queue",
        "assignment",
        "task",
        "judgment",
        "snapshot",
        "naming",
        "job",
        "report",
        "erasure",
        "bulk",
        "imported",
    )
    nowhere = {name: uuid.uuid4() for name in rows}
    nowhere |= {"project": "nowhere", "username": "nobody"}
    nowhere |= dict.fromkeys(("expertise", "skip", "asked", "standing", "gold"), 999_999_999)
    nowhere |= {"finding": 999_999_999, "cluster": "nowhere", "format": "preference", "form": "jsonl"}
    nowhere |= dict.fromkeys(("expertise", "skip", "asked", "standing", "gold", "review"), 999_999_999)
    assert ask(make_member(project, role), method, path, nowhere).status_code == 404


def test_every_endpoint_of_this_side_is_asked():
    def shape(path):
        return re.sub(r"<\w+:(\w+)>|\{(\w+)\}", "*", path)

    asked = {shape(path) for _, path, _ in ENDPOINTS} | OPEN_TO_ALL
    assert {shape(str(pattern.pattern)) for pattern in urlpatterns} == asked


def test_the_list_of_projects_is_ones_own(project, annotator, outsider):
    mine = ApiClient(annotator).get("projects/").json()["results"]
    assert [(found["slug"], found["roles"]) for found in mine] == [(project.slug, ["annotator"])]
    assert project.slug not in {found["slug"] for found in ApiClient(outsider).get("projects/").json()["results"]}
    assert ApiClient(make_user()).get("projects/").json()["count"] == 0
    assert ApiClient().get("projects/").status_code == 401


def test_a_superuser_without_membership_does_not_label(places):
    root = ApiClient(make_user(is_superuser=True))
    assert root.post(f"queues/{places['queue']}/claim/").status_code == 403
    assert root.get(f"queues/{places['queue']}/").status_code == 200


def test_another_annotators_judgment_cannot_be_revised(places, project):
    other = ApiClient(make_member(project))
    answer = other.post(f"judgments/{places['judgment']}/revise/", {"preference": 1, "active_seconds": 1})
    assert answer.status_code == 404
    assert Judgment.objects.get(pk=places["judgment"]).revision == 1


def test_annotators_see_open_queues_and_staff_see_all(project, annotator, curator):
    make_queue(project, name="Open")
    closed = make_queue(project, name="Closed")
    closed.state = "closed"
    closed.save()
    path = f"projects/{project.slug}/queues/"
    assert [queue["name"] for queue in ApiClient(annotator).get(path).json()["results"]] == ["Open"]
    assert {queue["name"] for queue in ApiClient(curator).get(path).json()["results"]} == {"Open", "Closed"}
