"""Pages of findings, clusters, splits, languages and held-out people."""

from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.models import Finding, HeldOutPerson
from tests.factories import make_finding, make_prompt, make_response, make_snapshot
from tests.hygiene.test_near_duplicates import LONG, bring_in

pytestmark = pytest.mark.django_db


@pytest.fixture
def page(project, curator, client):
    """Ask for a page of the project as its curator; with values, post them and follow to where that leads."""
    client.force_login(curator)

    def page(name: str, *rows: object, post: dict | None = None, **params: str) -> str:
        address = reverse(name, args=[project.slug, *rows])
        answer = client.get(address, params) if post is None else client.post(address, post, follow=True)
        assert answer.status_code == 200
        return answer.content.decode()

    return page


def test_the_first_line_says_how_much_waits(project, page):
    assert "Texts are looked at when they come in" in page("findings")
    make_finding(make_prompt(project))
    make_finding(make_prompt(project))
    assert "2 things found in texts wait for a decision" in page("findings")


def test_what_was_found_is_marked_in_its_text(project, page):
    prompt = make_prompt(project, "Mail me: jane@example.com <b>now</b>")
    finding = make_finding(prompt)
    for text in (page("findings"), page("finding", finding.pk)):
        assert '<mark title="e-mail address">jane@example.com</mark> &lt;b&gt;now&lt;/b&gt;' in text


def test_the_list_is_narrowed_by_what_was_found(project, page):
    make_finding(make_prompt(project, "Mail me: jane@example.com"))
    make_finding(make_prompt(project, "Was ist das?"), kind="language", detail={"said": "en", "found": "de"})
    assert "jane@example.com" not in page("findings", kind="language")
    assert "jane@example.com" in page("findings", of="email")
    assert "jane@example.com" not in page("findings", of="card")
    assert "jane@example.com" in page("findings", kind="nonsense", show="nonsense")


def test_ticked_findings_are_redacted_and_the_snapshots_named(project, page):
    snapshot = make_snapshot(project, labels=1)
    prompt = project.prompts.get()
    prompt.messages = [{"role": "user", "content": "Mail me: jane@example.com"}]
    prompt.save()
    finding = make_finding(prompt)
    assert snapshot.name in page("finding", finding.pk)
    said = page(
        "findings-settle", post={"finding": finding.pk, "settlement": "redact", "filters": "kind=personal_data"}
    )
    assert "1 finding: redacted. The original stays in 1 frozen snapshot" in said
    assert "[e-mail]" in page("prompt", prompt.pk)
    assert "jane@" not in page("finding", finding.pk) + page("findings", show="all")


def test_one_finding_is_settled_by_its_own_button(project, page):
    prompt = make_prompt(project, "Mail me: jane@example.com")
    ticked = make_finding(make_prompt(project))
    finding = make_finding(prompt)
    values = {"one": f"{finding.pk}:redact", "finding": ticked.pk, "all": "1"}
    assert "1 finding: redacted." in page("findings-settle", post=values)
    prompt.refresh_from_db()
    assert prompt.last_turn == "Mail me: [e-mail]"
    assert list(Finding.objects.unsettled()) == [ticked]


def test_all_that_match_are_settled_at_once(project, page):
    for _ in range(30):
        make_finding(make_prompt(project))
    language = make_finding(make_prompt(project), kind="language", detail={"said": "en", "found": "de"})
    said = page("findings-settle", post={"all": "1", "settlement": "leave", "filters": "kind=personal_data"})
    assert "30 findings: left as they are" in said
    assert list(Finding.objects.unsettled()) == [language]


@pytest.mark.parametrize(
    "values",
    [
        {}, {"one": "x:redact"}, {"one": "1:burn"}, {"finding": "x"}, {"finding": "99999999999999999999"},
        {"finding": "-1"}, {"settlement": "leave"}, {"all": "1"}, {"settlement": "burn", "all": "1"},
        {"all": "1", "filters": "kind=%00&of=&show=\ud7ff"},
    ],
)  # fmt: skip
def test_nonsense_settles_nothing(project, page, values):
    make_finding(make_prompt(project))
    page("findings-settle", post=values)
    assert Finding.objects.unsettled().count() == 1


def test_a_decision_is_taken_back_on_its_page(project, page):
    finding = make_finding(make_prompt(project))
    assert "Take the decision back" in page(
        "findings-settle", post={"finding": finding.pk, "settlement": "leave", "back": "finding"}
    )
    assert "waits for a decision again" in page("finding-take-back", finding.pk, post={})
    assert Finding.objects.unsettled().count() == 1


def test_a_scan_from_the_page_says_what_it_found(project, page):
    make_response(make_prompt(project), "Ask bob@example.org.")
    assert "1 finding waits for a decision" in page("findings-scan", post={})
    assert "bob@example.org" in page("findings")


# Clusters, splits, languages ------------------------------------------------------------------------------


def test_near_duplicates_stand_side_by_side_with_their_differences(project, page):
    first, _ = bring_in(project, LONG, LONG.replace("child of ten", "teacher"))
    assert "<del>child of ten</del><ins>teacher</ins>" in page("clusters")
    text = page("cluster", first.cluster)
    assert "2 prompts that say nearly the same" in text
    assert "<ins>teacher</ins>" in text
    assert "All in the split" in text


def test_splits_are_counted_and_their_shares_changed(project, page):
    bring_in(project, LONG, f"{LONG} Now.", "Name a river in Spain.")
    assert "Nothing leaks that was found" in page("splits")
    said = page("splits-change", post={"evaluation_percent": "10", "holdout_percent": "15"})
    assert "The shares hold for prompts that come in from now on" in said
    project.refresh_from_db()
    assert (project.evaluation_percent, project.holdout_percent) == (10, 15)


@pytest.mark.parametrize(
    "values", [{}, {"evaluation_percent": "90", "holdout_percent": "50"}, {"evaluation_percent": "x"}]
)
def test_impossible_shares_are_refused_on_the_page(project, curator, client, values):
    client.force_login(curator)
    answer = client.post(reverse("splits-change", args=[project.slug]), values)
    assert answer.status_code == 422
    assert "field-error" in answer.content.decode()


def test_a_leak_comes_first_on_the_page_of_splits(project, page):
    near = {
        "near": [{"prompt": str(make_prompt(project, split="evaluation").pk), "split": "evaluation", "similarity": 0.8}]
    }
    finding = make_finding(make_prompt(project), kind="leak", detail=near)
    assert "1 prompt is near to a prompt of another split" in page("splits")
    assert "80 %" in page("finding", finding.pk)


def test_languages_said_and_found_are_counted(project, page):
    bring_in(
        project, "Erkläre mir in wenigen Worten, warum der Himmel blau ist.", "Why is the sky blue, in a few words?"
    )
    project.prompts.filter(text_language="de").update(language="en")
    text = page("languages")
    assert "1 prompt seem" in text
    assert "Of 1 nobody said one" in text


def test_a_person_is_held_out_and_let_in_on_their_page(project, annotator, page):
    assert "Let in again" in page("member-hold-out", annotator.pk, post={"held_out": "1"})
    assert HeldOutPerson.objects.get().person == annotator
    assert "held out" in page("members")
    assert "Hold out" in page("member-hold-out", annotator.pk, post={"held_out": "0"})
    assert not HeldOutPerson.objects.exists()
