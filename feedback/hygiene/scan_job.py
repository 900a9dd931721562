"""Look at everything that a project holds: what came in before anybody looked, and what people wrote since."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.urls import reverse

from feedback.hygiene.near_index import forget, near_index
from feedback.hygiene.scanning import look_at, place_prompts_looked_at, store_findings
from feedback.hygiene.showing import count
from feedback.jobs import JobRun, start_and_carry_out, start_job
from feedback.models import Finding, Job, Judgment, Project, Prompt, Response, User

AT_ONCE = 500
"""Texts that are looked at and stored together: some 50 ms of SQLite's one writer."""
IN_A_REQUEST = 2_000
"""Texts up to which a scan is carried out in the request that asks for it."""
STAGES = ("prompts", "responses", "judgments")


def start_scan(*, project: Project, started_by: User) -> Job:
    """Scan the project: at once where it is small, else by the next free clerk. A scan that waits or runs goes on."""
    waiting = Job.objects.filter(project=project, kind=Job.Kind.SCAN).unfinished().first()
    if waiting is not None:
        return waiting
    small = sum(counts(project).values()) <= IN_A_REQUEST
    start = start_and_carry_out if small else start_job
    return start(project=project, kind=Job.Kind.SCAN, params={}, created_by=started_by)


def counts(project: Project) -> dict[str, int]:
    return {
        "prompts": project.prompts.count(),
        "responses": Response.objects.in_project(project).count(),
        "judgments": written(project).count(),
    }


def written(project: Project) -> Any:
    """Return the judgments in which a person wrote something."""
    return Judgment.objects.current().in_project(project).filter(~Q(rationale="") | ~Q(content={}))


def scan(run: JobRun) -> dict[str, Any]:
    """Look at every prompt, response and written judgment; the work of a SCAN job.

    The files of sketches are made anew, so that what is missing in them is found. Clusters of one split that belong
    together become one; prompts stay in their split.
    """
    project = run.job.project
    total = counts(project)
    if not run.cursor:
        forget(project)
        with run.step(cursor={"stage": "prompts", "after": "", "done": 0}):
            pass
    work: dict[str, Callable[[JobRun, Project], None]] = {
        "prompts": scan_prompts,
        "responses": scan_responses,
        "judgments": scan_judgments,
    }
    run.progress(run.cursor["done"], sum(total.values()), f"Looking at {total['prompts']:,} prompts")
    for stage in STAGES[STAGES.index(run.cursor["stage"]) :]:
        if stage != run.cursor["stage"]:
            words = {"responses": "responses", "judgments": "texts that annotators wrote"}[stage]
            run.progress(run.cursor["done"], words=f"Looking at {total[stage]:,} {words}")
            with run.step(cursor={"stage": stage, "after": "", "done": run.cursor["done"]}):
                pass
        work[stage](run, project)
    waiting = Finding.objects.filter(project=project).unsettled().count()
    found = f"{waiting:,} finding{'s wait' if waiting != 1 else ' waits'}" if waiting else "Nothing waits"
    return {
        "words": f"Looked at {sum(total.values()):,} texts. {found} for a decision.",
        "url": reverse("findings", args=[project.slug]),
        "label": "Show the findings",
        "counted": count(project).to_json(),
    }


def scan_prompts(run: JobRun, project: Project) -> None:
    while batch := next_rows(run, project.prompts.all()):
        looked = look_at(project=project, prompts=batch)
        with step(run, batch):
            Project.objects.select_for_update().get(pk=project.pk)
            store_looked_at(looked, batch)


def scan_responses(run: JobRun, project: Project) -> None:
    while batch := next_rows(run, Response.objects.in_project(project).only("pk", "text")):
        looked = look_at(project=project, responses=batch)
        with step(run, batch):
            store_findings(looked, responses=batch, again=True)


def scan_judgments(run: JobRun, project: Project) -> None:
    while batch := next_rows(run, written(project).only("pk", "rationale", "content")):
        looked = look_at(project=project, judgments=batch)
        with step(run, batch):
            store_findings(looked, judgments=batch, again=True)


def next_rows(run: JobRun, rows: Any) -> list[Any]:
    after = run.cursor["after"]
    rows = rows.filter(pk__gt=uuid.UUID(after)) if after else rows
    return list(rows.order_by("pk")[:AT_ONCE])


def step(run: JobRun, batch: Sequence[Any]) -> Any:
    done = run.cursor["done"] + len(batch)
    run.progress(done)
    return run.step(cursor={**run.cursor, "after": str(batch[-1].pk), "done": done}, done=done)


def store_looked_at(looked: Any, prompts: Sequence[Prompt]) -> None:
    """Store what came of prompts that are there: findings, the language of their text, clusters that became one."""
    before = {prompt.pk: prompt.text_language for prompt in prompts}
    place_prompts_looked_at(looked, prompts, stored=True)
    changed: dict[str, list[uuid.UUID]] = {}
    for prompt in prompts:
        if prompt.text_language != before[prompt.pk]:
            changed.setdefault(prompt.text_language, []).append(prompt.pk)
    for language, ids in changed.items():
        Prompt.objects.filter(pk__in=ids).update(text_language=language)
    store_findings(looked, prompts=prompts, again=True)


def catch_up(project: Project, told: Callable[[], None] | None = None) -> int:
    """Put into the index what came in since without an import (talks, an older release); return how many prompts.

    Before an import, outside of any transaction; after the first time there is hardly anything to do. `told` is
    called now and then, so that whoever waits knows that it goes on.
    """
    added = 0
    while True:
        with near_index(project) as index:
            newest = index.newest()
        rows = project.prompts.filter(pk__gt=newest) if newest else project.prompts.all()
        batch = list(rows.order_by("pk")[:AT_ONCE])
        if not batch:
            return added
        looked = look_at(project=project, prompts=batch)
        with transaction.atomic():
            Project.objects.select_for_update().get(pk=project.pk)
            store_looked_at(looked, batch)
        added += len(batch)
        if told is not None:
            told()
