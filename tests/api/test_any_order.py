"""Two people do anything in any order: nothing is lost or doubled, and what is refused changes nothing."""

from __future__ import annotations

import uuid
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from feedback.models import Assignment, Draft, Judgment
from feedback.queues import set_queue_state
from tests.api.people import ApiClient, said
from tests.bad_input import bounded, changes, rows
from tests.factories import make_member, make_queue, make_task

pytestmark = [pytest.mark.django_db, pytest.mark.slow]

OVERLAP = 2
ACTIONS = (
    "claim", "claim", "claim", "submit", "submit", "submit", "submit as the other", "replay", "differ", "draft",
    "revise", "revise", "skip", "renew", "reclaim", "reclaim", "run out", "pause", "open", "open",
)  # fmt: skip
STEPS = st.lists(st.tuples(st.sampled_from(ACTIONS), st.integers(0, 1), st.integers(0, 3)), min_size=20, max_size=40)


class Table:
    """Two people at one queue, each with every task that they ever got and every submission that they made."""

    def __init__(self, queue: Any, people: list[Any]) -> None:
        self.queue, self.people = queue, people
        self.apis = [ApiClient(person) for person in people]
        self.got: list[list[dict[str, Any]]] = [[], []]
        self.sent: list[list[tuple[str, dict[str, Any]]]] = [[], []]
        self.stored: list[list[dict[str, Any]]] = [[], []]

    def do(self, action: str, who: int, pick: int) -> None:
        before = rows()
        if action == "run out":
            Assignment.objects.filter(state="leased").update(lease_expires_at=timezone.now() - timedelta(seconds=1))
        elif action in ("pause", "open"):
            set_queue_state(queue=self.queue, state={"pause": "paused", "open": "open"}[action])
        else:
            answer = self.ask(action, who, pick)
            if answer is not None:
                self.check(action, who, answer, before)

    def ask(self, action: str, who: int, pick: int) -> HttpResponse | None:
        """Send what the action asks for about one of the tasks that the person got; None when there is none yet."""
        api = self.apis[who]
        if action == "claim":
            return api.post(f"queues/{self.queue.pk}/claim/")
        owner = 1 - who if action == "submit as the other" else who
        if action in ("replay", "differ", "revise"):
            return self.again(action, who, pick)
        if not self.got[owner]:
            return None
        task = self.got[owner][-1 - pick % len(self.got[owner])]  # the latest most often
        at, lease = f"assignments/{task['assignment']}", {"lease_token": task["lease_token"]}
        if action.startswith("submit"):
            values = said(task, submission_id=str(uuid.uuid4()))
            if action == "submit":
                self.sent[who].append((f"{at}/submit/", values))
            return api.post(f"{at}/submit/", values)
        if action == "draft":
            return api.put(f"tasks/{task['task']}/draft/", {"answer": {"preference": 1}, "rationale": "So far."})
        if action == "reclaim":
            return api.post(f"tasks/{task['task']}/reclaim/")
        kind = ("later", "others", "review")[pick % 3]
        return api.post(f"{at}/{action}/", {**lease, "kind": kind, "reason": "other"})

    def again(self, action: str, who: int, pick: int) -> HttpResponse | None:
        if action == "revise":
            if not self.stored[who]:
                return None
            judgment = self.stored[who][-1 - pick % len(self.stored[who])]
            values = said({"kind": "comparison", "lease_token": None}, answer={"preference": -1}, rationale=str(pick))
            return self.apis[who].post(f"judgments/{judgment['id']}/revise/", values)
        if not self.sent[who]:
            return None
        path, values = self.sent[who][-1 - pick % len(self.sent[who])]
        return self.apis[who].post(path, values if action == "replay" else {**values, "rationale": f"Other {pick}."})

    def check(self, action: str, who: int, answer: HttpResponse, before: Any) -> None:
        assert answer.status_code in (200, 201, 204, 409), (action, answer.content)
        if answer.status_code == 409:
            code = answer.json()["errors"][0]["code"]
            kept = {"Draft"} if code == "lease_lost" and action in ("submit", "replay", "differ") else set()
            assert set(changes(before)) <= kept, (action, code)
        elif action in ("claim", "reclaim") and answer.status_code == 200:
            self.got[who].append(answer.json())
        elif action in ("submit", "replay", "differ", "revise"):
            known = {judgment["id"] for judgment in self.stored[who]}
            if answer.json()["id"] in known:
                assert changes(before) == {}
            self.stored[who].append(answer.json())
        assert action != "submit as the other" or answer.status_code == 409

    def check_whole(self) -> None:
        first = Judgment.objects.filter(revision=1)
        assert max(Counter(first.values_list("task", flat=True)).values(), default=0) <= OVERLAP
        assert max(Counter(first.values_list("task", "annotator")).values(), default=0) <= 1
        slots = Assignment.objects.exclude(annotator=None).values_list("task", "annotator")
        assert max(Counter(slots).values(), default=0) <= 1
        for person, stored in zip(self.people, self.stored, strict=True):
            mine = Judgment.objects.filter(annotator=person).values_list("pk", flat=True)
            assert {judgment["id"] for judgment in stored} == {str(pk) for pk in mine}
        assert not Draft.objects.filter(task__judgments__annotator=self.people[0], annotator=self.people[0]).exists()


@bounded(20)
@given(steps=STEPS)
def test_whatever_two_people_do_nothing_is_lost_or_doubled(project, steps):
    with transaction.atomic():
        queue = make_queue(project, overlap=OVERLAP, repeat_percent=0, random_percent=50)
        for _ in range(3):
            make_task(queue)
        table = Table(queue, [make_member(project), make_member(project)])
        for action, who, pick in steps:
            table.do(action, who, pick)
        table.check_whole()
        transaction.set_rollback(True)
