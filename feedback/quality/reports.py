"""Reports: figures that are computed once, by a job or at once when they are few, and shown with their age."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol
from uuid import UUID

from django.urls import reverse
from django.utils.http import urlencode
from django.utils.module_loading import import_string

from feedback.jobs import JobFailed, start_and_carry_out, start_job
from feedback.models import Job, Judgment, Project, Report, User
from feedback.quality.columns import as_uuid, halves
from feedback.quality.leaving_out import check_leaving_out
from feedback.refusals import Refusal

if TYPE_CHECKING:
    from feedback.jobs import JobRun
    from feedback.quality.columns import Columns

INLINE_JUDGMENTS = 5_000
"""So many are measured in the request that asks; more are left to a clerk."""
KEPT = 5
"""Reports of one question that are kept; older ones are dropped when a new one is written."""
WHAT_IFS_KEPT = 100
"""Of a project, whatever was left out; every choice is a question of its own."""
JOBS_LOOKED_AT = 50

FUNCTIONS: Mapping[str, str] = {
    Report.Kind.AGREEMENT: "feedback.quality.agreement.measure_agreement",
    Report.Kind.PEOPLE: "feedback.quality.people.measure_people",
    Report.Kind.MODELS: "feedback.quality.model_ranks.measure_models",
    Report.Kind.WHAT_IF: "feedback.quality.what_if.measure_what_if",
    Report.Kind.DISPUTES: "feedback.quality.disputes.measure_disputes",
}
"""Dotted names of what computes each kind of report; each is called as Measure says."""

PAGES: Mapping[str, str] = {
    Report.Kind.AGREEMENT: "quality-agreement",
    Report.Kind.DISPUTES: "disputes",
    Report.Kind.MODELS: "quality-models",
    Report.Kind.WHAT_IF: "quality-what-if",
    Report.Kind.PEOPLE: "quality-people",
}
"""Names of the pages that show each kind of report."""

Tell = Callable[[int, int | None, str], None]
"""Called with how much is done, of how much, and in words what comes now; may end the work by raising."""


@dataclass(frozen=True)
class Measured:
    """What a measurement found, and the judgments that it was computed from."""

    content: dict[str, Any]
    columns: Columns


class Measure(Protocol):
    def __call__(self, *, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured: ...


@dataclass(frozen=True)
class Shown:
    """The latest report on a question, with what its page says of its age."""

    kind: str
    params: Mapping[str, Any]
    report: Report | None
    since: int
    """Judgments that were made since, revisions among them."""
    job: Job | None
    """The measurement that runs now, or the one that failed after the report was made."""

    @property
    def content(self) -> dict[str, Any]:
        return self.report.content if self.report else {}

    @property
    def is_running(self) -> bool:
        return self.job is not None and not self.job.is_over


def key_of(params: Mapping[str, Any]) -> str:
    """Return the key under which reports on the same question are found again."""
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def report_for(*, project: Project, kind: str, params: Mapping[str, Any] | None = None) -> Report | None:
    """Return the latest report on a question, or None when it was never measured."""
    return Report.objects.filter(project=project, kind=kind, key=key_of(params or {})).first()


def shown_for(*, project: Project, kind: str, params: Mapping[str, Any] | None = None) -> Shown:
    """Return the latest report on a question with its age; reads only."""
    params = params or {}
    report = report_for(project=project, kind=kind, params=params)
    job = latest_job(project, kind, key_of(params))
    if (
        job is not None
        and job.is_over
        and (job.state == Job.State.SUCCEEDED or (report is not None and job.created_at < report.computed_at))
    ):
        job = None
    return Shown(kind, params, report, since(report) if report else 0, job)


def since(report: Report) -> int:
    """Count the project's judgments that were made after those of the report; ids are in the order of time."""
    judgments = Judgment.objects.in_project(report.project)
    return (judgments if report.newest is None else judgments.filter(pk__gt=report.newest)).count()


def latest_job(project: Project, kind: str, key: str) -> Job | None:
    jobs = Job.objects.filter(project=project, kind=Job.Kind.MEASURE)[:JOBS_LOOKED_AT]
    return next((job for job in jobs if job.params.get("report") == kind and job.params.get("key") == key), None)


class ReportRefused(Refusal):
    """A report cannot be had as asked; `field` says why."""


def check_params(kind: str, params: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked of a kind of report as its key takes it. Raises Refusal."""
    if kind not in FUNCTIONS:
        raise ReportRefused("kind", f"{kind!r} cannot be measured; use {', '.join(FUNCTIONS)}")
    if kind == Report.Kind.WHAT_IF:
        return check_leaving_out(params)
    if kind == Report.Kind.PEOPLE and set(params) == {"queue"}:
        try:
            return {"queue": str(UUID(str(params["queue"])))}
        except ValueError as error:
            raise ReportRefused("params", f"{params['queue']!r} is not the id of a queue") from error
    if params:
        raise ReportRefused("params", f"a report on {kind} takes none, and this has {', '.join(sorted(params))}")
    return {}


def measure(*, project: Project, kind: str, params: Mapping[str, Any] | None = None, created_by: User | None) -> Job:
    """Measure a question anew: here when there is little to read, by a clerk otherwise.

    A measurement of the same question that waits or runs already is returned instead.
    """
    asked = dict(params or {})
    key = key_of(asked)
    running = latest_job(project, kind, key)
    if running is not None and not running.is_over:
        return running
    job_params = {"report": Report.Kind(kind).value, "key": key, "params": asked}
    few = Judgment.objects.in_project(project).order_by()[: INLINE_JUDGMENTS + 1].count() <= INLINE_JUDGMENTS
    start = start_and_carry_out if few else start_job
    return start(project=project, kind=Job.Kind.MEASURE, params=job_params, created_by=created_by)


def carry_out_measure(run: JobRun) -> dict[str, Any]:
    """Do the work of a MEASURE job: compute, then write the report in one step."""
    kind, params, key = run.params["report"], run.params["params"], run.params["key"]
    if kind not in FUNCTIONS:
        raise JobFailed(f"there is no report {kind!r}; there is {', '.join(FUNCTIONS)}")
    measurement: Measure = import_string(FUNCTIONS[kind])
    began, project = time.monotonic(), run.job.project
    measured = measurement(project=project, params=params, tell=run.progress)
    report = Report(
        project=project,
        kind=kind,
        key=key,
        params=params,
        content=measured.content,
        judgments=len(measured.columns),
        newest=newest_of(measured.columns),
        seconds=round(time.monotonic() - began, 3),
        job=run.job,
    )
    with run.step(cursor={"report": str(report.pk)}):
        report.save(force_insert=True)
        same = Report.objects.filter(project=project, kind=kind, key=key)
        same.filter(pk__in=[old.pk for old in same.only("pk")[KEPT:]]).delete()
        if kind == Report.Kind.WHAT_IF:
            asked = Report.objects.filter(project=project, kind=kind)
            asked.filter(pk__in=[old.pk for old in asked.only("pk")[WHAT_IFS_KEPT:]]).delete()
    return {
        "report": str(report.pk),
        "judgments": report.judgments,
        "seconds": report.seconds,
        "words": f"{report.get_kind_display()} measured from {report.judgments:,} judgments",
        "url": page_of(report),
    }


def page_of(report: Report) -> str:
    """Return the address of the page that shows the report."""
    listed = {name: ",".join(value) if name == "days" else value for name, value in report.params.items()}
    query = urlencode(listed, doseq=True)
    return f"{reverse(PAGES[report.kind], args=[report.project.slug])}{'?' if query else ''}{query}"


def newest_of(columns: Columns) -> UUID | None:
    if not len(columns):
        return None
    low, high = halves(columns.judgment)
    last = high == high.max()
    at = int(last.nonzero()[0][low[last].argmax()])
    return as_uuid(columns.judgment[at])


def age_in_words(report: Report, now: datetime) -> str:
    """Return how long ago a report was computed."""
    seconds = max(0, int((now - report.computed_at).total_seconds()))
    for size, word in ((86_400, "day"), (3_600, "hour"), (60, "minute")):
        if seconds >= size:
            number = seconds // size
            return f"{number} {word}{'' if number == 1 else 's'} ago"
    return "just now"
