"""Ties on their way: from what people said, through a snapshot, to the rows of a reward model."""

from __future__ import annotations

import pytest

from feedback.selection import Selection
from tests.every_kind import judge
from tests.factories import make_base_checkpoint, make_snapshot
from tests.tiny_model import save_tiny_model
from tests.training.conftest import with_files
from training.configs import RewardConfig, config_values
from training.models import Run
from training.plans import plan
from training.rundir import ModelSource, RunSpec
from training.runs import RunRefused, start_run

pytestmark = pytest.mark.django_db


def say(project, annotator, *preferences: int) -> None:
    for preference in preferences:
        judge(project, annotator, "comparison", ("thank you", "no tea"), answer={"preference": preference})


@pytest.fixture
def snapshot(project, annotator):
    say(project, annotator, 0, -2, 0, 1)
    return make_snapshot(project, selection=Selection(keep_ties=True))


@pytest.mark.torch
def test_ties_that_people_gave_are_learned_as_ties(snapshot, tmp_path):
    from training.ml.models import load_tokenizer
    from training.ml.preferences import read_pairs, ties_of
    from training.ml.reward import objective_of
    from training.ml.reward_rows import read_train_rows

    tokenizer = load_tokenizer(ModelSource(str(save_tiny_model(tmp_path / "tiny"))))
    spec = RunSpec("1", "reward", {}, snapshot=str(snapshot.directory), snapshot_sha256=snapshot.sha256)
    rows = read_train_rows(spec, tokenizer, RewardConfig())
    assert sorted((row.kind, tuple(row.ranks), row.margin) for row in rows) == [
        ("preferences", (1, 2), 0.0),  # the least strength asks for no gap
        ("preferences", (1, 2), 1.0),
        ("ties", (1, 1), 0.0),
        ("ties", (1, 1), 0.0),
    ]
    assert objective_of(RewardConfig(), rows, ["reward"]).nu == pytest.approx(2 * 2 / 2)
    alone = read_train_rows(spec, tokenizer, RewardConfig(use_rankings=False))
    assert [row.kind for row in alone].count("ties") == 2
    assert {row.kind for row in read_train_rows(spec, tokenizer, RewardConfig(use_ties=False))} == {"preferences"}
    assert len(read_pairs(spec, tokenizer)[0]) == 2  # what DPO learns from
    assert ties_of(spec) == 2


@pytest.mark.parametrize(
    ("kind", "config", "rows", "passed_over"),
    [
        ("reward", {"use_rankings": True, "use_ties": True}, "4", None),
        ("reward", {"use_rankings": False, "use_ties": True}, "4", None),
        ("reward", {"use_rankings": True, "use_ties": False}, "2", "2"),
        ("dpo", {}, "2", "2"),
    ],
)
def test_the_plan_says_how_many_ties_are_learned_or_passed_over(project, snapshot, kind, config, rows, passed_over):
    told = {
        figure.label: figure.value
        for figure in plan(project=project, kind=kind, config=config, snapshot=snapshot).figures
    }
    assert told["Rows to train on"] == rows
    assert told.get("Ties, passed over") == passed_over


def test_the_plan_names_a_source_of_fine_tuning_that_would_have_rows(project, snapshot):
    told = plan(project=project, kind="sft", config={"demonstrations": True}, snapshot=snapshot)
    assert any("Tick “Accepted responses”: that would be up to 2." in warning for warning in told.warnings)


def test_a_snapshot_of_ties_alone_is_refused_before_the_run(project, annotator, ml_staff):
    say(project, annotator, 0, 0)
    ties = make_snapshot(project, selection=Selection(keep_ties=True))
    with pytest.raises(RunRefused, match="has no preference rows, which this run reads; it holds ranking"):
        start_run(
            project=project, kind=Run.Kind.REWARD, config=config_values(RewardConfig()), created_by=ml_staff,
            policy=with_files(make_base_checkpoint(project)), snapshot=ties,
        )  # fmt: skip
