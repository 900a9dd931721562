"""Who may see and do what: the one place that pages and API ask.

An outsider learns nothing, not even that the project exists (Http404); a member without the role is told so
(PermissionDenied).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import rules
from django.core.exceptions import PermissionDenied
from django.http import Http404

from feedback.models import Membership, Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from django.contrib.auth.models import AnonymousUser

    from feedback.models import User


def may(person: User | AnonymousUser, perm: str, project: Project) -> bool:
    """Tell whether `person` may do `perm` ("feedback.freeze") in `project`."""
    if not rules.perm_exists(perm):
        raise ValueError(f"there is no permission {perm!r}")
    return rules.has_perm(perm, person, project)


def check(person: User | AnonymousUser, perm: str, project: Project) -> None:
    """Raise Http404 when `person` may not see `project`, PermissionDenied when the role for `perm` is missing."""
    if may(person, perm, project):
        return  # whoever may do something in a project may see it
    if not may(person, "feedback.view_project", project):
        raise Http404("no such project")
    raise PermissionDenied(f"your roles in {project.name} do not include this")


def project_or_404(person: User | AnonymousUser, slug: str, perm: str | None = None) -> Project:
    """Return the project at `slug` if `person` may see it, and do `perm` in it; raises as `check` does."""
    project = Project.objects.visible_to(person).filter(slug=slug).first()
    if project is None:
        raise Http404("no such project")
    if perm is not None:
        check(person, perm, project)
    return project


def roles_of(person: User | AnonymousUser, project: Project) -> frozenset[str]:
    """Return the roles that `person` holds in `project`; empty for an outsider and for a superuser without any."""
    if not person.is_authenticated:
        return frozenset()
    return frozenset(Membership.objects.filter(project=project, user=person).values_list("role", flat=True))


def names_for(reader: User, project: Project) -> Callable[[User], str]:
    """Return how `reader` sees annotators: those who review them by name, others by pseudonym."""
    if may(reader, "feedback.review", project):
        return lambda annotator: annotator.shown_name
    return project.pseudonym
