"""The pages on which a curator decides: what they do, and what they say when they cannot."""

from __future__ import annotations

import csv
import io

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.adjudicating import adjudication_of, answer_of
from feedback.commenting import comment_on
from feedback.models import Assignment, AuditEvent, BulkAction, Comment, Report, ReviewRate, Score
from feedback.models.people import new_id
from feedback.quality.reports import measure
from feedback.reviewing import review_judgment
from tests.factories import make_judgment, make_member, make_queue, make_task


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


@pytest.fixture
def queue(project):
    return make_queue(project)


def at(name, project, *args, **query):
    text = "&".join(f"{key}={value}" for key, value in query.items())
    return f"{reverse(name, args=[project.slug, *args])}{'?' if text else ''}{text}"


def test_one_goes_through_what_the_filters_choose_forwards_and_back(project, queue, client):
    first, _, third = (make_judgment(queue=queue, preference=one) for one in (3, 1, -3))
    answer = client.get(at("judgment-next", project, strength=3))
    assert answer["Location"] == at("judgment", project, third.pk, strength=3)
    answer = client.get(at("judgment-next", project, strength=3, beyond=third.pk))
    assert answer["Location"] == at("judgment", project, first.pk, strength=3)
    answer = client.get(at("judgment-next", project, strength=3, beyond=first.pk, back=1))
    assert answer["Location"] == at("judgment", project, third.pk, strength=3)
    answer = client.get(at("judgment-next", project, strength=3, beyond=first.pk), follow=True)
    assert "That was the last one" in answer.content.decode()


def test_a_decision_goes_on_within_the_filters(project, queue, client):
    first, _, third = (make_judgment(queue=queue, preference=one) for one in (3, 1, -3))
    answer = client.post(at("judgment-review", project, third.pk, strength=3), {"verdict": "accept", "next": "1"})
    assert answer["Location"] == at("judgment", project, first.pk, strength=3)


def test_a_rejection_can_ask_somebody_else(project, queue, client):
    judgment = make_judgment(queue=queue)
    client.post(at("judgment-review", project, judgment.pk), {"verdict": "requeue", "reason": "Look again."})
    assert Assignment.objects.filter(task=judgment.task, state="open").count() == 1
    assert "Somebody else is asked." in client.get(at("judgment", project, judgment.pk)).content.decode()


def test_undo_takes_back_the_last_decision_and_shows_it(project, queue, client):
    judgment = make_judgment(queue=queue)
    client.post(at("judgment-review", project, judgment.pk), {"verdict": "requeue", "reason": "Look again."})
    answer = client.post(at("judgment-undo", project), follow=True)
    page = answer.content.decode()
    assert answer.redirect_chain[0][0] == at("judgment", project, judgment.pk)
    assert "Taken back: it is not reviewed again. Nobody else is asked any more." in page
    assert "decided nothing here" in client.post(at("judgment-undo", project), follow=True).content.decode()


def test_who_looked_before_a_colleague_decided_is_told(project, queue, client):
    judgment = make_judgment(queue=queue)
    colleague = make_member(project, "curator")
    review_judgment(judgment=judgment, reviewer=colleague, accepted=True)
    answer = client.post(at("judgment-review", project, judgment.pk), {"verdict": "accept", "seen": "none"})
    assert answer.status_code == 409
    words = f"{colleague.username} has reviewed this judgment since you looked"
    assert words in answer.content.decode().replace(colleague.username.capitalize(), colleague.username)


def test_ones_own_judgment_is_not_reviewed(project, queue, client, curator):
    make_member(project, "annotator", user=curator)
    judgment = make_judgment(queue=queue, annotator=curator)
    assert "This judgment is your own" in client.get(at("judgment", project, judgment.pk)).content.decode()
    assert client.post(at("judgment-review", project, judgment.pk), {"verdict": "accept"}).status_code == 422
    assert not judgment.reviews.exists()


@pytest.mark.parametrize(
    ("kind", "said", "sent", "fixed"),
    [
        ("comparison", {"preference": 2}, {"preference": "-3"}, {"preference": -3, "content": {}}),
        (
            "ranking",
            {"answer": {"ranks": [1, 2, 3]}},
            {"rank-0": "2", "rank-1": "2", "rank-2": "1"},
            {"preference": None, "content": {"ranks": [2, 2, 1], "not_rankable": [False] * 3}},
        ),
        ("demonstration", {"answer": {"text": "A rivr."}}, {"text": "A river."}, {"content": {"text": "A river."}}),
    ],
)
def test_a_judgment_is_fixed_in_response_order(project, client, kind, said, sent, fixed):
    judgment = make_judgment(queue=make_queue(project, kind=kind), **said)
    assert client.get(at("judgment-fix", project, judgment.pk)).status_code == 200
    answer = client.post(at("judgment-fix", project, judgment.pk), {**sent, "reason": "Put right.", "seen": "none"})
    assert answer.status_code == 302
    review = judgment.reviews.get()
    assert review.accepted is True
    assert {name: review.fixed[name] for name in fixed} == fixed
    assert "In its place" in client.get(at("judgment", project, judgment.pk)).content.decode()


def test_a_fix_that_says_the_same_is_refused_and_keeps_what_was_typed(project, queue, client):
    judgment = make_judgment(queue=queue, preference=2)
    answer = client.post(at("judgment-fix", project, judgment.pk), {"preference": "2", "reason": "Typed."})
    assert answer.status_code == 422
    assert "accept it instead" in answer.content.decode()
    assert "Typed." in answer.content.decode()


def test_a_comment_reaches_the_annotator_who_answers_in_german(project, queue, client, curator):
    judgment = make_judgment(queue=queue)
    sent = {"text": "Why so?", "for_annotator": "on"}
    assert client.post(at("judgment-comment", project, judgment.pk), sent).status_code == 302
    comment_on(judgment=judgment, author=curator, text="Only among us.", now=timezone.now())
    client.force_login(judgment.annotator)
    page = client.get(reverse("label-history", args=[queue.pk]), headers={"accept-language": "de"}).content.decode()
    assert "Ein Kurator:" in page
    assert "Why so?" in page
    assert "Only among us." not in page
    client.post(reverse("label-answer", args=[queue.pk, judgment.pk]), {"text": "It names the river."})
    assert Comment.objects.latest("pk").author == judgment.annotator
    client.force_login(curator)
    assert "It names the river." in client.get(at("judgment", project, judgment.pk)).content.decode()


def test_all_that_the_filters_choose_is_decided_at_once_and_taken_back(project, queue, client):
    for preference in (3, -3, 1):
        make_judgment(queue=queue, preference=preference)
    page = client.get(at("bulk-start", project, strength=3)).content.decode()
    assert "2 judgments" in page
    answer = client.post(at("bulk-start", project, strength=3), {"do": "reject", "reason": "Too fast."}, follow=True)
    bulk = BulkAction.objects.get()
    assert answer.redirect_chain[-1][0] == at("bulk", project, bulk.pk)
    assert "Rejected: 2 judgments" in answer.content.decode()
    page = client.post(at("bulk-undo", project, bulk.pk), follow=True).content.decode()
    assert "taken back" in page
    assert "Took back 2." in page
    assert "taken back" in client.get(at("bulks", project)).content.decode()


@pytest.mark.parametrize(
    ("query", "sent", "words"),
    [
        ({}, {"do": "accept"}, "Choose some judgments first"),
        ({"strength": 3}, {"do": "reject"}, "say why"),
        ({"strength": 8}, {"do": "accept"}, "8 is not one of the available choices"),
        ({"strength": 3}, {"do": "delete"}, "delete is not one of the available choices"),
    ],
)
def test_what_cannot_be_decided_at_once_is_refused(project, queue, client, query, sent, words):
    make_judgment(queue=queue, preference=3)
    answer = client.post(at("bulk-start", project, **query), sent)
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not BulkAction.objects.exists()


def test_a_dispute_has_everything_side_by_side_and_is_settled(project, client, curator):
    task = make_task(make_queue(project, overlap=2))
    one, two = (
        make_judgment(task=task, preference=3, rationale="It is kinder."),
        make_judgment(task=task, preference=-1),
    )
    for response, value in zip(task.texts, (0.25, -1.5), strict=True):
        Score.objects.create(project=project, response=response, scorer_id=new_id(), scorer_name="rm", value=value)
    measure(project=project, kind=Report.Kind.DISPUTES, created_by=curator)
    assert at("dispute", project, task.pk) in client.get(at("disputes", project)).content.decode()
    page = client.get(at("dispute", project, task.pk)).content.decode()
    for shown in (one.annotator.username, two.annotator.username, "It is kinder.", "13 s", "B much better", "-1.50"):
        assert shown in page
    answer = client.post(at("dispute", project, task.pk), {"preference": "-2", "seen": "none", "reason": "The year."})
    assert answer.status_code == 302
    assert answer_of(adjudication_of(task)).preference == -2
    assert at("dispute", project, task.pk) not in client.get(at("disputes", project)).content.decode()
    client.post(at("dispute-take-back", project, task.pk))
    assert adjudication_of(task) is None


def test_an_adjudication_is_refused_and_says_why(project, client, curator):
    task = make_task(make_queue(project, overlap=2))
    make_judgment(task=task)
    assert client.post(at("dispute", project, task.pk), {}).status_code == 422
    make_member(project, "annotator", user=curator)
    make_judgment(task=task, annotator=curator)
    answer = client.post(at("dispute", project, task.pk), {"preference": "1"})
    assert answer.status_code == 422
    assert "somebody else settles it" in client.get(at("dispute", project, task.pk)).content.decode()


def test_a_difference_may_stand(project, client):
    task = make_task(make_queue(project, overlap=2))
    make_judgment(task=task, preference=3)
    make_judgment(task=task, preference=-3)
    assert at("dispute", project, task.pk) in client.get(at("disputes", project)).content.decode()
    client.post(at("dispute-let-stand", project, task.pk))
    assert at("dispute", project, task.pk) not in client.get(at("disputes", project)).content.decode()


def test_a_persons_own_rate_is_set_and_taken_away(project, client):
    person = make_member(project)
    client.post(at("review-rate-set", project, person.pk), {"percent": "75"})
    assert ReviewRate.objects.get().percent == 75
    assert 'value="75"' in client.get(at("review-rates", project)).content.decode()
    assert (
        "percent"
        in client.post(at("review-rate-set", project, person.pk), {"percent": "101"}, follow=True).content.decode()
    )
    client.post(at("review-rate-set", project, person.pk), {"percent": ""})
    assert not ReviewRate.objects.exists()
    assert AuditEvent.objects.acting("person.set_review_rate").count() == 2


def test_the_audit_log_shows_before_and_after_and_is_filtered(project, queue, client, curator):
    judgment = make_judgment(queue=queue)
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="=cmd|' /C calc'!A0")
    review_judgment(judgment=judgment, reviewer=curator, accepted=True)
    page = client.get(at("audit", project, action="judgment")).content.decode()
    assert "<del>rejected</del> <ins>accepted</ins>" in page
    assert "queue.open" not in page
    assert "queue.open" in client.get(at("audit", project)).content.decode()
    answer = client.get(at("audit-csv", project, action="judgment.reject"))
    rows = list(csv.DictReader(io.StringIO(b"".join(answer.streaming_content).decode())))
    assert [(row["who"], row["action"], row["reason"][:2]) for row in rows] == [
        (curator.username, "judgment.reject", "'=")
    ]


@pytest.mark.parametrize(
    "query", ["since=x", "actor=999999", "beyond=%00", "beyond=99999999999999999999", "action=%00"]
)
def test_no_address_breaks_the_audit_log(project, client, query):
    assert client.get(f"{at('audit', project)}?{query}").status_code == 200


@pytest.mark.parametrize("name", ["judgments", "judgment-next", "bulk-start"])
@pytest.mark.parametrize(
    "query", ["queue=x", "gap=nan", "beyond=x", "q=%00", "since=0000-00-00", "flag=%22", "until=9999-12-31"]
)
def test_no_filter_breaks_a_page(project, queue, client, name, query):
    make_judgment(queue=queue)
    assert client.get(f"{at(name, project)}?{query}").status_code in (200, 302)
