"""The language of a text, where it can be told, and whether it is the one said."""

from __future__ import annotations

import pytest

from feedback.hygiene.languages import code_of, contradicts, language_of

SENTENCES = {
    "en": "Explain in a few words why the sky is blue at noon.",
    "de": "Erkläre in wenigen Worten, warum der Himmel mittags blau ist.",
    "fr": "Explique en quelques mots pourquoi le ciel est bleu à midi.",
    "es": "Explica en pocas palabras por qué el cielo es azul al mediodía.",
    "it": "Spiega in poche parole perché il cielo è blu a mezzogiorno.",
    "pt": "Explique em poucas palavras por que o céu é azul ao meio-dia.",
    "nl": "Leg in een paar woorden uit waarom de lucht overdag blauw is.",
    "pl": "Wyjaśnij w kilku słowach, dlaczego niebo w południe jest niebieskie.",
    "ru": "Объясни в нескольких словах, почему небо в полдень голубое.",
    "uk": "Поясни кількома словами, чому небо опівдні блакитне.",
    "tr": "Gökyüzünün öğlen neden mavi olduğunu birkaç kelimeyle açıkla.",  # noqa: RUF001
    "zh": "请用几句话解释为什么中午的天空是蓝色的。",
    "ja": "正午の空がなぜ青いのか、簡単に説明してください。",
    "ko": "한낮의 하늘이 왜 파란지 몇 마디로 설명해 주세요.",
    "ar": "اشرح في بضع كلمات لماذا تكون السماء زرقاء عند الظهر.",
    "hi": "कुछ शब्दों में समझाइए कि दोपहर में आसमान नीला क्यों होता है।",
    "el": "Εξήγησε με λίγα λόγια γιατί ο ουρανός είναι μπλε το μεσημέρι.",  # noqa: RUF001
}


@pytest.mark.parametrize("language", SENTENCES)
def test_a_sentence_tells_its_language(language):
    assert language_of(SENTENCES[language]) == language


@pytest.mark.parametrize(
    "text", ["", "Hi", "OK, go on", "12345 67890 12345", "好的", "https://example.com/die/das/der"]
)
def test_too_little_text_tells_nothing(text):
    assert language_of(text) == ""


def test_code_and_addresses_do_not_count():
    code = "```\nfor i in range(10):\n    print(i)\n```"
    assert language_of(f"Was tut dieses Programm, und warum so langsam?\n{code}") == "de"
    assert language_of(code) == ""


@pytest.mark.parametrize(
    ("said", "code"),
    [
        ("en", "en"),
        ("pt-BR", "pt"),
        ("zh_Hant", "zh"),
        ("English", "en"),
        ("deu", "de"),
        ("nb", "no"),
        ("", ""),
        ("?", ""),
    ],
)
def test_languages_are_known_by_the_names_that_files_give_them(said, code):
    assert code_of(said) == code


def test_another_language_than_said_contradicts():
    assert contradicts("en", "de")
    assert contradicts("English", "fr")
    assert not contradicts("de-AT", "de")


def test_what_is_unknown_or_hard_to_tell_apart_does_not_contradict():
    assert not contradicts("", "de")
    assert not contradicts("en", "")
    assert not contradicts("hr", "sr")
