import pytest

from feedback.access import roles_of
from feedback.models import Membership, Project, Role, User
from feedback.people import (
    MemberRefused,
    ProjectRefused,
    add_member,
    create_project,
    create_simulated_annotator,
    remove_member,
)
from tests.factories import make_judgment, make_project, make_queue, make_user

pytestmark = pytest.mark.django_db


def test_a_project_gets_an_address_and_its_first_admin():
    admin = make_user()
    project = create_project(name=" Everyday Help ", description="d", evaluation_percent=30, admin=admin)
    assert (project.name, project.slug, project.evaluation_percent) == ("Everyday Help", "everyday-help", 30)
    assert roles_of(admin, project) == {"admin"}
    assert len(project.salt) == 32


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("name", {"name": " "}),
        ("name", {"name": "x" * 201}),
        ("slug", {"slug": "Not A Slug"}),
        ("slug", {"slug": "taken"}),
        ("slug", {"name": "???"}),
        ("evaluation_percent", {"evaluation_percent": -1}),
        ("evaluation_percent", {"evaluation_percent": 91}),
    ],
)
def test_a_project_with_wrong_values_is_refused(field, values):
    make_project(name="Taken", slug="taken")
    with pytest.raises(ProjectRefused) as caught:
        create_project(**{"name": "A", **values})
    assert caught.value.field == field
    assert Project.objects.count() == 1


def test_a_role_is_given_once_and_taken_away(project):
    user = make_user()
    assert add_member(project=project, user=user, role=Role.CURATOR) == add_member(
        project=project, user=user, role=Role.CURATOR
    )
    add_member(project=project, user=user, role=Role.ANNOTATOR)
    assert roles_of(user, project) == {"curator", "annotator"}
    remove_member(project=project, user=user, role=Role.CURATOR)
    remove_member(project=project, user=user, role=Role.CURATOR)
    assert roles_of(user, project) == {"annotator"}


def test_what_a_person_said_stays_when_they_leave(project):
    judgment = make_judgment(queue=make_queue(project))
    remove_member(project=project, user=judgment.annotator, role=Role.ANNOTATOR)
    judgment.refresh_from_db()
    assert judgment.annotator_id is not None


def test_an_unknown_role_is_refused(project):
    with pytest.raises(MemberRefused):
        add_member(project=project, user=make_user(), role="emperor")
    assert not Membership.objects.exists()


def test_a_simulated_annotator_is_marked_cannot_log_in_and_only_annotates(project):
    user = create_simulated_annotator(project=project, username="sim-1", rule="prefers the longer one")
    assert user.is_simulated
    assert not user.has_usable_password()
    assert roles_of(user, project) == {"annotator"}
    assert project.pseudonym(user).startswith("simulated-")
    assert create_simulated_annotator(project=project, username="sim-1", rule="prefers the longer one") == user
    with pytest.raises(MemberRefused, match="only annotate"):
        add_member(project=project, user=user, role=Role.CURATOR)


def test_a_simulated_annotator_takes_nobodys_name(project):
    make_user(username="ada")
    create_simulated_annotator(project=project, username="sim", rule="one")
    for username, rule in (("ada", "one"), ("sim", "two"), ("bad name!", "one"), ("", "one"), ("x", " ")):
        with pytest.raises(MemberRefused):
            create_simulated_annotator(project=project, username=username, rule=rule)
    assert User.objects.count() == 2


def test_a_pseudonym_is_stable_within_a_project_and_different_in_another(project):
    user = make_user()
    assert project.pseudonym(user) == project.pseudonym(user)
    assert project.pseudonym(user) != make_project().pseudonym(user)


def test_an_imported_person_is_shown_as_their_file_names_them(db):
    assert make_user(username="imported:7:expert_28").shown_name == "expert_28 (imported)"
    assert make_user(username="imported:7:a:b").shown_name == "a:b (imported)"
    assert make_user(username=f"imported:7#{'a' * 80}:0123456789abcdef").shown_name == f"{'a' * 80}… (imported)"
    assert make_user(username="ada").shown_name == "ada"
