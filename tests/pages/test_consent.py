"""The annotator's page about consent and their data, and the page on which the text is kept."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.consenting import agree, change_text, is_missing, text_in_force
from feedback.erasing import refuse_request
from feedback.models import Consent, ErasureRequest
from tests.factories import make_queue, make_task


@pytest.fixture
def queue(project, curator):
    queue = make_queue(project)
    make_task(queue)
    change_text(project=project, text="# We train models\n\nYou may **leave**.", by=curator, now=timezone.now())
    return queue


def page(project, name: str = "consent") -> str:
    return reverse(name, args=[project.slug])


def test_from_the_task_to_the_text_and_back_to_the_task(client, project, annotator, queue):
    client.force_login(annotator)
    stopped = client.get(reverse("label", args=[queue.pk])).content.decode()
    link = f"{page(project)}?queue={queue.pk}"
    assert link in stopped
    asked = client.get(link).content.decode()
    assert "<strong>leave</strong>" in asked
    sent = {"number": "1", "queue": str(queue.pk)}
    assert f'value="{queue.pk}"' in asked
    answer = client.post(page(project, "consent-agree"), sent)
    assert answer["Location"] == reverse("label", args=[queue.pk])
    assert 'class="task' in client.get(answer["Location"]).content.decode()


def test_a_text_that_changed_meanwhile_is_shown_again(client, project, annotator, curator, queue):
    client.force_login(annotator)
    change_text(project=project, text="Something else.", by=curator, now=timezone.now())
    answer = client.post(page(project, "consent-agree"), {"number": "1"})
    assert answer.status_code == 422
    assert "The text has changed" in answer.content.decode()
    assert "Something else." in answer.content.decode()
    for number in ("", "x", "-1", "99999999999999999999"):
        assert client.post(page(project, "consent-agree"), {"number": number}).status_code == 422
    assert not Consent.objects.exists()


def test_consent_is_taken_back_and_given_again(client, project, annotator, queue):
    client.force_login(annotator)
    client.post(page(project, "consent-agree"), {"number": "1", "queue": "nonsense"})
    shown = client.post(page(project, "consent-withdraw"), follow=True).content.decode()
    assert "You have taken your consent back" in shown
    assert is_missing(project, annotator)
    assert "I agree" in shown
    client.post(page(project, "consent-agree"), {"number": "1"})
    assert not is_missing(project, annotator)


def test_erasure_is_asked_for_and_the_answer_is_read(client, project, annotator, project_admin):
    client.force_login(annotator)
    shown = client.post(page(project, "erasure-request"), {"note": "Please."}, follow=True).content.decode()
    assert "An admin will answer it here" in shown
    asked = ErasureRequest.objects.get()
    assert asked.note == "Please."
    refuse_request(request=asked, by=project_admin, reason="The <law> says so.", now=timezone.now())
    assert "The &lt;law&gt; says so." in client.get(page(project)).content.decode()


@pytest.mark.parametrize("note", ["x" * 5_001, "a\x00b"])
def test_a_note_that_cannot_be_stored_is_refused(client, project, annotator, note):
    client.force_login(annotator)
    assert client.post(page(project, "erasure-request"), {"note": note}).status_code == 422
    assert not ErasureRequest.objects.exists()


def test_a_curator_puts_a_text_in_force_and_sees_who_agreed(client, project, annotator, curator, queue):
    agree(project=project, person=annotator, number=1, now=timezone.now())
    client.force_login(curator)
    shown = client.get(page(project, "consent-text")).content.decode()
    assert "1 of 1 annotator agreed to version 1" in shown
    client.post(page(project, "consent-text"), {"text": "Version two."})
    assert text_in_force(project).number == 2
    assert "0 of 1 annotator agreed to version 2" in client.get(page(project, "consent-text")).content.decode()
    client.post(page(project, "consent-text"), {"text": ""})
    assert text_in_force(project) is None
    assert "asked to agree to nothing" in client.get(page(project, "consent-text")).content.decode()
    assert client.post(page(project, "consent-text"), {"text": "x" * 50_001}).status_code == 422


def test_it_is_in_german_for_those_who_read_german(client, project, annotator, queue):
    client.force_login(annotator)
    shown = client.get(page(project), headers={"Accept-Language": "de"}).content.decode()
    for words in ("Einwilligung und Ihre Daten", "Ich willige ein", "Um Löschung bitten"):
        assert words in shown
    stopped = client.get(reverse("label", args=[queue.pk]), headers={"Accept-Language": "de"}).content.decode()
    assert "Bitte erst lesen und einwilligen" in stopped
