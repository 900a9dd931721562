"""What annotators took out for review, and responses in which a model names itself."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.claims import skip
from feedback.models import Response, Skip
from tests.factories import make_assignment, make_member, make_queue, make_response, make_task


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def pass_over(task, annotator, kind: str = "review", note: str = "Cut <off>.") -> Skip:
    held = make_assignment(task, annotator)
    return skip(
        assignment_id=held.pk,
        annotator=annotator,
        lease_token=held.lease_token,
        kind=kind,
        reason="broken",
        note=note,
        now=timezone.now(),
    )


def elsewhere() -> Skip:
    """A skip in another project."""
    queue = make_queue()
    return pass_over(make_task(queue), make_member(queue.project))


def skips(client, project, **filters) -> list[Skip]:
    return [row for row, _ in client.get(reverse("skips", args=[project.slug]), filters).context["rows"]]


def settle(client, project, row: Skip, settlement: str):
    address = reverse("skip-settle", args=[project.slug, row.pk])
    return client.post(address, {"settlement": settlement}, follow=True)


def test_what_is_up_for_review_is_listed_with_reason_and_note(project, annotator, client):
    queue = make_queue(project)
    row = pass_over(make_task(queue), annotator)
    later = pass_over(make_task(queue), annotator, kind="later", note="")
    elsewhere()
    assert skips(client, project) == [row]
    assert skips(client, project, stands="all") == [later, row]
    assert skips(client, project, queue=make_queue(project).pk) == []
    page = client.get(reverse("skips", args=[project.slug])).content.decode()
    assert "The prompt or a response is broken" in page
    assert "Cut &lt;off&gt;." in page
    assert "1 task up for review" in client.get(reverse("queue", args=[project.slug, queue.pk])).content.decode()


@pytest.mark.parametrize(("settlement", "state"), [("return", "open"), ("discard", "withdrawn")])
def test_a_curator_settles_it(project, annotator, curator, client, settlement, state):
    task = make_task(make_queue(project))
    row = pass_over(task, annotator)
    settle(client, project, row, settlement)
    row.refresh_from_db()
    assert (row.settlement, row.settled_by) == (settlement, curator)
    assert task.assignments.get().state == state
    assert skips(client, project) == []
    assert skips(client, project, stands="settled") == [row]


def test_what_is_settled_or_taken_back_is_not_settled_again(project, annotator, client):
    row = pass_over(make_task(make_queue(project)), annotator)
    settle(client, project, row, "return")
    answer = settle(client, project, row, "discard")
    assert "was settled" in answer.content.decode()
    row.refresh_from_db()
    assert row.settlement == "return"


def test_an_unknown_settlement_is_refused(project, annotator, client):
    row = pass_over(make_task(make_queue(project)), annotator)
    assert settle(client, project, row, "burn").status_code == 422


def test_a_skip_of_another_project_is_not_found(project, client):
    assert settle(client, project, elsewhere(), "return").status_code == 404


def test_the_project_page_says_what_waits_for_a_curator(project, annotator, naming, client):
    pass_over(make_task(make_queue(project)), annotator)
    page = client.get(reverse("project", args=[project.slug])).content.decode()
    for name in ("skips", "self-naming"):
        assert f'href="{reverse(name, args=[project.slug])}"' in page
    assert "1 task up for review" in page
    assert "1 response says which model wrote it" in page


# Models that name themselves --------------------------------------------------------------------------


@pytest.fixture
def naming(project):
    task = make_task(make_queue(project, name="Round one"))
    Response.objects.filter(pk=task.texts[0].pk).update(names_itself="I am <ChatGPT>")
    return Response.objects.get(pk=task.texts[0].pk)


def decide(client, project, response, settlement: str):
    address = reverse("self-naming-settle", args=[project.slug, response.pk])
    return client.post(address, {"settlement": settlement}, follow=True)


def test_a_response_that_names_its_model_is_listed_with_its_tasks(project, naming, client):
    make_response()
    page = client.get(reverse("self-naming", args=[project.slug])).content.decode()
    assert "I am &lt;ChatGPT&gt;" in page
    assert "Round one" in page
    assert "1 slot not done" in page
    queue = naming.tasks.get().queue
    assert "1 response" in client.get(reverse("queue", args=[project.slug, queue.pk])).content.decode()
    assert "names its model" in client.get(reverse("task", args=[project.slug, naming.tasks.get().pk])).content.decode()


@pytest.mark.parametrize(("settlement", "state"), [("discard", "withdrawn"), ("leave", "open")])
def test_its_tasks_are_taken_out_or_stay(project, naming, client, settlement, state):
    decide(client, project, naming, settlement)
    assert naming.tasks.get().assignments.get().state == state
    assert "I am" not in client.get(reverse("self-naming", args=[project.slug])).content.decode()
    assert "I am" in client.get(reverse("self-naming", args=[project.slug]), {"show": "all"}).content.decode()


def test_an_unknown_decision_is_refused_and_a_second_one_changes_nothing(project, naming, client):
    assert decide(client, project, naming, "burn").status_code == 422
    decide(client, project, naming, "leave")
    assert "Another curator has decided this" in decide(client, project, naming, "discard").content.decode()
    assert naming.tasks.get().assignments.get().state == "open"


def test_a_response_of_another_project_is_not_found(project, client):
    assert decide(client, project, make_response(), "leave").status_code == 404
