"""Runs, the checkpoints they leave, their metrics, and the workers that carry them out."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from feedback.models import Project, Queue, Snapshot
from feedback.models.people import new_id


class CheckpointQuerySet(models.QuerySet["Checkpoint"]):
    def policies(self) -> CheckpointQuerySet:
        """Models that can write: base models and trained policies."""
        return self.filter(kind__in=(Checkpoint.Kind.BASE, Checkpoint.Kind.POLICY))

    def reward_models(self) -> CheckpointQuerySet:
        return self.filter(kind=Checkpoint.Kind.REWARD)


class Checkpoint(models.Model):
    """A model that can be used: a base model, a trained policy, or a reward model."""

    class Kind(models.TextChoices):
        BASE = "base", "Base model"
        POLICY = "policy", "Policy"
        REWARD = "reward", "Reward model"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="checkpoints")
    name = models.CharField(max_length=200)
    kind = models.CharField(max_length=10, choices=Kind.choices)
    parent = models.ForeignKey(
        "self",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="children",
        help_text="The model that training started from; empty for a base model.",
    )
    run = models.OneToOneField(
        "Run",
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="checkpoint",
        help_text="The run that left it; empty for a base model.",
    )
    snapshot = models.ForeignKey(
        Snapshot,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="checkpoints",
        help_text="The human feedback it learned from; a PPO policy's is its reward model's.",
    )
    is_whole = models.BooleanField(
        default=False, help_text="Its files are a whole model, not an adapter; true of every base model."
    )
    path = models.CharField(
        max_length=500, help_text="Below the data directory, or an absolute directory or hub id for a base model."
    )
    sha256 = models.CharField(max_length=64, blank=True, help_text="Over the names and contents of its files.")
    template_digest = models.CharField(max_length=64, blank=True, help_text="Of the chat template and its end tokens.")
    step = models.PositiveIntegerField(default=0)
    licence = models.CharField(max_length=100, blank=True, help_text="Of the weights, such as Apache-2.0.")
    origin = models.CharField(
        max_length=500, blank=True, help_text="Where an imported model comes from; empty for what runs left."
    )
    note = models.TextField(blank=True, help_text="What people say of it; goes into its model card.")
    files_deleted_at = models.DateTimeField(null=True, blank=True)
    files_deleted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    evaluation = models.JSONField(default=dict, blank=True, help_text="Figures on held-out labels, each with its n.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="checkpoint_name_once_per_project"),
            models.CheckConstraint(
                condition=Q(kind="base", parent__isnull=True, run__isnull=True)
                | Q(kind__in=["policy", "reward"], parent__isnull=False, run__isnull=False)
                | (Q(kind__in=["policy", "reward"], run__isnull=True) & ~Q(origin="")),
                name="checkpoint_trained_has_parent_and_run",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Promotion(models.Model):
    """Somebody's word that a checkpoint is the project's current one of its kind. The latest of a kind holds."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="promotions")
    checkpoint = models.ForeignKey(Checkpoint, on_delete=models.PROTECT, related_name="promotions")
    reason = models.TextField()
    promoted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.checkpoint} from {self.created_at:%Y-%m-%d}"


class RunQuerySet(models.QuerySet["Run"]):
    def claimable(self) -> RunQuerySet:
        """Queued runs, and running ones whose worker has not renewed its lease; in database time."""
        return self.filter(Q(state=Run.State.QUEUED) | Q(state=Run.State.RUNNING, lease_expires_at__lte=Now()))

    def unfinished(self) -> RunQuerySet:
        return self.filter(state__in=Run.UNFINISHED)


class Run(models.Model):
    """One job on models: sampling, training or evaluating. Carried out by a worker, under a lease."""

    class Kind(models.TextChoices):
        SFT = "sft", "Fine-tune (SFT)"
        REWARD = "reward", "Reward model"
        DPO = "dpo", "DPO"
        KTO = "kto", "KTO"
        PPO = "ppo", "PPO"
        GRPO = "grpo", "GRPO"
        RLOO = "rloo", "RLOO"
        ONLINE_DPO = "online_dpo", "Online DPO"
        SAMPLE = "sample", "Sample responses"
        SCORE = "score", "Score responses"
        EVALUATE = "evaluate", "Evaluate"
        MERGE = "merge", "Merge adapters"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Running"
        PAUSED = "paused", "Paused"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNFINISHED = ("queued", "running", "paused")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs")
    kind = models.CharField(max_length=12, choices=Kind.choices)
    name = models.CharField(max_length=200)
    config = models.JSONField(help_text="Values of the kind's config in training.configs.")
    snapshot = models.ForeignKey(Snapshot, on_delete=models.PROTECT, null=True, blank=True, related_name="runs")
    policy = models.ForeignKey(
        Checkpoint,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="runs_as_policy",
        help_text="The model to train, sample or evaluate.",
    )
    reward = models.ForeignKey(
        Checkpoint,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="runs_as_reward",
        help_text="The reward model that scores what is written, or the one to evaluate.",
    )
    others = models.ManyToManyField(
        Checkpoint,
        blank=True,
        related_name="runs_as_other",
        help_text="Further policies that answer a sample run's prompts, in the order of their ids.",
    )
    queue = models.ForeignKey(
        Queue,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="sample_runs",
        help_text="Where a sample run's tasks go, or whose responses a score run scores.",
    )
    prompt_ids = models.JSONField(default=list, blank=True, help_text="Prompts of the run; empty for all.")
    launch = models.JSONField(default=dict, blank=True, help_text="Values of training.configs.LaunchConfig.")
    needs = models.JSONField(default=dict, blank=True, help_text="Values of training.configs.NeedsConfig.")
    repeats = models.ForeignKey(
        "self",
        on_delete=models.SET_NULL,
        null=True,
        blank=True,
        related_name="repetitions",
        help_text="The run whose inputs, settings and seed it has, to see whether the same comes of it.",
    )
    sweep = models.UUIDField(
        null=True, blank=True, help_text="Shared by the runs that were started together with several seeds."
    )
    waits_after_preflight = models.BooleanField(
        default=False, help_text="Pauses once its preflight is done, for somebody to look at it."
    )
    preflight = models.JSONField(default=dict, blank=True, help_text="As preflight.json says.")
    environment = models.JSONField(
        default=dict, blank=True, help_text="Versions, git commit, device and threads, as environment.json says."
    )
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
    pause_requested_at = models.DateTimeField(null=True, blank=True)
    lease_owner = models.CharField(max_length=100, blank=True)
    attempt = models.PositiveIntegerField(default=0, help_text="Counts claims; fences a worker that lost its lease.")
    crashes = models.PositiveIntegerField(default=0, help_text="Attempts that ended without saying why.")
    lease_expires_at = models.DateTimeField(null=True, blank=True)
    progress = models.JSONField(default=dict, blank=True, help_text="{phase, done, total} as the trainer last said.")
    outcome = models.JSONField(default=dict, blank=True)
    error = models.TextField(blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="runs")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = RunQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_expires_at__isnull=False), name="run_running_has_lease"
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["succeeded", "failed", "cancelled"]) | Q(finished_at__isnull=False),
                name="run_ended_has_time",
            ),
        ]
        indexes = [models.Index(fields=["state", "id"], name="run_claim_order")]

    def __str__(self) -> str:
        return self.name

    @property
    def directory(self) -> Path:
        return Path(settings.DATA_DIR) / "runs" / str(self.id)

    @property
    def further_models(self) -> list[Checkpoint]:
        """The `others`, in the order in which the run's samples count them."""
        return list(self.others.order_by("pk"))

    @property
    def is_unfinished(self) -> bool:
        return self.state in self.UNFINISHED

    @property
    def waits_for_a_look(self) -> bool:
        """Tell whether it has paused after its preflight until somebody has read that."""
        return self.state == self.State.PAUSED and self.waits_after_preflight and bool(self.preflight)


class RunMetric(models.Model):
    """One step's metrics, copied from the run directory."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    values = models.JSONField()

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="run_metric_once_per_step")]
