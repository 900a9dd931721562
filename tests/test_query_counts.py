"""A list costs the same number of queries however long it is: what one row needs is fetched for all rows at once."""

from __future__ import annotations

import itertools

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from feedback.models import Project, Role, User
from feedback.reviewing import review_judgment
from feedback.selection import Selection
from tests.factories import (
    make_judgment,
    make_member,
    make_policy_checkpoint,
    make_project,
    make_prompt,
    make_queue,
    make_run,
    make_snapshot,
    make_task,
    make_user,
)
from training.models import RunMetric

PAGES = (
    "/p/{slug}/prompts/",
    "/p/{slug}/queues/",
    "/p/{slug}/judgments/",
    "/p/{slug}/snapshots/",
    "/p/{slug}/runs/",
    "/p/{slug}/checkpoints/",
    "/p/{slug}/members/",
    "/api/v1/projects/",
    "/api/v1/projects/{slug}/prompts/",
    "/api/v1/projects/{slug}/queues/",
    "/api/v1/projects/{slug}/judgments/",
    "/api/v1/projects/{slug}/snapshots/",
    "/api/v1/projects/{slug}/runs/",
    "/api/v1/projects/{slug}/checkpoints/",
)


@pytest.fixture
def person(project: Project) -> User:
    """Somebody whom every list is open to, and who is asked about nothing that this test does not grow."""
    curator = make_member(project, Role.CURATOR)
    return make_member(project, Role.ML_STAFF, user=curator)


def grow(project: Project, person: User) -> None:
    """Add one more of everything that the lists show."""
    queue = make_queue(project, created_by=make_user())
    annotator = make_member(project)
    judgment = make_judgment(
        task=make_task(queue, prompt=make_prompt(project)), annotator=annotator, rationale="Clear."
    )
    review_judgment(judgment=judgment, reviewer=person, accepted=True)
    snapshot = make_snapshot(project, selection=Selection(queues=(str(queue.pk),)), created_by=make_user())
    make_policy_checkpoint(project, snapshot=snapshot)
    run = make_run(project, "dpo", snapshot=snapshot, state="running", progress={"done": 3, "total": 9})
    RunMetric.objects.bulk_create(RunMetric(run=run, step=step, values={"time": float(step)}) for step in (1, 2, 3))
    make_member(make_project(), Role.CURATOR, user=person)


def queries(client: Client, url: str) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        assert client.get(url).status_code == 200
    return [query["sql"] for query in captured.captured_queries]


@pytest.mark.parametrize("pattern", PAGES)
def test_a_longer_list_takes_no_more_queries(pattern: str, project: Project, person: User, client: Client) -> None:
    client.force_login(person)
    url = pattern.format(slug=project.slug)
    for _ in range(2):
        grow(project, person)
    queries(client, url)
    few = queries(client, url)
    for _ in range(4):
        grow(project, person)
    many = queries(client, url)
    assert len(many) == len(few), "\n".join(sorted(many))


def test_home_asks_as_much_of_each_of_five_projects_as_of_one(person: User, project: Project, client: Client) -> None:
    """Three of each: its roles for their names, its roles for what to do next, and whether it has prompts."""
    client.force_login(person)
    counts = []
    for _ in range(5):
        client.get("/")
        counts.append(len(queries(client, "/")))
        make_member(make_project(), Role.CURATOR, user=person)
    assert {later - earlier for earlier, later in itertools.pairwise(counts)} == {3}
