"""What a worker records, on PostgreSQL."""

from __future__ import annotations

import pytest

from feedback.models import Task, Worker
from tests.factories import make_base_checkpoint, make_project, make_prompt, make_queue, make_run
from tests.training.conftest import make_model_files
from training.models import Checkpoint, Run, RunMetric
from training.rundir import Outcome, RunDirectory, append_line, directory_digest
from training.worker import RunWorker

pytestmark = pytest.mark.postgres


@pytest.fixture(autouse=True)
def _database(shared_postgres) -> None:
    Run.objects.unfinished().delete()
    Worker.objects.all().delete()  # of workers that other tests on this database have killed


def test_a_training_run_lands_with_its_metrics_and_checkpoint():
    project = make_project(name="Training on PostgreSQL")
    run = make_run(project, "dpo", policy=make_base_checkpoint(project))
    directory = RunDirectory(run.directory)
    make_model_files(directory.model_path)
    for step in (1, 2, 3):
        directory.append_metrics({"step": step, "loss": 0.5})
    directory.write_outcome(Outcome("succeeded", 3, directory_digest(directory.model_path), "t" * 64))
    RunWorker(poll=0.05).work(once=True)
    assert Run.objects.get(pk=run.pk).state == "succeeded"
    assert list(RunMetric.objects.filter(run=run).values_list("step", flat=True)) == [1, 2, 3]
    assert Checkpoint.objects.get(run=run).name == "dpo-1"
    assert not Worker.objects.exists()


def test_samples_land_and_fill_the_queue():
    project = make_project(name="Sampling on PostgreSQL")
    prompt, queue = make_prompt(project), make_queue(project)
    config = {"temperatures": [0.3, 1.0], "responses_per_temperature": 1}
    run = make_run(project, "sample", policy=make_base_checkpoint(project), queue=queue, config=config)
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True)
    for index in (0, 1):
        append_line(directory.samples_path, {"prompt_id": str(prompt.pk), "index": index, "text": f"Text {index}"})
    directory.write_outcome(Outcome("succeeded", 2))
    RunWorker(poll=0.05).work(once=True)
    assert Task.objects.get(queue=queue).prompt == prompt
