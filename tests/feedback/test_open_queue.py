import pytest

from feedback.models import Guideline, Queue, QueuePolicy
from feedback.queues import QueueRefused, change_guideline, change_policy, open_queue, set_queue_state
from tests.factories import make_project, make_queue

pytestmark = pytest.mark.django_db


def test_a_queue_opens_with_its_first_guidelines_and_policy(project, curator):
    queue = open_queue(
        project=project,
        name=" Safety ",
        guideline="# Prefer\r\nthe safer one.",
        created_by=curator,
        overlap=3,
        lease_minutes=10,
        schema={"allow_tie": False, "rationale": "required"},
    )
    assert (queue.name, queue.state, queue.created_by) == ("Safety", Queue.State.OPEN, curator)
    assert (queue.guideline.number, queue.guideline.text) == (1, "# Prefer\nthe safer one.")
    policy = queue.policy
    assert (policy.number, policy.overlap, policy.lease_minutes) == (1, 3, 10)
    assert (policy.repeat_percent, policy.random_percent, policy.gold_percent) == (3, 10, 0)
    assert (queue.schema.number, queue.schema.asks.allow_tie, queue.schema.asks.rationale) == (1, False, "required")


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 201}),
        ("guideline", {"guideline": " \n"}),
        ("guideline", {"guideline": "x" * 100_001}),
        ("guideline", {"guideline": "a\x00"}),
        ("overlap", {"overlap": 0}),
        ("overlap", {"overlap": 21}),
        ("lease_minutes", {"lease_minutes": 0}),
        ("lease_minutes", {"lease_minutes": 1441}),
        ("lease_minutes", {"lease_minutes": "soon"}),
        ("overlap_cap", {"overlap": 3, "overlap_cap": 3}),
        ("overlap_cap", {"kind": "demonstration", "overlap_cap": 3}),
        ("gold_percent", {"gold_percent": 90, "random_percent": 10, "repeat_percent": 3}),
        ("newcomer_gold_percent", {"newcomer_gold_percent": 88}),
        ("repeat_percent", {"repeat_percent": 51}),
        ("languages", {"languages": "en"}),
        ("named_only", {"named_only": "yes"}),
        ("kind", {"kind": "guess"}),
        ("colour", {"colour": "red"}),
        ("levels", {"schema": {"levels": 3}}),
    ],
)
def test_wrong_values_are_named_and_nothing_is_made(project, curator, field, values):
    with pytest.raises(QueueRefused) as caught:
        open_queue(**{"project": project, "name": "A", "guideline": "B", "created_by": curator, **values})
    assert caught.value.field == field
    assert not Queue.objects.exists()


def test_a_name_is_given_once_per_project(project, curator):
    make_queue(project, name="A")
    make_queue(make_project(), name="A")
    with pytest.raises(QueueRefused, match="already has a queue named 'A'"):
        make_queue(project, name="A")


def test_new_guidelines_are_a_new_version_and_the_old_one_stays(project, curator):
    queue = make_queue(project, guideline="Old.")
    new = change_guideline(queue=queue, text="New.", changed_by=curator)
    assert (new.number, queue.guideline) == (2, new)
    assert list(Guideline.objects.order_by("number").values_list("text", flat=True)) == ["Old.", "New."]
    assert change_guideline(queue=queue, text=" New. ", changed_by=curator) == new
    with pytest.raises(QueueRefused):
        change_guideline(queue=queue, text="", changed_by=curator)


def test_a_new_policy_is_a_new_version_and_keeps_what_is_not_named(project, curator):
    queue = make_queue(project, overlap=2, lease_minutes=7)
    new = change_policy(queue=queue, changed_by=curator, daily_quota=40)
    assert (new.number, new.overlap, new.lease_minutes, new.daily_quota) == (2, 2, 7, 40)
    assert change_policy(queue=queue, changed_by=curator, overlap=2) == new
    assert QueuePolicy.objects.count() == 2
    with pytest.raises(QueueRefused):
        change_policy(queue=queue, changed_by=curator, overlap=99)


def test_a_queue_is_paused_closed_and_opened_again(project):
    queue = make_queue(project)
    for state in ("paused", "closed", "open"):
        set_queue_state(queue=queue, state=state)
        assert Queue.objects.get().state == state
    with pytest.raises(QueueRefused):
        set_queue_state(queue=queue, state="gone")
