"""Find personal data and secrets that have a form: addresses, numbers, keys. Names of people have none.

Patterns say what may be something, checksums and the words around it whether it is. A text without a digit and without
an @ is done after one look, which most prompts are; the numbers in docs/benchmarks.md are of this file. Not counted as
anybody's data: local and loopback addresses, version strings, and numbers that fail their check.

What has no form (names, places) can be found by another finder, named in PERSONAL_DATA_FINDER; docs/settings.md shows
one that asks Presidio.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache

from django.conf import settings
from django.utils.module_loading import import_string

from feedback.hygiene import checksums

KINDS: dict[str, str] = {
    "email": "e-mail address",
    "phone": "phone number",
    "iban": "bank account (IBAN)",
    "card": "payment card",
    "ip": "IP address",
    "national_id": "national id number",
    "credentials": "address with a password in it",
    "secret": "key or token",
    "person": "name of a person",
    "place": "address or place",
    "other": "other personal data",
}
"""What is found, in words. The last three only by a finder of your own."""
PLACEHOLDERS: dict[str, str] = {
    "email": "[e-mail]",
    "phone": "[phone]",
    "iban": "[bank account]",
    "card": "[card number]",
    "ip": "[IP address]",
    "national_id": "[id number]",
    "credentials": "[address with password]",
    "secret": "[key]",
    "person": "[name]",
    "place": "[place]",
    "other": "[personal data]",
}
"""What stands in a text instead, once it is redacted."""

READ_LIMIT = 200_000
CONTEXT = 40
"""Characters before a number in which the words that say what it is are looked for."""


@dataclass(frozen=True, order=True)
class Span:
    """Something found: the characters from `start` up to `end`."""

    start: int
    end: int
    kind: str


def personal_data(text: str) -> list[Span]:
    """Return what is found in `text`, in order, no two overlapping."""
    text = text[:READ_LIMIT]
    found = list(formed(text)) if TRIGGER.search(text) else []
    if settings.PERSONAL_DATA_FINDER:
        found += own_finder()(text)
    return without_overlaps(found)


@cache
def own_finder() -> Callable[[str], Iterable[Span]]:
    finder: Callable[[str], Iterable[Span]] = import_string(settings.PERSONAL_DATA_FINDER)
    return finder


def without_overlaps(found: Iterable[Span]) -> list[Span]:
    """Keep, of those that overlap, the one that was found first: the surest patterns come first."""
    kept: list[Span] = []
    for span in found:
        if all(span.end <= other.start or other.end <= span.start for other in kept):
            kept.append(span)
    return sorted(kept)


# Patterns -----------------------------------------------------------------------------------------------------

TRIGGER = re.compile(r"[@0-9]")
LONG_NUMBER = re.compile(r"\d(?:[ ().\-/]{0,3}\d){6}")
LETTERED_NUMBER = re.compile(r"(?<![A-Za-z0-9])[A-Z]{0,6}\d{2}(?:[ -]?[A-Z0-9]){5}")
LETTERED_END = re.compile(r"\d{2}(?:[ -]?[A-Z0-9]){5}")
"""Stands in every lettered number; looking for what begins with a digit is quick."""

NOT_INSIDE = r"(?<![\w.@+-])"
"""What may not stand right before a number: it would be part of something longer."""
NOT_GOING_ON = r"(?![\w@]|[.,-]\d)"

URL_WITH_PASSWORD = re.compile(
    r"\b[A-Za-z][A-Za-z0-9+.-]{1,20}://[^\s/:@\"'<>]{1,200}:[^\s/@\"'<>]{1,200}@[^\s\"'<>)]+"
)
URL_WITH_TOKEN = re.compile(
    r"\bhttps?://[^\s\"'<>]{1,2000}?[?&](?:access_token|auth_token|token|api_?key|apikey|secret|password|passwd|sig)="
    r"[A-Za-z0-9%._~+/-]{8,}",
    re.IGNORECASE,
)
EMAIL = re.compile(r"(?<![\w.+%-])[\w][\w.+%'-]{0,63}@(?:[\w](?:[\w-]{0,62})\.){1,8}[^\W\d_]{2,24}(?![\w-])")
NO_EMAIL_ENDINGS = {"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "py", "css"}
NO_EMAIL_NAMES = {"git", "svn", "hg"}

KEY_SIGNS = (
    "AKIA", "ASIA", "ghp_", "gho_", "ghu_", "ghs_", "ghr_", "github_pat_", "glpat-", "sk-", "hf_", "xox", "AIza",
    "ya29.", "_live_", "_test_", "SG.", "npm_", "eyJ", "PRIVATE KEY", "dckr_pat_", "pypi-",
)  # fmt: skip
"""One of them stands in every key that is known here; looking for them first is quick."""
SIGNS_WITH = {
    "_": [sign for sign in KEY_SIGNS if "_" in sign],
    "-": [sign for sign in KEY_SIGNS if "-" in sign],
    "": [sign for sign in KEY_SIGNS if "_" not in sign and "-" not in sign],
}
"""The same by a character that most texts do not have."""
KEY = re.compile(
    r"(?<![A-Za-z0-9_-])(?:"
    r"(?:AKIA|ASIA)[0-9A-Z]{16}"
    r"|gh[pousr]_[A-Za-z0-9]{36,}"
    r"|github_pat_[A-Za-z0-9_]{22,}"
    r"|glpat-[A-Za-z0-9_-]{20,}"
    r"|sk-(?=[A-Za-z_-]*\d)[A-Za-z0-9_-]{20,}"
    r"|hf_[A-Za-z0-9]{30,}"
    r"|xox[abeoprs]-[A-Za-z0-9-]{10,}"
    r"|AIza[0-9A-Za-z_-]{35}"
    r"|ya29\.[0-9A-Za-z_-]{20,}"
    r"|[rsp]k_(?:live|test)_[0-9A-Za-z]{16,}"
    r"|SG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}"
    r"|npm_[A-Za-z0-9]{36}"
    r"|dckr_pat_[A-Za-z0-9_-]{20,}"
    r"|pypi-[A-Za-z0-9_-]{40,}"
    r"|eyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}"
    r")(?![A-Za-z0-9])"
)
PRIVATE_KEY = re.compile(
    r"-----BEGIN [A-Z ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,40}PRIVATE KEY-----|\Z)", re.S
)

IBAN = re.compile(r"(?<![A-Za-z0-9])[A-Z]{2}\d{2}(?:[ -]?[A-Z0-9]){11,30}(?![A-Za-z0-9])", re.IGNORECASE)
CARD = re.compile(rf"{NOT_INSIDE}\d(?:[ -]?\d){{12,18}}{NOT_GOING_ON}")
SSN = re.compile(rf"{NOT_INSIDE}\d{{3}}([- ])\d{{2}}\1\d{{4}}{NOT_GOING_ON}")
CPF = re.compile(rf"{NOT_INSIDE}\d{{3}}\.\d{{3}}\.\d{{3}}-\d{{2}}{NOT_GOING_ON}")
AADHAAR = re.compile(rf"{NOT_INSIDE}[2-9]\d{{3}} \d{{4}} \d{{4}}{NOT_GOING_ON}(?! \d)")
NIR = re.compile(r"(?<![\w.-])[12] ?\d{2} ?(?:0[1-9]|1[0-2]|[2-4]\d) ?(?:\d{2}|2[AB]) ?\d{3} ?\d{3} ?\d{2}(?![\w-])")
SPANISH = re.compile(r"(?<![\w.-])(?:\d{8}|[XYZ]-?\d{7})[- ]?[TRWAGMYFPDXBNJZSQVHLCKE](?![\w-])")
ITALIAN = re.compile(r"(?<!\w)[A-Z]{6}\d{2}[ABCDEHLMPRST]\d{2}[A-Z]\d{3}[A-Z](?!\w)", re.IGNORECASE)
UK_INSURANCE = re.compile(
    r"(?<!\w)(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z] ?\d{2} ?\d{2} ?\d{2} ?[A-D](?!\w)"
)
NUMBER = re.compile(rf"{NOT_INSIDE}\d(?:[ .-]?\d){{8,11}}{NOT_GOING_ON}")

IPV4 = re.compile(r"(?<![\w.-])(?:\d{1,3}\.){3}\d{1,3}(?![\w-]|\.\d)")
IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
VERSION_WORDS = re.compile(
    r"(?:\bv|version|release|firmware|build|revision|update|upgrade[ds]?|driver|patch|chapter|section|clause|figure"
    r"|table|article|paragraph|ver\.?|rev\.?|§|sdk|kernel|oid)[\s:#=(]*(?:to |from |is |no\.? ?|number )?$",
    re.IGNORECASE,
)
ADDRESS_WORDS = re.compile(r"\b(?:ips?|ipv[46]|address|host|server|ping|dns|ssh|gateway|subnet|client|visitor)\b", re.I)
SMALL = 32
"""Four numbers below this, without a word that says it is an address, are a version or the number of a section."""

INTERNATIONAL = re.compile(r"(?<![\w.+])(?:\+|(?<!\d )00)[1-9](?:[ ().\-/]{0,2}\d){7,14}(?![\w]|[.-]\d)")
AMERICAN = re.compile(r"(?<![\w.+/-])(?:1[ .-])?(?:\([2-9]\d\d\) ?|[2-9]\d\d[ .-])[2-9]\d\d[ .-]\d{4}(?![\w-]|\.\d)")
NATIONAL = re.compile(
    r"(?<![\w.+/-])(?<!\d )(?:\(0[1-9]\d{0,3}\) ?\d{3,4}[ -]?\d{3,4}"
    r"|0[1-9]\d{1,3}(?: ?[/-] ?| )\d{3,4}[ -]?\d{2,5}(?:[ -]?\d{2,3})?|0[1-9](?:[ .-]\d{2}){4}|07\d{9})(?![\w-]|\.\d)"
)
SPOKEN = re.compile(r"(?<![\w.+/-])\(?\d(?:[ ().\-/]{0,3}\d){6,11}(?![\w-]|\.\d)")
PHONE_WORDS = re.compile(
    r"(?:\btel(?:efon|ephone|[ée]fono|efone)?\b|\bphones?\b|\bmobil[eé]?\b|\bcell\b|\bcall(?: me| us)?\b|\bfax\b"
    r"|whats ?app|\btext me\b|\bhandy|\brufnummer|\bnumber is\b|\bhotline\b)[^\d\n]{0,20}$",
    re.IGNORECASE,
)
DATE = re.compile(r"(?:19|20)\d\d[-/. ](?:0?[1-9]|1[0-2])[-/. ]\d{1,2}|\d{1,2}[-/. ]\d{1,2}[-/. ](?:19|20)\d\d")


def formed(text: str) -> Iterator[Span]:
    """Yield what the patterns find, the surest first."""
    has_at, has_address = "@" in text, "://" in text
    if has_address:
        yield from spans(URL_WITH_PASSWORD, text, "credentials") if has_at else ()
        yield from spans(URL_WITH_TOKEN, text, "credentials") if "=" in text else ()
    if has_at:
        yield from spans(EMAIL, text, "email", is_email)
    if has_key_sign(text):
        yield from spans(PRIVATE_KEY, text, "secret")
        yield from spans(KEY, text, "secret")
    if text.count(":") > 1:
        yield from spans(IPV6, text, "ip", lambda found: found.count(":") > 1 and checksums.is_ipv6(found))
    if LETTERED_END.search(text) and LETTERED_NUMBER.search(text):
        yield from lettered(text)
    if text.count(".") > 2:
        yield from addresses(text)
    if LONG_NUMBER.search(text):
        yield from numbers(text)
        yield from phones(text)


def has_key_sign(text: str) -> bool:
    """Tell whether one of KEY_SIGNS stands in the text; every text comes by here, so it is any() written out."""
    for part, signs in SIGNS_WITH.items():
        if part in text:
            for sign in signs:
                if sign in text:
                    return True
    return False


def spans(pattern: re.Pattern[str], text: str, kind: str, holds: Callable[[str], bool] | None = None) -> Iterator[Span]:
    for match in pattern.finditer(text):
        if holds is None or holds(match.group()):
            yield Span(match.start(), match.end(), kind)


def is_email(found: str) -> bool:
    name, _, domain = found.partition("@")
    return domain.rsplit(".", 1)[-1].lower() not in NO_EMAIL_ENDINGS and name.lower() not in NO_EMAIL_NAMES


def lettered(text: str) -> Iterator[Span]:
    """Yield numbers with letters in them."""
    for match in IBAN.finditer(text):
        if (end := end_of_iban(match.group())) is not None:
            yield Span(match.start(), match.start() + end, "iban")
    yield from spans(SPANISH, text, "national_id", checksums.is_spanish_id)
    yield from spans(ITALIAN, text, "national_id", checksums.is_italian_tax_code)
    yield from spans(UK_INSURANCE, text, "national_id")


def end_of_iban(found: str) -> int | None:
    """Return where the IBAN at the start of `found` ends, whatever words follow; None when there is none."""
    length = checksums.IBAN_LENGTHS.get(found[:2].upper(), 0)
    taken = 0
    for place, character in enumerate(found):
        taken += character not in " -"
        if taken == length:
            return place + 1 if checksums.is_iban(found[: place + 1]) else None
    return None


def addresses(text: str) -> Iterator[Span]:
    for match in IPV4.finditer(text):
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        parts = [int(part) for part in match.group().split(".")]
        if not checksums.is_ipv4(match.group()) or VERSION_WORDS.search(before):
            continue
        if max(parts) >= SMALL or ADDRESS_WORDS.search(before):
            yield Span(match.start(), match.end(), "ip")


def numbers(text: str) -> Iterator[Span]:
    """Yield numbers of digits alone that have a checksum, and where the checksum is weak, a form or a word as well."""
    yield from spans(CARD, text, "card", checksums.is_card)
    yield from spans(NIR, text, "national_id", checksums.is_french_security)
    yield from spans(SSN, text, "national_id", checksums.is_us_social_security)
    yield from spans(CPF, text, "national_id", checksums.is_brazilian_cpf)
    yield from spans(AADHAAR, text, "national_id", checksums.is_indian_aadhaar)
    for match in NUMBER.finditer(text):
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        digits = checksums.digits_of(match.group())
        for words, length, holds in NAMED_NUMBERS:
            if len(digits) == length and words.search(before) and holds(digits):
                yield Span(match.start(), match.end(), "national_id")


def named(words: str) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{words})\b[^\d\n]{{0,25}}$", re.IGNORECASE)


NAMED_NUMBERS: tuple[tuple[re.Pattern[str], int, Callable[[str], bool]], ...] = (
    (named("ssn|social security"), 9, checksums.is_us_social_security),
    (named("nhs"), 10, checksums.is_uk_nhs),
    (named("steuer-?id|steuer-?identifikationsnummer|idnr|tax id|tin"), 11, checksums.is_german_tax_id),
    (named("pesel"), 11, checksums.is_polish_pesel),
    (named("cpf"), 11, checksums.is_brazilian_cpf),
    (named("aadhaar|aadhar|uidai"), 12, checksums.is_indian_aadhaar),
)
"""Numbers whose checksum one in ten others passes: only where the words before say what they are."""


def phones(text: str) -> Iterator[Span]:
    yield from spans(INTERNATIONAL, text, "phone", lambda found: 8 <= len(checksums.digits_of(found)) <= 15)
    for pattern in (AMERICAN, NATIONAL):
        yield from spans(pattern, text, "phone", lambda found: not DATE.search(found))
    for match in SPOKEN.finditer(text):
        before = text[max(0, match.start() - CONTEXT) : match.start()]
        if PHONE_WORDS.search(before) and not DATE.search(match.group()):
            yield Span(match.start(), match.end(), "phone")
