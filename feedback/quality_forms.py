"""Shape of what people choose on the pages of quality."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from django import forms
from django.db.models import Exists, OuterRef, QuerySet

from feedback.models import Guideline, Judgment, Project, User

MOST_PEOPLE = 500
"""In the list to choose from; those who are chosen already are in it whatever their number."""
MOST_DAYS = 366


class WhatIfForm(forms.Form):
    people = forms.MultipleChoiceField(required=False, widget=forms.SelectMultiple(attrs={"size": 6}))
    days = forms.CharField(
        required=False,
        max_length=4000,
        help_text="Dates such as 2026-11-25, or spans such as 2026-11-20..2026-11-25; separated by commas.",
    )
    guidelines = forms.MultipleChoiceField(
        label="Guideline versions", required=False, widget=forms.CheckboxSelectMultiple
    )
    flags = forms.MultipleChoiceField(
        label="Judgments with a flag", required=False, widget=forms.CheckboxSelectMultiple
    )

    def __init__(self, data: Any, *, project: Project, names: Callable[[User], str]) -> None:
        """`names` turns a person into the name that the reader may see."""
        super().__init__(data, label_suffix="")
        chosen = [key for key in (data.getlist("people") if data else ()) if re.fullmatch(r"[0-9]{1,18}", key)][
            :MOST_PEOPLE
        ]
        judged = people_who_judged(project)
        known = {person.pk: person for person in [*judged[:MOST_PEOPLE], *judged.filter(pk__in=chosen)]}
        self.offer("people", [(str(pk), names(person)) for pk, person in known.items()])
        versions = Guideline.objects.filter(queue__project=project).select_related("queue").defer("text")
        self.offer(
            "guidelines",
            [
                (str(one.pk), f"{one.queue.name}: version {one.number}")
                for one in versions.order_by("queue_id", "number")
            ],
        )
        schemas = project.queues.select_related("schema__queue")
        flags = {flag.key: flag.label for queue in schemas if queue.schema for flag in queue.schema.asks.flags}
        self.offer("flags", [(key, str(label)) for key, label in flags.items()])

    def offer(self, name: str, choices: list[tuple[str, str]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = choices

    def clean_days(self) -> list[str]:
        """Return the dates, each once, in order."""
        found: set[date] = set()
        for part in (part.strip() for part in self.cleaned_data["days"].split(",")):
            if part:
                found |= span_of(part)
        if len(found) > MOST_DAYS:
            raise forms.ValidationError(f"{len(found):,} days are too many; the most is {MOST_DAYS}.")
        return [day.isoformat() for day in sorted(found)]

    @property
    def params(self) -> dict[str, Any]:
        """What is left out, as a report's params hold it: only what is chosen, each list in order."""
        asked = self.cleaned_data if self.is_valid() else {}
        return {
            name: sorted(map(int, asked[name])) if name in ("people", "guidelines") else sorted(asked[name])
            for name in ("people", "days", "guidelines", "flags")
            if asked.get(name)
        }


def people_who_judged(project: Project) -> QuerySet[User]:
    """Return everybody with a judgment in the project, members or not, by name."""
    theirs = Judgment.objects.filter(
        annotator=OuterRef("pk"), queue__in=list(project.queues.values_list("pk", flat=True))
    )
    return User.objects.filter(Exists(theirs)).order_by("username")


def span_of(text: str) -> set[date]:
    """Return the days that "2026-11-25" or "2026-11-20..2026-11-25" means."""
    first, _, last = text.partition("..")
    try:
        start, end = date.fromisoformat(first.strip()), date.fromisoformat((last or first).strip())
    except ValueError as error:
        raise forms.ValidationError(f"{text!r} is neither a date such as 2026-11-25 nor a span of two.") from error
    if end < start or (end - start).days >= MOST_DAYS:
        raise forms.ValidationError(f"{text!r}: the span ends before it begins, or is longer than a year.")
    return {start + timedelta(days=each) for each in range((end - start).days + 1)}
