"""Published data sets through the product's own importers, with the counts that their publishers give."""

from __future__ import annotations

import pytest

from benchmarks.published import import_hh, import_mt_bench, import_ukp
from feedback.imports.whole import import_file
from feedback.models import ImportedPerson, Judgment, Prompt, Task
from tests.conftest import SAMPLES

pytestmark = [pytest.mark.django_db, pytest.mark.samples]


def test_mt_bench(project, curator):
    votes = import_mt_bench(project=project, by=curator, folder=SAMPLES / "multi_annotator_pref")
    assert votes.counts["stored"] == {"judgments": 3_355, "tasks": 1_815}
    assert Task.objects.filter(repeat_of__isnull=True).count() == 1_814
    assert Task.objects.filter(repeat_of__isnull=False).count() == 1  # author_0 voted on one pair twice
    assert ImportedPerson.objects.filter(stands_for_many=False).count() == 65
    assert Judgment.objects.filter(preference=0).count() == 780
    assert Prompt.objects.count() == 80
    again = import_mt_bench(project=project, by=curator, folder=SAMPLES / "multi_annotator_pref")
    assert again.queue == votes.queue
    assert again.counts["stored"] == {"there": 3_355}


@pytest.mark.slow
def test_ukp_conv_arg(project, curator):
    votes = import_ukp(project=project, by=curator, folder=SAMPLES / "multi_annotator_pref")
    assert votes.counts["stored"] == {"judgments": 68_682, "tasks": 13_767}
    assert ImportedPerson.objects.count() == 3_793
    assert not Judgment.objects.filter(rationale="").exists()


@pytest.mark.parametrize(("name", "rows"), [("train", 3_547), ("test", 1_000)])
def test_hh(project, curator, name, rows):
    found = import_hh(project=project, by=curator, name=name, folder=SAMPLES / "hh")
    assert (found.kind, found.counts["read"]) == ("preferences", rows)
    stored = found.counts["stored"]
    assert stored["judgments"] + stored.get("there", 0) == rows
    assert ImportedPerson.objects.filter(stands_for_many=False).count() == 0


def test_hh_as_transcripts(project, curator):
    path = SAMPLES / "format_samples" / "hh_raw_transcripts_50.jsonl.gz"
    found = import_file(project=project, path=path, created_by=curator)
    assert (found.kind, found.counts["stored"]["judgments"]) == ("preferences", 50)
    first = Prompt.objects.order_by("id").first()
    assert first.messages[0]["content"].startswith("Do you know why turkeys")


def test_label_studio(project, curator):
    path = SAMPLES / "format_samples" / "labelstudio_output_data.json"
    found = import_file(project=project, path=path, created_by=curator)
    assert (found.kind, found.form, found.counts["stored"]["judgments"]) == ("votes", "label_studio", 32)
    assert ImportedPerson.objects.get().external_id == "2"
    assert not Judgment.objects.filter(active_seconds=None).exists()


@pytest.mark.parametrize(
    ("name", "kind", "stored", "rows"),
    [
        ("format_samples/labelstudio_input_data.json", "responses", "responses", 60),
        ("instructions/oasst_ranked_replies.jsonl.gz", "rankings", "judgments", 100),
        ("instructions/self_instruct_user252_8models.jsonl.gz", "responses", "responses", 1_900),
    ],
)
def test_other_published_files_are_understood_as_they_are(project, curator, name, kind, stored, rows):
    found = import_file(project=project, path=SAMPLES / name, created_by=curator, leave_out_bad=True)
    assert found.kind == kind
    assert found.counts["stored"][stored] >= rows
