"""Which texts give away the model that wrote them, and which only talk about models."""

from __future__ import annotations

import pytest

from feedback.naming import WORDS_LIMIT, words_of_self_naming
from feedback.responses import add_response
from tests.factories import make_prompt, make_user

NAMING = [
    ("As ChatGPT, I cannot do that.", "As ChatGPT, I"),
    ("I am Claude, made by Anthropic.", "I am Claude"),
    ("Hi! I'm SmolLM, nice to meet you.", "I'm SmolLM"),
    ("I am a large language model, trained by Google.", "I am a large language model, trained by Google"),
    (
        "I'm an AI assistant called Qwen, created by Alibaba Cloud.",
        "I'm an AI assistant called Qwen, created by Alibaba",
    ),
    ("I was created by OpenAI to help.", "I was created by OpenAI"),
    ("As an AI language model developed by OpenAI, I cannot.", "As an AI language model developed by OpenAI"),
    ("My name is Bard.", "My name is Bard"),
    ("I\u2019m GPT-4, a model.", "I'm GPT-4"),
    ("As Claude, an AI made by Anthropic, I think so.", "As Claude, an AI made by Anthropic, I"),
    ("I am powered by GPT-4o.", "I am powered by GPT-4o"),
    ("I'm a Gemini model, so no.", "I'm a Gemini model"),
    ("Sure.\n\nI am\nchatgpt.", "I am chatgpt"),
    ("I'm not ChatGPT, I'm Qwen2.5-7B!", "I'm Qwen2.5-7B"),
    ("OpenAI trained me to be brief.", "OpenAI trained me"),
]

TALKING = [
    "Claude is made by Anthropic, and ChatGPT by OpenAI.",
    "If you use ChatGPT, say what you want first.",
    "As an AI language model, I cannot do that.",
    "I am not ChatGPT.",
    "I am using ChatGPT to write a poem.",
    "I am a fan of Claude Monet. As Claude Monet said, light is all.",
    "I am a Claude user.",
    "I am Claude's friend.",
    "I am a Gemini and she is a Leo.",
    "I'm a falcon in the sky.",
    "I work at Google. Meta made me laugh.",
    "I am on granite, by the sea.",
    "I was trained by my mother, and made by hand in Italy.",
    "The phi coefficient is 0.4. I am phishing.",
    "",
]


@pytest.mark.parametrize(("text", "words"), NAMING)
def test_a_model_that_names_itself_is_recognised(text, words):
    assert words_of_self_naming(text) == words


@pytest.mark.parametrize("text", TALKING)
def test_a_text_that_talks_about_models_is_not_flagged(text):
    assert words_of_self_naming(text) == ""


@pytest.mark.parametrize("text", ["I am Nimbus.", "I'm Nimbus2-1B.", "As Nimbus, I know that.", "my name is nimbus"])
def test_the_model_is_known_by_the_name_that_the_project_gives_it(text):
    assert words_of_self_naming(text, "org/Nimbus2-1B-Instruct")
    assert words_of_self_naming(text) == ""


@pytest.mark.parametrize("model_name", ["a model", "base-1", "policy", "dpo-3", "", "///"])
def test_everyday_words_in_a_models_name_flag_nobody(model_name):
    assert words_of_self_naming("I am a model of my base, and as policy, I am a dpo.", model_name) == ""


def test_a_hostile_text_is_read_in_no_time_that_counts():
    for text in ("I am a language model, " * 20_000, "I am a large small open free " * 20_000, "as a AI " * 50_000):
        assert len(words_of_self_naming(text, "x/Nimbus-1")) <= WORDS_LIMIT


@pytest.mark.django_db
def test_the_words_are_stored_beside_a_models_response_and_never_beside_a_persons():
    prompt = make_prompt()
    values = {"prompt": prompt, "text": "I am Claude."}
    assert add_response(**values, origin="run:0", model_name="m").names_itself == "I am Claude"
    assert add_response(**values, origin="person:0", person=make_user()).names_itself == ""
