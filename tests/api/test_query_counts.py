"""No endpoint asks the database once for every row."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from feedback.appointing import name_person
from feedback.models import Skip
from feedback.people import save_profile, verify_expertise
from feedback.qualifying import decide_qualification
from tests.api.people import ApiClient, said
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db

LISTS = [
    ("annotator", "projects/{project}/queues/"),
    ("annotator", "queues/{queue}/own-judgments/"),
    ("curator", "projects/{project}/queues/"),
    ("curator", "projects/{project}/prompts/"),
    ("curator", "projects/{project}/judgments/"),
    ("curator", "projects/{project}/self-naming/"),
    ("curator", "projects/{project}/people/"),
    ("curator", "queues/{queue}/tasks/"),
    ("curator", "queues/{queue}/skips/"),
    ("curator", "queues/{queue}/named/"),
    ("curator", "queues/{test}/qualifications/"),
    ("curator", "queues/{queue}/policies/"),
]


def queries(call):
    with CaptureQueriesContext(
        connection,
    ) as asked:
        answer = call()
    assert answer.status_code in (200, 201), answer.content
    return len(asked), answer


@pytest.mark.parametrize(("role", "path"), LISTS, ids=[f"{role} {path}" for role, path in LISTS])
def test_a_list_costs_as_much_with_many_rows_as_with_one(project, annotator, curator, role, path):
    queue, test = make_queue(project, kind="ranking"), make_queue(project, is_qualification=True)
    api = ApiClient({"annotator": annotator, "curator": curator}[role])
    place = path.format(project=project.slug, queue=queue.pk, test=test.pk)

    def add_one_of_each():
        ranks = {"ranks": [1, 2, 3]}
        make_queue(project)
        judgment = make_judgment(task=make_task(queue), annotator=annotator, answer=ranks)
        other = make_member(project)
        save_profile(person=other, languages=["en"], hourly_rate=None, currency="")
        verify_expertise(person=other, domain="law", evidence="A degree.", verified_by=curator)
        name_person(queue=queue, person=other, named_by=curator)
        decide_qualification(queue=test, person=other, passed=True, decided_by=curator, reason="Known.")
        Skip.objects.create(task=judgment.task, annotator=other, kind="others", reason="other")
        prompt = make_prompt(project)
        telling = [make_response(prompt, names_itself="I am it") for _ in range(3)]
        make_task(queue, prompt=prompt, responses=telling)

    add_one_of_each()
    api.get(place)  # what a process looks up once
    few, _ = queries(lambda: api.get(place))
    for _ in range(3):
        add_one_of_each()
    many, answer = queries(lambda: api.get(place))
    assert answer.json()["results"]
    assert many == few


@pytest.mark.parametrize("call", ["claim", "draft", "submit", "own"])
def test_a_task_costs_as_much_with_nine_responses_as_with_three(project, annotator, call):
    api = ApiClient(annotator)
    counts = []
    for shown in (3, 3, 9):
        queue = make_queue(project, kind="ranking")
        prompt = make_prompt(project)
        make_task(queue, prompt=prompt, responses=[make_response(prompt) for _ in range(shown)])
        answer = {"ranks": list(range(1, shown + 1))}
        claimed, task = queries(lambda queue=queue: api.post(f"queues/{queue.pk}/claim/"))
        values = said(task.json(), answer=answer)
        drafted, _ = queries(lambda task=task, values=values: api.put(f"tasks/{task.json()['task']}/draft/", values))
        path = f"assignments/{task.json()['assignment']}/submit/"
        submitted, judgment = queries(lambda path=path, values=values: api.post(path, values))
        looked, _ = queries(lambda judgment=judgment: api.get(f"own-judgments/{judgment.json()['id']}/"))
        counts.append({"claim": claimed, "draft": drafted, "submit": submitted, "own": looked}[call])
    assert counts[1] == counts[2], "the first one also looks up what a process looks up once"
