"""Shape of what people type into the pages of this side. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from feedback.contract import SPLITS
from feedback.finding import says
from feedback.models import Prompt, Role, User
from feedback.refusals import Refusal
from feedback.splits import EVALUATION_PERCENT_LIMIT, HOLDOUT_PERCENT_LIMIT


def offer(form: forms.Form, name: str, rows: QuerySet[Any]) -> forms.ModelChoiceField[Any]:
    """Let `form` choose among `rows` in its field `name`; returns the field."""
    field = form.fields[name]
    assert isinstance(field, forms.ModelChoiceField), f"{name} chooses among rows"
    field.queryset = rows
    return field


def show_refusal(form: forms.Form, refusal: Refusal) -> None:
    """Show a verb's refusal beside the field that it is about, or above the form where it has no such field."""
    form.add_error(refusal.field if refusal.field in form.fields else None, refusal.message)


class PromptFilter(forms.Form):
    q = forms.CharField(label="Search", required=False, max_length=200)
    split = forms.ChoiceField(choices=[("", "Any"), *((name, name.capitalize()) for name in SPLITS)], required=False)
    responses = forms.ChoiceField(
        choices=[("", "Any"), ("none", "No response yet"), ("pair", "Two or more")], required=False
    )

    def select(self, prompts: QuerySet[Prompt]) -> QuerySet[Prompt]:
        """Narrow prompts that are annotated with `response_count`."""
        if not self.is_valid():
            return prompts
        asked = self.cleaned_data
        if asked["q"]:
            prompts = prompts.filter(says("messages", asked["q"]) | says("tags", asked["q"]))
        if asked["split"]:
            prompts = prompts.filter(split=asked["split"])
        if asked["responses"]:
            prompts = prompts.filter(
                **({"response_count": 0} if asked["responses"] == "none" else {"response_count__gte": 2})
            )
        return prompts


class MemberForm(forms.Form):
    user: User
    """Whom the name belongs to, once the form is valid."""

    username = forms.CharField(max_length=150, help_text="Of an account that exists.")
    role = forms.ChoiceField(choices=Role.choices)

    def clean_username(self) -> str:
        name = self.cleaned_data["username"].strip()
        found = User.objects.filter(username=name, is_active=True).first()
        if found is None:
            raise forms.ValidationError(f"No active account is called {name!r}.")
        self.user = found
        return name


class ProjectForm(forms.Form):
    name = forms.CharField(max_length=200)
    description = forms.CharField(max_length=2000, required=False, widget=forms.Textarea(attrs={"rows": 2}))
    evaluation_percent = forms.IntegerField(
        label="Kept for evaluation, in percent",
        min_value=0,
        max_value=EVALUATION_PERCENT_LIMIT,
        initial=20,
        help_text="This share of new prompts is never trained on. Near-duplicates always land on the same side.",
    )
    holdout_percent = forms.IntegerField(
        label="Held out for a last test, in percent",
        min_value=0,
        max_value=HOLDOUT_PERCENT_LIMIT,
        initial=0,
        required=False,
        help_text="Neither trained on nor sampled on the way: what is known by then says what the model is worth.",
    )

    def clean_holdout_percent(self) -> int:
        return self.cleaned_data["holdout_percent"] or 0
