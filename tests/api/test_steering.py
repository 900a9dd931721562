"""Tasks, gold, skips and people over HTTP, for those who steer a queue."""

from __future__ import annotations

import uuid

import pytest

from feedback.models import Assignment, Gold, Qualification, QueueMember, Skip, Task
from tests.api.people import ApiClient, error_of, said
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project)


@pytest.fixture
def api(curator):
    return ApiClient(curator)


@pytest.fixture
def admin(project_admin):
    return ApiClient(project_admin)


# Queues


@pytest.mark.parametrize("kind", ["comparison", "ranking", "rating", "demonstration", "correction"])
def test_a_queue_of_every_kind_is_opened_with_its_schema_and_rules(api, project, kind):
    test = make_queue(project, is_qualification=True)
    asked = {
        "name": kind,
        "kind": kind,
        "guideline": "Be fair.",
        "schema": {"question": "How is it?"},
        "overlap": 3,
        "daily_quota": 50,
        "languages": ["en", "pt-BR"],
        "qualification": test.pk,
        "named_only": True,
    }
    answer = api.post(f"projects/{project.slug}/queues/", asked)
    assert answer.status_code == 201, answer.content
    shown = answer.json()
    assert (shown["kind"], shown["schema"]["content"]["question"]) == (kind, "How is it?")
    rules = {name: shown["policy"][name] for name in ("overlap", "daily_quota", "languages", "named_only")}
    assert rules == {"overlap": 3, "daily_quota": 50, "languages": ["en", "pt-BR"], "named_only": True}
    assert shown["policy"]["qualification"] == str(test.pk)
    assert shown["policy"]["repeat_percent"] == 3, "what is left out takes its default"


def test_a_schema_is_changed_by_a_new_version_and_every_version_is_kept(api, queue):
    changed = api.patch(f"queues/{queue.pk}/", {"schema": {"levels": 4}, "guideline": "New.", "daily_quota": 5})
    assert changed.status_code == 200
    assert (changed.json()["schema"]["number"], changed.json()["schema"]["content"]["levels"]) == (2, 4)
    api.patch(f"queues/{queue.pk}/", {"daily_quota": None})
    for name, numbers in (("schemas", [2, 1]), ("guidelines", [2, 1]), ("policies", [3, 2, 1])):
        versions = api.get(f"queues/{queue.pk}/{name}/").json()["results"]
        assert [version["number"] for version in versions] == numbers
        assert versions[0]["created_by"] == "curator"


@pytest.mark.parametrize(
    ("change", "attr"),
    [
        ({"schema": {"levels": 5}}, "levels"),
        ({"schema": {"levels": []}}, "levels"),
        ({"schema": {"colour": "red"}}, "colour"),
        ({"schema": {"flags": [{"key": "A", "label": "x"}]}}, "flags"),
        ({"qualification": uuid.uuid4()}, "qualification"),
        ({"gold_percent": 99}, "gold_percent"),
        ({"overlap_cap": 1}, "overlap_cap"),
        ({"kind": "quiz"}, "kind"),
    ],
)
def test_a_schema_or_rule_that_cannot_be_is_refused_by_name(api, project, change, attr):
    answer = api.post(f"projects/{project.slug}/queues/", {"name": "Q", "guideline": "Help.", **change})
    assert answer.status_code in (400, 422)
    assert error_of(answer)["attr"] == attr


# Tasks


def test_a_task_is_enqueued_once_and_its_progress_is_listed(api, project, queue):
    prompt = make_prompt(project)
    pair = [make_response(prompt).pk for _ in range(2)]
    asked = {"prompt": prompt.pk, "responses": pair, "priority": 5, "slots": 2}
    answer = api.post(f"queues/{queue.pk}/tasks/", asked)
    assert answer.status_code == 201, answer.content
    assert (answer.json()["priority"], answer.json()["open"]) == (5.0, 2)
    assert api.post(f"queues/{queue.pk}/tasks/", asked).json()["id"] == answer.json()["id"]
    make_judgment(task=Task.objects.get(), annotator=make_member(project))
    (row,) = api.get(f"queues/{queue.pk}/tasks/").json()["results"]
    assert (row["slots"], row["done"], row["open"], row["gold"]) == (2, 1, 1, False)
    assert row["responses"] == [str(pk) for pk in sorted(pair)]
    shown = api.get(f"tasks/{row['id']}/").json()
    assert [text["model_name"] for text in shown["texts"]] == ["a model", "a model"]


def test_a_task_without_its_responses_or_of_another_project_is_refused(api, project, queue):
    prompt = make_prompt(project)
    response = make_response(prompt)
    elsewhere = make_response()
    path = f"queues/{queue.pk}/tasks/"
    for asked, attr in (
        ({"prompt": prompt.pk, "responses": [response.pk]}, "responses"),
        ({"prompt": prompt.pk, "responses": [response.pk, response.pk]}, "responses"),
        ({"prompt": prompt.pk, "responses": [response.pk, elsewhere.pk]}, "responses"),
        ({"prompt": elsewhere.prompt_id, "responses": []}, "prompt"),
        ({"prompt": prompt.pk, "responses": [response.pk], "priority": 1e300}, "priority"),
    ):
        answer = api.post(path, asked)
        assert (answer.status_code, error_of(answer)["attr"]) == (422, attr)
    assert not Task.objects.exists()


def test_tasks_are_put_first_by_name_or_by_tag(api, project, queue):
    tagged = make_task(queue, prompt=make_prompt(project, tags=["urgent"]))
    other = make_task(queue)
    path = f"queues/{queue.pk}/prioritize/"
    assert api.post(path, {"priority": 9, "tag": "urgent"}).json() == {"changed": 1}
    assert api.post(path, {"priority": -1, "tasks": [other.pk]}).json() == {"changed": 1}
    assert [Assignment.objects.get(task=task).priority for task in (tagged, other)] == [9.0, -1.0]
    for asked in ({}, {"tag": "urgent", "tasks": [other.pk]}, {"tasks": [uuid.uuid4()]}, {"tag": "none"}):
        assert api.post(path, {"priority": 1, **asked}).status_code == 422


def test_a_task_is_taken_out_and_put_back(api, queue):
    task = make_task(queue, slots=2)
    assert api.post(f"tasks/{task.pk}/take-out/").json() == {"changed": 2}
    assert set(task.assignments.values_list("state", flat=True)) == {"withdrawn"}
    assert api.post(f"tasks/{task.pk}/put-back/").json() == {"changed": 2}


def test_gold_is_made_in_response_order_once(api, queue):
    task = make_task(queue)
    path = f"tasks/{task.pk}/gold/"
    refused = api.post(path, {"answer": {"preference": 9}})
    assert (refused.status_code, error_of(refused)["attr"]) == (422, "preference")
    answer = api.post(path, {"answer": {"preference": -2}, "explanation": "It is true."})
    assert (answer.status_code, answer.json()["answer"]) == (201, {"preference": -2})
    assert Gold.objects.get().explanation == "It is true."
    assert api.post(path, {"answer": {"preference": 2}}).status_code == 422
    assert api.get(f"tasks/{task.pk}/").json()["known_answer"]["answer"] == {"preference": -2}


def test_a_task_is_given_to_a_person_who_gets_it_next(api, project, annotator, queue):
    for _ in range(3):
        make_task(queue)
    task = make_task(queue)
    answer = api.post(f"tasks/{task.pk}/give/", {"person": "annotator"})
    assert (answer.status_code, answer.json()["person"]) == (201, "annotator")
    assert Assignment.objects.get(reserved_for=annotator).task == task
    assert ApiClient(annotator).post(f"queues/{queue.pk}/claim/").json()["task"] == str(task.pk)
    for person in ("nobody", "curator"):
        refused = api.post(f"tasks/{task.pk}/give/", {"person": person})
        assert (refused.status_code, error_of(refused)["attr"]) == (422, "person")


# Skips and responses


def test_what_was_taken_out_for_review_is_settled_once(api, annotator, queue):
    task = make_task(queue)
    labels = ApiClient(annotator)
    held = labels.post(f"queues/{queue.pk}/claim/").json()
    asked = {"lease_token": held["lease_token"], "kind": "review", "reason": "broken", "note": "No answer in it."}
    assert labels.post(f"assignments/{held['assignment']}/skip/", asked).status_code == 204
    (row,) = api.get(f"queues/{queue.pk}/skips/", up=1).json()["results"]
    assert (row["person"], row["task"], row["note"]) == ("annotator", str(task.pk), "No answer in it.")
    settled = api.post(f"skips/{row['id']}/settle/", {"settlement": "return"})
    assert (settled.status_code, settled.json()["settlement"]) == (200, "return")
    again = api.post(f"skips/{row['id']}/settle/", {"settlement": "discard"})
    assert (again.status_code, error_of(again)["code"]) == (409, "already_settled")
    assert api.get(f"queues/{queue.pk}/skips/", up=1).json()["count"] == 0
    assert api.get(f"queues/{queue.pk}/skips/").json()["count"] == 1


def test_what_was_left_to_others_is_not_settled(api, annotator, queue):
    skip = Skip.objects.create(task=make_task(queue), annotator=annotator, kind="others", reason="other")
    assert api.post(f"skips/{skip.pk}/settle/", {"settlement": "return"}).status_code == 422


def test_responses_that_name_their_model_are_listed_with_their_tasks_and_settled_once(api, project, queue):
    prompt = make_prompt(project)
    telling = make_response(prompt, "I am ChatGPT.", names_itself="I am ChatGPT")
    task = make_task(queue, prompt=prompt, responses=[telling, make_response(prompt)])
    path = f"projects/{project.slug}/self-naming/"
    (row,) = api.get(path, up=1).json()["results"]
    assert (row["id"], row["names_itself"], row["tasks"]) == (str(telling.pk), "I am ChatGPT", [str(task.pk)])
    settle = f"self-naming/{telling.pk}/settle/"
    assert api.post(settle, {"settlement": "keep"}).status_code == 400
    assert api.post(settle, {"settlement": "discard"}).json() == {"changed": 1}
    again = api.post(settle, {"settlement": "leave"})
    assert (again.status_code, error_of(again)["code"]) == (409, "already_settled")
    assert api.get(path, up=1).json()["count"] == 0
    assert [row["naming_settlement"] for row in api.get(path).json()["results"]] == ["discard"]


# People


def test_people_are_named_for_a_queue_and_taken_off(api, project, annotator, queue):
    api.patch(f"queues/{queue.pk}/", {"named_only": True})
    make_task(queue)
    labels = ApiClient(annotator)
    refused = labels.post(f"queues/{queue.pk}/claim/")
    assert (refused.status_code, error_of(refused)["code"]) == (409, "not_named")
    assert api.post(f"queues/{queue.pk}/named/", {"person": "annotator"}).status_code == 201
    assert [row["person"] for row in api.get(f"queues/{queue.pk}/named/").json()["results"]] == ["annotator"]
    assert labels.post(f"queues/{queue.pk}/claim/").status_code == 200
    path = f"queues/{queue.pk}/named/annotator/"
    assert [api.call("delete", path).status_code for _ in range(2)] == [204, 404]
    assert not QueueMember.objects.exists()


def test_a_test_is_decided_by_word_with_a_reason(api, project, annotator):
    test = make_queue(project, is_qualification=True)
    path = f"queues/{test.pk}/qualifications/"
    assert api.post(path, {"person": "annotator", "passed": True, "reason": " "}).status_code == 400
    answer = api.post(path, {"person": "annotator", "passed": True, "reason": "Did well elsewhere."})
    assert (answer.status_code, answer.json()["decided_by"]) == (201, "curator")
    assert Qualification.objects.get().passed
    (row,) = api.get(path).json()["results"]
    assert (row["person"], row["passed"]) == ("annotator", True)
    plain = make_queue(project)
    asked = {"person": "annotator", "passed": True, "reason": "Yes."}
    assert api.post(f"queues/{plain.pk}/qualifications/", asked).status_code == 422


def test_an_admin_keeps_profiles_and_expertise(admin, project, annotator):
    path = f"projects/{project.slug}/people/annotator/"
    asked = {"languages": ["en", "de"], "hourly_rate": "21.50", "currency": "eur"}
    answer = admin.patch(path, asked)
    assert answer.status_code == 200, answer.content
    known = admin.post(f"{path}expertise/", {"domain": "Medicine", "evidence": "A degree."})
    assert (known.status_code, known.json()["domain"]) == (201, "medicine")
    assert admin.post(f"{path}expertise/", {"domain": "medicine", "evidence": "Again."}).status_code == 422
    shown = admin.get(path).json()
    assert (shown["languages"], shown["hourly_rate"], shown["currency"]) == (["en", "de"], "21.50", "EUR")
    assert shown["expertise"] == [known.json()]
    withdrawn = admin.post(f"{path}expertise/{known.json()['id']}/withdraw/")
    assert withdrawn.json()["withdrawn_at"] is not None
    people = admin.get(f"projects/{project.slug}/people/").json()["results"]
    assert [(person["person"], person["roles"]) for person in people] == [
        ("annotator", ["annotator"]), ("project-admin", ["admin"]),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "change", [{"languages": ["not a code"]}, {"hourly_rate": "-1"}, {"hourly_rate": "NaN"}, {"currency": "E"}]
)
def test_a_profile_that_makes_no_sense_is_refused(admin, project, annotator, change):
    asked = {"languages": ["en"], "hourly_rate": "20", "currency": "EUR", **change}
    answer = admin.patch(f"projects/{project.slug}/people/annotator/", asked)
    assert answer.status_code in (400, 422)
    assert error_of(answer)["attr"].split(".")[0] == next(iter(change))


def test_a_curator_keeps_languages_and_neither_sees_nor_sets_pay(api, admin, project, annotator):
    path = f"projects/{project.slug}/people/annotator/"
    admin.patch(path, {"hourly_rate": "21.50", "currency": "EUR"})
    shown = api.patch(path, {"languages": ["fr"]}).json()
    assert (shown["languages"], shown["hourly_rate"], shown["currency"]) == (["fr"], None, "")
    assert api.patch(path, {"hourly_rate": "99"}).status_code == 403
    assert admin.get(path).json()["hourly_rate"] == "21.50"


def test_a_person_of_another_project_is_not_found(admin, project, outsider):
    assert admin.get(f"projects/{project.slug}/people/outsider/").status_code == 404
    assert admin.get(f"projects/{project.slug}/people/%00/").status_code == 404


def test_a_number_too_large_for_any_row_is_not_found(api, admin, project, annotator):
    huge = "9" * 30
    assert api.post(f"skips/{huge}/settle/", {"settlement": "return"}).status_code == 404
    path = f"projects/{project.slug}/people/annotator/expertise/{huge}/withdraw/"
    assert admin.post(path).status_code == 404


# Judgments of all kinds


def test_a_judgment_counts_in_the_order_of_its_response_ids(api, project, annotator):
    queue = make_queue(project, kind="ranking")
    make_task(queue)
    labels = ApiClient(annotator)
    task = labels.post(f"queues/{queue.pk}/claim/").json()
    flag = {"flag": "other", "kind": "", "response": 1}
    ranks = {"ranks": [3, 1, 2], "not_rankable": [False, False, False]}
    labels.post(f"assignments/{task['assignment']}/submit/", said(task, answer=ranks, flags=[flag]))
    (row,) = api.get(f"projects/{project.slug}/judgments/").json()["results"]
    texts = {str(response.pk): response.text for response in Task.objects.get().texts}
    ranked = dict(zip((texts[pk] for pk in row["responses"]), row["answer"]["ranks"], strict=True))
    assert [ranked[response["text"]] for response in task["responses"]] == [3, 1, 2]
    flagged = texts[row["responses"][row["flags"][0]["response"]]]
    assert flagged == task["responses"][1]["text"]
    assert (row["kind"], row["arm"], row["chosen"]) == ("ranking", "priority", None)
