"""Files that were brought in, and the people named in them."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from feedback.models.jobs import Job
from feedback.models.people import Project, new_id
from feedback.models.queues import Queue


class FileImport(models.Model):
    """One file or dataset directory: how it was read, what was wrong, what came of it.

    First it is checked whole (nothing is stored before), then stored in pieces that can be resumed. Rows that it
    stored point to it; undoing it removes those that nothing has been built on.
    """

    class Kind(models.TextChoices):
        PROMPTS = "prompts", "Prompts"
        RESPONSES = "responses", "Responses"
        PREFERENCES = "preferences", "Preference pairs"
        RANKINGS = "rankings", "Rankings"
        RATINGS = "ratings", "Ratings"
        DEMONSTRATIONS = "demonstrations", "Instructions with a written response"
        VOTES = "votes", "Votes of people"

    class State(models.TextChoices):
        UPLOADED = "uploaded", "Uploaded"
        CHECKING = "checking", "Being checked"
        CHECKED = "checked", "Checked, nothing stored yet"
        STORING = "storing", "Being stored"
        STORED = "stored", "Stored"
        UNDONE = "undone", "Undone"

    id = models.UUIDField(primary_key=True, default=new_id, editable=False)
    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="imports")
    kind = models.CharField(max_length=20, choices=Kind.choices)
    form = models.CharField(
        max_length=30,
        blank=True,
        help_text="What the file is laid out as, such as label_studio; empty = plain columns.",
    )
    filename = models.CharField(max_length=255)
    sha256 = models.CharField(max_length=64, help_text="Of the file as it came.")
    size = models.PositiveBigIntegerField()
    columns = models.JSONField(default=list, help_text="Those that its first rows have.")
    mapping = models.JSONField(default=dict, help_text="Which column of the file goes to which field.")
    options = models.JSONField(default=dict, help_text="Values for all rows, the queue, what to do with bad rows.")
    state = models.CharField(max_length=10, choices=State.choices, default=State.UPLOADED)
    job = models.ForeignKey(
        Job, on_delete=models.PROTECT, null=True, blank=True, related_name="+", help_text="The latest one."
    )
    queue = models.ForeignKey(
        Queue, on_delete=models.PROTECT, null=True, blank=True, related_name="imports", help_text="Of its judgments."
    )
    counts = models.JSONField(default=dict, help_text="Rows read, good, bad, added, there before; by what they became.")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(auto_now_add=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.filename


class ImportedPerson(models.Model):
    """A person who is named in a file: they cannot log in, and their votes are theirs and nobody else's."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="imported_people")
    external_id = models.CharField(max_length=200, help_text="As the file names them.")
    user = models.OneToOneField(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="imported_as")
    stands_for_many = models.BooleanField(
        default=False,
        help_text="Not one person but a dataset that names nobody; figures about single people leave it out.",
    )
    file_import = models.ForeignKey(FileImport, on_delete=models.PROTECT, null=True, related_name="people")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "external_id"], name="imported_person_once_per_project"),
        ]

    def __str__(self) -> str:
        return self.external_id


class HeldOutPerson(models.Model):
    """A person whose labels are kept apart: they are a split of their own in every snapshot and never trained on."""

    project = models.ForeignKey(Project, on_delete=models.PROTECT, related_name="held_out")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["project", "person"], name="held_out_person_once")]
