"""Settings of another day, run directories that are broken, and nonsense typed into the form: no page breaks."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from rest_framework.test import APIClient

from feedback.models import Project, User
from tests.factories import (
    make_base_checkpoint,
    make_member,
    make_policy_checkpoint,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
    make_trained_checkpoint,
)
from tests.training.conftest import with_files
from training.configs import CONFIGS
from training.landing import LEAVES
from training.models import Run, RunMetric
from training.rundir import RunDirectory
from training.starting import SWEPT

pytestmark = pytest.mark.django_db

OF_ANOTHER_DAY: dict[str, Any] = {
    "reward_function": "gone",
    "no_longer_there": {"a": [1]},
    "steps": "many",
    "updates": None,
    "seed": [17],
    "temperatures": 5,
    "responses_per_temperature": "two",
    "evaluate_every": "never",
    "batch_size": 1.5,
    "learning_rate": {"from": 1},
}


@pytest.fixture(autouse=True)
def _data_of_its_own(settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def staff(client: Client, ml_staff: User) -> Client:
    client.force_login(ml_staff)
    return client


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_a_run_with_settings_of_another_day_can_be_read_everywhere(
    staff: Client, project: Project, ml_staff: User, kind: str
) -> None:
    run = make_run(
        project, kind, state="succeeded", config=OF_ANOTHER_DAY, policy=make_base_checkpoint(project),
        queue=make_queue(project) if kind == "sample" else None, outcome={"evaluation": {"n": 3, "odd": 1.5}},
    )  # fmt: skip
    RunMetric.objects.create(run=run, step=1, values={"time": 1.0, "loss": None, "of_another_day": 2})
    at = [project.slug, run.pk]
    pages = [reverse(name, args=at) for name in ("run", "run-live", "run-numbers", "run-metrics", "run-log")]
    pages += [f"{reverse('run-metrics', args=at)}?format=csv", reverse("runs", args=[project.slug])]
    pages += [f"{reverse('runs-compare', args=[project.slug])}?run={run.pk}"]
    pages += [f"{reverse('run-start', args=[project.slug, kind])}?like={run.pk}"]
    if kind in LEAVES:
        left = make_trained_checkpoint(project, LEAVES[kind], kind, run=run)
        pages += [reverse(name, args=[project.slug, left.pk]) for name in ("checkpoint", "checkpoint-card")]
    for page in pages:
        answer = staff.get(page)
        assert answer.status_code == 200, page
        if answer.streaming:
            b"".join(answer.streaming_content)
    plan = staff.get(
        reverse("run-start", args=[project.slug, kind]), {"like": str(run.pk)}, headers={"HX-Request": "true"}
    )
    assert plan.status_code == 200
    api = APIClient()
    api.force_authenticate(ml_staff)
    assert api.get(f"/api/v1/runs/{run.pk}/").json()["config"] == OF_ANOTHER_DAY
    assert api.get(f"/api/v1/runs/{run.pk}/metrics/").status_code == 200
    if kind in SWEPT:
        assert staff.post(reverse("run-repeat", args=at)).status_code == 409
        assert api.post(f"/api/v1/runs/{run.pk}/repeat/").status_code == 422
    assert Run.objects.count() == 1


@pytest.mark.parametrize("kind", ["dpo", "ppo"])
def test_a_broken_run_directory_leaves_the_page_readable(staff: Client, project: Project, kind: str) -> None:
    run = make_run(project, kind, state="running", progress={"phase": 3, "done": "x", "total": None})
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    rows = [b"[1]", b"\xff\xfe", b"{", b"[" * 9_000, b'{"step": "x"}', b'{"step": 1}', b'{"step": 2, "place": [1]}']
    directory.previews_path.write_bytes(b"\n".join(rows))
    directory.log_path.write_bytes(b"\x00\x1b[31m\xff\r\n" * 9_000)
    directory.metrics_path.write_bytes(b"\xff")
    page = staff.get(reverse("run", args=[project.slug, run.pk]))
    assert page.status_code == 200
    directory.previews_path.unlink()
    directory.previews_path.mkdir()
    assert staff.get(reverse("run-live", args=[project.slug, run.pk])).status_code == 200


@pytest.mark.parametrize("query", ["9" * 5_000, "-1", "²", "٣", "1e5", "NaN", "\x00"])
def test_a_step_that_is_none_is_taken_for_none(staff: Client, project: Project, ml_staff: User, query: str) -> None:
    run = make_run(project)
    at = [project.slug, run.pk]
    assert staff.get(reverse("run-metrics", args=at), {"after": query}).status_code == 200
    assert staff.get(reverse("run-live", args=at), {"after": query, "attempt": query, "log": query}).status_code == 200
    together = reverse("runs-compare-metrics", args=[project.slug])
    assert staff.get(together, {"run": [f"{run.pk}:{query}", query]}).status_code == 200
    api = APIClient()
    api.force_authenticate(ml_staff)
    assert api.get(f"/api/v1/runs/{run.pk}/metrics/", {"after": query}).status_code == 422


NONSENSE = ["", "\x00", "9" * 400, "9" * 5_000, "NaN", "1e308", "<script>\r\n½"]


@pytest.fixture
def ready(project: Project) -> Project:
    base, snapshot = with_files(make_base_checkpoint(project)), make_snapshot(project, labels=4)
    with_files(make_reward_checkpoint(project, parent=base, snapshot=snapshot))
    with_files(make_policy_checkpoint(project, parent=base, snapshot=snapshot))
    make_prompt(project)
    make_member(project)
    return project


@pytest.mark.parametrize("kind", list(CONFIGS))
def test_nonsense_in_every_field_is_refused_and_starts_nothing(staff: Client, ready: Project, kind: str) -> None:
    address = reverse("run-start", args=[ready.slug, kind])
    names = list(staff.get(address).context["form"].fields)
    before = Run.objects.count()
    for text in NONSENSE:
        given = dict.fromkeys([*names, "like", "nobody"], text)
        assert staff.post(address, given).status_code == 422
        assert staff.get(address, given, headers={"HX-Request": "true"}).status_code == 200
    assert staff.get(address, given).status_code == 200
    assert Run.objects.count() == before


def test_nonsense_over_the_api_is_refused_and_starts_nothing(ready: Project, ml_staff: User) -> None:
    api = APIClient()
    api.force_authenticate(ml_staff)
    address, before = f"/api/v1/projects/{ready.slug}/runs/", Run.objects.count()
    base, snapshot = ready.checkpoints.get(kind="base"), ready.snapshots.get()
    given = {"kind": "dpo", "policy": str(base.pk), "snapshot": str(snapshot.pk)}
    for value in (None, [], {}, "x", "\x00", -1, 10**400, 1e308, True, [None], {"a": 1}, "9" * 400):
        for name in (*CONFIGS["dpo"].__dataclass_fields__, "\x00"):
            answer = api.post(address, {**given, "config": {name: value}}, format="json")
            assert answer.status_code in (201, 422), (name, value)
        for name in (
            "config",
            "launch",
            "needs",
            "prompts",
            "others",
            "name",
            "waits_after_preflight",
            "kind",
            "policy",
        ):
            answer = api.post(address, {**given, name: value}, format="json")
            assert answer.status_code in (201, 400, 422), (name, value)
        for name in ("device", "memory_gb", "labels"):
            answer = api.post(address, {**given, "needs": {name: value}}, format="json")
            assert answer.status_code in (201, 422), (name, value)
    for run in Run.objects.order_by("-pk")[: Run.objects.count() - before]:
        json.dumps(run.config, allow_nan=False)
        assert "\x00" not in json.dumps([run.config, run.needs, run.name], ensure_ascii=False)
