import uuid

import pytest

from feedback.models import Response
from feedback.responses import add_response
from tests.factories import make_prompt

pytestmark = pytest.mark.django_db


def test_a_response_says_who_wrote_it():
    prompt, run, checkpoint = make_prompt(), uuid.uuid4(), uuid.uuid4()
    response = add_response(
        prompt=prompt,
        text="Hello.",
        origin=f"{run}:0",
        model_name="small",
        checkpoint_id=checkpoint,
        run_id=run,
        sampling={"temperature": 0.7, "seed": 3},
    )
    response.refresh_from_db()
    assert (response.text, response.model_name, response.checkpoint_id, response.run_id) == (
        "Hello.",
        "small",
        checkpoint,
        run,
    )
    assert response.sampling == {"temperature": 0.7, "seed": 3}


def test_the_same_origin_again_returns_the_stored_response():
    prompt = make_prompt()
    first = add_response(prompt=prompt, text="One.", origin="run:0")
    assert add_response(prompt=prompt, text="Two.", origin="run:0") == first
    assert Response.objects.get().text == "One."
    assert add_response(prompt=make_prompt(), text="Two.", origin="run:0") != first


@pytest.mark.parametrize(("text", "stored"), [("a\x00b", "a\ufffdb"), ("half \ud83d!", "half \ufffd!"), ("🙂", "🙂")])
def test_what_no_database_keeps_is_replaced(text, stored):
    response = add_response(prompt=make_prompt(), text=text, origin="x")
    response.refresh_from_db()
    assert response.text == stored


def test_an_empty_answer_is_an_answer():
    assert add_response(prompt=make_prompt(), text="", origin="x").pk
