"""Deleting a checkpoint's files: the record stays, and what is needed is not deleted."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings
from django.utils import timezone

from feedback.models import AuditEvent, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint, make_queue, make_reward_checkpoint, make_run
from tests.training.conftest import with_files
from training.lineage import CheckpointGone, model_source
from training.models import Checkpoint, Run
from training.promotions import promote
from training.registry import RegistryRefused, delete_files, needed_by

pytestmark = pytest.mark.django_db


@pytest.fixture
def policy(project) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


def delete(checkpoint: Checkpoint, by: User, name: str = "") -> Checkpoint:
    return delete_files(checkpoint=checkpoint, name=name or checkpoint.name, by=by, now=timezone.now())


def refusal(checkpoint: Checkpoint, by: User, name: str = "") -> RegistryRefused:
    with pytest.raises(RegistryRefused) as caught:
        delete(checkpoint, by, name)
    assert (Path(settings.DATA_DIR) / checkpoint.path).is_dir()
    assert Checkpoint.objects.get(pk=checkpoint.pk).files_deleted_at is None
    return caught.value


def test_the_files_go_and_the_record_stays(policy, ml_staff: User):
    state = policy.run.directory / "checkpoints" / "checkpoint-10"
    state.mkdir(parents=True)
    deleted = delete(policy, ml_staff)
    assert (deleted.files_deleted_by, deleted.sha256) == (ml_staff, policy.sha256)
    assert not (Path(settings.DATA_DIR) / policy.path).exists()
    assert not state.exists()
    assert policy.run.directory.is_dir()  # its metrics and log
    with pytest.raises(CheckpointGone, match="were deleted on"):
        model_source(deleted)
    assert AuditEvent.objects.get(action="checkpoint.delete").subject_id == str(policy.pk)


def test_again_deletes_what_was_left_and_tells_it_once(policy, ml_staff: User):
    first = delete(policy, ml_staff)
    with_files(policy)
    assert delete(policy, ml_staff).files_deleted_at == first.files_deleted_at
    assert not (Path(settings.DATA_DIR) / policy.path).exists()
    assert AuditEvent.objects.filter(action="checkpoint.delete").count() == 1


def test_what_cannot_be_removed_is_told_and_can_be_tried_again(policy, ml_staff: User, tmp_path):
    model = Path(settings.DATA_DIR) / policy.path
    elsewhere = model.rename(tmp_path / "larger disk")
    model.symlink_to(elsewhere)
    with pytest.raises(RegistryRefused, match="files of it are left"):
        delete(policy, ml_staff)
    assert Checkpoint.objects.get(pk=policy.pk).files_deleted_at is not None
    assert list(elsewhere.iterdir()), "a link is not followed"
    model.unlink()
    delete(policy, ml_staff)


def test_its_name_has_to_be_typed(policy, ml_staff: User):
    assert refusal(policy, ml_staff, "another").field == "name"


@pytest.mark.parametrize("state", ["queued", "running", "paused"])
@pytest.mark.parametrize("role", ["policy", "reward"])
def test_a_run_that_is_not_over_keeps_it(project, policy, ml_staff: User, state, role):
    run = make_run(project, "sample", state=state, **{role: policy})
    assert run.name in refusal(policy, ml_staff).message
    Run.objects.filter(pk=run.pk).update(state="failed", finished_at=timezone.now(), lease_expires_at=None)
    assert needed_by(policy) == []


def test_a_run_that_samples_from_it_beside_others_keeps_it(project, policy, ml_staff: User):
    run = make_run(project, "sample", policy=policy.parent)
    run.others.add(policy)
    assert run.name in refusal(policy, ml_staff).message


def test_an_adapter_over_it_keeps_it_until_that_is_deleted(project, policy, ml_staff: User):
    child = with_files(make_policy_checkpoint(project, parent=policy))
    assert child.name in refusal(policy, ml_staff).message
    delete(child, ml_staff)
    assert needed_by(policy) == []


def test_a_whole_model_made_from_it_does_not_keep_it(project, policy):
    make_policy_checkpoint(project, parent=policy, is_whole=True)
    assert needed_by(policy) == []


def test_the_current_one_is_kept(policy, ml_staff: User):
    promote(checkpoint=policy, reason="Better.", promoted_by=ml_staff)
    assert "current policy" in refusal(policy, ml_staff).message


def test_a_queue_in_which_it_answers_keeps_it(project, policy, ml_staff: User):
    queue = make_queue(project, kind="conversation", schema={"policies": [str(policy.pk)]})
    assert queue.name in refusal(policy, ml_staff).message
    queue.state = "closed"
    queue.save()
    assert needed_by(policy) == []


def test_files_from_outside_are_not_deleted(policy, ml_staff: User):
    assert "comes from outside" in refusal(policy.parent, ml_staff).message


def test_a_reward_model_against_which_a_policy_was_trained_can_go(project, policy, ml_staff: User):
    reward = with_files(make_reward_checkpoint(project, parent=policy.parent))
    make_policy_checkpoint(project, parent=policy.parent, reward=reward)
    assert delete(reward, ml_staff).files_deleted_at
