"""`start_run`: what each kind needs, and every refusal. A refusal queues nothing."""

from __future__ import annotations

import shutil
import uuid
from pathlib import Path

import pytest
from django.conf import settings

from feedback.models import Project, User
from feedback.queues import set_queue_state
from feedback.selection import Selection
from tests.factories import (
    make_base_checkpoint,
    make_judgment,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
    make_run,
    make_snapshot,
    make_task,
)
from tests.training.conftest import labelled_snapshot, with_files
from training.configs import BadConfig
from training.models import Checkpoint, Run
from training.runs import RunRefused, start_run

pytestmark = pytest.mark.django_db


@pytest.fixture
def base(project: Project) -> Checkpoint:
    return with_files(make_base_checkpoint(project))


@pytest.fixture
def snapshot(project: Project):
    return labelled_snapshot(project)


@pytest.fixture
def reward_model(project: Project, base: Checkpoint, snapshot) -> Checkpoint:
    return with_files(make_reward_checkpoint(project, parent=base, snapshot=snapshot))


@pytest.fixture
def policy(project: Project, base: Checkpoint, snapshot) -> Checkpoint:
    return with_files(make_policy_checkpoint(project, parent=base, snapshot=snapshot))


def refusal(**inputs) -> RunRefused:
    before = Run.objects.count()
    with pytest.raises(RunRefused) as refused:
        start_run(**{"config": {}, **inputs})
    assert Run.objects.count() == before
    return refused.value


def test_a_dpo_run_is_queued_with_its_whole_config(project, ml_staff, base, snapshot):
    run = start_run(
        project=project, kind="dpo", config={"steps": 5}, created_by=ml_staff, policy=base, snapshot=snapshot
    )
    assert (run.state, run.policy, run.snapshot, run.created_by) == ("queued", base, snapshot, ml_staff)
    assert run.config["steps"] == 5
    assert run.config["beta"] == 0.1
    assert run.name == "DPO 1"


def test_every_other_kind_can_be_queued(project, ml_staff, base, snapshot, reward_model, policy):
    queue = make_queue(project)
    prompt = make_prompt(project)
    common = {"project": project, "config": {}, "created_by": ml_staff}
    start_run(kind="reward", policy=base, snapshot=snapshot, **common)
    start_run(kind="ppo", policy=base, reward=reward_model, **common)
    start_run(kind="evaluate", reward=reward_model, snapshot=snapshot, **common)
    start_run(kind="evaluate", policy=policy, snapshot=snapshot, **common)
    sample = start_run(kind="sample", policy=policy, queue=queue, prompt_ids=[prompt.pk, str(prompt.pk)], **common)
    assert sample.prompt_ids == [str(prompt.pk)]


def test_a_name_is_kept(project, ml_staff, base, snapshot):
    run = start_run(
        project=project,
        kind="dpo",
        config={},
        created_by=ml_staff,
        name=" Bold try ",
        policy=base,
        snapshot=snapshot,
    )
    assert run.name == "Bold try"


def test_a_config_with_an_unknown_setting_is_refused(project, ml_staff, base, snapshot):
    with pytest.raises(BadConfig, match="kl_cof"):
        start_run(
            project=project, kind="dpo", config={"kl_cof": 1}, created_by=ml_staff, policy=base, snapshot=snapshot
        )
    assert not Run.objects.filter(kind="dpo", state="queued").exists()


@pytest.mark.parametrize(
    ("kind", "missing"),
    [
        ("dpo", "policy"),
        ("dpo", "snapshot"),
        ("reward", "snapshot"),
        ("ppo", "reward"),
        ("sample", "queue"),
        ("evaluate", "snapshot"),
    ],
)
def test_a_missing_input_is_named(project, ml_staff, base, snapshot, reward_model, kind, missing):
    wanted = {
        "dpo": {"policy": base, "snapshot": snapshot},
        "reward": {"policy": base, "snapshot": snapshot},
        "ppo": {"policy": base, "reward": reward_model},
        "sample": {"policy": base, "queue": make_queue(project)},
        "evaluate": {"reward": reward_model, "snapshot": snapshot},
    }[kind]
    del wanted[missing]
    assert refusal(project=project, kind=kind, created_by=ml_staff, **wanted).field == missing


def test_an_input_that_would_be_ignored_is_refused(project, ml_staff, base, snapshot, reward_model):
    said = refusal(
        project=project, kind="dpo", created_by=ml_staff, policy=base, snapshot=snapshot, reward=reward_model
    )
    assert said.field == "reward"


def test_inputs_of_another_project_are_refused(project, ml_staff, base, snapshot):
    elsewhere = make_project()
    foreign = with_files(make_base_checkpoint(elsewhere))
    common = {"project": project, "kind": "dpo", "created_by": ml_staff}
    assert refusal(policy=foreign, snapshot=snapshot, **common).field == "policy"
    assert refusal(policy=base, snapshot=make_snapshot(elsewhere), **common).field == "snapshot"


def test_prompts_of_another_project_are_refused(project, ml_staff, base):
    make_prompt(project)
    common = {
        "project": project,
        "kind": "sample",
        "created_by": ml_staff,
        "policy": base,
        "queue": make_queue(project),
    }
    assert refusal(prompt_ids=[make_prompt().pk], **common).field == "prompt_ids"
    assert refusal(prompt_ids=[uuid.uuid4()], **common).field == "prompt_ids"
    assert "UUID" in refusal(prompt_ids=["seventeen"], **common).message


def test_a_project_without_prompts_cannot_be_sampled(project, ml_staff, base):
    said = refusal(project=project, kind="sample", created_by=ml_staff, policy=base, queue=make_queue(project))
    assert "import" in said.message


def test_ppo_refuses_a_project_whose_prompts_are_all_held_out(project, ml_staff, base, snapshot, reward_model):
    held_out = make_prompt(project, split="evaluation")
    said = refusal(
        project=project, kind="ppo", created_by=ml_staff, policy=base, reward=reward_model, prompt_ids=[held_out.pk]
    )
    assert "train split" in said.message


def test_a_closed_queue_is_refused(project, ml_staff, base):
    make_prompt(project)
    queue = make_queue(project)
    set_queue_state(queue=queue, state="closed")
    assert refusal(project=project, kind="sample", created_by=ml_staff, policy=base, queue=queue).field == "queue"


def test_a_reward_model_cannot_be_trained_as_a_policy(project, ml_staff, snapshot, reward_model):
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=reward_model, snapshot=snapshot)
    assert said.field == "policy"


def test_a_policy_cannot_stand_in_for_a_reward_model(project, ml_staff, base, policy):
    assert refusal(project=project, kind="ppo", created_by=ml_staff, policy=base, reward=policy).field == "reward"


def test_ppo_refuses_a_reward_model_without_a_snapshot(project, ml_staff, base):
    unknown = with_files(make_reward_checkpoint(project, parent=base))
    said = refusal(project=project, kind="ppo", created_by=ml_staff, policy=base, reward=unknown)
    assert "snapshot" in said.message


def test_ppo_refuses_a_reward_model_on_another_base(project, ml_staff, reward_model):
    other = with_files(make_base_checkpoint(project, path="models/other"))
    said = refusal(project=project, kind="ppo", created_by=ml_staff, policy=other, reward=reward_model)
    assert said.field == "reward"


def test_a_base_model_has_no_implicit_reward_to_evaluate(project, ml_staff, base, snapshot):
    assert refusal(project=project, kind="evaluate", created_by=ml_staff, policy=base, snapshot=snapshot)


def test_evaluating_two_models_at_once_is_refused(project, ml_staff, policy, reward_model, snapshot):
    assert refusal(
        project=project,
        kind="evaluate",
        created_by=ml_staff,
        policy=policy,
        reward=reward_model,
        snapshot=snapshot,
    )


def test_a_snapshot_without_train_rows_is_refused(project, ml_staff, base):
    queue = make_queue(project)
    make_judgment(task=make_task(queue, prompt=make_prompt(project, split="evaluation")))
    held_out = make_snapshot(project)
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=base, snapshot=held_out)
    assert (said.field, "train split" in said.message) == ("snapshot", True)


def test_a_snapshot_without_preferences_is_refused_with_what_it_holds(project, ml_staff, base):
    make_judgment(queue=make_queue(project, kind="demonstration"), answer={"text": "As a person says it."})
    written = make_snapshot(project)
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=base, snapshot=written)
    assert said.field == "snapshot"
    assert "no preference rows" in said.message
    assert "it holds sft" in said.message


def test_evaluating_on_what_nobody_compared_is_refused(project, ml_staff, policy):
    task = make_task(make_queue(project, kind="correction"), prompt=make_prompt(project, split="evaluation"))
    make_judgment(task=task, answer={"text": "As it should have been."})
    edited = make_snapshot(project, selection=Selection(kinds=("correction",)))
    assert edited.rows("preference", "evaluation") == 1
    said = refusal(project=project, kind="evaluate", created_by=ml_staff, policy=policy, snapshot=edited)
    assert (said.field, "between two responses" in said.message) == ("snapshot", True)


@pytest.mark.parametrize(("kind", "words"), [("demonstration", "shows no responses"), ("comparison", "is a test")])
def test_sampling_into_a_queue_that_takes_no_responses_is_refused(project, ml_staff, base, kind, words):
    queue = make_queue(project, kind=kind, is_qualification=kind == "comparison")
    said = refusal(project=project, kind="sample", created_by=ml_staff, policy=base, queue=queue)
    assert (said.field, words in said.message) == ("queue", True)


def test_a_snapshot_whose_files_are_gone_is_refused(project, ml_staff, base, snapshot):
    shutil.rmtree(snapshot.directory)
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=base, snapshot=snapshot)
    assert "gone" in said.message


def test_a_checkpoint_whose_files_are_gone_is_refused(project, ml_staff, base, snapshot):
    gone = make_policy_checkpoint(project, parent=base)
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=gone, snapshot=snapshot)
    assert (said.field, "gone" in said.message) == ("policy", True)


@pytest.mark.parametrize("which", ["base", "policy"])
def test_a_checkpoint_whose_weights_are_gone_is_refused(project, ml_staff, base, policy, snapshot, which):
    place = Path(settings.DATA_DIR) / {"base": base, "policy": policy}[which].path
    for weights in place.glob("*.safetensors"):
        weights.unlink()
    said = refusal(project=project, kind="dpo", created_by=ml_staff, policy=policy, snapshot=snapshot)
    assert (said.field, "has no .safetensors file" in said.message) == ("policy", True)


def test_a_long_name_is_refused(project, ml_staff: User, base, snapshot):
    said = refusal(project=project, kind="dpo", created_by=ml_staff, name="x" * 201, policy=base, snapshot=snapshot)
    assert said.field == "name"


def tuned_prompt(checkpoint: Checkpoint) -> Checkpoint:
    config = Path(settings.DATA_DIR) / checkpoint.path / "adapter_config.json"
    config.write_text('{"peft_type": "PROMPT_TUNING"}')
    return checkpoint


@pytest.mark.parametrize("kind", ["sft", "dpo", "merge"])
def test_nothing_is_built_on_a_tuned_prompt(project, ml_staff, policy, base, snapshot, kind):
    inputs = {} if kind == "merge" else {"snapshot": snapshot}
    said = refusal(project=project, kind=kind, created_by=ml_staff, policy=tuned_prompt(policy), **inputs)
    assert said.field == "policy"
    assert f"choose the model below it, {base}" in said.message


def test_a_tuned_prompt_is_sampled(project, ml_staff, policy):
    make_prompt(project)
    run = start_run(
        project=project,
        kind="sample",
        config={},
        created_by=ml_staff,
        policy=tuned_prompt(policy),
        queue=make_queue(project),
    )
    assert run.policy == policy


def test_adapters_are_merged_and_a_whole_model_has_none_to_merge(project, ml_staff, base, policy):
    assert start_run(project=project, kind="merge", config={}, created_by=ml_staff, policy=policy).policy == policy
    said = refusal(project=project, kind="merge", created_by=ml_staff, policy=base)
    assert (said.field, said.message) == ("policy", f"{base} is a whole model already; there is no adapter to merge")


def test_ppo_may_have_its_reward_model_on_other_weights_of_the_same_base(
    project, ml_staff, base, reward_model, snapshot
):
    make_prompt(project)
    whole = with_files(make_policy_checkpoint(project, parent=base, snapshot=snapshot, is_whole=True))
    run = start_run(project=project, kind="ppo", config={}, created_by=ml_staff, policy=whole, reward=reward_model)
    assert (run.policy, run.reward) == (whole, reward_model)


def test_looks_at_held_out_prompts_need_some(project, ml_staff, base, reward_model):
    inputs = {"project": project, "kind": "ppo", "created_by": ml_staff, "policy": base, "reward": reward_model}
    learned, held_out = (str(make_prompt(project, split=split).pk) for split in ("train", "evaluation"))
    said = refusal(**inputs, config={"evaluate_every": 2}, prompt_ids=[learned])
    assert said.field == "evaluate_every"
    assert "no prompt of the evaluation split" in said.message
    run = start_run(**inputs, config={"evaluate_every": 2}, prompt_ids=[learned, held_out])
    assert run.config["evaluate_every"] == 2


TWO_PROCESSES = {"launcher": "accelerate", "processes": 2}


def test_a_run_is_queued_with_how_it_starts_and_what_it_needs(project, ml_staff, base, snapshot):
    inputs = {"project": project, "created_by": ml_staff, "policy": base, "snapshot": snapshot}
    run = start_run(
        kind="dpo",
        config={"batch_size": 4},
        launch=TWO_PROCESSES,
        needs={"device": "cuda", "memory_gb": 40.0},
        **inputs,
    )
    assert run.launch == {**TWO_PROCESSES, "sharding": "none"}
    assert run.needs == {"device": "cuda", "memory_gb": 40.0, "labels": ""}


def test_rows_that_several_processes_cannot_share_are_refused(project, ml_staff, base, snapshot):
    inputs = {"project": project, "created_by": ml_staff, "policy": base, "snapshot": snapshot}
    refused = refusal(kind="dpo", config={"batch_size": 3}, launch=TWO_PROCESSES, **inputs)
    assert (refused.field, "2 can" in refused.message) == ("batch_size", True)


def test_a_kind_that_one_process_carries_out_refuses_several(project, ml_staff, policy):
    refused = refusal(
        project=project, created_by=ml_staff, kind="merge", config={}, policy=policy, launch=TWO_PROCESSES
    )
    assert refused.field == "processes"


def test_an_unknown_launcher_is_refused(project, ml_staff, base, snapshot):
    with pytest.raises(BadConfig, match="launcher"):
        start_run(
            project=project, created_by=ml_staff, kind="dpo", config={}, policy=base, snapshot=snapshot,
            launch={"launcher": "carrier pigeon"},
        )  # fmt: skip


def test_a_wait_after_a_preflight_that_never_comes_is_refused(project, ml_staff, base):
    make_prompt(project)
    queue = make_queue(project)
    refused = refusal(
        project=project, kind="sample", created_by=ml_staff, policy=base, queue=queue, waits_after_preflight=True
    )
    assert refused.field == "waits_after_preflight"


def test_a_reward_model_from_outside_names_no_snapshot_and_may_judge(project, ml_staff, base):
    make_prompt(project)
    judge = with_files(
        make_reward_checkpoint(project, parent=base, snapshot=None, run=make_run(project, state="succeeded"))
    )
    inputs = {"project": project, "kind": "grpo", "created_by": ml_staff, "policy": base, "reward": judge}
    assert "names no snapshot" in refusal(**inputs).message
    Checkpoint.objects.filter(pk=judge.pk).update(origin="a hub")
    judge.refresh_from_db()
    assert start_run(config={}, **inputs).reward == judge
