"""The admin shows every table, and writes none of those that only the verbs write."""

from __future__ import annotations

import pytest
from django.apps import apps
from django.contrib import admin
from django.urls import reverse

from feedback.models.append_only import AppendOnlyModel
from feedback.reviewing import review_judgment
from tests.factories import make_gold, make_judgment, make_snapshot, make_task, make_user

pytestmark = pytest.mark.django_db

MODELS = [model for model in apps.get_app_config("feedback").get_models() if model in admin.site._registry]


@pytest.fixture
def superuser(client):
    person = make_user(is_staff=True, is_superuser=True)
    client.force_login(person)
    return person


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_table_and_row_can_be_read(client, superuser, model):
    judgment = make_judgment()
    review_judgment(judgment=judgment, reviewer=superuser, accepted=True)
    make_snapshot(judgment.queue.project)
    make_gold(make_task(judgment.queue))
    name = f"admin:feedback_{model._meta.model_name}"
    assert client.get(reverse(f"{name}_changelist")).status_code == 200
    row = model.objects.first()
    if row is not None:
        page = client.get(reverse(f"{name}_change", args=[row.pk]))
        assert page.status_code == 200
        if hasattr(row, "lease_token"):
            assert str(row.lease_token) not in page.content.decode()


@pytest.mark.parametrize(
    "model", [model for model in MODELS if issubclass(model, AppendOnlyModel)], ids=lambda model: model.__name__
)
def test_what_is_written_once_cannot_be_written_here(client, superuser, model):
    make_snapshot()
    name = f"admin:feedback_{model._meta.model_name}"
    assert client.get(reverse(f"{name}_add")).status_code == 403
    row = model.objects.first()
    if row is not None:
        assert client.post(reverse(f"{name}_change", args=[row.pk]), {}).status_code == 403
        assert client.post(reverse(f"{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403


def test_every_append_only_table_is_registered():
    append_only = {m for m in apps.get_app_config("feedback").get_models() if issubclass(m, AppendOnlyModel)}
    assert append_only <= set(MODELS)
    assert len(append_only) == 14
