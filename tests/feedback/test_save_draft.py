import pytest

from feedback.judging import AlreadyJudged, BadJudgment, save_draft
from feedback.models import Draft
from tests.factories import make_judgment, make_member, make_task

pytestmark = pytest.mark.django_db


def shown(task, person, preference: int) -> int:
    """Turn a preference in response order into the order in which the person sees the two."""
    return -preference if task.order_for(person) == [1, 0] else preference


def test_a_draft_is_kept_and_replaced():
    task = make_task()
    person = make_member(task.queue.project)
    values = {"task": task, "annotator": person, "flags": ["unsafe"], "active_seconds": 2.0}
    save_draft(**values, answer={}, rationale="")
    save_draft(**values, answer={"preference": shown(task, person, -2)}, rationale="Better.")
    draft = Draft.objects.get()
    assert (draft.preference, draft.rationale, draft.active_seconds) == (-2, "Better.", 2.0)
    assert [flag["flag"] for flag in draft.flags] == ["unsafe"]


def test_two_people_have_two_drafts_of_one_task():
    task = make_task(slots=2)
    for _ in range(2):
        person = make_member(task.queue.project)
        save_draft(task=task, annotator=person, answer={"preference": 1}, active_seconds=0.0)
    assert Draft.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("preference", {"answer": {"preference": 5}}),
        ("rationale", {"rationale": "\x00"}),
        ("flags", {"flags": ["x"]}),
        ("active_seconds", {"active_seconds": -1.0}),
    ],
)
def test_bad_values_are_named(field, values):
    task = make_task()
    good = {"answer": {"preference": 1}, "active_seconds": 0.0}
    with pytest.raises(BadJudgment) as caught:
        save_draft(task=task, annotator=make_member(task.queue.project), **{**good, **values})
    assert caught.value.field == field
    assert not Draft.objects.exists()


def test_a_draft_of_what_one_has_judged_is_refused():
    judgment = make_judgment()
    with pytest.raises(AlreadyJudged, match="revise the judgment instead"):
        save_draft(
            task=judgment.task,
            annotator=judgment.annotator,
            answer={"preference": 1},
            rationale="late",
            active_seconds=1.0,
        )
    assert not Draft.objects.exists()
