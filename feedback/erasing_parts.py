"""What belongs to one person in a project, and how each part of it is emptied.

A part knows the rows that are still to be emptied, so that an erasure which was cut off finds what is left. What the
person did for the project as curator, ML staff or admin (adjudications, reviews of others, gold, guidelines) is the
project's, and stays. So do the texts of prompts that they imported: they did not write them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.contrib.admin.models import LogEntry
from django.db import models
from django.db.models import Case, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, Replace
from django.db.models.lookups import Exact
from django.utils import timezone

from feedback.models import (
    AnnotatorProfile,
    AuditEvent,
    Comment,
    Draft,
    Erasure,
    Expertise,
    Finding,
    ImportedPerson,
    Judgment,
    Membership,
    Project,
    Prompt,
    Report,
    Response,
    Review,
    Score,
    Skip,
    StandingAnswer,
    Task,
    TaskResponse,
    Turn,
    User,
)
from feedback.models.append_only import wipe
from feedback.steering import withdraw_task

GONE = [{"role": "user", "content": "[erased]"}]
"""What stands in a prompt whose words were erased; nobody is asked it any more."""


@dataclass(frozen=True)
class Whose:
    project: Project
    person: User


@dataclass(frozen=True)
class Part:
    name: str
    words: str
    """For people, in the plural: what of theirs is emptied."""
    rows: Callable[[Whose], QuerySet[Any]]
    """What is still to be emptied."""
    empty: Callable[[Sequence[Any], Erasure], object]


# Which rows ---------------------------------------------------------------------------------------------


def judgments(whose: Whose) -> QuerySet[Judgment]:
    return Judgment.objects.filter(queue__project=whose.project, annotator=whose.person, erased_by__isnull=True)


def reviews(whose: Whose) -> QuerySet[Review]:
    """What curators wrote about the person's judgments: it repeats what they said."""
    about = Review.objects.filter(judgment__queue__project=whose.project, judgment__annotator=whose.person)
    return about.exclude(reason="", fixed__isnull=True)


def comments(whose: Whose) -> QuerySet[Comment]:
    """What the person wrote, and what was written about their judgments."""
    theirs = Q(author=whose.person) | Q(judgment__annotator=whose.person)
    return Comment.objects.filter(theirs, task__queue__project=whose.project).exclude(text="")


def answers(whose: Whose) -> QuerySet[StandingAnswer]:
    found = StandingAnswer.objects.filter(standing__project=whose.project, author=whose.person)
    return found.filter(standing__person=whose.person).exclude(text="")


def drafts(whose: Whose) -> QuerySet[Draft]:
    return Draft.objects.filter(task__queue__project=whose.project, annotator=whose.person)


def skips(whose: Whose) -> QuerySet[Skip]:
    return Skip.objects.filter(task__queue__project=whose.project, annotator=whose.person).exclude(note="")


def talk_prompts(whose: Whose) -> QuerySet[Prompt]:
    """The words of their talks, unless somebody else said the very same and it is theirs too."""
    own = Exists(Turn.objects.filter(prompt=OuterRef("pk"), annotator=whose.person))
    others = Exists(Turn.objects.filter(prompt=OuterRef("pk")).exclude(annotator=whose.person))
    found = Prompt.objects.filter(own, project=whose.project, of_talk=True)
    return found.filter(~others, erased_by__isnull=True)


def talk_responses(whose: Whose) -> QuerySet[Response]:
    """What models answered to those words: it repeats them."""
    answered = Response.objects.filter(prompt__in=talk_prompts(whose).order_by().values("pk"))
    return answered.filter(erased_by__isnull=True)


def turns(whose: Whose) -> QuerySet[Turn]:
    return Turn.objects.filter(task__queue__project=whose.project, annotator=whose.person)


def responses(whose: Whose) -> QuerySet[Response]:
    return Response.objects.filter(prompt__project=whose.project, person=whose.person, erased_by__isnull=True)


def tasks(whose: Whose) -> QuerySet[Task]:
    """Tasks that would show people an emptied text."""
    shows = Exists(TaskResponse.objects.filter(task=OuterRef("pk"), response__erased_by__isnull=False))
    asked = Q(prompt__erased_by__isnull=False)
    return Task.objects.filter(Q(shows) | asked, queue__project=whose.project, withdrawn_at__isnull=True)


def findings(whose: Whose) -> QuerySet[Finding]:
    in_erased = Q(response__erased_by__isnull=False) | Q(prompt__erased_by__isnull=False)
    return Finding.objects.filter(in_erased, project=whose.project)


def scores(whose: Whose) -> QuerySet[Score]:
    return Score.objects.filter(project=whose.project, response__erased_by__isnull=False)


def events(whose: Whose) -> QuerySet[AuditEvent]:
    """The audit log's copies of what they said: before and after of acts on their judgments, and on their comments."""
    judged = Judgment.objects.filter(queue__project=whose.project, annotator=whose.person)
    said = Comment.objects.filter(Q(author=whose.person) | Q(judgment__annotator=whose.person))
    about = Q(Exists(judged.filter(pk=subject_as("judgment", models.UUIDField()))))
    about |= Q(Exists(said.filter(pk=subject_as("comment", models.BigIntegerField()))))
    own = Q(actor=whose.person, subject__in=("standing", "standinganswer"))
    kept = AuditEvent.objects.exclude(before={}, after={}, reason="")
    return kept.filter(own | about, project=whose.project)


def subject_as(kind: str, field: models.Field) -> Case:
    """Return what an event is about as the id of one kind of thing; NULL for another kind."""
    bare = Replace(OuterRef("subject_id"), Value("-"), Value(""))
    return Case(When(Exact(OuterRef("subject"), kind), then=Cast(bare, field)), default=None, output_field=field)


def reports(whose: Whose) -> QuerySet[Report]:
    """Figures that were computed with what is erased now; they are computed anew when somebody asks."""
    return Report.objects.filter(project=whose.project)


# How they are emptied -----------------------------------------------------------------------------------


def empty_judgments(ids: Sequence[Any], erasure: Erasure) -> None:
    rows = Judgment.objects.filter(pk__in=ids)
    wipe(rows, preference=None, content={}, rationale="", flags=[], erased_by=erasure)


def empty_responses(ids: Sequence[Any], erasure: Erasure) -> None:
    rows = Response.objects.filter(pk__in=ids)
    rows.update(text="", names_itself="", external_id="", sampling={}, erased_by=erasure)


def empty_prompts(ids: Sequence[Any], erasure: Erasure) -> None:
    for pk in ids:
        mark = f"erased-{pk.hex}"
        Prompt.objects.filter(pk=pk).update(
            messages=GONE, digest=mark, cluster=mark, external_id="", tags=[], erased_by=erasure
        )


def take_out(ids: Sequence[Any], erasure: Erasure) -> None:
    for task in Task.objects.filter(pk__in=ids):
        withdraw_task(task=task, withdrawn_by=erasure.requested_by, now=timezone.now())


def emptied(model: type[models.Model], **values: Any) -> Callable[[Sequence[Any], Erasure], int]:
    return lambda ids, erasure: wipe(model._default_manager.filter(pk__in=ids), **values)


def deleted(model: type[models.Model]) -> Callable[[Sequence[Any], Erasure], object]:
    return lambda ids, erasure: model._default_manager.filter(pk__in=ids).delete()


PARTS: tuple[Part, ...] = (
    Part("judgments", "judgments: what was said, why, and every flag", judgments, empty_judgments),
    Part("reviews", "words of reviews about those judgments", reviews, emptied(Review, reason="", fixed=None)),
    Part("comments", "comments by them or on their judgments", comments, emptied(Comment, text="")),
    Part("answers", "answers to decisions about their work", answers, emptied(StandingAnswer, text="")),
    Part("drafts", "drafts", drafts, deleted(Draft)),
    Part("skips", "notes on tasks that they passed over", skips, emptied(Skip, note="")),
    Part("talk_responses", "answers of models in their talks", talk_responses, empty_responses),
    Part("talk_prompts", "prompts that only they wrote, in talks", talk_prompts, empty_prompts),
    Part("turns", "turns of their talks", turns, deleted(Turn)),
    Part("responses", "responses that they wrote or edited", responses, empty_responses),
    Part("tasks", "tasks that show such a text, now taken out of their queues", tasks, take_out),
    Part("findings", "findings in those texts", findings, deleted(Finding)),
    Part("scores", "scores of those texts", scores, deleted(Score)),
    Part("events", "copies in the audit log", events, emptied(AuditEvent, before={}, after={}, reason="")),
    Part("reports", "reports computed with it, to be computed anew", reports, deleted(Report)),
)
"""In the order in which they are emptied: answers of models before the prompts by which they are found, tasks after the
texts that they show."""


# The account --------------------------------------------------------------------------------------------


def account_in_use_elsewhere(whose: Whose) -> list[str]:
    """Return the names of other projects that the person takes part in, or in which they said something."""
    member = Membership.objects.filter(project=OuterRef("pk"), user=whose.person)
    judged = Judgment.objects.filter(queue__project=OuterRef("pk"), annotator=whose.person, erased_by__isnull=True)
    others = Project.objects.exclude(pk=whose.project.pk).filter(Exists(member) | Exists(judged))
    return list(others.values_list("name", flat=True))


def close_account(whose: Whose, pseudonym: str) -> None:
    """Make the account nobody's: no name, no address, no way in, no role; what refers to it stays. Again the same."""
    person, before = whose.person, whose.person.username
    name = f"erased-{pseudonym}"
    person.username, person.first_name, person.last_name, person.email = name, "", "", ""
    person.is_active, person.last_login = False, None
    person.set_unusable_password()
    person.save()
    Membership.objects.filter(user=person).delete()
    AnnotatorProfile.objects.filter(user=person).delete()
    Expertise.objects.filter(user=person).update(evidence="")
    ImportedPerson.objects.filter(user=person).update(external_id=name)
    for relation in User._meta.related_objects:
        if relation.on_delete is models.CASCADE:  # tokens and addresses: they are nothing without the account
            relation.related_model._default_manager.filter(**{relation.field.name: person}).delete()
    LogEntry.objects.filter(content_type__model="user", object_id=str(person.pk)).update(object_repr=name)
    if before != name:
        rename_in_log(whose.project, before, name)


def rename_in_log(project: Project, before: str, after: str) -> None:
    """Put the new name where the audit log says the old one."""
    quoted = f'"{before}"'
    found = AuditEvent.objects.filter(Q(before__icontains=quoted) | Q(after__icontains=quoted), project=project)
    for event in found.iterator():
        values = {
            side: {key: after if value == before else value for key, value in getattr(event, side).items()}
            for side in ("before", "after")
        }
        wipe(AuditEvent.objects.filter(pk=event.pk), **values)
