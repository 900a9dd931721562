"""The nouns of the people's side. Verbs live in modules named after the work (`claims`, `judging`, ...)."""

from feedback.models.audit import AuditEvent, BulkAction
from feedback.models.consent import Consent, ConsentText, Erasure, ErasureRequest
from feedback.models.conversations import Turn
from feedback.models.findings import Finding
from feedback.models.gold import Gold, GoldRetirement
from feedback.models.imports import FileImport, HeldOutPerson, ImportedPerson
from feedback.models.jobs import Job
from feedback.models.judgments import Judgment, Review
from feedback.models.people import AnnotatorProfile, Expertise, Membership, Project, Role, User
from feedback.models.prompts import Prompt, Response
from feedback.models.qualifications import Qualification
from feedback.models.queues import Guideline, GuidelineReading, LabelSchema, Queue, QueueMember, QueuePolicy
from feedback.models.reviews import Adjudication, Comment, Dispute, ReviewRate
from feedback.models.scores import Score
from feedback.models.skips import Skip
from feedback.models.snapshots import Snapshot
from feedback.models.standings import Report, Standing, StandingAnswer
from feedback.models.tasks import Arm, Assignment, Draft, Task, TaskResponse
from feedback.models.workers import Worker

__all__ = [
    "Adjudication",
    "AnnotatorProfile",
    "Arm",
    "Assignment",
    "AuditEvent",
    "BulkAction",
    "Comment",
    "Consent",
    "ConsentText",
    "Dispute",
    "Draft",
    "Erasure",
    "ErasureRequest",
    "Expertise",
    "FileImport",
    "Finding",
    "Gold",
    "GoldRetirement",
    "Guideline",
    "GuidelineReading",
    "HeldOutPerson",
    "ImportedPerson",
    "Job",
    "Judgment",
    "LabelSchema",
    "Membership",
    "Project",
    "Prompt",
    "Qualification",
    "Queue",
    "QueueMember",
    "QueuePolicy",
    "Report",
    "Response",
    "Review",
    "ReviewRate",
    "Role",
    "Score",
    "Skip",
    "Snapshot",
    "Standing",
    "StandingAnswer",
    "Task",
    "TaskResponse",
    "Turn",
    "User",
    "Worker",
]
