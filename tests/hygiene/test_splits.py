"""Shares, hold-out prompts and held-out people."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.filling import fillable_prompts
from feedback.holding_out import HoldOutRefused, hold_out, let_in
from feedback.models import AuditEvent, HeldOutPerson
from feedback.splits import SplitRefused, cluster_of, set_percents, split_of
from tests.factories import (
    make_base_checkpoint,
    make_judgment,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_run,
)
from training.run_inputs import prompt_rows
from training.starting import PromptChoice, prompts_chosen

pytestmark = pytest.mark.django_db


def drawn(project, count: int = 4_000) -> dict[str, int]:
    counts = {"train": 0, "evaluation": 0, "holdout": 0}
    for number in range(count):
        counts[split_of(project, f"cluster {number}")] += 1
    return counts


def test_clusters_are_drawn_by_the_shares():
    counts = drawn(make_project(evaluation_percent=30, holdout_percent=20))
    assert 0.27 < counts["evaluation"] / 4_000 < 0.33  # 30 % +- 4 standard errors
    assert 0.175 < counts["holdout"] / 4_000 < 0.225
    assert drawn(make_project(evaluation_percent=0)) == {"train": 4_000, "evaluation": 0, "holdout": 0}


def test_a_larger_hold_out_takes_from_training_only(project):
    before = [split_of(project, f"cluster {number}") for number in range(500)]
    project.holdout_percent = 30
    after = [split_of(project, f"cluster {number}") for number in range(500)]
    assert {(old, new) for old, new in zip(before, after, strict=True) if old != new} == {("train", "holdout")}


def test_the_shares_can_change_and_that_is_in_the_audit_log(project, curator):
    set_percents(project=project, evaluation_percent=10, holdout_percent=5, changed_by=curator)
    project.refresh_from_db()
    assert (project.evaluation_percent, project.holdout_percent) == (10, 5)
    event = AuditEvent.objects.get(action="project.splits")
    assert (event.before, event.after) == (
        {"evaluation_percent": 20, "holdout_percent": 0}, {"evaluation_percent": 10, "holdout_percent": 5}
    )  # fmt: skip
    set_percents(project=project, evaluation_percent=10, holdout_percent=5, changed_by=curator)
    assert AuditEvent.objects.count() == 1


@pytest.mark.parametrize(
    ("evaluation", "holdout", "field"),
    [
        (-1, 0, "evaluation_percent"),
        (91, 0, "evaluation_percent"),
        (0, 51, "holdout_percent"),
        (80, 20, "holdout_percent"),
    ],
)
def test_shares_that_leave_nothing_to_train_on_are_refused(project, curator, evaluation, holdout, field):
    with pytest.raises(SplitRefused) as refused:
        set_percents(project=project, evaluation_percent=evaluation, holdout_percent=holdout, changed_by=curator)
    assert refused.value.field == field
    project.refresh_from_db()
    assert (project.evaluation_percent, project.holdout_percent) == (20, 0)


def test_a_cluster_is_named_by_its_words():
    one = cluster_of([{"role": "user", "content": "Where is the Rhine?"}])
    assert one == cluster_of([{"role": "user", "content": "where is — the RHINE"}])
    assert one != cluster_of([{"role": "user", "content": "Where is the Rhone?"}])


# Who reads the splits -----------------------------------------------------------------------------------


@pytest.fixture
def prompts(project):
    return {split: make_prompt(project, split=split) for split in ("train", "evaluation", "holdout")}


def test_a_queue_is_filled_without_the_hold_out_split_unless_asked(project, prompts):
    queue = make_queue(project)
    for prompt in prompts.values():
        make_response(prompt), make_response(prompt)
    assert set(fillable_prompts(queue)) == {prompts["train"], prompts["evaluation"]}
    assert set(fillable_prompts(queue, splits=("holdout",))) == {prompts["holdout"]}


def test_a_run_samples_the_hold_out_split_only_by_name(project, prompts):
    chosen = {which: prompts_chosen(project, PromptChoice(which, 99), seed=1, kind="sample") for which in
              ("all", "train", "evaluation", "holdout", "random")}  # fmt: skip
    assert chosen["all"] == []
    assert chosen["holdout"] == [str(prompts["holdout"].pk)]
    assert str(prompts["holdout"].pk) not in chosen["train"] + chosen["evaluation"] + chosen["random"]
    run = make_run(project, "sample", policy=make_base_checkpoint(project))
    assert {row["split"] for row in prompt_rows(run)} == {"train", "evaluation"}
    run.prompt_ids = chosen["holdout"]
    assert [row["split"] for row in prompt_rows(run)] == ["holdout"]


def test_ppo_sees_evaluation_prompts_only_to_look_and_hold_out_prompts_never(project, prompts):
    run = make_run(project, "ppo", policy=make_base_checkpoint(project))
    assert [row["split"] for row in prompt_rows(run)] == ["train"]
    run.prompt_ids = [str(prompt.pk) for prompt in prompts.values()]
    assert [row["split"] for row in prompt_rows(run)] == ["train"]
    run.config = {"evaluate_every": 2}
    assert {row["split"] for row in prompt_rows(run)} == {"train", "evaluation"}
    assert prompts_chosen(project, PromptChoice("holdout"), seed=1, kind="ppo") == [str(prompts["train"].pk)]


# People -------------------------------------------------------------------------------------------------


def test_a_person_is_held_out_once_and_let_in_again(project, annotator, curator):
    for _ in range(2):
        hold_out(project=project, person=annotator, held_out_by=curator, now=timezone.now())
    assert HeldOutPerson.objects.get().person == annotator
    assert let_in(project=project, person=annotator, let_in_by=curator, now=timezone.now())
    assert not let_in(project=project, person=annotator, let_in_by=curator, now=timezone.now())
    assert list(AuditEvent.objects.order_by("pk").values_list("action", flat=True)) == [
        "person.hold-out",
        "person.let-in",
    ]


def test_somebody_who_judged_and_left_can_be_held_out(project, curator):
    judgment = make_judgment(queue=make_queue(project))
    project.memberships.filter(user=judgment.annotator).delete()
    assert hold_out(project=project, person=judgment.annotator, held_out_by=curator, now=timezone.now())


def test_a_stranger_is_not_held_out(project, outsider, curator):
    with pytest.raises(HoldOutRefused, match="neither belongs"):
        hold_out(project=project, person=outsider, held_out_by=curator, now=timezone.now())
