"""Pages go out compressed; downloads and the API as they are."""

from __future__ import annotations

import gzip

from django.urls import reverse

from tests.factories import make_queue, make_snapshot, make_task
from tests.pages.label import HTMX, at

GZIP = {"Accept-Encoding": "gzip"}


def test_a_page_and_a_fragment_are_compressed(client, project, annotator):
    queue = make_queue(project)
    make_task(queue)
    client.force_login(annotator)
    plain = client.get(at("label", queue))
    for headers in (GZIP, {**GZIP, **HTMX}):
        answer = client.get(at("label", queue), headers=headers)
        assert answer["Content-Encoding"] == "gzip"
        assert len(answer.content) < len(plain.content) / 2
        assert b'id="judge"' in gzip.decompress(answer.content)
    assert "Content-Encoding" not in plain.headers


def test_the_same_page_never_has_the_same_length_twice_in_a_row(client, db):
    """A length that cannot be compared tells nothing about a secret in the page."""
    lengths = {len(client.get(reverse("account_login"), headers=GZIP).content) for _ in range(20)}
    assert len(lengths) > 5


def test_the_api_and_a_download_are_not_compressed_again(client, project, curator):
    snapshot = make_snapshot(project)
    client.force_login(curator)
    for address in (reverse("snapshot-download", args=[project.slug, snapshot.pk]), reverse("api-schema")):
        answer = client.get(address, headers=GZIP)
        assert answer.status_code == 200
        assert "Content-Encoding" not in answer.headers
