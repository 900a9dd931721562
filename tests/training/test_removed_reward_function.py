"""A run keeps the name of its reward function; the operator may take the function away, and the run stays readable."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from tests.factories import make_prompt
from tests.training.test_start_run import base  # noqa: F401 (fixture)
from training.configs import BadConfig
from training.models import Run
from training.repeating import repeat_run
from training.run_inputs import write_inputs
from training.rundir import RunDirectory
from training.runs import start_run

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _data(settings, tmp_path) -> None:
    settings.DATA_DIR = tmp_path


@pytest.fixture
def run(monkeypatch, project, ml_staff, base) -> Run:  # noqa: F811
    make_prompt(project, split="train")
    make_prompt(project, split="evaluation")
    monkeypatch.setenv("CONCORD_REWARD_FUNCTIONS", "polite=company.rewards:polite")
    config = {"reward_function": "polite", "evaluate_every": 1}
    started = start_run(project=project, kind="ppo", config=config, created_by=ml_staff, policy=base)
    monkeypatch.delenv("CONCORD_REWARD_FUNCTIONS")
    return started


@pytest.mark.parametrize("name", ["run", "run-live", "run-metrics", "run-numbers", "run-log"])
def test_its_pages_are_shown(client, ml_staff, run, name):
    client.force_login(ml_staff)
    assert client.get(reverse(name, args=[run.project.slug, run.pk])).status_code == 200


def test_the_form_for_another_like_it_is_shown(client, ml_staff, run):
    client.force_login(ml_staff)
    page = client.get(reverse("run-start", args=[run.project.slug, "ppo"]), {"like": str(run.pk)})
    assert page.status_code == 200
    assert 'value="polite"' in page.content.decode()


def test_its_directory_is_written_for_the_child_that_refuses_it(run):
    spec = write_inputs(run)
    assert spec.config["reward_function"] == "polite"
    rows = RunDirectory(run.directory).prompts_path.read_text()
    assert '"split": "train"' in rows
    assert '"split": "evaluation"' in rows  # it looks at held-out prompts


@pytest.mark.torch
def test_the_child_says_which_functions_there_are(run):
    from training.ml.__main__ import main

    write_inputs(run)
    directory = RunDirectory(run.directory)
    assert main([str(directory.path)]) == 1
    assert directory.error().startswith("reward_function: 'polite' is not known; known are words:60")


def test_it_is_not_run_again(ml_staff, run):
    Run.objects.filter(pk=run.pk).update(state="succeeded", finished_at=timezone.now())
    run.refresh_from_db()
    with pytest.raises(BadConfig, match="'polite' is not known"):
        repeat_run(run=run, created_by=ml_staff)
    assert Run.objects.count() == 1
