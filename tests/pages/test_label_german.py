"""The annotator's pages in German hold no English text of the software's own."""

from __future__ import annotations

import functools
from html.parser import HTMLParser

import pytest
from django.urls import reverse
from django.utils import translation

from feedback.models import AnnotatorProfile, Qualification
from feedback.queues import change_policy, set_queue_state
from feedback.reviewing import review_judgment
from feedback.schemas import TaskKind
from rlhf_site.translations import messages
from tests.factories import make_judgment, make_queue, make_task, make_user
from tests.pages.label import at, let_lease_run_out, open_task, submit

pytestmark = pytest.mark.django_db
GERMAN = {"Accept-Language": "de"}
READ_ALOUD = ("aria-label", "title", "placeholder", "alt")


class Said(HTMLParser):
    """Collects every text of a page, and what its attributes say to a reader or a script."""

    def __init__(self) -> None:
        super().__init__()
        self.texts: set[str] = set()

    def handle_data(self, data: str) -> None:
        self.texts.add(" ".join(data.split()))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        inside = dict(attrs).get("id") in ("words", "trouble")
        self.texts.update(
            value for name, value in attrs if value and (name in READ_ALOUD or (inside and name.startswith("data-")))
        )


@functools.cache
def english_texts() -> set[str]:
    """Return the software's texts that are others in German."""
    with translation.override("de"):
        return {text for context, text, _ in messages() if not context and translation.gettext(text) != text}


def english_in(html: str) -> set[str]:
    said = Said()
    said.feed(html)
    return said.texts & english_texts()


@pytest.fixture
def queue(project, annotator, client):
    client.force_login(annotator)
    return make_queue(project)


def assert_german(client, address: str) -> str:
    answer = client.get(address, headers=GERMAN)
    html = answer.content.decode()
    assert '<html lang="de"' in html
    assert english_in(html) == set()
    return html


@pytest.mark.parametrize("kind", [kind for kind in TaskKind if kind != TaskKind.CONVERSATION])
def test_a_task_of_every_kind(client, project, annotator, kind):
    client.force_login(annotator)
    queue = make_queue(project, kind=kind)
    make_task(queue)
    assert "Abgeben" in assert_german(client, at("label", queue))


def test_the_pages_around_it(client, queue, annotator, curator):
    AnnotatorProfile.objects.create(user=annotator, hourly_rate=20, currency="EUR")
    judgment = make_judgment(queue=queue, annotator=annotator, flags=[{"flag": "unsafe", "kind": "Self-harm"}])
    review_judgment(judgment=judgment, reviewer=curator, accepted=False, reason="Zu kurz.")
    assert "Bedenklich (Selbstverletzung)" in assert_german(client, at("label-history", queue))
    assert "20,00" in assert_german(client, at("label-me", queue))
    for name, more in (("label-guidelines", ()), ("label-revise", (judgment.pk,)), ("label", ())):
        assert_german(client, at(name, queue, *more))
    for name in ("home", "account_change_password", "account_logout"):
        assert_german(client, reverse(name))
    assert_german(client, reverse("project", args=[queue.project.slug]))


def test_what_is_lost_and_what_is_skipped(client, queue, annotator):
    make_task(queue)
    make_task(queue)
    form = open_task(client, queue)
    let_lease_run_out(pk=form["assignment"])
    client.cookies["django_language"] = "de"
    lost = submit(client, queue, form, rationale="Darum.")
    assert lost.status_code == 409
    assert english_in(lost.content.decode()) == set()
    form = open_task(client, queue)
    page = client.post(at("label-skip", queue), {**form, "reason": "expertise"}, headers={"HX-Request": "true"})
    assert "Außerhalb meines Fachgebiets" in page.content.decode()
    assert english_in(page.content.decode()) == set()


@pytest.mark.parametrize(
    "rules", [{"named_only": True}, {"languages": ["nl"]}, {"expertise": "medicine"}, {"daily_quota": 1}]
)
def test_a_queue_that_is_shut(client, queue, annotator, curator, rules):
    make_task(queue)
    make_judgment(queue=queue, annotator=annotator)
    change_policy(queue=queue, changed_by=curator, **rules)
    assert_german(client, at("label", queue))


@pytest.mark.parametrize("state", ["paused", "closed"])
def test_a_queue_that_rests(client, queue, state):
    set_queue_state(queue=queue, state=state)
    assert_german(client, at("label", queue))


def test_a_test_before_and_after(client, project, queue, annotator, curator):
    quiz = make_queue(project, is_qualification=True)
    make_task(quiz)
    change_policy(queue=queue, changed_by=curator, qualification=quiz)
    assert_german(client, at("label", queue))
    assert_german(client, at("label", quiz))
    Qualification.objects.create(queue=quiz, person=annotator, passed=True, right=9, judged=10, policy=quiz.policy)
    assert_german(client, at("label", quiz))


def test_pages_for_everybody(client, db):
    assert_german(client, reverse("account_login"))
    client.force_login(make_user())
    assert_german(client, reverse("home"))
    assert_german(client, "/q/nothing-here/")


def test_a_refusal_is_in_the_readers_language(client, queue):
    make_task(queue)
    form = open_task(client, queue)
    client.cookies["django_language"] = "de"
    assert "wählen Sie zuerst eine Stufe der Skala" in submit(client, queue, form, preference="").content.decode()
