"""The tables refuse what must not be, even from code that goes past the functions."""

from __future__ import annotations

import uuid

import pytest
from django.db import IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone

from feedback.models import (
    Assignment,
    Draft,
    Gold,
    Guideline,
    Judgment,
    LabelSchema,
    Membership,
    Prompt,
    Qualification,
    Queue,
    QueueMember,
    QueuePolicy,
    Response,
    Review,
    Skip,
    Snapshot,
    Task,
    TaskResponse,
)
from feedback.models.append_only import AppendOnly
from feedback.reviewing import review_judgment
from tests.factories import (
    make_assignment,
    make_gold,
    make_judgment,
    make_member,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
    make_user,
)

pytestmark = pytest.mark.django_db


def refuses(name: str, *columns: str):
    """Expect the constraint `name`; SQLite names the columns of a unique constraint instead of the constraint."""
    sqlite = " *, *".join(rf"\w+\.{column}" for column in columns) if columns else name
    return pytest.raises(IntegrityError, match=sqlite if connection.vendor == "sqlite" else name)


# People and prompts -------------------------------------------------------------------------------------


def test_membership_one_per_role(project, annotator):
    with refuses("membership_one_per_role", "project_id", "user_id", "role"):
        Membership.objects.create(project=project, user=annotator, role="annotator")


def test_membership_role_is_known(project):
    with refuses("membership_role_is_known"):
        Membership.objects.create(project=project, user=make_user(), role="emperor")


def test_prompt_once_per_project(project):
    prompt = make_prompt(project)
    make_prompt(make_project(), messages=prompt.messages)
    with refuses("prompt_once_per_project", "project_id", "digest"):
        make_prompt(project, messages=prompt.messages)


def test_prompt_split_is_known(project):
    with refuses("prompt_split_is_known"):
        make_prompt(project, split="test")


def test_response_once_per_origin():
    response = make_response()
    with refuses("response_once_per_origin", "prompt_id", "origin"):
        make_response(response.prompt, origin=response.origin)


# Queues -------------------------------------------------------------------------------------------------


def test_queue_name_once_per_project(project, curator):
    queue = make_queue(project)
    with refuses("queue_name_once_per_project", "project_id", "name"):
        Queue.objects.create(project=project, name=queue.name, created_by=curator)


def test_guideline_and_policy_numbers_once_per_queue(project, curator):
    queue = make_queue(project)
    with refuses("guideline_number_once_per_queue", "queue_id", "number"), transaction.atomic():
        Guideline.objects.create(queue=queue, number=1, text="x", created_by=curator)
    with refuses("queue_policy_number_once_per_queue", "queue_id", "number"):
        QueuePolicy.objects.create(queue=queue, number=1, created_by=curator)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("queue_policy_overlap_in_range", {"overlap": 0}),
        ("queue_policy_overlap_in_range", {"overlap": 21}),
        ("queue_policy_lease_in_range", {"lease_minutes": 0}),
        ("queue_policy_lease_in_range", {"lease_minutes": 1441}),
    ],
)
def test_queue_policy_in_range(project, curator, name, values):
    queue = make_queue(project)
    with refuses(name):
        QueuePolicy.objects.create(queue=queue, number=2, created_by=curator, **values)


@pytest.mark.parametrize(
    "rule",
    ["overlap_percent", "gold_percent", "newcomer_gold_percent", "repeat_percent", "random_percent", "pass_percent"],
)
def test_queue_policy_percent_in_range(project, curator, rule):
    queue = make_queue(project)
    with refuses("queue_policy_percent_in_range"):
        QueuePolicy.objects.create(queue=queue, number=2, created_by=curator, **{rule: 101})


def test_label_schema_number_and_named_person_once_per_queue(project, curator):
    queue = make_queue(project)
    with refuses("label_schema_number_once_per_queue", "queue_id", "number"), transaction.atomic():
        LabelSchema.objects.create(queue=queue, number=1, content={}, created_by=curator)
    QueueMember.objects.create(queue=queue, person=curator, named_by=curator)
    with refuses("queue_member_once", "queue_id", "person_id"):
        QueueMember.objects.create(queue=queue, person=curator, named_by=curator)


def test_queue_kind_is_known(project, curator):
    with refuses("queue_kind_is_known"):
        Queue.objects.create(project=project, name="x", kind="guess", created_by=curator)


def test_qualification_decided_by_rule_once(project, annotator, curator):
    queue = make_queue(project, is_qualification=True)
    values = {"queue": queue, "person": annotator, "passed": True, "policy": queue.policy}
    Qualification.objects.create(**values)
    Qualification.objects.create(**values, decided_by=curator)
    Qualification.objects.create(**values, decided_by=curator)
    with refuses("qualification_decided_by_rule_once", "queue_id", "person_id"):
        Qualification.objects.create(**values)


# Tasks --------------------------------------------------------------------------------------------------


def test_task_once_per_queue():
    task = make_task()
    with refuses("task_once_per_queue", "queue_id", "key"):
        Task.objects.create(queue=task.queue, prompt=task.prompt, key=task.key)


def test_a_tasks_places_and_responses_are_there_once():
    task = make_task()
    first, second = task.texts
    with refuses("task_response_place_once", "task_id", "place"), transaction.atomic():
        TaskResponse.objects.create(task=task, response=make_response(task.prompt), place=1)
    with refuses("task_response_once", "task_id", "response_id"):
        TaskResponse.objects.create(task=task, response=first, place=2)
    assert first != second


@pytest.mark.parametrize("propensity", [0.0, -0.1, 1.1])
def test_task_propensity_in_range(propensity):
    with refuses("task_propensity_in_range"):
        make_task(propensity=propensity)


def test_a_task_is_gold_once(curator):
    task = make_task()
    make_gold(task)
    with refuses("feedback_gold_task_id", "task_id"):
        Gold.objects.create(task=task, queue=task.queue, answer={}, created_by=curator)


# Slots --------------------------------------------------------------------------------------------------


def test_assignment_slot_once_per_task():
    task = make_task()
    with refuses("assignment_slot_once_per_task", "task_id", "slot"):
        Assignment.objects.create(task=task, queue=task.queue, slot=0)


def test_assignment_reserved_once_per_task(annotator):
    task = make_task(slots=0)
    Assignment.objects.create(task=task, queue=task.queue, reserved_for=annotator)
    with refuses("assignment_reserved_once_per_task", "task_id", "reserved_for_id"):
        Assignment.objects.create(task=task, queue=task.queue, reserved_for=annotator)


def test_assignment_one_per_annotator():
    held = make_assignment(make_task(slots=2))
    other = held.task.assignments.exclude(pk=held.pk)
    with refuses("assignment_one_per_annotator", "task_id", "annotator_id"):
        other.update(
            state="leased",
            annotator=held.annotator,
            lease_token=uuid.uuid4(),
            lease_expires_at=timezone.now(),
            display_order=held.display_order,
            guideline=held.guideline,
            policy=held.policy,
            schema=held.schema,
            arm_propensity=1.0,
        )


@pytest.mark.parametrize(
    "values",
    [
        {"state": "open"},
        {"state": "withdrawn"},
        {"state": "elsewhere"},
        {"annotator": None},
        {"lease_token": None},
        {"lease_expires_at": None},
        {"display_order": None},
        {"guideline": None},
        {"policy": None},
        {"schema": None},
        {"arm_propensity": None},
    ],
)
def test_assignment_holder_matches_state(values):
    held = make_assignment()
    with refuses("assignment_holder_matches_state"):
        Assignment.objects.filter(pk=held.pk).update(**values)


def test_draft_one_per_annotator():
    task = make_task()
    person = make_member(task.queue.project)
    Draft.objects.create(task=task, annotator=person)
    with refuses("draft_one_per_annotator", "task_id", "annotator_id"):
        Draft.objects.create(task=task, annotator=person)


def test_skip_active_seconds_not_negative():
    task = make_task()
    with refuses("skip_active_seconds_not_negative"):
        Skip.objects.create(task=task, annotator=make_user(), reason="other", active_seconds=-1.0)


# Judgments ----------------------------------------------------------------------------------------------


def copy_of(judgment: Judgment, **overrides) -> Judgment:
    values = {
        field.attname: getattr(judgment, field.attname)
        for field in Judgment._meta.concrete_fields
        if field.name not in ("id", "submission_id")
    }
    return Judgment.objects.create(**{**values, "submission_id": uuid.uuid4(), "revision": 2, **overrides})


def test_a_submission_id_is_used_once():
    judgment = make_judgment()
    with refuses("feedback_judgment_submission_id", "submission_id"):
        copy_of(judgment, submission_id=judgment.submission_id)


def test_judgment_one_per_revision():
    judgment = make_judgment()
    with refuses("judgment_one_per_revision", "assignment_id", "revision"):
        copy_of(judgment, revision=1)


def test_a_judgment_is_superseded_once():
    judgment = make_judgment()
    copy_of(judgment, supersedes_id=judgment.pk)
    with refuses("feedback_judgment_supersedes_id", "supersedes_id"):
        copy_of(judgment, revision=3, supersedes_id=judgment.pk)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("judgment_preference_in_range", {"preference": 4}),
        ("judgment_preference_in_range", {"preference": -4}),
        ("judgment_active_seconds_not_negative", {"active_seconds": -0.5}),
        ("judgment_propensity_in_range", {"propensity": 0.0}),
        ("judgment_propensity_in_range", {"propensity": 1.5}),
        ("judgment_propensity_in_range", {"arm_propensity": 0.0}),
        ("judgment_propensity_in_range", {"arm_propensity": 1.5}),
    ],
)
def test_judgment_values_in_range(name, values):
    judgment = make_judgment()
    with refuses(name):
        copy_of(judgment, **values)


# Snapshots ----------------------------------------------------------------------------------------------


def test_snapshot_name_and_content_once_per_project():
    snapshot = make_snapshot()
    values = {"project": snapshot.project, "manifest": {}, "created_by": snapshot.created_by}
    with refuses("snapshot_name_once_per_project", "project_id", "name"), transaction.atomic():
        Snapshot.objects.create(**values, name=snapshot.name, sha256="0" * 64)
    with refuses("snapshot_content_once_per_project", "project_id", "sha256"):
        Snapshot.objects.create(**values, name="another", sha256=snapshot.sha256)


# What is written once, and what other rows stand on -----------------------------------------------------


def test_what_is_written_once_is_neither_changed_nor_deleted():
    judgment = make_judgment()
    review = review_judgment(judgment=judgment, reviewer=make_user(), accepted=True)
    snapshot = make_snapshot(judgment.queue.project)
    gold = make_gold(make_task(judgment.queue))
    for row in (judgment, review, snapshot, gold, judgment.guideline, judgment.policy, judgment.schema):
        with pytest.raises(AppendOnly):
            row.save()
        with pytest.raises(AppendOnly):
            row.delete()
    assert Judgment.objects.count() == Review.objects.count() == Snapshot.objects.count() == 1


def test_what_judgments_stand_on_is_not_deleted():
    judgment = make_judgment()
    for row in (
        judgment.annotator,
        judgment.assignment,
        judgment.task,
        judgment.task.prompt,
        judgment.task.texts[0],
        judgment.queue,
        judgment.queue.project,
    ):
        with pytest.raises(ProtectedError):
            row.delete()
    assert Judgment.objects.count() == 1
    assert Prompt.objects.count() == 1
    assert Response.objects.count() == 2
