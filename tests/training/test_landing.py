"""What a child wrote comes into the database: each step, response and checkpoint once, and only under the lease."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from feedback.models import Prompt, Response, Task
from feedback.responses import storable
from tests.factories import (
    make_base_checkpoint,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_reward_checkpoint,
    make_run,
)
from tests.training.conftest import labelled_snapshot, make_model_files
from training.landing import (
    BadOutcome,
    Tail,
    land_metrics,
    land_outcome,
    land_samples,
    next_checkpoint_name,
    outcome_of_killed,
    read_outcome,
)
from training.leases import Lease, LeaseLost, claim_run, lease_of
from training.models import Checkpoint, Run, RunMetric
from training.rundir import Outcome, RunDirectory, append_line, directory_digest, write_json

pytestmark = pytest.mark.django_db


def claimed(run: Run) -> tuple[Run, Lease, RunDirectory]:
    taken = claim_run(worker="one")
    assert taken == run
    directory = RunDirectory(taken.directory)
    directory.path.mkdir(parents=True)
    return taken, lease_of(taken), directory


def steps(run: Run) -> dict[int, Any]:
    return {row.step: row.values["loss"] for row in RunMetric.objects.filter(run=run)}


# Metrics ----------------------------------------------------------------------------------------------


def test_metrics_land_as_they_are_written():
    run, lease, directory = claimed(make_run())
    tail = Tail(directory.metrics_path)
    assert land_metrics(lease, tail) == 0
    directory.append_metrics({"step": 1, "loss": 0.7})
    assert land_metrics(lease, tail) == 1
    directory.append_metrics({"step": 2, "loss": float("nan")})
    assert land_metrics(lease, tail) == 1
    assert land_metrics(lease, tail) == 0
    assert steps(run) == {1: 0.7, 2: None}


def test_a_half_written_line_waits_for_its_end():
    run, lease, directory = claimed(make_run())
    tail = Tail(directory.metrics_path)
    line = json.dumps({"step": 1, "loss": 0.5}) + "\n"
    directory.metrics_path.write_text(line[:9])
    assert land_metrics(lease, tail) == 0
    with open(directory.metrics_path, "a") as file:
        file.write(line[9:])
    assert land_metrics(lease, tail) == 1
    assert steps(run) == {1: 0.5}


def test_a_resumed_child_leaves_no_gap_and_no_double_step():
    run, lease, directory = claimed(make_run())
    tail = Tail(directory.metrics_path)
    for step in range(1, 8):
        directory.append_metrics({"step": step, "loss": step / 10})
    land_metrics(lease, tail)
    directory.forget_metrics_after(4)
    land_metrics(lease, tail)
    assert sorted(steps(run)) == [1, 2, 3, 4]
    for step in range(5, 10):
        directory.append_metrics({"step": step, "loss": step / 100})
    land_metrics(lease, tail)
    assert sorted(steps(run)) == list(range(1, 10))
    assert steps(run)[5] == 0.05
    # The same again by a worker that knows nothing of it.
    land_metrics(lease, Tail(directory.metrics_path))
    assert sorted(steps(run)) == list(range(1, 10))


def test_a_rewrite_that_was_not_seen_while_short_is_noticed():
    run, lease, directory = claimed(make_run())
    tail = Tail(directory.metrics_path)
    for step in range(1, 8):
        directory.append_metrics({"step": step, "loss": 1.0})
    land_metrics(lease, tail)
    directory.forget_metrics_after(4)
    for step in range(5, 13):
        directory.append_metrics({"step": step, "loss": 2.0})
    land_metrics(lease, tail)
    assert steps(run) == {step: 1.0 if step <= 4 else 2.0 for step in range(1, 13)}


def test_many_metrics_land_in_pieces(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("training.landing.METRICS_AT_ONCE", 3)
    run, lease, directory = claimed(make_run())
    for step in range(1, 11):
        directory.append_metrics({"step": step, "loss": 0.0})
    assert land_metrics(lease, Tail(directory.metrics_path)) == 10
    assert sorted(steps(run)) == list(range(1, 11))


def test_what_is_no_step_of_numbers_is_passed_over():
    run, lease, directory = claimed(make_run())
    lines = ["[1]", "7", "{}", '{"step": "x"}', '{"step": -1}', '{"step": true}', '{"step": 99999999999}', "[" * 9_000]
    lines += ['{"step": 3, "loss": NaN, "words": "many", "list": [1], "huge": 1' + "0" * 400 + ', "\\u0000": 2}']
    directory.metrics_path.write_text("\n".join([*lines, '{"step": 4, "loss": 0.5}', ""]))
    land_metrics(lease, Tail(directory.metrics_path))
    landed = {row.step: row.values for row in RunMetric.objects.filter(run=run)}
    assert landed == {3: {"loss": None, "\ufffd": 2}, 4: {"loss": 0.5}}


def test_a_worker_without_the_lease_lands_no_metrics():
    run, lease, directory = claimed(make_run())
    Run.objects.update(attempt=2)
    directory.append_metrics({"step": 1, "loss": 0.7})
    with pytest.raises(LeaseLost):
        land_metrics(lease, Tail(directory.metrics_path))
    assert steps(run) == {}


# Samples ----------------------------------------------------------------------------------------------


def sample_run(prompts: int = 2) -> tuple[Run, Lease, RunDirectory, list[Prompt]]:
    project = make_project()
    queue = make_queue(project, overlap=2)
    made = [make_prompt(project) for _ in range(prompts)]
    run = make_run(
        project,
        "sample",
        policy=make_base_checkpoint(project),
        queue=queue,
        config={"temperatures": [0.3, 1.0], "responses_per_temperature": 1},
    )
    return *claimed(run), made


def sample(prompt: Prompt, index: int, text: str) -> dict[str, Any]:
    return {
        "prompt_id": str(prompt.pk),
        "index": index,
        "text": text,
        "temperature": 0.3,
        "top_p": 0.95,
        "max_new_tokens": 96,
        "seed": 17,
        "finished": True,
    }


def test_the_queue_fills_while_samples_land():
    run, lease, directory, (first, second) = sample_run()
    tail = Tail(directory.samples_path)
    append_line(directory.samples_path, sample(first, 0, "One."))
    append_line(directory.samples_path, sample(second, 0, "Uno."))
    land_samples(run, lease, tail)
    assert (Response.objects.count(), Task.objects.count()) == (2, 0)
    append_line(directory.samples_path, sample(first, 1, "Two."))
    land_samples(run, lease, tail)
    task = Task.objects.get()
    assert (task.prompt, task.queue) == (first, run.queue)
    assert task.assignments.count() == 2


def test_a_response_knows_who_wrote_it_and_how():
    run, lease, directory, (prompt, _) = sample_run()
    append_line(directory.samples_path, sample(prompt, 0, "One."))
    land_samples(run, lease, Tail(directory.samples_path))
    response = Response.objects.get()
    assert (response.run_id, response.checkpoint_id, response.model_name) == (run.pk, run.policy_id, run.policy.name)
    assert response.sampling["temperature"] == 0.3
    assert response.sampling["seed"] == 17


def test_landing_samples_again_adds_nothing():
    run, lease, directory, prompts = sample_run()
    for prompt in prompts:
        for index in (0, 1):
            append_line(directory.samples_path, sample(prompt, index, f"{prompt.pk} {index}"))
    for _ in range(2):
        land_samples(run, lease, Tail(directory.samples_path))
        assert (Response.objects.count(), Task.objects.count()) == (4, 2)


def test_text_that_no_database_keeps_is_mended():
    run, lease, directory, (prompt, _) = sample_run()
    append_line(directory.samples_path, sample(prompt, 0, "a\x00b"))
    land_samples(run, lease, Tail(directory.samples_path))
    assert Response.objects.get().text == storable("a\x00b")


def test_the_responses_to_a_prompt_that_is_gone_are_passed_over():
    run, lease, directory, prompts = sample_run()
    append_line(directory.samples_path, sample(prompts[0], 0, "first"))
    append_line(directory.samples_path, sample(prompts[1], 1, "second"))
    prompts[0].delete()
    land_samples(run, lease, Tail(directory.samples_path))
    assert [one.text for one in Response.objects.all()] == ["second"]


def test_a_worker_without_the_lease_lands_no_samples():
    run, lease, directory, (prompt, _) = sample_run()
    Run.objects.update(lease_owner="two")
    append_line(directory.samples_path, sample(prompt, 0, "One."))
    with pytest.raises(LeaseLost):
        land_samples(run, lease, Tail(directory.samples_path))
    assert not Response.objects.exists()


# Outcomes ---------------------------------------------------------------------------------------------


def trained(kind: str = "dpo", **inputs: Any) -> tuple[Run, Lease, RunDirectory, Outcome]:
    project = inputs.pop("project", None) or make_project()
    inputs.setdefault("policy", make_base_checkpoint(project))
    run, lease, directory = claimed(make_run(project, kind, **inputs))
    make_model_files(directory.model_path)
    outcome = Outcome(
        status="succeeded",
        step=40,
        model_sha256=directory_digest(directory.model_path),
        template_digest="t" * 64,
        evaluation={"accuracy": 0.7, "n": 10},
    )
    return run, lease, directory, outcome


def test_a_finished_run_leaves_a_checkpoint_with_all_it_came_from():
    project = make_project()
    snapshot = labelled_snapshot(project)
    run, lease, _, outcome = trained(project=project, snapshot=snapshot)
    checkpoint = land_outcome(run, lease, outcome)
    run.refresh_from_db()
    assert (run.state, run.outcome["evaluation"], run.error) == ("succeeded", {"accuracy": 0.7, "n": 10}, "")
    assert (checkpoint.name, checkpoint.kind, checkpoint.parent) == ("dpo-1", "policy", run.policy)
    assert (checkpoint.run, checkpoint.snapshot, checkpoint.step) == (run, snapshot, 40)
    assert (checkpoint.path, checkpoint.sha256) == (f"runs/{run.pk}/model", outcome.model_sha256)
    assert checkpoint.template_digest == "t" * 64


def test_checkpoints_are_numbered_by_kind_of_run():
    project = make_project()
    names = [
        land_outcome(*(part for part in trained(kind, project=project) if not isinstance(part, RunDirectory))).name
        for kind in ("dpo", "dpo", "reward")
    ]
    assert names == ["dpo-1", "dpo-2", "reward-1"]
    assert Checkpoint.objects.get(name="reward-1").kind == "reward"


def test_a_ppo_policy_learned_from_its_reward_models_snapshot():
    project = make_project()
    snapshot = labelled_snapshot(project)
    run, lease, _, outcome = trained("ppo", project=project, reward=make_reward_checkpoint(project, snapshot=snapshot))
    assert land_outcome(run, lease, outcome).snapshot == snapshot


def test_a_merged_model_learned_from_its_policys_snapshot():
    project = make_project()
    policy = make_policy_checkpoint(project, snapshot=labelled_snapshot(project))
    run, lease, _, outcome = trained("merge", project=project, policy=policy)
    assert land_outcome(run, lease, outcome).snapshot == policy.snapshot


def test_an_outcome_lands_once():
    run, lease, _, outcome = trained()
    land_outcome(run, lease, outcome)
    with pytest.raises(LeaseLost):
        land_outcome(run, lease, outcome)
    assert Checkpoint.objects.filter(run=run).count() == 1


def test_a_worker_without_the_lease_leaves_no_checkpoint():
    run, lease, _, outcome = trained()
    Run.objects.filter(pk=run.pk).update(attempt=2)
    with pytest.raises(LeaseLost):
        land_outcome(run, lease, outcome)
    assert not Checkpoint.objects.filter(run=run).exists()


def test_a_cancelled_run_keeps_the_model_it_left():
    run, lease, _, outcome = trained()
    checkpoint = land_outcome(run, lease, Outcome(**{**vars(outcome), "status": "cancelled", "step": 7}))
    run.refresh_from_db()
    assert (run.state, checkpoint.step) == ("cancelled", 7)


def test_an_evaluation_lands_in_the_run_and_makes_no_checkpoint():
    run, lease, _ = claimed(make_run(kind="evaluate"))
    assert land_outcome(run, lease, Outcome(status="succeeded", evaluation={"accuracy": None, "n": 0})) is None
    run.refresh_from_db()
    assert run.outcome["evaluation"] == {"accuracy": None, "n": 0}


def test_a_success_without_a_model_is_refused():
    run, lease, _, _ = trained()
    with pytest.raises(BadOutcome, match="left no model"):
        land_outcome(run, lease, Outcome(status="succeeded", step=40))


def test_a_model_that_changed_since_it_was_written_is_refused():
    run, lease, directory, outcome = trained()
    (directory.model_path / "adapter_config.json").write_text('{"r": 1}')
    with pytest.raises(BadOutcome, match="sha256"):
        land_outcome(run, lease, outcome)
    assert Run.objects.get(pk=run.pk).state == "running"


def test_a_killed_child_that_had_published_its_model_keeps_it():
    _, _, directory, _ = trained()
    assert outcome_of_killed(directory).model_sha256 == ""
    write_json(directory.model_path / "checkpoint.json", {"step": 3, "template_digest": "t"})
    outcome = outcome_of_killed(directory)
    assert (outcome.status, outcome.step) == ("cancelled", 3)
    assert outcome.model_sha256 == directory_digest(directory.model_path)


@pytest.mark.parametrize("text", ["{", '{"status": "marvellous"}', '{"state": "succeeded"}'])
def test_an_outcome_that_is_none_is_refused(tmp_path: Path, text: str):
    directory = RunDirectory(tmp_path)
    directory.outcome_path.write_text(text)
    with pytest.raises(BadOutcome, match=r"outcome\.json"):
        read_outcome(directory)


def test_figures_that_are_no_numbers_land_as_none(tmp_path: Path):
    (tmp_path / "outcome.json").write_text('{"status": "succeeded", "evaluation": {"mean": NaN, "parts": [Infinity]}}')
    outcome = read_outcome(RunDirectory(tmp_path))
    assert outcome.evaluation == {"mean": None, "parts": [None]}


def test_a_killed_child_whose_model_says_nonsense_left_none(tmp_path: Path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "checkpoint.json").write_text("{")
    assert outcome_of_killed(RunDirectory(tmp_path)) == Outcome(status="cancelled")


def test_a_name_that_counts_too_far_does_not_count():
    project = make_project()
    make_policy_checkpoint(project, name="dpo-" + "9" * 196)
    assert next_checkpoint_name(project, "dpo") == "dpo-1"


def test_a_whole_model_lands_as_whole_and_an_adapter_as_none():
    run, lease, directory, outcome = trained()
    assert land_outcome(run, lease, outcome).is_whole is False
    run, lease, directory, _ = trained("merge")
    (directory.model_path / "adapter_config.json").unlink()
    outcome = Outcome(status="succeeded", step=40, model_sha256=directory_digest(directory.model_path))
    assert land_outcome(run, lease, outcome).is_whole is True


def test_samples_of_several_models_know_their_model_and_are_queued_once_all_have_answered():
    run, lease, directory, (prompt, _) = sample_run()
    others = [make_base_checkpoint(run.project) for _ in range(2)]
    run.others.set(reversed(others))
    assert run.further_models == others
    tail = Tail(directory.samples_path)
    for index in range(4):
        append_line(directory.samples_path, {**sample(prompt, index, f"Text {index}"), "model": index // 2})
    land_samples(run, lease, tail)
    assert (Response.objects.count(), Task.objects.count()) == (4, 0)
    for index in (4, 5):
        append_line(directory.samples_path, {**sample(prompt, index, f"Text {index}"), "model": 2, "score": 0.5})
    land_samples(run, lease, tail)
    assert Task.objects.count() == 1
    who = {one.text: (one.checkpoint_id, one.model_name) for one in Response.objects.all()}
    models = [run.policy, *others]
    assert who == {f"Text {index}": (models[index // 2].pk, models[index // 2].name) for index in range(6)}
    assert Response.objects.get(text="Text 4").sampling["score"] == 0.5
