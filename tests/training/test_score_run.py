"""A score run from its start to its rows: what it reads, what lands, what is refused."""

from __future__ import annotations

import json

import pytest

from feedback.models import Response, Score
from feedback.scores import Scored, Scorer, store_scores
from tests.factories import (
    make_base_checkpoint,
    make_queue,
    make_response,
    make_reward_checkpoint,
    make_run,
    make_task,
)
from tests.training.conftest import with_files
from training.landing import Tail
from training.leases import LeaseLost, claim_run, lease_of
from training.models import Checkpoint, Run
from training.run_inputs import write_inputs
from training.rundir import RunDirectory, append_lines, read_lines
from training.runs import RunRefused, start_run
from training.scoring import land_scores, responses_to_score
from training.worker import RunWorker

pytestmark = pytest.mark.django_db


@pytest.fixture
def reward(project) -> Checkpoint:
    return with_files(make_reward_checkpoint(project, parent=with_files(make_base_checkpoint(project))))


@pytest.fixture
def queue(project):
    queue = make_queue(project)
    for _ in range(2):
        make_task(queue)
    make_response(make_task(make_queue(project)).prompt, "In another queue's prompt, and in no task")
    return queue


def started(project, reward, ml_staff, queue=None) -> Run:
    return start_run(project=project, kind="score", config={}, created_by=ml_staff, reward=reward, queue=queue)


def score(project, reward, response, value=0.5) -> None:
    store_scores(project=project, scorer=Scorer(reward.pk, reward.name), scored=[Scored(response.pk, value)])


def test_a_queues_responses_are_written_for_the_child(project, reward, queue, ml_staff):
    run = started(project, reward, ml_staff, queue)
    write_inputs(run)
    lines = list(read_lines(RunDirectory(run.directory).responses_path))
    shown = Response.objects.filter(tasks__queue=queue).order_by("pk")
    assert [line["response_id"] for line in lines] == [str(response.pk) for response in shown]
    assert lines[0]["messages"] == shown[0].prompt.messages
    assert lines[0]["text"] == shown[0].text


def test_without_a_queue_all_responses_of_the_project_are_wanted_but_those_with_a_score(project, reward, queue):
    first = Response.objects.in_project(project).order_by("pk").first()
    score(project, reward, first)
    wanted = responses_to_score(project=project, reward=reward)
    assert set(wanted) == set(Response.objects.in_project(project).exclude(pk=first.pk))
    other = make_reward_checkpoint(project, name="another", parent=reward.parent)
    assert first in responses_to_score(project=project, reward=other)


def test_scores_land_once_and_only_for_this_project(project, reward, queue):
    run = make_run(project, "score", reward=reward, queue=queue)
    run = claim_run(worker="one")
    run.directory.mkdir(parents=True, exist_ok=True)
    directory, lease = RunDirectory(run.directory), lease_of(run)
    mine = list(Response.objects.in_project(project).order_by("pk")[:3])
    foreign = make_response(make_task(make_queue()).prompt)
    append_lines(
        directory.scores_path,
        [{"response_id": str(one.pk), "value": number / 2} for number, one in enumerate([*mine, foreign])],
    )
    assert land_scores(run, lease, Tail(directory.scores_path)) == 4
    assert land_scores(run, lease, Tail(directory.scores_path)) == 4, "again changes nothing"
    stored = dict(Score.objects.order_by("response").values_list("response", "value"))
    assert stored == {one.pk: number / 2 for number, one in enumerate(mine)}
    assert set(Score.objects.values_list("scorer_id", "scorer_name")) == {(reward.pk, reward.name)}


def test_whoever_lost_the_run_lands_nothing(project, reward, queue):
    make_run(project, "score", reward=reward, queue=queue)
    run = claim_run(worker="one")
    run.directory.mkdir(parents=True, exist_ok=True)
    late = lease_of(run)
    Run.objects.update(attempt=2)
    path = RunDirectory(run.directory).scores_path
    append_lines(path, [{"response_id": str(Response.objects.first().pk), "value": 1.0}])
    with pytest.raises(LeaseLost):
        land_scores(run, late, Tail(path))
    assert not Score.objects.exists()


def test_a_worker_lands_what_a_child_has_written_and_ends_the_run(project, reward, queue):
    run = make_run(project, "score", reward=reward, queue=queue)
    directory = RunDirectory(run.directory)
    directory.path.mkdir(parents=True, exist_ok=True)
    response = Response.objects.filter(tasks__queue=queue).first()
    append_lines(directory.scores_path, [{"response_id": str(response.pk), "value": -1.25}])
    directory.outcome_path.write_text(json.dumps({"status": "succeeded", "step": 1, "evaluation": {"n": 1}}))
    RunWorker(poll=0.01).work(once=True)
    run.refresh_from_db()
    assert run.state == "succeeded"
    assert not Checkpoint.objects.filter(run=run).exists()
    assert Score.objects.get().value == -1.25


def test_what_cannot_be_scored_is_refused(project, reward, queue, ml_staff):
    def said(**values) -> RunRefused:
        with pytest.raises(RunRefused) as refusal:
            start_run(project=project, kind="score", config={}, created_by=ml_staff, **values)
        return refusal.value

    assert said().field == "reward"
    assert "is not a reward model" in said(reward=reward.parent).message
    assert said(reward=reward, queue=make_queue(project, kind="demonstration")).field == "queue"
    assert "or there is none" in said(reward=reward, queue=make_queue(project, name="Empty")).message
    assert said(reward=reward, policy=reward.parent).field == "policy"
    for response in Response.objects.in_project(project):
        score(project, reward, response)
    assert "has a score of" in said(reward=reward).message


def test_erased_responses_are_not_scored(project, reward, queue, annotator):
    from tests.factories import make_erasure

    gone = Response.objects.filter(tasks__queue=queue).first()
    Response.objects.filter(pk=gone.pk).update(erased_by=make_erasure(project, annotator))
    assert gone not in responses_to_score(project=project, reward=reward)
