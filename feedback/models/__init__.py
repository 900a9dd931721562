"""The nouns of the people's side. Verbs live in modules named after the work (`claims`, `judging`, ...)."""

from feedback.models.conversations import Turn
from feedback.models.judgments import Judgment, Review
from feedback.models.people import AnnotatorProfile, Expertise, Membership, Project, Role, User
from feedback.models.prompts import Prompt, Response
from feedback.models.qualifications import Qualification
from feedback.models.queues import Guideline, GuidelineReading, LabelSchema, Queue, QueueMember, QueuePolicy
from feedback.models.skips import Skip
from feedback.models.snapshots import Snapshot
from feedback.models.tasks import Arm, Assignment, Draft, Gold, Task, TaskResponse

__all__ = [
    "AnnotatorProfile",
    "Arm",
    "Assignment",
    "Draft",
    "Expertise",
    "Gold",
    "Guideline",
    "GuidelineReading",
    "Judgment",
    "LabelSchema",
    "Membership",
    "Project",
    "Prompt",
    "Qualification",
    "Queue",
    "QueueMember",
    "QueuePolicy",
    "Response",
    "Review",
    "Role",
    "Skip",
    "Snapshot",
    "Task",
    "TaskResponse",
    "Turn",
    "User",
]
