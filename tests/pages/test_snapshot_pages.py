from __future__ import annotations

import io
import zipfile

import pytest
from django.urls import reverse

from feedback.models import Snapshot
from feedback.people import create_simulated_annotator
from feedback.schemas import TaskKind
from feedback.snapshot_members import judgments_of, snapshots_holding
from tests.every_kind import judge, judge_everything
from tests.factories import make_judgment, make_prompt, make_queue, make_snapshot, make_task


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def freeze(client, project, **fields):
    return client.post(reverse("snapshot-freeze", args=[project.slug]), {"name": "first", **fields})


def counts(client, project, **chosen) -> dict:
    address = reverse("snapshot-freeze", args=[project.slug])
    return client.get(address, chosen, headers={"HX-Request": "true"}).context["counts"]


def test_a_curator_freezes_what_counts(project, curator, client):
    judgment = make_judgment(queue=make_queue(project))
    answer = freeze(client, project)
    snapshot = Snapshot.objects.get()
    assert answer["Location"] == reverse("snapshot", args=[project.slug, snapshot.pk])
    assert (snapshot.name, snapshot.created_by) == ("first", curator)
    assert list(judgments_of(snapshot)) == [judgment]


def test_only_the_chosen_queues_are_frozen(project, client):
    wanted, other = make_judgment(queue=make_queue(project)), make_judgment(queue=make_queue(project))
    freeze(client, project, queues=[wanted.queue_id])
    assert list(judgments_of(Snapshot.objects.get())) == [wanted]
    assert snapshots_holding(other) == []


def test_the_preview_counts_what_would_be_taken_and_left_out(project, client):
    queue = make_queue(project)
    simulated = create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    make_judgment(queue=queue)
    make_judgment(task=make_task(queue, prompt=make_prompt(project, split="evaluation")))
    make_judgment(queue=queue, preference=0)
    make_judgment(queue=queue, annotator=simulated)
    assert counts(client, project) == {
        "judgments": 2,
        "answers": 2,
        "tables": [
            {"table": "preference", "splits": {"train": 1, "evaluation": 1, "holdout": 0, "held_out_people": 0}}
        ],
        "train": 1,
        "annotators": 2,
        "left_out": {"simulated": 1, "tie": 1},
        "rules": {"latest": 2},
    }
    assert counts(client, project, include_simulated="on")["judgments"] == 3
    assert counts(client, project, queues=[make_queue(project).pk])["judgments"] == 0
    assert not Snapshot.objects.exists()


def test_ties_are_kept_where_the_box_is_ticked_and_the_page_says_so(project, client):
    queue = make_queue(project)
    make_judgment(queue=queue)
    make_judgment(queue=queue, preference=0)
    found = {one["table"]: one["splits"]["train"] for one in counts(client, project, keep_ties="on")["tables"]}
    assert found == {"preference": 1, "ranking": 1}
    page = client.get(freeze(client, project, keep_ties="on")["Location"]).content.decode()
    assert Snapshot.objects.get().ties("train") == 1
    assert "Keep ties" in page


def test_chosen_kinds_of_task_alone_are_counted_and_frozen(project, annotator, client):
    judge_everything(project, annotator)
    judge_everything(project, annotator, "evaluation")
    found = {one["table"]: one["splits"]["train"] for one in counts(client, project)["tables"]}
    assert found == {"preference": 1, "ranking": 1, "rating": 1, "sft": 2, "conversation": 1}
    chosen = counts(client, project, kinds=["ranking", "rating"])["tables"]
    assert [one["table"] for one in chosen] == ["ranking", "rating"]
    freeze(client, project, kinds=["demonstration"])
    assert [judgment.queue.kind for judgment in judgments_of(Snapshot.objects.get())] == ["demonstration"] * 2


def test_a_project_with_one_kind_of_task_is_not_asked_which(project, client):
    address = reverse("snapshot-freeze", args=[project.slug])
    make_queue(project)
    assert "kinds" not in client.get(address).context["form"].fields
    make_queue(project, kind="rating")
    assert "Rating" in client.get(address).content.decode()


def test_a_kind_that_there_is_not_is_refused(project, annotator, client):
    judge_everything(project, annotator)
    answer = freeze(client, project, kinds=["poem"])
    assert answer.status_code == 422
    assert not Snapshot.objects.exists()


@pytest.mark.parametrize(
    ("kind", "texts", "answer", "table", "trainer"),
    [
        ("comparison", ("a", "b"), {"preference": 1}, "preference", "Reward"),
        ("demonstration", (), {"text": "So."}, "sft", "SFT"),
        ("rating", ("a",), {"ratings": [{"helpfulness": 5, "correctness": 5, "thumbs": 1}]}, "unpaired", "KTO"),
        ("rating", ("a",), {"ratings": [{"helpfulness": 5, "correctness": 5}]}, "rating", None),
    ],
)
def test_the_page_shows_how_to_use_what_is_there(project, annotator, client, kind, texts, answer, table, trainer):
    judge(project, annotator, kind, texts, answer=answer)
    snapshot = make_snapshot(project)
    page = client.get(reverse("snapshot", args=[project.slug, snapshot.pk])).content.decode().replace("&quot;", '"')
    assert f'", "{table}")' in page
    assert ("from trl import" in page) == (trainer is not None)
    assert f"{trainer}Trainer(" in page or trainer is None


def test_the_page_counts_every_table_and_every_reason(project, annotator, client):
    judge_everything(project, annotator)
    make_judgment(queue=make_queue(project), annotator=annotator, preference=0)
    snapshot = make_snapshot(project)
    answer = client.get(reverse("snapshot", args=[project.slug, snapshot.pk]))
    assert answer.context["rows"] == [
        ("preference", [6, 0, 0, 0]),
        ("ranking", [1, 0, 0, 0]),
        ("rating", [2, 0, 0, 0]),
        ("unpaired", [2, 0, 0, 0]),
        ("sft", [2, 0, 0, 0]),
        ("conversation", [1, 0, 0, 0]),
    ]
    assert answer.context["kinds"] == [(kind.label, 1) for kind in TaskKind]
    assert answer.context["left_out"] == [("ties", 1)]


def test_nothing_to_freeze_is_said_on_the_form(project, client):
    answer = freeze(client, project)
    assert answer.status_code == 422
    assert "nothing to freeze" in answer.content.decode()


def test_the_same_content_again_leads_to_the_snapshot_that_has_it(project, client):
    make_judgment(queue=make_queue(project))
    freeze(client, project)
    answer = freeze(client, project, name="second")
    assert answer.status_code == 422
    assert reverse("snapshot", args=[project.slug, Snapshot.objects.get().pk]) in answer.content.decode()


def test_a_snapshot_without_a_name_is_refused(project, client):
    make_judgment(queue=make_queue(project))
    assert freeze(client, project, name="").status_code == 422
    assert not Snapshot.objects.exists()


def test_the_page_leads_to_judgments_checkpoints_and_files(project, client):
    snapshot = make_snapshot(project)
    response = client.get(reverse("snapshot", args=[project.slug, snapshot.pk]))
    page = response.content.decode()
    assert response.context["manifest_bytes"] == (snapshot.directory / "manifest.json").stat().st_size
    assert snapshot.sha256 in page
    assert "data/preference/train.parquet" in page
    assert f"{reverse('judgments', args=[project.slug])}?snapshot={snapshot.pk}" in page
    assert f"{reverse('checkpoints', args=[project.slug])}?snapshot={snapshot.pk}" in page
    assert f'hx-get="{reverse("snapshot-checkpoints", args=[project.slug, snapshot.pk])}"' in page
    assert f'load_dataset("{project.slug}-{snapshot.sha256[:12]}", "preference")' in page.replace("&quot;", '"')


def test_the_download_is_a_zip_of_the_files(project, client):
    snapshot = make_snapshot(project)
    answer = client.get(reverse("snapshot-download", args=[project.slug, snapshot.pk]))
    assert answer["Content-Type"] == "application/zip"
    assert answer["Content-Disposition"].startswith("attachment; filename=")
    archive = zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content)))
    folder = f"{project.slug}-{snapshot.sha256[:12]}"
    assert {f"{folder}/manifest.json", f"{folder}/README.md", f"{folder}/data/preference/train.parquet"} <= set(
        archive.namelist()
    )


def test_a_damaged_snapshot_is_shown_as_such_and_not_handed_out(project, client):
    snapshot = make_snapshot(project)
    (snapshot.directory / "data" / "preference" / "train.parquet").write_bytes(b"changed")
    address = reverse("snapshot", args=[project.slug, snapshot.pk])
    page = client.get(address).content.decode()
    assert "not what was frozen" in page
    assert reverse("snapshot-download", args=[project.slug, snapshot.pk]) not in page
    assert client.get(reverse("snapshot-download", args=[project.slug, snapshot.pk]))["Location"] == address


def test_simulated_judgments_in_a_snapshot_are_marked(project, client):
    simulated = create_simulated_annotator(project=project, username="sim", rule="Prefers the shorter response.")
    make_judgment(queue=make_queue(project), annotator=simulated)
    freeze(client, project, include_simulated="on")
    assert "with simulated" in client.get(reverse("snapshots", args=[project.slug])).content.decode()


def test_a_card_that_is_no_text_any_more_does_not_hide_the_page(project, client):
    snapshot = make_snapshot(project)
    (snapshot.directory / "README.md").write_bytes(b"\xff\xfe")
    page = client.get(reverse("snapshot", args=[project.slug, snapshot.pk]))
    assert page.status_code == 200
    assert "README.md has sha256" in page.content.decode()
