"""MT-Bench and UKPConvArg1 through the importer and the reports, on the pages: what other people's code computed.

`expected.json` beside the data says with which programs. Two things differ by design and are pinned here. A person who
votes twice on a pair has one judgment (MT-Bench: one such vote of 3,355). And alpha, nominal, of votes with ties
depends a little on which of two responses is called the first: the file's order gives 0.2521 for UKPConvArg1, the
product's order, by response, another fourth digit.
"""

from __future__ import annotations

import json

import pytest
from django.urls import reverse

from benchmarks.published import import_mt_bench, import_ukp
from feedback.jobs import carry_out
from feedback.models import Job
from feedback.quality.reports import measure, report_for
from tests.conftest import SAMPLES

pytestmark = [pytest.mark.django_db, pytest.mark.samples]

FOLDER = SAMPLES / "multi_annotator_pref"


def expected(name):
    return json.loads((FOLDER / "expected.json").read_text())[name]


def measured(project, kind, curator):
    job = measure(project=project, kind=kind, created_by=curator)
    job = job if job.is_over else carry_out(job)
    assert job.state == Job.State.SUCCEEDED, job.error
    return report_for(project=project, kind=kind).content


def page_of(client, person, name, project):
    client.force_login(person)
    return client.get(reverse(name, args=[project.slug])).content.decode()


def test_mt_bench_agrees_as_published(client, project, curator):
    import_mt_bench(project=project, by=curator, folder=FOLDER)
    known = expected("mtbench")
    people = measured(project, "agreement", curator)["people"]
    (question,) = people["questions"]
    ties, decisive = question["figures"]["ties"], question["figures"]["decisive"]
    assert abs(people["judgments"] - known["votes"]) <= 1
    assert people["people"] == known["judges"]
    assert ties["alpha_nominal"][0] == pytest.approx(known["alpha_nominal_3class"], abs=5e-4)
    assert ties["percent_of_pairs"][0] == pytest.approx(known["human_human_pairs_S1"][1], abs=5e-4)
    assert decisive["percent_of_pairs"][0] == pytest.approx(known["human_human_pairs_S2"][1], abs=5e-4)
    page = page_of(client, curator, "quality-agreement", project)
    for words in ("People agree as far as is usual", "0.485 (", "65.5 % (", "82.7 % ("):
        assert words in page


def test_mt_bench_ranks_its_models_as_published(client, project, curator):
    import_mt_bench(project=project, by=curator, folder=FOLDER)
    found = measured(project, "models", curator)["comparisons"]
    known = expected("mtbench")["bt_human_votes_ties_half"]
    assert [model["name"] for model in found["models"]] == list(known)
    for model in found["models"]:
        assert model["raw"][0] == pytest.approx(known[model["name"]], abs=2e-3)
        assert model["raw"][1] < model["raw"][0] < model["raw"][2]
    page = page_of(client, curator, "quality-models", project)
    assert "gpt-4 is first" in page
    assert "1.02 (" in page


@pytest.mark.slow
def test_ukp_agrees_as_published(client, project, curator):
    import_ukp(project=project, by=curator, folder=FOLDER)
    known = expected("ukp_dev")
    people = measured(project, "agreement", curator)["people"]
    (question,) = people["questions"]
    ties = question["figures"]["ties"]
    assert (people["judgments"], people["people"]) == (known["votes"], known["annotators"])
    assert ties["units"] == known["pairs"]
    assert ties["alpha_nominal"][0] == pytest.approx(known["alpha_nominal_3class"], abs=1e-3)
    page = page_of(client, curator, "quality-agreement", project)
    assert "0.252 (" in page
