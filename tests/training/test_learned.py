"""What learned from a person: runs, checkpoints and all that descends from them; and snapshots that were withdrawn."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import AuditEvent, Snapshot
from feedback.snapshot_members import member_ids
from feedback.snapshots import SnapshotDamaged, verify_snapshot
from feedback.withdrawing import WithdrawalRefused, withdraw_snapshot
from tests.api.people import ApiClient
from tests.factories import (
    make_base_checkpoint,
    make_judgment,
    make_policy_checkpoint,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
)
from tests.training.conftest import with_files
from training.lineage import learned_from
from training.models import Checkpoint, Run
from training.run_inputs import write_inputs
from training.rundir import BadRunDirectory, RunDirectory, write_json
from training.runs import RunRefused, start_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def snapshot(project, annotator) -> Snapshot:
    make_judgment(queue=make_queue(project), annotator=annotator)
    return make_snapshot(project, labels=3)


@pytest.fixture
def models(project, snapshot) -> dict[str, Checkpoint]:
    """A reward model of the snapshot, a policy by PPO against it, and one that started from that policy."""
    base = make_base_checkpoint(project)
    reward = make_reward_checkpoint(project, snapshot=snapshot, parent=base)
    ppo = make_policy_checkpoint(project, parent=base, run=make_run(project, "ppo", policy=base, reward=reward))
    child = make_policy_checkpoint(project, parent=ppo, run=make_run(project, "dpo", policy=ppo))
    bystander = make_policy_checkpoint(project, parent=base)
    return {"base": base, "reward": reward, "ppo": ppo, "child": child, "bystander": bystander}


def withdraw(snapshot, admin, **overrides) -> Snapshot:
    values = {"name": snapshot.name, "reason": "She asked.", "by": admin, "now": timezone.now(), **overrides}
    return withdraw_snapshot(snapshot=snapshot, **values)


def test_everything_that_descends_from_the_snapshot_is_found_and_nothing_else(snapshot, models):
    found = learned_from([snapshot])
    assert {checkpoint.pk: how for checkpoint, how in found.checkpoints} == {
        models["reward"].pk: "trained on the snapshot",
        models["ppo"].pk: "trained against such a reward model",
        models["child"].pk: "started from such a model",
    }
    assert {run.pk for run in found.runs} == {models[name].run_id for name in ("reward", "ppo", "child")}


def test_a_run_that_left_no_checkpoint_is_found_too(project, snapshot):
    failed = make_run(project, "dpo", snapshot=snapshot, state="failed", finished_at=timezone.now())
    assert learned_from([snapshot]).runs == [failed]


def test_without_snapshots_nothing_learned(project, models):
    assert learned_from([]).runs == learned_from([]).checkpoints == []


def test_admins_see_it_as_a_fragment_a_page_and_over_http(client, project, annotator, project_admin, curator, models):
    client.force_login(project_admin)
    url = reverse("person-learned", args=[project.slug, annotator.pk])
    for headers in ({"HX-Request": "true"}, {}):
        shown = client.get(url, headers=headers).content.decode()
        assert models["child"].name in shown
        assert models["bystander"].name not in shown
    told = ApiClient(project_admin).get(f"projects/{project.slug}/people/{annotator.username}/learned/").json()
    assert {one["name"] for one in told["checkpoints"]} == {models[name].name for name in ("reward", "ppo", "child")}
    assert ApiClient(curator).get(f"projects/{project.slug}/people/{annotator.username}/learned/").status_code == 403
    assert ApiClient(project_admin).get(f"projects/{project.slug}/people/nobody/learned/").status_code == 404


# Withdrawn snapshots ----------------------------------------------------------------------------------------


def test_a_withdrawn_snapshot_loses_its_files_and_stays_on_record(snapshot, models, project_admin):
    before, ids = snapshot.manifest, member_ids(snapshot)
    withdraw(snapshot, project_admin)
    stored = Snapshot.objects.get(pk=snapshot.pk)
    assert (stored.withdrawn_by, stored.manifest) == (project_admin, before)
    assert stored.withdrawn_at is not None
    assert {path.name for path in stored.directory.iterdir()} == {"manifest.json", "judgments.ids"}
    assert member_ids(stored) == ids, "what checkpoints learned from can still be told"
    assert learned_from([stored]).checkpoints
    with pytest.raises(SnapshotDamaged, match="withdrawn"):
        verify_snapshot(stored)
    event = AuditEvent.objects.get(action="snapshot.withdraw")
    assert (event.actor, event.reason) == (project_admin, "She asked.")


def test_withdrawing_again_deletes_what_a_crash_left_and_changes_no_record(snapshot, project_admin):
    first = withdraw(snapshot, project_admin).withdrawn_at
    (snapshot.directory / "preference-train.parquet").write_bytes(b"left")
    assert withdraw(snapshot, project_admin).withdrawn_at == first
    assert not (snapshot.directory / "preference-train.parquet").exists()
    assert AuditEvent.objects.filter(action="snapshot.withdraw").count() == 1


def test_what_runs_copied_from_a_withdrawn_snapshot_goes_and_runs_at_work_stop(project, snapshot, project_admin):
    preflight = {"checks": [{"name": "rows"}], "examples": [{"pieces": [["What I wrote.", True]]}]}
    over = make_run(project, "dpo", snapshot=snapshot, state="succeeded", preflight=preflight)
    at_work = make_run(project, "sft", snapshot=snapshot, state="running", preflight=preflight)
    other = make_run(project, "sft", state="succeeded", preflight=preflight)
    directory = RunDirectory(over.directory)
    directory.path.mkdir(parents=True)
    write_json(directory.preflight_path, preflight)
    directory.previews_path.write_text("{}")
    withdraw(snapshot, project_admin)
    for run in (over, at_work):
        run.refresh_from_db()
        assert run.preflight == {"checks": [{"name": "rows"}], "examples": []}
    assert at_work.cancel_requested_at is not None
    assert "What I wrote" not in directory.preflight_path.read_text()
    assert not directory.previews_path.exists()
    other.refresh_from_db()
    assert other.preflight == preflight


@pytest.mark.parametrize(
    ("given", "wanted"), [({"name": "another"}, "type the snapshot's name"), ({"reason": " "}, "say why")]
)
def test_a_slip_withdraws_nothing(snapshot, project_admin, given, wanted):
    with pytest.raises(WithdrawalRefused, match=wanted):
        withdraw(snapshot, project_admin, **given)
    verify_snapshot(Snapshot.objects.get(pk=snapshot.pk))


def test_no_run_starts_on_a_withdrawn_snapshot(project, snapshot, ml_staff, project_admin):
    policy = with_files(make_base_checkpoint(project))
    waiting = make_run(project, "dpo", snapshot=snapshot, policy=policy)
    withdraw(snapshot, project_admin)
    with pytest.raises(RunRefused, match="was withdrawn"):
        start_run(
            project=project, kind="dpo", config={}, created_by=ml_staff, policy=policy,
            snapshot=Snapshot.objects.get(pk=snapshot.pk),
        )  # fmt: skip
    with pytest.raises(BadRunDirectory, match="was withdrawn"):
        write_inputs(Run.objects.select_related("snapshot").get(pk=waiting.pk))


def test_pages_say_that_a_snapshot_is_withdrawn(client, project, snapshot, project_admin):
    client.force_login(project_admin)
    url = reverse("snapshot-withdraw", args=[project.slug, snapshot.pk])
    assert "Withdraw for good" in client.get(url).content.decode()
    assert client.post(url, {"name": "wrong", "reason": "x"}).status_code == 422
    shown = client.post(url, {"name": snapshot.name, "reason": "x"}, follow=True).content.decode()
    assert "<strong>Withdrawn</strong>" in shown
    assert "The files are not what was frozen" not in shown
    assert "withdrawn</span>" in client.get(reverse("snapshots", args=[project.slug])).content.decode()
    download = reverse("snapshot-download", args=[project.slug, snapshot.pk])
    assert "its files were deleted" in client.get(download, follow=True).content.decode()


def test_a_withdrawal_over_http(project, snapshot, curator, project_admin):
    path, body = f"snapshots/{snapshot.pk}/withdraw/", {"name": snapshot.name, "reason": "x"}
    assert ApiClient(curator).post(path, body).status_code == 403
    assert ApiClient(project_admin).post(path, {**body, "name": "x"}).status_code == 422
    assert ApiClient(project_admin).post(path, body).status_code == 200
