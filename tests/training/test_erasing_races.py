"""Consent and erasure while others act at the same moment, on SQLite and on PostgreSQL."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

import pytest
from django.db import connection
from django.utils import timezone

from feedback.consenting import agree, change_text
from feedback.erasing import ErasureRefused, start_erasure
from feedback.jobs import carry_out
from feedback.judging import NotCurrent, revise_judgment
from feedback.models import AuditEvent, Consent, Erasure, Judgment
from feedback.models.people import new_id
from tests.factories import make_judgment, make_member, make_project, make_queue, make_user

pytestmark = pytest.mark.slow


def at_once(*acts: Callable[[], object]) -> list[object]:
    """Do all of it at the same moment, each on a connection of its own; return what came of each."""
    start, done = threading.Barrier(len(acts)), [None] * len(acts)

    def act(place: int) -> None:
        try:
            start.wait()
            done[place] = acts[place]()
        except Exception as error:
            done[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=act, args=(place,)) for place in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return done


@pytest.fixture
def project(shared_database):
    return make_project(name=f"Races {os.urandom(4).hex()}")


@pytest.fixture
def admin(project):
    return make_user(username=f"admin-{os.urandom(4).hex()}")


@pytest.fixture
def person(project):
    return make_member(project, username=f"person-{os.urandom(4).hex()}")


def test_agreeing_in_many_tabs_at_once_is_agreeing_once(project, admin, person):
    change_text(project=project, text="Agree?", by=admin, now=timezone.now())
    given = at_once(*[lambda: agree(project=project, person=person, number=1, now=timezone.now())] * 6)
    assert all(isinstance(one, Consent) for one in given), given
    assert Consent.objects.filter(project=project).count() == 1
    assert AuditEvent.objects.filter(project=project, action="consent.give").count() == 1


def test_two_admins_erase_the_same_person_once(project, admin, person):
    def start() -> Erasure:
        return start_erasure(
            project=project, person=person, reason="x", account=False, requested_by=admin, now=timezone.now()
        )

    done = at_once(*[start] * 5)
    assert sum(isinstance(one, Erasure) for one in done) == 1, done
    assert sum(isinstance(one, ErasureRefused) for one in done) == 4, done


def test_what_is_revised_while_it_is_erased_is_erased_or_refused(project, admin, person):
    queue = make_queue(project)
    judged = [make_judgment(queue=queue, annotator=person, rationale="My secret") for _ in range(12)]
    erasure = start_erasure(
        project=project, person=person, reason="x", account=False, requested_by=admin, now=timezone.now()
    )

    def revise(judgment: Judgment) -> Judgment:
        return revise_judgment(
            judgment=judgment, annotator=person, submission_id=new_id(), answer={"preference": -1},
            rationale="My secret", active_seconds=1.0, interface="page", now=timezone.now(),
        )  # fmt: skip

    done = at_once(lambda: carry_out(erasure.job), *[lambda one=one: revise(one) for one in judged])
    assert all(isinstance(one, Judgment | NotCurrent) for one in done[1:]), done
    erasure.job.refresh_from_db()
    assert erasure.job.state == "succeeded", erasure.job.error
    left = Judgment.objects.filter(annotator=person).exclude(rationale="", erased_by__isnull=False)
    assert not left.exists()
