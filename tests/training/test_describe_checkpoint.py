"""Saying of a checkpoint what the records do not tell."""

from __future__ import annotations

import pytest

from feedback.models import AuditEvent, User
from tests.factories import make_base_checkpoint, make_policy_checkpoint
from training.lineage import ancestors
from training.registry import RegistryRefused, describe_checkpoint, licence_of

pytestmark = pytest.mark.django_db


def test_licence_and_note_are_stored_with_who_changed_them(project, ml_staff: User):
    policy = make_policy_checkpoint(project)
    stored = describe_checkpoint(checkpoint=policy, licence=" MIT ", note="For short answers.", by=ml_staff)
    assert (stored.licence, stored.note) == ("MIT", "For short answers.")
    event = AuditEvent.objects.get(action="checkpoint.describe")
    assert (event.actor, event.before["licence"], event.after["licence"]) == (ml_staff, "", "MIT")


def test_saying_the_same_again_leaves_no_trace(project, ml_staff: User):
    policy = make_policy_checkpoint(project, licence="MIT")
    describe_checkpoint(checkpoint=policy, licence="MIT", note="", by=ml_staff)
    assert not AuditEvent.objects.filter(action="checkpoint.describe").exists()


@pytest.mark.parametrize(
    ("licence", "note", "field"),
    [("x" * 101, "", "licence"), ("two\nlines", "", "licence"), ("a\x00b", "", "licence"), ("", "x" * 20_001, "note")],
)
def test_what_does_not_fit_is_refused(project, ml_staff: User, licence, note, field):
    with pytest.raises(RegistryRefused) as caught:
        describe_checkpoint(checkpoint=make_policy_checkpoint(project), licence=licence, note=note, by=ml_staff)
    assert caught.value.field == field


def test_the_licence_is_that_of_the_nearest_model_that_states_one(project):
    base = make_base_checkpoint(project, licence="Apache-2.0")
    middle = make_policy_checkpoint(project, parent=base)
    last = make_policy_checkpoint(project, parent=middle)
    assert licence_of(last, ancestors(last)) == "Apache-2.0"
    middle.licence = "CC-BY-NC-4.0"
    middle.save()
    assert licence_of(last, ancestors(last)) == "CC-BY-NC-4.0"
