"""Every page of the site with rows to show, for what has to hold on all of them."""

from __future__ import annotations

from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils import timezone

from feedback.appointing import name_person
from feedback.claims import skip
from feedback.gold import make_gold
from feedback.models import BulkAction, Project, Queue, Report, Role, User
from feedback.people import verify_expertise
from feedback.quality.person_evidence import evidence_of
from feedback.quality.reports import measure
from feedback.standings import answer_standing, decide_standing
from tests.factories import (
    make_assignment,
    make_erasure,
    make_finding,
    make_import,
    make_job,
    make_judgment,
    make_member,
    make_policy_checkpoint,
    make_prompt,
    make_queue,
    make_response,
    make_run,
    make_snapshot,
    make_task,
    make_user,
)
from tests.quality.voting import make_people, vote
from training.models import Run

NO_PAGES = {
    "health",
    "import-errors",
    "api-schema",
    "snapshot-download",
    "snapshot-export",
    "run-metrics",
    "runs-compare-metrics",
    "run-log",
    "audit-csv",
}
"""Addresses that answer with something other than a page."""


def page_patterns(patterns: list[Any]) -> list[URLPattern]:
    """Return every page's pattern; the API's own are JSON, and the administration is Django's."""
    found: list[URLPattern] = []
    for one in patterns:
        if isinstance(one, URLResolver):
            if str(one.pattern) not in ("admin/", "api/v1/"):
                found += page_patterns(one.url_patterns)
        elif one.name not in NO_PAGES:
            found.append(one)
    return found


def make_everybody(project: Project) -> User:
    """A person with every role, to whom every page is open."""
    person = make_user(username="everybody", is_superuser=True, is_staff=True)
    for role in Role:
        make_member(project, role, user=person)
    return person


def make_rows(project: Project, person: User) -> dict[str, Any]:
    """One row for every name that stands in an address; the names are the same on all pages."""
    queue = make_queue(
        project, guideline="# Look\n\n| a | b |\n|:-:|--:|\n| 1 | 2 |\n\n```python\nprint(1)\n```\n$x^2$"
    )
    task = make_task(queue, slots=2)
    make_response(
        task.prompt, "<script>alert(1)</script> <b style='color:red' onclick='x()'>bold</b> ![i](http://a.b/c)"
    )
    judgment = make_judgment(task=task, annotator=person, rationale="<i style=a>why</i>")
    make_task(queue)
    fill_lists(queue, person)
    snapshot = make_snapshot(project)
    bulk = BulkAction.objects.create(project=project, action="accept", filters={"strength": "2"}, created_by=person)
    return {
        "bulk": bulk.pk,
        "imported": make_import(project).pk,
        "project": project.slug,
        "prompt": task.prompt_id,
        "queue": queue.pk,
        "queue_kind": "rating",
        "task": task.pk,
        "what": "schema",
        "number": 1,
        "skip": 1,
        "finding": make_finding(task.prompt).pk,
        "cluster": task.prompt.cluster,
        "response": task.texts[0].pk,
        "gold": queue.gold.get().pk,
        "standing": queue.project.standings.get().pk,
        "person": person.pk,
        "expertise": 1,
        "judgment": judgment.pk,
        "snapshot": snapshot.pk,
        "erasure": make_erasure(project, person).pk,
        "asked": 1,
        "job": make_job(project, state="running", done=3, total=10, words="Row 3").pk,
        "run": make_run(project, "dpo", snapshot=snapshot, state="running").pk,
        "checkpoint": make_policy_checkpoint(project, snapshot=snapshot).pk,
    }


def fill_lists(queue: Queue, person: User) -> None:
    """Give every list of the curator's a row: skipped tasks, gold, people, responses that name their model."""
    held = make_assignment(make_task(queue), make_member(queue.project))
    skip(
        assignment_id=held.pk,
        annotator=held.annotator,
        lease_token=held.lease_token,
        kind="review",
        reason="broken",
        note="It ends in the middle.",
        now=timezone.now(),
    )
    make_gold(task=make_task(queue), answer={"preference": 2}, explanation="It is kinder.", created_by=person)
    make_response(make_prompt(queue.project), "I am GPT-4.", names_itself="GPT-4")
    verify_expertise(person=person, domain="medicine", evidence="A diploma.", verified_by=held.annotator)
    name_person(queue=queue, person=person, named_by=person)
    standing = decide_standing(
        project=queue.project,
        person=person,
        decision="talked",
        reason="Read the part about **lists** again.",
        evidence=evidence_of(project=queue.project, person=person),
        decided_by=held.annotator,
        now=timezone.now(),
    )
    answer_standing(standing=standing, author=person, text="I have.", now=timezone.now())
    people = make_people(queue, 3)
    for number in range(9):
        vote(queue, people, [1, 1 if number % 3 else -1, number % 3 - 1], models=("ash", "birch"), tags=["code"])
    for kind in (Report.Kind.AGREEMENT, Report.Kind.PEOPLE, Report.Kind.MODELS):
        measure(project=queue.project, kind=kind, created_by=person)


def addresses(rows: dict[str, Any]) -> dict[str, str]:
    found = {"admin": reverse("admin:index"), "api-docs": reverse("api-docs"), "missing": "/nowhere/"}
    for pattern in page_patterns(get_resolver().url_patterns):
        for kind in Run.Kind.values if pattern.name == "run-start" else ("",):
            values = {**rows, "kind": kind}
            named = {name: values[name] for name in pattern.pattern.converters}
            found[f"{pattern.name} {kind}".strip()] = reverse(pattern.name, kwargs=named)
    return found
