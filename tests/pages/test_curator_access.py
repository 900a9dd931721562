"""Who gets which page of this side: every page, every kind of person."""

from __future__ import annotations

from typing import Any

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.appointing import name_person
from feedback.imports.starting import check_import
from feedback.models import BulkAction, ErasureRequest, Skip
from feedback.people import verify_expertise
from feedback.standings import decide_standing
from tests.factories import (
    make_erasure,
    make_finding,
    make_gold,
    make_import,
    make_job,
    make_judgment,
    make_member,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
    make_user,
)

CURATOR_ONLY = {"annotator": 403, "curator": 200, "ml_staff": 403, "project_admin": 200, "outsider": 404}
ADMINS = {"annotator": 403, "curator": 403, "ml_staff": 403, "project_admin": 200, "outsider": 404}
ANNOTATORS = {"annotator": 200, "curator": 403, "ml_staff": 403, "project_admin": 403, "outsider": 404}
STAFF = {"annotator": 403, "curator": 200, "ml_staff": 200, "project_admin": 200, "outsider": 404}
MEMBERS = {"annotator": 200, "curator": 200, "ml_staff": 200, "project_admin": 200, "outsider": 404}

PAGES = {
    "project": MEMBERS,
    "project-loop": STAFF,
    "prompts": CURATOR_ONLY,
    "prompt": CURATOR_ONLY,
    "imports": CURATOR_ONLY,
    "import-new": CURATOR_ONLY,
    "import": CURATOR_ONLY,
    "import-errors": CURATOR_ONLY,
    "findings": CURATOR_ONLY,
    "finding": CURATOR_ONLY,
    "clusters": CURATOR_ONLY,
    "cluster": CURATOR_ONLY,
    "splits": CURATOR_ONLY,
    "languages": CURATOR_ONLY,
    "queues": STAFF,
    "queue-open": STAFF,
    "queue-open-kind": STAFF,
    "queue": STAFF,
    "queue-progress": STAFF,
    "queue-guidelines": STAFF,
    "queue-policy": STAFF,
    "queue-schema": STAFF,
    "queue-versions": STAFF,
    "queue-version": STAFF,
    "queue-people": STAFF,
    "tasks": STAFF,
    "task": STAFF,
    "task-gold": CURATOR_ONLY,
    "skips": STAFF,
    "self-naming": STAFF,
    "jobs": STAFF,
    "job": CURATOR_ONLY,
    "job-live": CURATOR_ONLY,
    "judgments": STAFF,
    "judgment-fix": CURATOR_ONLY,
    "bulk-start": CURATOR_ONLY,
    "bulks": CURATOR_ONLY,
    "bulk": CURATOR_ONLY,
    "disputes": STAFF,
    "dispute": STAFF,
    "review-rates": CURATOR_ONLY,
    "audit": CURATOR_ONLY,
    "audit-csv": CURATOR_ONLY,
    "quality": STAFF,
    "quality-agreement": STAFF,
    "quality-people": STAFF,
    "quality-person": CURATOR_ONLY,
    "queue-gold": STAFF,
    "queue-gold-make": CURATOR_ONLY,
    "quality-models": STAFF,
    "quality-what-if": STAFF,
    "judgment": STAFF,
    "snapshots": STAFF,
    "snapshot-freeze": CURATOR_ONLY,
    "snapshot": STAFF,
    "snapshot-download": STAFF,
    "snapshot-compare": STAFF,
    "snapshot-export": STAFF,
    "snapshot-withdraw": ADMINS,
    "consent": ANNOTATORS,
    "consent-text": CURATOR_ONLY,
    "erasures": ADMINS,
    "erasure": ADMINS,
    "person-erase": ADMINS,
    "person-learned": ADMINS,
    "members": STAFF,
    "member": CURATOR_ONLY,
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
        **dict.fromkeys(("import", "import-errors"), check_import(file_import=make_import(project), by=None)),
        "queue": queue,
        "queue-progress": queue,
        "queue-guidelines": queue,
        "queue-policy": queue,
        "queue-schema": queue,
        "queue-versions": queue,
        "queue-version": queue,
        "queue-people": queue,
        "tasks": queue,
        "task": task,
        "task-gold": make_task(queue),
        "member": judgment.annotator,
        "quality-person": judgment.annotator,
        "queue-gold": queue,
        "queue-gold-make": queue,
        "judgment": judgment,
        "judgment-fix": judgment,
        "bulk": BulkAction.objects.create(project=project, action="accept", created_by=make_user()),
        "dispute": task,
        "snapshot": snapshot,
        **dict.fromkeys(("job", "job-live"), make_job(project)),
        "snapshot-download": snapshot,
        "snapshot-withdraw": snapshot,
        "erasure": make_erasure(project, judgment.annotator),
        "person-erase": judgment.annotator,
        "person-learned": judgment.annotator,
    }
    more = {name: [row.pk] for name, row in rows.items()} | {"queue-open-kind": ["rating"]}
    more |= {"finding": [make_finding(task.prompt).pk], "cluster": [task.prompt.cluster]}
    more["queue-version"] += ["rules", 1]
    more["snapshot-export"] = [snapshot.pk, "preference", "jsonl"]
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
    "import-new": CURATOR_ONLY,
    "import-describe": CURATOR_ONLY,
    "import-preview": CURATOR_ONLY,
    "import-check": CURATOR_ONLY,
    "import-store": CURATOR_ONLY,
    "import-undo": CURATOR_ONLY,
    "import-drop": CURATOR_ONLY,
    "findings-settle": CURATOR_ONLY,
    "findings-scan": CURATOR_ONLY,
    "finding-take-back": CURATOR_ONLY,
    "splits-change": CURATOR_ONLY,
    "member-hold-out": CURATOR_ONLY,
    "queue-open-kind": STAFF,
    "queue-fill": STAFF,
    "queue-state": STAFF,
    "queue-guidelines": STAFF,
    "queue-policy": STAFF,
    "queue-schema": STAFF,
    "schema-preview": STAFF,
    "guideline-preview": STAFF,
    "tasks-steer": STAFF,
    "tasks-priority": STAFF,
    "task-give": CURATOR_ONLY,
    "task-gold": CURATOR_ONLY,
    "skip-settle": CURATOR_ONLY,
    "self-naming-settle": CURATOR_ONLY,
    "queue-person-name": CURATOR_ONLY,
    "queue-person-unname": CURATOR_ONLY,
    "queue-qualification": CURATOR_ONLY,
    "quality-people-measure": STAFF,
    "standing-decide": CURATOR_ONLY,
    "standing-answer": CURATOR_ONLY,
    "gold-rotate": CURATOR_ONLY,
    "gold-retire": CURATOR_ONLY,
    "gold-return": CURATOR_ONLY,
    "queue-gold-make": CURATOR_ONLY,
    "member": CURATOR_ONLY,
    "member-expertise": CURATOR_ONLY,
    "member-expertise-withdraw": CURATOR_ONLY,
    "job-cancel": CURATOR_ONLY,
    "job-resume": CURATOR_ONLY,
    "judgment-review": CURATOR_ONLY,
    "judgment-fix": CURATOR_ONLY,
    "judgment-undo": CURATOR_ONLY,
    "judgment-comment": CURATOR_ONLY,
    "bulk-start": CURATOR_ONLY,
    "bulk-undo": CURATOR_ONLY,
    "dispute": CURATOR_ONLY,
    "dispute-take-back": CURATOR_ONLY,
    "dispute-let-stand": CURATOR_ONLY,
    "disputes-measure": STAFF,
    "review-rate-set": CURATOR_ONLY,
    "snapshot-freeze": CURATOR_ONLY,
    "snapshot-exports": STAFF,
    "snapshot-push": CURATOR_ONLY,
    "snapshot-withdraw": ADMINS,
    "consent-agree": ANNOTATORS,
    "consent-withdraw": ANNOTATORS,
    "erasure-request": ANNOTATORS,
    "consent-text": CURATOR_ONLY,
    "erasure-refuse": ADMINS,
    "person-erase": ADMINS,
    "member-add": {**STAFF, "curator": 403, "ml_staff": 403},
    "member-remove": {**STAFF, "curator": 403, "ml_staff": 403},
}


@pytest.fixture
def writes(project) -> dict[str, str]:
    queue = make_queue(project, kind="rating", is_qualification=True)
    task = make_task(queue)
    response, person = task.texts[0], make_member(project)
    knows = verify_expertise(person=person, domain="law", evidence="A degree.", verified_by=make_user())
    name_person(queue=queue, person=person, named_by=make_user())
    skip = Skip.objects.create(task=task, annotator=person, kind="review", reason="broken")
    judgment = make_judgment(queue=make_queue(project))
    gold = make_gold(make_task(queue, slots=0), {"ratings": [{"helpfulness": 4}]})
    standing = decide_standing(
        project=project,
        person=person,
        decision="noted",
        reason="Well done.",
        evidence={},
        decided_by=make_user(),
        now=timezone.now(),
    )
    brought = make_import(project)
    rows: dict[str, Any] = {
        **dict.fromkeys(("queue-open-kind", "schema-preview"), ("rating",)),
        **dict.fromkeys(("queue-fill", "queue-state", "queue-guidelines", "queue-policy", "queue-schema"), (queue.pk,)),
        **dict.fromkeys(("tasks-steer", "tasks-priority", "queue-person-name", "queue-qualification"), (queue.pk,)),
        **dict.fromkeys(("task-give", "task-gold"), (task.pk,)),
        **dict.fromkeys(("member", "member-expertise", "member-hold-out"), (person.pk,)),
        "member-expertise-withdraw": [person.pk, knows.pk],
        "queue-person-unname": [queue.pk, person.pk],
        "skip-settle": [skip.pk],
        "standing-decide": [person.pk],
        "standing-answer": [person.pk, standing.pk],
        **dict.fromkeys(("gold-rotate", "queue-gold-make"), (queue.pk,)),
        **dict.fromkeys(("gold-retire", "gold-return"), (queue.pk, gold.pk)),
        **{name: [brought.pk] for name in WRITES if name.startswith("import-") and name != "import-new"},
        "finding-take-back": [make_finding(task.prompt).pk],
        "self-naming-settle": [response.pk],
        **dict.fromkeys(("job-cancel", "job-resume"), (make_job(project).pk,)),
        "judgment-review": [judgment.pk],
        **dict.fromkeys(("snapshot-withdraw", "snapshot-exports", "snapshot-push"), (make_snapshot(project).pk,)),
        "person-erase": [person.pk],
        "erasure-refuse": [ErasureRequest.objects.create(project=project, person=person).pk],
        **dict.fromkeys(("judgment-review", "judgment-fix", "judgment-comment"), (judgment.pk,)),
        **dict.fromkeys(("dispute", "dispute-take-back", "dispute-let-stand"), (task.pk,)),
        "bulk-undo": [BulkAction.objects.create(project=project, action="accept", created_by=make_user()).pk],
        "review-rate-set": [person.pk],
    }
    return {name: reverse(name, args=[project.slug, *rows.get(name, [])]) for name in WRITES}


@pytest.mark.parametrize("person", PEOPLE)
def test_writing_is_refused_without_the_role(person, request, writes, client):
    client.force_login(request.getfixturevalue(person))
    for name, wanted in WRITES.items():
        status = client.post(writes[name]).status_code
        if wanted[person] == 200:
            assert status in (200, 302, 422), name
        else:
            assert status == wanted[person], name


def test_writing_is_not_for_the_anonymous(writes, client):
    for address in writes.values():
        assert client.post(address)["Location"].startswith(reverse("account_login"))


def test_rows_of_another_project_are_not_found(project, curator, client):
    elsewhere = make_queue()
    judgment = make_judgment(queue=make_queue())
    client.force_login(curator)
    assert client.get(reverse("queue", args=[project.slug, elsewhere.pk])).status_code == 404
    assert client.get(reverse("judgment", args=[project.slug, judgment.pk])).status_code == 404
    assert client.get(reverse("prompt", args=[project.slug, judgment.task.prompt_id])).status_code == 404
    assert client.post(reverse("judgment-review", args=[project.slug, judgment.pk])).status_code == 404
    assert client.get(reverse("task", args=[project.slug, judgment.task_id])).status_code == 404
    assert client.get(reverse("finding", args=[project.slug, make_finding(judgment.task.prompt).pk])).status_code == 404
    assert client.get(reverse("cluster", args=[project.slug, judgment.task.prompt.cluster])).status_code == 404
    assert client.post(reverse("member-hold-out", args=[project.slug, judgment.annotator_id])).status_code == 404
    assert client.get(reverse("job", args=[project.slug, make_job().pk])).status_code == 404
    assert client.get(reverse("member", args=[project.slug, judgment.annotator_id])).status_code == 404
    assert client.get(reverse("quality-person", args=[project.slug, judgment.annotator_id])).status_code == 404
    for name in ("tasks", "queue-people", "queue-versions", "queue-schema", "queue-gold", "queue-gold-make"):
        assert client.get(reverse(name, args=[project.slug, elsewhere.pk])).status_code == 404
