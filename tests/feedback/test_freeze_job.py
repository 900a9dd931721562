"""Freezing, exporting and counting as jobs: small ones in the request, killed ones go on, nothing is done twice."""

from __future__ import annotations

import io
import uuid
import zipfile

import pytest
from django.utils import timezone

from feedback.exports.jobs import kept_export
from feedback.jobs import carry_out, start_and_carry_out, start_job
from feedback.models import AuditEvent, Finding, Job, Response, Snapshot
from feedback.snapshots import freeze_snapshot, put_away, verify_snapshot
from tests.every_kind import judge_everything
from tests.factories import make_judgment, make_queue, make_snapshot

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def freeze(project, curator, **params) -> Job:
    return start_and_carry_out(
        project=project, kind=Job.Kind.FREEZE, params={"selection": {}, **params}, created_by=curator
    )


def test_a_job_freezes_and_leads_to_the_snapshot(project, curator):
    make_judgment(queue=make_queue(project))
    job = freeze(project, curator, name="first")
    snapshot = Snapshot.objects.get()
    assert (job.state, job.result["snapshot"], job.error) == ("succeeded", str(snapshot.pk), "")
    event = AuditEvent.objects.get(action="snapshot.freeze")
    assert (event.actor, event.after["sha256"]) == (curator, snapshot.sha256)


def test_a_job_counts_without_freezing(project, curator, annotator):
    judge_everything(project, annotator)
    make_judgment(queue=make_queue(project), preference=0)
    job = freeze(project, curator, preview=True)
    counts = job.result["counts"]
    assert (counts["judgments"], counts["left_out"]) == (6, {"tie": 1})
    assert {one["table"]: one["splits"]["train"] for one in counts["tables"]} == {
        "preference": 1, "ranking": 1, "rating": 1, "sft": 2, "conversation": 1
    }  # fmt: skip
    assert not Snapshot.objects.exists()


def test_what_cannot_be_frozen_ends_the_job_with_the_reason(project, curator):
    job = freeze(project, curator, name="first")
    assert job.state == "failed"
    assert "nothing to freeze" in job.error
    assert not Snapshot.objects.exists()


def test_a_job_that_is_given_back_leaves_nothing_and_is_done_by_the_next(project, curator):
    make_judgment(queue=make_queue(project))
    job = start_job(project=project, kind=Job.Kind.FREEZE, params={"name": "a", "selection": {}}, created_by=curator)
    carry_out(job, seconds=0)
    job.refresh_from_db()
    assert (job.state, Snapshot.objects.count()) == ("queued", 0)
    carry_out(job)
    assert (job.state, Snapshot.objects.count()) == ("succeeded", 1)


def test_a_job_whose_end_was_lost_finds_the_snapshot_that_it_made(project, curator):
    make_judgment(queue=make_queue(project))
    job = freeze(project, curator, name="first")
    Job.objects.filter(pk=job.pk).update(state=Job.State.QUEUED, result={})
    job.refresh_from_db()
    carry_out(job)
    assert (job.state, job.result["snapshot"]) == ("succeeded", str(Snapshot.objects.get().pk))


def test_a_text_that_is_redacted_while_it_is_read_is_read_again(project, curator):
    """The text changes after the rows were read and before the snapshot is made: what is frozen is the new text."""
    judgment = make_judgment(queue=make_queue(project))
    response = judgment.task.texts[0]
    finding = Finding.objects.create(
        project=project, kind=Finding.Kind.PERSONAL_DATA, response=response, settlement="leave"
    )
    reads = []

    def redact(_done: int, _total: int | None, words: str) -> None:
        if words == "Writing rows":
            reads.append(words)
            Response.objects.filter(pk=response.pk).update(text="[redacted]")
            Finding.objects.filter(pk=finding.pk, settlement="leave").update(settlement="redact", settled_at=NOW)

    snapshot = freeze_snapshot(project=project, name="a", created_by=curator, progress=redact, now=NOW)
    content = b"".join(path.read_bytes() for path in (snapshot.directory / "data").rglob("*.parquet"))
    assert len(reads) == 2
    assert b"[redacted]" in content


def test_a_text_that_an_erasure_under_way_empties_is_read_again(project, curator):
    judgment = make_judgment(queue=make_queue(project))
    erasure = start_job(project=project, kind=Job.Kind.ERASE, params={}, created_by=curator)
    reads = []

    def erase(_done: int, _total: int | None, words: str) -> None:
        if words == "Writing rows":
            reads.append(words)
            Response.objects.filter(pk=judgment.task.texts[0].pk).update(text="[emptied]")
            Job.objects.filter(pk=erasure.pk).update(done=1)

    freeze_snapshot(project=project, name="a", created_by=curator, progress=erase, now=NOW)
    assert len(reads) == 2


def test_a_freeze_that_gives_up_leaves_the_files_of_another_with_the_same_judgments(project, curator):
    snapshot = make_snapshot(project)
    put_away(project, snapshot.directory)
    verify_snapshot(snapshot)
    stray = snapshot.directory.with_name("0" * 64)
    stray.mkdir()
    put_away(project, stray)
    assert not stray.exists()


def test_an_export_is_made_once_and_kept_beside_the_snapshot(project, curator):
    snapshot = make_snapshot(project)
    params = {"snapshot": str(snapshot.pk), "format": "preference", "form": "jsonl"}
    job = start_and_carry_out(project=project, kind=Job.Kind.EXPORT, params=params, created_by=curator)
    assert job.state == "succeeded", job.error
    path = kept_export(snapshot, "preference", "jsonl")
    with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as archive:
        assert archive.testzip() is None
    made = path.stat().st_mtime_ns
    again = start_and_carry_out(project=project, kind=Job.Kind.EXPORT, params=params, created_by=curator)
    assert (again.state, path.stat().st_mtime_ns) == ("succeeded", made)
    assert [each.name for each in path.parent.iterdir()] == [path.name]


def test_an_export_of_a_damaged_snapshot_fails_and_keeps_nothing(project, curator):
    snapshot = make_snapshot(project)
    (snapshot.directory / "README.md").write_text("changed")
    params = {"snapshot": str(snapshot.pk), "format": "preference", "form": "parquet"}
    job = start_and_carry_out(project=project, kind=Job.Kind.EXPORT, params=params, created_by=curator)
    assert job.state == "failed"
    assert "damaged" in job.error
    assert not any((snapshot.directory / "exports").iterdir())


def test_a_snapshot_of_another_project_is_not_exported(project, curator):
    params = {"snapshot": str(uuid.uuid4()), "format": "preference", "form": "jsonl"}
    job = start_and_carry_out(project=project, kind=Job.Kind.EXPORT, params=params, created_by=curator)
    assert job.state == "failed"
