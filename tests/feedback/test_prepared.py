"""Statements that are compiled once say what their QuerySets say."""

from __future__ import annotations

import json
import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Exists, OuterRef
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from feedback.models import Assignment, Draft, Membership, Task
from feedback.prepared import prepared, prepared_delete, prepared_update
from tests.factories import make_assignment, make_member, make_task

pytestmark = pytest.mark.django_db


@prepared
def slots_held(*, annotator, now):
    drafts = Draft.objects.filter(task=OuterRef("task"), annotator=annotator)
    return (
        Assignment.objects.held_by(annotator, now)
        .select_related("task__prompt", "policy", "reserved_for")
        .annotate(has_draft=Exists(drafts))
    )


@prepared
def roles_held(*, person):
    return Membership.objects.filter(user=person).order_by("pk").values_list("role", "project__name")


@prepared
def projects_of(*, person):
    return Membership.objects.filter(user=person).values_list("project__name", flat=True)


@prepared_update
def move(*, slot, until, order):
    return Assignment.objects.filter(pk=slot), {"lease_expires_at": until, "display_order": order}


@prepared_delete
def drafts_away(*, task):
    return Draft.objects.filter(task=task)


def test_rows_are_models_with_what_was_selected_along_and_annotated():
    slot = make_assignment()
    Draft.objects.create(task=slot.task, annotator=slot.annotator, rationale="So far")
    (found,) = slots_held.all(annotator=slot.annotator, now=timezone.now())
    with CaptureQueriesContext(connection) as after:
        assert found == slot
        assert found.task.prompt.messages == slot.task.prompt.messages
        assert found.policy.lease_minutes == 30
        assert found.reserved_for is None
        assert found.has_draft is True
        assert (found.lease_token, found.leased_at) == (slot.lease_token, slot.leased_at)
        assert found.display_order == slot.display_order
    assert not after.captured_queries


def test_each_call_binds_its_own_values():
    one, two = make_assignment(), make_assignment()
    now = timezone.now()
    assert slots_held.first(annotator=one.annotator, now=now) == one
    assert slots_held.first(annotator=two.annotator, now=now) == two
    assert slots_held.first(annotator=two.annotator.pk, now=now + timedelta(hours=5)) is None


def test_rows_of_values_are_tuples():
    person = make_member(make_task().queue.project)
    project = person.memberships.get().project
    assert roles_held.all(person=person) == [("annotator", project.name)]
    assert projects_of.all(person=person) == [project.name]


def test_an_update_tells_how_many_rows_there_were():
    slot, until = make_assignment(), timezone.now() + timedelta(days=1)
    assert move(slot=slot.pk, until=until, order=json.dumps([1, 0])) == 1
    slot.refresh_from_db()
    assert (slot.lease_expires_at, slot.display_order) == (until, [1, 0])
    assert move(slot=make_task().pk, until=until, order="[]") == 0


def test_a_deletion_tells_how_many_rows_there_were():
    slot = make_assignment()
    Draft.objects.create(task=slot.task, annotator=slot.annotator)
    assert drafts_away(task=slot.task) == 1
    assert drafts_away(task=slot.task_id) == 0


@pytest.mark.django_db(transaction=True)
def test_the_function_is_called_once_for_each_thread():
    calls = []

    @prepared
    def all_tasks(*, queue):
        calls.append(queue)
        return Task.objects.filter(queue=queue)

    task = make_task()
    assert all_tasks.all(queue=task.queue) == all_tasks.all(queue=task.queue_id) == [task]
    assert len(calls) == 1

    def elsewhere() -> None:
        all_tasks.all(queue=task.queue_id)
        connection.close()

    other = threading.Thread(target=elsewhere)
    other.start()
    other.join()
    assert len(calls) == 2


def test_a_value_that_is_missing_or_not_asked_for_is_refused():
    with pytest.raises(TypeError, match="annotator"):
        slots_held.first(now=timezone.now())
    with pytest.raises(TypeError, match="annotator"):
        slots_held.first(now=timezone.now(), annotator=1, queue=2)
