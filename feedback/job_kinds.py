"""Which function does the work of which kind of job. It is given a `feedback.jobs.JobRun` and returns the job's result.

A result is shown to people by three of its keys: `words` (a sentence), `url` and `label` (where to go now). The rest is
for the pages of its kind.

Names instead of functions, so that a page which only starts a job does not import what carries it out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from django.utils.module_loading import import_string

from feedback.models import Job

if TYPE_CHECKING:
    from feedback.jobs import JobRun

WORK: dict[str, str] = {
    Job.Kind.SCAN: "feedback.hygiene.scan_job.scan",
    Job.Kind.IMPORT_CHECK: "feedback.imports.checking.check",
    Job.Kind.IMPORT: "feedback.imports.storing.store",
    Job.Kind.IMPORT_UNDO: "feedback.imports.undoing.undo",
    Job.Kind.MEASURE: "feedback.quality.reports.carry_out_measure",
    Job.Kind.FREEZE: "feedback.snapshot_jobs.freeze",
    Job.Kind.EXPORT: "feedback.exports.jobs.export",
    Job.Kind.PUSH: "feedback.exports.jobs.push",
    Job.Kind.ERASE: "feedback.erasing.carry_out_erasure",
    Job.Kind.REVIEW: "feedback.bulk.carry_out_bulk",
    Job.Kind.MODEL: "training.importing.carry_out_import",
}
"""Dotted names; one line per kind."""

PERMISSIONS: Mapping[str, str] = {
    Job.Kind.IMPORT_CHECK: "feedback.manage_prompts",
    Job.Kind.IMPORT: "feedback.manage_prompts",
    Job.Kind.IMPORT_UNDO: "feedback.manage_prompts",
    Job.Kind.SCAN: "feedback.manage_prompts",
    Job.Kind.MEASURE: "feedback.read_judgments",
    Job.Kind.REVIEW: "feedback.review",
    Job.Kind.FREEZE: "feedback.freeze",
    Job.Kind.EXPORT: "feedback.read_snapshots",
    Job.Kind.PUSH: "feedback.freeze",
    Job.Kind.ERASE: "feedback.erase",
    Job.Kind.MODEL: "training.run",
}
"""What a person has to be allowed to start such a job, and therefore to see, cancel and resume it."""


def work_of(kind: str) -> Callable[[JobRun], dict[str, Any]]:
    """Return the function that does this kind of work."""
    work: Callable[[JobRun], dict[str, Any]] = import_string(WORK[Job.Kind(kind)])
    return work
