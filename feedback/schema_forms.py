"""The form in which a curator edits a queue's label schema: its settings, and rows of attributes and flags.

It turns what was typed into the content that `feedback.schemas.check_schema` takes, and puts that function's refusal
beside the field or row that it is about. Buttons that add, move and remove rows are part of the form, so that it works
without scripts too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from django import forms

from feedback.refusals import Refusal
from feedback.schemas import (
    ATTRIBUTE_LIMIT,
    FIELDS,
    FLAG_LIMIT,
    FLAG_PRESETS,
    TEXT_LIMIT,
    TURN_LIMIT,
    Schema,
)

ROW = re.compile(r"(attribute|flag) (\d+)")
SCALES = [(2, "2: one of them is better"), (4, "4: slightly or much better"), (7, "7: slightly, better, much better")]
RATIONALES = [("off", "Not asked for"), ("optional", "Optional"), ("required", "Required")]
OPENINGS = [("given", "The prompt is the first thing said"), ("written", "The annotator writes the first message")]
PRESET_LABELS = {
    "standard": "Standard",
    "instructgpt": "As InstructGPT asked",
    "llama": "As Llama 2 and 3 asked",
    "none": "No flags",
}


class LinesField(forms.CharField):
    """A list of short texts, one a line."""

    widget = forms.Textarea(attrs={"rows": 3})

    def prepare_value(self, value: Any) -> Any:
        return value if isinstance(value, str) or value is None else "\n".join(value)

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]  # a list is what this field is for
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]


def whole(label: str, low: int, high: int, help_text: str = "") -> forms.IntegerField:
    return forms.IntegerField(label=label, min_value=low, max_value=high, help_text=help_text)


class SettingsForm(forms.Form):
    """All of a schema but its rows; a kind keeps the fields that mean something for it."""

    question = forms.CharField(max_length=300, help_text="Stands above the responses.")
    levels = forms.TypedChoiceField(label="Steps of the scale", choices=SCALES, coerce=int)
    allow_tie = forms.BooleanField(label="A tie is allowed", required=False)
    edit_winner = forms.BooleanField(
        label="The better response may be improved",
        required=False,
        help_text="Gives edited over chosen over rejected.",
    )
    allow_not_rankable = forms.BooleanField(label="A response may be marked as not rankable", required=False)
    rationale = forms.ChoiceField(label="A reason in words", choices=RATIONALES)
    min_characters = whole("Shortest text, in characters", 0, TEXT_LIMIT)
    max_characters = whole("Longest text, in characters", 1, TEXT_LIMIT)
    opening = forms.ChoiceField(label="Who opens", choices=OPENINGS)
    policy_1 = forms.ChoiceField(
        label="Checkpoint that answers",
        required=False,
        help_text="Without one nobody can be talked with. Annotators never learn which one wrote what.",
    )
    policy_2 = forms.ChoiceField(label="Second checkpoint", required=False, help_text="None: the first answers twice.")
    temperature = forms.FloatField(min_value=0, max_value=5, help_text="Higher answers differ more; 0 to 5.")
    max_new_tokens = whole("Longest answer, in tokens", 1, 4096)
    min_turns = whole("Fewest turns", 1, TURN_LIMIT)
    max_turns = whole("Most turns", 1, TURN_LIMIT)

    def __init__(self, data: Any = None, *, kind: str, policies: Sequence[tuple[str, str]] = (), **kwargs: Any) -> None:
        super().__init__(data, prefix="schema", **kwargs)
        kept = set(FIELDS[kind])
        if "policies" in kept:
            kept |= {"policy_1", "policy_2"}
        for name in set(self.fields) - kept:
            del self.fields[name]
        for name, nothing in (("policy_1", "Not chosen yet"), ("policy_2", "None")):
            if (field := self.fields.get(name)) is not None:
                assert isinstance(field, forms.ChoiceField)
                field.choices = [("", nothing), *policies]

    @property
    def content(self) -> dict[str, Any]:
        content = dict(self.cleaned_data)
        if "policy_1" in content:
            chosen = (content.pop("policy_1"), content.pop("policy_2"))
            content["policies"] = [one for one in dict.fromkeys(chosen) if one]
        return content


class RowForm(forms.Form):
    kind = ""
    label = forms.CharField(max_length=100, required=False)
    key = forms.CharField(
        max_length=40,
        required=False,
        help_text="Names it in the data: a-z, 0-9 and _. Empty: made from the label.",
        widget=forms.TextInput(attrs={"class": "mono"}),
    )
    definition = forms.CharField(max_length=500, required=False)
    field_order = ["label", "definition"]

    @property
    def content(self) -> dict[str, Any]:
        content = {name: value for name, value in self.cleaned_data.items() if value is not None}
        return {**content, "key": content["key"] or key_of(content["label"])}

    @property
    def is_blank(self) -> bool:
        return self.is_valid() and not any(self.cleaned_data[name] for name in ("label", "key", "definition"))

    @property
    def title(self) -> str:
        return str(self["label"].value() or f"New {self.kind}")


class AttributeForm(RowForm):
    kind = "attribute"
    style = forms.ChoiceField(
        choices=[("likert", "Scale from low to high"), ("thumbs", "Thumbs up or down")], required=False
    )
    low = forms.IntegerField(label="Lowest", required=False)
    high = forms.IntegerField(label="Highest", required=False)
    anchors = LinesField(
        label="Words for the values",
        required=False,
        help_text="One a line: for every value, or for the two ends.",
    )
    required = forms.BooleanField(label="Must be rated", required=False)

    def clean_style(self) -> str:
        return self.cleaned_data["style"] or "likert"


class FlagForm(RowForm):
    kind = "flag"
    kinds = LinesField(label="Kinds", required=False, help_text="Finer words to choose from, one a line.")


def key_of(label: str) -> str:
    """Make a key from a label: "Fails the instruction" becomes fails_the_instruction."""
    words = re.sub(r"[^a-z0-9]+", "_", label.lower()).strip("_")
    return words.lstrip("0123456789_")[:40].rstrip("_")


ROWS: Mapping[str, type[RowForm]] = {"attribute": AttributeForm, "flag": FlagForm}
LIMITS = {"attribute": ATTRIBUTE_LIMIT, "flag": FLAG_LIMIT}
NEW: Mapping[str, Mapping[str, Any]] = {
    "attribute": {"style": "likert", "low": 1, "high": 5, "required": True},
    "flag": {},
}


class SchemaEditor:
    """The whole form, filled with what was posted or with a schema that is there."""

    def __init__(self, kind: str, data: Mapping[str, Any], *, policies: Sequence[tuple[str, str]] = ()) -> None:
        """`policies` are ids and names of the checkpoints that may answer in a conversation."""
        self.kind = kind
        self.form = SettingsForm(data, kind=kind, policies=policies)
        self.attributes = [AttributeForm(data, prefix=f"attribute-{n}") for n in rows_in(data, "attribute")]
        self.flags = [FlagForm(data, prefix=f"flag-{n}") for n in rows_in(data, "flag")]
        self.error = ""
        """A refusal that stands beside no field."""
        self.new_row = ""
        """Prefix of the row that was just added, where the cursor goes."""
        self.focus = ""
        """The button that takes the focus after another one was pressed, so that a keyboard goes on from there."""

    @classmethod
    def showing(cls, schema: Schema, *, policies: Sequence[tuple[str, str]] = ()) -> SchemaEditor:
        first, second = (*schema.policies, "", "")[:2]
        settings = {**schema.to_json(), "policy_1": first, "policy_2": second}
        data = {
            **as_typed("schema", settings),
            **rows_as_typed("attribute", [vars(attribute) for attribute in schema.attributes]),
            **rows_as_typed("flag", [vars(flag) for flag in schema.flags]),
        }
        gone = [(one, f"{one} (no longer there)") for one in schema.policies if one not in dict(policies)]
        return cls(schema.kind, data, policies=[*policies, *gone])

    @property
    def has_attributes(self) -> bool:
        return "attributes" in FIELDS[self.kind]

    @property
    def presets(self) -> list[tuple[str, str]]:
        return [(f"preset-{name}", PRESET_LABELS[name]) for name in FLAG_PRESETS]

    def rows(self, row: str) -> list[RowForm]:
        return list(self.attributes if row == "attribute" else self.flags)

    def press(self, button: str) -> None:
        """Do what a button says, such as "add-flag", "up-attribute-2", "preset-llama"; an unknown one does nothing.

        What was typed stays as it was typed, right or wrong.
        """
        verb, _, rest = button.partition("-")
        if verb == "preset" and rest in FLAG_PRESETS:
            self.show("flag", [vars(flag) for flag in FLAG_PRESETS[rest]])
            self.focus = button
            return
        row, _, place = rest.partition("-")
        if row not in ROWS:
            return
        rows = [typed(form) for form in self.rows(row)]
        at = int(place) if place.isdecimal() and len(place) < 4 and int(place) < len(rows) else None
        if verb == "add" and len(rows) < LIMITS[row]:
            self.new_row = f"{row}-{len(rows)}"
            rows.append(dict(NEW[row]))
        elif verb == "remove" and at is not None:
            del rows[at]
            self.focus = f"remove-{row}-{min(at, len(rows) - 1)}" if rows else f"add-{row}"
        elif verb in ("up", "down") and at is not None:
            to = at + (-1 if verb == "up" else 1)
            if 0 <= to < len(rows):
                rows[at], rows[to] = rows[to], rows[at]
                onward = "down" if to == 0 else "up" if to == len(rows) - 1 else verb
                self.focus = f"{onward}-{row}-{to}"
        self.show(row, rows)

    def show(self, row: str, rows: Sequence[Mapping[str, Any]]) -> None:
        data = rows_as_typed(row, rows)
        if row == "attribute":
            self.attributes = [AttributeForm(data, prefix=f"{row}-{n}") for n in range(len(rows))]
        else:
            self.flags = [FlagForm(data, prefix=f"{row}-{n}") for n in range(len(rows))]

    def is_valid(self) -> bool:
        """Check every field, so that all that is wrong is marked at once."""
        wrong = [form for form in (self.form, *self.attributes, *self.flags) if not form.is_valid()]
        return not wrong

    @property
    def content(self) -> dict[str, Any]:
        """What was typed, as `check_schema` takes it; rows without a word in them are left out."""
        content = {**self.form.content, "flags": [form.content for form in self.flags if not form.is_blank]}
        if self.has_attributes:
            content["attributes"] = [form.content for form in self.attributes if not form.is_blank]
        return content

    def show_refusal(self, refusal: Refusal) -> None:
        """Put a refusal beside the row or field that it is about."""
        found = ROW.search(refusal.message)
        if refusal.field in ("attributes", "flags") and found is not None:
            rows = [form for form in self.rows(found[1]) if not form.is_blank]
            if int(found[2]) <= len(rows):
                rows[int(found[2]) - 1].add_error(None, refusal.message)
                return
        field = "policy_1" if refusal.field == "policies" else refusal.field
        if field in self.form.fields:
            self.form.add_error(field, refusal.message)
        else:
            self.error = refusal.message


def rows_in(data: Mapping[str, Any], row: str) -> range:
    count = str(data.get(f"{row}s", ""))
    return range(min(int(count), 2 * LIMITS[row]) if count.isdecimal() and len(count) < 4 else 0)


def as_typed(prefix: str, values: Mapping[str, Any]) -> dict[str, str]:
    """Return values as a browser would post them."""
    data = {}
    for name, value in values.items():
        if isinstance(value, list | tuple):
            data[f"{prefix}-{name}"] = "\n".join(str(one) for one in value)
        elif value is True:
            data[f"{prefix}-{name}"] = "on"
        elif value is not False and value is not None:
            data[f"{prefix}-{name}"] = str(value)
    return data


def rows_as_typed(row: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    data = {f"{row}s": str(len(rows))}
    for place, values in enumerate(rows):
        data |= as_typed(f"{row}-{place}", values)
    return data


def typed(form: RowForm) -> dict[str, Any]:
    """Return a row as it was typed, to be shown again in another place."""
    return {name: form[name].value() for name in form.fields}
