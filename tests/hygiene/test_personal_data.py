"""What is somebody's data, and what only looks like it."""

from __future__ import annotations

from itertools import pairwise

import pytest

from feedback.hygiene.personal import KINDS, PLACEHOLDERS, Span, personal_data

FOUND = [
    ("email", "Write to jane.doe@example.com, please.", "jane.doe@example.com"),
    ("email", "jörg@straße.de", "jörg@straße.de"),
    ("email", "<a+b@sub.domain.co.uk>", "a+b@sub.domain.co.uk"),
    ("phone", "Call +49 30 1234567 now", "+49 30 1234567"),
    ("phone", "+442079460958", "+442079460958"),
    ("phone", "(212) 555-0187 please", "(212) 555-0187"),
    ("phone", "It is 212-555-0187.", "212-555-0187"),
    ("phone", "0171/1234567", "0171/1234567"),
    ("phone", "Appelle le 06 12 34 56 78 demain", "06 12 34 56 78"),
    ("phone", "020 7946 0958", "020 7946 0958"),
    ("phone", "07911123456", "07911123456"),
    ("phone", "my phone is 5550143222", "5550143222"),
    ("phone", "Tel.: 030 / 901820", "030 / 901820"),
    ("iban", "DE89 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ("iban", "pay to GB82WEST12345698765432 by Friday", "GB82WEST12345698765432"),
    ("iban", "FR1420041010050500013M02606 please pay", "FR1420041010050500013M02606"),
    ("card", "4111 1111 1111 1111", "4111 1111 1111 1111"),
    ("card", "card 378282246310005.", "378282246310005"),
    ("card", "5555-5555-5555-4444", "5555-5555-5555-4444"),
    ("ip", "blocked 203.0.113.77 at noon", "203.0.113.77"),
    ("ip", "2001:0db8:85a3:0000:0000:8a2e:0370:7334", "2001:0db8:85a3:0000:0000:8a2e:0370:7334"),
    ("ip", "from 2001:db8::ff00:42:8329 again", "2001:db8::ff00:42:8329"),
    ("ip", "my ip is 8.8.8.8", "8.8.8.8"),
    ("national_id", "SSN 536-90-4399", "536-90-4399"),
    ("national_id", "social security: 536904399", "536904399"),
    ("national_id", "DNI 12345678Z", "12345678Z"),
    ("national_id", "NIE X1234567L", "X1234567L"),
    ("national_id", "RSSMRA85T10A562S", "RSSMRA85T10A562S"),
    ("national_id", "1 84 12 76 451 089 46", "1 84 12 76 451 089 46"),
    ("national_id", "529.982.247-25", "529.982.247-25"),
    ("national_id", "PESEL 44051401359", "44051401359"),
    ("national_id", "NHS number 943 476 5919", "943 476 5919"),
    ("national_id", "Steuer-ID 86095742719", "86095742719"),
    ("national_id", "NI number AB123456C", "AB123456C"),
    ("national_id", "2341 2341 2346", "2341 2341 2346"),
    ("credentials", "postgres://bob:secret@db.host.com/x", "postgres://bob:secret@db.host.com/x"),
    ("credentials", "https://x.com/?token=abcdef1234567", "https://x.com/?token=abcdef1234567"),
    ("secret", "AKIAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE"),
    ("secret", f"ghp_{'a1B2' * 9}", f"ghp_{'a1B2' * 9}"),
    ("secret", "key = sk-proj-abcdefghij1234567890ABCD", "sk-proj-abcdefghij1234567890ABCD"),
    ("secret", f"hf_{'aB3' * 11}", f"hf_{'aB3' * 11}"),
    ("secret", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk",
     "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abcdefghijk"),
    ("secret", "-----BEGIN RSA PRIVATE KEY-----\nMIIE0\n-----END RSA PRIVATE KEY----- end",
     "-----BEGIN RSA PRIVATE KEY-----\nMIIE0\n-----END RSA PRIVATE KEY-----"),
]  # fmt: skip

NOTHING = [
    "Python 3.11.4.2 is out", "version 10.20.30.40", "upgrade to 1.2.3.4", "v203.0.113.77", "See section 3.1.2.4",
    "192.168.1.1", "127.0.0.1", "10.0.0.1", "::1", "fe80::1", "12:34:56", "10:20:30:40", "std::vector<int>::iterator",
    "a::b::c", "::before", "arr[0:10:2]",
    "order 4111 1111 1111 1112", "order number 1234567812345678", "1700000000000", "0000 0000 0000 0000",
    "DE89 3704 0044 0532 0130 01", "XX89 3704 0044 0532 0130 00",
    "2024-05-01 12:30:45", "01/02/2023 1030", "In 1990, 1991, 1992 and 1993", "2020-2021-2022", "2010 2011 2012 2013",
    "ISBN 978-3-16-148410-0", "3.14159265358979", "What is 1234567 plus 7654321?", "1,234,567,890", "1 000 000 000",
    "100 000 000 000", "row 1 2 3 4 5 6 7 8 9 10 11 12", "1920-1080-2020", "call 911", "0123456789",
    "user@2x.png", "git@github.com:org/repo.git", "@someone said", "react@18.2.0", "a @ b",
    "000-12-3456", "666-12-3456", "987-65-4321", "123456789", "12345678A", "RSSMRA85T10A562T", "529.982.247-26",
    "PESEL 44051401358", "86095742719", "2341 2341 2347",
    "https://example.com/path?id=12345678", "https://example.com:8080/a@b",
    "SHA 3f2504e04f8911d39a0c0305e82c3301", "550e8400-e29b-41d4-a716-446655440000",
    "sk-learn-is-a-very-nice-library-name", "", "Name a river.",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "marked"), FOUND, ids=[f"{kind}: {text[:30]}" for kind, text, _ in FOUND])
def test_what_is_somebodys_is_found_whole_and_once(kind, text, marked):
    found = personal_data(text)
    assert [(span.kind, text[span.start : span.end]) for span in found] == [(kind, marked)]


@pytest.mark.parametrize("text", NOTHING)
def test_what_only_looks_like_it_is_not_found(text):
    assert [(span.kind, text[span.start : span.end]) for span in personal_data(text)] == []


def test_several_in_one_text_come_in_their_order_and_do_not_overlap():
    text = "jane@example.com, +49 30 1234567, 4111 1111 1111 1111, and bob@example.org from 203.0.113.9."
    found = personal_data(text)
    assert [span.kind for span in found] == ["email", "phone", "card", "email", "ip"]
    assert all(one.end <= other.start for one, other in pairwise(found))


def test_every_kind_has_words_and_a_placeholder():
    assert KINDS.keys() == PLACEHOLDERS.keys()
    assert {kind for kind, _, _ in FOUND} <= KINDS.keys()


def test_a_placeholder_is_not_personal_data_itself():
    for placeholder in PLACEHOLDERS.values():
        assert personal_data(f"Write to {placeholder} 12 times.") == []


def test_a_long_text_of_digits_takes_no_time():
    assert personal_data("1 " * 50_000 + "9" * 50_000 + "a@" * 50_000 + ":" * 20_000) == []


def find_ada(text: str) -> list[Span]:
    at = text.find("Ada")
    return [Span(at, at + 3, "person")] if at >= 0 else []


def test_a_finder_of_your_own_adds_what_has_no_form(settings):
    settings.PERSONAL_DATA_FINDER = "tests.hygiene.test_personal_data.find_ada"
    assert [span.kind for span in personal_data("Ada writes to ada@example.com")] == ["person", "email"]
