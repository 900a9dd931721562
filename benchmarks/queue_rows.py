"""Fill a database with a queue of any size in seconds, and count afterwards what came of it.

`python -m benchmarks.queue_rows ACTION` reads the action's values as JSON from standard input and prints its answer as
JSON. A process of its own, because Django has one database for good; `on_database` starts it.
"""

from __future__ import annotations

import itertools
import json
import random
import subprocess
import sys
import uuid
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from django.db.models import Model

ROOT = Path(__file__).resolve().parent.parent
PROMPTS = 1_000
BATCH = 50_000
SENTENCE = "The tide comes in twice a day because the Earth turns under the pull of the Moon and of the Sun. "


class RowsFailed(Exception):
    """The child process ended with an error; the message is its last words."""


def on_database(environment: dict[str, str], action: str, **values: Any) -> Any:
    """Carry out one of ACTIONS in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.queue_rows", action],
        cwd=ROOT,
        env=environment,
        input=json.dumps(values),
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RowsFailed(f"{action}: {done.stderr.strip()[-2000:]}")
    return json.loads(done.stdout)


# In the process of its own -----------------------------------------------------------------------------


def fill(
    comparisons: int, overlap: int, people: int, queues: int = 1, rules: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Make `queues` queues of `comparisons` comparisons of about 1.2 kB each, and `people` annotators with tokens.

    They were opened yesterday; their priority is drawn, as if by a model. Returns the queues' ids and the tokens.
    """
    from django.db import connection, transaction

    from feedback.models import Assignment, Prompt, Response, Role, Task, TaskResponse, User
    from feedback.people import create_project
    from feedback.queues import open_queue

    project = create_project(name=f"Benchmark {uuid.uuid4().hex[:8]}")
    curator = make_person(f"curator-{project.pk}", project, Role.CURATOR)
    pairs = make_pairs(project, -(-comparisons // PROMPTS))
    opened = [
        open_queue(
            project=project, name=f"Queue {number}", guideline="Prefer the response that helps more.",
            created_by=curator, overlap=overlap, **(rules or {}),
        )
        for number in range(queues)
    ]  # fmt: skip
    with transaction.atomic(), without_indexes(Task, TaskResponse, Assignment):
        for queue in opened:
            drawn = itertools.islice(pairs(), comparisons)
            while batch := list(itertools.islice(drawn, BATCH)):
                tasks = [(new_ids(1)[0], queue.pk, prompt, f"drawn:{uuid.uuid4().hex}") for prompt, _ in batch]
                insert(Task, ["id", "queue", "prompt", "key"], tasks)
                insert(
                    TaskResponse,
                    ["task", "response", "place"],
                    ((task[0], each, place) for task, (_, two) in zip(tasks, batch, strict=True)
                     for place, each in enumerate(two)),
                )  # fmt: skip
                insert(
                    Assignment,
                    ["id", "task", "queue", "slot", "priority", "order_key", "random_key", "language", "opened_at"],
                    slots_of(tasks, overlap),
                )
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            for model in (Prompt, Response, Task, TaskResponse, Assignment):
                # As autovacuum would soon; it leaves alone what is empty.
                cursor.execute(f'VACUUM ANALYZE "{model._meta.db_table}"')
    annotators = [make_person(f"annotator-{project.pk}-{number}", project, Role.ANNOTATOR) for number in range(people)]
    tokens = [token_of(person) for person in annotators]
    assert User.objects.count() >= people
    return {"project": project.slug, "queues": [str(queue.pk) for queue in opened], "tokens": tokens}


def make_person(name: str, project: Any, role: str) -> Any:
    from feedback.models import Membership, User

    person = User.objects.create(username=name, password="!")
    Membership.objects.create(project=project, user=person, role=role)
    return person


def token_of(person: Any) -> str:
    from rest_framework.authtoken.models import Token

    return str(Token.objects.create(user=person).key)


def make_pairs(project: Any, each: int) -> Any:
    """Make prompts with as many responses as `each` pairs of them need; return what walks over all pairs anew."""
    from feedback.models import Prompt, Response

    many = next(number for number in itertools.count(2) if number * (number - 1) // 2 >= each)
    prompts = [
        Prompt(
            project=project,
            messages=[{"role": "user", "content": f"Question {number}: {SENTENCE * 2}Is that so?"}],
            digest=uuid.uuid4().hex,
            cluster=uuid.uuid4().hex,
            language="en",
        )
        for number in range(PROMPTS)
    ]
    Prompt.objects.bulk_create(prompts, batch_size=500)
    responses = {
        prompt.pk: [
            Response(prompt=prompt, text=f"Answer {number}: {SENTENCE * 5}", origin=f"drawn:{number}", model_name="m")
            for number in range(many)
        ]
        for prompt in prompts
    }
    Response.objects.bulk_create(itertools.chain.from_iterable(responses.values()), batch_size=500)
    ids = {prompt: [each.pk for each in written] for prompt, written in responses.items()}

    def walk() -> Iterator[tuple[uuid.UUID, tuple[uuid.UUID, uuid.UUID]]]:
        choices = {prompt: itertools.combinations(written, 2) for prompt, written in ids.items()}
        while True:
            for prompt, left in choices.items():
                yield prompt, next(left)

    return walk


def new_ids(count: int) -> list[uuid.UUID]:
    from feedback.models.people import new_id

    return [new_id() for _ in range(count)]


def slots_of(tasks: Sequence[tuple[Any, ...]], overlap: int) -> Iterator[tuple[Any, ...]]:
    from django.utils import timezone

    yesterday = timezone.now() - timedelta(days=1)
    for task, queue, *_ in tasks:
        priority, order_key, random_key = random.random(), random.random(), random.random()
        for slot in range(overlap):
            yield new_ids(1)[0], task, queue, slot, priority, order_key, random_key, "en", yesterday


@contextmanager
def without_indexes(*models: type[Model]) -> Iterator[None]:
    """Leave out foreign keys' checks and the indexes that are apart from the tables, and make these anew at the end."""
    from django.db import connection

    tables = [model._meta.db_table for model in models]
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA defer_foreign_keys = ON")
            cursor.execute("SELECT name, tbl_name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL")
        else:
            cursor.execute("SET LOCAL session_replication_role = replica")
            cursor.execute("SET LOCAL maintenance_work_mem = '256MB'")
            cursor.execute(
                "SELECT indexname, tablename, indexdef FROM pg_indexes WHERE schemaname = 'public' AND indexname NOT IN"
                " (SELECT conname FROM pg_constraint)"
            )
        indexes = [(name, sql) for name, table, sql in cursor.fetchall() if table in tables]
        for name, _ in indexes:
            cursor.execute(f'DROP INDEX "{name}"')
        yield
        for _, sql in indexes:
            cursor.execute(sql)


def insert(model: type[Model], fields: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Write rows of the named fields; every other field gets its default."""
    from django.db import connection
    from django.db.models import NOT_PROVIDED, AutoField
    from django.utils import timezone

    named = [model._meta.get_field(name) for name in fields]
    others = [each for each in model._meta.concrete_fields if each not in named and not isinstance(each, AutoField)]
    constants = []
    for other in others:
        value = timezone.now() if getattr(other, "auto_now_add", False) else other.get_default()
        assert other.default is not NOT_PROVIDED or other.null or value is not None, other.name
        constants.append(other.get_db_prep_save(value, connection=connection))
    columns = ", ".join(f'"{each.column}"' for each in [*named, *others])
    whole = ((*(plain(value) for value in row), *constants) for row in rows)
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            places = ", ".join(["?"] * (len(named) + len(others)))
            cursor.connection.executemany(f'INSERT INTO "{model._meta.db_table}" ({columns}) VALUES ({places})', whole)
        else:
            with cursor.copy(f'COPY "{model._meta.db_table}" ({columns}) FROM STDIN') as copy:
                for row in whole:
                    copy.write_row(row)


def plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat(" ")  # the connection's time zone is UTC
    return value.hex if isinstance(value, uuid.UUID) else value


def outcome(queues: list[str], overlap: int, acknowledged: list[str]) -> dict[str, Any]:
    """Count what must not be: judgments over the overlap, two by one person, acknowledged ones that are not there."""
    from django.db.models import Count, F

    from feedback.models import Assignment, Judgment

    judged = Judgment.objects.filter(queue__in=queues, revision=1)
    slots = Assignment.objects.filter(queue__in=queues, slot__isnull=False, task__repeat_of__isnull=True)
    over = (
        judged.filter(assignment__slot__isnull=False)
        .values("task")
        .annotate(judgments=Count("pk"))
        .filter(judgments__gt=overlap)
        .annotate(excess=F("judgments") - overlap)
    )
    held = slots.filter(state__in=["leased", "done"]).values("task").annotate(held=Count("pk")).filter(held__gt=overlap)
    doubles = judged.values("task", "annotator").annotate(times=Count("pk")).filter(times__gt=1)
    wanted = {uuid.UUID(each) for each in acknowledged}
    there = set(judged.values_list("submission_id", flat=True)) if wanted else set()
    return {
        "excess": sum(row["excess"] for row in over) + sum(row["held"] - overlap for row in held),
        "doubles": sum(row["times"] - 1 for row in doubles),
        "lost": len(wanted - there),
        "judgments": judged.count(),
    }


def kept(judged: dict[str, dict[str, Any]], drafts: list[tuple[str, str, list[str]]]) -> dict[str, int]:
    """Count the acknowledged judgments that say something else now, and the acknowledged drafts that are gone.

    A draft is a token, a task and the texts of which it may hold any; once the task is judged, it is no more.
    """
    from rest_framework.authtoken.models import Token

    from feedback.models import Draft, Judgment

    changed = 0
    for judgment in Judgment.objects.filter(revision=1):
        said = judged.get(str(judgment.submission_id))
        stored = (str(judgment.task_id), judgment.shown_answer.preference, judgment.rationale)
        changed += said is not None and stored != (said["task"], said["preference"], said["rationale"])
    people = dict(Token.objects.values_list("key", "user_id"))
    done = {(str(task), person) for task, person in Judgment.objects.values_list("task_id", "annotator_id")}
    there = {(str(draft.task_id), draft.annotator_id): draft.rationale for draft in Draft.objects.all()}
    gone = sum(
        there.get((task, people[token])) not in texts
        for token, task, texts in drafts
        if (task, people[token]) not in done
    )
    return {"changed": changed, "lost_drafts": gone}


def shown_first(queues: list[str]) -> dict[str, Any]:
    """Count over every claim that is still on a slot how often the response at place 0 was shown first."""
    from feedback.models import Assignment

    orders = Assignment.objects.filter(queue__in=queues, display_order__isnull=False)
    first = [order[0] for order in orders.values_list("display_order", flat=True)]
    return {"claims": len(first), "first_shown_is_place_0": sum(place == 0 for place in first)}


def statements(queue: str, token: str) -> dict[str, int]:
    """Count the statements of one claim and one submit through the API, transactions' own included (median of 5)."""
    import statistics

    from django.core.signals import request_finished, request_started
    from django.db import close_old_connections, connection, reset_queries
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    from benchmarks.annotators import drawn_judgment

    request_finished.disconnect(close_old_connections)
    request_started.disconnect(close_old_connections)
    request_started.disconnect(reset_queries)
    client = Client(headers={"Authorization": f"Token {token}", "Host": "127.0.0.1"})
    claims, submits = [], []
    for _ in range(5):
        with CaptureQueriesContext(connection) as claimed:
            task = client.post(f"/api/v1/queues/{queue}/claim/").json()
        with CaptureQueriesContext(connection) as submitted:
            answered = client.post(
                f"/api/v1/assignments/{task['assignment']}/submit/", drawn_judgment(task), "application/json"
            )
        assert answered.status_code == 201, answered.content
        claims.append(len(claimed))
        submits.append(len(submitted))
    return {"claim": statistics.median_low(claims), "submit": statistics.median_low(submits)}


ACTIONS = {function.__name__: function for function in (fill, outcome, kept, shown_first, statements)}


def main() -> None:
    import os

    import django

    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    django.setup()
    print(json.dumps(ACTIONS[sys.argv[1]](**json.load(sys.stdin))))


if __name__ == "__main__":
    main()
