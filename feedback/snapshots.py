"""Freeze judgments into a dataset that never changes, check it, hand it out."""

from __future__ import annotations

import importlib.metadata
import itertools
import logging
import shutil
import tempfile
import uuid
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import Case, CharField, Q, Value, When
from django.utils.text import slugify

from feedback.contract import SPLITS, PreferenceRow
from feedback.models import Judgment, Project, Queue, Snapshot, User
from feedback.models.judgments import JudgmentQuerySet
from feedback.refusals import Refusal
from feedback.snapshot_files import (
    MANIFEST,
    ROWS_PER_GROUP,
    SnapshotDamaged,
    publish,
    verify_directory,
    write_card,
    write_manifest,
    write_rows,
)

__all__ = [
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

FORMAT = 1
READ_SIZE = 2**20


class SnapshotRefused(Refusal):
    """A snapshot cannot be frozen as asked; `field` says why. `existing` has the content already, if one does."""

    def __init__(self, field: str, message: str, existing: Snapshot | None = None) -> None:
        super().__init__(field, message)
        self.existing = existing


def considered_judgments(
    *, project: Project, queues: Iterable[Queue] | None = None, include_simulated: bool = False
) -> JudgmentQuerySet:
    """Return the current judgments of the queues (all, when None), each with `left_out`.

    `left_out` says why a snapshot would not hold the judgment: "simulated", "rejected", "tie", or "" when it would.
    """
    judgments = Judgment.objects.current().in_project(project)
    if queues is not None:
        judgments = judgments.filter(queue__in=[queue.pk for queue in queues])
    reasons = [When(review_accepted=False, then=Value("rejected")), When(preference=0, then=Value("tie"))]
    if not include_simulated:
        reasons.insert(0, When(~Q(simulation_rule=""), then=Value("simulated")))
    judgments = judgments.filter(preference__isnull=False)
    return judgments.with_review().annotate(
        left_out=Case(*reasons, default=Value(""), output_field=CharField(max_length=10))
    )


def eligible_judgments(
    *, project: Project, queues: Iterable[Queue] | None = None, include_simulated: bool = False
) -> JudgmentQuerySet:
    """Return what `freeze_snapshot` would freeze: current, decisive, not rejected, and people's unless asked."""
    return considered_judgments(project=project, queues=queues, include_simulated=include_simulated).filter(
        left_out=""  # type: ignore[misc]  # annotated by considered_judgments
    )


def freeze_snapshot(
    *,
    project: Project,
    name: str,
    created_by: User,
    queues: Sequence[Queue] | None = None,
    include_simulated: bool = False,
    now: datetime,
) -> Snapshot:
    """Write the project's judgments to files under their content hash, then the row that makes them a snapshot.

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
    considered = considered_judgments(project=project, queues=queues, include_simulated=include_simulated)
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
            "include_simulated": include_simulated,
            "ties": "left out",
            "review": "rejected left out, accepted and unreviewed kept",
        }
        content = write_content(directory, project=project, ids=ids, left_out=left_out, filters=filters)
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
    manifest.pop("judgments")
    try:
        with transaction.atomic():
            snapshot = Snapshot.objects.create(
                project=project, name=name, sha256=sha256, manifest=manifest, created_by=created_by, created_at=now
            )
            through = Snapshot.judgments.through
            through.objects.bulk_create(
                (through(snapshot_id=snapshot.pk, judgment_id=pk) for pk in ids), batch_size=ROWS_PER_GROUP
            )
    except IntegrityError as error:
        refuse_known_content(project, sha256)
        raise SnapshotRefused("name", f"the project already has a snapshot named {name!r}") from error
    return snapshot


def nothing_to_freeze(left_out: Counter[str]) -> str:
    words = {"simulated": "by simulated annotators", "rejected": "rejected in review", "tie": "ties"}
    counts = ", ".join(f"{left_out[reason]} {word}" for reason, word in words.items() if left_out[reason])
    return (
        f"there is nothing to freeze: every judgment is left out ({counts})"
        if counts
        else ("there is nothing to freeze: nobody has judged anything here yet")
    )


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
    guidelines: Counter[Any] = Counter()
    policies: Counter[Any] = Counter()

    def batches() -> Iterator[dict[str, list[PreferenceRow]]]:
        for start in range(0, len(ids), ROWS_PER_GROUP):
            batch: dict[str, list[PreferenceRow]] = {split: [] for split in SPLITS}
            for judgment in in_order(ids[start : start + ROWS_PER_GROUP]):
                row = preference_row(judgment, project)
                batch[judgment.task.prompt.split].append(row)
                people[row["annotator"], row["simulated"]] += 1
                guidelines[judgment.guideline] += 1
                policies[judgment.policy] += 1
            yield batch

    rows = write_rows(directory, batches())
    simulated = sum(is_simulated for _, is_simulated in people)
    write_card(directory, project=project.slug, rows=rows, annotators=len(people), simulated=simulated)
    return {
        "format": FORMAT,
        "code": f"concord {importlib.metadata.version('concord')}",
        "project": project.slug,
        "filters": filters,
        "counts": {
            "judgments": len(ids),
            "rows": rows,
            "ties_left_out": left_out["tie"],
            "rejected_left_out": left_out["rejected"],
            "simulated_left_out": left_out["simulated"],
        },
        "annotators": [
            {"annotator": pseudonym, "simulated": is_simulated, "judgments": count}
            for (pseudonym, is_simulated), count in sorted(people.items())
        ],
        "guidelines": sorted(
            (
                {"queue": str(version.queue_id), "number": version.number, "text": version.text, "judgments": count}
                for version, count in guidelines.items()
            ),
            key=lambda version: (version["queue"], version["number"]),
        ),
        "policies": sorted(
            (
                {
                    "queue": str(version.queue_id),
                    "number": version.number,
                    "overlap": version.overlap,
                    "lease_minutes": version.lease_minutes,
                    "judgments": count,
                }
                for version, count in policies.items()
            ),
            key=lambda version: (version["queue"], version["number"]),
        ),
        "judgments": [str(pk) for pk in ids],
    }


def in_order(ids: Sequence[uuid.UUID]) -> Iterator[Judgment]:
    """Read the judgments with everything that a row needs, in the order of `ids`."""
    found = (
        Judgment.objects.select_related("annotator", "guideline", "policy", "task__prompt")
        .prefetch_related("task__links__response")
        .in_bulk(ids)
    )
    return (found[pk] for pk in ids)


def preference_row(judgment: Judgment, project: Project) -> PreferenceRow:
    """Turn a decisive judgment into the row that training reads."""
    pair = judgment.task
    assert judgment.preference, "only a decisive comparison becomes a preference"
    rejected, chosen = pair.texts if judgment.preference > 0 else reversed(pair.texts)
    return {
        "prompt": pair.prompt.messages,
        "chosen": [{"role": "assistant", "content": chosen.text}],
        "rejected": [{"role": "assistant", "content": rejected.text}],
        "margin": float(abs(judgment.preference)),
        "judgment_id": str(judgment.pk),
        "task_id": str(pair.pk),
        "annotator": project.pseudonym(judgment.annotator),
        "simulated": judgment.is_simulated,
        "propensity": judgment.propensity,
    }


def verify_snapshot(snapshot: Snapshot) -> None:
    """Read every file of the snapshot and compare it with what was frozen. Raises SnapshotDamaged."""
    verify_directory(snapshot.directory, snapshot.sha256)


def archive_name(snapshot: Snapshot) -> str:
    """Return the file name under which `snapshot_zip` is handed out."""
    return f"{slugify(snapshot.name) or 'snapshot'}-{snapshot.sha256[:8]}.zip"


def snapshot_zip(snapshot: Snapshot) -> Iterator[bytes]:
    """Check the files, then return them as one zip archive in pieces. Raises SnapshotDamaged before the first."""
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
