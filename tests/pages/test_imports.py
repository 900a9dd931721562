"""The pages of imports: upload, look, change, check, store, undo."""

from __future__ import annotations

import json

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse

from feedback.models import FileImport, Judgment, Prompt
from tests.factories import make_import, make_queue


def upload(client, project, content: bytes, name: str = "prompts.jsonl", **fields):
    file = SimpleUploadedFile(name, content)
    return client.post(reverse("import-new", args=[project.slug]), {"file": file, **fields}, follow=True)


def press(client, found: FileImport, name: str, **values):
    return client.post(reverse(name, args=[found.project.slug, found.pk]), values, follow=True)


def lines(*texts: str) -> bytes:
    return b"".join(json.dumps({"prompt": text}).encode() + b"\n" for text in texts)


VOTES = (
    b"question,left,right,who,best\n"
    b"Why?,Because.,No idea.,ann,left\n"
    b"Why?,Because.,No idea.,bob,right\n"
    b"Who?,Me.,You.,ann,tie\n"
)


def test_a_small_file_is_checked_at_once_and_stored_with_what_was_said_about_it(project, curator, client):
    client.force_login(curator)
    page = upload(client, project, lines("One?", "Two?"), source="written here", licence="CC0", tags="a, b, a")
    assert "All 2 rows are good" in page.content.decode()
    assert "One?" in page.content.decode()
    assert not Prompt.objects.exists()
    found = FileImport.objects.get()
    page = press(client, found, "import-store").content.decode()
    assert "new prompts" in page
    prompt = project.prompts.first()
    assert (prompt.source, prompt.licence, prompt.tags) == ("written here", "CC0", ["a", "b"])
    assert (prompt.created_by, prompt.file_import) == (curator, found)


def test_the_same_file_again_adds_nothing_and_says_so(project, curator, client):
    client.force_login(curator)
    for _ in range(2):
        page = upload(client, project, lines("One?", "Two?")).content.decode()
        press(client, FileImport.objects.first(), "import-store")
    assert "This very file was stored before" in page
    page = client.get(reverse("import", args=[project.slug, FileImport.objects.first().pk])).content.decode()
    assert "Nothing new: all of it was there already" in page
    assert project.prompts.count() == 2


def test_rows_with_errors_are_listed_and_can_be_left_out(project, curator, client):
    client.force_login(curator)
    page = upload(client, project, lines("One?") + b'{"prompt": ""}\n').content.decode()
    assert "1 of 2 rows have errors" in page
    assert '<td class="num nowrap">2</td><td class="mono">prompt</td>' in page
    found = FileImport.objects.get()
    listed = client.get(reverse("import-errors", args=[project.slug, found.pk]))
    assert b"2,prompt,there is no prompt in this row" in b"".join(listed.streaming_content)
    assert "rows have errors" in press(client, found, "import-store").content.decode()
    assert not Prompt.objects.exists()
    press(client, found, "import-store", leave_out_bad="1")
    assert project.prompts.count() == 1


def test_columns_are_chosen_and_the_preview_follows(project, curator, client):
    client.force_login(curator)
    page = upload(client, project, VOTES, "votes.csv", kind="votes").content.decode()
    assert "Some columns have to be chosen" in page
    found = FileImport.objects.get()
    chosen = {
        "column_prompt": "question", "column_response_a": "left", "column_response_b": "right",
        "column_annotator": "who", "column_winner": "best", "words_a": "left", "words_b": "right", "words_tie": "tie",
    }  # fmt: skip
    seen = press(client, found, "import-preview", **chosen).content.decode()
    assert "A is slightly better than B" in seen
    assert "A tie" in seen
    found.refresh_from_db()
    assert "winner" not in found.mapping or found.mapping["winner"] != ["best"] or not Judgment.objects.exists()
    assert "All 3 rows are good" in press(client, found, "import-check", **chosen).content.decode()
    page = press(client, found, "import-store").content.decode()
    assert "new judgments" in page
    assert Judgment.objects.count() == 3


def test_another_kind_gets_its_columns_guessed_anew(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?"))
    found = FileImport.objects.get()
    press(client, found, "import-describe", kind="demonstrations", form="")
    found.refresh_from_db()
    assert (found.kind, found.state, found.mapping) == ("demonstrations", "uploaded", {"prompt": ["prompt"]})


def test_judgments_go_into_a_queue_that_is_there(project, curator, client):
    client.force_login(curator)
    queue = make_queue(project, name="Ours")
    upload(client, project, VOTES, "votes.csv", kind="votes")
    found = FileImport.objects.get()
    page = client.get(reverse("import", args=[project.slug, found.pk])).content.decode()
    assert "Ours" in page
    press(
        client, found, "import-check", column_prompt="question", column_response_a="left", column_response_b="right",
        column_winner="best", words_a="left", words_b="right", words_tie="tie", queue=str(queue.pk),
    )  # fmt: skip
    press(client, found, "import-store")
    assert queue.judgments.count() == 3


def test_an_import_is_undone(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?", "Two?"))
    found = FileImport.objects.get()
    press(client, found, "import-store")
    page = press(client, found, "import-undo").content.decode()
    assert "Taken back: 2 prompts removed" in page
    assert not Prompt.objects.exists()
    assert "cannot be done now" in press(client, found, "import-undo").content.decode()


def test_a_file_that_is_not_wanted_is_deleted(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?"))
    found = FileImport.objects.get()
    assert "Nothing of this file is stored" in press(client, found, "import-drop").content.decode()
    assert "cannot be done now" in press(client, found, "import-store").content.decode()


def test_a_file_that_cannot_be_read_is_refused_on_the_field(project, curator, client):
    client.force_login(curator)
    answer = upload(client, project, b"PAR1 this is no parquet", "prompts.parquet")
    assert answer.status_code == 422
    assert "not a whole Parquet file" in answer.content.decode()
    assert not FileImport.objects.exists()


def test_no_file_is_an_error_on_the_field(project, curator, client):
    client.force_login(curator)
    answer = client.post(reverse("import-new", args=[project.slug]), {})
    assert answer.status_code == 422
    assert "This field is required" in answer.content.decode()


def test_a_file_over_the_limit_is_refused_before_it_is_read(project, curator, client, settings):
    settings.IMPORT_MAX_BYTES = 10
    client.force_login(curator)
    answer = upload(client, project, lines("One?"))
    assert answer.status_code == 422
    assert "can be imported at once" in answer.content.decode()


def test_a_file_name_cannot_lead_out_of_the_folder(project, curator, client):
    client.force_login(curator)
    upload(client, project, lines("One?"), "../../etc/prompts.jsonl")
    assert FileImport.objects.get().filename == "prompts.jsonl"


def test_an_import_of_another_project_is_not_found(project, curator, client):
    client.force_login(curator)
    elsewhere = make_import()
    assert client.get(reverse("import", args=[project.slug, elsewhere.pk])).status_code == 404
    assert client.post(reverse("import-check", args=[project.slug, elsewhere.pk])).status_code == 404


def test_the_list_says_what_came_of_each_file(project, curator, client):
    client.force_login(curator)
    assert "Nothing was imported yet" in client.get(reverse("imports", args=[project.slug])).content.decode()
    upload(client, project, lines("One?"))
    press(client, FileImport.objects.get(), "import-store")
    assert "1 prompt" in client.get(reverse("imports", args=[project.slug])).content.decode()
