"""Checkpoints over HTTP, each with its lineage."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from rest_framework.test import APIClient

from feedback.models import Project, User
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.models import Checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    return APIClient()


def list_url(project: Project) -> str:
    return f"/api/v1/projects/{project.slug}/checkpoints/"


def one_url(checkpoint: Checkpoint) -> str:
    return f"/api/v1/checkpoints/{checkpoint.pk}/"


def test_who_may_read(
    api: APIClient, project: Project, ml_staff: User, curator: User, annotator: User, outsider: User
) -> None:
    checkpoint = make_base_checkpoint(project)
    for path in (list_url(project), one_url(checkpoint)):
        assert api.get(path).status_code == 401
    for person, status in ((ml_staff, 200), (curator, 200), (annotator, 403), (outsider, 404)):
        api.force_authenticate(person)
        for path in (list_url(project), one_url(checkpoint)):
            assert api.get(path).status_code == status, (person, path)
        api.force_authenticate(None)


def test_the_list_is_the_projects_own_and_filtered(api: APIClient, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    base = make_base_checkpoint(project)
    reward = make_reward_checkpoint(project, parent=base, snapshot=snapshot)
    make_base_checkpoint(make_project())
    api.force_authenticate(ml_staff)
    assert [one["id"] for one in api.get(list_url(project)).json()["results"]] == [str(reward.pk), str(base.pk)]
    for asked in ({"kind": "reward"}, {"snapshot": str(snapshot.pk)}):
        assert [one["id"] for one in api.get(list_url(project), asked).json()["results"]] == [str(reward.pk)]
    for asked in ({"kind": "adapter"}, {"snapshot": "nonsense"}):
        refused = api.get(list_url(project), asked)
        assert refused.status_code == 422
        assert refused.json()["errors"][0]["attr"] == next(iter(asked))


def test_lineage_leads_from_the_policy_to_the_judgments(api: APIClient, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project, labels=4)
    base = make_base_checkpoint(project)
    first = make_policy_checkpoint(project, parent=base, snapshot=snapshot)
    second = make_policy_checkpoint(project, parent=first, snapshot=snapshot)
    api.force_authenticate(ml_staff)
    answer = api.get(one_url(second)).json()
    lineage = answer["lineage"]
    assert lineage["run"] == answer["run"] == str(second.run_id)
    assert lineage["runs"] == [str(second.run_id), str(first.run_id)]
    assert lineage["snapshot"] == {"id": str(snapshot.pk), "name": snapshot.name, "sha256": snapshot.sha256}
    assert lineage["judgments"] == 4
    assert [one["id"] for one in lineage["ancestors"]] == [str(first.pk), str(base.pk)]
    assert [one["kind"] for one in lineage["ancestors"]] == ["policy", "base"]


def test_a_base_model_has_no_snapshot(api: APIClient, project: Project, ml_staff: User) -> None:
    base = make_base_checkpoint(project)
    api.force_authenticate(ml_staff)
    lineage = api.get(one_url(base)).json()["lineage"]
    assert lineage == {"run": None, "runs": [], "snapshot": None, "judgments": 0, "ancestors": []}


def test_it_says_where_it_is_used(api: APIClient, project: Project, ml_staff: User) -> None:
    base, queue = make_base_checkpoint(project), make_queue(project)
    child = make_policy_checkpoint(project, parent=base)
    sampled = make_run(project, "sample", policy=base, queue=queue)
    api.force_authenticate(ml_staff)
    used = api.get(one_url(base)).json()["used"]
    assert [one["id"] for one in used["children"]] == [str(child.pk)]
    assert used["runs"] == [str(sampled.pk), str(child.run_id)]
    assert used["queues"] == [str(queue.pk)]


def test_there_is_no_such_checkpoint(api: APIClient, project: Project, ml_staff: User) -> None:
    api.force_authenticate(ml_staff)
    assert api.get(f"/api/v1/checkpoints/{uuid.uuid4()}/").status_code == 404


def test_the_base_model_is_added_once(
    api: APIClient, project: Project, ml_staff: User, tmp_path: Path, settings
) -> None:
    settings.BASE_MODEL = str(tmp_path)
    api.force_authenticate(ml_staff)
    missing = api.post(f"{list_url(project)}base/")
    assert missing.status_code == 409
    assert "BASE_MODEL=" in missing.json()["errors"][0]["detail"]
    (tmp_path / "config.json").write_text("{}")
    first = api.post(f"{list_url(project)}base/").json()
    assert first == api.post(f"{list_url(project)}base/").json()
    assert Checkpoint.objects.get().kind == "base"


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404), (None, 401)])
def test_others_add_no_base_model(
    api: APIClient, project: Project, request: pytest.FixtureRequest, person: str | None, status: int
) -> None:
    if person:
        api.force_authenticate(request.getfixturevalue(person))
    assert api.post(f"{list_url(project)}base/").status_code == status
