"""A search judges each row of a stretch by the few rows that indexes lead to: no table is read for every judgment."""

from __future__ import annotations

import pytest
from django.db import connection

from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import edge_of, past
from feedback.models import Score
from feedback.models.people import new_id
from tests.factories import make_gold, make_judgment, make_queue, make_task

pytestmark = pytest.mark.django_db

SCORER = new_id()


def plan_of(project, **filters: str) -> tuple[str, list[str]]:
    """Return the statement by which a stretch is narrowed, and the lines of its plan."""
    search = JudgmentFilter(filters, project=project).search()
    edge = edge_of(search, None, 2, newest_first=True)
    stretch = past(search.base().filter(queue__in=[queue.pk for queue in search.queues]), None, newest_first=True)
    found = search.narrow(stretch.filter(pk__gte=edge).current()).order_by("-id").values_list("pk", flat=True)[:50]
    sql, _ = found.query.sql_with_params()
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # so few rows are read whole otherwise
    return sql, found.explain().splitlines()


@pytest.fixture
def judged(project):
    queue = make_queue(project, overlap=2)
    tasks = [make_task(queue) for _ in range(3)]
    for task in tasks:
        for preference in (2, -2):
            make_judgment(task=task, preference=preference)
        for place, text in enumerate(task.texts):
            Score.objects.create(project=project, response=text, scorer_id=SCORER, scorer_name="rm", value=-2.0 * place)
    make_gold(tasks[0])
    return project


@pytest.mark.parametrize(
    "filters", [{"against": str(SCORER)}, {"differing": "on"}, {"gold": "wrong"}, {"flag": "any"}, {"drawn": "on"}]
)
def test_no_table_is_read_for_every_judgment(judged, filters):
    _, plan = plan_of(judged, **filters)
    assert any("judgment_by_queue" in line for line in plan), plan
    for line in plan:
        assert not line.strip().split(" ", 3)[-1].startswith("SCAN"), plan
        assert "Seq Scan" not in line, plan


def test_the_gap_is_looked_up_once_along_the_two_responses(judged):
    sql, plan = plan_of(judged, against=str(SCORER))
    assert sql.count('FROM "feedback_score"') == 2
    scores = [number for number, line in enumerate(plan) if "score" in line and ("USING" in line or "Index" in line)]
    assert len(scores) == 2, plan
    for number in scores:
        assert any("response_id" in line for line in plan[number : number + 2]), plan
