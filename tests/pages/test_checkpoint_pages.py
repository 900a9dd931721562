"""Checkpoints: the list, one with its lineage, the snapshot page's fragment, and the base model of a project."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as django_settings
from django.test import Client
from django.urls import reverse

from feedback.clerk import Clerk
from feedback.jobs import start_job
from feedback.models import Project, User
from feedback.selection import Selection
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.models import Checkpoint, Run
from training.rundir import directory_digest

pytestmark = pytest.mark.django_db
FIGURES = {"accuracy": 0.7, "n": 20, "low": 0.481, "high": 0.855}


def url(name: str, project: Project, *rest: object) -> str:
    return reverse(name, args=[project.slug, *rest])


def text(response) -> str:
    return response.content.decode()


def with_files(checkpoint: Checkpoint) -> Checkpoint:
    directory = Path(django_settings.DATA_DIR) / checkpoint.path
    directory.mkdir(parents=True, exist_ok=True)
    name = "config.json" if checkpoint.kind == Checkpoint.Kind.BASE else "adapter_config.json"
    (directory / name).write_text("{}")
    (directory / "model.safetensors").touch()
    return checkpoint


@pytest.mark.parametrize("name", ["checkpoints", "checkpoint", "snapshot-checkpoints"])
def test_staff_read_and_others_do_not(
    client: Client, project: Project, ml_staff: User, curator: User, annotator: User, outsider: User, name: str
) -> None:
    rest = {
        "checkpoints": list,
        "checkpoint": lambda: [make_base_checkpoint(project).pk],
        "snapshot-checkpoints": lambda: [make_snapshot(project).pk],
    }[name]()
    page = url(name, project, *rest)
    headers = {"HX-Request": "true"}
    assert client.get(page)["Location"].startswith(reverse("account_login"))
    for person, status in ((ml_staff, 200), (curator, 200), (annotator, 403), (outsider, 404)):
        client.force_login(person)
        assert client.get(page, headers=headers).status_code == status, person


def test_another_projects_rows_are_not_there(client: Client, project: Project, ml_staff: User) -> None:
    other = make_project()
    client.force_login(ml_staff)
    assert client.get(url("checkpoint", project, make_base_checkpoint(other).pk)).status_code == 404
    assert client.get(url("snapshot-checkpoints", project, make_snapshot(other).pk)).status_code == 404


def test_the_list_is_narrowed_to_a_snapshot_and_a_kind(client: Client, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    make_reward_checkpoint(project, name="scorer", snapshot=snapshot, evaluation=FIGURES)
    make_policy_checkpoint(project, name="pupil")
    client.force_login(ml_staff)
    everything = text(client.get(url("checkpoints", project)))
    assert "scorer" in everything
    assert "pupil" in everything
    assert "70 %" in everything
    assert "of 20 (48 % to 86 %)" in everything
    narrowed = text(client.get(url("checkpoints", project), {"snapshot": str(snapshot.pk)}))
    assert "scorer" in narrowed
    assert "pupil" not in narrowed
    assert "scorer" not in text(client.get(url("checkpoints", project), {"kind": "policy"}))
    assert client.get(url("checkpoints", project), {"snapshot": "nonsense"}).status_code == 200


def test_one_click_leads_to_the_snapshot_the_judgments_and_the_run(
    client: Client, project: Project, ml_staff: User
) -> None:
    snapshot = make_snapshot(project)
    checkpoint = make_reward_checkpoint(project, snapshot=snapshot, evaluation=FIGURES)
    client.force_login(ml_staff)
    page = text(client.get(url("checkpoint", project, checkpoint.pk)))
    assert f'href="{url("snapshot", project, snapshot.pk)}"' in page
    assert f'href="{url("judgments", project)}?snapshot={snapshot.pk}"' in page
    assert f'href="{url("run", project, checkpoint.run_id)}"' in page
    assert f'href="{url("checkpoint", project, checkpoint.parent_id)}"' in page
    assert "4 judgments" in page
    assert checkpoint.sha256 in page
    assert "70 %" in page
    assert "95 % interval 48 % to 86 %" in page
    assert "cannot be told from a coin" in page


def test_no_held_out_label_is_said_as_none(client: Client, project: Project, ml_staff: User) -> None:
    figures = {"accuracy": None, "n": 0, "low": None, "high": None}
    checkpoint = make_reward_checkpoint(project, evaluation=figures)
    client.force_login(ml_staff)
    page = text(client.get(url("checkpoint", project, checkpoint.pk)))
    assert "None: no label lies on an evaluation prompt" in page
    assert "0 %" not in page


def test_what_it_offers_depends_on_its_kind_and_the_person(
    client: Client, project: Project, ml_staff: User, curator: User
) -> None:
    base = with_files(make_base_checkpoint(project))
    policy = with_files(make_policy_checkpoint(project, parent=base))
    reward = with_files(make_reward_checkpoint(project, parent=base))
    offered = {
        base: {"sample": "policy", "dpo": "policy", "ppo": "policy", "reward": "policy"},
        policy: {"sample": "policy", "dpo": "policy", "ppo": "policy", "evaluate": "policy"},
        reward: {"ppo": "reward", "evaluate": "reward", "score": "reward"},
    }
    for checkpoint, kinds in offered.items():
        client.force_login(ml_staff)
        page = text(client.get(url("checkpoint", project, checkpoint.pk)))
        for kind in ("sample", "reward", "dpo", "ppo", "evaluate", "score"):
            link = f"{url('run-start', project, kind)}?{kinds.get(kind, 'policy')}={checkpoint.pk}"
            assert (link in page) == (kind in kinds), (checkpoint.kind, kind)
        client.force_login(curator)
        assert "/runs/start/" not in text(client.get(url("checkpoint", project, checkpoint.pk)))


def test_lost_files_are_told_and_nothing_is_offered(client: Client, project: Project, ml_staff: User) -> None:
    checkpoint = make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project)))
    client.force_login(ml_staff)
    page = text(client.get(url("checkpoint", project, checkpoint.pk)))
    assert "It cannot be used" in page
    assert "/runs/start/" not in page


def test_it_shows_what_came_of_it(client: Client, project: Project, ml_staff: User) -> None:
    base = make_base_checkpoint(project)
    child = make_policy_checkpoint(project, name="the-child", parent=base)
    reward = make_reward_checkpoint(project, parent=base)
    judged = make_run(project, "evaluate", name="Judged later", state="succeeded", reward=reward)
    Run.objects.filter(pk=judged.pk).update(outcome={"status": "succeeded", "evaluation": {**FIGURES, "n": 33}})
    client.force_login(ml_staff)
    page = text(client.get(url("checkpoint", project, base.pk)))
    assert url("checkpoint", project, child.pk) in page
    page = text(client.get(url("checkpoint", project, reward.pk)))
    assert "Judged later" in page
    assert "of 33 held-out labels" in page


def test_a_checkpoint_from_simulated_labels_is_marked(client: Client, project: Project, ml_staff: User) -> None:
    from feedback.people import create_simulated_annotator
    from tests.factories import make_judgment, make_queue, make_task

    robot = create_simulated_annotator(project=project, username="robot", rule="the shorter one")
    make_judgment(task=make_task(make_queue(project)), annotator=robot)
    snapshot = make_snapshot(project, selection=Selection(include_simulated=True))
    checkpoint = make_reward_checkpoint(project, snapshot=snapshot)
    client.force_login(ml_staff)
    assert "simulated" in text(client.get(url("checkpoint", project, checkpoint.pk)))


# The snapshot page's fragment ---------------------------------------------------------------------------


def test_the_fragment_lists_what_was_trained_on_the_snapshot(client: Client, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    page = url("snapshot-checkpoints", project, snapshot.pk)
    client.force_login(ml_staff)
    assert "None yet" in text(client.get(page, headers={"HX-Request": "true"}))
    checkpoint = make_reward_checkpoint(project, name="scorer", snapshot=snapshot, evaluation=FIGURES)
    fragment = text(client.get(page, headers={"HX-Request": "true"}))
    assert url("checkpoint", project, checkpoint.pk) in fragment
    assert "70 % of 20 held out" in fragment
    assert "<html" not in fragment


def test_without_htmx_the_fragments_address_leads_to_the_list(client: Client, project: Project, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    client.force_login(ml_staff)
    response = client.get(url("snapshot-checkpoints", project, snapshot.pk))
    assert response["Location"] == f"{url('checkpoints', project)}?snapshot={snapshot.pk}"


# The base model -----------------------------------------------------------------------------------------


def test_the_installations_base_model_is_added_once(
    client: Client, project: Project, ml_staff: User, tmp_path: Path, settings
) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings.BASE_MODEL = str(tmp_path)
    client.force_login(ml_staff)
    add = url("checkpoint-base", project)
    assert add in text(client.get(url("checkpoints", project)))
    client.post(add)
    client.post(add)
    assert Checkpoint.objects.get(project=project).path == str(tmp_path)
    assert add not in text(client.get(url("checkpoints", project)))


def test_a_large_base_model_is_left_to_a_clerk(
    client: Client, project: Project, ml_staff: User, tmp_path: Path, settings
) -> None:
    (tmp_path / "config.json").write_text("{}")
    settings.BASE_MODEL, settings.JOB_REQUEST_SECONDS = str(tmp_path), 0.0
    client.force_login(ml_staff)
    answer = client.post(url("checkpoint-base", project))
    job = project.jobs.get()
    assert (job.state, answer["Location"]) == ("queued", reverse("job", args=[project.slug, job.pk]))
    assert not project.checkpoints.exists()
    Clerk(poll=0.01).work(once=True)
    made = project.checkpoints.get()
    assert (made.kind, made.sha256) == ("base", directory_digest(tmp_path))
    assert reverse("checkpoint", args=[project.slug, made.pk]) in text(client.get(answer["Location"]))
    (tmp_path / "config.json").unlink()
    other = make_project()
    start_job(project=other, kind="model", params={"base": str(tmp_path)}, created_by=ml_staff)
    Clerk(poll=0.01).work(once=True)
    assert "holds no model any more" in other.jobs.get().error


def test_without_a_base_model_the_way_out_is_told(
    client: Client, project: Project, ml_staff: User, tmp_path: Path, settings
) -> None:
    settings.BASE_MODEL = str(tmp_path / "nothing here")
    client.force_login(ml_staff)
    assert "BASE_MODEL=path-or-hub-id" in text(client.get(url("checkpoints", project)))
    response = client.post(url("checkpoint-base", project), follow=True)
    assert "BASE_MODEL=path-or-hub-id" in text(response)


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_add_no_base_model(
    client: Client, project: Project, request: pytest.FixtureRequest, person: str, status: int
) -> None:
    client.force_login(request.getfixturevalue(person))
    assert client.post(url("checkpoint-base", project)).status_code == status
    assert not Checkpoint.objects.exists()
