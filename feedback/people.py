"""Start projects, and say who takes part in them and what those people know."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.text import slugify

from feedback.audit import record
from feedback.locks import lock_person
from feedback.models import AnnotatorProfile, Expertise, Membership, Project, Role, User
from feedback.refusals import Refusal
from feedback.splits import SplitRefused, check_percents

LANGUAGE = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*")
LANGUAGES_LIMIT = 50
CURRENCY = re.compile(r"[A-Z]{3}")
HOURLY_RATE_LIMIT = 100_000
EVIDENCE_LENGTH_LIMIT = 5_000


class ProjectRefused(Refusal):
    """A project cannot be made as asked; `field` says which value is wrong."""


class MemberRefused(Refusal):
    """A person cannot take part as asked; `field` says which value is wrong."""


class ProfileRefused(Refusal):
    """A profile cannot be stored as asked; `field` says which value is wrong."""


class ExpertiseRefused(Refusal):
    """Expertise cannot be verified as asked; `field` says which value is wrong."""


@transaction.atomic
def create_project(
    *,
    name: str,
    slug: str = "",
    description: str = "",
    evaluation_percent: int = 20,
    holdout_percent: int = 0,
    admin: User | None = None,
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
    try:
        check_percents(evaluation_percent=evaluation_percent, holdout_percent=holdout_percent)
    except SplitRefused as refusal:
        raise ProjectRefused(refusal.field, refusal.message) from refusal
    project = Project.objects.create(
        name=name,
        slug=slug,
        description=description.strip(),
        evaluation_percent=evaluation_percent,
        holdout_percent=holdout_percent,
    )
    if admin is not None:
        add_member(project=project, user=admin, role=Role.ADMIN)
    return project


@transaction.atomic
def add_member(*, project: Project, user: User, role: str, added_by: User | None = None) -> Membership:
    """Give `user` a role in the project; the same role again changes nothing. Raises MemberRefused."""
    if role not in Role.values:
        raise MemberRefused("role", f"{role!r} is not one of {', '.join(Role.values)}")
    if user.is_simulated and role != Role.ANNOTATOR:
        raise MemberRefused("role", f"{user.username} is simulated; simulated people only annotate")
    membership, is_new = Membership.objects.get_or_create(project=project, user=user, role=role)
    if is_new:
        record(project=project, actor=added_by, action="person.add_role", subject=user, after={"role": role})
    return membership


@transaction.atomic
def remove_member(*, project: Project, user: User, role: str, removed_by: User | None = None) -> None:
    """Take a role from `user`. What the person has said stays."""
    gone, _ = Membership.objects.filter(project=project, user=user, role=role).delete()
    if gone:
        record(project=project, actor=removed_by, action="person.remove_role", subject=user, before={"role": role})


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


@transaction.atomic
def save_profile(
    *, person: User, languages: Sequence[str], hourly_rate: Decimal | None, currency: str
) -> AnnotatorProfile:
    """Store which languages a person reads and what their hour costs, in place of what stood there.

    Raises ProfileRefused.
    """
    if isinstance(languages, str) or not isinstance(languages, Sequence):
        raise ProfileRefused("languages", "languages is a list of codes such as en or pt-BR")
    codes = list(dict.fromkeys(str(code).strip() for code in languages if str(code).strip()))
    for code in codes:
        if len(code) > 20 or not LANGUAGE.fullmatch(code):
            raise ProfileRefused("languages", f"{code!r} is not a language code such as en or pt-BR")
    if len(codes) > LANGUAGES_LIMIT:
        raise ProfileRefused("languages", f"{len(codes)} are too many; the most is {LANGUAGES_LIMIT}")
    currency = currency.strip().upper()
    if hourly_rate is not None:
        if not hourly_rate.is_finite() or not 0 <= hourly_rate <= HOURLY_RATE_LIMIT:
            raise ProfileRefused("hourly_rate", f"{hourly_rate} is not between 0 and {HOURLY_RATE_LIMIT:,}")
        if not CURRENCY.fullmatch(currency):
            raise ProfileRefused("currency", f"{currency!r} is not a currency of three letters such as EUR")
        hourly_rate = hourly_rate.quantize(Decimal("0.01"))
    elif currency and not CURRENCY.fullmatch(currency):
        raise ProfileRefused("currency", f"{currency!r} is not a currency of three letters such as EUR")
    profile, _ = AnnotatorProfile.objects.update_or_create(
        user=person, defaults={"languages": codes, "hourly_rate": hourly_rate, "currency": currency}
    )
    return profile


@transaction.atomic
def verify_expertise(
    *, person: User, domain: str, evidence: str, verified_by: User, project: Project | None = None
) -> Expertise:
    """Vouch that a person knows a domain, and on what evidence. Raises ExpertiseRefused.

    It counts everywhere; `project` is the one whose audit log tells of it.
    """
    domain, evidence = domain.strip().lower(), evidence.strip()
    if not domain or len(domain) > 60 or "\x00" in domain:
        raise ExpertiseRefused("domain", "name the domain in at most 60 characters, such as medicine")
    if not evidence or len(evidence) > EVIDENCE_LENGTH_LIMIT or "\x00" in evidence:
        raise ExpertiseRefused(
            "evidence", f"say what it rests on, such as a degree, in at most {EVIDENCE_LENGTH_LIMIT:,} characters"
        )
    if person.pk == verified_by.pk:
        raise ExpertiseRefused("person", "nobody vouches for themselves; ask another curator")
    lock_person(person)
    if Expertise.objects.filter(user=person, domain=domain, withdrawn_at__isnull=True).exists():
        raise ExpertiseRefused("domain", f"{person.username}'s expertise in {domain} is verified; withdraw that first")
    known = Expertise.objects.create(user=person, domain=domain, evidence=evidence, verified_by=verified_by)
    if project is not None:
        told = {"domain": domain, "evidence": evidence}
        record(project=project, actor=verified_by, action="person.verify_expertise", subject=person, after=told)
    return known


@transaction.atomic
def withdraw_expertise(
    *, expertise: Expertise, withdrawn_by: User | None = None, project: Project | None = None, now: datetime
) -> Expertise:
    """Take back what was vouched for; the row stays. Again changes nothing."""
    changed = Expertise.objects.filter(pk=expertise.pk, withdrawn_at__isnull=True).update(withdrawn_at=now)
    if changed and project is not None:
        record(
            project=project, actor=withdrawn_by, action="person.withdraw_expertise", subject=expertise.user,
            before={"domain": expertise.domain}, now=now,
        )  # fmt: skip
    expertise.refresh_from_db()
    return expertise
