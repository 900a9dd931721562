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
    path = models.CharField(
        max_length=500, help_text="Below the data directory, or an absolute directory or hub id for a base model."
    )
    sha256 = models.CharField(max_length=64, blank=True, help_text="Over the names and contents of its files.")
    template_digest = models.CharField(max_length=64, blank=True, help_text="Of the chat template and its end tokens.")
    step = models.PositiveIntegerField(default=0)
    evaluation = models.JSONField(default=dict, blank=True, help_text="Figures on held-out labels, each with its n.")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = CheckpointQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "name"], name="checkpoint_name_once_per_project"),
            models.CheckConstraint(
                condition=Q(kind="base", parent__isnull=True, run__isnull=True)
                | Q(kind__in=["policy", "reward"], parent__isnull=False, run__isnull=False),
                name="checkpoint_trained_has_parent_and_run",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class RunQuerySet(models.QuerySet["Run"]):
    def claimable(self) -> RunQuerySet:
        """Queued runs, and running ones whose worker has not renewed its lease; in database time."""
        return self.filter(Q(state=Run.State.QUEUED) | Q(state=Run.State.RUNNING, lease_expires_at__lte=Now()))

    def unfinished(self) -> RunQuerySet:
        return self.filter(state__in=Run.UNFINISHED)


class Run(models.Model):
    """One job on models: sampling, training or evaluating. Carried out by a worker, under a lease."""

    class Kind(models.TextChoices):
        SAMPLE = "sample", "Sample responses"
        REWARD = "reward", "Reward model"
        DPO = "dpo", "DPO"
        PPO = "ppo", "PPO"
        EVALUATE = "evaluate", "Evaluate"
        SCORE = "score", "Score responses"

    class State(models.TextChoices):
        QUEUED = "queued", "Waiting for a worker"
        RUNNING = "running", "Running"
        SUCCEEDED = "succeeded", "Succeeded"
        FAILED = "failed", "Failed"
        CANCELLED = "cancelled", "Cancelled"

    UNFINISHED = ("queued", "running")

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="runs")
    kind = models.CharField(max_length=10, choices=Kind.choices)
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
        help_text="The reward model of a PPO or score run, or the one to evaluate.",
    )
    queue = models.ForeignKey(
        Queue,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        related_name="sample_runs",
        help_text="Where a sample run's tasks go, or whose responses a score run scores.",
    )
    prompt_ids = models.JSONField(default=list, blank=True, help_text="Prompts of a sample run; empty for all.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    cancel_requested_at = models.DateTimeField(null=True, blank=True)
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
    def is_unfinished(self) -> bool:
        return self.state in self.UNFINISHED


class RunMetric(models.Model):
    """One step's metrics, copied from the run directory."""

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="metrics")
    step = models.PositiveIntegerField()
    values = models.JSONField()

    class Meta:
        ordering = ["step"]
        constraints = [models.UniqueConstraint(fields=["run", "step"], name="run_metric_once_per_step")]
