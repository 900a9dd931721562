import pytest

from feedback.judging import AlreadyJudged, BadJudgment, save_draft
from feedback.models import Draft
from tests.factories import make_comparison, make_judgment, make_member

pytestmark = pytest.mark.django_db


def test_a_draft_is_kept_and_replaced():
    comparison = make_comparison()
    person = make_member(comparison.queue.project)
    values = {"comparison": comparison, "annotator": person, "flags": ["unsafe"], "active_seconds": 2.0}
    save_draft(**values, preference=None, rationale="")
    save_draft(**values, preference=-2, rationale="Better.")
    draft = Draft.objects.get()
    assert (draft.preference, draft.rationale, draft.flags, draft.active_seconds) == (-2, "Better.", ["unsafe"], 2.0)


def test_two_people_have_two_drafts_of_one_comparison():
    comparison = make_comparison(slots=2)
    for _ in range(2):
        person = make_member(comparison.queue.project)
        save_draft(comparison=comparison, annotator=person, preference=1, rationale="", flags=[], active_seconds=0.0)
    assert Draft.objects.count() == 2


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("preference", {"preference": 5}),
        ("rationale", {"rationale": "\x00"}),
        ("flags", {"flags": ["x"]}),
        ("active_seconds", {"active_seconds": -1.0}),
    ],
)
def test_bad_values_are_named(field, values):
    comparison = make_comparison()
    good = {"preference": 1, "rationale": "", "flags": [], "active_seconds": 0.0}
    with pytest.raises(BadJudgment) as caught:
        save_draft(comparison=comparison, annotator=make_member(comparison.queue.project), **{**good, **values})
    assert caught.value.field == field
    assert not Draft.objects.exists()


def test_a_draft_of_what_one_has_judged_is_refused():
    judgment = make_judgment()
    with pytest.raises(AlreadyJudged, match="revise the judgment instead"):
        save_draft(
            comparison=judgment.comparison,
            annotator=judgment.annotator,
            preference=1,
            rationale="late",
            flags=(),
            active_seconds=1.0,
        )
    assert not Draft.objects.exists()
