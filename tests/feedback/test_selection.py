from __future__ import annotations

from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.models import Consent, Finding, HeldOutPerson, Judgment
from feedback.reviewing import review_judgment
from feedback.selection import LEFT_OUT, Selection, SelectionRefused, without
from tests.factories import make_judgment, make_member, make_project, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db


def judge(project, annotator=None, preference=2, split="train", **prompt) -> Judgment:
    queue = project.queues.first() or make_queue(project, overlap=3)
    made = make_prompt(project, split=split, **prompt)
    task = make_task(queue, prompt=made, responses=(make_response(made), make_response(made)))
    return make_judgment(task=task, annotator=annotator or make_member(project), preference=preference)


def reasons(project, **chosen) -> dict[str, int]:
    found = Selection(**chosen).considered(project).values_list("left_out", flat=True)
    return {reason: list(found).count(reason) for reason in set(found)}


# What is chosen -----------------------------------------------------------------------------------------


def test_everything_of_the_project_and_nothing_of_another_is_considered(project):
    mine = judge(project)
    judge(make_project())
    assert list(Selection().eligible(project)) == [mine]


@pytest.mark.parametrize(
    ("chosen", "prompt"),
    [
        ({"languages": ("de",)}, {"language": "de"}),
        ({"sources": ("forum",)}, {"source": "forum"}),
        ({"tags": ("häufig", "other")}, {"tags": ["häufig", "x"]}),
    ],
)
def test_prompts_are_chosen_by_language_source_and_tag(project, chosen, prompt):
    wanted = judge(project, **prompt)
    judge(project, language="en", source="web", tags=["häufiger"])
    assert list(Selection(**chosen).considered(project)) == [wanted]


def test_time_and_arm_and_kind_and_queue_choose(project):
    judgment = judge(project)
    later = (judgment.created_at + timedelta(seconds=1)).isoformat()
    assert Selection(until=later, arms=(judgment.arm,), kinds=("comparison",)).considered(project).count() == 1
    assert Selection(queues=(str(judgment.queue_id),)).considered(project).count() == 1
    assert not Selection(since=later).considered(project).exists()
    assert not Selection(arms=("imported",)).considered(project).exists()
    assert not Selection(kinds=("ranking",)).considered(project).exists()
    assert not Selection(queues=(str(make_queue(project).pk),)).considered(project).exists()


# What is left out, and why ------------------------------------------------------------------------------


def test_a_tie_is_left_out_by_itself_and_is_a_vote_where_people_vote(project):
    judge(project, preference=0)
    assert reasons(project) == {"tie": 1}
    assert reasons(project, verdict="majority") == {"": 1}


def test_a_person_a_day_a_guideline_and_a_flag_are_left_out_when_asked(project):
    judgment = judge(project)
    day = judgment.created_at.date().isoformat()
    assert reasons(project, without_people=(judgment.annotator_id,)) == {"person": 1}
    assert reasons(project, without_days=(day,)) == {"day": 1}
    assert reasons(project, without_guidelines=(judgment.guideline_id,)) == {"guideline": 1}
    assert reasons(project, without_flags=("unsafe",)) == {"": 1}
    make_judgment(task=make_task(judgment.queue), flags=[{"flag": "unsafe", "response": 0, "kind": ""}])
    assert reasons(project, without_flags=("unsafe",)) == {"": 1, "flag": 1}


def test_weak_preferences_are_left_out_when_a_strength_is_asked(project):
    for preference in (-1, 2, -3):
        judge(project, preference=preference)
    assert reasons(project, min_strength=2) == {"": 2, "weak": 1}


def test_reviewed_only_takes_what_was_accepted_last(project, curator):
    accepted, rejected, _unread = judge(project), judge(project), judge(project)
    review_judgment(judgment=accepted, reviewer=curator, accepted=False, reason="no")
    review_judgment(judgment=accepted, reviewer=curator, accepted=True)
    review_judgment(judgment=rejected, reviewer=curator, accepted=True)
    review_judgment(judgment=rejected, reviewer=curator, accepted=False, reason="no")
    assert reasons(project, reviewed_only=True) == {"": 1, "rejected": 1, "not_reviewed": 1}


def test_withdrawn_consent_leaves_a_person_out_until_it_is_given_again(project):
    judgment = judge(project)
    Consent.objects.create(project=project, person=judgment.annotator, withdrawn_at=timezone.now())
    assert reasons(project) == {"consent": 1}
    Consent.objects.create(project=project, person=judgment.annotator, given_at=timezone.now())
    assert reasons(project) == {"": 1}


def test_personal_data_that_nobody_settled_keeps_a_text_out_unless_allowed(project):
    in_prompt, in_response, settled = judge(project), judge(project), judge(project)
    kind = Finding.Kind.PERSONAL_DATA
    Finding.objects.create(project=project, kind=kind, prompt=in_prompt.task.prompt)
    Finding.objects.create(project=project, kind=kind, response=in_response.task.texts[0])
    Finding.objects.create(project=project, kind=kind, prompt=settled.task.prompt, settlement="leave")
    assert reasons(project) == {"personal_data": 2, "": 1}
    assert reasons(project, allow_personal_data=True) == {"": 3}


def test_what_an_annotator_wrote_and_texts_left_out_for_good_count_too(project):
    written, left_out, _plain = judge(project), judge(project), judge(project)
    kind = Finding.Kind.PERSONAL_DATA
    Finding.objects.create(project=project, kind=kind, judgment=written)
    Finding.objects.create(project=project, kind=kind, prompt=left_out.task.prompt, settlement="leave_out")
    assert reasons(project, allow_personal_data=True) == {"text_left_out": 1, "": 2}
    assert reasons(project) == {"text_left_out": 1, "personal_data": 1, "": 1}


def test_near_duplicates_stay_out_on_request(project):
    repeated, leaking, settled, _first = (judge(project) for _ in range(4))
    for judgment, kind, settlement in (
        (repeated, Finding.Kind.NEAR_DUPLICATE, ""),
        (leaking, Finding.Kind.LEAK, ""),
        (settled, Finding.Kind.NEAR_DUPLICATE, "leave"),
    ):
        Finding.objects.create(project=project, kind=kind, prompt=judgment.task.prompt, settlement=settlement)
    assert reasons(project) == {"": 4}
    assert reasons(project, without_near_duplicates=True) == {"near_duplicate": 2, "": 2}


def test_splits_leave_out_the_others_and_a_held_out_person_is_a_split_of_their_own(project, curator):
    train, _evaluation, apart = judge(project), judge(project, split="evaluation"), judge(project)
    HeldOutPerson.objects.create(project=project, person=apart.annotator, created_by=curator)
    assert list(Selection(splits=("train",)).eligible(project)) == [train]
    assert list(Selection(splits=("held_out_people",)).eligible(project)) == [apart]
    assert reasons(project, splits=("train",)) == {"": 1, "split": 2}


# As JSON ------------------------------------------------------------------------------------------------


def test_a_selection_comes_back_from_json_as_it_was():
    chosen = Selection(
        kinds=("comparison",), verdict="majority", min_votes=2, min_posterior=0.7, without_people=(3, 4), tags=("a",)
    )
    assert Selection.from_json(chosen.to_json()) == chosen
    assert Selection().to_json() == {}
    assert Selection.from_json({}) == Selection()
    assert Selection.from_json({"queues": None, "min_strength": 1}) == Selection(min_strength=1)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"queue": []}, "queue"),
        ({"queues": ["x"]}, "queues"),
        ({"queues": "all"}, "queues"),
        ({"kinds": ["poem"]}, "kinds"),
        ({"verdict": "best"}, "verdict"),
        ({"weights": "heavy"}, "weights"),
        ({"splits": ["test"]}, "splits"),
        ({"arms": ["x"]}, "arms"),
        ({"min_strength": 4}, "min_strength"),
        ({"min_strength": True}, "min_strength"),
        ({"min_votes": 2}, "verdict"),
        ({"include_simulated": "yes"}, "include_simulated"),
        ({"since": "yesterday"}, "since"),
        ({"without_days": ["today"]}, "without_days"),
        ({"without_people": ["ada"]}, "without_people"),
        ([], "selection"),
    ],
)
def test_what_a_selection_cannot_be_is_refused_with_the_part_that_is_wrong(values, field):
    with pytest.raises(SelectionRefused) as caught:
        Selection.from_json(values)
    assert caught.value.field == field


def test_more_can_be_left_out_of_a_selection():
    assert without(Selection(without_people=(1,)), people=[2, 1]).without_people == (1, 2)


def test_every_reason_has_words_and_fits_its_column():
    assert all(words and len(reason) <= 20 for reason, words in LEFT_OUT.items())


@pytest.mark.parametrize(
    ("name", "value"),
    [("without_people", [10**30]), ("since", "0001-01-01T00:00:00+14:00"), ("until", "9999-12-31T23:59:59-14:00"),
     ("without_flags", ["un\x00safe"])],
)  # fmt: skip
def test_what_no_database_can_compare_with_is_refused(name, value):
    with pytest.raises(SelectionRefused) as refused:
        Selection.from_json({name: value})
    assert refused.value.field == name
