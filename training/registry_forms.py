"""Shape of what people type into the pages of checkpoints. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms

from feedback.forms import offer
from feedback.models import Project
from training.importing import importable
from training.models import Checkpoint
from training.promotions import REASON_LIMIT
from training.registry import NOTE_LIMIT

LICENCE_HELP = "Its short name, such as Apache-2.0 or CC-BY-NC-4.0. Goes into the model card."
NOTE_HELP = "What people have to know of it: what it is good for, what it is not. Markdown; goes into the model card."


class PromoteForm(forms.Form):
    reason = forms.CharField(
        label="Why",
        max_length=REASON_LIMIT,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text="What it does better than the one before, and where that was seen. The whole project reads it.",
    )


class DescribeForm(forms.Form):
    licence = forms.CharField(label="Licence of the weights", max_length=100, required=False, help_text=LICENCE_HELP)
    note = forms.CharField(
        label="Note",
        max_length=NOTE_LIMIT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 8}),
        help_text=NOTE_HELP,
    )


class DeleteForm(forms.Form):
    name = forms.CharField(label="Its name", max_length=200, help_text="Type it, so that it is the right one.")


class ImportForm(forms.Form):
    path = forms.ChoiceField(label="Model", widget=forms.Select)
    kind = forms.ChoiceField(label="It is", choices=Checkpoint.Kind.choices, initial=Checkpoint.Kind.BASE)
    parent = forms.ModelChoiceField(
        Checkpoint.objects.none(),
        label="Stands on",
        required=False,
        empty_label="Itself: a whole model",
        help_text="Of an adapter: the model that it was trained on.",
    )
    name = forms.CharField(label="Name", max_length=200, required=False, help_text="Empty: that of its folder.")
    origin = forms.CharField(
        label="Where it comes from", max_length=500, help_text="Its address on a hub, or who trained it on what."
    )
    licence = forms.CharField(label="Licence of the weights", max_length=100, required=False, help_text=LICENCE_HELP)
    note = forms.CharField(
        label="Note",
        max_length=NOTE_LIMIT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=NOTE_HELP,
    )

    def __init__(self, data: Any = None, *, project: Project) -> None:
        super().__init__(data)
        self.found = importable(project)
        field = self.fields["path"]
        assert isinstance(field, forms.ChoiceField), "people choose among what lies there"
        field.choices = [
            (str(one.path), f"{one.shown} ({'adapter' if one.is_adapter else 'whole model'})") for one in self.found
        ]
        offer(self, "parent", project.checkpoints.policies())
