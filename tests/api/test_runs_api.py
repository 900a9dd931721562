"""Runs over HTTP: list, start, read, cancel, metrics."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.urls import reverse
from rest_framework.test import APIClient

from feedback.models import Project, User
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from training.configs import CONFIGS, config_values
from training.models import Checkpoint, Run, RunMetric

pytestmark = pytest.mark.django_db


@pytest.fixture
def api() -> APIClient:
    return APIClient()


@pytest.fixture
def base(project: Project) -> Checkpoint:
    directory = Path(settings.DATA_DIR) / "models" / project.slug
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "config.json").write_text("{}")
    (directory / "model.safetensors").touch()
    return make_base_checkpoint(project, path=f"models/{project.slug}")


def runs_url(project: Project) -> str:
    return f"/api/v1/projects/{project.slug}/runs/"


VERBS = ("cancel/", "pause/", "resume/", "retry/")


def run_url(run: Run, verb: str = "") -> str:
    return f"/api/v1/runs/{run.pk}/{verb}"


def test_everything_asks_for_a_token(api: APIClient, project: Project) -> None:
    run = make_run(project)
    for path in (runs_url(project), run_url(run), run_url(run, "metrics/")):
        assert api.get(path).status_code == 401
    assert api.post(runs_url(project), {}).status_code == 401
    for verb in VERBS:
        assert api.post(run_url(run, verb)).status_code == 401


def test_who_may_read(
    api: APIClient, project: Project, ml_staff: User, curator: User, annotator: User, outsider: User
) -> None:
    run = make_run(project)
    for person, status in ((ml_staff, 200), (curator, 200), (annotator, 403), (outsider, 404)):
        api.force_authenticate(person)
        for path in (runs_url(project), run_url(run), run_url(run, "metrics/")):
            assert api.get(path).status_code == status, (person, path)


@pytest.mark.parametrize(("person", "status"), [("curator", 403), ("annotator", 403), ("outsider", 404)])
def test_others_start_and_cancel_nothing(
    api: APIClient, project: Project, base: Checkpoint, request: pytest.FixtureRequest, person: str, status: int
) -> None:
    run = make_run(project)
    api.force_authenticate(request.getfixturevalue(person))
    asked = {"kind": "dpo", "policy": str(base.pk), "snapshot": str(make_snapshot(project).pk)}
    assert api.post(runs_url(project), asked, format="json").status_code == status
    for verb in VERBS:
        assert api.post(run_url(run, verb)).status_code == status
    assert list(Run.objects.values_list("state", flat=True)) == ["queued"]


def test_the_list_has_the_latest_first_and_pages(api: APIClient, project: Project, ml_staff: User) -> None:
    for number in range(3):
        make_run(project, name=f"run {number}")
    make_run(make_project(), name="elsewhere")
    api.force_authenticate(ml_staff)
    answer = api.get(runs_url(project), {"limit": 2}).json()
    assert answer["count"] == 3
    assert [run["name"] for run in answer["results"]] == ["run 2", "run 1"]
    assert "offset=2" in answer["next"]


def test_the_list_is_filtered(api: APIClient, project: Project, ml_staff: User) -> None:
    make_run(project, "dpo", name="one")
    make_run(project, "ppo", name="two", state="failed")
    api.force_authenticate(ml_staff)
    assert [run["name"] for run in api.get(runs_url(project), {"kind": "ppo"}).json()["results"]] == ["two"]
    assert [run["name"] for run in api.get(runs_url(project), {"state": "queued"}).json()["results"]] == ["one"]
    refused = api.get(runs_url(project), {"kind": "teapot"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["attr"] == "kind"


def test_a_dpo_run_starts_with_defaults(api: APIClient, project: Project, base: Checkpoint, ml_staff: User) -> None:
    snapshot = make_snapshot(project)
    api.force_authenticate(ml_staff)
    asked = {"kind": "dpo", "config": {"steps": 3}, "policy": str(base.pk), "snapshot": str(snapshot.pk)}
    response = api.post(runs_url(project), asked, format="json")
    assert response.status_code == 201, response.json()
    run = Run.objects.get()
    shown = response.json()
    assert {**shown, "preflight": {}, "environment": {}} == api.get(run_url(run)).json()
    assert shown["config"] == {**config_values(CONFIGS["dpo"]()), "steps": 3}
    assert shown["state"] == "queued"
    assert shown["policy"] == str(base.pk)
    assert shown["checkpoint"] is None
    assert shown["created_by"] == ml_staff.username


def test_a_sample_run_takes_prompts_and_a_queue(
    api: APIClient, project: Project, base: Checkpoint, ml_staff: User
) -> None:
    prompt, queue = make_prompt(project), make_queue(project)
    api.force_authenticate(ml_staff)
    asked = {"kind": "sample", "policy": str(base.pk), "queue": str(queue.pk), "prompts": [str(prompt.pk)]}
    response = api.post(runs_url(project), asked, format="json")
    assert response.status_code == 201
    assert response.json()["prompts"] == [str(prompt.pk)]


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({"kind": "teapot"}, 400, "kind"),
        ({"config": {"steps": 0}}, 422, "steps"),
        ({"config": {"steps": "many"}}, 422, "steps"),
        ({"config": {"stepps": 3}}, 422, "stepps"),
        ({"config": [1]}, 400, "config"),
        ({"snapshot": None}, 422, "snapshot"),
        ({"snapshot": str(uuid.uuid4())}, 422, "snapshot"),
        ({"snapshot": "nonsense"}, 400, "snapshot"),
        ({"prompts": [str(uuid.uuid4())]}, 422, "prompts"),
        ({"name": "x" * 201}, 400, "name"),
    ],
)
def test_what_cannot_be_is_refused_by_its_field(
    api: APIClient, project: Project, base: Checkpoint, ml_staff: User, change: dict[str, Any], status: int, field: str
) -> None:
    asked = {"kind": "dpo", "policy": str(base.pk), "snapshot": str(make_snapshot(project).pk), **change}
    api.force_authenticate(ml_staff)
    response = api.post(runs_url(project), asked, format="json")
    assert response.status_code == status, response.json()
    assert response.json()["type"] == "validation_error"
    assert [error["attr"] for error in response.json()["errors"]] == [field]
    assert not Run.objects.exists()


def test_another_projects_model_is_not_there(api: APIClient, project: Project, ml_staff: User) -> None:
    theirs = make_base_checkpoint(make_project())
    asked = {"kind": "dpo", "policy": str(theirs.pk), "snapshot": str(make_snapshot(project).pk)}
    api.force_authenticate(ml_staff)
    response = api.post(runs_url(project), asked, format="json")
    assert response.status_code == 422
    assert "there is no policy" in response.json()["errors"][0]["detail"]


def test_a_ppo_run_names_its_reward_model(api: APIClient, project: Project, base: Checkpoint, ml_staff: User) -> None:
    reward = make_reward_checkpoint(project, parent=base, snapshot=make_snapshot(project))
    directory = Path(settings.DATA_DIR) / reward.path
    directory.mkdir(parents=True)
    (directory / "adapter_config.json").write_text("{}")
    (directory / "adapter_model.safetensors").touch()
    api.force_authenticate(ml_staff)
    asked = {"kind": "ppo", "policy": str(base.pk), "reward": str(reward.pk)}
    assert api.post(runs_url(project), asked, format="json").json()["reward"] == str(reward.pk)


def test_a_run_names_the_checkpoint_that_it_left(api: APIClient, project: Project, ml_staff: User) -> None:
    checkpoint = make_policy_checkpoint(project)
    api.force_authenticate(ml_staff)
    assert api.get(f"/api/v1/runs/{checkpoint.run_id}/").json()["checkpoint"] == str(checkpoint.pk)


def test_cancelling(api: APIClient, project: Project, ml_staff: User) -> None:
    waiting, running, over = make_run(project), make_run(project, state="running"), make_run(project, state="failed")
    api.force_authenticate(ml_staff)
    assert api.post(run_url(waiting, "cancel/")).json()["state"] == "cancelled"
    asked = api.post(run_url(running, "cancel/")).json()
    assert asked["state"] == "running"
    assert asked["cancel_requested_at"]
    refused = api.post(run_url(over, "cancel/"))
    assert refused.status_code == 409
    assert "is over" in refused.json()["errors"][0]["detail"]


def test_pausing_and_resuming(api: APIClient, project: Project, ml_staff: User) -> None:
    waiting, running, over = make_run(project), make_run(project, state="running"), make_run(project, state="failed")
    api.force_authenticate(ml_staff)
    assert api.post(run_url(waiting, "pause/")).json()["state"] == "paused"
    assert api.post(run_url(running, "pause/")).json()["pause_requested_at"]
    assert api.post(run_url(over, "pause/")).status_code == 409
    assert api.post(run_url(waiting, "resume/")).json()["state"] == "queued"
    refused = api.post(run_url(running, "resume/"))
    assert refused.status_code == 409
    assert "is not paused: running" in refused.json()["errors"][0]["detail"]


def test_retrying(api: APIClient, project: Project, ml_staff: User) -> None:
    failed, waiting = make_run(project, state="failed", error="The disk is full."), make_run(project)
    api.force_authenticate(ml_staff)
    again = api.post(run_url(failed, "retry/")).json()
    assert (again["state"], again["error"], again["finished_at"]) == ("queued", "", None)
    refused = api.post(run_url(waiting, "retry/"))
    assert refused.status_code == 409
    assert "has not failed" in refused.json()["errors"][0]["detail"]


def test_metrics_after_a_step(api: APIClient, project: Project, ml_staff: User) -> None:
    run = make_run(project, state="running")
    for step in (1, 2, 3):
        RunMetric.objects.create(run=run, step=step, values={"loss": 0.5, "time": 1.0, "kl": None})
    api.force_authenticate(ml_staff)
    answer = api.get(run_url(run, "metrics/"), {"after": 2}).json()
    assert answer["results"] == [{"step": 3, "values": {"loss": 0.5, "time": 1.0, "kl": None}}]
    assert (answer["finished"], answer["more"], answer["attempt"]) == (False, False, 1)
    refused = api.get(run_url(run, "metrics/"), {"after": "-1"})
    assert refused.status_code == 422
    assert refused.json()["errors"][0]["attr"] == "after"


def test_there_is_no_such_run(api: APIClient, project: Project, ml_staff: User) -> None:
    api.force_authenticate(ml_staff)
    assert api.get(f"/api/v1/runs/{uuid.uuid4()}/").status_code == 404
    assert api.get(reverse("api-runs", args=["nowhere"])).status_code == 404


# Again, and with other seeds ---------------------------------------------------------------------------


def test_a_run_is_repeated_or_refused(api: APIClient, project: Project, ml_staff: User, base: Checkpoint) -> None:
    first = make_run(
        project, "dpo", state="succeeded", policy=base, snapshot=make_snapshot(project),
        config=config_values(CONFIGS["dpo"](steps=3)),
    )  # fmt: skip
    api.force_authenticate(ml_staff)
    answer = api.post(run_url(first, "repeat/"))
    assert answer.status_code == 201
    assert (answer.json()["repeats"], answer.json()["config"]) == (str(first.pk), first.config)
    unfinished = api.post(run_url(make_run(project), "repeat/"))
    assert unfinished.status_code == 422
    assert unfinished.json()["errors"][0]["attr"] == "repeats"


def test_a_sweep_starts_a_run_for_each_seed(api: APIClient, project: Project, ml_staff: User, base: Checkpoint) -> None:
    api.force_authenticate(ml_staff)
    body = {
        "kind": "dpo", "name": "Chance", "config": {"steps": 3}, "policy": str(base.pk),
        "snapshot": str(make_snapshot(project).pk), "seeds": [1, 2, 2], "needs": {"device": "cpu"},
    }  # fmt: skip
    answer = api.post(f"{runs_url(project)}sweep/", body, format="json")
    assert answer.status_code == 201, answer.json()
    runs = answer.json()
    assert [run["config"]["seed"] for run in runs] == [1, 2]
    assert [run["name"] for run in runs] == ["Chance, seed 1", "Chance, seed 2"]
    assert len({run["sweep"] for run in runs}) == 1
    assert {run["needs"]["device"] for run in runs} == {"cpu"}


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seeds": [4]}, "seeds"), ({"kind": "sample"}, "seeds"), ({"seeds": list(range(40))}, "seeds"),
     ({"needs": {"device": "tpu"}}, "device"), ({"launch": {"processes": 4}}, "processes")],
)  # fmt: skip
def test_a_sweep_that_cannot_be_queues_nothing(
    api: APIClient, project: Project, ml_staff: User, base: Checkpoint, changes: dict[str, Any], field: str
) -> None:
    api.force_authenticate(ml_staff)
    body = {"kind": "dpo", "policy": str(base.pk), "snapshot": str(make_snapshot(project).pk), "seeds": [1, 2]}
    answer = api.post(f"{runs_url(project)}sweep/", {**body, **changes}, format="json")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["attr"] == field
    assert not Run.objects.exists()
