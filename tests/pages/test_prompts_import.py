from __future__ import annotations

import json

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from feedback.models import Prompt


def upload(client, project, content: bytes, name: str = "prompts.jsonl", **fields):
    file = SimpleUploadedFile(name, content)
    return client.post(reverse("prompts-import", args=[project.slug]), {"file": file, **fields}, follow=True)


def lines(*texts: str) -> bytes:
    return b"".join(json.dumps({"prompt": text}).encode() + b"\n" for text in texts)


def test_a_file_is_imported_with_what_was_said_about_it(project, curator, client):
    client.force_login(curator)
    answer = upload(client, project, lines("One?", "Two?"), source="written here", licence="CC0", tags="a, b, a")
    assert "Imported 2 prompts." in answer.content.decode()
    prompt = project.prompts.first()
    assert (prompt.source, prompt.licence, prompt.tags) == ("written here", "CC0", ["a", "b"])
    assert prompt.created_by == curator


def test_the_same_file_again_adds_nothing_and_says_so(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?", "Two?"))
    answer = upload(client, project, lines("One?", "Two?"))
    assert "Nothing new: all 2 prompts" in answer.content.decode()
    assert project.prompts.count() == 2


def test_a_file_that_is_partly_known_says_how_much(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?"))
    answer = upload(client, project, lines("One?", "Two?"))
    assert "Imported 1 prompt. 1 were already there." in answer.content.decode()


def test_one_bad_row_refuses_the_file_with_row_and_column(project, curator, client):
    client.force_login(curator)
    answer = upload(client, project, lines("One?") + b'{"prompt": ""}\n')
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "Nothing was imported" in page
    assert '<td class="num nowrap">2</td><td class="mono">prompt</td>' in page
    assert not Prompt.objects.exists()


def test_a_file_that_cannot_be_read_is_refused_as_a_whole(project, curator, client):
    client.force_login(curator)
    answer = upload(client, project, b"PAR1 this is no parquet", "prompts.parquet")
    assert answer.status_code == 422
    assert "whole file" in answer.content.decode()


def test_no_file_is_an_error_on_the_field(project, curator, client):
    client.force_login(curator)
    answer = client.post(reverse("prompts-import", args=[project.slug]), {})
    assert answer.status_code == 422
    assert "This field is required" in answer.content.decode()


def test_a_file_over_the_limit_is_refused_before_it_is_read(project, curator, client, settings):
    settings.IMPORT_MAX_BYTES = 10
    client.force_login(curator)
    answer = upload(client, project, lines("One?"))
    assert answer.status_code == 422
    assert "can be imported at once" in answer.content.decode()


def test_a_file_name_cannot_lead_out_of_the_upload_folder(project, curator, client):
    client.force_login(curator)
    answer = upload(client, project, lines("One?"), "../../etc/prompts.jsonl")
    assert "Imported 1 prompt." in answer.content.decode()
