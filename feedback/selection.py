"""Choose judgments for a snapshot or a figure: which are considered, and which of those are left out, and why."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from typing import Any

from django.db.models import Case, CharField, Exists, IntegerField, OuterRef, Q, QuerySet, TextField, Value, When
from django.db.models.functions import Cast, StrIndex, Substr

from feedback.contract import PREFERENCE_LIMIT, ROW_SPLITS
from feedback.hygiene.unsettled import PERSONAL, REPEATS, judgments_with, stays_out, undecided
from feedback.models import (
    Arm,
    Assignment,
    Consent,
    Gold,
    HeldOutPerson,
    Judgment,
    Project,
    Review,
    Skip,
    Task,
    TaskResponse,
)
from feedback.models.judgments import JudgmentQuerySet
from feedback.refusals import Refusal
from feedback.responses import storable
from feedback.schemas import TaskKind

LATEST, MAJORITY, DAWID_SKENE, ADJUDICATED = "latest", "majority", "dawid_skene", "adjudicated"
VERDICTS: Mapping[str, str] = {
    LATEST: "Every judgment by itself: one row for each",
    MAJORITY: "What more than half of a task's votes say",
    DAWID_SKENE: "What is likeliest, given how often each person is right (Dawid-Skene)",
    ADJUDICATED: "Only what a curator has adjudicated",
}
"""How the judgments of one task become rows. An adjudication outranks the votes under every rule but `latest`."""

WEIGHTS: Mapping[str, str] = {
    "none": "All rows alike",
    "posterior": "By how sure the verdict is",
    "reliability": "By how often the annotators are right",
    "propensity": "By how rarely such responses were drawn (inverse propensity)",
}

LEFT_OUT: Mapping[str, str] = {
    "erased": "erased at a person's request, or on texts that were",
    "consent": "whose annotator has withdrawn consent",
    "simulated": "by simulated annotators",
    "rejected": "rejected in review",
    "qualification": "from qualification tests",
    "gold": "on gold",
    "repeat": "of repeated tasks",
    "discarded": "on tasks that a curator left out",
    "names_model": "on responses that name their model",
    "text_left_out": "on texts that a curator left out",
    "personal_data": "with personal data that nobody has settled",
    "near_duplicate": "on prompts that say nearly what another one says",
    "not_reviewed": "not accepted in review",
    "person": "of people left out of this selection",
    "day": "of days left out of this selection",
    "guideline": "under guidelines left out of this selection",
    "flag": "with flags left out of this selection",
    "split": "in splits left out of this selection",
    "tie": "ties",
    "weak": "of too little strength",
    "few_votes": "on tasks with too few votes",
    "undecided": "on tasks whose votes decide nothing",
    "not_adjudicated": "on tasks that nobody has adjudicated",
}
"""Why a judgment stays out, in words. The first reason that holds is the one that counts.

A qualification test says something of the person, not of the responses. Gold has an answer already, and everybody
judges it: its share of the rows would be a policy's choice. A repeat is one person's second look at a task that their
first judgment stands for. Of tasks that a curator left out for good, and of responses whose tasks a curator took out
because they name their model, what was judged before counts no more. A tie names no better response, and stays out
unless ties are kept; where people vote it is a vote. The last three are of tasks: `feedback.snapshot_verdicts` finds
them.
"""
OF_TASKS = ("few_votes", "undecided", "not_adjudicated")


class SelectionRefused(Refusal):
    """The selection cannot be as asked; `field` says which part of it."""


@dataclass(frozen=True)
class Selection:
    """What goes in, and what becomes of it. None and empty mean all; ids are those of the database."""

    queues: tuple[str, ...] | None = None
    kinds: tuple[str, ...] | None = None
    include_simulated: bool = False
    verdict: str = LATEST
    weights: str = "none"
    splits: tuple[str, ...] | None = None
    min_strength: int = 0
    """Comparisons: smallest size of a preference; where people vote, of the mean over those who agree."""
    keep_ties: bool = False
    """Ties of comparisons and in talks go in, too, as rankings of two responses on one rank, whatever the strength."""
    min_votes: int = 1
    min_posterior: float = 0.0
    since: str = ""
    """ISO time; judgments made before are not considered."""
    until: str = ""
    """ISO time; judgments made then or later are not considered."""
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    """Any of them."""
    sources: tuple[str, ...] = ()
    arms: tuple[str, ...] = ()
    reviewed_only: bool = False
    """Only what was accepted in review."""
    allow_personal_data: bool = False
    """Take texts whose personal data nobody has settled, too."""
    without_near_duplicates: bool = False
    """Leave out prompts that say nearly what an older prompt says, or one of another split, undecided."""
    without_people: tuple[int, ...] = ()
    without_days: tuple[str, ...] = ()
    """ISO dates, in UTC."""
    without_guidelines: tuple[int, ...] = ()
    without_flags: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        check_words("kinds", self.kinds or (), TaskKind.values)
        check_words("verdict", [self.verdict], VERDICTS)
        check_words("weights", [self.weights], WEIGHTS)
        check_words("splits", self.splits or (), ROW_SPLITS)
        check_words("arms", self.arms, Arm.values)
        for name, low, high in (("min_strength", 0, 3), ("min_votes", 1, 1000), ("min_posterior", 0, 1)):
            if not low <= getattr(self, name) <= high:
                raise SelectionRefused(name, f"give a number from {low} to {high}")
        for name in ("since", "until"):
            if getattr(self, name):
                moment(name, getattr(self, name))
        for day in self.without_days:
            try:
                date.fromisoformat(day)
            except ValueError as error:
                raise SelectionRefused("without_days", f"{day!r} is not a date such as 2026-11-25") from error
        for queue in self.queues or ():
            try:
                uuid.UUID(queue)
            except ValueError as error:
                raise SelectionRefused("queues", f"{queue!r} is not the id of a queue") from error
        if self.verdict == LATEST and (self.min_votes > 1 or self.min_posterior > 0):
            raise SelectionRefused("verdict", "min_votes and min_posterior need a rule by which people vote")

    def to_json(self) -> dict[str, Any]:
        """Return what differs from the default, as JSON holds it."""
        plain = Selection()
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
            if value != getattr(plain, name)
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Selection:
        """Return the selection that these values mean. Raises SelectionRefused for an unknown name or a bad value."""
        if not isinstance(values, Mapping):
            raise SelectionRefused("selection", f"give an object, not {type(values).__name__}")
        known = {field.name: getattr(cls(), field.name) for field in fields(cls)}
        if unknown := sorted(set(values) - set(known)):
            raise SelectionRefused(unknown[0], f"no such choice; there are {', '.join(known)}")
        return cls(**{name: of_type(name, known[name], value) for name, value in values.items()})

    def considered(self, project: Project) -> JudgmentQuerySet:
        """Return the latest judgments that the selection asks for, each with `left_out`.

        `left_out` is one of LEFT_OUT, or "" for a judgment that goes in. OF_TASKS are not among them here.
        """
        chosen = Judgment.objects.filter(superseded_by__isnull=True).in_project(project)
        if self.queues is not None:
            chosen = chosen.filter(queue__in=[uuid.UUID(queue) for queue in self.queues])
        if self.kinds is not None:
            chosen = chosen.filter(queue__kind__in=self.kinds)
        if self.since:
            chosen = chosen.filter(created_at__gte=moment("since", self.since))
        if self.until:
            chosen = chosen.filter(created_at__lt=moment("until", self.until))
        if self.arms:
            chosen = chosen.filter(arm__in=self.arms)
        if self.languages:
            chosen = chosen.filter(task__prompt__language__in=self.languages)
        if self.sources:
            chosen = chosen.filter(task__prompt__source__in=self.sources)
        if self.tags:
            tagged = Q()
            for number, tag in enumerate(self.tags):
                chosen, has = mentions(chosen, f"tag_{number}", "task__prompt__tags", *in_json(tag))
                tagged |= has
            chosen = chosen.filter(tagged)
        return self.with_left_out(chosen, project)

    def eligible(self, project: Project) -> JudgmentQuerySet:
        """Return those that go in: considered, and left out for no reason."""
        return self.considered(project).filter(left_out="")  # type: ignore[misc]  # annotated by with_left_out

    def with_left_out(self, chosen: JudgmentQuerySet, project: Project) -> JudgmentQuerySet:
        raised = Q(pk__in=[])
        for number, flag in enumerate(self.without_flags):
            chosen, has = mentions(chosen, f"flag_{number}", "flags", f'"flag": {json.dumps(flag)}')
            raised |= has
        if self.without_days:
            chosen = chosen.annotate(made_on=Substr(Cast("created_at", TextField()), 1, 10))
        holds = {
            **of_the_project(project),
            "not_reviewed": ~Q(pk__in=latest_reviews(project, accepted=True)),
            "person": Q(annotator__in=self.without_people),
            "day": Q(made_on__in=self.without_days) if self.without_days else None,
            "guideline": Q(guideline__in=self.without_guidelines),
            "flag": raised if self.without_flags else None,
            "split": self.outside_splits(project),
            **(self.of_single_votes(project) if self.verdict == LATEST else {}),
        }
        if self.include_simulated:
            del holds["simulated"]
        if not self.reviewed_only:
            del holds["not_reviewed"]
        if self.allow_personal_data:
            del holds["personal_data"]
        if not self.without_near_duplicates:
            del holds["near_duplicate"]
        reasons = [When(when, then=Value(why)) for why in LEFT_OUT if (when := holds.get(why)) is not None]
        return chosen.annotate(left_out=Case(*reasons, default=Value(""), output_field=CharField(max_length=20)))

    def of_single_votes(self, project: Project) -> dict[str, Q]:
        """Return what keeps one comparison out by itself; one that a reviewer fixed is looked at once it is read."""
        as_said = ~Q(pk__in=latest_reviews(project, fixed__isnull=False))
        found = {}
        for why in ("tie", "weak"):
            which = [one for one in range(-PREFERENCE_LIMIT, PREFERENCE_LIMIT + 1) if self.why_not(abs(one)) == why]
            if which:
                found[why] = Q(preference__in=which) & as_said
        return found

    def why_not(self, strength: int) -> str:
        """Return why a preference of this strength stays out, 0 for a tie; "" for one that goes in."""
        if not strength:
            return "" if self.keep_ties else "tie"
        return "weak" if strength < self.min_strength else ""

    def outside_splits(self, project: Project) -> Q | None:
        if self.splits is None:
            return None
        kept_apart = Q(annotator__in=HeldOutPerson.objects.filter(project=project).values("person"))
        inside = ~kept_apart & Q(task__prompt__split__in=self.splits)
        if ROW_SPLITS[-1] in self.splits:
            inside |= kept_apart
        return ~inside


def of_the_project(project: Project) -> dict[str, Any]:
    """Return the conditions that no selection chooses. They name sets of ids that the database builds once."""
    withdrawn = Consent.objects.filter(project=project, withdrawn_at__isnull=False)
    in_force = Consent.objects.filter(project=project, withdrawn_at__isnull=True)
    discarded = Skip.objects.filter(
        Exists(Assignment.objects.filter(task=OuterRef("task"), state=Assignment.State.WITHDRAWN)),
        settlement="discard",
        task__queue__project=project,
    )
    named = TaskResponse.objects.filter(response__naming_settlement="discard", task__queue__project=project)
    erased = TaskResponse.objects.filter(response__erased_by__isnull=False, task__queue__project=project)
    erased_prompts = Task.objects.filter(queue__project=project, prompt__erased_by__isnull=False)
    return {
        "erased": Q(erased_by__isnull=False)
        | Q(task__in=erased.values("task"))
        | Q(task__in=erased_prompts.values("pk")),
        "consent": Q(annotator__in=withdrawn.values("person")) & ~Q(annotator__in=in_force.values("person")),
        "simulated": ~Q(simulation_rule=""),
        "rejected": Q(pk__in=latest_reviews(project, accepted=False)),
        "qualification": Q(queue__is_qualification=True),
        "gold": Q(task__in=Gold.objects.filter(queue__project=project).values("task")),
        "repeat": Q(task__in=Task.objects.filter(queue__project=project, repeat_of__isnull=False).values("pk")),
        "discarded": Q(task__in=discarded.values("task")),
        "names_model": Q(task__in=named.values("task")),
        "text_left_out": judgments_with(stays_out(project)),
        "personal_data": judgments_with(undecided(project, PERSONAL)),
        "near_duplicate": judgments_with(undecided(project, REPEATS)),
    }


def latest_reviews(project: Project, **said: Any) -> QuerySet[Review, Any]:
    """Return the judgments whose latest review is such; read once, not for every judgment."""
    later = Review.objects.filter(judgment=OuterRef("judgment"), pk__gt=OuterRef("pk"))
    return Review.objects.filter(~Exists(later), judgment__queue__project=project, **said).values("judgment")


def mentions(rows: JudgmentQuerySet, name: str, field: str, *texts: str) -> tuple[JudgmentQuerySet, Q]:
    """Annotate where in the JSON of `field` one of the texts stands, and return the condition that one does."""
    found = Q()
    for number, text in enumerate(
        dict.fromkeys([texts[0], *(json.dumps(one, ensure_ascii=False) for one in texts[1:])])
    ):
        place = StrIndex(Cast(field, TextField()), Value(text), output_field=IntegerField())
        rows = rows.annotate(**{f"{name}_{number}": place})
        found |= Q(**{f"{name}_{number}__gt": 0})
    return rows, found


def in_json(text: str) -> tuple[str, str]:
    """Return a text as databases keep it in JSON: SQLite with characters beyond ASCII as escapes, PostgreSQL not."""
    return json.dumps(text), json.dumps(text, ensure_ascii=False)


def moment(name: str, text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise SelectionRefused(name, f"{text!r} is not a time such as 2026-11-25T08:00:00Z") from error


def check_words(name: str, words: Sequence[str], known: Any) -> None:
    if unknown := sorted(set(words) - set(known)):
        raise SelectionRefused(name, f"{unknown[0]!r} is not one of {', '.join(known)}")


LARGEST_ID = 2**63 - 1
NUMBERS = ("without_people", "without_guidelines")


def of_type(name: str, default: Any, value: Any) -> Any:
    """Return a value of JSON as the field holds it. Raises SelectionRefused."""
    if name in ("queues", "kinds", "splits") and value is None:
        return None
    if isinstance(default, tuple) or default is None:
        wanted = int if name in NUMBERS else str
        if not isinstance(value, list) or any(not isinstance(one, wanted) or isinstance(one, bool) for one in value):
            raise SelectionRefused(name, f"give a list of {'numbers' if wanted is int else 'texts'}")
        if wanted is int and any(abs(one) > LARGEST_ID for one in value):
            raise SelectionRefused(name, "a number is too large to be an id")
        if wanted is str and any(storable(one) != one for one in value):
            raise SelectionRefused(name, "a text holds NUL or half a character, which nothing here does")
        return tuple(dict.fromkeys(value))
    kinds = (int, float) if isinstance(default, float) else type(default)
    if not isinstance(value, kinds) or (isinstance(value, bool) and not isinstance(default, bool)):
        words = {bool: "true or false", str: "a text"}.get(type(default), "a number")
        raise SelectionRefused(name, f"give {words}, not {value!r}")
    return value


def without(selection: Selection, **more: Iterable[Any]) -> Selection:
    """Return the selection without these `people`, `days`, `guidelines` or `flags`, too."""
    wider: dict[str, Any] = {}
    for what, values in more.items():
        name = f"without_{what}"
        wider[name] = tuple(dict.fromkeys([*getattr(selection, name), *values]))
    return replace(selection, **wider)
