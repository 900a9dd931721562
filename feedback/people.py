"""Start projects and say who takes part in them."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from feedback.models import Membership, Project, Role, User
from feedback.refusals import Refusal

EVALUATION_PERCENT_LIMIT = 90


class ProjectRefused(Refusal):
    """A project cannot be made as asked; `field` says which value is wrong."""


class MemberRefused(Refusal):
    """A person cannot take part as asked; `field` says which value is wrong."""


@transaction.atomic
def create_project(
    *, name: str, slug: str = "", description: str = "", evaluation_percent: int = 20, admin: User | None = None
) -> Project:
    """Make a project, with `admin` as its first member. Raises ProjectRefused."""
    name = name.strip()
    if not name or len(name) > 200:
        raise ProjectRefused("name", "give the project a name of at most 200 characters")
    slug = slug or slugify(name)[:50]
    if not slug or slugify(slug) != slug or len(slug) > 50:
        raise ProjectRefused("slug", "use lower-case letters, digits and hyphens, at most 50 of them")
    if Project.objects.filter(slug=slug).exists():
        raise ProjectRefused("slug", f"another project has the address {slug!r}")
    if not 0 <= evaluation_percent <= EVALUATION_PERCENT_LIMIT:
        raise ProjectRefused(
            "evaluation_percent", f"{evaluation_percent} is not between 0 and {EVALUATION_PERCENT_LIMIT}"
        )
    project = Project.objects.create(
        name=name, slug=slug, description=description.strip(), evaluation_percent=evaluation_percent
    )
    if admin is not None:
        add_member(project=project, user=admin, role=Role.ADMIN)
    return project


def add_member(*, project: Project, user: User, role: str) -> Membership:
    """Give `user` a role in the project; the same role again changes nothing. Raises MemberRefused."""
    if role not in Role.values:
        raise MemberRefused("role", f"{role!r} is not one of {', '.join(Role.values)}")
    if user.is_simulated and role != Role.ANNOTATOR:
        raise MemberRefused("role", f"{user.username} is simulated; simulated people only annotate")
    membership, _ = Membership.objects.get_or_create(project=project, user=user, role=role)
    return membership


def remove_member(*, project: Project, user: User, role: str) -> None:
    """Take a role from `user`. What the person has said stays."""
    Membership.objects.filter(project=project, user=user, role=role).delete()


@transaction.atomic
def create_simulated_annotator(*, project: Project, username: str, rule: str) -> User:
    """Return an annotator that follows `rule`, cannot log in, and is marked as simulated wherever it appears.

    The same username and rule again return the same user. Raises MemberRefused when a person, or another rule, has
    the username.
    """
    rule = rule.strip()
    if not rule or len(rule) > 200:
        raise MemberRefused("rule", "say what the simulated annotator does, in at most 200 characters")
    user = User.objects.filter(username=username).first()
    if user is None:
        user = User(username=username, simulation_rule=rule)
        user.set_unusable_password()
        try:
            user.full_clean()
        except ValidationError as error:
            raise MemberRefused("username", "; ".join(error.messages)) from error
        user.save()
    elif user.simulation_rule != rule:
        owner = "a simulated annotator with another rule" if user.is_simulated else "a person"
        raise MemberRefused("username", f"{username!r} belongs to {owner}; choose another name")
    add_member(project=project, user=user, role=Role.ANNOTATOR)
    return user
