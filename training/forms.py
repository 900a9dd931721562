"""The form that starts a run. Its settings are the fields of the kind's config; nothing is described twice."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, get_type_hints
from uuid import UUID

from django import forms
from django.db.models import Count
from django.forms import BoundField

from feedback.contract import EVALUATION, HOLDOUT, SPLITS, TRAIN
from feedback.models import Project, Queue, Snapshot
from feedback.queues import GUIDELINE_LENGTH_LIMIT, QueueRefused
from training.configs import CONFIGS, BadConfig, LaunchConfig, NeedsConfig
from training.configs.reward_names import reward_function_names
from training.models import Checkpoint, Run
from training.runs import INPUTS, ONLINE, SHOW_RESPONSES, RunRefused
from training.setting_forms import FieldGroup, SeedsField, grouped, setting_field, takes
from training.snapshot_tables import READS, readable, rows_read
from training.starting import SWEPT, NewQueue, PromptChoice, latest_guideline

REFUSED_FIELDS = {"prompt_ids": "prompts"}
POLICY_LABELS = {
    "sample": ("Policy", "The model that writes the responses."),
    "reward": ("Starts from", "The reward model's backbone: the base model, or a policy."),
    "sft": ("Policy", "The model to train."),
    "ppo": ("Policy", "The model to train. It is also the reference; it must stand on the reward model's base."),
    "merge": ("Policy", "Its base and all its adapters become one model."),
}
TRAINED_POLICY = ("Policy", "The model to train. It is also the reference that it is held to.")
REWARD_WORDS = {
    "score": ("Gives the scores; curators see them, annotators never do.", "---------"),
    "sample": ("Chooses the best of several drafts, where “Best of” is above 1.", "None: every first draft is taken"),
}
REWARD_OF_ONLINE = (
    "Scores what the policy writes. The policy's snapshot will be this model's. Leave it out where a reward function "
    "scores by itself.",
    "None: a reward function only",
)


class CheckpointLabels:
    def label_from_instance(self, checkpoint: Any) -> str:
        figures = checkpoint.evaluation or {}
        label = f"{checkpoint.name} · {checkpoint.get_kind_display().lower()}"
        if figures.get("accuracy") is not None:
            label += f" · {100 * figures['accuracy']:.0f} % of {figures['n']} held out"
        return label


class CheckpointField(CheckpointLabels, forms.ModelChoiceField):
    pass


class CheckpointsField(CheckpointLabels, forms.ModelMultipleChoiceField):
    pass


class SnapshotField(forms.ModelChoiceField):
    def __init__(self, *args: Any, kind: str, **kwargs: Any) -> None:
        self.kind = kind
        super().__init__(*args, **kwargs)

    def label_from_instance(self, snapshot: Any) -> str:
        if self.kind == Run.Kind.EVALUATE:
            return f"{snapshot.name} · {snapshot.compared(EVALUATION)} held out"
        train, held_out = (rows_read(snapshot, READS[self.kind], split) for split in (TRAIN, EVALUATION))
        return f"{snapshot.name} · {train} rows to train on, {held_out} held out"


class NewOrExistingField(forms.ModelChoiceField):
    """A choice whose empty option means a new one."""

    def clean(self, value: Any) -> Any:
        return None if value in self.empty_values else super().clean(value)


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
        self.like = self.run_like()
        needed, allowed = INPUTS[kind]
        if kind == Run.Kind.EVALUATE:
            self.add_evaluated()
        else:
            for name in ("policy", "reward", "snapshot"):
                if name in needed | allowed:
                    self.fields[name] = self.input_field(name, required=name in needed)
        if "others" in allowed:
            self.add_others()
        if "queue" in needed:
            self.add_queue()
        elif "queue" in allowed:
            self.add_scored()
        if "prompt_ids" in allowed:
            self.add_prompts()
        self.inputs = [name for name in self.fields if name != "name"]
        self.settings = self.add_settings(CONFIGS[kind], self.like.config if self.like else {})
        self.launch = self.add_settings(LaunchConfig, self.like.launch if self.like else {})
        self.needs = self.add_settings(NeedsConfig, self.like.needs if self.like else {})
        if kind in SWEPT:
            self.add_control()

    # What it is made of ---------------------------------------------------------------------------

    def run_like(self) -> Run | None:
        """Return the run to be repeated, if the query string names one of this project and kind."""
        try:
            wanted = UUID((self.data or self.asked).get("like", ""))
        except ValueError:
            return None
        return self.project.runs.filter(kind=self.kind, pk=wanted).first()

    def input_field(self, name: str, required: bool = True) -> forms.ModelChoiceField:
        checkpoints = self.project.checkpoints.all()
        if name == "policy":
            return self.policy_field(checkpoints)
        if name == "reward":
            options = checkpoints.reward_models()
            help_text, empty = REWARD_WORDS.get(self.kind, REWARD_OF_ONLINE)
            usual = None if self.kind == Run.Kind.SAMPLE else options.first()
            initial = self.preselected(name, options) or usual
            return CheckpointField(
                options,
                label="Reward model",
                required=required,
                empty_label=empty,
                help_text=help_text,
                initial=initial,
            )
        found = [one.pk for one in readable(self.project, self.kind)]
        snapshots: Any = Snapshot.objects.filter(pk__in=found)
        help_text = "Its train split is learned from, its evaluation split tells how well."
        initial = self.preselected(name, snapshots) or snapshots.first()
        return SnapshotField(snapshots, kind=self.kind, help_text=help_text, initial=initial)

    def policy_field(self, checkpoints: Any) -> forms.ModelChoiceField:
        options = checkpoints.policies()
        usual = options.filter(kind=Checkpoint.Kind.BASE).first() or options.first()
        label, help_text = POLICY_LABELS.get(self.kind, TRAINED_POLICY)
        if self.kind == Run.Kind.MERGE:
            options = options.filter(kind=Checkpoint.Kind.POLICY, is_whole=False)
        if self.kind in (Run.Kind.SAMPLE, Run.Kind.MERGE):
            usual = options.first()
        scorers = checkpoints.reward_models()
        if self.kind in ONLINE and (scorer := self.preselected("reward", scorers) or scorers.first()):
            usual = scorer.parent
        initial = self.preselected("policy", options) or usual
        return CheckpointField(options, label=label, help_text=help_text, initial=initial)

    def preselected(self, name: str, options: Any) -> Any:
        """Return the option that the query string names, or the one of the run to be repeated."""
        wanted = self.asked.get(name) or (str(getattr(self.like, f"{name}_id") or "") if self.like else "")
        return next((one for one in options if str(one.pk) == wanted), None) if wanted else None

    def add_evaluated(self) -> None:
        options = self.project.checkpoints.exclude(kind=Checkpoint.Kind.BASE)
        chosen = self.preselected("policy", options) or self.preselected("reward", options)
        self.fields["model"] = CheckpointField(
            options,
            help_text="A reward model, or a policy by its implicit reward against its reference.",
            initial=chosen or options.first(),
        )
        judges = self.project.checkpoints.reward_models()
        self.fields["judge"] = CheckpointField(
            judges,
            required=False,
            empty_label="Nobody: against people's labels",
            help_text="A reward model that reads what the policy and its reference write to the prompts below; the "
            "snapshot is not read then.",
            initial=self.preselected("reward", judges) if self.preselected("policy", options) else None,
        )
        found = [one.pk for one in readable(self.project, self.kind)]
        snapshots: Any = Snapshot.objects.filter(pk__in=found)
        self.fields["snapshot"] = SnapshotField(
            snapshots,
            kind=self.kind,
            required=False,
            help_text="Only its evaluation split is read.",
            initial=self.preselected("snapshot", snapshots) or snapshots.first(),
        )

    def add_others(self) -> None:
        chosen = [str(other.pk) for other in self.like.others.all()] if self.like else []
        self.fields["others"] = CheckpointsField(
            self.project.checkpoints.policies(),
            label="Further models",
            required=False,
            initial=chosen,
            widget=forms.CheckboxSelectMultiple,
            help_text="Each answers the same prompts, so that people compare the models with each other, blind.",
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
            if self.kind in ONLINE
            else [
                ("all", f"All {counts[EVALUATION]} of the evaluation split"),
                (TRAIN, f"The train split ({train})"),
                *([(HOLDOUT, f"The hold-out split ({counts[HOLDOUT]}), for the last test")] * bool(counts[HOLDOUT])),
            ]
            if self.kind == Run.Kind.EVALUATE
            else [
                ("all", f"All {train + counts[EVALUATION]}"),
                (TRAIN, f"The train split ({train})"),
                (EVALUATION, f"The evaluation split ({counts[EVALUATION]})"),
                *([(HOLDOUT, f"The hold-out split ({counts[HOLDOUT]}), for the last test")] * bool(counts[HOLDOUT])),
            ]
        )
        same = len(self.like.prompt_ids) if self.like else 0
        if self.like and same:
            choices.append(("same", f"The {same} of {self.like.name}"))
        self.fields["prompts"] = forms.ChoiceField(
            choices=[*choices, ("random", "Some, drawn at random")], initial="same" if same else "all"
        )
        self.fields["prompt_count"] = forms.IntegerField(
            label="How many at random",
            min_value=1,
            initial=min(32, max(1, train)),
            required=not self.is_bound or self.data.get("prompts") == "random",
        )

    def add_settings(self, config_class: type, values: Mapping[str, Any]) -> dict[str, dataclasses.Field]:
        hints = get_type_hints(config_class)
        settings = {setting.name: setting for setting in dataclasses.fields(config_class)}
        for name, setting in settings.items():
            self.fields[name] = setting_field(setting, hints[name])
            if name in values and takes(setting, values[name]):
                self.fields[name].initial = values[name]
        return settings

    def add_control(self) -> None:
        self.fields["waits_after_preflight"] = forms.BooleanField(
            label="Wait after the preflight",
            required=False,
            initial=self.like.waits_after_preflight if self.like else False,
            help_text="The run looks at its rows and stops until somebody has looked, too, and lets it go on.",
        )
        self.fields["seeds"] = SeedsField(
            label="Further seeds",
            required=False,
            help_text="A run of its own for each, otherwise the same: what differs between them is chance.",
        )

    # For the page ---------------------------------------------------------------------------------

    @property
    def input_fields(self) -> list[BoundField]:
        return [self[name] for name in self.inputs if name not in ("queue_name", "guideline", "prompt_count")]

    def is_advanced(self, name: str) -> bool:
        if name == "reward_function":  # where there is no reward model, nothing starts without one
            return False
        return name == "seed" or self.settings[name].metadata["advanced"]

    @property
    def main_settings(self) -> list[BoundField]:
        names = [name for name in self.settings if not self.is_advanced(name)]
        return [field for group in grouped(self, names) for field in group.fields]

    @property
    def advanced_settings(self) -> list[FieldGroup]:
        return grouped(self, [name for name in self.settings if self.is_advanced(name)])

    @property
    def advanced_is_wrong(self) -> bool:
        return any(field.errors for group in self.advanced_settings for field in group.fields)

    @property
    def where_settings(self) -> list[BoundField]:
        return [self[name] for name in (*self.launch, *self.needs)]

    @property
    def where_is_wrong(self) -> bool:
        return any(field.errors for field in self.where_settings)

    @property
    def reward_functions(self) -> list[str]:
        return reward_function_names() if "reward_function" in self.settings else []

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
            "launch": {name: self.value_of(name) for name in self.launch},
            "needs": {name: self.value_of(name) for name in self.needs},
        }
        if "waits_after_preflight" in self.fields:
            given["waits_after_preflight"] = self.value_of("waits_after_preflight")
        for name in ("policy", "reward", "snapshot", "queue"):
            if name in self.fields:
                given[name] = self.value_of(name)
        if "others" in self.fields:
            given["others"] = list(self.value_of("others") or ())
        if "model" in self.fields and (model := self.value_of("model")) is not None:
            judge = self.value_of("judge")
            given["reward" if judge is None and model.kind == Checkpoint.Kind.REWARD else "policy"] = model
            if judge is not None:
                given |= {"reward": judge, "snapshot": None}
        if "queue_name" in self.fields and given["queue"] is None:
            given["new_queue"] = NewQueue(self.value_of("queue_name") or "", self.value_of("guideline") or "")
        if "prompts" in self.fields:
            same = tuple(self.like.prompt_ids) if self.like else ()
            given["prompts"] = PromptChoice(self.value_of("prompts"), self.value_of("prompt_count") or 0, same)
        return given

    def wanted_seeds(self) -> list[int]:
        """Return the seeds of the runs to be started; one where no further one was given."""
        further = self.value_of("seeds") if "seeds" in self.fields else None
        return list(dict.fromkeys([self.value_of("seed"), *(further or ())]))

    def refuse(self, refusal: BadConfig | RunRefused | QueueRefused) -> None:
        """Show a refusal beside the field that it is about."""
        name = REFUSED_FIELDS.get(refusal.field, refusal.field)
        if isinstance(refusal, QueueRefused):
            name = {"name": "queue_name"}.get(name, name)
        elif "model" in self.fields and name in ("policy", "reward"):
            name = "model"
        message = refusal.message[:1].upper() + refusal.message[1:]
        self.add_error(name if name in self.fields else None, message)
