import pytest
from django.utils import timezone

from feedback.bulk import BulkRefused, start_bulk, undo_bulk
from feedback.claims import claim_next
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.models import Assignment, AuditEvent, Job, Judgment, Review, Role
from feedback.reviewing import review_judgment
from tests.factories import make_judgment, make_member, make_project, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def curator(project):
    return make_member(project, Role.CURATOR)


@pytest.fixture
def queue(project):
    return make_queue(project)


def start(project, curator, action="accept", reason="", **filters):
    return start_bulk(
        project=project, action=action, reason=reason, started_by=curator, now=timezone.now(),
        filters=JudgmentFilter(filters, project=project),
    )  # fmt: skip


def undo(bulk, curator):
    return undo_bulk(bulk=bulk, undone_by=curator, now=timezone.now())


def states():
    return sorted(Judgment.objects.with_review_state().values_list("review_state", flat=True))


def test_everything_that_the_filters_choose_is_decided_and_nothing_else(project, curator, queue):
    wanted = [make_judgment(queue=queue, preference=3) for _ in range(3)]
    make_judgment(queue=queue, preference=1)
    bulk = start(project, curator, strength="3")
    assert (bulk.count, bulk.job.state) == (3, Job.State.SUCCEEDED)
    assert {review.judgment_id for review in bulk.reviews.all()} == {judgment.pk for judgment in wanted}
    assert states() == ["", "accepted", "accepted", "accepted"]


def test_every_decision_is_in_the_audit_log_and_names_the_bulk_action(project, curator, queue):
    for _ in range(3):
        make_judgment(queue=queue, preference=3)
    bulk = start(project, curator, "reject", "Too fast.", strength="3")
    events = AuditEvent.objects.filter(bulk=bulk)
    assert events.acting("judgment.reject").count() == 3
    assert events.acting("bulk.start").get().after["filters"] == {"strength": "3"}


def test_ones_own_judgments_are_left_out(project, curator, queue):
    make_member(project, Role.ANNOTATOR, user=curator)
    make_judgment(queue=queue, annotator=curator, preference=3)
    make_judgment(queue=queue, preference=3)
    assert start(project, curator, strength="3").count == 1


def test_what_is_decided_so_already_stays_as_it_is(project, curator, queue):
    there, _ = make_judgment(queue=queue, preference=3), make_judgment(queue=queue, preference=3)
    review_judgment(judgment=there, reviewer=curator, accepted=True, reason="Well said.")
    bulk = start(project, curator, strength="3")
    assert (bulk.count, bulk.job.result["already"]) == (1, 1)
    assert there.reviews.count() == 1


def test_undoing_restores_what_was_before_each_decision(project, curator, queue):
    before = [make_judgment(queue=queue, preference=3) for _ in range(3)]
    review_judgment(judgment=before[0], reviewer=curator, accepted=False, reason="No.")
    bulk = start(project, curator, strength="3")
    assert states() == ["accepted"] * 3
    undone = undo(bulk, curator)
    assert states() == ["", "", "rejected"]
    assert Review.objects.filter(judgment=before[0]).first().reason == "No."
    assert "Took back 3." in undone.job.result["words"]


def test_undoing_leaves_what_was_reviewed_since(project, curator, queue):
    first, _ = make_judgment(queue=queue, preference=3), make_judgment(queue=queue, preference=3)
    bulk = start(project, curator, strength="3")
    review_judgment(judgment=first, reviewer=make_member(project, Role.CURATOR), accepted=False, reason="Look.")
    undone = undo(bulk, curator)
    assert (undone.job.result["done"], undone.job.result["since"]) == (1, 1)
    assert states() == ["", "rejected"]


def test_requeueing_asks_somebody_else_and_undoing_says_which_slots_stay(project, curator, queue):
    kept, taken = (make_judgment(task=make_task(queue), preference=3) for _ in range(2))
    bulk = start(project, curator, "requeue", "Look again.", strength="3")
    assert bulk.count == 2
    other = make_member(project)
    held = claim_next(queue=queue, annotator=other, now=timezone.now())
    assert held.task_id in (kept.task_id, taken.task_id)
    undone = undo(bulk, curator)
    assert undone.job.result["slots"] == 1
    assert "1 slots had been claimed already and stay." in undone.job.result["words"]
    assert Assignment.objects.filter(state="withdrawn").count() == 1
    assert Assignment.objects.get(pk=held.pk).state == "leased"


def test_a_slot_never_goes_to_whoever_was_rejected(project, curator, queue):
    judgment = make_judgment(task=make_task(queue), preference=3)
    start(project, curator, "requeue", "Look again.", strength="3")
    assert claim_next(queue=queue, annotator=judgment.annotator, now=timezone.now()) is None


def test_what_cannot_be_requeued_is_rejected_without(project, curator, queue):
    judgment = make_judgment(task=make_task(queue), preference=3)
    Judgment.objects.filter(pk=judgment.pk)
    type(judgment.task).objects.filter(pk=judgment.task_id).update(withdrawn_at=timezone.now())
    bulk = start(project, curator, "requeue", "Look again.", strength="3")
    assert (bulk.count, bulk.job.result["no_slot"]) == (1, 1)
    assert states() == ["rejected"]


def test_a_bulk_action_is_taken_back_once(project, curator, queue):
    make_judgment(queue=queue, preference=3)
    bulk = undo(start(project, curator, strength="3"), curator)
    with pytest.raises(BulkRefused, match="already"):
        undo(bulk, curator)


def test_what_came_in_after_the_start_is_left_alone(project, curator, queue, settings):
    make_judgment(queue=queue, preference=3)
    settings.JOB_REQUEST_SECONDS = -1  # left to a clerk at once
    bulk = start(project, curator, strength="3")
    assert bulk.job.state == Job.State.QUEUED
    make_judgment(queue=queue, preference=3)
    from feedback.jobs import carry_out

    carry_out(bulk.job)
    bulk.refresh_from_db()
    assert bulk.count == 1


def test_one_that_still_waits_is_cancelled_before_it_is_taken_back(project, curator, queue, settings):
    make_judgment(queue=queue, preference=3)
    settings.JOB_REQUEST_SECONDS = -1
    bulk = start(project, curator, strength="3")
    with pytest.raises(BulkRefused, match="cancel it first"):
        undo(bulk, curator)


@pytest.mark.parametrize(
    ("field", "action", "reason", "filters"),
    [
        ("action", "delete", "", {"strength": "3"}),
        ("reason", "reject", " ", {"strength": "3"}),
        ("reason", "requeue", "", {"strength": "3"}),
        ("filters", "accept", "", {}),
        ("filters", "accept", "", {"order": "oldest"}),
        ("strength", "accept", "", {"strength": "9"}),
        ("queue", "accept", "", {"queue": "01a21096-74d6-73d6-8659-47de5d615f85"}),
        ("since", "accept", "", {"since": "yesterday"}),
    ],
)
def test_what_cannot_be_started_is_refused_and_decides_nothing(project, curator, queue, field, action, reason, filters):
    make_judgment(queue=queue, preference=3)
    with pytest.raises(BulkRefused) as caught:
        start(project, curator, action, reason, **filters)
    assert caught.value.field == field
    assert not Review.objects.exists()
    assert not Job.objects.exists()
