"""Shape of what curators type while they review. What is allowed is decided by the verbs."""

from __future__ import annotations

from typing import Any

from django import forms
from django.db.models import QuerySet

from feedback.commenting import COMMENT_LENGTH_LIMIT
from feedback.forms import offer
from feedback.judgment_filter_forms import day_field, days
from feedback.models import AuditEvent, Project, User
from feedback.models.audit import AuditEventQuerySet
from feedback.reviewing import REASON_LENGTH_LIMIT


class SeenField(forms.CharField):
    """The review or adjudication that the page showed: its number, or "none"; empty where nobody says."""

    widget = forms.HiddenInput

    def clean(self, value: Any) -> int | None:
        text = str(value or "")
        if text == "none":
            return None
        return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else -1


class ReasonForm(forms.Form):
    reason = forms.CharField(max_length=REASON_LENGTH_LIMIT, required=False, widget=forms.Textarea(attrs={"rows": 2}))
    seen = SeenField(required=False)


class ReviewForm(ReasonForm):
    reason = forms.CharField(
        max_length=REASON_LENGTH_LIMIT,
        required=False,
        help_text="Needed to reject: the annotator reads it.",
        widget=forms.Textarea(attrs={"rows": 2}),
    )
    verdict = forms.ChoiceField(
        choices=[("accept", "Accept"), ("reject", "Reject"), ("requeue", "Reject, and ask somebody else")]
    )


class CommentForm(forms.Form):
    text = forms.CharField(label="Comment", max_length=COMMENT_LENGTH_LIMIT, widget=forms.Textarea(attrs={"rows": 2}))
    for_annotator = forms.BooleanField(
        label="For the annotator, who can answer", required=False, help_text="Otherwise curators only."
    )


class BulkForm(forms.Form):
    do = forms.ChoiceField(
        label="Do",
        choices=[("accept", "Accept"), ("reject", "Reject"), ("requeue", "Reject, and ask somebody else")],
    )
    reason = forms.CharField(
        max_length=REASON_LENGTH_LIMIT,
        required=False,
        widget=forms.Textarea(attrs={"rows": 2}),
        help_text="Needed to reject: every annotator concerned reads it.",
    )


class RateForm(forms.Form):
    percent = forms.IntegerField(
        label="Drawn for review, in percent",
        min_value=0,
        max_value=100,
        required=False,
        help_text="Of this person's judgments. Empty: as each queue's rules say.",
    )


class AuditFilter(forms.Form):
    actor = forms.ModelChoiceField(User.objects.none(), label="Who", required=False, empty_label="Anyone")
    action = forms.CharField(
        label="What", max_length=60, required=False, widget=forms.TextInput(attrs={"placeholder": "judgment.reject"})
    )
    subject = forms.CharField(label="Kind of thing", max_length=40, required=False)
    subject_id = forms.CharField(label="Its id", max_length=64, required=False)
    since = day_field("From")
    until = day_field("To")

    def __init__(self, data: Any, *, project: Project) -> None:
        super().__init__(data, label_suffix="")
        acting = User.objects.filter(memberships__project=project).distinct().order_by("username")
        offer(self, "actor", acting)
        self.project = project

    def select(self) -> AuditEventQuerySet:
        """Return the project's events that the filters choose, the latest first; all where they cannot be read."""
        found = AuditEvent.objects.in_project(self.project)
        asked = self.cleaned_data if self.is_valid() else {}
        if asked.get("actor"):
            found = found.by(asked["actor"])
        if asked.get("action"):
            found = found.acting(asked["action"].strip())
        if asked.get("subject"):
            found = found.filter(subject=asked["subject"].strip())
        if asked.get("subject_id"):
            found = found.filter(subject_id=asked["subject_id"].strip())
        return found.between(*days(asked.get("since"), asked.get("until")))

    @property
    def is_narrow(self) -> bool:
        return self.is_valid() and any(self.cleaned_data.values())


def people_of(project: Project) -> QuerySet[User]:
    """Return the project's annotators by name."""
    return User.objects.filter(memberships__project=project, memberships__role="annotator").distinct()
