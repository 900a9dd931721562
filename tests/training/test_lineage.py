"""From a checkpoint back to the people's judgments, and forward to what was made of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from django.conf import settings

from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_queue,
    make_reward_checkpoint,
    make_run,
)
from tests.training.conftest import labelled_snapshot, with_files
from training.lineage import CheckpointGone, lineage, model_source, where_used

pytestmark = pytest.mark.django_db


def test_a_base_model_comes_from_nothing(project):
    found = lineage(make_base_checkpoint(project))
    assert (found.ancestors, found.runs, found.snapshot, found.judgments) == ([], [], None, 0)


def test_a_policy_is_followed_to_its_judgments_and_its_base(project):
    snapshot = labelled_snapshot(project)
    base = make_base_checkpoint(project)
    first = make_policy_checkpoint(project, parent=base, snapshot=snapshot)
    second = make_policy_checkpoint(project, parent=first, snapshot=snapshot)
    found = lineage(second)
    assert found.ancestors == [first, base]
    assert found.runs == [second.run, first.run]
    assert (found.snapshot, found.judgments) == (snapshot, snapshot.judgment_count)
    assert found.judgments > 0


def test_what_became_of_a_checkpoint_is_found(project):
    base = make_base_checkpoint(project)
    policy = make_policy_checkpoint(project, parent=base)
    queue = make_queue(project)
    sampling = make_run(project, "sample", policy=policy, queue=queue)
    child = make_policy_checkpoint(project, parent=policy)
    found = where_used(policy)
    assert found.children == [child]
    assert set(found.runs) == {sampling, child.run}
    assert found.queues == [queue]


def test_a_reward_model_is_used_by_the_runs_it_scores(project):
    reward = make_reward_checkpoint(project)
    ppo = make_run(project, "ppo", policy=reward.parent, reward=reward)
    assert where_used(reward).runs == [ppo]


def test_a_models_weights_are_its_base_and_its_adapters_oldest_first(project):
    base = with_files(make_base_checkpoint(project))
    first = with_files(make_policy_checkpoint(project, parent=base))
    reward = with_files(make_reward_checkpoint(project, parent=first))
    source = model_source(reward)
    data = Path(settings.DATA_DIR)
    assert source.base == str(data / base.path)
    assert source.adapters == (str(data / first.path), str(data / reward.path))
    assert model_source(base).adapters == ()


def test_a_missing_ancestor_is_named(project):
    base = with_files(make_base_checkpoint(project))
    first = with_files(make_policy_checkpoint(project, parent=base))
    second = with_files(make_policy_checkpoint(project, parent=first))
    shutil.rmtree(Path(settings.DATA_DIR) / first.path)
    with pytest.raises(CheckpointGone, match=first.name):
        model_source(second)
    shutil.rmtree(Path(settings.DATA_DIR) / base.path)
    with pytest.raises(CheckpointGone, match=base.name):
        model_source(second)


def test_a_whole_model_stands_by_itself_and_adapters_stand_on_it(project):
    base = with_files(make_base_checkpoint(project))
    adapter = with_files(make_policy_checkpoint(project, parent=base))
    whole = with_files(make_policy_checkpoint(project, parent=adapter, is_whole=True))
    above = with_files(make_policy_checkpoint(project, parent=whole))
    assert model_source(adapter).adapters == (str(Path(settings.DATA_DIR) / adapter.path),)
    found = model_source(whole)
    assert (found.base, found.adapters) == (str(Path(settings.DATA_DIR) / whole.path), ())
    found = model_source(above)
    assert found.base == str(Path(settings.DATA_DIR) / whole.path)
    assert found.adapters == (str(Path(settings.DATA_DIR) / above.path),)


def test_a_whole_model_without_files_is_named(project):
    whole = make_policy_checkpoint(project, is_whole=True)
    with pytest.raises(CheckpointGone, match=f"the whole model {whole.name} is gone"):
        model_source(whole)
