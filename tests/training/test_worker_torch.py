"""Real workers, real trainers, a tiny model: what kill -9, SIGTERM and cancel leave behind, and what comes after."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from django.utils import timezone

from feedback.models import Response, Task, Worker
from tests.factories import make_member, make_project, make_prompt, make_queue
from tests.training.conftest import (
    SharedDatabase,
    WorkerProcess,
    labelled_snapshot,
    processes_with,
    wait_until,
)
from training.base_models import register_base_model
from training.lineage import lineage
from training.models import Checkpoint, Run, RunMetric
from training.rundir import RunDirectory, directory_digest
from training.runs import start_run
from training.stopping import cancel_run

pytestmark = [pytest.mark.torch, pytest.mark.slow]

StartWorker = Callable[..., WorkerProcess]
SMALL = {"batch_size": 2, "lora_rank": 2, "lora_alpha": 4, "checkpoint_every": 5}


@pytest.fixture
def lab(shared_sqlite: SharedDatabase, tiny_model: Path) -> Lab:
    return Lab(shared_sqlite, tiny_model)


class Lab:
    """A project with a base model and labels, and the runs that are started in it."""

    def __init__(self, database: SharedDatabase, model: Path) -> None:
        self.database = database
        self.project = make_project()
        self.person = make_member(self.project, "ml_staff")
        self.base = register_base_model(project=self.project, path=model)
        self.snapshot = labelled_snapshot(self.project)

    def start(self, kind: str, config: dict, **inputs) -> Run:
        inputs.setdefault("policy", self.base)
        return start_run(project=self.project, kind=kind, config=config, created_by=self.person, **inputs)


def wait_for_steps(run: Run, count: int, worker: WorkerProcess) -> None:
    wait_until(lambda: worker.check() and RunMetric.objects.filter(run=run).count() >= count, f"step {count} of {run}")


def wait_for_end(run: Run, worker: WorkerProcess) -> Run:
    wait_until(lambda: worker.check() and not Run.objects.get(pk=run.pk).is_unfinished, f"the end of {run}")
    return Run.objects.get(pk=run.pk)


def assert_steps_are_whole(run: Run, last: int) -> None:
    """In the database and in the file: 1..last, none missing, none twice."""
    wanted = list(range(1, last + 1))
    assert list(RunMetric.objects.filter(run=run).values_list("step", flat=True)) == wanted
    assert [row["step"] for row in RunDirectory(run.directory).metrics()] == wanted


def assert_checkpoint_is_whole(run: Run) -> Checkpoint:
    checkpoint = Checkpoint.objects.get(run=run)
    assert checkpoint.sha256 == directory_digest(run.directory / "model")
    assert len(checkpoint.template_digest) == 64
    return checkpoint


def test_a_dpo_run_survives_kill_9_of_its_worker_and_of_its_trainer(lab: Lab, start_worker: StartWorker):
    run = lab.start("dpo", {**SMALL, "steps": 30}, snapshot=lab.snapshot)
    first = start_worker(lab.database)
    wait_for_steps(run, 8, first)
    first.kill()
    assert Run.objects.get(pk=run.pk).state == "running", "the worker finished before it was killed"
    wait_until(lambda: not processes_with(str(run.directory)), "the orphan's end", seconds=10)

    second = start_worker(lab.database)
    wait_until(lambda: second.check() and Run.objects.get(pk=run.pk).attempt == 2, "the take-over")
    trainer = wait_until(lambda: second.check() and processes_with(str(run.directory)), "the second trainer")[0]
    wait_until(
        lambda: second.check() and RunMetric.objects.filter(run=run).count() >= 15, "progress of the second trainer"
    )
    os.kill(trainer, signal.SIGKILL)
    done = wait_for_end(run, second)
    assert (done.state, done.attempt, done.crashes, done.error) == ("succeeded", 3, 2, "")
    assert_steps_are_whole(done, 30)
    checkpoint = assert_checkpoint_is_whole(done)
    assert (checkpoint.name, checkpoint.parent, checkpoint.step) == ("dpo-1", lab.base, 30)
    assert lineage(checkpoint).judgments == lab.snapshot.judgment_count
    assert second.terminate() == 0
    assert not processes_with(str(run.directory))


def test_a_ppo_run_survives_kill_9_of_its_worker(lab: Lab, start_worker: StartWorker):
    worker = start_worker(lab.database)
    reward_run = lab.start("reward", {**SMALL, "steps": 2}, snapshot=lab.snapshot)
    assert wait_for_end(reward_run, worker).state == "succeeded", Run.objects.get(pk=reward_run.pk).error
    reward = assert_checkpoint_is_whole(reward_run)
    assert (reward.kind, reward.name) == ("reward", "reward-1")

    config = {"updates": 12, "batch_size": 4, "minibatch_size": 2, "max_new_tokens": 8, "lora_rank": 2}
    run = lab.start("ppo", config, reward=reward)
    wait_for_steps(run, 3, worker)
    worker.kill()
    assert Run.objects.get(pk=run.pk).state == "running", "the worker finished before it was killed"
    second = start_worker(lab.database)
    done = wait_for_end(run, second)
    assert (done.state, done.attempt, done.crashes) == ("succeeded", 2, 1), done.error
    assert_steps_are_whole(done, 12)
    policy = assert_checkpoint_is_whole(done)
    assert (policy.parent, policy.snapshot, policy.name) == (lab.base, lab.snapshot, "ppo-1")
    rows = (RunDirectory(done.directory).path / "prompts.jsonl").read_text()
    held_out = lab.project.prompts.filter(split="evaluation")
    assert held_out.exists()
    assert not any(str(prompt.pk) in rows for prompt in held_out)
    second.terminate()
    assert not processes_with(str(run.directory))


def test_a_run_whose_worker_is_told_to_end_resumes_and_a_cancel_keeps_its_checkpoint(
    lab: Lab, start_worker: StartWorker
):
    run = lab.start("dpo", {**SMALL, "steps": 1_000_000}, snapshot=lab.snapshot)
    first = start_worker(lab.database, lease_seconds=300)
    wait_for_steps(run, 6, first)
    assert first.terminate() == 0
    assert not processes_with(str(run.directory))
    waiting = Run.objects.get(pk=run.pk)
    assert (waiting.state, waiting.crashes, waiting.lease_owner) == ("queued", 0, "")
    assert not Worker.objects.exists()

    second = start_worker(lab.database, lease_seconds=300)
    before = RunMetric.objects.filter(run=run).count()
    wait_for_steps(run, before + 6, second)
    assert Worker.objects.count() == 1
    cancel_run(run=run, now=timezone.now())
    done = wait_for_end(run, second)
    assert (done.state, done.attempt) == ("cancelled", 2)
    checkpoint = assert_checkpoint_is_whole(done)
    assert checkpoint.step == done.outcome["step"] >= 6
    assert_steps_are_whole(done, checkpoint.step)


def test_sampled_responses_fill_the_queue_and_a_new_policy_is_sampled_as_well(lab: Lab, start_worker: StartWorker):
    queue = make_queue(lab.project)
    prompts = [make_prompt(lab.project, text=f"tell {number} tea") for number in range(3)]
    config = {"max_new_tokens": 8, "temperatures": [0.5, 1.5]}
    run = lab.start("sample", config, queue=queue, prompt_ids=[prompt.pk for prompt in prompts])
    start_worker(lab.database, "--once").process.wait(120)
    done = Run.objects.get(pk=run.pk)
    assert done.state == "succeeded", done.error
    assert Response.objects.filter(run_id=run.pk).count() == 6
    assert set(Task.objects.filter(queue=queue).values_list("prompt", flat=True)) <= {p.pk for p in prompts}
    assert Task.objects.filter(queue=queue).exists()
    assert done.progress["done"] == done.progress["total"] == 6
