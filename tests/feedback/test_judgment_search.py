"""What the filters find is what a plain look at every judgment finds, in pages of any size and both directions."""

import itertools

import pytest
from django.utils import timezone

from feedback import judgment_search
from feedback.gold import make_gold
from feedback.judgment_filter_forms import JudgmentFilter
from feedback.judgment_search import all_of, count_up_to, find
from feedback.models import ReviewRate, Role, Score
from feedback.models.people import new_id
from feedback.reviewing import fix_judgment, review_judgment
from tests.factories import make_judgment, make_member, make_project, make_prompt, make_queue, make_task, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(db):
    return make_project()


@pytest.fixture
def queue(project):
    return make_queue(project, overlap=2)


def found(project, **filters):
    form = JudgmentFilter(filters, project=project)
    assert not form.errors
    return {pk for ids in all_of(form.search(), at_once=2) for pk in ids}


def test_pages_of_any_size_are_the_whole_list_in_both_orders(project, queue, monkeypatch):
    monkeypatch.setattr(judgment_search, "SHORTEST", 3)  # so that a page runs over several stretches
    other = make_queue(project)
    made = [make_judgment(queue=which, preference=2).pk for which in (queue, other, other, queue, queue, other, queue)]
    for newest_first, size in itertools.product((True, False), (1, 2, 3, 7, 8)):
        search = JudgmentFilter({}, project=project).search()
        seen, beyond = [], None
        while True:
            page = find(search, beyond=beyond, limit=size, newest_first=newest_first)
            seen += page.judgments
            assert len(page.judgments) <= size
            if page.resume is None:
                break
            beyond = page.resume
        assert seen == (made[::-1] if newest_first else made)


def test_a_search_whose_time_is_over_says_where_it_goes_on(project, queue, monkeypatch):
    monkeypatch.setattr(judgment_search, "SHORTEST", 2)
    made = [make_judgment(queue=queue, preference=1) for _ in range(5)]
    search = JudgmentFilter({"strength": "3"}, project=project).search()
    page = find(search, limit=10, seconds=-1)
    assert (page.judgments, page.in_full, page.resume) == ([], False, made[3].pk)
    assert find(search, beyond=page.resume, limit=10).resume is None
    assert count_up_to(JudgmentFilter({}, project=project).search(), limit=10, seconds=5) == (5, True)
    assert count_up_to(JudgmentFilter({}, project=project).search(), limit=3, seconds=5) == (3, False)


def test_people_who_differ_on_a_comparison(project, queue):
    task, agreed = make_task(queue), make_task(queue)
    apart = {make_judgment(task=task, preference=2).pk, make_judgment(task=task, preference=-1).pk}
    for preference in (1, 3):
        make_judgment(task=agreed, preference=preference)
    make_judgment(queue=queue, preference=2)
    assert found(project, differing="on") == apart


def test_people_who_differ_on_a_ranking(project):
    queue = make_queue(project, kind="ranking", overlap=2)
    task, agreed = make_task(queue), make_task(queue)

    def rank(where, ranks):
        held = make_judgment(task=where, answer={"ranks": [1, 2, 3]}).pk
        from feedback.models import Judgment

        Judgment.objects.filter(pk=held).update(content={"ranks": ranks, "not_rankable": [False] * 3})
        return held

    apart = {rank(task, [1, 2, 3]), rank(task, [2, 1, 3])}
    rank(agreed, [1, 2, 3])
    rank(agreed, [1, 1, 2])  # says less, contradicts nothing
    assert found(project, differing="on") == apart


def test_judgments_that_are_not_right_by_the_gold(project, queue):
    right, wrong = make_judgment(queue=queue, preference=1), make_judgment(queue=queue, preference=-3)
    make_judgment(queue=queue, preference=-3)
    for judgment in (right, wrong):
        make_gold(task=judgment.task, answer={"preference": 2}, created_by=make_user())
    assert found(project, gold="wrong") == {wrong.pk}
    assert found(project, gold="any") == {right.pk, wrong.pk}


def test_judgments_that_a_reward_model_contradicts(project, queue):
    scorer = new_id()
    made = {gap: make_judgment(queue=queue, preference=2) for gap in (-2.0, -0.5, 1.0)}  # all prefer place 1
    for gap, judgment in made.items():
        for place, value in ((0, 0.0), (1, gap)):
            Score.objects.create(
                project=project, response=judgment.task.texts[place], scorer_id=scorer, scorer_name="rm", value=value
            )
    make_judgment(queue=queue, preference=2)
    assert found(project, against=str(scorer)) == {made[-2.0].pk, made[-0.5].pk}
    assert found(project, against=str(scorer), gap="1") == {made[-2.0].pk}


def test_the_share_that_is_drawn_goes_by_the_person_before_the_queue(project, queue):
    from feedback.models import Judgment

    person = make_member(project)
    mine, other = make_judgment(queue=queue, annotator=person), make_judgment(queue=queue)
    Judgment.objects.update(review_draw=0.3)
    assert found(project, drawn="on") == set()  # the queue draws ten percent
    rate = ReviewRate.objects.create(project=project, person=person, percent=31, set_by=make_user())
    assert found(project, drawn="on") == {mine.pk}
    Judgment.objects.filter(pk=other.pk).update(review_draw=0.05)
    assert found(project, drawn="on") == {mine.pk, other.pk}
    ReviewRate.objects.filter(pk=rate.pk).update(percent=0)
    assert found(project, drawn="on") == {other.pk}


def test_review_states(project, queue):
    curator = make_member(project, Role.CURATOR)
    accepted, fixed, rejected, unread = (make_judgment(queue=queue, preference=2) for _ in range(4))
    review_judgment(judgment=accepted, reviewer=curator, accepted=True)
    fix_judgment(judgment=fixed, reviewer=curator, answer={"preference": -1})
    review_judgment(judgment=rejected, reviewer=curator, accepted=False, reason="No.")
    assert found(project, review="accepted") == {accepted.pk, fixed.pk}
    assert found(project, review="fixed") == {fixed.pk}
    assert found(project, review="rejected") == {rejected.pk}
    assert found(project, review="none") == {unread.pk}


def test_flags_strength_arm_language_text_and_time(project, queue):
    german = make_task(queue, prompt=make_prompt(project, "Wie tief ist der Rhein?", language="de"))
    flagged = make_judgment(queue=queue, preference=0, flags=["personal_data"])
    spoken = make_judgment(task=german, preference=-3)
    assert found(project, flag="any") == found(project, flag="personal_data") == {flagged.pk}
    assert found(project, strength="0") == {flagged.pk}
    assert found(project, strength="3") == found(project, language="de") == found(project, q="rhein") == {spoken.pk}
    assert found(project, arm="repeat") == set()
    today = timezone.localdate().isoformat()
    assert found(project, since=today) == found(project, until=today) == {flagged.pk, spoken.pk}
    assert found(project, until="2020-01-01") == found(project, since="2999-01-01") == set()


def test_filters_that_cannot_be_understood_say_which(project):
    form = JudgmentFilter({"gap": "-1", "strength": "9", "since": "soon"}, project=project)
    assert set(form.errors) == {"strength", "since"}  # the gap means nothing while nobody has scored


def test_a_form_made_of_what_a_form_says_is_the_same(project, queue):
    asked = {"queue": str(queue.pk), "strength": "2", "drawn": "on", "since": "2026-01-31", "q": "river & sea"}
    form = JudgmentFilter(asked, project=project)
    assert form.as_told() == asked
    assert JudgmentFilter(form.as_told(), project=project).query == form.query
