"""The admin's pages of erasures: what would be erased, the receipt, and what people ask for."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.erasing import request_erasure
from feedback.models import Erasure, ErasureRequest, Judgment, User
from tests.factories import make_judgment, make_member, make_queue, make_snapshot


@pytest.fixture
def labelled(project, annotator):
    judgment = make_judgment(queue=make_queue(project), annotator=annotator, rationale="My secret")
    make_snapshot(project, labels=1)
    return judgment


@pytest.fixture
def admin(client, project_admin):
    client.force_login(project_admin)
    return client


def erase_url(project, person) -> str:
    return reverse("person-erase", args=[project.slug, person.pk])


def test_the_receipt_is_read_before_anything_is_erased(admin, project, annotator, labelled):
    shown = admin.get(erase_url(project, annotator)).content.decode()
    assert "Judgments: what was said, why, and every flag" in shown
    assert project.snapshots.get().name in shown
    assert reverse("person-learned", args=[project.slug, annotator.pk]) in shown
    assert Judgment.objects.get(pk=labelled.pk).rationale == "My secret"


def test_a_small_erasure_is_done_at_once_and_shows_its_receipt(admin, project, annotator, labelled):
    sent = {"reason": "She asked.", "name": annotator.username}
    answer = admin.post(erase_url(project, annotator), sent)
    erasure = Erasure.objects.get()
    assert answer["Location"] == reverse("erasure", args=[project.slug, erasure.pk])
    shown = admin.get(answer["Location"]).content.decode()
    assert erasure.pseudonym in shown
    assert "What was erased" in shown
    assert "Withdraw" in shown
    stored = Judgment.objects.get(pk=labelled.pk)
    assert (stored.rationale, stored.erased_by) == ("", erasure)
    assert erasure.pseudonym in admin.get(reverse("erasures", args=[project.slug])).content.decode()


def test_a_slip_erases_nothing(admin, project, annotator, project_admin, labelled):
    for sent in ({"reason": "x", "name": "another"}, {"reason": " ", "name": annotator.username}, {}):
        assert admin.post(erase_url(project, annotator), sent).status_code == 422
    itself = {"reason": "x", "name": project_admin.username}
    answer = admin.post(erase_url(project, project_admin), itself)
    assert "nobody erases themselves" in answer.content.decode()
    assert not Erasure.objects.exists()
    assert Judgment.objects.get(pk=labelled.pk).rationale == "My secret"


def test_a_person_who_left_the_project_can_be_erased_and_a_stranger_is_not_found(
    admin, project, annotator, outsider, labelled
):
    annotator.memberships.all().delete()
    assert admin.get(erase_url(project, annotator)).status_code == 200
    assert admin.get(erase_url(project, outsider)).status_code == 404


def test_what_people_ask_for_stands_first_and_is_settled(admin, project, annotator, labelled):
    asked = request_erasure(project=project, person=annotator, note="Please <do>.", now=timezone.now())
    shown = admin.get(reverse("erasures", args=[project.slug])).content.decode()
    assert "Please &lt;do&gt;." in shown
    assert "1 asks for erasure" in admin.get(reverse("members", args=[project.slug])).content.decode()
    refuse = reverse("erasure-refuse", args=[project.slug, asked.pk])
    assert "Nothing was stored" in admin.post(refuse, {"reason": " "}, follow=True).content.decode()
    admin.post(refuse, {"reason": "The contract."})
    assert ErasureRequest.objects.get().settlement == "refuse"
    assert "settled already" in admin.post(refuse, {"reason": "Again."}, follow=True).content.decode()


def test_a_closed_account_is_shown_by_its_pseudonym_everywhere(admin, project, annotator, labelled):
    sent = {"reason": "x", "name": annotator.username, "account": "on"}
    shown = admin.post(erase_url(project, annotator), sent, follow=True).content.decode()
    assert "the account is closed" in shown
    assert User.objects.get(pk=annotator.pk).username not in ("annotator",)


def test_the_page_of_an_erased_judgment_says_so(admin, project, annotator, labelled):
    other = make_judgment(queue=make_queue(project, kind="ranking"), annotator=annotator, answer={"ranks": [1, 2, 3]})
    admin.post(erase_url(project, annotator), {"reason": "x", "name": annotator.username})
    for judgment in (labelled, other):
        answer = admin.get(reverse("judgment", args=[project.slug, judgment.pk]))
        assert answer.status_code == 200
        assert "erased" in answer.content.decode()
    assert admin.get(reverse("judgments", args=[project.slug])).status_code == 200


def test_the_persons_own_pages_stay_whole(admin, client, project, annotator, labelled):
    admin.post(erase_url(project, annotator), {"reason": "x", "name": annotator.username})
    client.force_login(annotator)
    queue = labelled.queue
    for name in ("label", "label-history", "label-me"):
        assert client.get(reverse(name, args=[queue.pk])).status_code == 200
    assert client.get(reverse("label-revise", args=[queue.pk, labelled.pk])).status_code == 404


def test_others_keep_out(client, project, curator, annotator):
    client.force_login(curator)
    assert client.post(erase_url(project, annotator), {"reason": "x", "name": annotator.username}).status_code == 403
    assert not Erasure.objects.exists()
    client.force_login(make_member(project))
    assert client.get(erase_url(project, annotator)).status_code == 403
