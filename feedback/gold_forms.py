"""Forms of the pages of gold."""

from __future__ import annotations

from typing import Any

from django import forms

from feedback.gold_sources import VOTES, VOTES_LEAST, VOTES_MOST
from feedback.models import Gold


class GoldFilter(forms.Form):
    stands = forms.ChoiceField(
        label="Shows",
        required=False,
        choices=[("", "All gold"), ("worn", "Worn out"), ("used", "In use"), ("retired", "Out of use")],
    )

    def shows(self, *, in_use: bool, worn: bool) -> bool:
        stands = self.cleaned_data.get("stands", "") if self.is_valid() else ""
        return {"worn": worn, "used": in_use, "retired": not in_use}.get(stands, True)


class MakeGoldForm(forms.Form):
    source = forms.ChoiceField(
        label="Made from",
        choices=[(Gold.MadeFrom.ADJUDICATED, "Adjudications"), (Gold.MadeFrom.UNANIMOUS, "Unanimous judgments")],
    )
    votes = forms.IntegerField(
        label="People who said the same",
        required=False,
        min_value=VOTES_LEAST,
        max_value=VOTES_MOST,
        initial=VOTES,
    )

    def clean_votes(self) -> int:
        return self.cleaned_data["votes"] or VOTES

    def asked(self) -> tuple[str, int]:
        """Return source and votes as they were asked for, or the usual ones."""
        known: dict[str, Any] = self.cleaned_data if self.is_bound and self.is_valid() else {}
        return known.get("source") or Gold.MadeFrom.ADJUDICATED, known.get("votes") or VOTES
