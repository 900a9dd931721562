"""The tables as they are, for whoever runs the site. What is written once can be read here and nothing else."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db.models import Model
from django.http import HttpRequest

from feedback.models import (
    Adjudication,
    AnnotatorProfile,
    Assignment,
    AuditEvent,
    BulkAction,
    Comment,
    Consent,
    ConsentText,
    Dispute,
    Draft,
    Erasure,
    ErasureRequest,
    Expertise,
    FileImport,
    Finding,
    Gold,
    GoldRetirement,
    Guideline,
    HeldOutPerson,
    ImportedPerson,
    Job,
    Judgment,
    LabelSchema,
    Membership,
    Project,
    Prompt,
    Qualification,
    Queue,
    QueueMember,
    QueuePolicy,
    Report,
    Response,
    Review,
    ReviewRate,
    Score,
    Skip,
    Snapshot,
    Standing,
    StandingAnswer,
    Task,
    Turn,
    User,
    Worker,
)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the verbs write: append-only ones, and those whose rules a form here would not know."""

    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False


@admin.register(User)
class PersonAdmin(UserAdmin):
    list_display = ("username", "email", "is_active", "is_staff", "simulation_rule")
    list_filter = ("is_active", "is_staff", "is_superuser")
    readonly_fields = ("simulation_rule",)
    fieldsets = (*(UserAdmin.fieldsets or ()), ("Simulation", {"fields": ("simulation_rule",)}))


class MembershipInline(admin.TabularInline):
    model = Membership
    extra = 0
    autocomplete_fields = ("user",)


@admin.register(Project)
class ProjectAdmin(admin.ModelAdmin):
    list_display = ("name", "slug", "evaluation_percent", "created_at")
    search_fields = ("name", "slug")
    prepopulated_fields = {"slug": ("name",)}
    inlines = (MembershipInline,)


@admin.register(Prompt)
class PromptAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "project", "split", "source", "licence", "language", "created_at")
    list_filter = ("project", "split", "language")
    search_fields = ("digest", "source")


@admin.register(Response)
class ResponseAdmin(ReadOnlyAdmin):
    list_display = ("__str__", "prompt", "model_name", "origin", "created_at")
    list_select_related = ("prompt",)
    search_fields = ("origin", "model_name")


@admin.register(Queue)
class QueueAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "state", "created_by", "created_at")
    list_filter = ("project", "state")
    list_select_related = ("project", "created_by")
    search_fields = ("name",)


@admin.register(Guideline)
class GuidelineAdmin(ReadOnlyAdmin):
    list_display = ("queue", "number", "created_by", "created_at")
    list_select_related = ("queue", "created_by")


@admin.register(QueuePolicy)
class QueuePolicyAdmin(ReadOnlyAdmin):
    list_display = ("queue", "number", "overlap", "lease_minutes", "created_at")
    list_select_related = ("queue",)


@admin.register(LabelSchema)
class LabelSchemaAdmin(ReadOnlyAdmin):
    list_display = ("queue", "number", "created_by", "created_at")


@admin.register(QueueMember)
class QueueMemberAdmin(ReadOnlyAdmin):
    list_display = ("queue", "person", "named_by", "created_at")


@admin.register(Qualification)
class QualificationAdmin(ReadOnlyAdmin):
    list_display = ("queue", "person", "passed", "right", "judged", "decided_by", "created_at")
    list_filter = ("passed",)


@admin.register(AnnotatorProfile)
class AnnotatorProfileAdmin(ReadOnlyAdmin):
    list_display = ("user", "languages", "hourly_rate", "currency")


@admin.register(Expertise)
class ExpertiseAdmin(ReadOnlyAdmin):
    list_display = ("user", "domain", "verified_by", "verified_at", "withdrawn_at")


@admin.register(Gold)
class GoldAdmin(ReadOnlyAdmin):
    list_display = ("task", "queue", "created_by", "created_at")


@admin.register(Task)
class TaskAdmin(ReadOnlyAdmin):
    list_display = ("id", "queue", "prompt", "propensity", "created_at")
    list_filter = ("queue",)
    list_select_related = ("queue", "prompt")


@admin.register(Assignment)
class AssignmentAdmin(ReadOnlyAdmin):
    list_display = ("id", "queue", "slot", "state", "annotator", "lease_expires_at")
    list_filter = ("queue", "state")
    list_select_related = ("queue", "annotator")
    exclude = ("lease_token",)


@admin.register(Judgment)
class JudgmentAdmin(ReadOnlyAdmin):
    list_display = (
        "id",
        "queue",
        "annotator",
        "revision",
        "preference",
        "active_seconds",
        "is_simulated",
        "created_at",
    )
    list_filter = ("queue", "interface")
    list_select_related = ("queue", "annotator")

    @admin.display(boolean=True, description="simulated")
    def is_simulated(self, judgment: Judgment) -> bool:
        return judgment.is_simulated


@admin.register(Review)
class ReviewAdmin(ReadOnlyAdmin):
    list_display = ("judgment_id", "accepted", "reason", "reviewer", "created_at")
    list_filter = ("accepted",)
    list_select_related = ("reviewer",)


@admin.register(Draft)
class DraftAdmin(ReadOnlyAdmin):
    list_display = ("task_id", "annotator", "preference", "updated_at")
    list_select_related = ("annotator",)


@admin.register(Skip)
class SkipAdmin(ReadOnlyAdmin):
    list_display = ("task_id", "annotator", "reason", "note", "created_at")
    list_filter = ("reason",)
    list_select_related = ("annotator",)


@admin.register(Turn)
class TurnAdmin(ReadOnlyAdmin):
    list_display = ("task_id", "annotator", "number", "state", "preference", "failures", "error", "created_at")
    list_filter = ("state",)
    list_select_related = ("annotator",)


@admin.register(Snapshot)
class SnapshotAdmin(ReadOnlyAdmin):
    list_display = ("name", "project", "sha256", "created_by", "created_at")
    list_filter = ("project",)
    list_select_related = ("project", "created_by")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).defer("manifest")


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    list_display = ("kind", "project", "state", "done", "total", "created_by", "created_at", "finished_at")
    list_filter = ("kind", "state")
    list_select_related = ("project", "created_by")


@admin.register(FileImport)
class FileImportAdmin(ReadOnlyAdmin):
    list_display = ("filename", "project", "kind", "state", "size", "created_by", "created_at")
    list_filter = ("kind", "state")
    list_select_related = ("project", "created_by")


@admin.register(ImportedPerson)
class ImportedPersonAdmin(ReadOnlyAdmin):
    list_display = ("external_id", "project", "user")
    list_select_related = ("project", "user")


@admin.register(HeldOutPerson)
class HeldOutPersonAdmin(ReadOnlyAdmin):
    list_display = ("person", "project", "created_by", "created_at")
    list_select_related = ("project", "person", "created_by")


@admin.register(Finding)
class FindingAdmin(ReadOnlyAdmin):
    list_display = ("kind", "project", "prompt_id", "response_id", "settlement", "settled_by", "created_at")
    list_filter = ("kind", "settlement")
    list_select_related = ("project", "settled_by")


@admin.register(Score)
class ScoreAdmin(ReadOnlyAdmin):
    list_display = ("response_id", "scorer_name", "value", "spread", "attributes", "created_at")


@admin.register(BulkAction)
class BulkActionAdmin(ReadOnlyAdmin):
    list_display = ("action", "project", "count", "created_by", "created_at", "undone_at")
    list_select_related = ("project", "created_by")


@admin.register(AuditEvent)
class AuditEventAdmin(ReadOnlyAdmin):
    list_display = ("created_at", "project", "actor", "action", "subject", "subject_id")
    list_filter = ("action",)
    list_select_related = ("project", "actor")


@admin.register(Comment)
class CommentAdmin(ReadOnlyAdmin):
    list_display = ("task_id", "judgment_id", "author", "for_annotator", "created_at")
    list_select_related = ("author",)


@admin.register(Adjudication)
class AdjudicationAdmin(ReadOnlyAdmin):
    list_display = ("task_id", "adjudicator", "reason", "created_at")
    list_select_related = ("adjudicator",)


@admin.register(GoldRetirement)
class GoldRetirementAdmin(ReadOnlyAdmin):
    list_display = ("gold_id", "reason", "retired_by", "created_at")
    list_filter = ("reason",)
    list_select_related = ("retired_by",)


@admin.register(Dispute)
class DisputeAdmin(ReadOnlyAdmin):
    list_display = ["task", "queue", "dismissed_by", "created_at"]


@admin.register(ReviewRate)
class ReviewRateAdmin(ReadOnlyAdmin):
    list_display = ("person", "project", "percent", "set_by", "set_at")
    list_select_related = ("person", "project", "set_by")


@admin.register(Report)
class ReportAdmin(ReadOnlyAdmin):
    list_display = ("kind", "project", "judgments", "seconds", "computed_at")
    list_filter = ("kind",)
    list_select_related = ("project",)


@admin.register(Standing)
class StandingAdmin(ReadOnlyAdmin):
    list_display = ("person", "project", "decision", "decided_by", "created_at")
    list_filter = ("decision",)
    list_select_related = ("person", "project", "decided_by")


@admin.register(StandingAnswer)
class StandingAnswerAdmin(ReadOnlyAdmin):
    list_display = ("standing_id", "author", "created_at")
    list_select_related = ("author",)


@admin.register(ConsentText)
class ConsentTextAdmin(ReadOnlyAdmin):
    list_display = ("project", "number", "created_by", "created_at")
    list_select_related = ("project", "created_by")


@admin.register(Consent)
class ConsentAdmin(ReadOnlyAdmin):
    list_display = ("person", "project", "given_at", "withdrawn_at")
    list_select_related = ("person", "project")


@admin.register(ErasureRequest)
class ErasureRequestAdmin(ReadOnlyAdmin):
    list_display = ("person", "project", "created_at", "settlement", "settled_by")
    list_select_related = ("person", "project", "settled_by")


@admin.register(Erasure)
class ErasureAdmin(ReadOnlyAdmin):
    list_display = ("pseudonym", "project", "requested_by", "created_at", "finished_at")
    list_select_related = ("project", "requested_by")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "work", "started_at", "last_seen_at")
