"""Hold a talk over HTTP, by the same rules as on the page."""

from __future__ import annotations

import json
import uuid

import pytest

from feedback.answering import WrittenAnswer, answer_turn, claim_turn, fail_turn, turn_lease
from feedback.models import Draft, Judgment, Turn
from tests.api.people import ApiClient, error_of
from tests.factories import make_member
from tests.feedback.talks import answer_next, make_talk_queue
from tests.pages.label import let_lease_run_out

pytestmark = pytest.mark.django_db


@pytest.fixture
def queue(project):
    return make_talk_queue(project)


@pytest.fixture
def api(annotator):
    return ApiClient(annotator)


@pytest.fixture
def task(api, queue):
    return claim(api, queue)


def claim(api, queue):
    answer = api.post(f"queues/{queue.pk}/claim/")
    assert answer.status_code == 200, answer.content
    return answer.json()


def act(api, task, name, **said):
    values = {"lease_token": task["lease_token"], "number": 1, **said}
    return api.post(f"assignments/{task['assignment']}/talk/{name}/", values)


def say(api, task, text="Hello.", **said):
    return act(api, task, "say", text=text, **said)


def test_a_whole_talk(api, task):
    said = say(api, task)
    assert said.status_code == 201
    assert said.json() == {
        "number": 1, "state": "waiting", "said": "Hello.", "answers": [], "preference": None, "rationale": "",
        "flags": [], "went_on_with": None,
    }  # fmt: skip
    answer_next("One", "Two")
    read = api.get(f"assignments/{task['assignment']}/talk/").json()
    assert (read["min_turns"], read["max_turns"], read["somebody_answers"]) == (1, 8, False)
    assert read["turns"][0]["answers"] == [{"text": "One"}, {"text": "Two"}]
    flags = [{"flag": "unsafe", "kind": "Other", "response": 1}]
    chosen = act(api, task, "choose", preference=2, rationale="Why not", flags=flags).json()
    assert (chosen["state"], chosen["preference"], chosen["went_on_with"]) == ("chosen", 2, 1)
    assert (chosen["rationale"], chosen["flags"]) == ("Why not", flags)
    values = {"lease_token": task["lease_token"], "submission_id": uuid.uuid4(), "answer": {}, "active_seconds": 1}
    done = api.post(f"assignments/{task['assignment']}/submit/", values)
    assert done.status_code == 201, done.content
    assert Judgment.objects.get().content == {"turns": [str(Turn.objects.get().pk)]}
    assert done.json()["answer"] == {}
    assert api.get(f"assignments/{task['assignment']}/talk/").json()["turns"] == [chosen]


def test_a_given_opening_waits_for_its_answers_from_the_claim_on(api, project):
    task = claim(api, make_talk_queue(project, opening="given"))
    (turn,) = api.get(f"assignments/{task['assignment']}/talk/").json()["turns"]
    assert (turn["state"], turn["said"]) == ("waiting", task["prompt"]["messages"][-1]["content"])


def test_the_same_words_twice_are_one_turn(api, task):
    assert say(api, task).json() == say(api, task).json()
    refused = say(api, task, "Other words")
    assert refused.status_code == 409
    assert error_of(refused)["code"] == "turn_taken"
    assert Turn.objects.count() == 1


def test_a_failed_turn_is_tried_again_and_says_nothing_of_models(api, task):
    say(api, task)
    fail_turn(turn_lease(claim_turn(worker="w")), message="dpo-3 is gone", for_good=True)
    read = api.get(f"assignments/{task['assignment']}/talk/")
    assert read.json()["turns"][0]["state"] == "failed"
    assert b"dpo-3" not in read.content
    assert act(api, task, "retry").json()["state"] == "waiting"


def test_refusals_say_what_would_be_right(api, task):
    early = act(api, task, "choose", preference=1)
    assert early.status_code == 422
    assert error_of(early)["attr"] == "number"
    say(api, task)
    early = act(api, task, "choose", preference=1)
    assert (early.status_code, error_of(early)["code"]) == (409, "not_ready")
    answer_next()
    wrong = act(api, task, "choose", preference=9)
    assert (wrong.status_code, error_of(wrong)["attr"]) == (422, "preference")
    early = say(api, task, "More", number=2)
    assert (early.status_code, error_of(early)["code"]) == (409, "not_chosen")
    blank = say(api, task, "  ", number=2)
    assert blank.status_code in (400, 422)
    assert error_of(blank)["attr"] == "text"


def test_words_that_come_too_late_are_kept(api, task):
    let_lease_run_out()
    late = say(api, task, "Late words")
    assert late.status_code == 409
    assert late.json()["slot_free"] is True
    assert Draft.objects.get().content == {"message": "Late words", "turn": 1}
    assert Turn.objects.count() == 0


def test_nobody_reads_or_joins_somebody_elses_talk(api, task, project):
    say(api, task, "Between us")
    other = ApiClient(make_member(project))
    assert b"Between us" not in other.get(f"assignments/{task['assignment']}/talk/").content
    assert say(other, task, "Me, too", number=2).status_code == 409
    assert Turn.objects.count() == 1


def test_no_answer_says_who_wrote_what(api, queue):
    seen = [claim(api, queue)]
    task = seen[0]
    seen.append(say(api, task).json())
    turn = claim_turn(worker="secret-worker")
    answers = [WrittenAnswer("One", True, "secret-model", uuid.UUID(turn.policies[0])), WrittenAnswer("Two", True)]
    turn = answer_turn(turn_lease(turn), answers=answers)
    seen.append(api.get(f"assignments/{task['assignment']}/talk/").json())
    seen.append(act(api, task, "choose", preference=0).json())
    text = json.dumps(seen)
    hidden = ["secret", *turn.policies, turn.first_id, turn.second_id, turn.pk, turn.prompt_id, *turn.sampling["seeds"]]
    assert [str(word) for word in hidden if str(word) in text] == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"number": 0},
        {"number": "one"},
        {"number": None},
        {"number": 10**9},
        {"text": None, "preference": None},
        {"text": ["x"], "preference": [1]},
        {"text": "a\x00b", "rationale": "a\x00b"},
        {"text": "x" * 10_001, "rationale": "x" * 10_001},
        {"lease_token": "none"},
        {"flags": "unsafe", "text": 7.5},
        {"flags": [{"flag": "nothing"}], "text": {}},
        {"active_seconds": -1},
        {"active_seconds": "NaN"},
    ],
)
def test_whatever_is_sent_is_answered_clearly_and_changes_nothing(api, task, wrong):
    say(api, task)
    answer_next()
    before = Turn.objects.values().get()
    for name in ("say", "choose", "retry"):
        answer = act(api, task, name, **{"text": "Other words", "preference": 9, **wrong})
        assert answer.status_code in (200, 400, 409, 422), (name, answer.content)
    assert Turn.objects.values().get() == before
