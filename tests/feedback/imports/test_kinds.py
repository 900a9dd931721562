"""Each kind of import: what a row becomes, then what is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from feedback.filling import enqueue_task
from feedback.imports.errors import ImportRefused
from feedback.models import Arm, FileImport, ImportedPerson, Judgment, Prompt, Response, Task, TaskResponse
from tests.factories import make_prompt, make_queue, make_response
from tests.feedback.imports.loading import jsonl, loader

pytestmark = pytest.mark.django_db

USER = [{"role": "user", "content": "Name a river."}]
BETTER, WORSE = {"role": "assistant", "content": "A."}, {"role": "assistant", "content": "B."}
ASKED = "\n\nHuman: Name a river."


@pytest.fixture
def load(project, curator, tmp_path):
    return loader(project, tmp_path, by=curator)


def chosen_text(judgment: Judgment) -> str | None:
    return Response.objects.get(pk=judgment.chosen_id).text if judgment.chosen_id else None


def refused(load, *rows: object, **options: object) -> list[tuple[int, str, str]]:
    with pytest.raises(ImportRefused) as caught:
        load("rows.jsonl", jsonl(*rows), **options)
    assert not Judgment.objects.exists()
    assert not FileImport.objects.exists()
    return [(error.row, error.column, error.message) for error in caught.value.errors]


# Responses ----------------------------------------------------------------------------------------------


def test_responses_come_with_model_id_and_sampling(load, project):
    row = {
        "prompt": "Why?", "response": "Because.", "model": "tiny-1", "response_id": "r1", "sampling": {"top_p": 0.9}
    }  # fmt: skip
    found = load("a.jsonl", jsonl(row))
    assert (found.kind, found.counts["stored"]) == ("responses", {"prompts": 1, "responses": 1})
    response = Response.objects.get()
    assert (response.text, response.model_name, response.external_id) == ("Because.", "tiny-1", "r1")
    assert (response.sampling, response.file_import) == ({"top_p": 0.9}, found)


def test_responses_refer_to_prompts_by_their_id(load, project):
    prompt = make_prompt(project, external_id="q7")
    load(
        "a.jsonl",
        jsonl({"prompt_id": "q7", "response": "One."}, {"prompt_id": "q7", "response": "Two."}),
        kind="responses",
    )
    assert {one.text for one in prompt.responses.all()} == {"One.", "Two."}
    assert Prompt.objects.count() == 1


def test_a_cell_holds_several_responses_as_a_list_or_by_model(load):
    rows = [{"prompt": "Why?", "responses": ["A.", "B."]}, {"prompt": "Who?", "responses": {"m1": "C.", "m2": "D."}}]
    load("a.jsonl", jsonl(*rows), kind="responses")
    assert set(Response.objects.values_list("text", "model_name")) == {
        ("A.", ""),
        ("B.", ""),
        ("C.", "m1"),
        ("D.", "m2"),
    }


def test_a_model_that_names_itself_is_flagged(load):
    load("a.jsonl", jsonl({"prompt": "Who?", "response": "I am ChatGPT.", "model": "x"}))
    assert Response.objects.get().names_itself == "I am ChatGPT"


def test_a_response_to_a_prompt_that_nobody_knows_is_refused(load):
    ((row, column, message),) = refused(load, {"prompt_id": "q9", "response": "One."}, kind="responses")
    assert (row, column) == (1, "prompt_id")
    assert "no prompt with the id 'q9'; import the prompts first" in message


# Preference pairs ---------------------------------------------------------------------------------------


def test_a_preference_pair_becomes_a_judged_task(load, project):
    found = load("pairs.jsonl", jsonl({"prompt": "Hi", "chosen": "Hello!", "rejected": "What?", "margin": 3}))
    judgment = Judgment.objects.get()
    assert chosen_text(judgment) == "Hello!"
    assert abs(judgment.preference) == 3
    assert (judgment.arm, judgment.interface, judgment.display_order) == (Arm.IMPORTED, "import", [])
    assert judgment.active_seconds is None
    assert judgment.file_import == found
    assert judgment.assignment.state == "done"
    assert found.queue.state == "paused"
    person = ImportedPerson.objects.get()
    assert (person.external_id, person.stands_for_many) == ("dataset: pairs.jsonl", True)
    assert not person.user.is_active
    assert not person.user.has_usable_password()


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": USER, "chosen": [BETTER], "rejected": [WORSE]},
        {"chosen": [*USER, BETTER], "rejected": [*USER, WORSE]},
        {"prompt": "Name a river.", "chosen": [*USER, BETTER], "rejected": [*USER, WORSE]},
        {"prompt": "Name a river.", "chosen": "A.", "rejected": "B."},
        {"chosen": f"{ASKED}\n\nAssistant: A.", "rejected": f"{ASKED}\n\nAssistant: B."},
    ],
)  # fmt: skip
def test_pairs_are_understood_with_explicit_and_implicit_prompts_and_as_transcripts(load, row):
    load("pairs.jsonl", jsonl(row))
    judgment = Judgment.objects.get()
    assert judgment.task.prompt.messages == USER
    assert chosen_text(judgment) == "A."


@pytest.mark.parametrize(
    ("values", "options", "strength"),
    [
        ({}, {}, 1),
        ({"margin": 2}, {}, 2),
        ({"margin": 0.5}, {}, 1),
        ({"margin": 2.4}, {}, 3),
        ({"margin": 4}, {"largest_margin": 8}, 2),
        ({"score_chosen": 9, "score_rejected": 7}, {"largest_margin": 4}, 2),
        ({"strength": "much better"}, {}, 3),
    ],
)
def test_margins_become_strengths(load, values, options, strength):
    load("pairs.jsonl", jsonl({"prompt": "Hi", "chosen": "A", "rejected": "B", **values}), **options)
    assert abs(Judgment.objects.get().preference) == strength


def test_a_dataset_that_contradicts_itself_speaks_with_two_voices(load):
    rows = [
        {"prompt": "Hi", "chosen": "A", "rejected": "B"},
        {"prompt": "Hi", "chosen": "B", "rejected": "A"},
        {"prompt": "Hi", "chosen": "A", "rejected": "B"},
    ]
    found = load("pairs.jsonl", jsonl(*rows), source="HH")
    assert found.counts["stored"]["judgments"] == 2
    assert found.counts["stored"]["there"] == 1
    assert set(ImportedPerson.objects.values_list("external_id", flat=True)) == {"dataset: HH", "dataset: HH (2)"}
    assert Task.objects.count() == 1


@pytest.mark.parametrize(
    ("row", "column", "message"),
    [
        ({"chosen": "A", "rejected": "B"}, "chosen", "there is no prompt"),
        ({"prompt": "Hi", "chosen": "A"}, "", "none of the columns rejected"),
        ({"prompt": "Hi", "chosen": "A", "rejected": "A"}, "rejected", "the same text"),
        ({"prompt": "Hi", "chosen": "A", "rejected": "B", "margin": -1}, "margin", "is the better one"),
        ({"prompt": "Hi", "chosen": "A", "rejected": "B", "margin": "x"}, "margin", "is not a number"),
        (
            {
                "chosen": "\n\nHuman: Hi\n\nAssistant: A\n\nHuman: And?\n\nAssistant: B",
                "rejected": "\n\nHuman: Hi\n\nAssistant: X\n\nHuman: And?\n\nAssistant: C",
            },
            "rejected", "differ before their last message",
        ),
        ({"prompt": "Hi", "chosen": 7, "rejected": "B"}, "chosen", "text is expected, not int"),
    ],
)  # fmt: skip
def test_a_bad_pair_is_refused(load, row, column, message):
    good = {"prompt": "Fine?", "chosen": "Yes", "rejected": "No", "margin": 1}
    ((number, where, said),) = refused(load, good, row)
    assert (number, where) == (2, column)
    assert message in said


# Rankings -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"responses": ["x", "y", "z"], "ranks": [2, 1, 2]},
        {"responses": ["x", "y", "z"], "scores": [0.1, 0.9, 0.1]},
        {"responses": [{"text": "x", "rank": 1}, {"text": "y", "rank": 0}, {"text": "z", "rank": 1}]},
    ],
)
def test_a_ranking_is_stored_in_response_order(load, row):
    found = load("r.jsonl", jsonl({"prompt": "Hi", "annotator": "ann", **row}))
    assert found.kind == "rankings"
    judgment = Judgment.objects.get()
    ranks = dict(zip([one.text for one in judgment.task.texts], judgment.content["ranks"], strict=True))
    assert ranks == {"x": 2, "y": 1, "z": 2}
    assert judgment.content["not_rankable"] == [False, False, False]


def test_without_ranks_the_first_response_is_the_best(load):
    load("r.jsonl", jsonl({"prompt": "Hi", "responses": ["x", "y", "z"]}), kind="rankings")
    judgment = Judgment.objects.get()
    ranks = dict(zip([one.text for one in judgment.task.texts], judgment.content["ranks"], strict=True))
    assert ranks == {"x": 1, "y": 2, "z": 3}


def test_rankings_come_in_columns_and_leave_some_out(load):
    text = "prompt,one,two,three,r1,r2,r3,who\nHi,x,y,z,2,,1,ann\n"
    mapping = {
        "prompt": "prompt",
        "responses": ["one", "two", "three"],
        "ranks": ["r1", "r2", "r3"],
        "annotator": "who",
    }
    load("r.csv", text, kind="rankings", mapping=mapping)
    content = Judgment.objects.get().content
    texts = [one.text for one in Task.objects.get().texts]
    assert dict(zip(texts, content["ranks"], strict=True)) == {"x": 2, "y": None, "z": 1}
    assert dict(zip(texts, content["not_rankable"], strict=True)) == {"x": False, "y": True, "z": False}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"responses": ["x", "y"], "ranks": [1, 2]}, "a ranking has 3 to 9"),
        ({"responses": ["x", "y", "z"], "ranks": [1, 2]}, "2 numbers for 3 responses"),
        ({"responses": ["x", "y", "x"], "ranks": [1, 2, 3]}, "the same text"),
        ({"responses": ["x", "y", "z"], "ranks": [1, None, None]}, "fewer than two responses have a rank"),
        ({"responses": ["x", "y", "z"], "ranks": ["a", 2, 3]}, "'a' is not a number"),
    ],
)
def test_a_bad_ranking_is_refused(load, row, message):
    ((_, _, said),) = refused(load, {"prompt": "Hi", **row}, kind="rankings")
    assert message in said


# Ratings ------------------------------------------------------------------------------------------------


def test_ratings_make_the_scale_of_their_queue(load):
    rows = [
        {"prompt": "Hi", "response": "A", "helpfulness": 4, "honesty": 0, "label": True, "annotator": "ann"},
        {"prompt": "Hi", "response": "A", "helpfulness": 1, "honesty": 3, "label": False, "annotator": "bob"},
    ]
    found = load("r.jsonl", jsonl(*rows))
    assert found.kind == "ratings"
    asks = found.queue.schema.asks
    assert {one.key: (one.style, one.low, one.high) for one in asks.attributes} == {
        "helpfulness": ("likert", 1, 5), "honesty": ("likert", 0, 4), "label": ("thumbs", 1, 5)
    }  # fmt: skip
    assert Task.objects.count() == 1
    assert [one.content["ratings"] for one in Judgment.objects.order_by("id")] == [
        [{"helpfulness": 4, "honesty": 0, "label": 1}], [{"helpfulness": 1, "honesty": 3, "label": -1}]
    ]  # fmt: skip


def test_ratings_into_a_queue_are_held_against_its_scale(load, project):
    queue = make_queue(project, kind="rating")
    row = {"prompt": "Hi", "response": "A", "helpfulness": 5, "correctness": 2}
    load("r.jsonl", jsonl(row), queue=queue)
    assert Judgment.objects.get().content == {"ratings": [{"helpfulness": 5, "correctness": 2}]}
    with pytest.raises(ImportRefused) as caught:
        load("s.jsonl", jsonl({**row, "helpfulness": 9}), queue=queue)
    (error,) = caught.value.errors
    assert error.column == "ratings"
    assert "9 is not one of 1, 2, 3, 4, 5" in error.message


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"rating": 4.5}, "4.5 is not a whole number"),
        ({"rating": None}, "nothing is rated"),
        ({"rating": 100}, "a scale begins at 0 or more and has at most 10 steps"),
        ({"rating": True}, "some rows say true or false here and some a number"),
    ],
)
def test_a_bad_rating_is_refused(load, values, message):
    good = {"prompt": "Hi", "response": "A", "rating": 3}
    errors = refused(load, good, {**good, **values}, kind="ratings")
    assert message in errors[0][2]


# Demonstrations -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Name a river.", "completion": "The Rhine."},
        {"instruction": "Name a river.", "input": "", "output": "The Rhine."},
        {"messages": [*USER, {"role": "assistant", "content": "The Rhine."}]},
        {"conversations": [{"from": "human", "value": "Name a river."}, {"from": "gpt", "value": "The Rhine."}]},
    ],
)
def test_a_written_response_becomes_a_demonstration(load, row):
    found = load("d.jsonl", jsonl(row))
    assert found.kind == "demonstrations"
    judgment = Judgment.objects.get()
    assert judgment.content == {"text": "The Rhine."}
    assert judgment.task.prompt.messages == USER
    assert not TaskResponse.objects.exists()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"prompt": "Hi", "completion": " "}, "the written response is empty"),
        ({"prompt": "Hi", "completion": "x" * 20_001}, "at most 20,000"),
        ({"prompt": "Hi"}, "none of the columns completion"),
    ],
)
def test_a_bad_demonstration_is_refused(load, row, message):
    errors = refused(load, {"prompt": "Fine?", "completion": "Yes."}, row, kind="demonstrations")
    assert message in errors[0][2]


# Votes --------------------------------------------------------------------------------------------------

VOTE = {"prompt": "Hi", "response_a": "Hello", "response_b": "What", "winner": "a", "annotator": "ann"}


def test_votes_come_with_person_time_seconds_and_reason(load, project):
    row = {**VOTE, "strength": 2, "created_at": "2026-01-02T03:04:05", "seconds": 12.5, "rationale": "Kinder."}
    load("v.jsonl", jsonl(row))
    judgment = Judgment.objects.get()
    assert chosen_text(judgment) == "Hello"
    assert abs(judgment.preference) == 2
    assert judgment.created_at == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    assert (judgment.active_seconds, judgment.rationale) == (12.5, "Kinder.")
    assert judgment.annotator.username == f"imported:{project.pk}:ann"
    assert not judgment.annotator.imported_as.stands_for_many


@pytest.mark.parametrize(
    ("winner", "text"),
    [
        ("a", "Hello"), ("model_b", "What"), ("LEFT", "Hello"), ("tie", None), ("equal", None), ("A", "Hello"),
        ("response_b", "What"), ("tie (bothbad)", None),
    ],
)  # fmt: skip
def test_words_for_the_winner_are_understood(load, winner, text):
    load("v.jsonl", jsonl({**VOTE, "winner": winner}))
    assert chosen_text(Judgment.objects.get()) == text


def test_the_winner_may_be_the_name_of_a_model_or_a_number(load):
    row = {"prompt": "Hi", "response_a": "Hello", "response_b": "What", "model_a": "m1", "model_b": "m2"}
    load("v.jsonl", jsonl({**row, "winner": "m2"}))
    assert chosen_text(Judgment.objects.get()) == "What"
    load(
        "w.jsonl", jsonl({"prompt": "Hi", "response_a": "Hello", "response_b": "What", "preference": -3}), kind="votes"
    )
    assert chosen_text(Judgment.objects.first()) == "Hello"
    load("x.csv", "prompt,response_a,response_b,winner\nHo,x,y,1\nHu,x,y,2\n")
    assert [chosen_text(one) for one in Judgment.objects.filter(file_import__filename="x.csv").order_by("id")] == [
        "x",
        "y",
    ]


def test_several_people_judge_one_task(load):
    rows = [{**VOTE, "annotator": name, "winner": word} for name, word in (("ann", "a"), ("bob", "b"), ("cy", "tie"))]
    load("v.jsonl", jsonl(*rows))
    task = Task.objects.get()
    assert task.judgments.count() == 3
    assert sorted(task.assignments.values_list("slot", flat=True)) == [0, 1, 2]


def test_sides_that_are_swapped_are_the_same_task(load):
    swapped = {**VOTE, "response_a": "What", "response_b": "Hello", "winner": "b", "annotator": "bob"}
    load("v.jsonl", jsonl(VOTE, swapped))
    one, other = Judgment.objects.all()
    assert one.task == other.task
    assert one.preference == other.preference


def test_a_second_vote_of_one_person_is_a_repeat(load):
    load("v.jsonl", jsonl(VOTE, {**VOTE, "winner": "b"}))
    original, repeat = Task.objects.order_by("id")
    assert repeat.repeat_of == original
    assert [one.text for one in repeat.texts] == [one.text for one in original.texts]
    slot = repeat.assignments.get()
    assert (slot.slot, slot.reserved_for) == (None, slot.annotator)


def test_the_same_vote_in_another_file_adds_nothing(load):
    timed = {**VOTE, "created_at": "2026-01-02T03:04:05"}
    queue = load("v.jsonl", jsonl(timed, {**VOTE, "annotator": "bob"})).queue
    again = load("other.jsonl", jsonl(timed, {**VOTE, "annotator": "bob"}, {**VOTE, "annotator": "cy"}), queue=queue)
    assert again.counts["stored"] == {"judgments": 1, "there": 2}


def test_the_order_is_known_only_when_the_curator_says_so(load):
    load("v.jsonl", jsonl(VOTE), order_known=True)
    judgment = Judgment.objects.get()
    shown = [judgment.task.texts[place].text for place in judgment.display_order]
    assert shown == ["Hello", "What"]


def test_votes_refer_to_what_was_imported_before(load):
    answers = [
        {"prompt": "Hi", "prompt_id": "q1", "response": text, "model": model, "response_id": f"q1:{model}"}
        for text, model in (("Hello", "m1"), ("What", "m2"))
    ]
    load("answers.jsonl", jsonl(*answers), kind="responses")
    load("v.jsonl", jsonl({"question_id": "q1", "model_a": "m1", "model_b": "m2", "winner": "model_a", "judge": "ann"}))
    load("w.jsonl", jsonl({"response_a_id": "q1:m2", "response_b_id": "q1:m1", "winner": "b", "judge": "bob"}))
    assert [chosen_text(one) for one in Judgment.objects.all()] == ["Hello", "Hello"]
    assert (Prompt.objects.count(), Response.objects.count()) == (1, 2)


def test_imported_tasks_are_labeled_on(load, project):
    prompt = make_prompt(project, "Hi")
    queue = make_queue(project)
    responses = [make_response(prompt, "Hello"), make_response(prompt, "What")]
    task = enqueue_task(queue=queue, prompt=prompt, responses=responses)
    row = {"prompt_id": "p", "response_a": "Hello", "response_b": "What", "winner": "a", "annotator": "ann"}
    Prompt.objects.filter(pk=prompt.pk).update(external_id="p")
    load("v.jsonl", jsonl(row), queue=queue)
    assert Task.objects.get() == task
    assert sorted(task.assignments.values_list("slot", "state")) == [(0, "open"), (1, "done")]
    assert enqueue_task(queue=queue, prompt=prompt, responses=responses) == task


def test_new_tasks_get_open_slots_when_they_are_asked_for(load):
    load("v.jsonl", jsonl(VOTE), also_ask=2)
    assert sorted(Task.objects.get().assignments.values_list("slot", "state")) == [
        (0, "done"),
        (1, "open"),
        (2, "open"),
    ]


@pytest.mark.parametrize(
    ("values", "column", "message"),
    [
        (
            {"winner": "perhaps"},
            "winner",
            "'perhaps' is neither a word for the first response nor the second nor a tie",
        ),
        ({"winner": None}, "winner", "nobody says which response is better"),
        ({"response_b": None}, "response_b", "there is no response here"),
        ({"response_b": "Hello"}, "response_b", "both responses are the same"),
        ({"created_at": "yesterday"}, "created_at", "is not a time such as"),
        ({"created_at": "1875-01-01"}, "created_at", "is before 1990"),
        ({"seconds": -1}, "seconds", "are not between 0 and"),
        ({"seconds": "1e400"}, "seconds", "not finite"),
        ({"annotator": "x" * 201}, "annotator", "the most is 200"),
        ({"annotator": {"id": 1}}, "annotator", "text is expected, not dict"),
        ({"rationale": "x" * 10_001}, "rationale", "the most is 10,000"),
        ({"prompt": None}, "prompt", "there is no prompt in this row"),
    ],
)
def test_a_bad_vote_is_refused(load, values, column, message):
    good = {**VOTE, "created_at": "2026-01-02", "seconds": 1, "rationale": "x"}
    ((number, where, said),) = refused(load, good, {**good, **values}, kind="votes")
    assert (number, where) == (2, column)
    assert message in said


def test_an_id_belongs_to_one_prompt(load):
    rows = [{"prompt": "One?", "prompt_id": "q1"}, {"prompt": "Two?", "prompt_id": "q1"}]
    ((number, column, message),) = refused(load, *rows, kind="prompts")
    assert (number, column) == (2, "prompt_id")
    assert "belongs to another prompt" in message


def test_names_of_any_length_and_script_become_people(load, project):
    names = ["x" * 150, "x" * 150 + "y", "Jürgen Müller", "a:b", "admin"]
    load("v.jsonl", jsonl(*({**VOTE, "annotator": name} for name in names)))
    assert set(ImportedPerson.objects.values_list("external_id", flat=True)) == set(names)
    assert all(one.user.username.startswith("imported:") for one in ImportedPerson.objects.select_related("user"))
