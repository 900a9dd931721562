from __future__ import annotations

import hashlib
import io
import json
import uuid
import zipfile
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow.parquet
import pytest
from django.utils import timezone

from feedback.claims import claim_next, skip
from feedback.judging import revise_judgment
from feedback.models import (
    Assignment,
    Judgment,
    LabelSchema,
    Project,
    Response,
    Snapshot,
    Task,
    TaskResponse,
    User,
)
from feedback.people import create_simulated_annotator
from feedback.reviewing import review_judgment
from feedback.selection import LEFT_OUT, Selection
from feedback.settling import settle_skip
from feedback.snapshot_members import judgments_of, member_ids
from feedback.snapshots import (
    SnapshotDamaged,
    SnapshotRefused,
    freeze_snapshot,
    snapshot_zip,
    verify_snapshot,
)
from feedback.steering import return_task, settle_naming
from tests.factories import (
    make_assignment,
    make_gold,
    make_judgment,
    make_member,
    make_project,
    make_prompt,
    make_queue,
    make_response,
    make_snapshot,
    make_task,
)

pytestmark = pytest.mark.django_db

NOW = timezone.now()


@pytest.fixture
def queue(project):
    return make_queue(project)


def judge(queue, annotator: User, preference: int, split: str = "train", **overrides) -> Judgment:
    prompt = make_prompt(queue.project, split=split)
    responses = (make_response(prompt, "the first"), make_response(prompt, "the second"))
    task = make_task(queue, prompt=prompt, responses=responses, propensity=0.5)
    return make_judgment(task=task, annotator=annotator, preference=preference, **overrides)


def freeze(project: Project, curator: User, name: str = "first", **overrides) -> Snapshot:
    return freeze_snapshot(**{"project": project, "name": name, "created_by": curator, "now": NOW, **overrides})


def rows_of(snapshot: Snapshot, split: str, table: str = "preference") -> list[dict]:
    return pyarrow.parquet.read_table(snapshot.directory / "data" / table / f"{split}.parquet").to_pylist()


# The plain success --------------------------------------------------------------------------------------


def test_a_snapshot_holds_one_row_per_judgment_in_the_split_of_its_prompt(project, queue, annotator, curator):
    for_b, for_a = judge(queue, annotator, 3), judge(queue, annotator, -1)
    held_out = judge(queue, annotator, 2, split="evaluation")
    snapshot = freeze(project, curator)
    common = {
        "queue_id": str(queue.pk),
        "task_kind": "comparison",
        "annotator": project.pseudonym(annotator),
        "simulated": False,
        "propensity": 0.5,
        "arm": for_b.arm,
        "arm_propensity": for_b.arm_propensity,
        "annotators": [project.pseudonym(annotator)],
        "verdict": "latest",
        "posterior": None,
        "weight": 1.0,
        "fixed": False,
        "language": "",
        "source": "",
        "licence": "",
        "flags": [],
    }
    assert rows_of(snapshot, "train") == [
        {
            "prompt": judgment.task.prompt.messages,
            "chosen": [{"role": "assistant", "content": chosen}],
            "rejected": [{"role": "assistant", "content": rejected}],
            "margin": margin,
            "origin": "comparison",
            "group": str(judgment.pk),
            "judgment_id": str(judgment.pk),
            "judgments": [str(judgment.pk)],
            "task_id": str(judgment.task_id),
            "prompt_id": str(judgment.task.prompt_id),
            **common,
        }
        for judgment, chosen, rejected, margin in [
            (for_b, "the second", "the first", 3.0),
            (for_a, "the first", "the second", 1.0),
        ]
    ]
    assert [row["judgment_id"] for row in rows_of(snapshot, "evaluation")] == [str(held_out.pk)]
    assert set(judgments_of(snapshot)) == {for_b, for_a, held_out}
    assert (snapshot.created_by, snapshot.created_at) == (curator, NOW)
    verify_snapshot(snapshot)


def test_the_manifest_says_what_is_inside_and_from_whom_without_naming_anybody(project, queue, curator):
    person = make_member(project, username="ada.lovelace")
    judgment = judge(queue, person, 3)
    judge(queue, person, 0)
    snapshot = freeze(project, curator)
    text = (snapshot.directory / "manifest.json").read_text()
    manifest = json.loads(text)
    assert hashlib.sha256(text.encode()).hexdigest() == snapshot.sha256 == snapshot.directory.name
    assert member_ids(snapshot) == [judgment.pk]
    assert manifest["annotators"] == [{"annotator": project.pseudonym(person), "simulated": False, "judgments": 1}]
    assert manifest["counts"] == {
        "judgments": 1,
        "answers": 1,
        "languages": {"": 1},
        "sources": {"": 1},
        "licences": {"": 1},
        "kinds": {"comparison": 1},
        "rows": {"preference": {"train": 1, "evaluation": 0, "holdout": 0, "held_out_people": 0}},
        "compared": {"train": 1, "evaluation": 0, "holdout": 0, "held_out_people": 0},
        "left_out": {**dict.fromkeys(LEFT_OUT, 0), "tie": 1},
    }
    assert manifest["selection"] == {"verdict": "latest", "include_simulated": False}
    assert manifest["guidelines"] == [
        {"queue": str(queue.pk), "number": 1, "text": queue.guideline.text, "judgments": 1}
    ]
    assert [policy["number"] for policy in manifest["policies"]] == [1]
    schema = LabelSchema.objects.get()
    assert manifest["schemas"] == [
        {"queue": str(queue.pk), "number": 1, "kind": "comparison", "content": schema.content, "judgments": 1}
    ]
    assert manifest["code"].startswith("concord ")
    for name, sha256 in manifest["files"].items():
        content = (snapshot.directory / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == sha256
        assert len(content) == manifest["bytes"][name]
    assert set(manifest["files"]) == {"README.md", "judgments.ids", "data/preference/train.parquet"}
    for path in snapshot.directory.rglob("*"):
        assert path.is_dir() or person.username.encode() not in path.read_bytes()
    assert snapshot.manifest == manifest


def test_the_same_judgments_give_the_same_hash_whatever_the_name_and_time(project, queue, annotator, curator):
    for preference in (3, -2, 1):
        judge(queue, annotator, preference)
    first = freeze(project, curator)
    files = {path.name: path.read_bytes() for path in first.directory.rglob("*") if path.is_file()}
    Snapshot.objects.filter(pk=first.pk).delete()
    for path in sorted(first.directory.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    first.directory.rmdir()
    again = freeze(project, make_member(project, "curator"), name="another", now=NOW + timedelta(days=1))
    assert again.sha256 == first.sha256
    assert {path.name: path.read_bytes() for path in again.directory.rglob("*") if path.is_file()} == files


def copies_of(judgment: Judgment, count: int) -> None:
    """Store `count` more judgments like this one, each of a task with responses of its own, in few statements."""
    task, slot = judgment.task, judgment.assignment
    tasks = [Task(queue=task.queue, prompt=task.prompt, key=f"copy:{number}") for number in range(count)]
    Task.objects.bulk_create(tasks)
    links = [
        TaskResponse(
            task=copy, response=Response(prompt=task.prompt, text=f"{place}", origin=f"{copy.key}:{place}"), place=place
        )
        for copy in tasks
        for place in (0, 1)
    ]
    Response.objects.bulk_create(link.response for link in links)
    TaskResponse.objects.bulk_create(links)
    slots = [copy_of(slot, task=copy, slot=0) for copy in tasks]
    Assignment.objects.bulk_create(slots)
    Judgment.objects.bulk_create(
        copy_of(judgment, task=slot.task, assignment=slot, submission_id=uuid.uuid4()) for slot in slots
    )


def copy_of(row: Any, **changes: Any) -> Any:
    values = {field.name: getattr(row, field.name) for field in row._meta.concrete_fields if not field.primary_key}
    return type(row)(**{**values, **changes})


def test_a_snapshot_of_more_judgments_than_are_read_at_once_holds_them_all(project, queue, annotator, curator):
    copies_of(judge(queue, annotator, 2), 1_100)
    assert len(rows_of(freeze(project, curator), "train")) == 1_101


# What is left out ---------------------------------------------------------------------------------------


def test_ties_rejected_and_simulated_judgments_are_left_out_and_counted(project, queue, annotator, curator):
    kept, accepted = judge(queue, annotator, 1), judge(queue, annotator, 2)
    review_judgment(judgment=accepted, reviewer=curator, accepted=True)
    judge(queue, annotator, 0)
    rejected = judge(queue, annotator, 3)
    review_judgment(judgment=rejected, reviewer=curator, accepted=False, reason="spam")
    simulated = create_simulated_annotator(project=project, username="sim", rule="longer")
    judge(queue, simulated, 3)
    assert set(Selection().eligible(project)) == {kept, accepted}
    snapshot = freeze(project, curator)
    assert set(judgments_of(snapshot)) == {kept, accepted}
    left_out = snapshot.manifest["counts"]["left_out"]
    assert {reason: count for reason, count in left_out.items() if count} == {"tie": 1, "rejected": 1, "simulated": 1}


def test_gold_repeats_and_qualification_tests_are_left_out_and_counted(project, queue, annotator, curator):
    kept = judge(queue, annotator, 1)
    repeat = make_task(queue, prompt=kept.task.prompt, responses=kept.task.texts, repeat_of=kept.task)
    make_judgment(task=repeat, annotator=annotator, preference=1)
    gold = judge(queue, annotator, 2)
    make_gold(gold.task)
    test = make_queue(project, is_qualification=True)
    make_gold(make_task(test, slots=0))
    make_judgment(assignment=claim_next(queue=test, annotator=annotator, now=timezone.now()), preference=3)
    snapshot = freeze(project, curator)
    assert list(judgments_of(snapshot)) == [kept]
    left_out = snapshot.manifest["counts"]["left_out"]
    assert {reason: count for reason, count in left_out.items() if count} == {
        "gold": 1,
        "repeat": 1,
        "qualification": 1,
    }


def test_what_a_curator_took_out_counts_no_more_until_it_is_returned(project, curator):
    queue = make_queue(project, overlap=2)
    first, second = make_member(project), make_member(project)
    judgment = judge(queue, first, 2)
    slot = make_assignment(judgment.task, second)
    fields = {"assignment_id": slot.pk, "annotator": second, "lease_token": slot.lease_token}
    skipped = skip(**fields, kind="review", reason="broken", now=timezone.now())
    assert list(Selection().eligible(project)) == [judgment]
    settle_skip(skip=skipped, settlement="discard", settled_by=curator, now=timezone.now())
    assert Selection().considered(project).get().left_out == "discarded"
    return_task(task=judgment.task, returned_by=curator, now=timezone.now())
    assert list(Selection().eligible(project)) == [judgment]


def test_judgments_of_a_response_that_names_its_model_count_no_more(project, queue, annotator, curator):
    judgment, kept = judge(queue, annotator, 2), judge(queue, annotator, 1)
    Response.objects.filter(pk=judgment.task.texts[0].pk).update(names_itself="I am SmolLM")
    settle_naming(response=judgment.task.texts[0], settlement="discard", settled_by=curator, now=timezone.now())
    snapshot = freeze(project, curator)
    assert list(judgments_of(snapshot)) == [kept]
    assert snapshot.manifest["counts"]["left_out"]["names_model"] == 1


def test_simulated_judgments_are_marked_when_they_are_asked_for(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    simulated = create_simulated_annotator(project=project, username="sim", rule="longer")
    judge(queue, simulated, 3)
    snapshot = freeze(project, curator, selection=Selection(include_simulated=True))
    rows = rows_of(snapshot, "train")
    assert [row["simulated"] for row in rows] == [False, True]
    assert rows[1]["annotator"].startswith("simulated-")
    assert "1 simulated annotator" in (snapshot.directory / "README.md").read_text()


def test_a_rejection_that_was_taken_back_counts_no_more(project, queue, annotator, curator):
    judgment = judge(queue, annotator, 1)
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="spam")
    review_judgment(judgment=judgment, reviewer=curator, accepted=True)
    assert list(judgments_of(freeze(project, curator))) == [judgment]


def test_only_the_latest_revision_is_frozen_and_an_older_snapshot_keeps_its_own(project, queue, annotator, curator):
    judgment = judge(queue, annotator, 1)
    before = freeze(project, curator)
    revision = revise_judgment(
        judgment=judgment,
        annotator=annotator,
        submission_id=uuid.uuid4(),
        answer={"preference": -3},
        active_seconds=1.0,
        interface="page",
        now=NOW,
    )
    after = freeze(project, curator, name="second")
    assert list(judgments_of(before)) == [judgment]
    assert list(judgments_of(after)) == [revision]
    verify_snapshot(before)


def test_chosen_queues_alone_are_frozen(project, queue, annotator, curator):
    other = make_queue(project)
    judge(queue, annotator, 1)
    wanted = judge(other, annotator, 1)
    snapshot = freeze(project, curator, selection=Selection(queues=(str(other.pk),)))
    assert list(judgments_of(snapshot)) == [wanted]
    assert snapshot.manifest["selection"]["queues"] == [str(other.pk)]


def test_judgments_of_another_project_are_never_frozen(project, queue, annotator, curator):
    elsewhere = make_queue(make_project())
    make_judgment(queue=elsewhere)
    mine = judge(queue, annotator, 1)
    assert list(judgments_of(freeze(project, curator))) == [mine]


def test_a_split_without_rows_has_no_file_and_no_mention(project, queue, annotator, curator):
    judge(queue, annotator, 1, split="evaluation")
    snapshot = freeze(project, curator)
    assert [path.name for path in (snapshot.directory / "data" / "preference").iterdir()] == ["evaluation.parquet"]
    assert "train.parquet" not in (snapshot.directory / "README.md").read_text()


def test_chosen_kinds_alone_are_frozen(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    written = make_judgment(
        queue=make_queue(project, kind="demonstration"), annotator=annotator, answer={"text": "As I would say it."}
    )
    snapshot = freeze(project, curator, selection=Selection(kinds=("demonstration",)))
    assert list(judgments_of(snapshot)) == [written]
    assert snapshot.manifest["selection"]["kinds"] == ["demonstration"]
    assert freeze(project, curator, name="second").manifest["selection"].get("kinds") is None


# Refusals -----------------------------------------------------------------------------------------------


def test_nothing_to_freeze_is_refused_with_the_reason(project, queue, annotator, curator):
    with pytest.raises(SnapshotRefused, match="nobody has judged anything here yet"):
        freeze(project, curator)
    judge(queue, annotator, 0)
    with pytest.raises(SnapshotRefused, match="every judgment is left out \\(1 ties\\)"):
        freeze(project, curator)


def test_a_name_is_given_once(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    freeze(project, curator)
    judge(queue, annotator, 1)
    with pytest.raises(SnapshotRefused) as caught:
        freeze(project, curator)
    assert caught.value.field == "name"
    with pytest.raises(SnapshotRefused) as caught:
        freeze(project, curator, name=" ")
    assert caught.value.field == "name"


def test_the_same_content_again_names_the_snapshot_that_has_it(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    first = freeze(project, curator)
    with pytest.raises(SnapshotRefused, match="'first' holds exactly these judgments") as caught:
        freeze(project, curator, name="second")
    assert caught.value.existing == first
    assert not [path for path in first.directory.parent.iterdir() if path.name.startswith(".writing")]


def test_a_queue_of_another_project_is_refused(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    with pytest.raises(SnapshotRefused) as caught:
        freeze(project, curator, selection=Selection(queues=(str(make_queue().pk),)))
    assert caught.value.field == "queues"


# Crashes and damage -------------------------------------------------------------------------------------


def test_files_that_a_crash_left_without_a_row_are_used_when_whole(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    crashed = freeze(project, curator)
    Snapshot.objects.filter(pk=crashed.pk).delete()
    again = freeze(project, curator)
    assert again.sha256 == crashed.sha256
    verify_snapshot(again)


def test_files_that_a_crash_left_damaged_are_put_aside(project, queue, annotator, curator):
    judge(queue, annotator, 1)
    crashed = freeze(project, curator)
    Snapshot.objects.filter(pk=crashed.pk).delete()
    (crashed.directory / "data" / "preference" / "train.parquet").write_bytes(b"half")
    aside = set(crashed.directory.parent.glob(".damaged-*"))
    again = freeze(project, curator)
    verify_snapshot(again)
    (damaged,) = set(crashed.directory.parent.glob(".damaged-*")) - aside
    assert (damaged / "data" / "preference" / "train.parquet").read_bytes() == b"half"


@pytest.mark.parametrize("name", ["manifest.json", "README.md", "data/preference/train.parquet"])
@pytest.mark.parametrize("harm", ["change", "remove"])
def test_a_damaged_snapshot_is_noticed_and_not_handed_out(name, harm):
    snapshot = make_snapshot()
    path: Path = snapshot.directory / name
    if harm == "change":
        content = bytearray(path.read_bytes())
        content[-2] ^= 1
        path.write_bytes(content)
    else:
        path.unlink()
    with pytest.raises(SnapshotDamaged, match=name):
        verify_snapshot(snapshot)
    with pytest.raises(SnapshotDamaged, match=name):
        snapshot_zip(snapshot)


def test_files_that_cannot_be_written_are_refused_and_leave_nothing(
    project, queue, annotator, curator, settings, tmp_path
):
    judge(queue, annotator, 2)
    settings.DATA_DIR = tmp_path
    (tmp_path / "snapshots").write_text("a file stands where the directory should be")
    with pytest.raises(SnapshotRefused, match=r"cannot be written \(.+\), so nothing is frozen"):
        freeze(project, curator)
    assert not Snapshot.objects.exists()
    (tmp_path / "snapshots").unlink()
    verify_snapshot(freeze(project, curator))
    assert [path.name for path in (tmp_path / "snapshots").iterdir()] == [Snapshot.objects.get().sha256]


# Handing out --------------------------------------------------------------------------------------------


def test_the_download_is_a_zip_of_all_files_and_the_same_every_time():
    snapshot = make_snapshot()
    content = b"".join(snapshot_zip(snapshot))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        folder = f"{snapshot.project.slug}-{snapshot.sha256[:12]}"
        assert set(archive.namelist()) == {
            f"{folder}/{name}"
            for name in (
                "manifest.json",
                "judgments.ids",
                "README.md",
                "data/preference/train.parquet",
                "data/preference/evaluation.parquet",
            )
        }
        manifest = archive.read(f"{folder}/manifest.json")
    assert hashlib.sha256(manifest).hexdigest() == snapshot.sha256
    assert b"".join(snapshot_zip(snapshot)) == content


@pytest.mark.torch
def test_the_datasets_library_loads_the_directory_as_it_is(tmp_path):
    import datasets

    snapshot = make_snapshot()
    loaded = datasets.load_dataset(str(snapshot.directory), cache_dir=str(tmp_path))
    assert {split: rows.num_rows for split, rows in loaded.items()} == {"train": 3, "evaluation": 1}
    assert loaded["train"].to_list() == rows_of(snapshot, "train")
    row = loaded["train"][0]
    assert [message["role"] for message in row["chosen"]] == ["assistant"]
    assert isinstance(row["margin"], float)


@pytest.mark.torch
def test_the_datasets_library_loads_a_snapshot_with_one_split(project, annotator, curator, tmp_path):
    import datasets

    judge(make_queue(project), annotator, 2)
    snapshot = freeze(project, curator)
    loaded = datasets.load_dataset(str(snapshot.directory), cache_dir=str(tmp_path))
    assert list(loaded) == ["train"]
