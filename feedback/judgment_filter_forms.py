"""What a reader of judgments chose among them: as an address, a bulk action and a query of the API say it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

from django import forms
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db.models import Exists, OuterRef
from django.http import QueryDict
from django.utils import timezone

from feedback.forms import offer
from feedback.judgment_search import Search, Sift, really_differing, really_failing_gold
from feedback.models import Arm, Judgment, Project, Queue, Snapshot, User
from feedback.models.judgments import SEARCH_LIMIT, JudgmentQuerySet
from feedback.refusals import Refusal
from feedback.schemas import TaskKind
from feedback.scores import contradicting, scorers
from feedback.snapshot_members import MembersGone, held_among

ANY_FLAG = "any"


def day_field(label: str) -> forms.DateField:
    """Return a field for a day that any database can compare with."""
    within = [MinValueValidator(date(1970, 1, 1)), MaxValueValidator(date(9998, 12, 31))]
    return forms.DateField(
        label=label, required=False, validators=within, widget=forms.DateInput(attrs={"type": "date"})
    )


class FilterRefused(Refusal):
    """What was asked for cannot be found by; `field` says which value is wrong."""


class JudgmentFilter(forms.Form):
    queue = forms.ModelChoiceField(Queue.objects.none(), required=False, empty_label="Any")
    kind = forms.ChoiceField(choices=[("", "Any"), *TaskKind.choices], required=False)
    annotator = forms.ModelChoiceField(User.objects.none(), required=False, empty_label="Anyone")
    review = forms.ChoiceField(
        choices=[
            ("", "Any"),
            ("none", "Not reviewed"),
            ("accepted", "Accepted"),
            ("fixed", "Fixed"),
            ("rejected", "Rejected"),
        ],
        required=False,
    )
    q = forms.CharField(label="Text", max_length=SEARCH_LIMIT, required=False)
    drawn = forms.BooleanField(label="Drawn for review", required=False)
    differing = forms.BooleanField(label="People differ", required=False)
    gold = forms.ChoiceField(
        choices=[("", "Any"), ("wrong", "Not right by the gold"), ("any", "Gold tasks")], required=False
    )
    flag = forms.ChoiceField(label="Flag", required=False)
    against = forms.ChoiceField(label="Against the reward model", required=False)
    gap = forms.FloatField(label="By a gap of more than", min_value=0, required=False)
    strength = forms.ChoiceField(
        choices=[("", "Any"), ("0", "Tie"), ("1", "1"), ("2", "2"), ("3", "3")], required=False
    )
    arm = forms.ChoiceField(label="Handed out", choices=[("", "Any"), *Arm.choices], required=False)
    language = forms.CharField(max_length=20, required=False)
    since = day_field("From")
    until = day_field("To")
    simulated = forms.ChoiceField(
        label="Made by",
        choices=[("", "Anyone"), ("no", "People"), ("yes", "Simulated annotators"), ("imported", "Imported")],
        required=False,
    )
    commented = forms.BooleanField(label="With comments", required=False)
    snapshot = forms.ModelChoiceField(Snapshot.objects.none(), required=False, empty_label="Any")
    order = forms.ChoiceField(choices=[("", "Newest first"), ("oldest", "Oldest first")], required=False)

    FIRST = ("queue", "review", "annotator", "q")
    """Fields that always stand open; the others are folded away until one of them is used."""

    def __init__(self, data: Mapping[str, Any] | None, *, project: Project, names: Callable[[User], str] = str) -> None:
        """`names` turns an annotator into the name that the reader may see."""
        super().__init__(data or {}, label_suffix="")
        self.project = project
        self.queues = tuple(project.queues.select_related("schema"))
        offer(self, "queue", project.queues.all())
        offer(self, "snapshot", project.snapshots.all())
        theirs = Judgment.objects.filter(annotator=OuterRef("pk"), queue__in=[queue.pk for queue in self.queues])
        annotator = offer(self, "annotator", User.objects.filter(Exists(theirs)).order_by("username"))
        annotator.label_from_instance = names  # type: ignore[assignment]  # the field is this form's own copy
        self.choose("flag", [("", "Any or none"), (ANY_FLAG, "Any flag"), *flags_of(self.queues)])
        known = scorers(project)
        self.choose("against", [("", "Any"), *((str(scorer.pk), scorer.name) for scorer in known)])
        if not known:
            del self.fields["against"], self.fields["gap"]

    def choose(self, name: str, choices: Sequence[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField), f"{name} is a choice"
        field.choices = choices

    @property
    def asked(self) -> dict[str, Any]:
        """Return what was chosen, without what was left open; nothing where something cannot be understood."""
        chosen = self.cleaned_data if self.is_valid() else {}
        return {name: value for name, value in chosen.items() if value not in (None, "", False)}

    @property
    def is_narrow(self) -> bool:
        return bool(set(self.asked) - {"order"})

    @property
    def newest_first(self) -> bool:
        return "order" not in self.asked

    @property
    def first(self) -> list[forms.BoundField]:
        return [self[name] for name in self.FIRST]

    @property
    def further(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name not in self.FIRST]

    @property
    def uses_further(self) -> bool:
        return bool(set(self.asked) - set(self.FIRST)) or bool(set(self.errors) - set(self.FIRST))

    @property
    def query(self) -> str:
        """Return the filters as they stand in an address."""
        said = QueryDict(mutable=True)
        said.update(self.as_told())
        return said.urlencode()

    def as_told(self) -> dict[str, str]:
        """Return the filters as texts: what a form built from them says is the same."""
        return {name: told(value) for name, value in self.asked.items()}

    def check(self) -> None:
        """Raise FilterRefused unless all of it can be understood: a bulk action must not take more than was meant."""
        for name, errors in self.errors.items():
            raise FilterRefused(name, str(errors[0]))

    def search(self, *, without: User | None = None) -> Search:
        """Return the search that finds what was chosen; `without` leaves out what one person judged."""
        asked = self.asked
        chosen = (asked["queue"],) if "queue" in asked else self.queues
        if "kind" in asked:
            chosen = tuple(queue for queue in chosen if queue.kind == asked["kind"])
        person = asked.get("annotator")
        return Search(
            queues=chosen,
            annotator=None if person is None else person.pk,
            narrow=partial(narrowed, asked=asked, without=without),
            sifts=tuple(sifts_for(asked, chosen)),
        )


def told(value: Any) -> str:
    if value is True:
        return "on"
    return str(getattr(value, "pk", value))


def flags_of(queues: Sequence[Queue]) -> list[tuple[str, str]]:
    """Return key and label of every flag that the queues' label schemas have."""
    found: dict[str, str] = {}
    for queue in queues:
        if queue.schema is not None:
            queue.schema.queue = queue
            for flag in queue.schema.asks.flags:
                found.setdefault(flag.key, flag.label)
    return sorted(found.items(), key=lambda flag: flag[1])


def narrowed(judgments: JudgmentQuerySet, *, asked: Mapping[str, Any], without: User | None) -> JudgmentQuerySet:
    """Keep those that the filters ask for, as far as the database can tell."""
    if without is not None:
        judgments = judgments.exclude(annotator=without)
    if "review" in asked:
        states = {"none": ("",), "accepted": ("accepted", "fixed")}.get(asked["review"], (asked["review"],))
        judgments = judgments.in_review_state(*states)
    if "drawn" in asked:
        judgments = judgments.drawn_for_review()
    if "flag" in asked:
        judgments = judgments.flagged("" if asked["flag"] == ANY_FLAG else asked["flag"])
    if "strength" in asked:
        judgments = judgments.of_strength(int(asked["strength"]))
    if "arm" in asked:
        judgments = judgments.filter(arm=asked["arm"])
    if "simulated" in asked:
        made = {"no": judgments.by_people, "yes": judgments.simulated, "imported": judgments.imported}
        judgments = made[asked["simulated"]]()
    if "since" in asked or "until" in asked:
        judgments = judgments.between(*days(asked.get("since"), asked.get("until")))
    if "language" in asked:
        judgments = judgments.filter(task__prompt__language=asked["language"])
    if "commented" in asked:
        judgments = judgments.commented()
    if "differing" in asked:
        judgments = judgments.differing()
    if "gold" in asked:
        judgments = judgments.failing_gold() if asked["gold"] == "wrong" else judgments.on_gold()
    if "against" in asked:
        judgments = contradicting(judgments, uuid.UUID(asked["against"]), asked.get("gap") or 0.0)
    if "q" in asked:
        judgments = judgments.mentioning(asked["q"])
    return judgments


def sifts_for(asked: Mapping[str, Any], queues: Sequence[Queue]) -> list[Sift]:
    """Return what Python has to decide; comparisons are decided by the database."""
    found: list[Sift] = []
    several = any(queue.kind in (TaskKind.RANKING, TaskKind.RATING) for queue in queues)
    if several and "differing" in asked:
        found.append(really_differing)
    if several and asked.get("gold") == "wrong":
        found.append(really_failing_gold)
    if "snapshot" in asked:
        found.append(partial(in_snapshot, snapshot=asked["snapshot"]))
    return found


def in_snapshot(judgments: Sequence[Judgment], *, snapshot: Snapshot) -> list[Judgment]:
    try:
        kept = set(held_among(snapshot, [judgment.pk for judgment in judgments]))
    except MembersGone:
        return []
    return [judgment for judgment in judgments if judgment.pk in kept]


def days(since: Any, until: Any) -> tuple[datetime | None, datetime | None]:
    """Return the moments at which the first day begins and the last one is over."""

    def midnight(day: Any) -> datetime:
        return timezone.make_aware(datetime.combine(day, time.min))

    return (
        None if since is None else midnight(since),
        None if until is None else midnight(until + timedelta(days=1)),
    )
