"""Who gets which page of this side: every page, every kind of person."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_judgment, make_queue, make_response, make_snapshot, make_task

CURATOR_ONLY = {"annotator": 403, "curator": 200, "ml_staff": 403, "project_admin": 200, "outsider": 404}
STAFF = {"annotator": 403, "curator": 200, "ml_staff": 200, "project_admin": 200, "outsider": 404}
MEMBERS = {"annotator": 200, "curator": 200, "ml_staff": 200, "project_admin": 200, "outsider": 404}

PAGES = {
    "project": MEMBERS,
    "project-loop": STAFF,
    "prompts": CURATOR_ONLY,
    "prompt": CURATOR_ONLY,
    "prompts-import": CURATOR_ONLY,
    "queues": STAFF,
    "queue-open": STAFF,
    "queue-open-kind": STAFF,
    "queue": STAFF,
    "queue-progress": STAFF,
    "queue-guidelines": STAFF,
    "queue-policy": STAFF,
    "queue-schema": STAFF,
    "judgments": STAFF,
    "judgment": STAFF,
    "snapshots": STAFF,
    "snapshot-freeze": CURATOR_ONLY,
    "snapshot": STAFF,
    "snapshot-download": STAFF,
    "members": STAFF,
}
PEOPLE = ["annotator", "curator", "ml_staff", "project_admin", "outsider"]


@pytest.fixture
def addresses(project) -> dict[str, str]:
    queue = make_queue(project)
    task = make_task(queue)
    make_response(task.prompt)
    judgment = make_judgment(task=task, now=timezone.now())
    snapshot = make_snapshot(project)
    rows = {
        "prompt": task.prompt,
        "queue": queue,
        "queue-progress": queue,
        "queue-guidelines": queue,
        "queue-policy": queue,
        "queue-schema": queue,
        "judgment": judgment,
        "snapshot": snapshot,
        "snapshot-download": snapshot,
    }
    more = {name: [row.pk] for name, row in rows.items()} | {"queue-open-kind": ["rating"]}
    return {name: reverse(name, args=[project.slug, *more.get(name, [])]) for name in PAGES}


@pytest.mark.parametrize("person", PEOPLE)
def test_each_page_answers_by_role(person, request, addresses, client):
    client.force_login(request.getfixturevalue(person))
    answers = {name: client.get(address).status_code for name, address in addresses.items()}
    assert answers == {name: wanted[person] for name, wanted in PAGES.items()}


def test_the_anonymous_are_sent_to_the_login_page(addresses, client):
    for address in addresses.values():
        answer = client.get(address)
        assert answer.status_code == 302
        assert answer["Location"] == f"{reverse('account_login')}?next={address}"


WRITES = {
    "prompts-import": CURATOR_ONLY,
    "queue-open-kind": STAFF,
    "queue-fill": STAFF,
    "queue-state": STAFF,
    "queue-guidelines": STAFF,
    "queue-policy": STAFF,
    "queue-schema": STAFF,
    "schema-preview": STAFF,
    "guideline-preview": STAFF,
    "judgment-review": CURATOR_ONLY,
    "snapshot-freeze": CURATOR_ONLY,
    "member-add": {**STAFF, "curator": 403, "ml_staff": 403},
    "member-remove": {**STAFF, "curator": 403, "ml_staff": 403},
}


@pytest.mark.parametrize("person", PEOPLE)
def test_writing_is_refused_without_the_role(person, request, project, client):
    queue = make_queue(project)
    rows = {
        "queue-fill": queue,
        "queue-state": queue,
        "queue-guidelines": queue,
        "queue-policy": queue,
        "queue-schema": queue,
        "judgment-review": make_judgment(queue=queue),
    }
    client.force_login(request.getfixturevalue(person))
    for name, wanted in WRITES.items():
        more = ["rating"] if name in ("queue-open-kind", "schema-preview") else [rows[name].pk] if name in rows else []
        address = reverse(name, args=[project.slug, *more])
        status = client.post(address).status_code
        if wanted[person] == 200:
            assert status in (200, 302, 422), name
        else:
            assert status == wanted[person], name


def test_rows_of_another_project_are_not_found(project, curator, client):
    elsewhere = make_queue()
    judgment = make_judgment(queue=make_queue())
    client.force_login(curator)
    assert client.get(reverse("queue", args=[project.slug, elsewhere.pk])).status_code == 404
    assert client.get(reverse("judgment", args=[project.slug, judgment.pk])).status_code == 404
    assert client.get(reverse("prompt", args=[project.slug, judgment.task.prompt_id])).status_code == 404
    assert client.post(reverse("judgment-review", args=[project.slug, judgment.pk])).status_code == 404
