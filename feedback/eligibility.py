"""Who may take something new from a queue: its policy's rules about people, each refused by a code of its own.

A live lease may always be finished; these rules are asked when something new is to be claimed.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from feedback.consenting import is_missing
from feedback.models import (
    AnnotatorProfile,
    Assignment,
    Expertise,
    Judgment,
    Qualification,
    Queue,
    QueueMember,
    QueuePolicy,
    Standing,
    User,
)
from feedback.prepared import prepared


class NotEligible(Exception):
    """The person may not claim in this queue now. `code` says which rule it is, the message what would help."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def check_eligible(*, queue: Queue, annotator: User, now: datetime) -> None:
    """Raise NotEligible by the first rule in the way; a rule that the policy does not set costs no query."""
    policy = queue.policy
    assert policy is not None, "an open queue has its policy"
    check_standing(queue=queue, annotator=annotator)
    check_consent(queue=queue, annotator=annotator)
    if policy.named_only and not QueueMember.objects.filter(queue=queue, person=annotator).exists():
        raise NotEligible("not_named", "only people whom a curator has named label here; ask a curator to name you")
    if policy.languages and not languages_of(annotator).intersection(policy.languages):
        known = ", ".join(policy.languages)
        raise NotEligible(
            "language", f"this queue is for people who read {known}; ask a curator to add it to your profile"
        )
    if policy.expertise and not knows(annotator, policy.expertise):
        raise NotEligible("expertise", f"this queue is for people whose expertise in {policy.expertise} is verified")
    check_qualified(queue=queue, policy=policy, annotator=annotator)
    check_shares(queue=queue, policy=policy, annotator=annotator, now=now)


def check_standing(*, queue: Queue, annotator: User) -> None:
    """Raise NotEligible while a curator's decision stands that the person gets no new tasks in the project."""
    latest = decisions_on_tasks.first(project=queue.project_id, person=annotator.pk)
    if latest is not None and latest[0] == Standing.Decision.SUSPENDED:
        raise NotEligible(
            "suspended",
            "a curator has decided that you get no new tasks in this project; what you hold you may finish. Read the "
            f"evidence and answer at /api/v1/projects/{queue.project.slug}/own-standing/. The reason: {latest[1]}",
        )


@prepared
def decisions_on_tasks(*, project: Any, person: Any) -> QuerySet[Standing, Any]:
    decisions = Standing.objects.on_tasks().filter(project=project, person=person)
    return decisions.order_by("-id").values_list("decision", "reason")[:1]


def check_consent(*, queue: Queue, annotator: User) -> None:
    """Raise NotEligible while the person has not agreed to what the project asks, or has taken that back."""
    if not annotator.is_simulated and is_missing(queue.project, annotator):
        raise NotEligible("consent", "read what the project asks you to agree to, and agree to it first")


def check_qualified(*, queue: Queue, policy: QueuePolicy, annotator: User) -> None:
    """Raise NotEligible while the test that the queue needs is not passed, and in a test that was failed."""
    test = queue if queue.is_qualification else policy.qualification
    if test is None:
        return
    word = Qualification.objects.filter(queue=test, person=annotator).first()
    if word is not None and not word.passed:
        raise NotEligible(
            "qualification_failed", f"you have not passed the test {test.name}; a curator can decide otherwise"
        )
    if word is None and not queue.is_qualification:
        raise NotEligible("qualification", f"pass the test {test.name} first; it is a queue like this one")


def check_shares(*, queue: Queue, policy: QueuePolicy, annotator: User, now: datetime) -> None:
    """Raise NotEligible when judgments made and tasks held together are as many as one person may make.

    Counts no further than the limit that it is about.
    """
    if policy.annotator_cap is None and policy.daily_quota is None:
        return
    mine = Assignment.objects.filter(queue=queue, annotator=annotator)
    held = mine.held_by(annotator, now).count()
    if policy.annotator_cap is not None:
        left = policy.annotator_cap - held
        if left <= 0 or mine.done().order_by()[:left].count() >= left:
            raise NotEligible(
                "annotator_cap", f"one person makes at most {policy.annotator_cap:,} judgments in this queue"
            )
    if policy.daily_quota is not None:
        left = policy.daily_quota - held
        if left <= 0 or judged_today(queue=queue, annotator=annotator, now=now, limit=left) >= left:
            raise NotEligible(
                "daily_quota",
                f"one person makes at most {policy.daily_quota:,} judgments a day in this queue; come back tomorrow",
            )


def judged_today(*, queue: Queue, annotator: User, now: datetime, limit: int) -> int:
    """Count the tasks that the person has judged since midnight, up to `limit`."""
    today = Judgment.objects.filter(queue=queue, annotator=annotator, revision=1, created_at__gte=midnight(now))
    return today.order_by()[:limit].count()


def midnight(now: datetime) -> datetime:
    """Return when the day of `now` began in the site's time zone."""
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)


def languages_of(person: User) -> set[str]:
    """Return the languages of the person's profile, each also without its region: who reads pt-BR reads pt."""
    profile = AnnotatorProfile.objects.filter(user=person).first()
    codes = profile.languages if profile else []
    return {*codes, *(code.split("-")[0] for code in codes)}


def knows(person: User, domain: str) -> bool:
    """Tell whether the person's expertise in `domain` is verified and was not withdrawn since."""
    return Expertise.objects.filter(Q(withdrawn_at__isnull=True), user=person, domain=domain).exists()
