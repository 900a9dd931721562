"""What the annotator's pages send."""

from __future__ import annotations

from typing import Any

from django import forms

from feedback.claims import NOTE_LENGTH_LIMIT
from feedback.contract import PREFERENCE_LIMIT
from feedback.judging import RATIONALE_LENGTH_LIMIT, Flag
from feedback.models import Skip

STEPS = [(step, str(step)) for step in range(-PREFERENCE_LIMIT, PREFERENCE_LIMIT + 1)]
NO_CHOICE = {"required": "Choose a step of the scale first.", "invalid_choice": "That is no step of the scale."}


class ActiveSecondsField(forms.FloatField):
    """Seconds that a script has counted; a page without scripts sends none."""

    def clean(self, value: Any) -> float:
        return super().clean(value) or 0.0


class RationaleField(forms.CharField):
    """Text as it was typed; browsers send every line break as two characters, which the limit must not count."""

    def to_python(self, value: Any) -> str:
        return (super().to_python(value) or "").replace("\r\n", "\n")


class DraftForm(forms.Form):
    """A judgment on its way. `preference` counts in display order: negative = the response on the left."""

    comparison = forms.UUIDField()
    order = forms.CharField(max_length=64)
    preference = forms.TypedChoiceField(choices=STEPS, coerce=int, empty_value=None, required=False)
    rationale = RationaleField(required=False, strip=False, max_length=RATIONALE_LENGTH_LIMIT)
    flags = forms.MultipleChoiceField(choices=Flag.choices, required=False)
    active_seconds = ActiveSecondsField(required=False, min_value=0)


class RetakeForm(DraftForm):
    """A judgment whose lease is lost."""

    preference = forms.TypedChoiceField(choices=STEPS, coerce=int, error_messages=NO_CHOICE)
    submission_id = forms.UUIDField()
    guideline = forms.IntegerField(required=False)


class JudgmentForm(RetakeForm):
    assignment = forms.UUIDField()
    lease_token = forms.UUIDField()


class RevisionForm(forms.Form):
    preference = forms.TypedChoiceField(choices=STEPS, coerce=int, error_messages=NO_CHOICE)
    rationale = RationaleField(required=False, strip=False, max_length=RATIONALE_LENGTH_LIMIT)
    flags = forms.MultipleChoiceField(choices=Flag.choices, required=False)
    active_seconds = ActiveSecondsField(required=False, min_value=0)
    submission_id = forms.UUIDField()


class LeaseForm(forms.Form):
    """The lease that a page holds."""

    assignment = forms.UUIDField()
    lease_token = forms.UUIDField()


class SkipForm(LeaseForm):
    reason = forms.ChoiceField(choices=Skip.Reason.choices)
    note = forms.CharField(required=False, max_length=NOTE_LENGTH_LIMIT)
    guideline = forms.IntegerField(required=False)
