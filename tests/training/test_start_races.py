"""Starting, retrying and promoting while somebody deletes the files of a checkpoint, on SQLite and on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, transaction
from django.utils import timezone

from feedback.models import Role
from tests.factories import make_base_checkpoint, make_member, make_policy_checkpoint, make_project, make_run
from tests.training.conftest import labelled_snapshot, with_files
from training.models import Checkpoint, Run
from training.promotions import PromotionRefused, promote
from training.registry import RegistryRefused, delete_files
from training.retrying import NoRetry, retry_run
from training.runs import RunRefused, start_run

pytestmark = pytest.mark.slow


@pytest.fixture
def project(shared_database):
    yield make_project()
    Run.objects.unfinished().update(state="cancelled", finished_at=timezone.now())  # others share the database


@pytest.fixture
def staff(project):
    return make_member(project, Role.ML_STAFF)


@pytest.fixture
def policy(project) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


def while_it_is_being_deleted(checkpoint: Checkpoint, act: Callable[[], Any]) -> Any:
    """Do `act` on what was read before, while another transaction deletes the checkpoint's files; return what came of
    it. The files themselves lie there until that transaction has ended."""
    came: list[Any] = []

    def acting() -> None:
        try:
            came.append(act())
        except Exception as error:
            came.append(error)
        finally:
            connection.close()

    with transaction.atomic():
        held = Checkpoint.objects.select_for_update().get(pk=checkpoint.pk)
        thread = threading.Thread(target=acting)
        thread.start()
        thread.join(0.3)
        held.files_deleted_at = timezone.now()
        held.save()
    thread.join()
    return came[0]


def test_no_run_starts_from_what_is_deleted_meanwhile(project, staff, policy):
    snapshot = labelled_snapshot(project)
    stale = Checkpoint.objects.get(pk=policy.pk)
    came = while_it_is_being_deleted(
        policy,
        lambda: start_run(project=project, kind="dpo", config={}, created_by=staff, policy=stale, snapshot=snapshot),
    )
    assert isinstance(came, RunRefused), came
    assert "were deleted on" in came.message
    assert not project.runs.unfinished().exists()


def test_no_run_is_tried_again_with_what_is_deleted_meanwhile(project, policy):
    failed = make_run(project, "sft", state="failed", policy=policy)
    came = while_it_is_being_deleted(policy, lambda: retry_run(run=failed))
    assert isinstance(came, NoRetry), came
    assert Run.objects.get(pk=failed.pk).state == "failed"


def test_nothing_is_promoted_that_is_deleted_meanwhile(project, staff, policy):
    stale = Checkpoint.objects.get(pk=policy.pk)
    came = while_it_is_being_deleted(policy, lambda: promote(checkpoint=stale, reason="It is good.", promoted_by=staff))
    assert isinstance(came, PromotionRefused), came
    assert not project.promotions.exists()


def test_starts_and_deletions_at_the_same_moment_leave_no_run_without_its_model(project, staff):
    snapshot, base = labelled_snapshot(project), with_files(make_base_checkpoint(project))
    for _ in range(5):
        policy = with_files(make_policy_checkpoint(project, parent=base))
        barrier, came = threading.Barrier(2), {}

        def both(name: str, act: Callable[[], Any], at: threading.Barrier = barrier, told: dict = came) -> None:
            try:
                at.wait()
                told[name] = act()
            except (RunRefused, RegistryRefused) as refusal:
                told[name] = refusal
            finally:
                connection.close()

        threads = [
            threading.Thread(
                target=both,
                args=(
                    "start",
                    lambda one=policy: start_run(
                        project=project, kind="dpo", config={}, created_by=staff, policy=one, snapshot=snapshot
                    ),
                ),
            ),
            threading.Thread(
                target=both,
                args=(
                    "delete",
                    lambda one=policy: delete_files(
                        checkpoint=Checkpoint.objects.get(pk=one.pk), name=one.name, by=staff, now=timezone.now()
                    ),
                ),
            ),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert isinstance(came["start"], RunRefused) != isinstance(came["delete"], RegistryRefused), came
