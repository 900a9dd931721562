"""Claim, submit, skip, renew, draft and reclaim over HTTP, and what a task may say."""

from __future__ import annotations

import uuid
from datetime import timedelta

import pytest
from django.utils import timezone

from feedback.models import Assignment, Draft, Judgment, Skip
from feedback.queues import set_queue_state
from feedback.schemas import default_schema
from tests.api.people import ApiClient, error_of, said
from tests.factories import make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, guideline="Prefer the **kinder** one.")


@pytest.fixture
def api(annotator):
    return ApiClient(annotator)


def claim(api, queue):
    answer = api.post(f"queues/{queue.pk}/claim/")
    assert answer.status_code == 200, answer.content
    return answer.json()


def submit(api, task, **overrides):
    return api.post(f"assignments/{task['assignment']}/submit/", said(task, **overrides))


def let_lease_run_out(task):
    past = timezone.now() - timedelta(minutes=1)
    Assignment.objects.filter(pk=task["assignment"]).update(lease_expires_at=past)


def test_a_claim_answers_with_a_task_and_again_with_the_same(api, queue):
    make_task(queue)
    make_task(queue)
    task = claim(api, queue)
    assert claim(api, queue) == task
    assert set(task) == {
        "assignment", "lease_token", "lease_expires_at", "task", "queue", "kind", "prompt", "responses", "guideline",
        "schema", "draft",
    }  # fmt: skip
    assert task["guideline"] == {"number": 1, "text": "Prefer the **kinder** one."}
    slot = Assignment.objects.get(pk=task["assignment"])
    assert task["prompt"] == {"messages": slot.task.prompt.messages}
    first, second = slot.shown_responses
    assert task["responses"] == [{"text": first.text}, {"text": second.text}]


def test_nothing_an_annotator_gets_says_who_wrote_what(api, queue, project):
    prompt = make_prompt(project)
    pair = [
        make_response(
            prompt, f"Text {letter}.", origin=f"origin-{letter}", model_name=f"model-{letter}", run_id=uuid.uuid4(),
            checkpoint_id=uuid.uuid4(), sampling={"temperature": 0.7321, "seed": 90210902},
        )
        for letter in "xy"
    ]  # fmt: skip
    made = make_task(queue, prompt=prompt, responses=pair, propensity=0.3125)
    secrets = [
        "origin-",
        "model",
        "0.7321",
        "90210902",
        "0.3125",
        "propensity",
        "response_a",
        "shown_first",
        "sampling",
    ]
    for response in pair:
        secrets += [str(response.pk), response.pk.hex, str(response.run_id), str(response.checkpoint_id)]
    answers = [api.post(f"queues/{queue.pk}/claim/")]
    task = answers[0].json()
    draft = {"answer": {"preference": 1}, "active_seconds": 1}
    answers.append(api.put(f"tasks/{made.pk}/draft/", draft))
    answers.append(api.post(f"assignments/{task['assignment']}/renew/", {"lease_token": task["lease_token"]}))
    answers.append(submit(api, task, lease_token=uuid.uuid4()))
    answers.append(submit(api, task))
    judgment = answers[-1].json()["id"]
    answers.append(api.post(f"judgments/{judgment}/revise/", said(task, answer={"preference": -1})))
    answers += [api.get(f"queues/{queue.pk}/own-judgments/"), api.get(f"queues/{queue.pk}/")]
    answers += [api.get(f"projects/{project.slug}/queues/"), api.get(f"projects/{project.slug}/")]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 409, 201, 201, 200, 200, 200, 200]
    for answer in answers:
        text = answer.content.decode()
        assert [secret for secret in secrets if secret in text] == []


@pytest.mark.parametrize("preference", range(-3, 4))
def test_a_preference_counts_in_the_order_of_the_task(api, queue, preference):
    for _ in range(3):
        make_task(queue)
        task = claim(api, queue)
        answer = submit(api, task, answer={"preference": preference})
        assert (answer.status_code, answer.json()["answer"]["preference"]) == (201, preference)
        judgment = Judgment.objects.get(pk=answer.json()["id"])
        assert judgment.interface == "api"
        if preference:
            first, second = (judgment.task.texts[place].pk for place in judgment.display_order)
            assert judgment.chosen_id == (first if preference < 0 else second)
        else:
            assert judgment.chosen_id is None


def test_the_same_submission_stores_one_row(api, queue):
    make_task(queue)
    task = claim(api, queue)
    values = said(task)
    path = f"assignments/{task['assignment']}/submit/"
    first, second = api.post(path, values), api.post(path, values)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert Judgment.objects.count() == 1


def test_a_submission_id_of_another_judgment_is_refused(api, queue):
    make_task(queue)
    make_task(queue)
    taken = uuid.uuid4()
    assert submit(api, claim(api, queue), submission_id=taken).status_code == 201
    answer = submit(api, claim(api, queue), submission_id=taken)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "submission_id_taken")


def test_nothing_to_claim_is_no_content(api, queue):
    assert api.post(f"queues/{queue.pk}/claim/").status_code == 204


def test_a_paused_queue_hands_nothing_out(api, queue):
    make_task(queue)
    set_queue_state(queue=queue, state="paused")
    answer = api.post(f"queues/{queue.pk}/claim/")
    assert (answer.status_code, error_of(answer)["code"]) == (409, "queue_not_open")


def test_a_lost_lease_says_whether_the_slot_is_free_and_keeps_the_text(api, queue, project, annotator):
    made = make_task(queue)
    task = claim(api, queue)
    let_lease_run_out(task)
    answer = submit(api, task, answer={"preference": -3}, rationale="Kept")
    assert (answer.status_code, error_of(answer)["code"], answer.json()["slot_free"]) == (409, "lease_lost", True)
    back = api.post(f"tasks/{made.pk}/reclaim/").json()
    assert back["draft"]["rationale"] == "Kept"
    assert back["draft"]["answer"]["preference"] == -3
    assert back["lease_token"] != task["lease_token"]
    let_lease_run_out(back)
    claim(ApiClient(make_member(project)), queue)
    answer = submit(api, back)
    assert (answer.status_code, answer.json()["slot_free"]) == (409, False)
    answer = api.post(f"tasks/{made.pk}/reclaim/")
    assert (answer.status_code, error_of(answer)["code"], answer.json()["slot_free"]) == (409, "slot_gone", False)
    assert not Judgment.objects.exists()


@pytest.mark.parametrize(
    ("change", "status", "attr"),
    [
        ({"answer": {"preference": 4}}, 422, "preference"),
        ({"answer": {"preference": None}}, 422, "preference"),
        ({"answer": 4}, 400, "answer"),
        ({"answer": {"preferred": 2}}, 422, "answer"),
        ({"flags": ["rude"]}, 422, "flags"),
        ({"active_seconds": -1}, 400, "active_seconds"),
        ({"submission_id": "x"}, 400, "submission_id"),
        ({"lease_token": "x"}, 400, "lease_token"),
        ({"rationale": "a" * 10_001}, 422, "rationale"),
        ({"answer": {"preference": 0}}, 422, "preference"),
        ({"rationale": ""}, 422, "rationale"),
    ],
)
def test_what_makes_no_sense_is_refused_by_field(api, project, change, status, attr):
    strict = make_queue(project, schema={"allow_tie": False, "rationale": "required"})
    make_task(strict)
    answer = submit(api, claim(api, strict), **change)
    assert (answer.status_code, error_of(answer)["attr"]) == (status, attr)
    assert not Judgment.objects.exists()


def test_active_seconds_are_cut_to_the_time_that_has_passed(api, queue):
    make_task(queue)
    submit(api, claim(api, queue), active_seconds=86_400)
    assert Judgment.objects.get().active_seconds < 60


def test_a_skip_frees_the_slot(api, queue, annotator):
    make_task(queue)
    task = claim(api, queue)
    path = f"assignments/{task['assignment']}/skip/"
    assert api.post(path, {"lease_token": task["lease_token"], "reason": "bored"}).status_code == 400
    answer = api.post(path, {"lease_token": task["lease_token"], "reason": "expertise", "note": "Chemistry"})
    assert answer.status_code == 204
    assert Skip.objects.get(annotator=annotator).note == "Chemistry"
    again = api.post(path, {"lease_token": task["lease_token"], "reason": "expertise"})
    assert (again.status_code, error_of(again)["code"]) == (409, "lease_lost")
    assert api.post(f"queues/{queue.pk}/claim/").status_code == 204


def test_a_lease_is_renewed_while_it_lasts(api, queue):
    make_task(queue)
    task = claim(api, queue)
    Assignment.objects.update(lease_expires_at=timezone.now() + timedelta(minutes=1))
    path = f"assignments/{task['assignment']}/renew/"
    answer = api.post(path, {"lease_token": task["lease_token"]})
    assert answer.status_code == 200
    assert Assignment.objects.get().lease_expires_at > timezone.now() + timedelta(minutes=29)
    let_lease_run_out(task)
    answer = api.post(path, {"lease_token": task["lease_token"]})
    assert (answer.status_code, answer.json()["slot_free"]) == (409, True)


def test_a_draft_is_kept_and_comes_with_the_task(api, queue):
    made = make_task(queue)
    task = claim(api, queue)
    values = {"answer": {"preference": -2}, "rationale": "so far", "flags": ["other"], "active_seconds": 0}
    answer = api.put(f"tasks/{made.pk}/draft/", values)
    assert answer.status_code == 200
    assert claim(api, queue)["draft"] == answer.json()
    assert (answer.json()["answer"]["preference"], answer.json()["rationale"]) == (-2, "so far")
    submit(api, task)
    answer = api.put(f"tasks/{made.pk}/draft/", values)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "already_judged")
    assert not Draft.objects.exists()


def test_somebody_elses_slot_cannot_be_submitted(api, queue, project):
    make_task(queue)
    task = claim(ApiClient(make_member(project)), queue)
    answer = submit(api, task)
    assert (answer.status_code, error_of(answer)["code"]) == (409, "lease_lost")
    assert not Judgment.objects.exists()
    assert not Draft.objects.exists()


def test_what_is_submitted_after_somebody_else_took_the_slot_is_kept_as_a_draft(api, queue, project):
    make_task(queue)
    task = claim(api, queue)
    let_lease_run_out(task)
    other = claim(ApiClient(make_member(project)), queue)
    assert other["assignment"] == task["assignment"]
    answer = submit(api, task, rationale="hard-won")
    assert (answer.status_code, answer.json()["slot_free"]) == (409, False)
    assert Draft.objects.get().rationale == "hard-won"
    assert not Judgment.objects.exists()


def test_ones_own_judgments_are_listed_and_revised(api, queue):
    make_task(queue)
    task = claim(api, queue)
    first = submit(api, task, answer={"preference": -3}).json()
    answer = api.post(
        f"judgments/{first['id']}/revise/", said(task, answer={"preference": 1}, rationale="Second thought")
    )
    assert (answer.status_code, answer.json()["revision"], answer.json()["answer"]["preference"]) == (201, 2, 1)
    page = api.get(f"queues/{queue.pk}/own-judgments/").json()
    assert (page["count"], page["results"]) == (1, [answer.json()])
    again = api.post(f"judgments/{first['id']}/revise/", said(task, answer={"preference": 2}))
    assert (again.status_code, error_of(again)["code"]) == (409, "not_current")


@pytest.mark.parametrize("kind", ["comparison", "ranking", "rating", "demonstration", "correction"])
def test_a_task_of_every_kind_is_claimed_judged_and_read_again(api, project, kind):
    queue = make_queue(project, kind=kind)
    make_task(queue)
    task = claim(api, queue)
    assert (task["kind"], task["schema"]["question"]) == (kind, default_schema(kind).question)
    answer = submit(api, task, flags=[{"flag": "unsafe", "kind": "Self-harm"}, "other"])
    assert answer.status_code == 201, answer.content
    assert answer.json()["answer"] == said(task)["answer"]
    assert answer.json()["flags"] == [
        {"flag": "unsafe", "kind": "Self-harm", "response": None}, {"flag": "other", "kind": "", "response": None},
    ]  # fmt: skip


def test_one_request_submits_and_gives_the_next_task(api, queue):
    make_task(queue)
    make_task(queue)
    task = claim(api, queue)
    first = submit(api, task, then_claim=True).json()
    assert first["next"] == claim(api, queue)
    assert first["next"]["task"] != task["task"]
    last = submit(api, first["next"], then_claim=True).json()
    assert (last["next"], last["next_refused"]) == (None, None)
    assert Judgment.objects.count() == 2


def test_what_is_submitted_stands_when_the_queue_gives_no_next_task(api, project):
    queue = make_queue(project, daily_quota=1)
    make_task(queue)
    make_task(queue)
    answer = submit(api, claim(api, queue), then_claim=True)
    assert (answer.status_code, answer.json()["next"]) == (201, None)
    assert answer.json()["next_refused"]["code"] == "daily_quota"
    assert "come back tomorrow" in answer.json()["next_refused"]["detail"]
    refused = api.post(f"queues/{queue.pk}/claim/")
    assert (refused.status_code, error_of(refused)["code"]) == (409, "daily_quota")
    assert Judgment.objects.count() == 1


def test_the_same_id_with_another_content_is_refused_as_differing(api, queue):
    make_task(queue)
    task = claim(api, queue)
    values = said(task)
    path = f"assignments/{task['assignment']}/submit/"
    assert api.post(path, values).status_code == 201
    answer = api.post(path, {**values, "answer": {"preference": -3}})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "submission_differs")
    assert Judgment.objects.get().shown_answer.preference == 2


def test_a_draft_is_read_from_another_device_after_the_lease_is_gone(api, queue, project):
    made = make_task(queue)
    task = claim(api, queue)
    path = f"tasks/{made.pk}/draft/"
    assert api.get(path).json() == {"answer": {}, "rationale": "", "flags": [], "active_seconds": 0.0}
    api.put(path, {"answer": {"preference": 3}, "rationale": "so far", "flags": ["other"]})
    let_lease_run_out(task)
    claim(ApiClient(make_member(project)), queue)
    kept = api.get(path).json()
    assert (kept["answer"], kept["rationale"], kept["flags"][0]["flag"]) == ({"preference": 3}, "so far", "other")


@pytest.mark.parametrize("kind", ["later", "others", "review"])
def test_a_skip_of_every_kind_is_undone_by_asking_for_the_task(api, queue, kind):
    made = make_task(queue)
    task = claim(api, queue)
    values = {"lease_token": task["lease_token"], "kind": kind, "reason": "break", "active_seconds": 86_400}
    assert api.post(f"assignments/{task['assignment']}/skip/", values).status_code == 204
    skipped = Skip.objects.get()
    assert (skipped.kind, skipped.active_seconds < 60) == (kind, True)
    back = api.post(f"tasks/{made.pk}/reclaim/")
    assert (back.status_code, back.json()["task"]) == (200, str(made.pk))
    assert Skip.objects.get().taken_back_at is not None


def test_a_judgment_is_not_revised_once_its_time_is_over(api, project):
    queue = make_queue(project, revise_hours=0)
    make_task(queue)
    task = claim(api, queue)
    judgment = submit(api, task).json()
    answer = api.post(f"judgments/{judgment['id']}/revise/", said(task, answer={"preference": 1}))
    assert (answer.status_code, error_of(answer)["code"]) == (409, "revision_closed")
