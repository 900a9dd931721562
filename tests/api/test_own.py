"""What is a person's own over HTTP: judgments, hours, evidence, guidelines read."""

from __future__ import annotations

from decimal import Decimal

import pytest

from feedback.gold import make_gold
from feedback.models import GuidelineReading, Judgment
from feedback.people import save_profile
from feedback.queues import change_guideline
from tests.api.people import ApiClient, error_of, said
from tests.bad_input import ANSWERS
from tests.factories import make_judgment, make_member, make_prompt, make_queue, make_task

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_queue(project, show_gold=True)


@pytest.fixture
def api(annotator):
    return ApiClient(annotator)


def test_own_judgments_are_searched_by_prompt_reason_and_written_text(api, project, annotator, queue):
    make_judgment(task=make_task(queue, prompt=make_prompt(project, "Why is snow white?")), annotator=annotator)
    make_judgment(queue=queue, annotator=annotator, rationale="Names a wrong colour.")
    make_judgment(queue=queue, annotator=annotator)

    def found(search):
        return api.get(f"queues/{queue.pk}/own-judgments/", search=search).json()["count"]

    assert [found("snow"), found("wrong colour"), found("Grüße"), found("%"), found("\x00"), found("")] == [
        1, 1, 0, 0, 3, 3,
    ]  # fmt: skip


@pytest.mark.parametrize("kind", ["comparison", "ranking", "rating", "demonstration", "correction"])
def test_a_judgment_of_ones_own_is_shown_as_it_was_seen(project, api, annotator, kind):
    queue = make_queue(project, kind=kind)
    judgment = make_judgment(queue=queue, annotator=annotator, answer=ANSWERS[kind])
    shown = api.get(f"own-judgments/{judgment.pk}/").json()
    assert (shown["kind"], shown["answer"], shown["latest"]) == (kind, ANSWERS[kind], str(judgment.pk))
    texts = [judgment.task.texts[place].text for place in judgment.display_order]
    assert [response["text"] for response in shown["responses"]] == texts
    revised = api.post(f"judgments/{judgment.pk}/revise/", said({"kind": kind, "lease_token": ""}, rationale="Again."))
    assert revised.status_code == 201
    assert api.get(f"own-judgments/{judgment.pk}/").json()["latest"] == revised.json()["id"]


def test_another_persons_judgment_is_not_found(project, api, queue):
    judgment = make_judgment(queue=queue, annotator=make_member(project))
    assert api.get(f"own-judgments/{judgment.pk}/").status_code == 404


def test_guidelines_are_news_until_they_are_read_and_again_when_they_change(api, queue, curator):
    path = f"queues/{queue.pk}/guideline/"
    assert {name: api.get(path).json()[name] for name in ("number", "is_new", "has_changed")} == {
        "number": 1, "is_new": True, "has_changed": False,
    }  # fmt: skip
    assert api.post(path, {"number": 1}).json()["is_new"] is False
    change_guideline(queue=queue, text="Prefer the shorter one.", changed_by=curator)
    shown = api.get(path).json()
    assert (shown["text"], shown["is_new"], shown["has_changed"]) == ("Prefer the shorter one.", True, True)
    late = api.post(path, {"number": 1})
    assert (late.status_code, error_of(late)["code"]) == (409, "not_in_force")
    assert api.post(path, {"number": 2}).status_code == 200
    assert GuidelineReading.objects.count() == 2


def test_ones_own_work_adds_up_to_hours_and_pay(api, annotator, queue):
    save_profile(person=annotator, languages=["en"], hourly_rate=Decimal("36"), currency="EUR")
    make_judgment(queue=queue, annotator=annotator, active_seconds=100.0)
    make_judgment(queue=queue, annotator=annotator, active_seconds=200.0)
    make_task(queue)
    own = api.get(f"queues/{queue.pk}/own-work/").json()
    assert (own["done_today"], own["left"]) == (2, 1)
    assert (own["queue"]["judgments"], own["queue"]["seconds"], own["queue"]["per_hour"]) == (2, 300.0, 24.0)
    assert (own["project"]["rate"], own["project"]["currency"], own["project"]["pay"]) == (36.0, "EUR", 3.0)
    assert len(own["queue"]["days"]) == 14
    assert own["queue"]["days"][-1]["judgments"] == 2


def test_evidence_is_shown_as_the_queue_allows_and_only_when_there_is_enough(project, api, annotator, curator, queue):
    other = make_member(project)
    hidden = make_queue(project, show_agreement=False)
    for _ in range(5):
        task = make_task(queue, slots=2)
        make_judgment(task=task, annotator=annotator, preference=2)
        make_judgment(task=task, annotator=other, preference=1)
    few = api.get(f"queues/{queue.pk}/own-work/").json()
    assert few["agreement"] == {"compared": 5, "percent": 100.0}
    assert few["known_answers"] == {"judged": 0, "right": None}
    for judgment in Judgment.objects.filter(annotator=annotator):
        make_gold(task=judgment.task, answer={"preference": 1}, created_by=curator)
    assert api.get(f"queues/{queue.pk}/own-work/").json()["known_answers"] == {"judged": 5, "right": 5}
    own = api.get(f"queues/{hidden.pk}/own-work/").json()
    assert (own["agreement"], own["known_answers"]) == (None, None)
