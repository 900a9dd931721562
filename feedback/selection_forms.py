"""The form by which a curator chooses what goes into a snapshot."""

from __future__ import annotations

from typing import Any

from django import forms

from feedback.contract import ROW_SPLITS
from feedback.forms import offer
from feedback.models import Arm, Project, Queue, User
from feedback.refusals import Refusal
from feedback.schemas import TaskKind
from feedback.selection import VERDICTS, WEIGHTS, Selection, SelectionRefused
from feedback.snapshot_words import SPLIT_WORDS
from feedback.snapshots import NAME_LENGTH_LIMIT

STRENGTHS = [(0, "Any"), (1, "Slightly, or more"), (2, "Clearly, or more"), (3, "By far")]


class SelectionForm(forms.Form):
    name = forms.CharField(max_length=NAME_LENGTH_LIMIT)
    queues = forms.ModelMultipleChoiceField(
        Queue.objects.none(),
        required=False,
        help_text="None chosen means all of them.",
        widget=forms.CheckboxSelectMultiple,
    )
    kinds = forms.MultipleChoiceField(
        label="Kinds of task",
        required=False,
        help_text="None chosen means all of them. Each kind becomes rows of its own.",
        widget=forms.CheckboxSelectMultiple,
    )
    verdict = forms.ChoiceField(
        label="When several people judged one comparison",
        choices=list(VERDICTS.items()),
        required=False,
        help_text="What a curator adjudicated outranks the votes, except where every judgment stands by itself.",
    )
    weights = forms.ChoiceField(label="Weight of a row", choices=list(WEIGHTS.items()), required=False)
    min_strength = forms.TypedChoiceField(label="Preference of at least", choices=STRENGTHS, coerce=int, required=False)
    keep_ties = forms.BooleanField(
        label="Keep ties",
        required=False,
        help_text="As rankings of two responses on one rank, whatever the strength asked for. Reward models learn from "
        "them; DPO cannot.",
    )
    min_votes = forms.IntegerField(label="Votes on a comparison, at least", min_value=1, max_value=1000, required=False)
    min_posterior = forms.FloatField(
        label="How sure, at least",
        min_value=0,
        max_value=1,
        required=False,
        help_text="From 0 to 1: the share of the votes, or the model's probability.",
    )
    splits = forms.MultipleChoiceField(
        choices=[(split, SPLIT_WORDS[split]) for split in ROW_SPLITS],
        required=False,
        help_text="None chosen means all of them.",
        widget=forms.CheckboxSelectMultiple,
    )
    reviewed_only = forms.BooleanField(label="Only what was accepted in review", required=False)
    include_simulated = forms.BooleanField(
        label="Include the judgments of simulated annotators",
        required=False,
        help_text="They follow a rule, not a person's opinion. Left out unless you ask; marked in the files if you do.",
    )
    allow_personal_data = forms.BooleanField(
        label="Include texts with personal data that nobody has settled",
        required=False,
        help_text="Left out unless you ask. The card says so if you do.",
    )
    without_near_duplicates = forms.BooleanField(
        label="Leave out prompts that say nearly what another one says",
        required=False,
        help_text="Of every cluster of near-duplicates the oldest stays in; what you left as it is stays, too.",
    )
    since = forms.DateField(
        label="Judged from",
        required=False,
        widget=forms.DateInput(attrs={"type": "date"}),
        help_text="UTC, this day too.",
    )
    until = forms.DateField(
        label="Judged before", required=False, widget=forms.DateInput(attrs={"type": "date"}), help_text="UTC."
    )
    languages = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    sources = forms.MultipleChoiceField(required=False, widget=forms.CheckboxSelectMultiple)
    tags = forms.CharField(required=False, help_text="Of prompts, any of them; separated by commas.")
    arms = forms.MultipleChoiceField(
        label="Chosen by the queue",
        choices=[(arm.value, arm.label) for arm in (Arm.PRIORITY, Arm.RANDOM, Arm.NAMED, Arm.ASKED, Arm.IMPORTED)],
        required=False,
        help_text="Random alone is a fair sample of the queue.",
        widget=forms.CheckboxSelectMultiple,
    )
    without_people = forms.ModelMultipleChoiceField(User.objects.none(), label="Leave out people", required=False)
    without_days = forms.CharField(
        label="Leave out days", required=False, help_text="Such as 2026-11-25, in UTC; separated by commas."
    )
    without_guidelines = forms.MultipleChoiceField(label="Leave out guidelines", required=False)
    without_flags = forms.CharField(
        label="Leave out flags", required=False, help_text="Such as unsafe; separated by commas."
    )

    RARE = (
        *("min_votes", "min_posterior", "splits", "reviewed_only", "allow_personal_data", "without_near_duplicates"),
        *("since", "until"),
        *("languages", "sources", "tags", "arms", "without_people", "without_days", "without_guidelines"),
        "without_flags",
    )

    def __init__(self, *args: Any, project: Project, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.project = project
        offer(self, "queues", project.queues.all())
        people = User.objects.filter(memberships__project=project).distinct().order_by("username")
        offer(self, "without_people", people)
        there = set(project.queues.values_list("kind", flat=True))
        self.offer_words("kinds", [(value, label) for value, label in TaskKind.choices if value in there], fewest=2)
        for name in ("language", "source"):
            words = project.prompts.order_by(name).values_list(name, flat=True).distinct()[:100]
            self.offer_words(f"{name}s", [(word, word) for word in words if word], fewest=1)
        versions = project.queues.values_list("guidelines", "name", "guidelines__number").order_by("id")
        named = [(str(pk), f"{name}, version {number}") for pk, name, number in versions if pk]
        self.offer_words("without_guidelines", named, fewest=2)

    def offer_words(self, name: str, choices: list[tuple[str, str]], *, fewest: int) -> None:
        """Let the field choose among `choices`; without it where there is nothing to choose."""
        if len(choices) < fewest:
            del self.fields[name]
        else:
            self.fields[name].choices = choices  # type: ignore[attr-defined]  # a field of choices

    def rare(self) -> list[forms.BoundField]:
        """Return the fields that few freezes need."""
        return [self[name] for name in self.RARE if name in self.fields]

    def selection(self) -> Selection:
        """Return what was chosen; of a form with errors, what there is of it. Raises SelectionRefused."""
        asked = getattr(self, "cleaned_data", {})
        values: dict[str, Any] = {
            "queues": [str(queue.pk) for queue in asked.get("queues") or ()] or None,
            "kinds": list(asked.get("kinds") or ()) or None,
            "splits": list(asked.get("splits") or ()) or None,
            "without_people": [person.pk for person in asked.get("without_people") or ()],
            "without_guidelines": [int(pk) for pk in asked.get("without_guidelines") or ()],
        }
        for name in ("languages", "sources", "arms"):
            values[name] = list(asked.get(name) or ())
        for name in ("tags", "without_days", "without_flags"):
            values[name] = [word.strip() for word in (asked.get(name) or "").split(",") if word.strip()]
        for name in ("since", "until"):
            values[name] = asked[name].isoformat() if asked.get(name) else ""
        for name in (
            "keep_ties",
            "reviewed_only",
            "include_simulated",
            "allow_personal_data",
            "without_near_duplicates",
        ):
            values[name] = bool(asked.get(name))
        for name in ("verdict", "weights", "min_strength", "min_votes", "min_posterior"):
            if asked.get(name):
                values[name] = asked[name]
        return Selection.from_json(values)

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        try:
            self.selection()
        except SelectionRefused as refusal:
            self.show(refusal)
        return cleaned

    def show(self, refusal: Refusal) -> None:
        self.add_error(refusal.field if refusal.field in self.fields else None, refusal.message)
