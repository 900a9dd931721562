"""Findings, splits and held-out people over HTTP."""

from __future__ import annotations

import pytest

from feedback.models import Finding
from tests.api.people import ApiClient, error_of
from tests.factories import make_finding, make_prompt, make_snapshot
from tests.hygiene.test_near_duplicates import LONG, bring_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def api(curator) -> ApiClient:
    return ApiClient(curator)


def test_findings_are_listed_by_kind_and_by_what_waits(project, api):
    finding = make_finding(make_prompt(project))
    make_finding(make_prompt(project), kind="language", detail={"said": "en", "found": "de"}, settlement="leave")
    (first,) = api.get(f"projects/{project.slug}/findings/", up="1").json()["results"]
    assert (first["id"], first["of"]) == (finding.pk, {"prompt": str(finding.prompt_id)})
    assert first["detail"]["spans"][0]["kind"] == "email"
    assert api.get(f"projects/{project.slug}/findings/", kind="language").json()["count"] == 1


def test_findings_are_settled_and_taken_back(project, api):
    make_snapshot(project, labels=1)
    finding = make_finding(project.prompts.get())
    path = f"projects/{project.slug}/findings/settle/"
    answer = api.post(path, {"findings": [finding.pk], "settlement": "leave"})
    assert answer.json()["settled"] == 1
    assert [one["judgments"] for one in answer.json()["snapshots"]] == [1]
    assert api.post(path, {"findings": [finding.pk], "settlement": "leave_out"}).json()["settled"] == 0
    assert api.post(f"findings/{finding.pk}/take-back/").json()["settlement"] == ""
    assert api.post(f"findings/{finding.pk}/take-back/").status_code == 422


@pytest.mark.parametrize("values", [{}, {"findings": []}, {"findings": [1], "settlement": "burn"}, {"findings": "x"}])
def test_nonsense_is_refused(project, api, values):
    assert api.post(f"projects/{project.slug}/findings/settle/", values).status_code == 400


def test_a_settlement_that_does_not_fit_is_refused(project, api):
    finding = make_finding(make_prompt(project), kind="language", detail={"said": "en", "found": "de"})
    answer = api.post(f"projects/{project.slug}/findings/settle/", {"findings": [finding.pk], "settlement": "redact"})
    assert (answer.status_code, error_of(answer)["attr"]) == (422, "settlement")
    assert Finding.objects.unsettled().count() == 1


def test_a_scan_answers_with_its_job(project, api):
    make_prompt(project, "Write to jane@example.com today.")
    job = api.post(f"projects/{project.slug}/findings/scan/").json()
    assert (job["kind"], job["state"]) == ("scan", "succeeded")


def test_splits_clusters_and_languages_are_shown(project, api):
    first, _ = bring_in(project, LONG, f"{LONG} Now.")
    splits = api.get(f"projects/{project.slug}/splits/").json()
    assert sum(one["prompts"] for one in splits["splits"]) == 2
    assert sum(one["clusters"] for one in splits["splits"]) == 1
    assert (splits["clusters_in_two_splits"], splits["undecided_leaks"]) == ([], 0)
    members = api.get(f"projects/{project.slug}/clusters/{first.cluster}/").json()
    assert [one["similarity"] is None for one in members] == [True, False]
    assert api.get(f"projects/{project.slug}/languages/").json() == [
        {"language": "", "text_language": "en", "prompts": 2}
    ]


def test_the_shares_are_changed(project, api):
    path = f"projects/{project.slug}/splits/"
    assert api.patch(path, {"holdout_percent": 10}).json()["holdout_percent"] == 10
    assert error_of(api.patch(path, {"evaluation_percent": 90}))["attr"] == "holdout_percent"
    assert api.patch(path, {"evaluation_percent": 99}).status_code == 400


def test_people_are_held_out_and_let_in(project, annotator, api):
    path = f"projects/{project.slug}/held-out/"
    assert api.post(path, {"username": annotator.username}).json()["username"] == annotator.username
    assert api.get(path).json()["count"] == 1
    assert api.call("delete", f"{path}{annotator.username}/").status_code == 204
    assert api.call("delete", f"{path}{annotator.username}/").status_code == 404
    assert error_of(api.post(path, {"username": "nobody"}))["attr"] == "username"


def test_nul_in_an_address_is_nobody_and_no_kind(project, curator):
    api = ApiClient(curator)
    assert api.call("delete", f"projects/{project.slug}/held-out/a%00b/").status_code == 404
    assert api.put(f"projects/{project.slug}/people/a%00b/review-rate/", {"percent": 3}).status_code == 404
    assert api.get(f"projects/{project.slug}/findings/", kind="\x00").status_code == 422


def test_a_number_too_large_for_an_id_is_refused(project, curator):
    asked = {"findings": [10**30], "settlement": "leave"}
    assert ApiClient(curator).post(f"projects/{project.slug}/findings/settle/", asked).status_code == 400
