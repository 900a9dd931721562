"""Reading a project's judgments as columns of numbers."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pytest

from feedback.contract import SPLITS
from feedback.models import Judgment
from feedback.quality.columns import ARMS, NO_PREFERENCE, as_uuid, people_of, read_columns
from feedback.reviewing import review_judgment
from tests.factories import make_gold, make_judgment, make_member, make_prompt, make_queue, make_task

pytestmark = pytest.mark.django_db


def test_every_current_judgment_is_a_row_with_what_was_said_and_where(project, annotator):
    queue = make_queue(project, name="Help")
    prompt = make_prompt(project, language="de", source="a book", tags=["code", "long"], split="evaluation")
    moment = datetime(2026, 3, 1, 12, 30, 5, 700, tzinfo=UTC)
    judgment = make_judgment(
        task=make_task(queue, prompt=prompt), annotator=annotator, preference=-3, active_seconds=7.5, now=moment
    )
    columns = read_columns(project=project)
    assert len(columns) == 1
    assert as_uuid(columns.judgment[0]) == judgment.pk
    assert as_uuid(columns.tasks[columns.task[0]]) == judgment.task_id
    assert as_uuid(columns.prompts[columns.prompt[0]]) == prompt.pk
    assert people_of(columns) == [annotator]
    assert columns.queues[columns.queue[0]] == queue
    assert columns.guidelines[columns.guideline[0]] == queue.guideline
    assert columns.preference.tolist() == [-3]
    assert columns.seconds.tolist() == [7.5]
    assert columns.shown_swapped.tolist() == [judgment.display_order[0]]
    assert ARMS[columns.arm[0]] == judgment.arm
    assert columns.at[0] == np.datetime64("2026-03-01T12:30:05")
    assert columns.day[0] == np.datetime64("2026-03-01")
    assert columns.languages[columns.language[0]] == "de"
    assert columns.sources[columns.source[0]] == "a book"
    assert SPLITS[columns.split[0]] == "evaluation"
    assert columns.with_tag("code").tolist() == [True]
    assert columns.with_tag("short").tolist() == [False]
    assert columns.of_kind("comparison").tolist() == [True]
    assert not columns.simulated[0]
    assert not columns.gold[0]
    assert not columns.repeat[0]
    assert not columns.rejected[0]


def test_only_the_latest_revision_counts_and_time_orders_the_rows(project, annotator):
    queue = make_queue(project)
    later = make_judgment(queue=queue, annotator=annotator, now=datetime(2026, 3, 2, tzinfo=UTC))
    first = make_judgment(queue=queue, annotator=annotator, now=datetime(2026, 3, 1, tzinfo=UTC), preference=1)
    Judgment.objects.create(
        **{
            field.attname: getattr(first, field.attname)
            for field in Judgment._meta.concrete_fields
            if field.attname not in ("id", "submission_id", "revision", "supersedes_id", "preference")
        },
        submission_id=later.pk,
        revision=2,
        supersedes=first,
        preference=3,
    )
    columns = read_columns(project=project)
    assert columns.preference.tolist() == [3, 2]
    assert columns.day.tolist() == sorted(columns.day.tolist())


def test_gold_flags_and_rejection_are_told(project, annotator, curator):
    queue = make_queue(project, gold_percent=0)
    flagged = make_judgment(queue=queue, annotator=annotator, flags=["unsafe"])
    golden = make_task(queue, slots=1)
    on_gold = make_judgment(task=golden, annotator=annotator)
    make_gold(golden)
    review_judgment(judgment=flagged, reviewer=curator, accepted=False, reason="No.")
    columns = read_columns(project=project)
    ids = [as_uuid(raw) for raw in columns.judgment]
    here, there = ids.index(flagged.pk), ids.index(on_gold.pk)
    assert columns.flags == ("unsafe",)
    assert columns.with_flag("unsafe")[[here, there]].tolist() == [True, False]
    assert columns.rejected[[here, there]].tolist() == [True, False]
    assert columns.gold[[here, there]].tolist() == [False, True]


def test_a_review_that_is_followed_by_another_counts_no_more(project, annotator, curator):
    judgment = make_judgment(queue=make_queue(project), annotator=annotator)
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="No.")
    review_judgment(judgment=judgment, reviewer=curator, accepted=True, reason="Yes after all.")
    assert read_columns(project=project).rejected.tolist() == [False]


def test_a_repeat_knows_the_task_that_it_repeats(project, annotator):
    first = make_judgment(queue=make_queue(project), annotator=annotator)
    task = make_task(first.queue, prompt=first.task.prompt, responses=first.task.texts, repeat_of=first.task, slots=1)
    again = make_judgment(task=task, annotator=annotator)
    columns = read_columns(project=project)
    assert columns.repeat.tolist() == [False, True]
    assert as_uuid(columns.tasks[columns.task_repeats[columns.task[1]]]) == first.task_id
    assert as_uuid(columns.tasks[columns.task[1]]) == again.task_id


def test_other_kinds_have_no_preference_and_queues_can_be_chosen(project, annotator):
    comparison, rating = make_queue(project), make_queue(project, kind="rating")
    make_judgment(queue=comparison, annotator=annotator)
    assert len(read_columns(project=project, queues=[rating])) == 0
    task = make_task(rating)
    attributes = rating.schema.asks.attributes
    answer = {"ratings": [{each.key: each.values[0] for each in attributes} for _ in task.texts]}
    make_judgment(task=task, annotator=annotator, answer=answer)
    columns = read_columns(project=project, queues=[rating])
    assert columns.preference.tolist() == [NO_PREFERENCE]
    assert columns.of_kind("rating").tolist() == [True]


def test_a_narrowed_table_keeps_its_flags_with_their_rows(project, annotator):
    queue = make_queue(project)
    make_judgment(queue=queue, annotator=annotator, preference=1)
    make_judgment(queue=queue, annotator=annotator, preference=2, flags=["unsafe"])
    columns = read_columns(project=project)
    narrowed = columns.only(columns.preference == 2)
    assert len(narrowed) == 1
    assert narrowed.with_flag("unsafe").tolist() == [True]
    assert columns.only(columns.preference == 1).with_flag("unsafe").tolist() == [False]


def test_a_project_without_judgments_has_no_rows(project):
    columns = read_columns(project=project)
    assert len(columns) == 0
    assert columns.of_kind("comparison").tolist() == []
    assert columns.people == ()


def test_another_projects_judgments_are_not_read(project, annotator):
    make_judgment()
    make_member(project)
    assert len(read_columns(project=project)) == 0
