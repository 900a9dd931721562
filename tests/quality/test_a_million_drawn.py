"""The rows that benchmarks and pages are measured on are such as the product itself would have stored."""

from __future__ import annotations

from collections import Counter

import pytest
from django.db import connection

from benchmarks.curation_rows import fill
from feedback.models import Assignment, Gold, Judgment, Project, Queue, Score, Task, TaskResponse
from feedback.quality.columns import read_columns


@pytest.mark.django_db(transaction=True)
def test_drawn_judgments_are_consistent():
    made = fill(judgments=1_500, people=40, rankings=80)
    project = Project.objects.get(slug=made["project"])
    queue = Queue.objects.get(pk=made["queues"][0])
    assert 1_500 <= made["judgments"] <= 1_700
    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA foreign_key_check")
            assert cursor.fetchall() == []
    first = Judgment.objects.filter(queue=queue, revision=1).select_related("assignment", "task")
    assert max(Counter(first.values_list("task", "annotator")).values()) == 1
    assert all(judgment.assignment.task_id == judgment.task_id for judgment in first)
    assert all(judgment.assignment.annotator_id == judgment.annotator_id for judgment in first)
    in_order = Judgment.objects.filter(queue=queue, revision=1).order_by("id").values_list("created_at", flat=True)
    assert list(in_order) == sorted(in_order)
    assert Judgment.objects.filter(queue=queue, revision=2).exists()
    repeats = first.filter(arm="repeat")
    assert repeats
    for repeat in repeats:
        original = first.get(task=repeat.task.repeat_of, annotator=repeat.annotator)
        assert repeat.display_order == original.display_order[::-1]
        assert repeat.created_at > original.created_at
    golds = Gold.objects.filter(queue=queue).values_list("task", flat=True)
    assert set(first.filter(arm="gold").values_list("task", flat=True)) <= set(golds)
    assert not Assignment.objects.filter(task__in=golds, slot__isnull=False).exists()
    assert TaskResponse.objects.filter(task__queue=queue).count() == 2 * Task.objects.filter(queue=queue).count()
    assert Score.objects.filter(project=project).exists()
    ranked = Judgment.objects.filter(queue=made["queues"][1])
    assert len(ranked) == made["rankings"]
    assert all(sorted(set(each.content["ranks"]))[0] == 1 and len(each.content["ranks"]) == 4 for each in ranked)
    assert len(read_columns(project=project)) == made["judgments"] + made["rankings"]
