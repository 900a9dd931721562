"""How fast the pages of review answer on a filled database: `python -m benchmarks.curation_review --project SLUG`.

One JSON line for each page: every filter's first page by the product's own view, rendered, and what it found. A page
that is not `in_full` ended with its time and offers to look further; `beyond` is asked for once more from there. Then a
bulk action over a filter, per thousand judgments, and its undoing. benchmarks.curation runs it.
"""

from __future__ import annotations

import argparse
import os
import time
from typing import Any

from benchmarks.measured import measured

BENCHMARK = "curation-review"


def main() -> None:
    import django

    django.setup()
    from django.test import Client
    from django.test.utils import setup_test_environment
    from django.urls import reverse

    from feedback.models import Project, User

    setup_test_environment()  # answers say what their templates were given
    asked = arguments()
    project = Project.objects.get(slug=asked.project)
    curator = User.objects.filter(memberships__project=project, memberships__role="curator").first()
    assert curator is not None, "the filled project has a curator"
    client = Client(headers={"host": "localhost"})
    client.force_login(curator)
    address = reverse("judgments", args=[project.slug])
    client.get(address)  # whatever is loaded once
    for name, filters in cases(project).items():
        with measured(BENCHMARK, f"filter: {name}") as line:
            answer = client.get(address, filters)
            found = answer.context["found"]
            line.update(rows=len(found.judgments), in_full=found.in_full, status=answer.status_code)
        if not found.in_full and found.resume is not None:
            look_to_the_end(client, address, filters, found, name)
    for name in ("disputes", "audit", "bulks", "review-rates"):
        with measured(BENCHMARK, f"page: {name}") as line:
            line.update(status=client.get(reverse(name, args=[project.slug])).status_code)
    with measured(BENCHMARK, "next judgment to review") as line:
        line.update(status=client.get(reverse("judgment-next", args=[project.slug]), drawn()).status_code)
    if asked.bulk:
        bulk_and_back(project, curator)


def look_to_the_end(client: Any, address: str, filters: dict[str, str], found: Any, name: str) -> None:
    """Go on until a page is full or all was seen, as a person does who wants it all."""
    with measured(BENCHMARK, f"to the end: {name}") as line:
        slowest, pages = 0.0, 0
        while found.resume is not None and not found.in_full:
            began = time.monotonic()
            found = client.get(address, {**filters, "beyond": str(found.resume)}).context["found"]
            slowest, pages = max(slowest, time.monotonic() - began), pages + 1
        line.update(pages=pages, slowest_page=round(slowest, 3))


def drawn() -> dict[str, str]:
    return {"review": "none", "drawn": "on", "simulated": "no", "order": "oldest"}


def cases(project: Any) -> dict[str, dict[str, str]]:
    from feedback.models import User
    from feedback.scores import scorers

    queue = project.queues.order_by("id").first()
    person = User.objects.filter(memberships__project=project, memberships__role="annotator").first()
    found = {
        "none": {},
        "queue": {"queue": str(queue.pk)},
        "annotator": {"annotator": str(person.pk)},
        "not reviewed": {"review": "none"},
        "rejected": {"review": "rejected"},
        "fixed (there is none)": {"review": "fixed"},
        "drawn for review": drawn(),
        "people differ": {"differing": "on"},
        "not right by the gold": {"gold": "wrong"},
        "flag": {"flag": "any"},
        "strength": {"strength": "3"},
        "handed out as repeat": {"arm": "repeat"},
        "language": {"language": "de"},
        "text": {"q": "catalogue"},
        "text that nobody wrote": {"q": "nowhere to be found"},
        "three years ago": {"until": "2023-01-01"},
    }
    known = scorers(project)
    if known:
        found["against the reward model"] = {"against": str(known[0].pk)}
        found["against it by more than 3"] = {"against": str(known[0].pk), "gap": "3"}
    return found


def bulk_and_back(project: Any, curator: Any) -> None:
    """Decide what one person judged and nobody reviewed in bulk, and take it back."""
    from django.utils import timezone

    from feedback.bulk import start_bulk, undo_bulk
    from feedback.jobs import carry_out
    from feedback.judgment_filter_forms import JudgmentFilter
    from feedback.models import User

    person = User.objects.filter(memberships__project=project, memberships__role="annotator").first()
    assert person is not None, "the filled project has annotators"
    filters = JudgmentFilter({"annotator": str(person.pk), "review": "none"}, project=project)
    with measured(BENCHMARK, "bulk action") as line:
        bulk = start_bulk(
            project=project, action="requeue", filters=filters, reason="Measured.", started_by=curator,
            now=timezone.now(),
        )  # fmt: skip
        carry_out(bulk.job)
        bulk.refresh_from_db()
        line.update(judgments=bulk.count)
    with measured(BENCHMARK, "bulk action taken back") as line:
        undone = undo_bulk(bulk=bulk, undone_by=curator, now=timezone.now())
        carry_out(undone.job)
        undone.job.refresh_from_db()
        line.update(judgments=undone.job.result.get("done"))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.curation_review", description=__doc__)
    parser.add_argument("--project", required=True)
    parser.add_argument("--no-bulk", dest="bulk", action="store_false", help="Without the bulk action, which writes.")
    return parser.parse_args()


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    main()
