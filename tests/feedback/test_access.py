"""Annotator, curator, ML staff, admin, superuser and outsider answer every access question."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core.exceptions import PermissionDenied
from django.http import Http404

from feedback.access import check, may, project_or_404, roles_of
from feedback.models import Project, Queue
from tests.factories import make_queue, make_user

pytestmark = pytest.mark.django_db

EVERYBODY = ("annotator", "curator", "ml_staff", "admin", "superuser")
ALLOWED = {
    "feedback.view_project": EVERYBODY,
    "feedback.label": ("annotator",),
    "feedback.manage_prompts": ("curator", "admin", "superuser"),
    "feedback.manage_queues": ("curator", "ml_staff", "admin", "superuser"),
    "feedback.review": ("curator", "admin", "superuser"),
    "feedback.freeze": ("curator", "admin", "superuser"),
    "feedback.read_judgments": ("curator", "ml_staff", "admin", "superuser"),
    "feedback.read_snapshots": ("curator", "ml_staff", "admin", "superuser"),
    "feedback.read_queues": ("curator", "ml_staff", "admin", "superuser"),
    "feedback.manage_people": ("admin", "superuser"),
}


@pytest.fixture
def people(annotator, curator, ml_staff, project_admin, outsider):
    return {
        "annotator": annotator,
        "curator": curator,
        "ml_staff": ml_staff,
        "admin": project_admin,
        "superuser": make_user(is_superuser=True),
        "outsider": outsider,
        "stranger": AnonymousUser(),
    }


@pytest.mark.parametrize("perm", ALLOWED)
def test_each_permission_belongs_to_the_roles_that_need_it(people, project, perm):
    allowed = {name for name, person in people.items() if may(person, perm, project)}
    assert allowed == set(ALLOWED[perm])


@pytest.mark.parametrize("perm", ALLOWED)
def test_a_member_without_the_role_is_told_so_and_an_outsider_learns_nothing(people, project, perm):
    for name, person in people.items():
        if name in ALLOWED[perm]:
            check(person, perm, project)
            assert project_or_404(person, project.slug, perm) == project
        else:
            expected = PermissionDenied if name in EVERYBODY else Http404
            with pytest.raises(expected):
                check(person, perm, project)
            with pytest.raises(expected):
                project_or_404(person, project.slug, perm)


def test_a_project_that_does_not_exist_looks_like_one_that_may_not_be_seen(people, project):
    for person, slug in ((people["outsider"], project.slug), (people["curator"], "nowhere")):
        with pytest.raises(Http404, match="no such project"):
            project_or_404(person, slug)


def test_a_person_who_was_switched_off_may_nothing(project, curator):
    curator.is_active = False
    assert not may(curator, "feedback.view_project", project)


def test_a_permission_that_does_not_exist_is_a_mistake_in_the_code(project, curator):
    with pytest.raises(ValueError, match=r"feedback\.fly"):
        may(curator, "feedback.fly", project)


def test_roles_are_per_project(people, project):
    assert roles_of(people["curator"], project) == {"curator"}
    assert roles_of(people["outsider"], project) == frozenset()
    assert roles_of(people["stranger"], project) == frozenset()


def test_querysets_that_start_from_the_person_hold_only_their_projects(people, project):
    make_queue(project)
    assert project in Project.objects.visible_to(people["curator"])
    assert project not in Project.objects.visible_to(people["outsider"])
    assert Queue.objects.for_annotator(people["annotator"]).exists()
    assert not Queue.objects.for_annotator(people["curator"]).exists()
    assert not Queue.objects.for_annotator(people["superuser"]).exists()
    assert not Queue.objects.for_annotator(people["stranger"]).exists()
