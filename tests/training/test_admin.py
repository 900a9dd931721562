"""The admin site shows runs, checkpoints and workers, and changes none."""

from __future__ import annotations

import pytest
from django.urls import reverse
from django.utils import timezone

from feedback.models import Worker
from tests.factories import make_policy_checkpoint, make_user

pytestmark = pytest.mark.django_db


def test_every_table_can_be_looked_at_and_none_changed(client, project):
    checkpoint = make_policy_checkpoint(project)
    worker = Worker.objects.create(name="here:1", last_seen_at=timezone.now())
    client.force_login(make_user(is_superuser=True, is_staff=True))
    for row in (checkpoint, checkpoint.run, worker):
        app, name = row._meta.app_label, row._meta.model_name
        assert str(row) in client.get(reverse(f"admin:{app}_{name}_changelist")).content.decode()
        change = reverse(f"admin:{app}_{name}_change", args=[row.pk])
        assert client.get(change).status_code == 200
        assert client.post(change, {"name": "another"}).status_code == 403
        assert client.post(reverse(f"admin:{app}_{name}_delete", args=[row.pk]), {"post": "yes"}).status_code == 403
