"""Look at everything that is there already."""

from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.hygiene.near_index import near_index
from feedback.hygiene.scan_job import catch_up, start_scan
from feedback.hygiene.showing import counted
from feedback.jobs import carry_out, start_job
from feedback.models import Finding, Job
from tests.factories import make_finding, make_judgment, make_prompt, make_queue, make_response
from tests.hygiene.test_near_duplicates import LONG, bring_in

pytestmark = pytest.mark.django_db


def kinds_found(project) -> dict[str, int]:
    found: dict[str, int] = {}
    for kind in Finding.objects.filter(project=project).values_list("kind", flat=True):
        found[kind] = found.get(kind, 0) + 1
    return found


def test_a_scan_finds_what_came_in_before_anybody_looked(project, curator):
    make_prompt(project, LONG)
    make_prompt(project, LONG.lower())
    make_prompt(project, "Write to jane@example.com today.")
    make_prompt(project, "Erkläre mir in wenigen Worten, warum der Himmel blau ist.", language="en")
    make_response(make_prompt(project), "Ask bob@example.org.")
    make_judgment(queue=make_queue(project), rationale="I am at +49 30 1234567.")
    job = start_scan(project=project, started_by=curator)
    assert (job.state, job.result["words"]) == (
        "succeeded",
        f"Looked at {job.done} texts. 5 findings wait for a decision.",
    )
    assert kinds_found(project) == {"near_duplicate": 1, "personal_data": 3, "language": 1}


def test_prompts_of_one_split_that_belong_together_become_one_cluster(project, curator):
    one, other = make_prompt(project, LONG), make_prompt(project, f"{LONG} Now.")
    start_scan(project=project, started_by=curator)
    one.refresh_from_db(), other.refresh_from_db()
    assert one.cluster == other.cluster


def test_prompts_of_two_splits_stay_where_they_are_and_are_a_leak(project, curator):
    one, other = make_prompt(project, LONG), make_prompt(project, f"{LONG} Now.", split="evaluation")
    start_scan(project=project, started_by=curator)
    one.refresh_from_db(), other.refresh_from_db()
    assert (one.split, other.split) == ("train", "evaluation")
    assert one.cluster != other.cluster
    assert kinds_found(project) == {"leak": 1}


def test_a_second_scan_finds_nothing_new_and_takes_away_what_is_gone(project, curator):
    prompt = make_prompt(project, "Write to jane@example.com today.")
    stale = make_finding(make_prompt(project))
    start_scan(project=project, started_by=curator)
    start_scan(project=project, started_by=curator)
    assert [finding.prompt for finding in Finding.objects.all()] == [prompt]
    assert not Finding.objects.filter(pk=stale.pk).exists()


def test_a_large_project_shows_what_the_last_scan_counted(project, curator, client, monkeypatch):
    monkeypatch.setattr("feedback.hygiene.showing.COUNTED_AT_ONCE", 0)
    make_prompt(project, "Why is the sky blue, in a few words?")
    assert counted(project) is None
    client.force_login(curator)
    for name in ("splits", "languages"):
        assert "counted when everything is looked at" in client.get(reverse(name, args=[project.slug])).content.decode()
    job = start_scan(project=project, started_by=curator)
    make_prompt(project)
    told = counted(project)
    assert (told.at, told.splits[0], told.spread) == (job.finished_at, ("train", 1, 1), [])
    assert told.languages == [{"language": "", "text_language": "en", "prompts": 1}]
    assert "Counted <time" in client.get(reverse("splits", args=[project.slug])).content.decode()


def test_texts_get_their_language(project, curator):
    prompt = make_prompt(project, "Erkläre mir in wenigen Worten, warum der Himmel blau ist.")
    start_scan(project=project, started_by=curator)
    prompt.refresh_from_db()
    assert (prompt.language, prompt.text_language) == ("", "de")


def test_a_scan_that_was_cut_off_goes_on_where_it_was(project, curator, monkeypatch):
    monkeypatch.setattr("feedback.hygiene.scan_job.AT_ONCE", 3)
    for number in range(10):
        make_prompt(project, f"{LONG} {number} jane{number}@example.com")
    job = start_job(project=project, kind=Job.Kind.SCAN, params={}, created_by=curator)
    for _ in range(200):
        if carry_out(job, seconds=0.001).is_over:
            break
    else:
        carry_out(job)
    assert job.state == "succeeded"
    assert kinds_found(project)["personal_data"] == 10
    with near_index(project) as index:
        assert index.count >= 10


def test_a_scan_that_waits_is_not_started_twice(project, curator, monkeypatch):
    monkeypatch.setattr("feedback.hygiene.scan_job.IN_A_REQUEST", -1)
    first = start_scan(project=project, started_by=curator)
    assert first.state == "queued"
    assert start_scan(project=project, started_by=curator) == first


def test_an_empty_project_is_scanned_too(project, curator):
    assert start_scan(project=project, started_by=curator).result["words"].endswith("Nothing waits for a decision.")


def test_what_came_in_without_an_import_is_caught_up_with(project):
    bring_in(project, "Name a river in Spain.")
    made = make_prompt(project, LONG)
    assert catch_up(project) == 1
    assert catch_up(project) == 0
    (later,) = bring_in(project, f"{LONG} Now.")
    assert later.cluster == made.cluster
