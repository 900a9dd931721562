"""Hygiene at 100,000 and 1,000,000 texts: rows a second of each step, and what is found; part of `make bench-curation`.

    python -m benchmarks.curation_hygiene --texts 100000 1000000

Texts are drawn: 8 to 60 words of 20,000, every twentieth a near-duplicate of an earlier one with a few words changed,
every fiftieth with an e-mail address, a phone number or a card in it. Each size is a project of its own on SQLite, in a
data directory that goes away.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from benchmarks.measured import measured
from benchmarks.own_site import MANAGE, ROOT

BENCHMARK = "curation_hygiene"
BATCH = 1_000
WORDS = 20_000
PLANTED_EVERY = 20
PERSONAL_EVERY = 50
PERSONAL = ("mail me at jane.doe{}@example.com", "call +49 30 12345{:03d}", "my card is 4111 1111 1111 1111, number {}")
LIKE = 0.7
"""Share of runs in common from which a planted pair counts as one that should be found."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_hygiene", description=__doc__)
    parser.add_argument("--texts", type=int, nargs="+", default=[100_000, 1_000_000])
    asked = parser.parse_args()
    if "CONCORD_HYGIENE_BENCH" in os.environ:
        return measure(asked.texts[0])
    fine = True
    for texts in asked.texts:
        data = tempfile.mkdtemp(prefix="concord-hygiene-")
        environment = {**os.environ, "CONCORD_DATA_DIR": data, "CONCORD_HYGIENE_BENCH": "1"}
        environment.pop("DATABASE_URL", None)
        try:
            subprocess.run([*MANAGE, "migrate", "-v", "0"], cwd=ROOT, env=environment, check=True)
            module = [sys.executable, "-m", "benchmarks.curation_hygiene", "--texts", str(texts)]
            fine &= subprocess.run(module, cwd=ROOT, env=environment).returncode == 0
        finally:
            shutil.rmtree(data, ignore_errors=True)
    return 0 if fine else 1


def measure(count: int) -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    import django

    django.setup()
    from feedback.hygiene.languages import language_of
    from feedback.hygiene.personal import personal_data
    from feedback.hygiene.sketching import sketch
    from feedback.splits import normal_text

    sample = [text for batch, _ in batches(min(count, 50_000)) for text in batch]
    language_of("Load the model first, so that it is not counted.")
    steps: dict[str, Callable[[str], object]] = {
        "normalise": normal_text, "language": language_of, "personal_data": personal_data
    }  # fmt: skip
    for figure, step in steps.items():
        with measured(BENCHMARK, figure, texts=len(sample)):
            for text in sample:
                step(text)
    normal = [normal_text(text) for text in sample]
    with measured(BENCHMARK, "sketch", texts=len(sample)):
        for start in range(0, len(normal), BATCH):
            sketch(normal[start : start + BATCH])
    del sample, normal
    return store_all(count)


def store_all(count: int) -> int:
    """Take all texts in as an import does, and say what was found of what was planted."""
    from django.db import transaction

    from feedback.contract import digest
    from feedback.hygiene.scanning import look_at, place_prompts_looked_at, store_findings
    from feedback.hygiene.sketching import likeness
    from feedback.models import Finding, Project, Prompt
    from feedback.people import create_project

    project = create_project(name=f"Hygiene {count}")
    planted: list[tuple[Any, Any, float]] = []
    personal = 0
    with measured(BENCHMARK, "look_at_and_store", texts=count, database="sqlite", goal_rows_per_s=10_000) as found:
        looking = storing = 0.0
        for texts, pairs in batches(count):
            prompts = []
            for text in texts:
                messages = [{"role": "user", "content": text}]
                prompts.append(Prompt(project=project, messages=messages, digest=digest(messages)))
            began = time.process_time()
            looked = look_at(project=project, prompts=prompts)
            looking += time.process_time() - began
            began = time.process_time()
            with transaction.atomic():
                Project.objects.select_for_update().get(pk=project.pk)
                place_prompts_looked_at(looked, prompts)
                Prompt.objects.bulk_create(prompts)
                store_findings(looked, prompts=prompts)
            storing += time.process_time() - began
            planted += [
                (prompts[one].pk, prompts[other].pk, likeness(texts[one], texts[other])) for one, other in pairs
            ]
            personal += sum(number % PERSONAL_EVERY == 7 for number in range(len(texts)))
        found |= {"looking_cpu_s": round(looking, 2), "storing_cpu_s": round(storing, 2)}
        found["rows_per_cpu_s_of_looking"] = round(count / looking)
    with measured(BENCHMARK, "recall", texts=count) as found:
        clusters = dict(project.prompts.values_list("pk", "cluster"))
        like = [(one, other) for one, other, share in planted if share >= LIKE]
        found["planted"] = len(planted)
        found["planted_alike"] = len(like)
        found["found"] = sum(clusters[one] == clusters[other] for one, other in like)
        found["recall"] = round(found["found"] / len(like), 5)
        near = Finding.objects.filter(project=project, kind=Finding.Kind.NEAR_DUPLICATE).count()
        found["near_duplicates"] = near
        found["not_planted"] = near - sum(clusters[one] == clusters[other] for one, other, _ in planted)
        found["personal_planted"] = personal
        found["personal_found"] = Finding.objects.filter(project=project, kind=Finding.Kind.PERSONAL_DATA).count()
        splits: dict[str, set[str]] = {}
        for cluster, split in project.prompts.values_list("cluster", "split"):
            splits.setdefault(cluster, set()).add(split)
        found["clusters_in_two_splits"] = sum(len(each) > 1 for each in splits.values())
    return 0


def batches(count: int) -> Iterator[tuple[list[str], list[tuple[int, int]]]]:
    """Yield batches of texts with the pairs (original, near-duplicate) that were planted in them."""
    rng = np.random.default_rng(11)
    letters = np.array(list("abcdefghijklmnopqrstuvwxyz"))
    words = np.array(["".join(rng.choice(letters, rng.integers(2, 10))) for _ in range(WORDS)])
    weights = 1 / np.arange(1, WORDS + 1) ** 0.7
    weights /= weights.sum()
    for start in range(0, count, BATCH):
        size = min(BATCH, count - start)
        lengths = rng.integers(8, 60, size)
        drawn = np.split(rng.choice(WORDS, lengths.sum(), p=weights), np.cumsum(lengths)[:-1])
        pairs = []
        for number in range(PLANTED_EVERY - 1, size, PLANTED_EVERY):
            original = number - int(rng.integers(1, PLANTED_EVERY))
            if original % PERSONAL_EVERY == 7:
                continue
            copy = drawn[original].copy()
            changed = rng.integers(0, len(copy), max(1, len(copy) // 15))
            copy[changed] = rng.integers(0, WORDS, len(changed))
            drawn[number] = copy
            pairs.append((original, number))
        texts = [" ".join(words[each]) for each in drawn]
        for number in range(7, size, PERSONAL_EVERY):
            texts[number] += " " + PERSONAL[number % len(PERSONAL)].format((start + number) % 1000)
        yield texts, pairs


if __name__ == "__main__":
    sys.exit(main())
