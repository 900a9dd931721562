from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.people import create_simulated_annotator
from tests.factories import make_user


@pytest.fixture(autouse=True)
def logged_in(project_admin, client):
    client.force_login(project_admin)


def give(client, project, username: str, role: str):
    return client.post(reverse("member-add", args=[project.slug]), {"username": username, "role": role})


def roles(project, user) -> set[str]:
    return set(project.memberships.filter(user=user).values_list("role", flat=True))


def test_an_admin_gives_and_takes_a_role(project, client):
    ada = make_user(username="ada")
    assert give(client, project, "ada", "curator").status_code == 302
    give(client, project, "ada", "annotator")
    assert roles(project, ada) == {"curator", "annotator"}
    client.post(reverse("member-remove", args=[project.slug]), {"username": "ada", "role": "curator"})
    assert roles(project, ada) == {"annotator"}


def test_an_unknown_name_is_an_error_on_the_field(project, client):
    answer = give(client, project, "nobody", "curator")
    assert answer.status_code == 422
    assert "No active account is called" in answer.content.decode()


def test_an_unknown_role_is_refused(project, client):
    make_user(username="ada")
    assert give(client, project, "ada", "emperor").status_code == 422


def test_a_simulated_annotator_gets_no_other_role(project, client):
    create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    answer = give(client, project, "sim", "curator")
    assert answer.status_code == 422
    assert "simulated" in answer.content.decode()


def test_an_admin_cannot_lock_themselves_out(project, project_admin, client):
    client.post(reverse("member-remove", args=[project.slug]), {"username": project_admin.username, "role": "admin"})
    assert roles(project, project_admin) == {"admin"}


def test_others_see_the_list_without_the_forms(project, curator, client):
    client.force_login(curator)
    page = client.get(reverse("members", args=[project.slug])).content.decode()
    assert "project-admin" in page
    assert reverse("member-add", args=[project.slug]) not in page
    assert reverse("member-remove", args=[project.slug]) not in page
