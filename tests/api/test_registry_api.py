"""The registry over HTTP: the same verbs as the pages, the same refusals."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import pytest
from django.conf import settings
from rest_framework.test import APIClient

from feedback.models import Project, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_run
from tests.training.conftest import tensors, with_files
from training.models import Checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


@pytest.fixture
def api(ml_staff: User) -> APIClient:
    client = APIClient()
    client.force_authenticate(ml_staff)
    return client


def one(checkpoint: Checkpoint, rest: str = "") -> str:
    return f"/api/v1/checkpoints/{checkpoint.pk}/{rest}"


@pytest.mark.parametrize(
    ("method", "rest", "given", "curator_may"),
    [
        ("get", "card/", None, True),
        ("get", "download/", None, False),
        ("patch", "", {"note": "x"}, False),
        ("post", "promote/", {"reason": "x"}, False),
        ("post", "delete-files/", {"name": "x"}, False),
    ],
)
def test_who_may(policy, curator, annotator, outsider, method, rest, given, curator_may):
    client = APIClient()
    assert getattr(client, method)(one(policy, rest), given, format="json").status_code == 401
    for person, status in ((curator, 200 if curator_may else 403), (annotator, 403), (outsider, 404)):
        client.force_authenticate(person)
        assert getattr(client, method)(one(policy, rest), given, format="json").status_code == status, person


def test_who_may_read_promotions_and_import(project: Project, curator, annotator, outsider):
    client = APIClient()
    for person, reads, imports in ((curator, 200, 403), (annotator, 403, 403), (outsider, 404, 404)):
        client.force_authenticate(person)
        assert client.get(f"/api/v1/projects/{project.slug}/promotions/").status_code == reads
        assert client.post(f"/api/v1/projects/{project.slug}/checkpoints/import/").status_code == imports


def test_a_promotion_is_listed(api: APIClient, policy):
    answer = api.post(one(policy, "promote/"), {"reason": "Better."}, format="json")
    assert (answer.status_code, answer.json()["promoted_by"]) == (201, "ml")
    listed = api.get(f"/api/v1/projects/{policy.project.slug}/promotions/").json()["results"]
    assert [(row["checkpoint"]["id"], row["reason"]) for row in listed] == [(str(policy.pk), "Better.")]
    again = api.post(one(policy, "promote/"), {"reason": "Better."}, format="json")
    assert again.status_code == 422
    assert "current policy" in again.content.decode()


def test_what_is_left_out_of_a_description_stays(api: APIClient, policy):
    api.patch(one(policy), {"licence": "MIT"}, format="json")
    answer = api.patch(one(policy), {"note": "For short answers."}, format="json").json()
    assert (answer["licence"], answer["note"]) == ("MIT", "For short answers.")
    assert api.patch(one(policy), {"licence": "x" * 101}, format="json").status_code == 422


def test_card_and_download(api: APIClient, policy):
    card = api.get(one(policy, "card/"))
    assert card["Content-Type"].startswith("text/markdown")
    assert f"# {policy.name}" in card.content.decode()
    archive = zipfile.ZipFile(io.BytesIO(b"".join(api.get(one(policy, "download/")).streaming_content)))
    assert any(name.endswith("adapter_config.json") for name in archive.namelist())


def test_a_download_does_not_tell_where_the_base_lies_on_this_machine(api: APIClient, policy):
    place = Path(settings.DATA_DIR) / policy.path
    (place / "adapter_config.json").write_text(json.dumps({"r": 4, "base_model_name_or_path": "/srv/models/small"}))
    (place / "checkpoint.json").write_text("{ not JSON")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(api.get(one(policy, "download/")).streaming_content)))
    files = {Path(name).name: archive.read(name) for name in archive.namelist()}
    assert json.loads(files["adapter_config.json"]) == {"r": 4, "base_model_name_or_path": "small"}
    assert files["checkpoint.json"] == b"{ not JSON"


def test_files_that_are_needed_stay_and_others_go(api: APIClient, policy):
    run = make_run(policy.project, "sample", policy=policy)
    refused = api.post(one(policy, "delete-files/"), {"name": policy.name}, format="json")
    assert refused.status_code == 422
    assert run.name in refused.content.decode()
    run.delete()
    answer = api.post(one(policy, "delete-files/"), {"name": policy.name}, format="json")
    assert answer.status_code == 200
    assert answer.json()["files_deleted_at"]
    assert api.get(one(policy, "download/")).status_code == 409


def test_a_model_is_imported(api: APIClient, project: Project, settings, tmp_path: Path):
    settings.DATA_DIR, settings.MODEL_DIRS = tmp_path / "data", [tmp_path]
    place = tmp_path / "tuned"
    place.mkdir()
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (place / "adapter_model.safetensors").write_bytes(tensors())
    address = f"/api/v1/projects/{project.slug}/checkpoints/import/"
    base = make_base_checkpoint(project)
    given = {"path": str(place), "kind": "policy", "origin": "a colleague", "parent": str(base.pk)}
    nobody = api.post(address, {**given, "parent": "00000000-0000-0000-0000-000000000000"}, format="json")
    assert nobody.status_code == 422
    assert api.post(address, {**given, "path": "/etc"}, format="json").status_code == 422
    answer = api.post(address, given, format="json")
    assert (answer.status_code, answer.json()["origin"]) == (201, "a colleague")


def test_a_large_model_is_left_to_a_clerk(api: APIClient, project: Project, settings, tmp_path: Path):
    settings.DATA_DIR, settings.MODEL_DIRS, settings.JOB_REQUEST_SECONDS = tmp_path / "data", [tmp_path], 0.0
    place = tmp_path / "tuned"
    place.mkdir()
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA"}))
    (place / "adapter_model.safetensors").write_bytes(tensors())
    given = {"path": str(place), "kind": "policy", "origin": "us", "parent": str(make_base_checkpoint(project).pk)}
    answer = api.post(f"/api/v1/projects/{project.slug}/checkpoints/import/", given, format="json")
    assert (answer.status_code, answer.json()["state"], answer.json()["kind"]) == (202, "queued", "model")
