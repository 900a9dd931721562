"""What is done in a quicker way for most rows gives what the slower way gives."""

from __future__ import annotations

import gc

import pytest

from feedback.contract import digest, digest_of_chat
from feedback.hygiene.personal import KEY_SIGNS, LETTERED_END, LETTERED_NUMBER, has_key_sign
from feedback.imports.cells import BadCell
from feedback.imports.chats import is_plain, read_prompt
from feedback.imports.collecting import seldom_collecting
from feedback.splits import NOT_WORDS, normal_text

TEXTS = ["", " ", "a", 'He said "no"\\', "tab\tand\x1f\x7f\u2028\u2029", "Straße ÅÉ 🙂 漢字", "a\r\nb", "</script>"]


@pytest.mark.parametrize("text", TEXTS)
def test_a_chat_has_one_digest(text):
    chat = [{"role": "system", "content": text}, {"content": text, "role": "user"}]
    assert digest_of_chat(chat) == digest(chat)
    assert digest_of_chat(chat[1:]) == digest(chat[1:])


def test_ascii_has_the_normal_form_of_any_text():
    characters = [chr(code) for code in range(128)]
    for text in [*characters, *(f"A{one}{other}_B " for one in characters for other in characters)]:
        assert normal_text(text) == NOT_WORDS.sub(" ", text.casefold()).strip()


@pytest.mark.parametrize("sign", KEY_SIGNS)
def test_every_sign_of_a_key_is_seen(sign):
    assert has_key_sign(f"this is {sign}, is it not")
    assert not has_key_sign("a text-book_example")


@pytest.mark.parametrize("text", ["DE89370400440532013000", "it is 12345678Z", "RSSMRA85T10A562S", "AB 12 34 56 C"])
def test_a_lettered_number_ends_as_is_looked_for_first(text):
    assert bool(LETTERED_NUMBER.search(text)) <= bool(LETTERED_END.search(text))


@pytest.mark.parametrize("text", ["", "  \n", "a\x00b", "x" * 100_001])
def test_what_is_no_plain_prompt_is_refused_by_the_full_checks(text):
    assert not is_plain(text)
    with pytest.raises(BadCell):
        read_prompt("prompt", text)


def test_garbage_is_collected_as_before_once_the_last_is_done():
    before = gc.get_threshold()
    with seldom_collecting():
        with seldom_collecting():
            assert gc.get_threshold() != before
        assert gc.get_threshold() != before
    assert gc.get_threshold() == before
