"""Which role may do what in a project. `feedback.access` asks these predicates for pages and API alike.

Ask through `feedback.access`, not through `user.has_perm`: Django lets a superuser pass the latter unasked, and
labelling needs a membership even then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import rules
from django.db.models import QuerySet

from feedback.models import Membership, Role
from feedback.prepared import prepared

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser

    from feedback.models import Project, User


def has_role(*roles: Role) -> rules.Predicate:
    """Return a predicate of (person, project): the person holds one of `roles` there."""

    @prepared
    def memberships(*, person: Any, project: Any) -> QuerySet[Membership, int]:
        held = Membership.objects.filter(project=project, user=person, role__in=roles)
        return held.values_list("pk", flat=True)[:1]

    @rules.predicate(f"is_{'_or_'.join(roles)}")
    def holds(person: User | AnonymousUser, project: Project | None) -> bool:
        if project is None or not person.is_authenticated or not person.is_active:
            return False
        return bool(memberships.all(person=person.pk, project=project.pk))

    return holds


@rules.predicate
def is_superuser(person: User | AnonymousUser) -> bool:
    return person.is_active and person.is_superuser


is_member = has_role(*Role) | is_superuser
is_annotator = has_role(Role.ANNOTATOR)
is_curator = has_role(Role.CURATOR, Role.ADMIN) | is_superuser
is_staff = has_role(Role.CURATOR, Role.ML_STAFF, Role.ADMIN) | is_superuser
is_admin = has_role(Role.ADMIN) | is_superuser

rules.add_perm("feedback.view_project", is_member)
rules.add_perm("feedback.label", is_annotator)
rules.add_perm("feedback.manage_prompts", is_curator)
rules.add_perm("feedback.manage_queues", is_staff)
rules.add_perm("feedback.review", is_curator)
rules.add_perm("feedback.manage_annotators", is_curator)
rules.add_perm("feedback.freeze", is_curator)
rules.add_perm("feedback.read_judgments", is_staff)
rules.add_perm("feedback.read_snapshots", is_staff)
rules.add_perm("feedback.read_queues", is_staff)
rules.add_perm("feedback.manage_people", is_admin)
rules.add_perm("feedback.erase", is_admin)
