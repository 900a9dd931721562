"""Every field that can hold what a person said is known to the erasure, which empties it or keeps it on purpose."""

from __future__ import annotations

from django.apps import apps
from django.db import models

EMPTIED = {
    *("Judgment.content", "Judgment.rationale", "Judgment.flags"),
    *("Review.reason", "Review.fixed", "Comment.text", "StandingAnswer.text", "Skip.note"),
    *("Draft.content", "Draft.rationale", "Draft.flags"),
    *("Turn.rationale", "Turn.flags", "Turn.policies", "Turn.sampling", "Turn.error"),
    *("Prompt.messages", "Prompt.tags", "Response.text", "Response.sampling", "Finding.detail"),
    *("AuditEvent.before", "AuditEvent.after", "AuditEvent.reason", "Report.params", "Report.content"),
    *("ErasureRequest.note", "AnnotatorProfile.languages", "Expertise.evidence"),
}
KEPT = {
    "Judgment.display_order": "in which order responses were shown, not what was said",
    "Assignment.display_order": "the same",
    "Standing.reason": "a decision about their work is the project's",
    "Standing.evidence": "figures that the decision rests on",
    "Qualification.reason": "a curator's word on a test",
    "Adjudication.answer": "staff's own answer",
    "Adjudication.reason": "staff's",
    "Gold.answer": "staff's",
    "Gold.explanation": "staff's",
    "GoldRetirement.note": "staff's",
    "BulkAction.filters": "staff's",
    "BulkAction.reason": "staff's",
    "ConsentText.text": "staff's",
    "Guideline.text": "staff's",
    "LabelSchema.content": "staff's",
    "QueuePolicy.languages": "staff's",
    "Project.description": "staff's",
    "FileImport.columns": "names of a file's columns; the file itself is deleted once it is stored",
    "FileImport.mapping": "which column is what",
    "FileImport.options": "how it was read",
    "FileImport.counts": "numbers",
    "Job.params": "ids and settings",
    "Job.cursor": "ids and counts",
    "Job.result": "counts and addresses",
    "Job.error": "what went wrong",
    "Snapshot.manifest": "frozen; lists pseudonyms and counts",
    "Score.attributes": "a model's numbers; the scores of erased texts are deleted whole",
    "ErasureRequest.answer": "an admin's reason to refuse",
    "Worker.labels": "an operator's words for a machine",
    "Erasure.reason": "the receipt itself",
    "Erasure.receipt": "the receipt itself",
}


def test_every_text_is_emptied_or_kept_on_purpose():
    found = {
        f"{model.__name__}.{field.name}"
        for model in apps.get_app_config("feedback").get_models()
        for field in model._meta.fields
        if isinstance(field, models.TextField | models.JSONField)
    }
    assert found - EMPTIED - set(KEPT) == set(), "decide what an erasure does to it, in feedback/erasing_parts.py"
    assert EMPTIED | set(KEPT) <= found, "what is no more needs no decision"
