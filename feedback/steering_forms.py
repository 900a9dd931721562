"""Shape of what people type to steer tasks and to look after the people who label. The verbs decide what is allowed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, Q, QuerySet

from feedback.finding import says, with_tag
from feedback.gold import EXPLANATION_LENGTH_LIMIT
from feedback.models import Assignment, Gold, Project, Queue, Role, Skip, Task, User
from feedback.people import EVIDENCE_LENGTH_LIMIT, HOURLY_RATE_LIMIT
from feedback.qualifying import REASON_LENGTH_LIMIT
from feedback.steering import PRIORITY_LIMIT

STANDS = [
    ("", "Any"),
    ("waiting", "Waiting"),
    ("held", "In hand"),
    ("done", "Done"),
    ("withdrawn", "Taken out"),
    ("review", "Up for review"),
    ("gold", "Gold"),
    ("plain", "Without a gold answer"),
]


class TaskFilter(forms.Form):
    q = forms.CharField(label="Search", required=False, max_length=200)
    stands = forms.ChoiceField(label="Stands", choices=STANDS, required=False)
    tag = forms.CharField(required=False, max_length=100)

    def select(self, tasks: QuerySet[Task], now: datetime) -> QuerySet[Task]:
        asked = self.cleaned_data if self.is_valid() else {}
        if asked.get("q"):
            tasks = tasks.filter(says("prompt__messages", asked["q"]))
        if asked.get("tag"):
            tasks = tasks.filter(with_tag("prompt__tags", asked["tag"]))
        slots = Assignment.objects.filter(task=OuterRef("pk"))
        unfinished = slots.filter(state__in=[Assignment.State.OPEN, Assignment.State.LEASED])
        wanted = {
            "waiting": Exists(slots.claimable(now)),
            "held": Exists(slots.filter(state=Assignment.State.LEASED, lease_expires_at__gt=now)),
            "done": Exists(slots.done()) & ~Exists(unfinished),
            "withdrawn": Exists(slots.filter(state=Assignment.State.WITHDRAWN)),
            "review": Exists(Skip.objects.up_for_review().filter(task=OuterRef("pk"))),
            "gold": Exists(Gold.objects.filter(task=OuterRef("pk"))),
            "plain": ~Exists(Gold.objects.filter(task=OuterRef("pk"))),
        }
        return tasks.filter(wanted[asked["stands"]]) if asked.get("stands") else tasks

    @property
    def is_narrow(self) -> bool:
        return self.is_valid() and any(self.cleaned_data.values())


class PriorityForm(forms.Form):
    priority = forms.FloatField(
        min_value=-PRIORITY_LIMIT, max_value=PRIORITY_LIMIT, initial=0, help_text="Higher comes first; 0 is usual."
    )


class TagPriorityForm(PriorityForm):
    tag = forms.CharField(max_length=100, help_text="Of the prompt.")
    field_order = ["tag", "priority"]


class PersonForm(forms.Form):
    """Choose one of the project's annotators."""

    person = forms.ModelChoiceField(User.objects.none(), empty_label="Choose an annotator")

    def __init__(self, data: Any = None, *, project: Project, **kwargs: Any) -> None:
        super().__init__(data, **kwargs)
        field = self.fields["person"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = annotators_of(project)


def annotators_of(project: Project) -> QuerySet[User]:
    here = Q(memberships__project=project, memberships__role=Role.ANNOTATOR)
    return User.objects.filter(here, is_active=True).order_by("simulation_rule", "username")


class GoldForm(forms.Form):
    explanation = forms.CharField(
        required=False,
        max_length=EXPLANATION_LENGTH_LIMIT,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text="Why this is the good answer. Shown to people whose queue lets them see gold evidence.",
    )


class SettleForm(forms.Form):
    settlement = forms.CharField(max_length=20)


class DecisionForm(forms.Form):
    passed = forms.ChoiceField(choices=[("yes", "Passed"), ("no", "Not passed")])
    reason = forms.CharField(max_length=REASON_LENGTH_LIMIT, help_text="What the decision rests on.")


class DecideForm(PersonForm, DecisionForm):
    field_order = ["person", "passed", "reason"]


class LanguagesForm(forms.Form):
    languages = forms.CharField(
        required=False, max_length=400, help_text="Codes such as en or pt-BR, separated by commas."
    )

    def clean_languages(self) -> list[str]:
        return [code.strip() for code in self.cleaned_data["languages"].split(",") if code.strip()]


class ProfileForm(LanguagesForm):
    """As an admin sees it: what an hour costs is nobody else's business."""

    hourly_rate = forms.DecimalField(required=False, min_value=0, max_value=HOURLY_RATE_LIMIT, decimal_places=2)
    currency = forms.CharField(required=False, max_length=3, help_text="Three letters, for example EUR.")


class ExpertiseForm(forms.Form):
    domain = forms.CharField(max_length=60, help_text="For example medicine.")
    evidence = forms.CharField(
        max_length=EVIDENCE_LENGTH_LIMIT,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="What it rests on: a degree, a licence, years at work.",
    )


class SkipFilter(forms.Form):
    stands = forms.ChoiceField(
        label="Show", choices=[("", "Up for review"), ("settled", "Settled"), ("all", "All skips")], required=False
    )
    queue = forms.ModelChoiceField(Queue.objects.none(), required=False, empty_label="Any")

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data, label_suffix="")
        field = self.fields["queue"]
        assert isinstance(field, forms.ModelChoiceField)
        field.queryset = project.queues.all()

    def select(self) -> QuerySet[Skip]:
        asked = self.cleaned_data if self.is_valid() else {}
        skips = Skip.objects.all()
        if not asked.get("stands"):
            skips = Skip.objects.up_for_review()
        elif asked["stands"] == "settled":
            skips = skips.filter(settled_at__isnull=False)
        return skips.filter(task__queue=asked["queue"]) if asked.get("queue") else skips
