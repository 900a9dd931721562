"""Pages of the registry: promote, describe, card, download, delete, import; who may, and what is refused."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from feedback.clerk import Clerk
from feedback.models import Project, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_project, make_run
from tests.training.conftest import tensors, with_files
from training.models import Checkpoint, Promotion

pytestmark = pytest.mark.django_db

READERS = (200, 200, 403, 404)
RUNNERS = (200, 403, 403, 404)
"""ML staff, curator, annotator, outsider."""


@pytest.fixture
def policy(project: Project) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


@pytest.fixture
def staff(client: Client, ml_staff: User) -> Client:
    client.force_login(ml_staff)
    return client


def url(name: str, checkpoint: Checkpoint) -> str:
    return reverse(name, args=[checkpoint.project.slug, checkpoint.pk])


def text(response) -> str:
    return response.content.decode()


@pytest.mark.parametrize(
    ("name", "statuses"),
    [
        ("checkpoint-card", READERS),
        ("checkpoint-download", RUNNERS),
        ("checkpoint-promote", RUNNERS),
        ("checkpoint-describe", RUNNERS),
        ("checkpoint-delete", RUNNERS),
    ],
)
def test_who_may_open_what(
    client: Client, policy: Checkpoint, ml_staff, curator, annotator, outsider, name: str, statuses: tuple[int, ...]
) -> None:
    assert client.get(url(name, policy))["Location"].startswith(reverse("account_login"))
    for person, status in zip((ml_staff, curator, annotator, outsider), statuses, strict=True):
        client.force_login(person)
        assert client.get(url(name, policy)).status_code == status, person
        foreign = reverse(name, args=[policy.project.slug, make_base_checkpoint(make_project()).pk])
        assert client.get(foreign).status_code == (404 if status == 200 else status)


@pytest.mark.parametrize("name", ["checkpoint-promote", "checkpoint-describe", "checkpoint-delete"])
def test_who_may_post(client: Client, policy: Checkpoint, curator, annotator, outsider, name: str) -> None:
    for person, status in ((curator, 403), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        given = {"reason": "x", "name": policy.name, "licence": "MIT", "note": ""}
        assert client.post(url(name, policy), given).status_code == status
    policy.refresh_from_db()
    assert (policy.licence, policy.files_deleted_at, Promotion.objects.count()) == ("", None, 0)


def test_a_promoted_checkpoint_is_shown_as_the_current_one(staff: Client, policy: Checkpoint) -> None:
    answer = staff.post(url("checkpoint-promote", policy), {"reason": "It wins 70 % of 200."})
    assert answer["Location"] == url("checkpoint", policy)
    page = text(staff.get(url("checkpoint", policy)))
    assert "current policy" in page
    assert "It wins 70 % of 200." in page
    assert url("checkpoint-promote", policy) not in page
    listed = text(staff.get(reverse("checkpoints", args=[policy.project.slug])))
    assert "Current policy" in listed
    assert "It wins 70 % of 200." in listed


def test_a_promotion_without_a_reason_is_refused_in_the_form(staff: Client, policy: Checkpoint) -> None:
    answer = staff.post(url("checkpoint-promote", policy), {"reason": " "})
    assert answer.status_code == 422
    assert Promotion.objects.count() == 0


def test_promoting_the_current_one_again_is_refused_above_the_form(staff: Client, policy: Checkpoint) -> None:
    staff.post(url("checkpoint-promote", policy), {"reason": "Better."})
    answer = staff.post(url("checkpoint-promote", policy), {"reason": "Better still."})
    assert answer.status_code == 422
    assert "is the current policy" in text(answer)


def test_licence_and_note_stand_on_the_page_and_in_the_card(staff: Client, policy: Checkpoint) -> None:
    staff.post(url("checkpoint-describe", policy), {"licence": "MIT", "note": "For **short** <b>answers</b>."})
    page = text(staff.get(url("checkpoint", policy)))
    assert "MIT" in page
    assert "<strong>short</strong> &lt;b&gt;answers" in page
    card = staff.get(url("checkpoint-card", policy))
    assert "<strong>short</strong>" in text(card)
    plain = staff.get(url("checkpoint-card", policy), {"as": "markdown"})
    assert plain["Content-Type"].startswith("text/markdown")
    assert 'license: "mit"' in text(plain)


def test_the_download_holds_the_files_and_the_card(staff: Client, policy: Checkpoint) -> None:
    answer = staff.get(url("checkpoint-download", policy))
    assert answer["Content-Disposition"] == f'attachment; filename="{policy.project.slug}-{policy.name}.zip"'
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    folder = f"{policy.project.slug}-{policy.name}"
    place = Path(django_settings.DATA_DIR) / policy.path
    files = {f"{folder}/{one.name}" for one in place.iterdir()}
    assert set(archive.namelist()) == {*files, f"{folder}/README.md"}
    assert archive.read(f"{folder}/config.json") == (place / "config.json").read_bytes()
    assert f"# {policy.name}" in archive.read(f"{folder}/README.md").decode()
    assert archive.testzip() is None


def test_files_are_deleted_once_the_name_is_typed(staff: Client, policy: Checkpoint) -> None:
    assert staff.post(url("checkpoint-delete", policy), {"name": "another"}).status_code == 422
    assert staff.post(url("checkpoint-delete", policy), {"name": policy.name}).status_code == 302
    page = text(staff.get(url("checkpoint", policy)))
    assert "files deleted" in page
    assert url("checkpoint-download", policy) not in page
    answer = staff.get(url("checkpoint-download", policy), follow=True)
    assert "There is nothing to download" in text(answer)


def test_what_keeps_the_files_is_said_instead_of_a_form(staff: Client, policy: Checkpoint) -> None:
    run = make_run(policy.project, "sample", policy=policy)
    page = text(staff.get(url("checkpoint-delete", policy)))
    assert run.name in page
    assert "Delete for good" not in page
    answer = staff.post(url("checkpoint-delete", policy), {"name": policy.name})
    assert answer.status_code == 422
    assert (Path(django_settings.DATA_DIR) / policy.path).is_dir()


def test_a_model_that_lies_there_is_imported(staff: Client, project: Project, settings, tmp_path) -> None:
    settings.DATA_DIR, settings.MODEL_DIRS = tmp_path / "data", [tmp_path / "shelf"]
    page = reverse("checkpoint-import", args=[project.slug])
    assert "No model lies here" in text(staff.get(page))
    place = tmp_path / "shelf" / "small"
    place.mkdir(parents=True)
    for name, content in (
        ("config.json", b"{}"),
        ("tokenizer.json", b"{}"),
        ("chat_template.jinja", b"{{ messages }}"),
        ("model.safetensors", tensors()),
    ):
        (place / name).write_bytes(content)
    assert "shelf/small (whole model)" in text(staff.get(page))
    given = {"path": str(place), "kind": "base", "origin": "a colleague", "licence": "MIT"}
    assert staff.post(page, {**given, "origin": ""}).status_code == 422
    assert staff.post(page, {**given, "path": "/etc"}).status_code == 422
    answer = staff.post(page, given)
    made = project.checkpoints.get()
    assert answer["Location"] == url("checkpoint", made)
    assert "a colleague" in text(staff.get(url("checkpoint", made)))


def test_a_large_model_is_left_to_a_clerk(staff: Client, project: Project, settings, tmp_path) -> None:
    settings.DATA_DIR, settings.MODEL_DIRS, settings.JOB_REQUEST_SECONDS = tmp_path / "data", [tmp_path / "shelf"], 0.0
    place = tmp_path / "shelf" / "judge"
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text('{"peft_type": "LORA"}')
    (place / "adapter_model.safetensors").write_bytes(tensors())
    base = make_base_checkpoint(project)
    given = {"path": str(place), "kind": "policy", "origin": "a colleague", "parent": str(base.pk)}
    answer = staff.post(reverse("checkpoint-import", args=[project.slug]), given)
    job = project.jobs.get()
    assert answer["Location"] == reverse("job", args=[project.slug, job.pk])
    assert (job.kind, job.state) == ("model", "queued")
    Clerk(poll=0.01).work(once=True)
    assert "judge is there." in text(staff.get(answer["Location"]))
    assert project.checkpoints.get(name="judge").parent == base


def test_who_may_import(client: Client, project: Project, curator, annotator, outsider) -> None:
    page = reverse("checkpoint-import", args=[project.slug])
    for person, status in ((curator, 403), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(page).status_code == status
        assert client.post(page, {}).status_code == status


def test_the_lineage_is_drawn_with_links(staff: Client, policy: Checkpoint) -> None:
    page = text(staff.get(url("checkpoint", policy)))
    assert '<svg class="graph"' in page
    assert f'<a href="{url("checkpoint", policy.parent)}" aria-label="{policy.parent.name}, base model">' in page
    assert 'aria-current="page"' in page
