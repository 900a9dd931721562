"""What models are asked, and what they answered."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from feedback.contract import SPLITS, TRAIN
from feedback.models.consent import Erasure
from feedback.models.imports import FileImport
from feedback.models.people import Project, new_id


class PromptQuerySet(models.QuerySet["Prompt"]):
    def pool(self) -> PromptQuerySet:
        """What queues, sampling and PPO draw from: all but the prompts that grew turn by turn in a conversation."""
        return self.filter(of_talk=False)


class Prompt(models.Model):
    """A chat that ends with the user's turn."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="prompts")
    messages = models.JSONField(help_text="List of {role, content}, as feedback.contract.check_messages returns it.")
    digest = models.CharField(max_length=64, editable=False)
    cluster = models.CharField(
        max_length=64, editable=False, help_text="Near-duplicates share it: the digest of one's normalised text."
    )
    split = models.CharField(max_length=20, default=TRAIN, help_text="Fixed at import by a salted hash of the cluster.")
    source = models.CharField(max_length=200, blank=True)
    licence = models.CharField(max_length=100, blank=True)
    language = models.CharField(max_length=20, blank=True, help_text="As the import or a person says it.")
    text_language = models.CharField(
        max_length=3, blank=True, editable=False, help_text="What the text seems to be in; empty: too short or unclear."
    )
    tags = models.JSONField(default=list, blank=True)
    file_import = models.ForeignKey(
        FileImport, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="prompts"
    )
    external_id = models.CharField(
        max_length=200, blank=True, help_text="What another system calls it; files refer to it by this."
    )
    erased_by = models.ForeignKey(
        Erasure,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="prompts",
        help_text="Its words are gone, at the wish of the person who wrote them.",
    )
    of_talk = models.BooleanField(
        default=False,
        help_text="Written turn by turn in a conversation task; its pairs train, but nobody is asked it again.",
    )
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = PromptQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["project", "digest"], name="prompt_once_per_project"),
            models.UniqueConstraint(
                fields=["project", "external_id"],
                condition=~models.Q(external_id=""),
                name="prompt_external_id_once_per_project",
            ),
            models.CheckConstraint(condition=models.Q(split__in=SPLITS), name="prompt_split_is_known"),
        ]
        indexes = [
            models.Index(fields=["project", "cluster", "split", "of_talk"], name="prompt_by_cluster"),
            models.Index(fields=["project", "language", "text_language", "of_talk"], name="prompt_by_language"),
            models.Index(
                fields=["file_import"], condition=models.Q(file_import__isnull=False), name="prompt_by_import"
            ),
        ]

    def __str__(self) -> str:
        return self.last_turn[:80]

    @property
    def last_turn(self) -> str:
        return self.messages[-1]["content"]


class ResponseQuerySet(models.QuerySet["Response"]):
    def naming_itself(self) -> ResponseQuerySet:
        """Those that give away what model wrote them."""
        return self.exclude(names_itself="")

    def in_project(self, project: Project) -> ResponseQuerySet:
        return self.filter(prompt__project=project)


class Response(models.Model):
    """A text that answers a prompt, and who wrote it."""

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.PROTECT, related_name="responses")
    text = models.TextField(blank=True, help_text="May be empty: a model can answer with nothing.")
    origin = models.CharField(
        max_length=200,
        help_text="Names the writing of this response, such as `<run id>:0`; landing it twice adds nothing.",
    )
    external_id = models.CharField(
        max_length=200, blank=True, help_text="What another system calls it; files refer to it by this."
    )
    model_name = models.CharField(max_length=200, blank=True)
    checkpoint_id = models.UUIDField(null=True, blank=True, help_text="training.Checkpoint that wrote it, if one did.")
    run_id = models.UUIDField(null=True, blank=True, help_text="training.Run that sampled it, if one did.")
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="responses"
    )
    file_import = models.ForeignKey(
        FileImport, on_delete=models.PROTECT, null=True, blank=True, db_index=False, related_name="responses"
    )
    erased_by = models.ForeignKey(
        Erasure,
        on_delete=models.PROTECT,
        null=True,
        blank=True,
        db_index=False,
        related_name="responses",
        help_text="Its words are gone, at the wish of the person who wrote them.",
    )
    sampling = models.JSONField(default=dict, blank=True, help_text="Temperature, top_p, seed and the like.")
    names_itself = models.CharField(
        max_length=200,
        blank=True,
        help_text="Words in which the text gives away what model wrote it; a curator sees them, no annotator does.",
    )
    naming_settlement = models.CharField(
        max_length=10,
        blank=True,
        choices=[("discard", "Its tasks are taken out"), ("leave", "It may stay")],
        help_text="What a curator decided of a response that names its model; empty while nobody has.",
    )
    naming_settled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.PROTECT, null=True, blank=True, related_name="+"
    )
    naming_settled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = ResponseQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["prompt", "origin"], name="response_once_per_origin"),
            models.UniqueConstraint(
                fields=["external_id", "prompt"],
                condition=~models.Q(external_id=""),
                name="response_external_id_once_per_prompt",
            ),
        ]
        indexes = [
            models.Index(fields=["-id"], condition=~models.Q(names_itself=""), name="response_naming_itself"),
            models.Index(
                fields=["file_import"], condition=models.Q(file_import__isnull=False), name="response_by_import"
            ),
        ]

    def __str__(self) -> str:
        return self.text[:80]
