"""A judgment carries the same provenance through either door, from the first row on: it cannot be added later."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from feedback.models import Assignment, Judgment, Project, User
from feedback.people import create_simulated_annotator
from feedback.queues import change_guideline, change_policy
from feedback.simulation import CONCISE
from tests.api.people import ApiClient, said
from tests.factories import make_queue, make_task
from tests.pages.label import open_task, submit

DOORS = ["page", "api"]


def judge(door: str, person: User, queue: Any) -> Assignment:
    """Claim and submit by `door`, the first response as the slightly better one; returns the slot as it was claimed."""
    if door == "page":
        client = Client()
        client.force_login(person)
        form = open_task(client, queue)
        slot = Assignment.objects.get(annotator=person)
        assert submit(client, queue, form, preference=-1, active_seconds=0.001).status_code == 200
    else:
        api = ApiClient(person)
        task = api.post(f"queues/{queue.pk}/claim/").json()
        slot = Assignment.objects.get(annotator=person)
        answer = api.post(f"assignments/{slot.pk}/submit/", said(task, answer={"preference": -1}, active_seconds=0.001))
        assert answer.status_code == 201
    return slot


@pytest.mark.parametrize("door", DOORS)
def test_everything_that_cannot_be_looked_up_later_is_on_the_judgment(
    door: str, project: Project, annotator: User, curator: User
) -> None:
    queue = make_queue(project)
    guideline = change_guideline(queue=queue, text="Prefer the truer one.", changed_by=curator)
    policy = change_policy(queue=queue, changed_by=curator, lease_minutes=7)
    task = make_task(queue, propensity=0.25)
    before = timezone.now()
    slot = judge(door, annotator, queue)
    change_guideline(queue=queue, text="Too late for it.", changed_by=curator)

    judgment = Judgment.objects.get()
    assert (judgment.assignment, judgment.task, judgment.queue) == (slot, task, queue)
    assert (judgment.annotator, judgment.simulation_rule, judgment.interface) == (annotator, "", door)
    assert (judgment.guideline, judgment.policy, judgment.propensity) == (guideline, policy, 0.25)
    assert (judgment.schema, judgment.display_order) == (queue.schema, slot.display_order)
    assert (judgment.arm, judgment.arm_propensity) == (slot.arm, slot.arm_propensity)
    assert judgment.chosen_id == slot.shown_responses[0].pk
    assert judgment.shown_answer.preference == -1
    assert judgment.active_seconds == 0.001
    assert before <= judgment.created_at <= timezone.now()
    assert (judgment.revision, judgment.supersedes) == (1, None)


@pytest.mark.parametrize("door", DOORS)
def test_a_simulated_annotators_rule_is_on_the_judgment(door: str, project: Project) -> None:
    person = create_simulated_annotator(project=project, username="rule-1", rule=CONCISE.text)
    queue = make_queue(project)
    make_task(queue)
    judge(door, person, queue)
    judgment = Judgment.objects.get()
    assert (judgment.is_simulated, judgment.simulation_rule) == (True, CONCISE.text)
