"""Redact, leave, leave out: the plain success first, then each refusal."""

from __future__ import annotations

import json

import pytest
from django.utils import timezone

from feedback.adjudicating import adjudicate
from feedback.commenting import comment_on
from feedback.contract import digest
from feedback.filling import fill_from_responses, fillable_prompts
from feedback.hygiene.redacting import FindingRefused, settle_findings, snapshots_with, take_back
from feedback.hygiene.scanning import look_at, store_findings
from feedback.models import Adjudication, AuditEvent, Comment, Draft, Finding, Judgment, Project, Review
from tests.factories import (
    make_finding,
    make_judgment,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
)

pytestmark = pytest.mark.django_db

ADDRESS = "jane@example.com"


def settle(project: Project, curator, settlement: str, *findings: Finding) -> list[Finding]:
    return settle_findings(
        project=project, findings=findings, settlement=settlement, settled_by=curator, now=timezone.now()
    )


def found_in(project: Project, **what) -> Finding:
    """Look at one prompt, response or judgment; return the one finding."""
    store_findings(look_at(project=project, **what), **what)
    return Finding.objects.get()


def test_redacting_puts_a_word_in_place_of_what_was_found(project, curator):
    prompt = make_prompt(project, f"Write to {ADDRESS}, or call +49 30 1234567.")
    redacted = settle(project, curator, "redact", found_in(project, prompts=[prompt]))
    prompt.refresh_from_db()
    assert prompt.last_turn == "Write to [e-mail], or call [phone]."
    assert [(one.settlement, one.settled_by, one.detail) for one in redacted] == [
        ("redact", curator, {"kinds": ["email", "phone"]})
    ]


def test_the_digest_stays_so_that_importing_it_again_adds_nothing(project, curator):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    before = (prompt.digest, prompt.cluster, prompt.split)
    settle(project, curator, "redact", found_in(project, prompts=[prompt]))
    prompt.refresh_from_db()
    assert (prompt.digest, prompt.cluster, prompt.split) == before
    assert prompt.digest == digest([{"role": "user", "content": f"Write to {ADDRESS}."}])


def test_a_response_and_what_an_annotator_wrote_are_redacted_too(project, curator):
    response = make_response(make_prompt(project), f"Ask {ADDRESS}.")
    judgment = make_judgment(queue=make_queue(project), rationale="Call me at +49 30 1234567.")
    for what in ({"responses": [response]}, {"judgments": [judgment]}):
        store_findings(look_at(project=project, **what), **what)
    settle(project, curator, "redact", *Finding.objects.all())
    response.refresh_from_db()
    assert response.text == "Ask [e-mail]."
    assert Judgment.objects.get(pk=judgment.pk).rationale == "Call me at [phone]."


def test_the_same_words_go_wherever_they_stand_around_the_prompt(project, curator, annotator):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    answers = [make_response(prompt, f"Dear {ADDRESS}, {number}") for number in range(2)]
    task = make_task(make_queue(project), prompt=prompt, responses=answers, slots=2)
    judgment = make_judgment(task=task, annotator=annotator, rationale=f"It greets {ADDRESS}.")
    Draft.objects.create(task=task, annotator=curator, rationale=f"{ADDRESS}?")
    fixed = {"preference": 1, "content": {"note": f"to {ADDRESS}"}, "flags": []}
    Review.objects.create(judgment=judgment, reviewer=curator, accepted=True, fixed=fixed)
    Adjudication.objects.create(task=task, adjudicator=curator, answer={"rationale": ADDRESS})
    settle(project, curator, "redact", make_finding(prompt))
    kept = [
        *(str(each.messages) for each in project.prompts.all()),
        *(answer.text for answer in prompt.responses.all()),
        *(f"{each.rationale}{each.content}" for each in Judgment.objects.all()),
        *(each.rationale for each in Draft.objects.all()),
        *(json.dumps(each.fixed) for each in Review.objects.all()),
        *(json.dumps(each.answer) for each in Adjudication.objects.all()),
    ]
    assert len(kept) == 7
    assert all("[e-mail]" in text and ADDRESS not in text for text in kept)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_text_that_was_redacted_from_around_is_redacted_right_itself(project, curator, at_once):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    first, second = (
        make_response(prompt, f"Dear {ADDRESS}, call +49 30 1234567."),
        make_response(prompt, f"Hi {ADDRESS}!"),
    )
    what = {"prompts": [prompt], "responses": [first, second]}
    store_findings(look_at(project=project, **what), **what)
    of_prompt, of_first, of_second = Finding.objects.order_by("pk")
    for findings in [[of_prompt, of_first, of_second]] if at_once else [[of_prompt], [of_first]]:
        settle(project, curator, "redact", *findings)
    first.refresh_from_db()
    second.refresh_from_db()
    assert (first.text, second.text) == ("Dear [e-mail], call [phone].", "Hi [e-mail]!")
    assert not Finding.objects.unsettled().exists()
    assert AuditEvent.objects.filter(action="finding.redact", subject_id=str(of_second.pk)).count() == 1


def test_the_same_words_go_from_comments_and_from_the_audit_logs_copies(project, curator, annotator):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    judgment = make_judgment(task=make_task(make_queue(project), prompt=prompt), annotator=annotator)
    comment_on(judgment=judgment, author=curator, text=f"Why {ADDRESS}?", now=timezone.now())
    adjudicate(
        task=judgment.task, adjudicator=curator, answer={"preference": 1}, rationale=f"As {ADDRESS} says.",
        now=timezone.now(),
    )  # fmt: skip
    settle(project, curator, "redact", make_finding(prompt))
    assert Comment.objects.get().text == "Why [e-mail]?"
    assert ADDRESS not in str(list(AuditEvent.objects.values()))
    assert AuditEvent.objects.get(action="task.adjudicate").after["rationale"] == "As [e-mail] says."


def test_nothing_keeps_the_original(project, curator):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    settle(project, curator, "redact", found_in(project, prompts=[prompt]))
    assert ADDRESS not in str(list(Finding.objects.values())) + str(list(AuditEvent.objects.values()))


def test_frozen_snapshots_that_hold_it_are_listed(project, curator):
    snapshot = make_snapshot(project, labels=2)
    held = Judgment.objects.in_project(project).first()
    assert snapshots_with(project, [make_finding(held.task.prompt)]) == [(snapshot, 1)]
    assert snapshots_with(project, [make_finding(make_prompt(project))]) == []


def test_what_is_left_is_found_by_nobody_again(project, curator):
    prompt = make_prompt(project, f"Write to {ADDRESS}.")
    finding = found_in(project, prompts=[prompt])
    settle(project, curator, "leave", finding)
    store_findings(look_at(project=project, prompts=[prompt]), prompts=[prompt], again=True)
    assert Finding.objects.get().settlement == "leave"
    prompt.refresh_from_db()
    assert ADDRESS in prompt.last_turn


def test_what_was_redacted_waits_again_when_something_is_left(project, curator):
    prompt = make_prompt(project, f"Write to {ADDRESS}, or to bob@example.org.")
    settle(project, curator, "redact", make_finding(prompt))
    prompt.refresh_from_db()
    store_findings(look_at(project=project, prompts=[prompt]), prompts=[prompt], again=True)
    assert Finding.objects.get().settlement == ""


def test_what_is_left_out_for_good_gets_into_no_queue(project, curator):
    queue = make_queue(project)
    prompts = [make_prompt(project) for _ in range(2)]
    for prompt in prompts:
        make_response(prompt), make_response(prompt)
    settle(project, curator, "leave_out", make_finding(prompts[0]))
    assert list(fillable_prompts(queue)) == [prompts[1]]


def test_undecided_findings_are_kept_out_of_a_queue_on_request(project):
    queue = make_queue(project)
    private, repeated, plain = (make_prompt(project) for _ in range(3))
    for prompt in (private, repeated, plain):
        make_response(prompt), make_response(prompt)
    make_finding(private.responses.first())
    make_finding(repeated, kind="near_duplicate", detail={"of": str(plain.pk), "similarity": 0.9})
    assert set(fillable_prompts(queue)) == {private, repeated, plain}
    assert set(fillable_prompts(queue, without_personal_data=True)) == {repeated, plain}
    assert fill_from_responses(queue=queue, without_personal_data=True, without_near_duplicates=True).prompts == 1


def test_every_decision_is_in_the_audit_log(project, curator):
    first, other = make_finding(make_prompt(project)), make_finding(make_prompt(project))
    settle(project, curator, "leave", first, other)
    events = AuditEvent.objects.filter(action="finding.leave")
    assert {event.subject_id for event in events} == {str(first.pk), str(other.pk)}
    assert {event.actor for event in events} == {curator}


def test_a_decision_can_be_taken_back_but_not_a_redaction(project, curator):
    left, redacted = make_finding(make_prompt(project)), make_finding()
    settle(project, curator, "leave", left)
    assert take_back(finding=left, by=curator, now=timezone.now()).settlement == ""
    settle(redacted.project, curator, "redact", redacted)
    with pytest.raises(FindingRefused, match="left or left out"):
        take_back(finding=redacted, by=curator, now=timezone.now())


# Refusals -----------------------------------------------------------------------------------------------


def test_a_settlement_that_does_not_fit_settles_nothing(project, curator):
    private = make_finding(make_prompt(project))
    language = make_finding(make_prompt(project), kind="language", detail={"said": "en", "found": "de"})
    with pytest.raises(FindingRefused, match="leave, leave_out"):
        settle(project, curator, "redact", private, language)
    assert Finding.objects.unsettled().count() == 2


def test_what_is_settled_stays_as_it_is(project, curator):
    finding = make_finding(make_prompt(project))
    settle(project, curator, "leave", finding)
    assert settle(project, curator, "leave_out", finding) == []
    assert Finding.objects.get().settlement == "leave"


def test_another_projects_findings_are_not_touched(project, curator):
    elsewhere = make_finding()
    assert settle(project, curator, "leave", elsewhere) == []
    assert Finding.objects.get().settlement == ""


def test_too_many_at_once_are_refused(project, curator):
    with pytest.raises(FindingRefused, match="at once"):
        settle(project, curator, "leave", *(Finding(pk=number) for number in range(201)))


def test_spans_that_fit_the_text_no_more_do_no_harm(project, curator):
    prompt = make_prompt(make_project(), "short")
    finding = make_finding(prompt)
    settle(prompt.project, curator, "redact", finding)
    assert Finding.objects.get().settlement == "redact"
