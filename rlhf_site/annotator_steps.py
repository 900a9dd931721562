"""What an annotator should do next in a project, in their language."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from feedback.models import Judgment, Project, Queue, User
from feedback.own_queues import OwnQueue, own_queues
from feedback.schemas import TaskKind
from feedback.standings import suspension_of
from rlhf_site.steps import Step

WHAT_TO_DO = {
    TaskKind.COMPARISON: gettext_lazy("Read the prompt and two responses, say which one is better."),
    TaskKind.RANKING: gettext_lazy("Read several responses and rank them from best to worst."),
    TaskKind.RATING: gettext_lazy("Read each response and rate it."),
    TaskKind.DEMONSTRATION: gettext_lazy("Write the response that you would like to get."),
    TaskKind.CORRECTION: gettext_lazy("Correct what a response gets wrong."),
    TaskKind.CONVERSATION: gettext_lazy("Talk with an assistant and choose the better answer at every turn."),
}


def annotator_steps(project: Project, person: User, now: datetime) -> Iterator[Step]:
    suspension = suspension_of(project=project, person=person)
    if suspension is not None:
        yield Step(
            _("You get no new tasks in this project for now"),
            suspension.reason,
            reverse("own-standing", args=[project.slug]),
            _("See why, and answer"),
            "blocked",
        )
    queues = project.queues.exclude(state=Queue.State.CLOSED).order_by("id").in_force()
    for own in own_queues(queues=queues, annotator=person, now=now):
        step = queue_step(own, now)
        if step is not None:
            yield step
    rejected = own_rejected(project, person)
    if rejected is not None:
        review = rejected.reviews.filter(accepted=False).first()
        yield Step(
            _("Look again at a judgment of yours in %(queue)s") % {"queue": rejected.queue.name},
            review.reason if review is not None else _("A curator rejected it."),
            reverse("label-revise", args=[rejected.queue_id, rejected.pk]),
            _("Look again"),
            "rejected",
        )


def queue_step(own: OwnQueue, now: datetime) -> Step | None:
    """Return what the person can do in one queue; None where nothing waits."""
    queue, url = own.queue, reverse("label", args=[own.queue.pk])
    if own.held is not None and own.held.lease_expires_at is not None:
        minutes = max(1, int((own.held.lease_expires_at - now).total_seconds() // 60))
        kept = ngettext(
            "A task is kept for you for another minute.", "A task is kept for you for another %(minutes)d min.", minutes
        )
        return Step(_("Go on in %(queue)s") % {"queue": queue.name}, kept % {"minutes": minutes}, url, _("Continue"))
    if own.refusal is not None and own.refusal.code == "qualification" and queue.policy is not None:
        test = queue.policy.qualification
        assert test is not None, "the refusal names a test"
        return Step(
            _("%(queue)s opens with a test") % {"queue": queue.name},
            _("Pass %(test)s first.") % {"test": test.name},
            reverse("label", args=[test.pk]),
            _("Take the test"),
        )
    if not own.has_work:
        return None
    waiting = own.progress.left
    words = {"count": waiting, "queue": queue.name}
    if own.progress.left_is_more:
        title = _("More than %(count)d tasks wait in %(queue)s") % {**words, "count": waiting - 1}
    elif own.progress.is_rounded:
        title = _("About %(count)d tasks wait in %(queue)s") % words
    else:
        title = ngettext("%(count)d task waits in %(queue)s", "%(count)d tasks wait in %(queue)s", waiting) % words
    return Step(title, str(WHAT_TO_DO[TaskKind(queue.kind)]), url, _("Start labeling"))


def own_rejected(project: Project, person: User) -> Judgment | None:
    """Return the person's newest judgment that stands rejected and is not revised yet."""
    mine = person.judgments.in_project(project).current().rejected()
    return mine.exclude(queue__state=Queue.State.CLOSED).select_related("queue").first()
