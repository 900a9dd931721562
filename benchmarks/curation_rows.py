"""Fill a database with a project of 1,000,000 judgments to curate, in two minutes.

On the database of the environment (CONCORD_DATA_DIR or DATABASE_URL), migrated before:

    python -m benchmarks.curation_rows --judgments 1000000

It prints JSON: the project's slug, queues, names and tokens. About 20,000 prompts with 8 responses each of 5 to 900
words, 400 people, overlaps of 1, 2, 3 and 5, 5 % gold, 3 % repeats, 1 % revisions, three guideline versions, reviews,
scores of a reward model, and a queue of rankings with ties.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import uuid
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import numpy as np

from benchmarks.curation_draw import MODELS, Drawn, World, draw_judgments, draw_people, draw_world

BATCH = 50_000
NAMES = ["atlas-70b", "birch-13b", "cedar-13b", "delta-7b", "ember-7b", "fjord-3b", "grove-1b", "heath-1b"]
SCORER = uuid.UUID(int=0x0193_0000_0000_7000_8000_0000_0000_0004)
SENTENCES = [
    "The tide comes in twice a day because the Earth turns under the pull of the Moon and of the Sun.",
    "To rename a branch, check it out and run `git branch -m new-name`, then push it and set its upstream.",
    "**In short:** read the contract before you sign, and ask for every promise in writing.",
    "A loan at a fixed rate costs the same every month; one at a variable rate may rise.",
    "- Preheat the oven to 220 degrees.\n- Roll the dough out thinly.\n- Bake it for nine minutes.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "### What to do next\n\nCall the clinic, describe the symptoms, and take the list of medicines with you.",
    "The function is quadratic, because for every element it walks over the whole list again.",
    "I am not sure about the year; the museum's own catalogue says 1893, other sources 1895.",
    "A good first sentence says what the reader will get, and a good last one what to do with it.",
    "1. Unplug the router.\n2. Wait for half a minute.\n3. Plug it in again and try another cable.",
    "Most people who move abroad underestimate how long the paperwork takes, and overestimate the language.",
]
ASKED = ["How does it work?", "What should I do?", "Explain it to a child.", "Write it shorter.", "Is that true?"]
COLUMNS = [
    "id", "assignment", "task", "queue", "annotator", "submission_id", "revision", "supersedes", "preference",
    "rationale", "flags", "active_seconds", "display_order", "guideline", "policy", "schema", "propensity", "arm",
    "arm_propensity", "interface", "review_draw", "created_at", "content",
]  # fmt: skip
SHARES = {"priority": 0.82, "random": 0.1, "gold": 0.05, "repeat": 0.03}


def fill(judgments: int = 1_000_000, people: int = 400, rankings: int = 20_000, seed: int = 4) -> dict[str, Any]:
    """Make the project and everything in it; returns what a program needs to go on."""
    from django.db import connection, transaction

    from benchmarks.queue_rows import token_of, without_indexes
    from feedback.models import Assignment, Gold, Judgment, Prompt, Response, Review, Score, Task, TaskResponse
    from feedback.people import create_project
    from feedback.queues import open_queue

    rng = np.random.default_rng(seed)
    end = datetime.now(UTC)
    project = create_project(name=f"Curation {uuid.uuid4().hex[:6]}")
    curator, annotators = make_people(project, people, rng)
    queue = open_queue(
        project=project, name="Comparisons", guideline="Prefer the response that helps more.", created_by=curator,
        overlap=3, gold_percent=5,
    )  # fmt: skip
    versions = later_guidelines(queue, curator)
    world = draw_world(judgments, rng)
    drawn = draw_judgments(world, draw_people(people, rng), judgments, end, rng)
    tables = (Prompt, Response, Task, TaskResponse, Assignment, Judgment, Review, Score, Gold)
    with transaction.atomic(), without_indexes(*tables):
        prompts, responses = write_texts(project, world, end, rng)
        tasks = write_tasks(queue, curator, world, prompts, responses)
        write_judgments(queue, annotators, versions, drawn, tasks, prompts, responses, world, curator, rng)
        write_scores(project, world, responses, rng)
        ranked = open_queue(
            project=project, name="Rankings", guideline="Order the responses by how much they help.",
            created_by=curator, kind="ranking", overlap=4,
        )  # fmt: skip
        write_rankings(ranked, annotators, rankings, world, prompts, responses, end, rng)
    with connection.cursor() as cursor:
        for model in tables:  # as autovacuum, or the next start of the site, would soon
            cursor.execute(f'{"VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE"} '
                           f'"{model._meta.db_table}"')  # fmt: skip
    return {
        "project": project.slug,
        "queues": [str(queue.pk), str(ranked.pk)],
        "curator": curator.username,
        "token": token_of(curator),
        "annotators": len(annotators),
        "judgments": Judgment.objects.filter(queue=queue, superseded_by__isnull=True).count(),
        "rankings": Judgment.objects.filter(queue=ranked).count(),
    }


def make_people(project: Any, people: int, rng: np.random.Generator) -> tuple[Any, list[Any]]:
    from feedback.models import AnnotatorProfile, Membership, Role, User

    names = [f"curator-{project.pk}", *(f"annotator-{project.pk}-{number:04}" for number in range(people))]
    made = User.objects.bulk_create([User(username=name, password="!") for name in names])
    curator, *annotators = made
    Membership.objects.bulk_create(
        [Membership(project=project, user=curator, role=Role.CURATOR)]
        + [Membership(project=project, user=person, role=Role.ANNOTATOR) for person in annotators]
    )
    AnnotatorProfile.objects.bulk_create(
        AnnotatorProfile(user=person, languages=["en"], hourly_rate=int(rng.integers(14, 32)), currency="EUR")
        for person in annotators
    )
    return curator, annotators


def later_guidelines(queue: Any, curator: Any) -> list[Any]:
    from feedback.models import Guideline

    more = ["Prefer the response that helps more; do not reward length.", "As before; and check what is claimed."]
    later = [
        Guideline.objects.create(queue=queue, number=number, text=text, created_by=curator)
        for number, text in enumerate(more, start=2)
    ]
    first, queue.guideline = queue.guideline, later[-1]
    queue.save(update_fields=["guideline"])
    return [first, *later]


def write_texts(project: Any, world: World, end: datetime, rng: np.random.Generator) -> tuple[list[str], list[str]]:
    """Write prompts and responses, and return their ids; the responses' prompt by prompt, MODELS each."""
    from benchmarks.queue_rows import insert
    from feedback.models import Prompt, Response

    count = len(world.words)
    began = np.full(count, end.timestamp() - 95 * 86_400)
    prompts, responses = ids_at(began, rng), ids_at(np.repeat(began, MODELS), rng)
    made = moments(began[:1])[0]
    splits = np.where(rng.random(count) < 0.2, "evaluation", "train")
    languages = rng.choice(["en", "de", "fr"], size=count, p=[0.8, 0.15, 0.05])
    asked = rng.integers(0, [len(SENTENCES), len(ASKED)], size=(count, 2))
    rows = (
        (
            prompts[number], project.pk,
            json.dumps([{"role": "user", "content": f"{SENTENCES[a]} (Case {number}.) {ASKED[b]}"}]),
            f"{number:064x}", f"{number - number % 50 // 48:064x}", splits[number], languages[number],
            json.dumps([ASKED[b].split()[0].lower()]), "benchmark", "CC0-1.0", made,
        )
        for number, (a, b) in enumerate(asked.tolist())
    )  # fmt: skip
    named = ["id", "project", "messages", "digest", "cluster", "split", "language", "tags", "source", "licence"]
    insert(Prompt, [*named, "created_at"], rows)
    words, starts = world.words.ravel().tolist(), rng.integers(0, len(SENTENCES), world.words.size).tolist()
    sizes = [len(each.split()) for each in SENTENCES]
    names = [NAMES[each] for each in world.model.ravel().tolist()]

    def text(number: int) -> str:
        parts, left, at = [f"Case {number // MODELS}, answer {number % MODELS}."], words[number], starts[number]
        while left > 0:
            parts.append(SENTENCES[at % len(SENTENCES)])
            left -= sizes[at % len(SENTENCES)]
            at += 1 + number % 5
        return " ".join(parts)

    insert(
        Response,
        ["id", "prompt", "text", "origin", "model_name", "created_at"],
        (
            (responses[number], prompts[number // MODELS], text(number), f"drawn:{number}", names[number], made)
            for number in range(len(responses))
        ),
    )
    return prompts, responses


def write_tasks(queue: Any, curator: Any, world: World, prompts: list[str], responses: list[str]) -> list[str]:
    from benchmarks.queue_rows import insert
    from feedback.models import Gold, Task

    tasks = ids_at(np.full(len(world.tasks), datetime.now(UTC).timestamp() - 94 * 86_400), np.random.default_rng(1))
    about = world.tasks.tolist()
    insert(
        Task,
        ["id", "queue", "prompt", "key"],
        ((task, queue.pk, prompts[prompt], f"drawn:{task}") for task, (prompt, _, _) in zip(tasks, about, strict=True)),
    )
    write_links(tasks, about, responses)
    insert(
        Gold,
        ["task", "queue", "answer", "created_by"],
        (
            (tasks[each], queue.pk, json.dumps({"preference": 2 if world.truth[each] > 0 else -2}), curator.pk)
            for each in world.gold.tolist()
        ),
    )
    return tasks


def write_links(tasks: Sequence[str], about: Sequence[Sequence[int]], responses: list[str]) -> None:
    from benchmarks.queue_rows import insert
    from feedback.models import TaskResponse

    insert(
        TaskResponse,
        ["task", "response", "place"],
        (
            (task, responses[prompt * MODELS + each], place)
            for task, (prompt, *shown) in zip(tasks, about, strict=True)
            for place, each in enumerate(shown)
        ),
    )


def write_judgments(
    queue: Any, annotators: list[Any], versions: list[Any], drawn: Drawn, tasks: list[str], prompts: list[str],
    responses: list[str], world: World, curator: Any, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Write repeats' tasks, done slots, judgments, their revisions, and reviews of a fiftieth."""
    from benchmarks.queue_rows import insert
    from feedback.models import Judgment, Review, Task

    of_task = np.array(tasks)[drawn.task].tolist()
    again = np.flatnonzero(drawn.repeats >= 0)
    repeats = ids_at(drawn.created[again], rng)
    about = world.tasks[drawn.task[again]].tolist()
    insert(
        Task,
        ["id", "queue", "prompt", "key", "repeat_of"],
        (
            (repeat, queue.pk, prompts[prompt], f"repeat:{repeat}", of_task[row])
            for repeat, row, (prompt, _, _) in zip(repeats, again.tolist(), about, strict=True)
        ),
    )
    write_links(repeats, about, responses)
    for row, repeat in zip(again.tolist(), repeats, strict=True):
        of_task[row] = repeat
    people = [annotators[each].pk for each in drawn.person.tolist()]
    orders = ["[1, 0]" if each else "[0, 1]" for each in drawn.swapped.tolist()]
    arms = drawn.arm.tolist()
    version = np.minimum((np.arange(drawn.task.size) * 3) // max(1, drawn.task.size), 2)
    guidelines = [versions[each].pk for each in version.tolist()]
    made, ids = moments(drawn.created), ids_at(drawn.created, rng)
    slots, own = random_ids(drawn.task.size, rng), drawn.slot < 0
    write_slots(queue, slots, of_task, drawn.slot, people, own, guidelines, orders, arms, made, rng)
    said = rng.random(drawn.task.size)
    seconds, draws, stored = drawn.seconds.tolist(), rng.random(drawn.task.size).tolist(), drawn.preference.tolist()
    submissions = random_ids(drawn.task.size, rng)
    talkative, unsafe = (said < 0.08).tolist(), (said > 0.99).tolist()
    flag = json.dumps([{"flag": "unsafe", "kind": "", "response": 0}])
    first_said = np.where(drawn.revised, -drawn.preference, drawn.preference).tolist()

    def rows(indices: Sequence[int], revision: int) -> Iterator[tuple[Any, ...]]:
        later = {} if revision == 1 else dict(zip(indices, second, strict=True))
        for row in indices:
            yield (
                later.get(row, ids[row]), slots[row], of_task[row], queue.pk, people[row],
                submissions[row] if revision == 1 else later[row], revision, ids[row] if later else None,
                stored[row] if later else first_said[row],
                SENTENCES[row % len(SENTENCES)] if talkative[row] else "", flag if unsafe[row] else "[]",
                seconds[row], orders[row], guidelines[row], queue.policy_id, queue.schema_id, 1.0, arms[row],
                SHARES[arms[row]], "page", draws[row], made[row], "{}",
            )  # fmt: skip

    changed = np.flatnonzero(drawn.revised)
    second = ids_at(drawn.created[changed] + 600, rng)
    insert(Judgment, COLUMNS, rows(range(drawn.task.size), 1))
    insert(Judgment, COLUMNS, rows(changed.tolist(), 2))
    looked_at = rng.permutation(np.flatnonzero(~drawn.revised))[: drawn.task.size // 50].tolist()
    insert(
        Review,
        ["judgment", "annotator", "accepted", "reason", "reviewer"],
        (
            (ids[row], people[row], row % 10 > 0, "" if row % 10 else "Contradicts its own reason.", curator.pk)
            for row in looked_at
        ),
    )


def write_slots(
    queue: Any, slots: list[str], tasks: list[str], slot: np.ndarray, people: list[int], own: np.ndarray,
    guidelines: list[int], orders: list[str], arms: list[str], made: list[str], rng: np.random.Generator,
) -> None:  # fmt: skip
    from benchmarks.queue_rows import insert
    from feedback.models import Assignment

    tokens, mine = random_ids(len(slots), rng), own.tolist()
    insert(
        Assignment,
        [
            "id", "task", "queue", "slot", "reserved_for", "state", "opened_at", "annotator", "lease_token",
            "leased_at", "lease_expires_at", "display_order", "guideline", "policy", "schema", "arm",
            "arm_propensity", "language",
        ],
        (
            (
                slots[row], tasks[row], queue.pk, None if mine[row] else number, people[row] if mine[row] else None,
                "done", made[row], people[row], tokens[row], made[row], made[row], orders[row], guidelines[row],
                queue.policy_id, queue.schema_id, arms[row], SHARES[arms[row]], "en",
            )
            for row, number in enumerate(slot.tolist())
        ),
    )  # fmt: skip


def write_scores(project: Any, world: World, responses: list[str], rng: np.random.Generator) -> None:
    from benchmarks.queue_rows import insert
    from feedback.models import Score

    values = (world.quality + rng.normal(0, 0.6, world.quality.shape)).ravel().tolist()
    insert(
        Score,
        ["project", "response", "scorer_id", "scorer_name", "value", "spread"],
        (
            (project.pk, response, SCORER, "reward model", value, 0.3)
            for response, value in zip(responses, values, strict=True)
        ),
    )


def write_rankings(
    queue: Any, annotators: list[Any], rankings: int, world: World, prompts: list[str], responses: list[str],
    end: datetime, rng: np.random.Generator,
) -> None:  # fmt: skip
    """Write rankings of four responses by four people each, with ties where somebody sees no difference."""
    from benchmarks.queue_rows import insert
    from feedback.models import Judgment, Task

    count = min(rankings // 4, len(prompts))
    chosen = np.sort(rng.permuted(np.tile(np.arange(MODELS), (count, 1)), axis=1)[:, :4], axis=1)
    tasks = ids_at(np.full(count, end.timestamp() - 94 * 86_400), rng)
    about = [[prompt, *row] for prompt, row in enumerate(chosen.tolist())]
    insert(
        Task,
        ["id", "queue", "prompt", "key"],
        ((task, queue.pk, prompts[number], f"ranked:{task}") for number, task in enumerate(tasks)),
    )
    write_links(tasks, about, responses)
    of_task, slot = np.repeat(np.arange(count), 4), np.tile(np.arange(4), count)
    judge = different_people(np.full(count, 4), rng, len(annotators))
    seen = world.quality[of_task[:, None], chosen[of_task]] + rng.logistic(0, 0.7, (of_task.size, 4))
    ranks = [dense(row) for row in np.round(-seen / 0.4).astype(int).tolist()]
    created = np.sort(end.timestamp() - rng.random(of_task.size) * 90 * 86_400)
    made, ids, slots = moments(created), ids_at(created, rng), random_ids(of_task.size, rng)
    orders = [json.dumps(row) for row in rng.permuted(np.tile(np.arange(4), (of_task.size, 1)), axis=1).tolist()]
    people, named = [annotators[each].pk for each in judge.tolist()], [tasks[each] for each in of_task.tolist()]
    guidelines, arms = [queue.guideline_id] * of_task.size, ["priority"] * of_task.size
    own = np.zeros(of_task.size, dtype=bool)
    write_slots(queue, slots, named, slot, people, own, guidelines, orders, arms, made, rng)
    submissions, draws = random_ids(of_task.size, rng), rng.random(of_task.size).tolist()
    insert(
        Judgment,
        COLUMNS,
        (
            (
                ids[row], slots[row], named[row], queue.pk, people[row], submissions[row], 1, None, None, "", "[]",
                round(20 + 60 * draws[row], 1), orders[row], queue.guideline_id, queue.policy_id, queue.schema_id, 1.0,
                "priority", 0.9, "page", draws[row], made[row],
                json.dumps({"ranks": ranks[row], "not_rankable": [False] * 4}),
            )
            for row in range(of_task.size)
        ),
    )  # fmt: skip


def different_people(overlap: np.ndarray, rng: np.random.Generator, people: int) -> np.ndarray:
    from benchmarks.curation_draw import different_people as drawn

    return drawn(overlap, np.full(people, 1 / people), rng)


def dense(values: Sequence[int]) -> list[int]:
    used = sorted(set(values))
    return [used.index(value) + 1 for value in values]


# Ids and times, a million at once ---------------------------------------------------------------------------


def random_ids(count: int, rng: np.random.Generator) -> list[str]:
    """Return UUIDs of version 4 as hexadecimal digits."""
    raw = rng.integers(0, 256, (count, 16), dtype=np.uint8)
    return written(raw, 4)


def ids_at(seconds: np.ndarray, rng: np.random.Generator) -> list[str]:
    """Return UUIDs of version 7 of these times (Unix seconds); of equal times, ascending."""
    raw = rng.integers(0, 256, (len(seconds), 16), dtype=np.uint8)
    stamps = (np.asarray(seconds) * 1000).astype(">u8").view(np.uint8).reshape(-1, 8)
    raw[:, :6] = stamps[:, 2:]
    # A counter in the 24 bits after the variant's byte keeps the order of what was made in one millisecond.
    raw[:, 6] = 0
    raw[:, 7:8] = 0
    raw[:, 8] = 0
    raw[:, 9:12] = np.arange(len(seconds)).astype(">u4").view(np.uint8).reshape(-1, 4)[:, 1:]
    return written(raw, 7)


def written(raw: np.ndarray, version: int) -> list[str]:
    raw[:, 6] = raw[:, 6] & 0x0F | version << 4
    raw[:, 8] = raw[:, 8] & 0x3F | 0x80
    digits = raw.tobytes().hex()
    return [digits[at : at + 32] for at in range(0, len(digits), 32)]


def moments(seconds: np.ndarray) -> list[str]:
    """Return Unix seconds as the databases' text in UTC."""
    stamps = (np.asarray(seconds) * 1e6).astype("datetime64[us]")
    return [each.replace("T", " ") for each in np.datetime_as_string(stamps).tolist()]


ACTIONS = {"fill": fill}


def main() -> None:
    import django

    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_rows", description=__doc__)
    parser.add_argument("--judgments", type=int, default=1_000_000)
    parser.add_argument("--people", type=int, default=400)
    parser.add_argument("--rankings", type=int, default=20_000)
    asked = parser.parse_args()
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    django.setup()
    json.dump(fill(asked.judgments, asked.people, asked.rankings), sys.stdout)
    print()


if __name__ == "__main__":
    main()
