"""Who takes part: users, projects and the role a person has in each project."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import uuid
from typing import TYPE_CHECKING

import uuid_utils.compat
from django.conf import settings
from django.contrib.auth.models import AbstractUser
from django.core.validators import MaxValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django.contrib.auth.models import AnonymousUser


def new_id() -> uuid.UUID:
    """Return a time-ordered UUID (version 7)."""
    return uuid_utils.compat.uuid7()


def new_timeless_id() -> uuid.UUID:
    """Return an id of a slot: a person sees it, and must not tell slots made long ago from those made for them now."""
    return uuid.uuid4()


def new_id_beside(other: uuid.UUID) -> uuid.UUID:
    """Return a new id that says it was made at about the time of `other`."""
    moment = (other.int >> 80) + secrets.choice([-1, 1]) * (1 + secrets.randbelow(50))
    return uuid.UUID(int=moment << 80 | new_id().int & (1 << 80) - 1)


def new_salt() -> str:
    return secrets.token_hex(16)


IMPORTED = "imported"
"""How the username of a person begins who stands in an imported file: no name that people choose has a colon."""
IMPORTED_NAME = re.compile(rf"{IMPORTED}:\d+(?::(?P<name>.+)|#(?P<start>.+):[0-9a-f]{{16}})", re.DOTALL)


class User(AbstractUser):
    """A person who logs in, or a simulated annotator that is marked as one everywhere."""

    simulation_rule = models.CharField(
        max_length=200, blank=True, help_text="What a simulated annotator does; empty for a person."
    )

    @property
    def is_simulated(self) -> bool:
        return bool(self.simulation_rule)

    @property
    def shown_name(self) -> str:
        """The name for those who may know it: of somebody who was imported, as their file names them, and that."""
        whole = IMPORTED_NAME.fullmatch(self.username)
        if whole is None:
            return self.username
        return f"{whole['name'] or whole['start'] + '…'} (imported)"


class Role(models.TextChoices):
    ANNOTATOR = "annotator", _("Annotator")
    CURATOR = "curator", _("Curator")
    ML_STAFF = "ml_staff", _("ML staff")
    ADMIN = "admin", _("Admin")


class ProjectQuerySet(models.QuerySet["Project"]):
    def visible_to(self, person: User | AnonymousUser) -> ProjectQuerySet:
        """Projects in which `person` has any role; superusers see all."""
        if not person.is_authenticated:
            return self.none()
        return self if person.is_superuser else self.filter(memberships__user=person).distinct()


class Project(models.Model):
    name = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    description = models.TextField(blank=True)
    salt = models.CharField(max_length=32, default=new_salt, editable=False)
    evaluation_percent = models.PositiveSmallIntegerField(
        default=20,
        validators=[MaxValueValidator(90)],
        help_text="Share of new prompts that is kept for evaluation and never trained on.",
    )
    holdout_percent = models.PositiveSmallIntegerField(
        default=0,
        validators=[MaxValueValidator(50)],
        help_text="Share of new prompts that is kept for a last test: neither trained on nor looked at on the way.",
    )
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ProjectQuerySet.as_manager()

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def pseudonym(self, person: User) -> str:
        """Return the name under which `person`'s labels leave the project; the same for every snapshot of it."""
        mark = hmac.new(self.salt.encode(), str(person.pk).encode(), hashlib.sha256).hexdigest()[:12]
        return f"{'simulated' if person.is_simulated else 'annotator'}-{mark}"


class Membership(models.Model):
    project = models.ForeignKey(Project, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="memberships")
    role = models.CharField(max_length=20, choices=Role.choices)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user", "role"], name="membership_one_per_role"),
            models.CheckConstraint(condition=models.Q(role__in=Role.values), name="membership_role_is_known"),
        ]

    def __str__(self) -> str:
        return f"{self.user} as {self.role} in {self.project}"


class AnnotatorProfile(models.Model):
    """What routes work to a person, and what their hour costs."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="profile")
    languages = models.JSONField(default=list, blank=True, help_text="Codes such as en or pt-BR.")
    hourly_rate = models.DecimalField(max_digits=8, decimal_places=2, null=True, blank=True)
    currency = models.CharField(max_length=3, blank=True, help_text="For example EUR.")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=models.Q(hourly_rate__isnull=True) | models.Q(hourly_rate__gte=0),
                name="annotator_profile_rate_not_negative",
            ),
        ]

    def __str__(self) -> str:
        return f"Profile of {self.user}"


class Expertise(models.Model):
    """A domain that somebody has verified a person to know, and on what evidence."""

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="expertise")
    domain = models.CharField(max_length=60, help_text="In lower case, such as medicine.")
    evidence = models.TextField(help_text="What it rests on: a degree, a licence, years at work.")
    verified_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    verified_at = models.DateTimeField(auto_now_add=True)
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["user", "domain"],
                condition=models.Q(withdrawn_at__isnull=True),
                name="expertise_once_per_domain",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user}: {self.domain}"
