"""What annotators read is translated whole: the catalog has every text, and no text of their pages is outside it."""

from __future__ import annotations

import gettext
import re
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.pofile import read_po
from django.conf import settings
from django.urls import reverse

from rlhf_site.translations import in_template, messages
from tests.factories import PASSWORD, make_queue, make_task

LANGUAGES = [code for code, _ in settings.LANGUAGES if code != settings.LANGUAGE_CODE]
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|\{\w+\}|</?\w+[^>]*>|%%")
ERRORS = ("400", "403", "403_csrf", "404", "500", "503")
TEMPLATES = [
    *sorted((settings.BASE_DIR / "feedback/templates/feedback/annotator").glob("*.html")),
    *sorted((settings.BASE_DIR / "rlhf_site/templates/account").glob("*.html")),
    *(
        settings.BASE_DIR / "rlhf_site/templates" / f"{name}.html"
        for name in ("base", "home", "_site_header", "_field", "_pagination", *ERRORS)
    ),
]
NO_TEXT = re.compile(
    r"(?s){% block main_class %}.*?{% endblock %}|{% blocktranslate.*?{% endblocktranslate %}"
    r"|{#.*?#}|{%.*?%}|{{.*?}}|<!--.*?-->"
)
OF_NO_LANGUAGE = {
    *("Concord", "Enter", "Esc", "Ctrl", "UTC", "MathML"),
    *"ABCDEFGHIJKLMNOPQRSTUVWXYZ",
}


def catalog(code: str) -> tuple[Catalog, Path]:
    path = Path(settings.LOCALE_PATHS[0]) / code / "LC_MESSAGES" / "django.po"
    with open(path, "rb") as file:
        return read_po(file, locale=code), path


def forms_of(text: object) -> tuple[str, ...]:
    return tuple(text) if isinstance(text, tuple | list) else (str(text),)


@pytest.mark.parametrize("code", LANGUAGES)
def test_every_text_is_translated_and_none_is_left_over(code):
    found, _ = catalog(code)
    asked = {(context, text) for context, text, _ in messages()}
    there = {(entry.context or "", forms_of(entry.id)[0]): entry for entry in found if entry.id}
    assert set(there) == asked, "run `manage.py translations`"
    assert [key for key, entry in there.items() if not all(forms_of(entry.string)) or entry.fuzzy] == []


@pytest.mark.parametrize("code", LANGUAGES)
def test_a_translation_keeps_what_is_filled_in(code):
    found, _ = catalog(code)
    for entry in found:
        if entry.id:
            wanted = set(PLACEHOLDER.findall(forms_of(entry.id)[-1]))
            for said in forms_of(entry.string)[-1:]:
                assert set(PLACEHOLDER.findall(said)) == wanted, entry.id


@pytest.mark.parametrize("code", LANGUAGES)
def test_what_is_compiled_is_what_is_written(code):
    found, path = catalog(code)
    with open(path.with_suffix(".mo"), "rb") as file:
        compiled = gettext.GNUTranslations(file)
    for entry in found:
        if not entry.id:
            continue
        first, *more = forms_of(entry.id)
        if more:
            assert (compiled.ngettext(first, more[0], 1), compiled.ngettext(first, more[0], 2)) == forms_of(
                entry.string
            )
        elif entry.context:
            assert compiled.pgettext(entry.context, first) == entry.string
        else:
            assert compiled.gettext(first) == entry.string


def words_outside(template: str) -> list[str]:
    """Return what a reader of the page would see or hear that is in no `translate` tag."""
    text = NO_TEXT.sub("", template)
    said = re.findall(r'(?:aria-label|title|placeholder|alt)="([^"]*)"', text)
    said.append(re.sub(r"(?s)<title>.*?</title>|<[^>]*>", " ", text))
    return [
        word
        for part in said
        for word in re.findall(r"[A-Za-z][A-Za-z'-]*", re.sub(r"&\w+;", " ", part))
        if word not in OF_NO_LANGUAGE
    ]


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_no_word_of_the_annotators_templates_is_outside_a_translation(path):
    assert words_outside(path.read_text()) == []


def test_a_word_outside_is_found():
    assert words_outside('{% load i18n %}<p title="Now">{% translate "Here" %} there</p>') == ["Now", "there"]


def test_a_template_gives_its_texts_with_context_and_plural():
    text = """{% load i18n %}{% translate "left" context "side" %}{% translate 'It is "so"' as it %}
    {% blocktranslate count n=n %}{{ n }} day{% plural %}{{ n }} days{% endblocktranslate %}"""
    assert set(in_template(text)) == {("side", "left", ""), ("", 'It is "so"', ""), ("", "%(n)s day", "%(n)s days")}


# Choosing a language ------------------------------------------------------------------------------


def test_the_browsers_language_is_spoken(client, db):
    page = client.get(reverse("account_login"), headers={"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"})
    assert '<html lang="de"' in page.content.decode()
    assert "Angemeldet bleiben" in page.content.decode()


def test_a_language_that_there_is_not_gets_english(client, db):
    page = client.get(reverse("account_login"), headers={"Accept-Language": "nl"})
    assert '<html lang="en"' in page.content.decode()


def test_a_choice_in_the_menu_counts_over_the_browser_and_leads_back(client, project, annotator):
    queue = make_queue(project)
    make_task(queue)
    client.force_login(annotator)
    here = reverse("label", args=[queue.pk])
    assert 'name="language" value="de"' in client.get(here).content.decode()
    answer = client.post(reverse("set_language"), {"language": "de", "next": here})
    assert (answer.status_code, answer["Location"]) == (302, here)
    page = client.get(here, headers={"Accept-Language": "en"}).content.decode()
    assert '<html lang="de"' in page
    assert "Welche Antwort ist besser?" in page


def test_a_page_that_is_not_translated_is_whole_in_english(client, project, curator):
    client.force_login(curator)
    page = client.get(reverse("queues", args=[project.slug]), headers={"Accept-Language": "de"}).content.decode()
    assert '<html lang="en"' in page
    assert "Log out" in page


def test_the_api_answers_in_english(client, db):
    answer = client.post("/api/v1/token/", {"username": "x", "password": PASSWORD}, headers={"Accept-Language": "de"})
    assert "Unable" in answer.content.decode() or "credentials" in answer.content.decode()
