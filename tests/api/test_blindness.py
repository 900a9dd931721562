"""Nothing that an annotator can get over the API says who wrote what, why they got a task, or what is known of it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from django.utils import timezone

from feedback.commenting import comment_on
from feedback.gold import make_gold
from feedback.models import Assignment, Judgment, Response, Task, Turn
from feedback.quality.person_evidence import evidence_of
from feedback.quality.reports import measure
from feedback.queues import change_policy
from feedback.schemas import RESPONSES
from feedback.standings import decide_standing
from tests.api.people import ApiClient
from tests.api.test_access import ENDPOINTS
from tests.bad_input import ANSWERS, KINDS, TALKS
from tests.factories import make_base_checkpoint, make_member, make_prompt, make_queue, make_response, make_task

pytestmark = pytest.mark.django_db

FORBIDDEN = {
    "arm", "arm_propensity", "checkpoint_id", "chosen", "created_by", "display_order", "evaluation_overlap",
    "explanation", "first", "gold", "gold_percent", "is_gold", "max_new_tokens", "model_name", "names_itself",
    "order", "order_key", "origin", "place", "policies", "priority", "propensity", "random_percent", "repeat_of",
    "repeat_percent", "reserved_for", "run_id", "sampling", "second", "slot", "split", "temperature",
}  # fmt: skip
"""Keys that no answer to an annotator has, at any depth."""


def keys_in(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key
            yield from keys_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from keys_in(inner)


class Witness:
    """An annotator's client that remembers every answer and which endpoint gave it."""

    def __init__(self, person: Any) -> None:
        self.api = ApiClient(person)
        self.answers: list[Any] = []
        self.asked: set[str] = set()

    def ask(self, method: str, path: str, values: Any = None, *, status: int) -> Any:
        answer = self.api.get(path) if method == "get" else self.api.call(method, path, values or {})
        assert answer.status_code == status, (path, answer.content)
        self.answers.append((path, answer))
        self.asked.add(f"{method} {shape(path)}")
        return answer.json() if answer.content else None


def shape(path: str) -> str:
    return re.sub(r"[0-9a-f-]{36}|\{\w+\}|(?<=decisions/)\d+", "*", re.sub(r"projects/[\w{}-]+/", "projects/*/", path))


def planted(project: Any, kind: str, checkpoint: str) -> tuple[Any, list[str]]:
    """Return a queue of the kind with three tasks whose every secret is a word that is found again."""
    schema = {"opening": "written", "policies": [checkpoint]} if kind in TALKS else {}
    queue = make_queue(project, kind=kind, schema=schema, show_gold=True)
    secrets = ["model-", "origin-", "0.7321", "9021090210", "0.3125", "secretly", "77.5"]
    for number in range(3):
        prompt = make_prompt(project, split="evaluation")
        responses = [
            make_response(
                prompt, f"Text {number} {letter}.", origin=f"origin-{number}-{letter}", model_name=f"model-{letter}",
                run_id=uuid.uuid4(), checkpoint_id=uuid.uuid4(), names_itself="secretly",
                sampling={"temperature": 0.7321, "seed": 9021090210},
            )
            for letter in "abcdefghi"[: RESPONSES[kind][0]]
        ]  # fmt: skip
        make_task(queue, prompt=prompt, responses=responses, propensity=0.3125, priority=77.5)
    return queue, secrets


@pytest.mark.parametrize("kind", KINDS)
def test_no_endpoint_says_what_would_unblind(project, annotator, curator, kind):
    checkpoint = make_base_checkpoint(project)
    queue, secrets = planted(project, kind, str(checkpoint.pk))
    me = Witness(annotator)
    me.ask("get", "projects/", status=200)
    me.ask("get", f"projects/{project.slug}/", status=200)
    me.ask("get", f"projects/{project.slug}/queues/", status=200)
    task = me.ask("post", f"queues/{queue.pk}/claim/", status=200)
    at, lease = f"assignments/{task['assignment']}", {"lease_token": task["lease_token"]}
    said = {"answer": ANSWERS[kind], "active_seconds": 1, "rationale": "Because."}
    me.ask("put", f"tasks/{task['task']}/draft/", {"answer": {}}, status=200)
    me.ask("get", f"tasks/{task['task']}/draft/", status=200)
    me.ask("post", f"{at}/renew/", lease, status=200)
    if kind in TALKS:
        turn = {**lease, "number": 1}
        me.ask("post", f"{at}/talk/say/", {**turn, "text": "Hello."}, status=201)
        me.ask("post", f"{at}/talk/retry/", turn, status=200)
        first, second = (make_response(make_prompt(project), origin=f"origin-{n}", model_name="model-t") for n in "12")
        Turn.objects.update(state="ready", first=first, second=second)
        me.ask("get", f"{at}/talk/", status=200)
        me.ask("post", f"{at}/talk/choose/", {**turn, "preference": 1}, status=200)
    else:
        for name in ("say", "choose", "retry"):
            values = {**lease, "number": 1, "text": "Hello.", "preference": 1}
            me.ask("post", f"{at}/talk/{name}/", values, status=422)
        me.ask("get", f"{at}/talk/", status=200)
    Assignment.objects.filter(pk=task["assignment"]).update(lease_expires_at=timezone.now())
    sent = {**said, **lease, "submission_id": str(uuid.uuid4()), "then_claim": True}
    me.ask("post", f"{at}/submit/", sent, status=409)
    again = me.ask("post", f"tasks/{task['task']}/reclaim/", status=200)
    judged = me.ask("post", f"{at}/submit/", {**sent, "lease_token": again["lease_token"]}, status=201)
    following = judged["next"]
    assert following is not None
    me.ask(
        "post",
        f"assignments/{following['assignment']}/skip/",
        {"lease_token": following["lease_token"], "kind": "review", "reason": "other"},
        status=204,
    )
    revised = {**said, "submission_id": str(uuid.uuid4()), "rationale": "Again."}
    me.ask("post", f"judgments/{judged['id']}/revise/", revised, status=201)
    if kind in ("comparison", "ranking", "rating"):
        last = Task.objects.filter(queue=queue, judgments=None, skips=None).first()
        make_gold(task=last, answer=ANSWERS[kind], explanation="secretly", created_by=curator)
    change_policy(queue=queue, changed_by=curator, gold_percent=17, random_percent=23, repeat_percent=11)
    me.ask("get", f"queues/{queue.pk}/own-judgments/", status=200)
    me.ask("get", f"own-judgments/{judged['id']}/", status=200)
    made = Judgment.objects.get(pk=judged["id"])
    comment_on(judgment=made, author=curator, text="Why so?", for_annotator=True, now=timezone.now())
    comment_on(judgment=made, author=curator, text="secretly", now=timezone.now())
    me.ask("get", f"own-judgments/{judged['id']}/comments/", status=200)
    me.ask("post", f"own-judgments/{judged['id']}/comments/", {"text": "It is clearer."}, status=201)
    me.ask("get", f"queues/{queue.pk}/own-work/", status=200)
    measure(project=project, kind="people", created_by=curator)
    evidence = evidence_of(project=project, person=annotator)
    standing = decide_standing(
        project=project,
        person=annotator,
        decision="noted",
        reason="Well done.",
        evidence=evidence,
        decided_by=curator,
        now=timezone.now(),
    )
    me.ask("get", f"projects/{project.slug}/own-standing/", status=200)
    me.ask("post", f"decisions/{standing.pk}/answers/", {"text": "Thank you."}, status=201)
    me.ask("get", f"projects/{project.slug}/consent/", status=200)
    me.ask("post", f"projects/{project.slug}/consent/withdraw/", status=200)
    me.ask("post", f"projects/{project.slug}/consent/", {"number": 0}, status=200)
    me.ask("post", f"projects/{project.slug}/erasure-requests/", {"note": "Please."}, status=201)
    me.ask("get", f"queues/{queue.pk}/guideline/", status=200)
    me.ask("post", f"queues/{queue.pk}/guideline/", {"number": 1}, status=200)
    me.ask("get", f"queues/{queue.pk}/", status=200)
    secrets += [str(checkpoint.pk), checkpoint.name]
    for response in Response.objects.all():
        secrets += [str(response.pk), response.pk.hex, str(response.checkpoint_id), str(response.run_id)]
    for path, answer in me.answers:
        text = answer.content.decode().replace("None", "")
        assert [secret for secret in secrets if secret != "None" and secret in text] == [], path
        if answer.content:
            assert set(keys_in(answer.json())) & FORBIDDEN == set(), path
    assert endpoints_of_annotators() <= me.asked


def endpoints_of_annotators() -> set[str]:
    """Return every endpoint that answers an annotator; a new one has to be asked above."""
    return {f"{method} {shape(path)}" for method, path, allowed in ENDPOINTS if allowed["annotator"]} | {
        "get projects/"
    }


def test_the_rules_of_the_queue_are_for_staff(project, annotator, curator):
    queue = make_queue(project, gold_percent=17)
    for path, found in (
        (f"queues/{queue.pk}/", lambda answer: answer),
        (f"projects/{project.slug}/queues/", lambda answer: answer["results"][0]),
    ):
        assert found(ApiClient(annotator).get(path).json())["policy"] is None
        assert found(ApiClient(curator).get(path).json())["policy"]["gold_percent"] == 17


def test_two_people_see_one_task_under_the_same_ids_and_none_of_its_responses(project, annotator):
    queue = make_queue(project)
    make_task(queue, slots=2)
    tasks = [ApiClient(person).post(f"queues/{queue.pk}/claim/").json() for person in (annotator, make_member(project))]
    assert tasks[0]["task"] == tasks[1]["task"]
    assert all(set(response) == {"text"} for task in tasks for response in task["responses"])
