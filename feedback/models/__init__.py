"""The nouns of the people's side. Verbs live in modules named after the work (`claims`, `judging`, ...)."""

from feedback.models.judgments import Judgment, Review
from feedback.models.people import Membership, Project, Role, User
from feedback.models.prompts import Prompt, Response
from feedback.models.queues import Assignment, Comparison, Draft, Guideline, Queue, QueuePolicy, Skip
from feedback.models.snapshots import Snapshot

__all__ = [
    "Assignment",
    "Comparison",
    "Draft",
    "Guideline",
    "Judgment",
    "Membership",
    "Project",
    "Prompt",
    "Queue",
    "QueuePolicy",
    "Response",
    "Review",
    "Role",
    "Skip",
    "Snapshot",
    "User",
]
