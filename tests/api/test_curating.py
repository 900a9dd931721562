"""Prompts, queues, judgments, snapshots and simulated annotators over HTTP."""

from __future__ import annotations

import io
import json
import zipfile

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from feedback.models import Judgment, Prompt, Queue, Snapshot
from feedback.simulation import RULES
from tests.api.people import ApiClient, error_of, said
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(curator):
    return ApiClient(curator)


def jsonl(*rows):
    return SimpleUploadedFile("prompts.jsonl", "\n".join(json.dumps(row) for row in rows).encode())


def test_an_import_says_what_it_did_and_again_adds_nothing(api, project):
    path = f"projects/{project.slug}/prompts/import/"
    rows = [{"prompt": "What is it?"}, {"messages": [{"role": "user", "content": "And why?"}], "tags": ["short"]}]
    answer = api.upload(path, jsonl(*rows), source="a book")
    assert (answer.status_code, answer.json()) == (200, {"read": 2, "added": 2, "already_there": 0})
    assert api.upload(path, jsonl(*rows)).json() == {"read": 2, "added": 0, "already_there": 2}
    listed = api.get(f"projects/{project.slug}/prompts/").json()
    assert listed["count"] == 2
    assert {prompt["source"] for prompt in listed["results"]} == {"a book"}


def test_a_bad_row_refuses_the_whole_import_and_says_where(api, project):
    answer = api.upload(f"projects/{project.slug}/prompts/import/", jsonl({"prompt": "Fine"}, {"prompt": ""}))
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert (error["row"], answer.json()["total"]) == (2, 1)
    assert error["message"]
    assert not Prompt.objects.exists()


def test_an_import_without_a_file_is_malformed(api, project):
    answer = api.client.post(f"/api/v1/projects/{project.slug}/prompts/import/", {}, headers=api.headers)
    assert (answer.status_code, error_of(answer)["attr"]) == (400, "file")


def test_a_file_past_the_limit_is_refused(api, project, settings):
    settings.IMPORT_MAX_BYTES = 10
    answer = api.upload(f"projects/{project.slug}/prompts/import/", jsonl({"prompt": "Longer than ten bytes"}))
    assert (answer.status_code, error_of(answer)["attr"]) == (400, "file")


def test_a_queue_is_opened_and_shown(api, project, curator):
    asked = {"name": "Round 1", "guideline": "Help.", "overlap": 2, "schema": {"allow_tie": False}}
    answer = api.post(f"projects/{project.slug}/queues/", asked)
    assert answer.status_code == 201
    queue = Queue.objects.get()
    assert queue.created_by == curator
    make_task(queue)
    shown = api.get(f"queues/{queue.pk}/").json()
    assert shown["policy"]["overlap"] == 2
    assert shown["schema"]["number"] == 1
    assert shown["schema"]["content"]["allow_tie"] is False
    assert shown["guideline"] == {"number": 1, "text": "Help."}
    assert (shown["progress"]["tasks"], shown["progress"]["slots"], shown["progress"]["percent"]) == (1, 2, 0)
    assert shown["own_progress"] is None


def test_an_annotator_sees_their_own_progress_only(project, annotator):
    queue = make_queue(project)
    make_judgment(queue=queue, annotator=annotator)
    make_task(queue)
    shown = ApiClient(annotator).get(f"queues/{queue.pk}/").json()
    assert shown["progress"] is None
    assert shown["own_progress"] == {"done_today": 1, "left": 1}


@pytest.mark.parametrize("change", [{"name": " "}, {"overlap": 0}, {"lease_minutes": 9_999}, {"guideline": ""}])
def test_a_queue_that_cannot_be_is_refused_by_field(api, project, change):
    answer = api.post(f"projects/{project.slug}/queues/", {"name": "Round 1", "guideline": "Help.", **change})
    assert answer.status_code in (400, 422)
    assert error_of(answer)["attr"] == next(iter(change))
    assert not Queue.objects.exists()


def test_a_taken_name_is_refused(api, project):
    make_queue(project, name="Round 1")
    answer = api.post(f"projects/{project.slug}/queues/", {"name": "Round 1", "guideline": "Help."})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "name")


def test_a_queue_is_changed_in_one_go_or_not_at_all(api, project):
    queue = make_queue(project)
    answer = api.patch(f"queues/{queue.pk}/", {"state": "paused", "guideline": "New.", "overlap": 3})
    assert answer.status_code == 200
    assert (answer.json()["state"], answer.json()["guideline"]["number"]) == ("paused", 2)
    assert (answer.json()["policy"]["number"], answer.json()["policy"]["overlap"]) == (2, 3)
    refused = api.patch(f"queues/{queue.pk}/", {"state": "open", "guideline": "Newer.", "overlap": 99})
    assert (refused.status_code, error_of(refused)["attr"]) == (422, "overlap")
    shown = api.get(f"queues/{queue.pk}/").json()
    assert (shown["state"], shown["guideline"]["text"]) == ("paused", "New.")


def test_a_queue_is_filled_from_the_responses_that_are_there(api, project):
    queue = make_queue(project)
    prompt = make_prompt(project)
    make_response(prompt)
    make_response(prompt)
    assert api.post(f"queues/{queue.pk}/fill/").json() == {"prompts": 1, "tasks": 1}
    assert api.post(f"queues/{queue.pk}/fill/").json()["tasks"] == 0


def test_judgments_are_listed_with_their_provenance(api, project, annotator, ml_staff):
    queue = make_queue(project)
    judgment = make_judgment(queue=queue, annotator=annotator, preference=-2, rationale="Clear.")
    make_judgment(queue=make_queue(project))
    page = api.get(f"projects/{project.slug}/judgments/", queue=queue.pk).json()
    (row,) = page["results"]
    assert (row["id"], row["answer"], row["chosen"]) == (str(judgment.pk), {"preference": -2}, row["responses"][0])
    assert (row["annotator"], row["simulated"], row["accepted"]) == ("annotator", False, None)
    assert (row["guideline"], row["policy"], row["propensity"]) == (1, 1, 1.0)
    assert api.get(f"projects/{project.slug}/judgments/").json()["count"] == 2
    (for_ml,) = ApiClient(ml_staff).get(f"projects/{project.slug}/judgments/", queue=queue.pk).json()["results"]
    assert for_ml["annotator"] == project.pseudonym(annotator)


def test_a_filter_that_is_no_id_is_refused(api, project):
    answer = api.get(f"projects/{project.slug}/judgments/", queue="round-1")
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "queue")


def test_the_judgments_of_a_snapshot_are_found(api, project):
    make_judgment(queue=make_queue(project))
    snapshot = api.post(f"projects/{project.slug}/snapshots/", {"name": "One"}).json()
    make_judgment(queue=make_queue(project))
    assert api.get(f"projects/{project.slug}/judgments/", snapshot=snapshot["id"]).json()["count"] == 1


def test_a_judgment_is_reviewed(api, project):
    judgment = make_judgment(queue=make_queue(project))
    refused = api.post(f"judgments/{judgment.pk}/review/", {"accepted": False})
    assert (refused.status_code, error_of(refused)["attr"]) == (422, "reason")
    answer = api.post(f"judgments/{judgment.pk}/review/", {"accepted": False, "reason": "Not about the answers."})
    assert (answer.status_code, answer.json()["reviewer"]) == (201, "curator")
    (row,) = api.get(f"projects/{project.slug}/judgments/").json()["results"]
    assert row["accepted"] is False


def test_an_old_revision_is_not_reviewed(api, project, annotator):
    queue = make_queue(project)
    make_task(queue)
    labels = ApiClient(annotator)
    task = labels.post(f"queues/{queue.pk}/claim/").json()
    first = labels.post(f"assignments/{task['assignment']}/submit/", said(task)).json()
    labels.post(f"judgments/{first['id']}/revise/", said(task))
    answer = api.post(f"judgments/{first['id']}/review/", {"accepted": True})
    assert (answer.status_code, error_of(answer)["code"]) == (409, "not_current")


def test_a_snapshot_is_frozen_shown_and_downloaded(api, project):
    queue = make_queue(project)
    for split in ("train", "train", "evaluation"):
        make_judgment(task=make_task(queue, prompt=make_prompt(project, split=split)))
    answer = api.post(f"projects/{project.slug}/snapshots/", {"name": "Round 1", "queues": [queue.pk]})
    assert answer.status_code == 201
    shown = answer.json()
    assert (shown["judgments"], shown["project"], len(shown["sha256"])) == (3, project.slug, 64)
    rows = shown["manifest"]["counts"]["rows"]["preference"]
    assert (rows["train"], rows["evaluation"], rows["holdout"]) == (2, 1, 0)
    assert api.get(f"snapshots/{shown['id']}/").json() == shown
    assert api.get(f"projects/{project.slug}/snapshots/").json()["results"] == [shown]
    archive = api.get(f"snapshots/{shown['id']}/download/")
    names = zipfile.ZipFile(io.BytesIO(b"".join(archive.streaming_content))).namelist()
    assert {"manifest.json", "README.md"} <= {name.split("/")[-1] for name in names}


def test_chosen_kinds_of_task_alone_are_frozen(api, project):
    make_judgment(queue=make_queue(project))
    make_judgment(queue=make_queue(project, kind="demonstration"), answer={"text": "As I would say it."})
    answer = api.post(f"projects/{project.slug}/snapshots/", {"name": "Written", "kinds": ["demonstration"]})
    rows = answer.json()["manifest"]["counts"]["rows"]
    assert list(rows) == ["sft"]
    assert rows["sft"]["train"] == 1
    unknown = api.post(f"projects/{project.slug}/snapshots/", {"name": "None", "kinds": ["poem"]})
    assert unknown.status_code == 400


def test_what_cannot_be_frozen_is_refused(api, project):
    nothing = api.post(f"projects/{project.slug}/snapshots/", {"name": "Empty"})
    assert (nothing.status_code, error_of(nothing)["attr"]) == (422, "judgments")
    make_judgment(queue=make_queue(project))
    elsewhere = api.post(f"projects/{project.slug}/snapshots/", {"name": "One", "queues": [make_queue().pk]})
    assert (elsewhere.status_code, error_of(elsewhere)["attr"]) == (422, "queues")
    assert api.post(f"projects/{project.slug}/snapshots/", {"name": "One"}).status_code == 201
    again = api.post(f"projects/{project.slug}/snapshots/", {"name": "Two"})
    assert again.status_code == 422
    assert Snapshot.objects.count() == 1


def test_a_damaged_snapshot_is_not_handed_out(api, project):
    make_judgment(queue=make_queue(project))
    snapshot = Snapshot.objects.get(pk=api.post(f"projects/{project.slug}/snapshots/", {"name": "One"}).json()["id"])
    (snapshot.directory / "README.md").chmod(0o644)
    (snapshot.directory / "README.md").write_text("changed")
    answer = api.get(f"snapshots/{snapshot.pk}/download/")
    assert (answer.status_code, error_of(answer)["code"]) == (409, "snapshot_damaged")


def test_a_simulated_annotator_labels_by_its_token_and_is_marked(api, project):
    path = f"projects/{project.slug}/simulated-annotators/"
    made = api.post(path, {"username": "sim-1", "rule": "concise"})
    assert made.status_code == 201
    assert made.json()["rule"] == RULES["concise"].text
    assert api.post(path, {"username": "sim-1", "rule": "concise"}).json() == made.json()
    queue = make_queue(project)
    make_task(queue)
    robot = ApiClient()
    robot.headers = {"Authorization": f"Token {made.json()['token']}"}
    task = robot.post(f"queues/{queue.pk}/claim/").json()
    assert robot.post(f"assignments/{task['assignment']}/submit/", said(task)).status_code == 201
    assert Judgment.objects.get().is_simulated
    (row,) = api.get(f"projects/{project.slug}/judgments/").json()["results"]
    assert (row["simulated"], row["simulation_rule"]) == (True, RULES["concise"].text)
    assert api.post(f"projects/{project.slug}/snapshots/", {"name": "People"}).status_code == 422
    with_simulated = {"name": "All", "include_simulated": True}
    assert api.post(f"projects/{project.slug}/snapshots/", with_simulated).status_code == 201


@pytest.mark.parametrize(("username", "rule", "attr"), [("sim", "kind", "rule"), ("annotator", "concise", "username")])
def test_an_unknown_rule_or_a_persons_name_is_refused(api, project, annotator, username, rule, attr):
    answer = api.post(f"projects/{project.slug}/simulated-annotators/", {"username": username, "rule": rule})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, attr)


def test_no_token_of_another_projects_annotator_is_handed_out(api, project, outsider):
    elsewhere = outsider.memberships.get().project
    asked = {"username": "sim-1", "rule": "concise"}
    assert ApiClient(outsider).post(f"projects/{elsewhere.slug}/simulated-annotators/", asked).status_code == 201
    answer = api.post(f"projects/{project.slug}/simulated-annotators/", asked)
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "username")


def test_lists_are_cut_into_pages(api, project):
    for _ in range(3):
        make_prompt(project)
    page = api.get(f"projects/{project.slug}/prompts/", limit=2, offset=2).json()
    assert (page["count"], len(page["results"])) == (3, 1)


def test_a_browsers_session_works_too(project):
    from django.test import Client

    browser = Client()
    browser.force_login(make_member(project, "curator"))
    assert browser.get(f"/api/v1/projects/{project.slug}/").status_code == 200
