"""Freeze judgments into a dataset that never changes, check it, hand it out."""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import shutil
import tempfile
import uuid
import zipfile
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Prefetch
from django.utils.text import slugify

from feedback.contract import COMPARED, SPLITS
from feedback.models import Judgment, Project, Queue, Snapshot, TaskResponse, Turn, User
from feedback.models.judgments import JudgmentQuerySet
from feedback.queues import RULES
from feedback.refusals import Refusal
from feedback.schemas import TaskKind
from feedback.selection import LEFT_OUT, Selection
from feedback.snapshot_card import write_card
from feedback.snapshot_files import (
    MANIFEST,
    ROWS_PER_GROUP,
    SnapshotDamaged,
    publish,
    verify_directory,
    write_manifest,
    write_rows,
)
from feedback.snapshot_members import ID, write_members
from feedback.snapshot_rows import Row, rows_of

__all__ = [
    "LEFT_OUT",
    "SnapshotDamaged",
    "SnapshotRefused",
    "archive_name",
    "considered_judgments",
    "eligible_judgments",
    "freeze_snapshot",
    "snapshot_zip",
    "verify_snapshot",
]

logger = logging.getLogger(__name__)

FORMAT = 2
READ_SIZE = 2**20
READ_AT_ONCE = 250
"""Judgments that are read from the database together."""


class SnapshotRefused(Refusal):
    """A snapshot cannot be frozen as asked; `field` says why. `existing` has the content already, if one does."""

    def __init__(self, field: str, message: str, existing: Snapshot | None = None) -> None:
        super().__init__(field, message)
        self.existing = existing


def considered_judgments(
    *,
    project: Project,
    queues: Iterable[Queue] | None = None,
    kinds: Iterable[str] | None = None,
    include_simulated: bool = False,
) -> JudgmentQuerySet:
    """Return the latest judgments of the queues and task kinds (all, when None), each with `left_out`."""
    return chosen(queues, kinds, include_simulated).considered(project)


def eligible_judgments(
    *,
    project: Project,
    queues: Iterable[Queue] | None = None,
    kinds: Iterable[str] | None = None,
    include_simulated: bool = False,
) -> JudgmentQuerySet:
    """Return what `freeze_snapshot` would freeze."""
    return chosen(queues, kinds, include_simulated).eligible(project)


def chosen(queues: Iterable[Queue] | None, kinds: Iterable[str] | None, include_simulated: bool) -> Selection:
    return Selection(
        queues=None if queues is None else tuple(str(queue.pk) for queue in queues),
        kinds=None if kinds is None else tuple(kinds),
        include_simulated=include_simulated,
    )


def since_last_snapshot(project: Project, limit: int = 10_000) -> int:
    """Return how many judgments could be frozen that are newer than all of the last snapshot's; `limit` at most."""
    fresh = Selection().eligible(project)
    last = project.snapshots.first()
    if last is not None and last.manifest.get("newest"):
        fresh = fresh.filter(pk__gt=uuid.UUID(last.manifest["newest"]))
    return fresh.order_by()[:limit].count()


def freeze_snapshot(
    *,
    project: Project,
    name: str,
    created_by: User,
    queues: Sequence[Queue] | None = None,
    kinds: Sequence[str] | None = None,
    include_simulated: bool = False,
    now: datetime,
) -> Snapshot:
    """Write the project's judgments to files under their content hash, then the row that makes them a snapshot.

    `queues` and `kinds` (of task) choose among them; None takes all. `feedback.snapshot_rows` says what each becomes.

    The files are written aside, synced and renamed, and only then does the row appear: whatever a crash leaves behind
    is either invisible or whole, and freezing again uses it. The same judgments give the same hash.
    Raises SnapshotRefused.
    """
    name = name.strip()
    if not name or len(name) > 200:
        raise SnapshotRefused("name", "give the snapshot a name of at most 200 characters")
    if Snapshot.objects.filter(project=project, name=name).exists():
        raise SnapshotRefused("name", f"the project already has a snapshot named {name!r}")
    if queues is not None and any(queue.project_id != project.pk for queue in queues):
        raise SnapshotRefused("queues", "one of the queues belongs to another project")
    if unknown := sorted(set(kinds or ()) - set(TaskKind.values)):
        raise SnapshotRefused("kinds", f"{unknown[0]!r} is not one of {', '.join(TaskKind.values)}")
    considered = considered_judgments(project=project, queues=queues, kinds=kinds, include_simulated=include_simulated)
    reasons: dict[uuid.UUID, str] = dict(considered.values_list("pk", "left_out"))  # type: ignore[misc]  # as above
    left_out = Counter(reasons.values())
    ids = sorted(pk for pk, reason in reasons.items() if not reason)
    if not ids:
        raise SnapshotRefused("judgments", nothing_to_freeze(left_out))
    root = Path(settings.DATA_DIR) / "snapshots"
    directory = root / f".writing-{uuid.uuid4().hex}"
    try:
        directory.mkdir(parents=True)
        filters = {
            "queues": None if queues is None else sorted(str(queue.pk) for queue in queues),
            "kinds": None if kinds is None else sorted(set(kinds)),
            "include_simulated": include_simulated,
            "left_out": [reason for reason in LEFT_OUT if reason != "simulated" or not include_simulated],
            "review": "rejected left out, accepted and unreviewed kept",
        }
        content = write_content(directory, project=project, ids=ids, left_out=left_out, filters=filters)
        write_members(directory, np.array([pk.bytes for pk in ids]).view(ID))
        sha256 = write_manifest(directory, content)
        refuse_known_content(project, sha256)
        publish(directory, root / sha256)
    except OSError as error:
        logger.exception("a snapshot of %s cannot be written to %s", project.slug, root)
        raise SnapshotRefused(
            "files", f"the files cannot be written ({error.strerror}), so nothing is frozen; tell whoever runs the site"
        ) from error
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    manifest = verify_directory(root / sha256, sha256)
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                project=project, name=name, sha256=sha256, manifest=manifest, created_by=created_by, created_at=now
            )
    except IntegrityError as error:
        refuse_known_content(project, sha256)
        raise SnapshotRefused("name", f"the project already has a snapshot named {name!r}") from error
    return snapshot


def nothing_to_freeze(left_out: Counter[str]) -> str:
    counts = ", ".join(f"{left_out[reason]} {words}" for reason, words in LEFT_OUT.items() if left_out[reason])
    if counts:
        return f"there is nothing to freeze: every judgment is left out ({counts})"
    return "there is nothing to freeze: nobody has judged anything here yet"


def refuse_known_content(project: Project, sha256: str) -> None:
    existing = Snapshot.objects.filter(project=project, sha256=sha256).first()
    if existing is not None:
        raise SnapshotRefused(
            "judgments", f"the snapshot {existing.name!r} holds exactly these judgments already", existing
        )


def write_content(
    directory: Path, *, project: Project, ids: Sequence[uuid.UUID], left_out: Counter[str], filters: dict[str, Any]
) -> dict[str, Any]:
    """Write the Parquet files and the card; return what the manifest says besides the files' digests."""
    people: Counter[tuple[str, bool]] = Counter()
    kinds: Counter[str] = Counter()
    guidelines: Counter[Any] = Counter()
    policies: Counter[Any] = Counter()
    schemas: Counter[Any] = Counter()
    compared = dict.fromkeys(SPLITS, 0)

    def batches() -> Iterator[dict[tuple[str, str], list[Row]]]:
        for start in range(0, len(ids), ROWS_PER_GROUP):
            batch: dict[tuple[str, str], list[Row]] = defaultdict(list)
            for judgment in in_order(ids[start : start + ROWS_PER_GROUP]):
                split = judgment.task.prompt.split
                groups = set()
                for table, row in rows_of(judgment, project):
                    batch[table, split].append(row)
                    if row.get("origin") in COMPARED:
                        groups.add(row["group"])
                compared[split] += len(groups)
                people[project.pseudonym(judgment.annotator), judgment.is_simulated] += 1
                kinds[judgment.queue.kind] += 1
                guidelines[judgment.guideline] += 1
                policies[judgment.policy] += 1
                schemas[judgment.schema] += 1
            yield batch

    rows = write_rows(directory, batches())
    simulated = sum(is_simulated for _, is_simulated in people)
    write_card(directory, project=project.slug, rows=rows, people=len(people) - simulated, simulated=simulated)
    return {
        "format": FORMAT,
        "code": f"concord {importlib.metadata.version('concord')}",
        "project": project.slug,
        "filters": filters,
        "newest": str(ids[-1]),
        "counts": {
            "judgments": len(ids),
            "kinds": dict(sorted(kinds.items())),
            "rows": rows,
            "compared": compared,
            "left_out": {reason: left_out[reason] for reason in LEFT_OUT},
        },
        "annotators": [
            {"annotator": pseudonym, "simulated": is_simulated, "judgments": count}
            for (pseudonym, is_simulated), count in sorted(people.items())
        ],
        "guidelines": by_version(guidelines, lambda version: {"text": version.text}),
        "policies": by_version(policies, lambda version: {rule: said(getattr(version, rule)) for rule in RULES}),
        "schemas": by_version(schemas, lambda version: {"kind": version.queue.kind, "content": version.content}),
    }


def by_version(counts: Counter[Any], content: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what was in force while people judged, with how many judgments were made under each version."""
    found = [
        {"queue": str(version.queue_id), "number": version.number, **content(version), "judgments": count}
        for version, count in counts.items()
    ]
    return sorted(found, key=lambda version: (version["queue"], version["number"]))


def said(value: Any) -> Any:
    """Return a rule's value as JSON holds it: of another queue, its id."""
    return str(value.pk) if isinstance(value, Queue) else value


def in_order(ids: Sequence[uuid.UUID]) -> Iterator[Judgment]:
    """Read the judgments with everything that a row needs, in the order of `ids`, a few at a time.

    Responses are joined, not prefetched by their ids: SQLite refuses a prefetch of a thousand of them, which is a
    thousand ORs.
    """
    judgments = Judgment.objects.select_related("task__prompt").prefetch_related(
        *("queue", "annotator", "guideline", "policy__qualification", "schema__queue"),  # few, shared by many
        Prefetch("task__links", TaskResponse.objects.select_related("response")),
        Prefetch("task__turns", Turn.objects.select_related("prompt", "first", "second", "went_on_with")),
    )
    for start in range(0, len(ids), READ_AT_ONCE):
        batch = ids[start : start + READ_AT_ONCE]
        found = judgments.in_bulk(batch)
        yield from (found[pk] for pk in batch)


def verify_snapshot(snapshot: Snapshot) -> None:
    """Read every file of the snapshot and compare it with what was frozen. Raises SnapshotDamaged."""
    refuse_withdrawn(snapshot)
    verify_directory(snapshot.directory, snapshot.sha256)


def refuse_withdrawn(snapshot: Snapshot) -> None:
    """Raise SnapshotDamaged for a snapshot whose files were deleted on purpose (feedback.withdrawing)."""
    if snapshot.withdrawn_at is not None:
        raise SnapshotDamaged(f"It was withdrawn on {snapshot.withdrawn_at:%d %B %Y}, and its files were deleted.")


def archive_name(snapshot: Snapshot) -> str:
    """Return the file name under which `snapshot_zip` is handed out."""
    return f"{slugify(snapshot.name) or 'snapshot'}-{snapshot.sha256[:8]}.zip"


def snapshot_zip(snapshot: Snapshot) -> Iterator[bytes]:
    """Check the files, then return them as one zip archive in pieces. Raises SnapshotDamaged before the first."""
    refuse_withdrawn(snapshot)
    manifest = verify_directory(snapshot.directory, snapshot.sha256)
    folder = f"{snapshot.project.slug}-{snapshot.sha256[:12]}"
    file = tempfile.TemporaryFile()  # noqa: SIM115 closed by the generator below
    with zipfile.ZipFile(file, "w") as archive:
        for name in itertools.chain([MANIFEST], sorted(manifest["files"])):
            entry = zipfile.ZipInfo(f"{folder}/{name}")
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".parquet") else zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with (snapshot.directory / name).open("rb") as source, archive.open(entry, "w") as target:
                shutil.copyfileobj(source, target, READ_SIZE)
    file.seek(0)

    def pieces() -> Iterator[bytes]:
        with file:
            while piece := file.read(READ_SIZE):
                yield piece

    return pieces()
