"""A policy evaluated against its reference: what such a run takes, and what its directory holds."""

from __future__ import annotations

import json

import pytest

from feedback.contract import EVALUATION, TRAIN
from tests.factories import make_prompt
from tests.training.test_start_run import base, policy, refusal, reward_model, snapshot  # noqa: F401 (fixtures)
from training.lineage import model_source
from training.run_inputs import write_inputs
from training.rundir import RunDirectory
from training.runs import start_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _data(settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path


def test_it_takes_a_policy_and_its_judge_and_writes_to_the_evaluation_split(project, ml_staff, policy, reward_model):  # noqa: F811
    make_prompt(project, split=TRAIN)
    held_out = make_prompt(project, split=EVALUATION)
    run = start_run(
        project=project, kind="evaluate", config={}, created_by=ml_staff, policy=policy, reward=reward_model
    )
    spec = write_inputs(run)
    lines = [json.loads(line) for line in RunDirectory(run.directory).prompts_path.read_text().splitlines()]
    assert str(held_out.pk) in [line["prompt_id"] for line in lines]
    assert {line["split"] for line in lines} == {EVALUATION}
    assert spec.reference == model_source(policy.parent)
    assert RunDirectory(run.directory).spec() == spec


def test_prompts_that_are_named_are_taken_from_any_split(project, ml_staff, policy, reward_model):  # noqa: F811
    chosen = make_prompt(project, split=TRAIN)
    run = start_run(
        project=project, kind="evaluate", config={}, created_by=ml_staff, policy=policy, reward=reward_model,
        prompt_ids=[chosen.pk],
    )  # fmt: skip
    write_inputs(run)
    (line,) = RunDirectory(run.directory).prompts_path.read_text().splitlines()
    assert json.loads(line)["prompt_id"] == str(chosen.pk)


def test_without_a_prompt_to_write_to_it_is_refused(project, ml_staff, policy, reward_model):  # noqa: F811
    project.prompts.update(split=TRAIN)
    said = refusal(project=project, kind="evaluate", created_by=ml_staff, policy=policy, reward=reward_model)
    assert said.field == "prompt_ids"
    assert "no prompts in its evaluation split" in said.message


def test_a_run_on_labels_writes_no_prompts(project, ml_staff, reward_model, snapshot):  # noqa: F811
    run = start_run(
        project=project, kind="evaluate", config={}, created_by=ml_staff, reward=reward_model, snapshot=snapshot
    )
    spec = write_inputs(run)
    assert spec.reference is None
    assert not RunDirectory(run.directory).prompts_path.exists()
