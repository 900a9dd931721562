"""A sample run of several models, and of drafts among which a reward model chooses."""

from __future__ import annotations

import shutil

import pytest
from django.conf import settings

from feedback.models import Project
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
)
from tests.training.conftest import labelled_snapshot, with_files
from training.lineage import learned_from, model_source, where_used
from training.models import Checkpoint, Run
from training.run_inputs import write_inputs
from training.runs import RunRefused, start_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(project: Project) -> Checkpoint:
    return with_files(make_base_checkpoint(project))


@pytest.fixture
def snapshot(project: Project):
    return labelled_snapshot(project)


@pytest.fixture
def policy(project: Project, base: Checkpoint, snapshot) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=base, snapshot=snapshot))


@pytest.fixture
def reward_model(project: Project, base: Checkpoint, snapshot) -> Checkpoint:
    return with_files(make_reward_checkpoint(project, parent=base, snapshot=snapshot))


@pytest.fixture
def sampling(project, ml_staff, base):
    make_prompt(project)
    return {"project": project, "kind": "sample", "created_by": ml_staff, "policy": base, "queue": make_queue(project)}


def refusal(**inputs) -> RunRefused:
    with pytest.raises(RunRefused) as refused:
        start_run(**{"config": {}, **inputs})
    assert not Run.objects.filter(kind="sample").exists()
    return refused.value


def test_several_models_and_a_judge_reach_the_run_directory(sampling, policy, base, reward_model):
    config = {"best_of": 4, "temperatures": [0.7]}
    run = start_run(**sampling, config=config, others=[policy], reward=reward_model)
    spec = write_inputs(run)
    assert (spec.policy, spec.others, spec.reward) == (
        model_source(base),
        (model_source(policy),),
        model_source(reward_model),
    )
    assert run.further_models == [policy]


def test_a_model_that_answers_beside_the_policy_is_used_by_the_run(sampling, policy, snapshot):
    run = start_run(**sampling, config={}, others=[policy])
    assert where_used(policy).runs[0] == run
    assert where_used(policy).queues == [run.queue]
    assert run in learned_from([snapshot]).runs


def test_a_model_that_comes_twice_is_refused(sampling, policy, base):
    assert refusal(**sampling, others=[policy, policy]).field == "others"
    assert "is given twice" in str(refusal(**sampling, others=[base]))


def test_a_reward_model_cannot_answer(sampling, reward_model):
    assert "cannot write any" in str(refusal(**sampling, others=[reward_model]))


def test_a_model_of_another_project_is_refused(sampling):
    assert "belongs to another project" in str(refusal(**sampling, others=[make_base_checkpoint(make_project())]))


def test_a_model_whose_files_are_gone_is_refused(sampling, policy):
    shutil.rmtree(settings.DATA_DIR / policy.path)
    assert "are gone" in str(refusal(**sampling, others=[policy]))


def test_more_responses_than_anybody_reads_are_refused(sampling, policy):
    said = refusal(
        **sampling, others=[policy], config={"responses_per_temperature": 16, "temperatures": [0.3, 0.6, 1.0]}
    )
    assert "2 models with 48 responses each are more than 64 responses to one prompt" in str(said)


def test_drafts_without_a_reward_model_are_refused_and_a_reward_model_without_drafts(sampling, reward_model):
    drafts = {"best_of": 2, "temperatures": [1.0]}
    assert "must choose among 2 drafts" in str(refusal(**sampling, config=drafts))
    assert "nothing to choose" in str(refusal(**sampling, reward=reward_model))


def test_other_kinds_of_run_take_no_further_models(sampling, policy, snapshot):
    said = refusal(**{**sampling, "kind": "dpo", "queue": None}, snapshot=snapshot, others=[policy])
    assert (said.field, "does not use one" in str(said)) == ("others", True)
