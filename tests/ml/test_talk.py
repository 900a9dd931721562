"""Answering turns: at most so many models in memory, each row with its own seed, one line out for one line in."""

from __future__ import annotations

import io
import json

import pytest

pytestmark = pytest.mark.torch


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    from tests.tiny_model import save_tiny_model

    place = tmp_path_factory.mktemp("voices")
    return [save_tiny_model(place / str(seed), seed=seed) for seed in range(3)]


def asked(*who, **overrides):
    return {
        "id": "t",
        "messages": [{"role": "user", "content": "What is water?"}],
        "temperature": 1.0,
        "top_p": 1.0,
        "max_new_tokens": 6,
        "answers": [{"base": str(base), "adapters": [], "seed": seed} for base, seed in who],
        **overrides,
    }


def test_two_models_answer_each_with_its_own_seed(models):
    from training.ml.talk import Voices, answer

    one, two = models[:2]
    voices = Voices()
    first = answer(voices, asked((one, 1), (two, 2)))
    swapped = answer(voices, asked((two, 2), (one, 1)))
    assert first == swapped[::-1], "an answer depends on its model and seed, not on its place"
    assert first[0]["text"]
    assert answer(voices, asked((one, 1), (one, 7)))[0] == first[0], "nor on who answers beside it"


def test_no_more_models_are_held_than_allowed(models):
    from training.ml.talk import Voices, answer

    voices = Voices(most=2)
    answer(voices, asked((models[0], 1), (models[1], 1)))
    kept = voices.loaded.copy()
    answer(voices, asked((models[1], 1), (models[2], 1)))
    assert [source.base for source in voices.loaded] == [str(models[1]), str(models[2])]
    last = next(iter(voices.loaded))
    assert voices.loaded[last][0] is kept[last][0], "the one that was just asked is not loaded again"


def test_every_line_is_answered_and_a_refusal_is_an_answer(models, tmp_path):
    from training.ml.talk import serve

    lines = [asked((models[0], 1), (models[0], 2), id="a"), asked((tmp_path / "gone", 1), (models[0], 2), id="b")]
    lines.append(asked((models[0], 1), (models[0], 2), id="c", max_new_tokens=4096))
    out = io.StringIO()
    serve(io.StringIO("".join(json.dumps(line) + "\n" for line in lines)), out)
    said = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [one["id"] for one in said] == ["a", "b", "c"]
    assert [set(answer) for answer in said[0]["answers"]] == [{"text", "finished"}] * 2
    assert "has no config.json" in said[1]["error"]
    assert "the model's window" in said[2]["error"]
    assert said[1]["for_good"]
