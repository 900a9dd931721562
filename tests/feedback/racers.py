"""Processes that do the same thing at the same moment, each with its own connection to one database.

`python -m tests.feedback.racers` reads one JSON order per line and answers each with one JSON line. `Crew` starts
several and has them all act at once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
HEAD_START = 0.05
"""Seconds between the orders and the moment at which everybody acts."""


class Crew:
    def __init__(self, database_url: str, data_dir: Path, size: int) -> None:
        environment = {**os.environ, "DATABASE_URL": database_url, "CONCORD_DATA_DIR": str(data_dir)}
        self.racers = [
            subprocess.Popen(
                [sys.executable, "-m", "tests.feedback.racers"],
                cwd=ROOT,
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for _ in range(size)
        ]

    def ask(self, action: str, **values: Any) -> Any:
        """Have the first racer do something alone."""
        return self.race([{"action": action, **values}])[0]

    def race(self, orders: Iterable[Mapping[str, Any]]) -> list[Any]:
        """Give each racer one order, to be carried out at the same moment; return the answers in order."""
        at = time.time() + HEAD_START
        running = []
        for racer, order in zip(self.racers, orders, strict=False):
            racer.stdin.write(json.dumps({**order, "at": at}) + "\n")
            racer.stdin.flush()
            running.append(racer)
        return [json.loads(racer.stdout.readline()) for racer in running]

    def stop(self) -> None:
        for racer in self.racers:
            racer.stdin.close()
        for racer in self.racers:
            racer.wait(10)
            racer.stdout.close()


# In the racer's process ---------------------------------------------------------------------------------


def migrate() -> None:
    from django.core.management import call_command

    call_command("migrate", verbosity=0)


def fill_queue(tasks: int, overlap: int, annotators: int) -> dict[str, Any]:
    from tests.factories import make_member, make_queue, make_task

    queue = make_queue(overlap=overlap)
    for _ in range(tasks):
        make_task(queue)
    people = [make_member(queue.project).pk for _ in range(annotators)]
    return {"queue": str(queue.pk), "annotators": people}


def fill_long_queue(tasks: int, rules: dict[str, Any], analyzed: bool) -> dict[str, Any]:
    from django.db import connection

    from benchmarks.queue_rows import fill
    from feedback.models import AnnotatorProfile, User

    filled = fill(comparisons=tasks, overlap=1, people=1, rules=rules)
    if analyzed:
        with connection.cursor() as cursor:
            cursor.execute("ANALYZE")
    annotator = User.objects.latest("pk")
    AnnotatorProfile.objects.create(user=annotator, languages=["en"])
    return {"queue": filled["queues"][0], "annotator": annotator.pk}


def claim_plans(queue: str, annotator: int) -> list[list[str]]:
    """Claim and judge three times, and return the plan of every statement by which a claim read slots, line by line."""
    from django.db import connection

    from feedback.models import Assignment
    from tests.factories import make_judgment

    plans: list[list[str]] = []
    sqlite = connection.vendor == "sqlite"

    def explain(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("SELECT", "(SELECT")) and "feedback_assignment" in sql:
            execute(f"{'EXPLAIN QUERY PLAN' if sqlite else 'EXPLAIN'} {sql}", params, many, context)
            plans.append([str(row[-1]) for row in context["cursor"].fetchall()])
        return execute(sql, params, many, context)

    for _ in range(3):
        with connection.execute_wrapper(explain):
            slot = claim(queue, annotator)
        assert slot is not None
        make_judgment(Assignment.objects.get(pk=slot))
    return plans


def claim(queue: str, annotator: int) -> str | None:
    from django.utils import timezone

    from feedback.claims import claim_next
    from feedback.models import Queue, User

    slot = claim_next(queue=Queue.objects.get(pk=queue), annotator=User.objects.get(pk=annotator), now=timezone.now())
    return slot and str(slot.pk)


def claim_and_judge_all(queue: str, annotator: int) -> list[tuple[str, str]]:
    """Judge until the queue has nothing left for the person; return (assignment, task) of each."""
    from django.utils import timezone

    from feedback.claims import claim_next
    from feedback.models import Queue, User
    from tests.factories import make_judgment

    done = []
    while slot := claim_next(
        queue=Queue.objects.get(pk=queue), annotator=User.objects.get(pk=annotator), now=timezone.now()
    ):
        make_judgment(slot)
        done.append((str(slot.pk), str(slot.task_id)))
    return done


def hold_slot() -> dict[str, Any]:
    from tests.factories import make_assignment

    slot = make_assignment()
    return tokens_of(slot)


def hold_slots_of_one_task(slots: int, **rules: Any) -> list[dict[str, Any]]:
    """Let as many people hold a task as it has slots."""
    from django.utils import timezone

    from feedback.claims import claim_next
    from tests.factories import make_member, make_queue, make_task

    task = make_task(make_queue(overlap=slots, **rules))
    held = [
        claim_next(queue=task.queue, annotator=make_member(task.queue.project), now=timezone.now())
        for _ in range(slots)
    ]
    return [tokens_of(slot) for slot in held]


def hold_test(tasks: int) -> list[dict[str, Any]]:
    """Let one person hold every task of a qualification test."""
    from django.utils import timezone

    from feedback.claims import claim_next
    from tests.factories import make_gold, make_member, make_queue, make_task

    queue = make_queue(is_qualification=True, pass_judgments=tasks)
    for _ in range(tasks):
        make_gold(make_task(queue))
    person = make_member(queue.project)
    held: list[Any] = []
    while slot := claim_next(queue=queue, annotator=person, now=timezone.now(), beside=[one.pk for one in held]):
        held.append(slot)
    return [tokens_of(slot) for slot in held]


def tokens_of(slot: Any) -> dict[str, Any]:
    return {"assignment": str(slot.pk), "annotator": slot.annotator_id, "token": str(slot.lease_token)}


def expire(assignment: str) -> None:
    from datetime import timedelta

    from django.utils import timezone

    from feedback.models import Assignment

    Assignment.objects.filter(pk=assignment).update(lease_expires_at=timezone.now() - timedelta(seconds=1))


def more_annotators(assignment: str, count: int) -> dict[str, Any]:
    from feedback.models import Assignment
    from tests.factories import make_member

    queue = Assignment.objects.get(pk=assignment).queue
    return {"queue": str(queue.pk), "annotators": [make_member(queue.project).pk for _ in range(count)]}


def submit(assignment: str, annotator: int, token: str, submission: str, answer: dict[str, Any] | None = None) -> str:
    from django.utils import timezone

    from feedback.judging import submit_judgment
    from feedback.models import User

    judgment = submit_judgment(
        assignment_id=uuid.UUID(assignment),
        annotator=User.objects.get(pk=annotator),
        lease_token=uuid.UUID(token),
        submission_id=uuid.UUID(submission),
        answer={"preference": 1} if answer is None else answer,
        active_seconds=1.0,
        interface="api",
        now=timezone.now(),
    )
    return str(judgment.pk)


def revise(judgment: str, submission: str) -> str:
    from django.utils import timezone

    from feedback.judging import revise_judgment
    from feedback.models import Judgment

    stored = Judgment.objects.get(pk=judgment)
    revision = revise_judgment(
        judgment=stored,
        annotator=stored.annotator,
        submission_id=uuid.UUID(submission),
        answer={"preference": -1},
        active_seconds=1.0,
        interface="api",
        now=timezone.now(),
    )
    return str(revision.pk)


def hold_talk() -> dict[str, Any]:
    from tests.feedback.talks import hold, make_talk_queue

    slot = hold(make_talk_queue())
    return {"assignment": str(slot.pk), "annotator": slot.annotator_id, "token": str(slot.lease_token)}


def talking(verb: str, assignment: str, annotator: int, token: str, **said: Any) -> int:
    """Do something in a talk; returns the number of the turn."""
    from django.utils import timezone

    from feedback import conversations
    from feedback.models import User

    person = User.objects.get(pk=annotator)
    act = getattr(conversations, verb)
    held = {"assignment_id": uuid.UUID(assignment), "lease_token": uuid.UUID(token)}
    turn = act(**held, annotator=person, now=timezone.now(), **said)
    return int(turn.number)


def answer_turn(worker: str) -> int | None:
    """Answer the turn that waits longest, as a talker would; returns its number."""
    from feedback import answering

    turn = answering.claim_turn(worker=worker)
    if turn is None:
        return None
    answers = [answering.WrittenAnswer(f"{worker} {place}", True) for place in range(2)]
    return answering.answer_turn(answering.turn_lease(turn), answers=answers).number


def labelled_project() -> str:
    from tests.factories import make_judgment, make_project, make_queue

    project = make_project()
    make_judgment(queue=make_queue(project))
    return project.slug


def freeze(project: str, name: str) -> str:
    from feedback.models import Project, User
    from tests.factories import make_snapshot

    return make_snapshot(Project.objects.get(slug=project), name=name, created_by=User.objects.first()).sha256


def load_prompts(project: str, path: str) -> int:
    from feedback.imports.whole import import_file
    from feedback.models import Project

    found = import_file(project=Project.objects.get(slug=project), path=Path(path), kind="prompts")
    return found.counts["stored"].get("prompts", 0)


def load_votes(project: str, path: str, queue: str) -> dict[str, int]:
    from feedback.imports.whole import import_file
    from feedback.models import Project

    within = Project.objects.get(slug=project)
    chosen = within.queues.get(pk=queue)
    return import_file(project=within, path=Path(path), kind="votes", queue=chosen).counts["stored"]


def empty_queue(project: str) -> str:
    from feedback.models import Project
    from tests.factories import make_queue

    return str(make_queue(Project.objects.get(slug=project)).pk)


def count(model: str, **where: Any) -> int:
    from feedback import models

    return getattr(models, model).objects.filter(**where).count()


def to_review(curators: int) -> dict[str, Any]:
    """A judgment that nobody has reviewed, and curators of its project."""
    from feedback.models import Role
    from tests.factories import make_judgment, make_member

    judgment = make_judgment()
    project = judgment.queue.project
    people = [make_member(project, Role.CURATOR).pk for _ in range(curators)]
    return {"judgment": str(judgment.pk), "task": str(judgment.task_id), "curators": people}


def review(judgment: str, reviewer: int, requeue: bool = False, look: bool = True) -> int:
    from feedback.models import Judgment, User
    from feedback.reviewing import UNSEEN, review_judgment

    return review_judgment(
        judgment=Judgment.objects.get(pk=judgment), reviewer=User.objects.get(pk=reviewer), accepted=not requeue,
        requeue=requeue, reason="Look again." if requeue else "", seen=None if look else UNSEEN,
    ).pk  # fmt: skip


def undo(review: int, person: int) -> int:
    from feedback.models import Review, User
    from feedback.reviewing import undo_review

    return undo_review(review=Review.objects.get(pk=review), undone_by=User.objects.get(pk=person)).pk


def settle(task: str, person: int, preference: int) -> int:
    from django.utils import timezone

    from feedback.adjudicating import adjudicate
    from feedback.models import Task, User

    return adjudicate(
        task=Task.objects.get(pk=task), adjudicator=User.objects.get(pk=person), answer={"preference": preference},
        seen=None, now=timezone.now(),
    ).pk  # fmt: skip


def start_bulk_action(judgment: str, person: int) -> str:
    from django.utils import timezone

    from feedback.bulk import start_bulk
    from feedback.judgment_filter_forms import JudgmentFilter
    from feedback.models import Judgment, User

    queue = Judgment.objects.get(pk=judgment).queue
    filters = JudgmentFilter({"queue": str(queue.pk)}, project=queue.project)
    return str(
        start_bulk(
            project=queue.project, action="accept", filters=filters, started_by=User.objects.get(pk=person),
            now=timezone.now(),
        ).pk
    )  # fmt: skip


def undo_bulk_action(bulk: str, person: int) -> str:
    from django.utils import timezone

    from feedback.bulk import undo_bulk
    from feedback.models import BulkAction, User

    found = BulkAction.objects.select_related("project").get(pk=bulk)
    return str(undo_bulk(bulk=found, undone_by=User.objects.get(pk=person), now=timezone.now()).pk)


ACTIONS: dict[str, Callable[..., Any]] = {
    function.__name__: function
    for function in (
        *(
            migrate,
            fill_queue,
            fill_long_queue,
            claim,
            claim_plans,
            claim_and_judge_all,
            hold_slot,
            hold_slots_of_one_task,
            hold_test,
            expire,
            more_annotators,
        ),
        *(submit, revise, labelled_project, freeze, load_prompts, load_votes, empty_queue, count),
        *(hold_talk, talking, answer_turn),
        *(to_review, review, undo, settle, start_bulk_action, undo_bulk_action),
    )
}


def main() -> None:
    import django
    from django.conf import settings

    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # nobody logs in here
    django.setup()
    for line in sys.stdin:
        order = json.loads(line)
        action = ACTIONS[order.pop("action")]
        time.sleep(max(0.0, order.pop("at") - time.time()))
        try:
            answer = action(**order)
        except Exception as error:
            answer = {"error": type(error).__name__, "message": str(error)}
        print(json.dumps(answer), flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
