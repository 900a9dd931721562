from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.queues import change_guideline, change_policy, change_schema
from tests.factories import make_judgment, make_queue


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def versions(client, queue) -> list:
    page = client.get(reverse("queue-versions", args=[queue.project.slug, queue.pk]))
    return [(one.what, one.number) for one in page.context["versions"]], page.content.decode()


def version(client, queue, what: str, number: int):
    return client.get(reverse("queue-version", args=[queue.project.slug, queue.pk, what, number]))


def test_every_version_is_listed_with_what_changed(project, curator, client):
    queue = make_queue(project, kind="rating", guideline="First line.\nSecond line.")
    make_judgment(queue=queue, answer={"ratings": [{"helpfulness": 1, "correctness": 1}]})
    change_guideline(queue=queue, text="First line.\nAnother line.", changed_by=curator)
    change_policy(queue=queue, overlap=3, languages=["de"], changed_by=curator)
    attributes = [{"key": "helpfulness", "label": "Helpfulness"}, {"key": "tone", "label": "Tone"}]
    change_schema(queue=queue, content={"attributes": attributes, "rationale": "off"}, changed_by=curator)
    found, page = versions(client, queue)
    assert found[:3] == [("schema", 2), ("rules", 2), ("guidelines", 2)]
    assert sorted(found[3:]) == [("guidelines", 1), ("rules", 1), ("schema", 1)]
    for shown in (
        "<del>Second line.\n</del><ins>Another line.\n</ins>",
        "Judgments per task",
        "Attribute Tone",
        "Attribute Correctness",
        "A reason in words",
        "curator",
        "1 judgment made under it",
    ):
        assert shown in page
    assert "Lease in minutes" not in page


def test_each_version_can_be_read_whole(project, curator, client):
    queue = make_queue(project, guideline="Prefer the **first**.")
    change_guideline(queue=queue, text="Prefer the **second**.", changed_by=curator)
    change_schema(queue=queue, content={"levels": 2}, changed_by=curator)
    assert "<strong>first</strong>" in version(client, queue, "guidelines", 1).content.decode()
    assert version(client, queue, "schema", 1).content.decode().count('class="step-face"') == 7
    assert version(client, queue, "schema", 2).content.decode().count('class="step-face"') == 3
    assert "Lease in minutes" in version(client, queue, "rules", 1).content.decode()


@pytest.mark.parametrize(("what", "number"), [("guidelines", 9), ("poems", 1), ("rules", 0)])
def test_a_version_that_never_was_is_not_found(project, client, what, number):
    assert version(client, make_queue(project), what, number).status_code == 404
