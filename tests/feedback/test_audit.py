import datetime as dt
import uuid

import pytest
from django.utils import timezone

from feedback.audit import changed, record
from feedback.models import AuditEvent
from feedback.models.append_only import AppendOnly
from tests.factories import make_judgment, make_project, make_user

pytestmark = pytest.mark.django_db


def test_an_act_says_who_what_when_before_and_after(db):
    project, actor, now = make_project(), make_user(), timezone.now()
    record(
        project=project, actor=actor, action="person.suspend", subject=make_user(pk=77),
        before={"since": now}, after={"by": uuid.UUID(int=7)}, reason="Too fast.", now=now,
    )  # fmt: skip
    event = AuditEvent.objects.get()
    assert (event.subject, event.subject_id, event.created_at) == ("person", "77", now)
    assert event.before["since"].startswith(str(now.year))
    assert event.after == {"by": str(uuid.UUID(int=7))}


def test_an_action_is_a_noun_and_a_verb(db):
    with pytest.raises(ValueError, match=r"noun\.verb"):
        record(project=make_project(), actor=None, action="reject", subject=make_user())


def test_an_event_is_never_changed_nor_deleted(db):
    event = record(project=make_project(), actor=None, action="gold.retire", subject=make_user())
    with pytest.raises(AppendOnly):
        event.save()
    with pytest.raises(AppendOnly):
        event.delete()


def test_the_log_is_read_by_person_thing_act_and_time(db):
    judgment = make_judgment()
    project, curator, other = judgment.queue.project, make_user(), make_user()
    noon = timezone.now()
    for actor, action, at in ((curator, "judgment.reject", noon), (other, "judgment.accept", noon + dt.timedelta(1))):
        record(project=project, actor=actor, action=action, subject=judgment, now=at)
    record(project=project, actor=other, action="judgments.bulk", subject=project, now=noon)
    log = AuditEvent.objects.in_project(project)
    assert [event.action for event in log.by(curator)] == ["judgment.reject"]
    assert log.about("judgment", judgment.pk).count() == 2
    assert log.acting("judgment").count() == 2
    assert log.acting("judgment.accept").get().actor == other
    judged = log.acting("judgment")
    assert [event.actor for event in judged.between(noon + dt.timedelta(hours=1), None)] == [other]
    assert [event.actor for event in judged.between(None, noon + dt.timedelta(hours=1))] == [curator]


def test_changed_keeps_what_differs():
    assert changed({"a": 1, "b": 2}, {"a": 1, "b": 3, "c": 4}) == ({"b": 2}, {"b": 3, "c": 4})
