"""An import that is stopped, resumed, killed, done twice, undone: what is stored is always whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from feedback.imports import storing
from feedback.imports.describing import ImportBusy, describe
from feedback.imports.files import errors_of, folder_of, source_of
from feedback.imports.starting import check_import, drop_import, store_import, undo_import
from feedback.jobs import cancel_job, carry_out, resume_job
from feedback.models import (
    Assignment,
    AuditEvent,
    FileImport,
    Finding,
    Guideline,
    ImportedPerson,
    Job,
    Judgment,
    Prompt,
    Queue,
    Response,
    Review,
    Task,
    TaskResponse,
    User,
)
from feedback.selection import Selection
from tests.factories import make_import, make_snapshot
from tests.feedback.imports.loading import jsonl, loader

ROOT = Path(__file__).resolve().parents[3]


def prompts(count: int) -> str:
    return jsonl(*({"prompt": f"Question number {number}?"} for number in range(count)))


def votes(count: int) -> list[dict[str, object]]:
    return [
        {
            "prompt": f"Question {number // 2}?", "response_a": f"Yes {number // 2}", "response_b": f"No {number // 2}",
            "winner": "a", "annotator": f"w{number % 7}", "rationale": "Call me at +49 151 23456789.",
        }
        for number in range(count)
    ]  # fmt: skip


def counted() -> dict[str, int]:
    tables = (Prompt, Response, Task, TaskResponse, Assignment, Judgment, ImportedPerson, Finding, Queue, Guideline)
    return {table.__name__: table._base_manager.count() for table in tables}


def ready(file_import: FileImport, by: User | None = None) -> FileImport:
    return check_import(file_import=file_import, by=by)


@pytest.fixture
def small_steps(monkeypatch):
    monkeypatch.setattr(storing, "BATCH_ROWS", 3)
    monkeypatch.setattr(storing, "PROMPT_BATCH_ROWS", 3)


@pytest.fixture
def large_file(monkeypatch):
    """Have nothing carried out in the request."""
    monkeypatch.setattr("feedback.imports.starting.SMALL_BYTES", 0)


# Stopped and resumed ------------------------------------------------------------------------------------


@pytest.mark.django_db
def test_a_large_file_waits_for_the_clerk_and_goes_its_way(project, curator, large_file, small_steps):
    found = ready(make_import(project, prompts(10)), curator)
    assert (found.state, found.job.state) == ("checking", "queued")
    carry_out(found.job)
    found.refresh_from_db()
    assert found.state == "checked"
    found = store_import(file_import=found, by=curator)
    job = carry_out(found.job)
    assert (job.state, job.done, job.total, job.result) == ("succeeded", 10, 10, {"prompts": 10})
    assert not source_of(found).exists()


@pytest.mark.django_db
def test_a_cancelled_import_keeps_what_is_stored_and_goes_on_where_it_was(
    project, curator, large_file, small_steps, monkeypatch
):
    found = ready(make_import(project, prompts(10)), curator)
    carry_out(found.job)
    found.refresh_from_db()
    found = store_import(file_import=found, by=curator)
    stored = storing.Store.store

    def and_cancel(self, *args):
        stored(self, *args)
        if self.rows == 6:
            cancel_job(job=self.run.job, by=curator)

    monkeypatch.setattr(storing.Store, "store", and_cancel)
    job = carry_out(found.job)
    assert job.state == "cancelled"
    assert Prompt.objects.count() == 6
    monkeypatch.setattr(storing.Store, "store", stored)
    job = carry_out(resume_job(job=job, by=curator))
    assert (job.state, job.result) == ("succeeded", {"prompts": 10})
    found.refresh_from_db()
    assert (found.state, found.counts["stored"]) == ("stored", {"prompts": 10})


@pytest.mark.django_db
def test_a_step_that_fails_stores_nothing_of_itself(project, curator, large_file, small_steps, monkeypatch):
    found = ready(make_import(project, jsonl(*votes(9)), filename="v.jsonl"), curator)
    carry_out(found.job)
    found.refresh_from_db()
    found = store_import(file_import=found, by=curator)
    monkeypatch.setattr(storing, "store_findings", lambda *args, **values: 1 / 0)
    assert carry_out(found.job).state == "failed"
    assert counted() | {"Queue": 0, "Guideline": 0} == dict.fromkeys(counted(), 0)
    monkeypatch.undo()
    job = carry_out(resume_job(job=Job.objects.get(pk=found.job.pk), by=curator))
    assert job.state == "succeeded"
    assert Judgment.objects.count() == 9
    assert Queue.objects.count() == 1


@pytest.mark.django_db
def test_rows_that_have_gone_bad_since_the_check_are_left_out_and_listed(project, curator, large_file):
    found = ready(make_import(project, jsonl({"prompt": "One?", "prompt_id": "p1"}, {"prompt": "Two?"})), curator)
    carry_out(found.job)
    found.refresh_from_db()
    make_import_of_another(project, "p1")
    found = store_import(file_import=found, by=curator)
    carry_out(found.job)
    found.refresh_from_db()
    assert found.counts["stored"] == {"prompts": 1, "refused": 1}
    assert "the id 'p1' belongs to another prompt" in errors_of(found).read_text()


def make_import_of_another(project, name: str) -> None:
    from tests.factories import make_prompt

    make_prompt(project, external_id=name)


# What may follow on what --------------------------------------------------------------------------------


@pytest.mark.django_db
def test_nothing_is_stored_before_the_check_and_nothing_changed_after_the_storing(project, curator):
    found = make_import(project, prompts(2))
    with pytest.raises(ImportBusy, match="cannot be done now"):
        store_import(file_import=found, by=curator)
    with pytest.raises(ImportBusy, match="cannot be done now"):
        undo_import(file_import=found, by=curator)
    found = store_import(file_import=ready(found, curator), by=curator)
    for verb in (check_import, store_import):
        with pytest.raises(ImportBusy, match="cannot be done now"):
            verb(file_import=found, by=curator)
    with pytest.raises(ImportBusy, match="undo it instead"):
        drop_import(file_import=found, by=curator)
    acts = list(AuditEvent.objects.filter(action__startswith="import.").values_list("action", flat=True))
    assert sorted(acts) == ["import.check", "import.store", "import.upload"]


@pytest.mark.django_db
def test_while_a_job_works_on_it_an_import_stays_as_it_is(project, curator, large_file):
    found = ready(make_import(project, prompts(2)), curator)
    for act in (
        lambda: check_import(file_import=found, by=curator),
        lambda: describe(file_import=found, by=curator, source="x"),
        lambda: drop_import(file_import=found, by=curator),
    ):
        with pytest.raises(ImportBusy):
            act()


@pytest.mark.django_db
def test_a_file_with_no_good_row_is_not_stored(project, curator):
    found = ready(make_import(project, jsonl({"prompt": 7})), curator)
    with pytest.raises(ImportBusy, match="no row of the file is good"):
        store_import(file_import=found, by=curator, leave_out_bad=True)


@pytest.mark.django_db
def test_a_dropped_file_is_gone(project, curator):
    found = ready(make_import(project, prompts(2)), curator)
    drop_import(file_import=found, by=curator)
    assert found.state == "undone"
    assert not source_of(found).exists()


# Undone -------------------------------------------------------------------------------------------------


@pytest.fixture
def load(project, curator, tmp_path):
    return loader(project, tmp_path, by=curator)


@pytest.mark.django_db
def test_an_undone_import_leaves_nothing(load, curator):
    before = counted()
    users = User.objects.count()
    found = load("v.jsonl", jsonl(*votes(20), votes(1)[0]), also_ask=1)
    assert Finding.objects.exists()
    found = undo_import(file_import=found, by=curator)
    assert (found.state, found.counts["kept"]) == ("undone", {})
    assert counted() == before
    assert User.objects.count() == users
    again = load("v.jsonl", jsonl(*votes(20)))
    assert again.counts["stored"]["judgments"] == 20


@pytest.mark.django_db
def test_what_something_was_built_on_stays(load, project, curator):
    found = load("v.jsonl", jsonl(*votes(6)))
    reviewed = Judgment.objects.order_by("id").first()
    Review.objects.create(judgment=reviewed, accepted=True, reviewer=curator)
    found = undo_import(file_import=found, by=curator)
    assert found.counts["kept"] == {"prompts": 1, "responses": 2, "tasks": 1, "judgments": 1}
    assert Judgment.objects.get() == reviewed
    assert ImportedPerson.objects.get().user == reviewed.annotator
    assert Queue.objects.exists()


@pytest.mark.django_db
def test_what_a_snapshot_holds_stays(load, project, curator):
    found = load("v.jsonl", jsonl(*votes(6)))
    snapshot = make_snapshot(
        project, created_by=curator, now=timezone.now() + timedelta(seconds=1), labels=0,
        selection=Selection(allow_personal_data=True),
    )  # fmt: skip
    held = snapshot.judgment_count
    assert held > 0
    found = undo_import(file_import=found, by=curator)
    assert found.counts["kept"]["judgments"] == held


# Killed -------------------------------------------------------------------------------------------------

CHILD = """
import sys, django
django.setup()
from pathlib import Path
from feedback.imports import storing
from feedback.imports.whole import import_file
from feedback.models import Project, User
storing.BATCH_ROWS = 5
import_file(project=Project.objects.get(), path=Path(sys.argv[1]), kind="votes", created_by=User.objects.first())
"""
PREPARE = """
import django
django.setup()
from django.core.management import call_command
from feedback.models import User
from feedback.people import create_project
call_command("migrate", verbosity=0)
create_project(name="Killed", admin=User.objects.create(username="admin", is_superuser=True))
"""
GO_ON = """
import json, django
django.setup()
from feedback.imports import storing
from feedback.jobs import carry_out
from feedback.models import *
storing.BATCH_ROWS = 50
job = carry_out(Job.objects.get(kind="import"))
found = FileImport.objects.get()
print(json.dumps([job.state, found.state, found.counts.get("stored"), Judgment.objects.count(), Task.objects.count(),
    Assignment.objects.count(), Prompt.objects.count(), Response.objects.count(), Queue.objects.count()]))
"""


@pytest.mark.slow
def test_a_killed_import_goes_on_and_stores_every_vote_once(tmp_path):
    import json
    import sqlite3

    database = tmp_path / "killed.sqlite3"
    environment = {
        **os.environ, "DATABASE_URL": f"sqlite:///{database}", "CONCORD_DATA_DIR": str(tmp_path),
        "DJANGO_SETTINGS_MODULE": "rlhf_site.settings", "JOB_LEASE_SECONDS": "2", "JOB_MAX_ATTEMPTS": "20",
    }  # fmt: skip

    def python(code: str, *args: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", code, *args], cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True
        )

    def stored() -> int:
        with sqlite3.connect(f"file:{database}?mode=ro", uri=True) as reader:
            return int(reader.execute("SELECT COUNT(*) FROM feedback_judgment").fetchone()[0])

    assert python(PREPARE).wait() == 0
    path = tmp_path / "votes.jsonl"
    path.write_text(jsonl(*votes(600)))
    child = python(CHILD, str(path))
    ended = time.monotonic() + 240
    while stored() < 40 and child.poll() is None and time.monotonic() < ended:
        time.sleep(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    so_far = stored()
    assert 0 < so_far < 600
    while True:
        answer = json.loads(python(GO_ON).communicate()[0])
        if answer[0] != "running" or time.monotonic() > ended:
            break
        time.sleep(0.5)  # the dead process's lease runs out
    assert answer[:2] == ["succeeded", "stored"]
    assert answer[2] == {"judgments": 600, "prompts": 300, "responses": 600, "tasks": 300}
    assert answer[3:] == [600, 300, 600, 300, 600, 1]


def test_the_folder_of_an_import_is_its_own(settings):
    one, other = FileImport(), FileImport()
    assert folder_of(one) != folder_of(other)
    assert Counter([folder_of(one).parent, folder_of(other).parent]) == {Path(settings.DATA_DIR) / "imports": 2}
