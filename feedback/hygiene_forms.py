"""What people type into the pages of findings and splits."""

from __future__ import annotations

from django import forms
from django.db.models import Q

from feedback.hygiene.personal import KINDS
from feedback.models import Finding
from feedback.models.findings import FindingQuerySet
from feedback.splits import EVALUATION_PERCENT_LIMIT, HOLDOUT_PERCENT_LIMIT


class FindingFilter(forms.Form):
    SHOW = [("", "Undecided"), ("settled", "Decided"), ("all", "All")]

    kind = forms.ChoiceField(label="What", choices=[("", "Anything"), *Finding.Kind.choices], required=False)
    of = forms.ChoiceField(label="Personal data", choices=[("", "Any"), *KINDS.items()], required=False)
    show = forms.ChoiceField(choices=SHOW, required=False)

    def select(self, findings: FindingQuerySet) -> FindingQuerySet:
        """Narrow the findings; what is no choice narrows nothing."""
        self.is_valid()
        asked = self.cleaned_data
        if asked.get("kind"):
            findings = findings.filter(kind=asked["kind"])
        if asked.get("of"):
            findings = findings.filter(detail__icontains=f'"kind": "{asked["of"]}"')
        if asked.get("show") == "all":
            return findings
        return findings.filter(~Q(settlement="") if asked.get("show") == "settled" else Q(settlement=""))


class SplitsForm(forms.Form):
    evaluation_percent = forms.IntegerField(
        label="Kept for evaluation, in percent", min_value=0, max_value=EVALUATION_PERCENT_LIMIT
    )
    holdout_percent = forms.IntegerField(
        label="Held out for a last test, in percent", min_value=0, max_value=HOLDOUT_PERCENT_LIMIT
    )
