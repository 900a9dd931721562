"""Shape of what a curator types into the pages of imports."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.core.files.uploadedfile import UploadedFile
from django.template.defaultfilters import filesizeformat

from feedback.forms import offer
from feedback.imports.describing import WORD_SIDES
from feedback.imports.fields import FIELDS, QUEUE_KIND
from feedback.imports.layouts import FORMS
from feedback.models import FileImport, Queue
from feedback.models.queues import OVERLAP_LIMIT

FIND_OUT = [("", "Find out")]
SUFFIXES = ".jsonl,.ndjson,.json,.csv,.tsv,.gz,.parquet,.arrow,.feather,.zip"


class UploadForm(forms.Form):
    file = forms.FileField(
        label="File",
        help_text="JSONL, JSON, CSV or TSV (also .gz), Parquet, Arrow, or a .zip of a dataset directory.",
        widget=forms.ClearableFileInput(attrs={"accept": SUFFIXES}),
    )
    kind = forms.ChoiceField(
        label="What it holds", choices=[*FIND_OUT, *FileImport.Kind.choices], required=False,
        help_text="The next page shows what was found out, and lets you change it.",
    )  # fmt: skip
    source = forms.CharField(max_length=200, required=False, help_text="Where the data come from.")
    licence = forms.CharField(max_length=100, required=False, help_text="For example CC-BY-4.0.")
    language = forms.CharField(max_length=20, required=False, help_text="For example en.")
    tags = forms.CharField(max_length=400, required=False, help_text="Separated by commas.")

    def clean_file(self) -> UploadedFile:
        upload: UploadedFile = self.cleaned_data["file"]
        size = upload.size or 0
        if size > settings.IMPORT_MAX_BYTES:
            raise forms.ValidationError(
                f"The file has {filesizeformat(size)}; at most {filesizeformat(settings.IMPORT_MAX_BYTES)} "
                "can be imported at once. Split it, or ask for a higher IMPORT_MAX_BYTES."
            )
        return upload


class KindForm(forms.Form):
    """What the file is as a whole; its fields depend on it."""

    kind = forms.ChoiceField(label="What it holds", choices=FileImport.Kind.choices)
    form = forms.ChoiceField(label="Laid out as", choices=list(FORMS.items()), required=False)


class MappingForm(forms.Form):
    """Which column of a file goes to which field, and what holds for all rows."""

    def __init__(self, data: Any = None, *, file_import: FileImport) -> None:
        super().__init__(data, initial=initial_of(file_import), label_suffix="")
        self.file_import = file_import
        columns = [(name, name) for name in self.offered()]
        for one in FIELDS[file_import.kind]:
            several = one.many or one.key == "prompt"
            self.fields[column_field(one.key)] = (
                forms.MultipleChoiceField(
                    label=one.label, choices=columns, required=False, help_text=one.help,
                    widget=forms.SelectMultiple(attrs={"size": min(4, max(2, len(columns)))}),
                )
                if several
                else forms.ChoiceField(
                    label=one.label, choices=[("", "None"), *columns], required=False, help_text=one.help
                )
            )  # fmt: skip
        self.add_options()

    def offered(self) -> list[str]:
        """Return the columns that the file has, and those that are mapped and were not seen in its first rows."""
        mapped = [name for names in self.file_import.mapping.values() for name in names]
        return list(dict.fromkeys([*self.file_import.columns, *mapped]))

    def add_options(self) -> None:
        """Add what holds for all rows; which of it, depends on the kind."""
        kind = self.file_import.kind
        self.fields["source"] = forms.CharField(max_length=200, required=False, label="Source of all rows")
        self.fields["licence"] = forms.CharField(max_length=100, required=False, label="Licence of all rows")
        self.fields["language"] = forms.CharField(max_length=20, required=False, label="Language of all rows")
        self.fields["tags"] = forms.CharField(max_length=400, required=False, label="Tags of all rows")
        if kind not in QUEUE_KIND:
            return
        self.fields["queue"] = forms.ModelChoiceField(
            Queue.objects.none(), required=False, empty_label="A new one, closed until you open it",
            help_text="Where the judgments go. With a queue that is there, they count like its own.",
        )  # fmt: skip
        offer(
            self, "queue",
            self.file_import.project.queues.filter(kind=QUEUE_KIND[kind], is_qualification=False),
        )  # fmt: skip
        self.fields["also_ask"] = forms.IntegerField(
            label="Also ask so many people about each", min_value=0, max_value=OVERLAP_LIMIT, required=False,
            help_text="Open slots that every new task gets besides.",
        )  # fmt: skip
        if QUEUE_KIND[kind] == "comparison":
            self.fields["largest_margin"] = forms.FloatField(
                label="Largest margin", min_value=0.000001, required=False,
                help_text="The margin that counts as much better; 3 takes the numbers 1 to 3 as they are.",
            )  # fmt: skip
        if kind == FileImport.Kind.VOTES:
            for side, label in zip(WORD_SIDES, ("the first response", "the second response", "a tie"), strict=True):
                self.fields[f"words_{side}"] = forms.CharField(
                    label=f"Words for {label}", required=False, max_length=2_000, help_text="Separated by commas."
                )
            self.fields["order_known"] = forms.BooleanField(
                label="People saw the first response first", required=False,
                help_text="Leave this off unless you know it: position bias is measured by it.",
            )  # fmt: skip

    @property
    def column_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if name.startswith("column_")]

    @property
    def option_fields(self) -> list[forms.BoundField]:
        return [self[name] for name in self.fields if not name.startswith("column_")]

    def changes(self) -> dict[str, Any]:
        """Return what was chosen, as `feedback.imports.describing.describe` takes it."""
        said = self.cleaned_data
        mapping: dict[str, list[str]] = {}
        for one in FIELDS[self.file_import.kind]:
            chosen = said.get(column_field(one.key)) or []
            if names := [chosen] if isinstance(chosen, str) else list(chosen):
                mapping[one.key] = names
        changes: dict[str, Any] = {"mapping": mapping}
        for name in ("source", "licence", "language", "order_known"):
            if name in said:
                changes[name] = said[name]
        changes["tags"] = [tag.strip() for tag in said.get("tags", "").split(",") if tag.strip()]
        if "queue" in self.fields:
            changes |= {"queue": said["queue"], "also_ask": said["also_ask"] or 0}
        if "largest_margin" in self.fields:
            changes["largest_margin"] = said["largest_margin"] or 3.0
        if "words_a" in self.fields:
            changes["words"] = {
                side: [word.strip() for word in said[f"words_{side}"].split(",") if word.strip()] for side in WORD_SIDES
            }
        return changes


def column_field(key: str) -> str:
    return f"column_{key}"


def initial_of(file_import: FileImport) -> dict[str, Any]:
    options = file_import.options
    initial: dict[str, Any] = {name: options.get(name, "") for name in ("source", "licence", "language")}
    initial["tags"] = ", ".join(options.get("tags", []))
    initial |= {"queue": file_import.queue_id, "also_ask": options.get("also_ask") or 0}
    initial |= {"largest_margin": options.get("largest_margin", 3.0), "order_known": options.get("order_known", False)}
    for side in WORD_SIDES:
        initial[f"words_{side}"] = ", ".join(options.get("words", {}).get(side, []))
    for one in FIELDS[file_import.kind]:
        columns = file_import.mapping.get(one.key, [])
        several = one.many or one.key == "prompt"
        initial[column_field(one.key)] = columns if several else next(iter(columns), "")
    return initial
