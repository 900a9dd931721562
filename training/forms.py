"""The form that starts a run. Its settings are the fields of the kind's config; nothing is described twice."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any, get_type_hints
from uuid import UUID

from django import forms
from django.db.models import Count
from django.forms import BoundField

from feedback.contract import EVALUATION, HOLDOUT, SPLITS, TRAIN
from feedback.models import Project, Queue
from feedback.queues import GUIDELINE_LENGTH_LIMIT, QueueRefused
from training.configs import CONFIGS, BadConfig
from training.models import Checkpoint, Run
from training.runs import INPUTS, SHOW_RESPONSES, RunRefused
from training.starting import NewQueue, PromptChoice, latest_guideline

REFUSED_FIELDS = {"prompt_ids": "prompts"}
POLICY_LABELS = {
    "sample": ("Policy", "The model that writes the responses."),
    "reward": ("Starts from", "The reward model's backbone: the base model, or a policy."),
    "dpo": ("Policy", "The model to train. It is also the reference that it is held to."),
    "ppo": ("Policy", "The model to train. It is also the reference; it must stand on the reward model's base."),
}


class NumbersField(forms.CharField):
    """Several numbers in one line, such as `0.3, 1.0`."""

    def to_python(self, value: Any) -> Any:
        parts = [part for part in re.split(r"[\s,;]+", str(value or "")) if part]
        try:
            return tuple(float(part) for part in parts)
        except ValueError:
            raise forms.ValidationError("Give numbers with commas between them, such as 0.3, 1.0.") from None

    def prepare_value(self, value: Any) -> Any:
        return ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else value


class CheckpointField(forms.ModelChoiceField):
    def label_from_instance(self, checkpoint: Any) -> str:
        figures = checkpoint.evaluation or {}
        label = f"{checkpoint.name} · {checkpoint.get_kind_display().lower()}"
        if figures.get("accuracy") is not None:
            label += f" · {100 * figures['accuracy']:.0f} % of {figures['n']} held out"
        return label


class SnapshotField(forms.ModelChoiceField):
    def label_from_instance(self, snapshot: Any) -> str:
        rows, held_out = snapshot.rows("preference", TRAIN), snapshot.compared(EVALUATION)
        return f"{snapshot.name} · {rows} rows to train on, {held_out} held out"


class NewOrExistingField(forms.ModelChoiceField):
    """A choice whose empty option means a new one."""

    def clean(self, value: Any) -> Any:
        return None if value in self.empty_values else super().clean(value)


def setting_field(setting: dataclasses.Field, kind_of_value: Any) -> forms.Field:
    """Return the form field of one setting of a config."""
    about = setting.metadata
    common: dict[str, Any] = {
        "label": about["label"],
        "help_text": about["help"],
        "initial": setting.default,
        "required": True,
    }
    if kind_of_value is bool:
        return forms.BooleanField(**{**common, "required": False})
    if about["choices"]:
        return forms.ChoiceField(choices=[(one, one) for one in about["choices"]], **common)
    if kind_of_value in (int, float):
        number = forms.IntegerField if kind_of_value is int else forms.FloatField
        return number(min_value=about["minimum"], max_value=about["maximum"], **common)
    return NumbersField(**common)


class RunForm(forms.Form):
    use_required_attribute = False  # a field that a choice hides must not hold the form back

    name = forms.CharField(max_length=200, required=False, help_text="Empty for the kind and a number.")

    def __init__(
        self, data: Any = None, *, project: Project, kind: str, asked: Mapping[str, str] | None = None, **kwargs: Any
    ) -> None:
        """`asked` preselects inputs by their names; `like` names a run whose inputs and settings are taken over."""
        super().__init__(data, **kwargs)
        self.project, self.kind = project, kind
        self.asked = asked or {}
        self.model = self.run_like()
        needed, allowed = INPUTS[kind]
        if kind == Run.Kind.EVALUATE:
            self.add_evaluated()
        else:
            for name in ("policy", "reward", "snapshot"):
                if name in needed:
                    self.fields[name] = self.input_field(name)
        if kind == Run.Kind.EVALUATE:
            self.fields["snapshot"] = self.input_field("snapshot")
        if "queue" in needed:
            self.add_queue()
        elif "queue" in allowed:
            self.add_scored()
        if "prompt_ids" in allowed:
            self.add_prompts()
        self.settings = self.add_settings()
        self.inputs = [name for name in self.fields if name not in self.settings and name != "name"]

    # What it is made of ---------------------------------------------------------------------------

    def run_like(self) -> Run | None:
        """Return the run to be repeated, if the query string names one of this project and kind."""
        try:
            wanted = UUID(self.asked.get("like", ""))
        except ValueError:
            return None
        return self.project.runs.filter(kind=self.kind, pk=wanted).first()

    def input_field(self, name: str) -> forms.ModelChoiceField:
        checkpoints = self.project.checkpoints.all()
        if name == "policy":
            label, help_text = POLICY_LABELS[self.kind]
            options = checkpoints.policies()
            base = options.filter(kind=Checkpoint.Kind.BASE).first()
            usual = options.first() if self.kind == Run.Kind.SAMPLE else base or options.first()
            if self.kind == Run.Kind.PPO and (scorer := self.preselected("reward", checkpoints.reward_models())):
                usual = scorer.parent
            return CheckpointField(
                options, label=label, help_text=help_text, initial=self.preselected(name, options) or usual
            )
        if name == "reward":
            options = checkpoints.reward_models()
            help_text = (
                "Gives the scores; curators see them, annotators never do."
                if self.kind == Run.Kind.SCORE
                else "Scores the rollouts. The policy's snapshot will be this model's."
            )
            initial = self.preselected(name, options) or options.first()
            return CheckpointField(options, label="Reward model", help_text=help_text, initial=initial)
        snapshots = self.project.snapshots.with_preferences()
        help_text = (
            "Only its evaluation split is read."
            if self.kind == Run.Kind.EVALUATE
            else ("Its train split is learned from, its evaluation split tells how well.")
        )
        initial = self.preselected(name, snapshots) or snapshots.first()
        return SnapshotField(snapshots, help_text=help_text, initial=initial)

    def preselected(self, name: str, options: Any) -> Any:
        """Return the option that the query string names, or the one of the run to be repeated."""
        wanted = self.asked.get(name) or (str(getattr(self.model, f"{name}_id") or "") if self.model else "")
        return next((one for one in options if str(one.pk) == wanted), None) if wanted else None

    def add_evaluated(self) -> None:
        options = self.project.checkpoints.exclude(kind=Checkpoint.Kind.BASE)
        chosen = self.preselected("reward", options) or self.preselected("policy", options)
        self.fields["model"] = CheckpointField(
            options,
            help_text="A reward model, or a policy by its implicit reward against its reference.",
            initial=chosen or options.first(),
        )

    def add_queue(self) -> None:
        options = self.project.queues.filter(kind__in=SHOW_RESPONSES, is_qualification=False).exclude(
            state=Queue.State.CLOSED
        )
        is_new = not (self.is_bound and self.data.get("queue"))
        self.fields["queue"] = NewOrExistingField(
            options,
            empty_label="A new queue",
            help_text="The tasks appear in it while the responses land.",
            initial=self.preselected("queue", options),
        )
        self.fields["queue_name"] = forms.CharField(
            label="Name of the new queue",
            max_length=200,
            required=is_new,
            initial=f"Round {self.project.queues.count() + 1}",
        )
        self.fields["guideline"] = forms.CharField(
            label="Guidelines of the new queue",
            max_length=GUIDELINE_LENGTH_LIMIT,
            required=is_new,
            initial=latest_guideline(self.project),
            help_text="Markdown. Taken from the newest queue of comparisons.",
            widget=forms.Textarea(attrs={"rows": 7, "class": "code-input"}),
        )

    def add_scored(self) -> None:
        options = self.project.queues.filter(kind__in=SHOW_RESPONSES)
        self.fields["queue"] = NewOrExistingField(
            options,
            label="Which responses",
            required=False,
            empty_label="All of the project",
            help_text="Those that have a score of the model already are passed over.",
            initial=self.preselected("queue", options),
        )

    def add_prompts(self) -> None:
        splits = self.project.prompts.pool().order_by().values_list("split").annotate(prompts=Count("pk"))
        counts = dict.fromkeys(SPLITS, 0) | dict(splits)
        train = counts[TRAIN]
        choices = (
            [("all", f"All {train} of the train split")]
            if self.kind == Run.Kind.PPO
            else [
                ("all", f"All {train + counts[EVALUATION]}"),
                (TRAIN, f"The train split ({train})"),
                (EVALUATION, f"The evaluation split ({counts[EVALUATION]})"),
                *([(HOLDOUT, f"The hold-out split ({counts[HOLDOUT]}), for the last test")] * bool(counts[HOLDOUT])),
            ]
        )
        self.fields["prompts"] = forms.ChoiceField(
            choices=[*choices, ("random", "Some, drawn at random")], initial="all"
        )
        self.fields["prompt_count"] = forms.IntegerField(
            label="How many at random",
            min_value=1,
            initial=min(32, max(1, train)),
            required=not self.is_bound or self.data.get("prompts") == "random",
        )

    def add_settings(self) -> dict[str, dataclasses.Field]:
        config_class = CONFIGS[self.kind]
        hints = get_type_hints(config_class)
        settings = {setting.name: setting for setting in dataclasses.fields(config_class)}
        for name, setting in settings.items():
            self.fields[name] = setting_field(setting, hints[name])
            if self.model and name in self.model.config:
                self.fields[name].initial = self.model.config[name]
        return settings

    # For the page ---------------------------------------------------------------------------------

    @property
    def input_fields(self) -> list[BoundField]:
        return [self[name] for name in self.inputs if name not in ("queue_name", "guideline", "prompt_count")]

    @property
    def main_settings(self) -> list[BoundField]:
        return [self[name] for name, one in self.settings.items() if not one.metadata["advanced"] and name != "seed"]

    @property
    def advanced_settings(self) -> list[BoundField]:
        return [self[name] for name, one in self.settings.items() if one.metadata["advanced"] or name == "seed"]

    @property
    def advanced_is_wrong(self) -> bool:
        return any(field.errors for field in self.advanced_settings)

    # What was chosen ------------------------------------------------------------------------------

    def value_of(self, name: str) -> Any:
        """Return the cleaned value, or the initial one where nothing usable has been typed yet."""
        cleaned = self.cleaned_data if self.is_bound and not self.errors.get(name) else {}
        return cleaned[name] if name in cleaned else self.get_initial_for_field(self.fields[name], name)

    def chosen(self) -> dict[str, Any]:
        """Return what `start_chosen_run` and `plan` take, besides the project, the kind and the person."""
        given: dict[str, Any] = {
            "name": self.value_of("name") or "",
            "config": {name: self.value_of(name) for name in self.settings},
        }
        for name in ("policy", "reward", "snapshot", "queue"):
            if name in self.fields:
                given[name] = self.value_of(name)
        if "model" in self.fields and (model := self.value_of("model")) is not None:
            given["reward" if model.kind == Checkpoint.Kind.REWARD else "policy"] = model
        if "queue_name" in self.fields and given["queue"] is None:
            given["new_queue"] = NewQueue(self.value_of("queue_name") or "", self.value_of("guideline") or "")
        if "prompts" in self.fields:
            given["prompts"] = PromptChoice(self.value_of("prompts"), self.value_of("prompt_count") or 0)
        return given

    def refuse(self, refusal: BadConfig | RunRefused | QueueRefused) -> None:
        """Show a refusal beside the field that it is about."""
        name = REFUSED_FIELDS.get(refusal.field, refusal.field)
        if isinstance(refusal, QueueRefused):
            name = {"name": "queue_name"}.get(name, name)
        elif "model" in self.fields and name in ("policy", "reward"):
            name = "model"
        message = refusal.message[:1].upper() + refusal.message[1:]
        self.add_error(name if name in self.fields else None, message)
