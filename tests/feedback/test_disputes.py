import numpy as np
import pytest
from django.utils import timezone

from feedback.adjudicating import adjudicate
from feedback.disputes import AlreadyDismissed, let_stand, settled_among
from feedback.models import Dispute, Report, Role
from feedback.quality.disputes import weights
from feedback.quality.reports import measure, report_for
from tests.factories import make_gold, make_judgment, make_member, make_project, make_prompt, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def project(db):
    return make_project()


def judge(task, *preferences):
    return [make_judgment(task=task, preference=preference) for preference in preferences]


def test_a_task_is_proposed_when_all_who_were_asked_differ(project):
    task = make_task(make_queue(project, overlap=2))
    judge(task, 2)
    assert not Dispute.objects.exists()
    judge(task, -1)
    assert Dispute.objects.waiting().get().task == task


def test_a_task_is_proposed_once_the_extra_judgments_are_used_up(project):
    task = make_task(make_queue(project, overlap=2, overlap_cap=3))
    judge(task, 2, -1)
    assert not Dispute.objects.exists()
    judge(task, 0)
    assert Dispute.objects.get().task == task


@pytest.mark.parametrize(("rules", "said"), [({}, (2, 3)), ({"propose_disputes": False}, (2, -2))])
def test_who_agrees_or_whose_queue_does_not_want_it_proposes_nothing(project, rules, said):
    judge(make_task(make_queue(project, overlap=2, **rules)), *said)
    assert not Dispute.objects.exists()


def test_a_dispute_waits_until_it_is_adjudicated_or_may_stand(project):
    queue, curator = make_queue(project, overlap=2), make_member(project, Role.CURATOR)
    tasks = [make_task(queue) for _ in range(3)]
    for task in tasks:
        judge(task, 2, -2)
    adjudicate(task=tasks[0], adjudicator=curator, answer={"preference": 1}, now=timezone.now())
    let_stand(task=tasks[1], dismissed_by=curator, now=timezone.now())
    assert Dispute.objects.waiting().get().task == tasks[2]
    assert settled_among(task.pk for task in tasks) == {tasks[0].pk, tasks[1].pk}
    with pytest.raises(AlreadyDismissed):
        let_stand(task=tasks[1], dismissed_by=curator, now=timezone.now())


def test_weights_are_the_sum_over_pairs_that_contradict_each_other():
    votes = [[-3, -1, 2], [2, 3], [0, 2], [-3, -3, 3, 0]]
    columns = np.array(
        [
            [
                sum(vote < 0 for vote in one),
                sum(vote > 0 for vote in one),
                sum(vote == 0 for vote in one),
                sum(-vote for vote in one if vote < 0),
                sum(vote for vote in one if vote > 0),
            ]
            for one in votes
        ]
    ).T
    by_hand = [
        sum(
            (abs(a) + abs(b)) / 2
            for place, a in enumerate(one)
            for b in one[:place]
            if (a > 0) - (a < 0) != (b > 0) - (b < 0)
        )
        for one in votes
    ]
    assert weights(*columns).tolist() == by_hand


def test_the_report_puts_what_matters_first_and_leaves_out_gold(project):
    queue, curator = make_queue(project, overlap=3), make_member(project, Role.CURATOR)
    mild, strong = make_task(queue), make_task(queue)
    measured = make_task(queue, prompt=make_prompt(project, split="evaluation"))
    gold = make_task(queue)
    judge(mild, 1, -1)
    judge(strong, 3, -3)
    judge(measured, 2, -2)
    judge(gold, 3, -3)
    make_gold(gold)
    judge(make_task(queue), 1, 2)
    measure(project=project, kind=Report.Kind.DISPUTES, created_by=curator)
    content = report_for(project=project, kind=Report.Kind.DISPUTES).content
    assert (content["disputed"], content["judged_by_several"]) == (3, 4)
    assert [(row["task"], row["weight"]) for row in content["tasks"]] == [
        (str(measured.pk), 4.0),
        (str(strong.pk), 3.0),
        (str(mild.pk), 1.0),
    ]
