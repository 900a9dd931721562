"""Hand-made rows for tests: `make_x(**overrides)`. What several rows have to agree on goes through the real verbs."""

from __future__ import annotations

import hashlib
import itertools
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.utils import timezone

from feedback import gold
from feedback.answers import Answer, to_shown
from feedback.claims import claim_next
from feedback.contract import TRAIN, digest
from feedback.filling import add_slots
from feedback.imports.uploading import take_upload
from feedback.judging import submit_judgment
from feedback.models import (
    Assignment,
    Erasure,
    FileImport,
    Finding,
    Gold,
    Job,
    Judgment,
    Membership,
    Project,
    Prompt,
    Queue,
    Response,
    Role,
    Snapshot,
    Task,
    TaskResponse,
    User,
)
from feedback.people import create_project
from feedback.queues import open_queue
from feedback.schemas import RESPONSES
from feedback.snapshots import freeze_snapshot

if TYPE_CHECKING:
    from training.models import Checkpoint, Run

PASSWORD = "correct-horse"
"""Of every person that `make_user` makes."""

numbers = itertools.count(1)


def make_job(project: Project | None = None, kind: str = "scan", **overrides: Any) -> Job:
    if overrides.get("state") == "running":
        overrides.setdefault("lease_expires_at", timezone.now() + timedelta(seconds=30))
        overrides.setdefault("started_at", timezone.now())
    values = {"project": project or make_project(), "kind": kind, **overrides}
    return Job.objects.create(**values)


def make_import(project: Project | None = None, rows: str = '{"prompt": "Why?"}\n', **overrides: Any) -> FileImport:
    """A file that was uploaded and not yet checked."""
    values = {"filename": "prompts.jsonl", "created_by": None, **overrides}
    return take_upload(project=project or make_project(), pieces=[rows.encode()], **values)


def make_erasure(project: Project, person: User, **overrides: Any) -> Erasure:
    """The receipt of an erasure that found nothing."""
    admin = overrides.pop("requested_by", None) or make_user()
    values = {
        "project": project, "person": person, "pseudonym": project.pseudonym(person), "reason": "Asked for.",
        "receipt": {"erased": [], "snapshots": []}, "finished_at": timezone.now(), "requested_by": admin, **overrides,
    }  # fmt: skip
    return Erasure.objects.create(**values)


def make_user(**overrides: Any) -> User:
    password = overrides.pop("password", PASSWORD)
    user = User(**{"username": f"person-{next(numbers)}", **overrides})
    user.set_password(password)
    user.save()
    return user


def make_project(**overrides: Any) -> Project:
    return create_project(**{"name": f"Project {next(numbers)}", **overrides})


def make_member(project: Project, role: str = Role.ANNOTATOR, **overrides: Any) -> User:
    """A person with one role; pass `user=` to give somebody who is there another one."""
    user = overrides.pop("user", None) or make_user(**overrides)
    Membership.objects.create(project=project, user=user, role=role)
    return user


def make_prompt(project: Project | None = None, text: str = "", **overrides: Any) -> Prompt:
    messages = overrides.pop("messages", None) or [
        {"role": "user", "content": text or f"What is {next(numbers)} plus one?"}
    ]
    values = {
        "project": project or make_project(),
        "messages": messages,
        "digest": digest(messages),
        "cluster": digest(messages),
        "split": TRAIN,
        **overrides,
    }
    return Prompt.objects.create(**values)


def make_response(prompt: Prompt | None = None, text: str | None = None, **overrides: Any) -> Response:
    number = next(numbers)
    values = {
        "prompt": prompt or make_prompt(),
        "text": f"Answer {number}." if text is None else text,
        "origin": f"made:{number}",
        "model_name": "a model",
        **overrides,
    }
    return Response.objects.create(**values)


def make_finding(of: Prompt | Response | Judgment | None = None, **overrides: Any) -> Finding:
    """An e-mail address found in a text; by default in a prompt that has one."""
    of = of or make_prompt(text="Write to jane@example.com today.")
    noun = type(of).__name__.lower()
    place = {"prompt": "0", "response": "", "judgment": "rationale"}[noun]
    project = (
        of.project if isinstance(of, Prompt) else of.prompt.project if isinstance(of, Response) else of.queue.project
    )
    span = {"place": place, "start": 9, "end": 25, "kind": "email"}
    values = {"project": project, "kind": Finding.Kind.PERSONAL_DATA, "detail": {"spans": [span]}, **overrides}
    return Finding.objects.create(**{noun: of}, **values)


def make_queue(project: Project | None = None, **overrides: Any) -> Queue:
    project = project or make_project()
    values = {
        "name": f"Queue {next(numbers)}",
        "guideline": "Prefer the response that **helps** more.",
        "created_by": overrides.pop("created_by", None) or make_user(),
        # A claim draws; tests say what they want drawn.
        "random_percent": 0,
        "repeat_percent": 0,
        **overrides,
    }
    return open_queue(project=project, **values)


def make_task(queue: Queue | None = None, slots: int | None = None, **overrides: Any) -> Task:
    """A task with `slots` open slots, as many as the queue's policy asks for unless told, and as many responses as the
    queue's kind shows at least."""
    queue = queue or make_queue()
    priority = overrides.pop("priority", 0.0)
    prompt = overrides.pop("prompt", None) or make_prompt(queue.project)
    responses = overrides.pop("responses", None)
    if responses is None:
        responses = [make_response(prompt) for _ in range(RESPONSES[queue.kind][0])]
    task = Task.objects.create(**{"queue": queue, "prompt": prompt, "key": f"made:{next(numbers)}", **overrides})
    for place, response in enumerate(sorted(responses, key=lambda response: response.pk)):
        TaskResponse.objects.create(task=task, response=response, place=place)
    count = queue.policy.overlap if slots is None else slots
    add_slots(task=task, queue=queue, language=prompt.language, count=count, priority=priority)
    return task


def make_gold(task: Task, answer: Mapping[str, Any] | None = None, **overrides: Any) -> Gold:
    """Gold by which the response at place 1 of a comparison is better; of another kind, pass `answer` in response
    order."""
    values = {"created_by": overrides.pop("created_by", None) or make_user(), **overrides}
    return gold.make_gold(task=task, answer=answer or {"preference": 2}, **values)


def make_assignment(task: Task | None = None, annotator: User | None = None, now: Any = None) -> Assignment:
    """A slot that `annotator` holds under a live lease."""
    task = task or make_task()
    annotator = annotator or make_member(task.queue.project)
    slot = task.assignments.filter(state=Assignment.State.OPEN).order_by("slot").first() or Assignment.objects.create(
        task=task, queue=task.queue, slot=task.assignments.count()
    )
    now = now or timezone.now()
    Assignment.objects.filter(pk=slot.pk).update(priority=1e9, opened_at=now)
    held = claim_next(queue=task.queue, annotator=annotator, now=now)
    assert held is not None
    assert held.pk == slot.pk, "the annotator holds another slot of this queue"
    return held


def make_judgment(assignment: Assignment | None = None, preference: int = 2, **overrides: Any) -> Judgment:
    """A submitted judgment; `annotator=`, `task=` or `queue=` stand in for an assignment. Preference as stored:
    negative = the response at place 0. Of another kind than a comparison, pass `answer=` in display order."""
    now = overrides.pop("now", None) or timezone.now()
    queue = overrides.pop("queue", None)
    task = overrides.pop("task", None) or (make_task(queue) if queue else None)
    annotator = overrides.pop("annotator", None)
    assignment = assignment or make_assignment(task, annotator, now)
    shown = to_shown(Answer(preference), assignment.display_order or [])
    values = {
        "submission_id": uuid.uuid4(),
        "answer": {"preference": shown.preference},
        "rationale": "",
        "flags": (),
        "active_seconds": 12.5,
        "interface": "page",
        **overrides,
    }
    return submit_judgment(
        assignment_id=assignment.pk,
        annotator=assignment.annotator,
        lease_token=assignment.lease_token,
        now=now,
        **values,
    )


def make_snapshot(project: Project | None = None, labels: int = 4, **overrides: Any) -> Snapshot:
    """A frozen snapshot of the project's judgments; makes `labels` of them, a quarter for evaluation, if there are
    none."""
    project = project or make_project()
    if not Judgment.objects.in_project(project).exists():
        queue = make_queue(project)
        annotator = make_member(project)
        for number in range(labels):
            prompt = make_prompt(project, split="evaluation" if number % 4 == 3 else "train")
            make_judgment(task=make_task(queue, prompt=prompt), annotator=annotator)
    values = {
        "name": f"Snapshot {next(numbers)}",
        "created_by": overrides.pop("created_by", None) or make_user(),
        "now": timezone.now(),
        **overrides,
    }
    return freeze_snapshot(project=project, **values)


# Training ---------------------------------------------------------------------------------------------


def make_base_checkpoint(project: Project | None = None, **overrides: Any) -> Checkpoint:
    from training.models import Checkpoint

    values = {
        "project": project or make_project(),
        "name": f"base-{next(numbers)}",
        "kind": Checkpoint.Kind.BASE,
        "is_whole": True,
        "path": "models/base",
        "sha256": hashlib.sha256(b"base").hexdigest(),
        **overrides,
    }
    return Checkpoint.objects.create(**values)


def make_run(project: Project | None = None, kind: str = "dpo", **overrides: Any) -> Run:
    """A queued run as it stands in the database; `training.runs.start_run` checks what a person asks for."""
    from training.models import Run

    project = project or make_project()
    values = {
        "project": project,
        "kind": kind,
        "name": f"{kind}-{next(numbers)}",
        "config": {},
        "created_by": overrides.pop("created_by", None) or make_member(project, Role.ML_STAFF),
        **overrides,
    }
    if values.get("state") in ("succeeded", "failed", "cancelled"):
        values.setdefault("finished_at", timezone.now())
    if values.get("state") == "running":
        values.setdefault("started_at", timezone.now())
        values.setdefault("lease_expires_at", timezone.now() + timedelta(seconds=30))
        values.setdefault("lease_owner", "somebody")
        values.setdefault("attempt", 1)
    return Run.objects.create(**values)


def make_trained_checkpoint(project: Project | None, kind: str, run_kind: str, **overrides: Any) -> Checkpoint:
    from training.models import Checkpoint

    project = project or make_project()
    parent = overrides.pop("parent", None) or make_base_checkpoint(project)
    run = overrides.pop("run", None)
    if run is None:
        run = make_run(
            project,
            run_kind,
            state="succeeded",
            policy=parent,
            snapshot=overrides.get("snapshot"),
            reward=overrides.pop("reward", None),
        )
    values = {
        "project": project,
        "name": f"{kind}-{next(numbers)}",
        "kind": kind,
        "parent": parent,
        "run": run,
        "path": f"runs/{run.pk}/model",
        "sha256": hashlib.sha256(str(run.pk).encode()).hexdigest(),
        "step": 10,
        **overrides,
    }
    return Checkpoint.objects.create(**values)


def make_policy_checkpoint(project: Project | None = None, **overrides: Any) -> Checkpoint:
    return make_trained_checkpoint(project, "policy", "dpo", **overrides)


def make_reward_checkpoint(project: Project | None = None, **overrides: Any) -> Checkpoint:
    return make_trained_checkpoint(project, "reward", "reward", **overrides)
