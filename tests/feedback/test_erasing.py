"""Erase what one person said and wrote: told before, done in pieces, with a receipt; what is others' stays."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import transaction
from django.utils import timezone
from rest_framework.authtoken.models import Token

from feedback.clerk import Clerk
from feedback.consenting import is_missing
from feedback.erasing import ErasureRefused, dry_run, holdings, refuse_request, request_erasure, start_erasure
from feedback.jobs import carry_out, claim_job
from feedback.judging import NotCurrent, revise_judgment, save_draft
from feedback.models import (
    AuditEvent,
    Comment,
    Draft,
    Erasure,
    ErasureRequest,
    Finding,
    Job,
    Judgment,
    Prompt,
    Response,
    Review,
    Score,
    Skip,
    Task,
    Turn,
    User,
)
from feedback.models.people import new_id
from feedback.people import save_profile
from feedback.reviewing import review_judgment
from feedback.scores import Scored, Scorer, store_scores
from feedback.selection import Selection
from tests.factories import (
    make_judgment,
    make_member,
    make_project,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
)
from tests.feedback.talks import hold, make_talk_queue, talk

pytestmark = pytest.mark.django_db

SECRET = "Rosalind lives at Elm Row"


@pytest.fixture
def queue(project):
    return make_queue(project)


def erase(project, person, admin, *, account: bool = False) -> Erasure:
    erasure = start_erasure(
        project=project, person=person, reason="She asked.", account=account, requested_by=admin, now=timezone.now()
    )
    carry_out(erasure.job)
    erasure.refresh_from_db()
    erasure.job.refresh_from_db()
    assert erasure.job.state == "succeeded", erasure.job.error
    return erasure


def say_everything(queue, person, curator) -> Judgment:
    """Let the person leave words in every place that keeps them."""
    project = queue.project
    judgment = make_judgment(queue=queue, annotator=person, rationale=SECRET)
    review_judgment(judgment=judgment, reviewer=curator, accepted=True, reason=f"They say {SECRET}")
    Comment.objects.create(task=judgment.task, judgment=judgment, author=person, text=SECRET, for_annotator=True)
    draft_of = make_task(queue)
    save_draft(
        task=draft_of, annotator=person, answer={"preference": 1}, rationale=SECRET, flags=(), active_seconds=1.0
    )
    Skip.objects.create(task=draft_of, annotator=person, kind="others", reason="other", note=SECRET)
    make_judgment(queue=make_queue(project, kind="demonstration"), annotator=person, answer={"text": SECRET})
    written = make_response(make_task(queue).prompt, SECRET, person=person)
    Finding.objects.create(project=project, kind="personal_data", response=written, detail={"text": SECRET})
    store_scores(project=project, scorer=Scorer(new_id(), "reward-1"), scored=[Scored(written.pk, 0.5)])
    return judgment


def everything(project) -> str:
    """Return all that the project's rows say."""
    rows: list[object] = []
    for model in (Judgment, Review, Comment, Draft, Skip, Turn, Finding):
        rows += list(model.objects.values())
    rows += list(Prompt.objects.filter(project=project).values())
    rows += list(Response.objects.filter(prompt__project=project).values())
    rows += list(AuditEvent.objects.filter(project=project).values())
    return str(rows)


def test_nothing_that_the_person_said_is_left_and_what_others_said_is(
    queue, project, annotator, curator, project_admin
):
    judgment = say_everything(queue, annotator, curator)
    others = make_judgment(queue=queue, annotator=make_member(project), rationale="Another's words")
    assert everything(project).count(SECRET) >= 7
    erasure = erase(project, annotator, project_admin)
    assert SECRET not in everything(project)
    assert "Another's words" in everything(project)
    stored = Judgment.objects.get(pk=judgment.pk)
    assert (stored.preference, stored.content, stored.rationale, stored.flags) == (None, {}, "", [])
    assert stored.erased_by == erasure
    assert (stored.annotator, stored.created_at, stored.active_seconds, stored.display_order) == (
        (annotator, judgment.created_at, judgment.active_seconds, judgment.display_order)
    )
    assert Judgment.objects.get(pk=others.pk).preference == others.preference
    assert judgment.reviews.get().accepted is True


def test_the_dry_run_says_what_the_receipt_will_say_and_changes_nothing(
    queue, project, annotator, curator, project_admin
):
    say_everything(queue, annotator, curator)
    before = everything(project)
    told = dry_run(project=project, person=annotator)
    assert everything(project) == before
    counts = {row["what"]: row["count"] for row in told["erased"]}
    assert counts == {
        "judgments": 2,
        "reviews": 1,
        "comments": 1,
        "drafts": 1,
        "skips": 1,
        "responses": counts["responses"],
        "events": 1,
    }
    receipt = erase(project, annotator, project_admin).receipt
    done = {row["what"]: row["count"] for row in receipt["erased"]}
    assert {name: done[name] for name in counts} == counts
    assert done.keys() - counts.keys() <= {"tasks", "findings", "scores"}, "found once the texts are gone"
    assert receipt["pseudonym"] == project.pseudonym(annotator)
    assert dry_run(project=project, person=annotator)["erased"] == []


def test_the_receipt_lists_every_snapshot_that_holds_the_person(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    theirs = make_snapshot(project, labels=2)
    without = make_snapshot(make_project(), labels=2)
    receipt = erase(project, annotator, project_admin).receipt
    assert [(row["id"], row["sha256"], row["judgments"]) for row in receipt["snapshots"]] == [
        (str(theirs.pk), theirs.sha256, 1)
    ]
    assert [held.snapshot for held in holdings(project=project, person=annotator)] == [theirs], "also afterwards"
    assert without.pk not in {held.snapshot.pk for held in holdings(project=project, person=annotator)}


def test_a_snapshot_of_judgments_on_texts_that_the_person_wrote_is_listed(queue, project, annotator, project_admin):
    task = make_task(queue)
    Response.objects.filter(pk=task.texts[0].pk).update(person=annotator)
    make_judgment(task=task, annotator=make_member(project))
    snapshot = make_snapshot(project, labels=0)
    (held,) = holdings(project=project, person=annotator)
    assert (held.snapshot, held.judgments, held.others) == (snapshot, 0, 1)


def test_later_snapshots_leave_the_person_and_their_texts_out(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    task = make_task(queue)
    Response.objects.filter(pk=task.texts[0].pk).update(person=annotator)
    on_their_text = make_judgment(task=task, annotator=make_member(project))
    stays = make_judgment(queue=queue, annotator=make_member(project))
    erase(project, annotator, project_admin)
    considered = dict(Selection().considered(project).values_list("pk", "left_out"))
    assert {pk for pk, reason in considered.items() if reason == ""} == {stays.pk}
    assert considered[on_their_text.pk] == "erased"


def test_tasks_that_would_show_an_erased_text_are_taken_out(queue, project, annotator, project_admin):
    task = make_task(queue)
    Response.objects.filter(pk=task.texts[0].pk).update(person=annotator)
    erase(project, annotator, project_admin)
    task = Task.objects.get(pk=task.pk)
    assert task.withdrawn_at is not None
    assert task.texts[0].text == ""
    assert task.texts[1].text


def test_talks_go_with_their_prompts_and_what_models_answered(project, project_admin):
    slot = hold(make_talk_queue(project))
    talk(slot, turns=2)
    opening = slot.task.prompt
    erase(project, slot.annotator, project_admin)
    assert not Turn.objects.exists()
    assert "Words of turn" not in str(list(Prompt.objects.values_list("messages", flat=True)))
    assert set(Response.objects.filter(prompt__of_talk=True).values_list("text", flat=True)) <= {""}
    assert Prompt.objects.get(pk=opening.pk).erased_by is None, "the opening was not theirs"


def test_the_person_labels_nothing_more_without_a_new_consent(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    erase(project, annotator, project_admin)
    assert is_missing(project, annotator)


def test_an_erasure_that_was_cut_off_goes_on_and_counts_everything_once(
    queue, project, annotator, project_admin, monkeypatch, settings
):
    for _ in range(7):
        make_judgment(queue=queue, annotator=annotator)
    monkeypatch.setattr("feedback.erasing.BATCH", 2)
    erasure = start_erasure(
        project=project, person=annotator, reason="x", account=False, requested_by=project_admin, now=timezone.now()
    )
    carry_out(erasure.job, seconds=0)
    erasure.job.refresh_from_db()
    assert erasure.job.state == "queued"
    claim_job(worker="one that dies")
    Job.objects.update(lease_expires_at=timezone.now() - timedelta(seconds=1))
    Clerk(poll=0.01).work(once=True)
    erasure.refresh_from_db()
    assert erasure.job.state == "succeeded"
    assert {row["what"]: row["count"] for row in erasure.receipt["erased"]}["judgments"] == 7
    assert carry_out(erasure.job).state == "succeeded"


def test_erasing_again_finds_nothing_and_says_so(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    erase(project, annotator, project_admin)
    assert erase(project, annotator, project_admin).receipt["erased"] == []
    assert Judgment.objects.filter(erased_by__isnull=False).count() == 1


def test_what_was_erased_is_not_revised(queue, project, annotator, project_admin):
    judgment = make_judgment(queue=queue, annotator=annotator)
    erase(project, annotator, project_admin)
    with pytest.raises(NotCurrent, match="erased"):
        revise_judgment(
            judgment=judgment, annotator=annotator, submission_id=new_id(), answer={"preference": 1},
            active_seconds=1.0, interface="page", now=timezone.now(),
        )  # fmt: skip
    assert Judgment.objects.count() == 1


# The account ------------------------------------------------------------------------------------------------


def test_a_closed_account_is_nobodys_and_lets_nobody_in(queue, project, annotator, project_admin, client):
    make_judgment(queue=queue, annotator=annotator)
    save_profile(person=annotator, languages=["de"], hourly_rate=None, currency="")
    Token.objects.create(user=annotator)
    client.force_login(annotator)
    erasure = erase(project, annotator, project_admin, account=True)
    person = User.objects.get(pk=annotator.pk)
    assert person.username == f"erased-{erasure.pseudonym}"
    assert (person.email, person.first_name, person.is_active) == ("", "", False)
    assert not person.has_usable_password()
    assert not person.memberships.exists()
    assert not Token.objects.filter(user=person).exists()
    assert client.get("/").status_code == 302
    assert "annotator" not in str(list(AuditEvent.objects.values_list("before", "after"))).replace(
        erasure.pseudonym, ""
    )
    assert project.pseudonym(person) == erasure.pseudonym


def test_an_account_that_is_used_elsewhere_or_runs_the_site_is_not_closed(project, annotator, project_admin):
    elsewhere = make_project(name="Elsewhere")
    make_member(elsewhere, user=annotator)
    with pytest.raises(ErasureRefused, match="also used in Elsewhere"):
        erase(project, annotator, project_admin, account=True)
    staff = make_member(project, is_staff=True)
    with pytest.raises(ErasureRefused, match="runs this site"):
        erase(project, staff, project_admin, account=True)
    assert not Erasure.objects.exists()


# Refusals and requests --------------------------------------------------------------------------------------


def test_one_erasure_of_a_person_at_a_time_nobody_of_themselves_and_none_without_a_reason(
    project, annotator, project_admin
):
    now = timezone.now()
    start_erasure(project=project, person=annotator, reason="x", account=False, requested_by=project_admin, now=now)
    for person, reason, wanted in (
        (annotator, "x", "under way"),
        (project_admin, "x", "nobody erases themselves"),
        (make_member(project), " ", "say why"),
        (make_member(project), "a\x00", "say why"),
    ):
        with pytest.raises(ErasureRefused, match=wanted), transaction.atomic():
            start_erasure(
                project=project, person=person, reason=reason, account=False, requested_by=project_admin, now=now
            )
    assert Erasure.objects.count() == Job.objects.count() == 1


def test_a_request_is_settled_by_the_erasure(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    now = timezone.now()
    asked = request_erasure(project=project, person=annotator, note="Please.", now=now)
    assert request_erasure(project=project, person=annotator, note="Again.", now=now) == asked
    erase(project, annotator, project_admin)
    asked.refresh_from_db()
    assert (asked.settlement, asked.settled_by, asked.note) == ("erase", project_admin, "")


def test_a_request_is_refused_with_a_reason_once(project, annotator, project_admin):
    now = timezone.now()
    asked = request_erasure(project=project, person=annotator, note="", now=now)
    with pytest.raises(ErasureRefused, match="say why"):
        refuse_request(request=asked, by=project_admin, reason=" ", now=now)
    settled = refuse_request(request=asked, by=project_admin, reason="The contract says so.", now=now)
    assert (settled.settlement, settled.answer) == ("refuse", "The contract says so.")
    with pytest.raises(ErasureRefused, match="settled already"):
        refuse_request(request=asked, by=project_admin, reason="Twice.", now=now)
    assert request_erasure(project=project, person=annotator, note="", now=now) != asked
    assert ErasureRequest.objects.count() == 2


def test_every_act_is_in_the_audit_log(queue, project, annotator, project_admin):
    make_judgment(queue=queue, annotator=annotator)
    erase(project, annotator, project_admin)
    actions = AuditEvent.objects.filter(project=project, actor=project_admin).order_by("id")
    assert list(actions.values_list("action", flat=True)) == ["erasure.start", "consent.withdraw", "erasure.finish"]
    assert not Task.objects.filter(withdrawn_at__isnull=False).exists()
    assert not Score.objects.exists()
