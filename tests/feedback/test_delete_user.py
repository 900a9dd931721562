"""Deleting a user never deletes what they said: the database refuses, and the admin site says what to do instead."""

from __future__ import annotations

import pytest
from django.db import models
from django.db.models import ProtectedError
from django.urls import reverse

from feedback.models import Judgment, User
from tests.factories import make_judgment, make_queue, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def labelled(project, annotator) -> Judgment:
    return make_judgment(queue=make_queue(project), annotator=annotator)


def test_the_database_refuses_it(labelled, annotator):
    with pytest.raises(ProtectedError):
        annotator.delete()
    with pytest.raises(ProtectedError):
        User.objects.filter(pk=annotator.pk).delete()
    assert Judgment.objects.filter(pk=labelled.pk, annotator=annotator).exists()


def test_nothing_of_the_peoples_side_goes_with_a_user():
    goes = {
        relation.related_model._meta.label
        for relation in User._meta.related_objects
        if getattr(relation, "on_delete", None) not in (models.PROTECT, None)
    }
    assert {label for label in goes if label.startswith(("feedback.", "training."))} == set()


@pytest.mark.parametrize("way", ["one", "selected"])
def test_the_admin_site_deletes_nobody_and_says_what_to_do_instead(client, labelled, annotator, way):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    if way == "one":
        url, sent = reverse("admin:feedback_user_delete", args=[annotator.pk]), {"post": "yes"}
    else:
        url = reverse("admin:feedback_user_changelist")
        sent = {"action": "delete_selected", "_selected_action": annotator.pk, "post": "yes"}
    answer = client.post(url, sent)
    assert "never deletes what they said" in answer.content.decode()
    assert "Erase what they said" in answer.content.decode()
    assert User.objects.filter(pk=annotator.pk).exists()
    assert Judgment.objects.filter(pk=labelled.pk).exists()


def test_somebody_who_left_nothing_can_be_deleted(client):
    client.force_login(make_user(is_staff=True, is_superuser=True))
    nobody = make_user()
    client.post(reverse("admin:feedback_user_delete", args=[nobody.pk]), {"post": "yes"})
    assert not User.objects.filter(pk=nobody.pk).exists()
