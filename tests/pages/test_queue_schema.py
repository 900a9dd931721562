from __future__ import annotations

import re

import pytest
from django.urls import reverse

from feedback.schemas import FLAG_PRESETS, TaskKind, default_schema
from tests.factories import make_assignment, make_judgment, make_queue, make_task
from tests.pages.label import HTMX
from tests.pages.posted import fields_on


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def address(queue) -> str:
    return reverse("queue-schema", args=[queue.project.slug, queue.pk])


def form_of(client, queue, **typed) -> dict:
    return {**fields_on(client.get(address(queue)), "schema-question"), "do": "", **typed}


def publish(client, queue, **typed):
    answer = client.post(address(queue), form_of(client, queue, **typed))
    queue.refresh_from_db()
    return answer


def press(client, queue, button: str, **typed) -> dict:
    """Press a button of the form and return the form after it."""
    answer = client.post(address(queue), form_of(client, queue, do=button, **typed))
    assert answer.status_code == 200
    return fields_on(answer, "schema-question")


def labels(fields: dict, row: str) -> list[str]:
    return [fields[f"{row}-{place}-label"] for place in range(int(fields[f"{row}s"]))]


def preview(client, queue, **typed):
    at = reverse("schema-preview", args=[queue.project.slug, queue.kind])
    return client.post(at, form_of(client, queue, **typed), headers=HTMX)


def test_a_change_becomes_the_next_version(project, curator, client):
    queue = make_queue(project)
    publish(client, queue, **{"schema-levels": 2, "schema-allow_tie": [], "schema-rationale": "required"})
    asks = queue.schema.asks
    assert (queue.schema.number, queue.schema.created_by) == (2, curator)
    assert (asks.levels, asks.allow_tie, asks.rationale) == (2, False, "required")
    assert asks.flags == default_schema("comparison").flags


@pytest.mark.parametrize("kind", TaskKind.values)
def test_the_form_left_as_it_is_adds_no_version(project, client, kind):
    queue = make_queue(project, kind=kind)
    answer = publish(client, queue)
    assert answer.status_code == 302
    assert queue.schema.number == 1


def test_rows_are_added_moved_and_removed(project, client):
    queue = make_queue(project, kind="rating")
    fields = press(client, queue, "down-attribute-0")
    assert labels(fields, "attribute") == ["Correctness", "Helpfulness", "All in all"]
    fields = press(client, queue, "up-attribute-2")
    assert labels(fields, "attribute") == ["Helpfulness", "All in all", "Correctness"]
    fields = press(client, queue, "remove-attribute-1", **{"attribute-0-label": "Help"})
    assert labels(fields, "attribute") == ["Help", "All in all"]
    fields = press(client, queue, "add-attribute")
    assert labels(fields, "attribute") == ["Helpfulness", "Correctness", "All in all", ""]
    assert queue.schema.number == 1


@pytest.mark.parametrize(
    ("button", "focused"),
    [
        ("up-attribute-2", "up-attribute-1"),
        ("up-attribute-1", "down-attribute-0"),
        ("down-attribute-1", "up-attribute-2"),
        ("remove-attribute-2", "remove-attribute-1"),
        ("preset-none", "preset-none"),
    ],
)
def test_the_focus_goes_on_from_the_button_that_was_pressed(project, client, button, focused):
    queue = make_queue(project, kind="rating")
    page = client.post(address(queue), form_of(client, queue, do=button), headers=HTMX).content.decode()
    assert page.count("autofocus") == 1
    assert re.search(rf'value="{focused}"[^>]* autofocus', page)


@pytest.mark.parametrize("button", ["up-attribute-0", "down-attribute-2", "remove-attribute-99", "burn", "add-house"])
def test_a_button_that_leads_nowhere_changes_nothing(project, client, button):
    queue = make_queue(project, kind="rating")
    assert labels(press(client, queue, button), "attribute") == ["Helpfulness", "Correctness", "All in all"]


def test_no_more_rows_than_can_be_asked_are_added(project, client):
    queue = make_queue(project, kind="rating")
    full = {"attributes": "12"} | {f"attribute-{n}-label": f"Number {n}" for n in range(12)}
    assert press(client, queue, "add-attribute", **full)["attributes"] == "12"


@pytest.mark.parametrize("preset", FLAG_PRESETS)
def test_a_set_of_flags_replaces_the_rows(project, client, preset):
    queue = make_queue(project)
    fields = press(client, queue, f"preset-{preset}")
    assert labels(fields, "flag") == [flag.label for flag in FLAG_PRESETS[preset]]
    client.post(address(queue), {**fields, "do": ""})
    queue.refresh_from_db()
    assert queue.schema.asks.flags == FLAG_PRESETS[preset]


def test_a_new_attribute_is_asked_and_its_key_comes_from_its_label(project, client):
    queue = make_queue(project, kind="rating")
    publish(
        client,
        queue,
        **{
            "attributes": "4",
            "attribute-3-label": "Tone & style",
            "attribute-3-definition": "How it sounds.",
            "attribute-3-style": "likert",
            "attribute-3-low": "0",
            "attribute-3-high": "2",
            "attribute-3-anchors": "cold\nwarm",
        },
    )
    added = queue.schema.asks.attributes[3]
    assert (added.key, added.label, added.low, added.high) == ("tone_style", "Tone & style", 0, 2)
    assert (added.anchors, added.required) == (("cold", "warm"), False)


def test_a_blank_row_is_left_out(project, client):
    queue = make_queue(project)
    publish(client, queue, flags="7")
    assert queue.schema.number == 1


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ({"attribute-1-key": "Wrong Key"}, "attribute 2: the key"),
        ({"attribute-1-high": "40"}, "the scale runs from 0"),
        ({"attribute-1-key": "helpfulness"}, "is there twice"),
        ({"attribute-1-label": ""}, "the label of attribute 2 is empty"),
        ({"attribute-1-low": "a few"}, "Enter a whole number"),
        ({"attributes": "0"}, "a rating needs at least one attribute"),
        ({"schema-question": " "}, "This field is required"),
        ({"schema-rationale": "perhaps"}, "Select a valid choice"),
        ({"flag-0-label": "x" * 101}, "at most 100 characters"),
        ({"flag-0-kinds": "same\nsame"}, "is there twice"),
    ],
)
def test_what_cannot_be_asked_is_refused_where_it_stands(project, client, typed, says):
    queue = make_queue(project, kind="rating")
    answer = publish(client, queue, **typed)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert queue.schema.number == 1


def test_a_refused_row_stands_open_with_its_reason(project, client):
    queue = make_queue(project, kind="rating")
    page = publish(client, queue, **{"attribute-1-key": "Wrong Key"}).content.decode()
    assert page.count('class="row-edit row-bad"') == 1
    assert page.index("row-bad") < page.index("attribute 2: the key") < page.index("All in all")


def test_judgments_and_held_tasks_keep_the_version_that_was_shown(project, client):
    queue = make_queue(project)
    judgment = make_judgment(queue=queue)
    held = make_assignment(make_task(queue))
    assert "1 task is in hand" in client.get(address(queue)).content.decode()
    publish(client, queue, **{"schema-levels": 4})
    judgment.refresh_from_db()
    held.refresh_from_db()
    assert (queue.schema.number, judgment.schema.number, held.schema.number) == (2, 1, 1)


# The preview ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TaskKind.values)
def test_the_preview_is_the_annotators_own_page_with_what_was_typed(project, client, kind):
    queue = make_queue(project, kind=kind)
    answer = preview(client, queue, **{"schema-question": "Which <one>?", "flag-0-label": "A new flag"})
    page = answer.content.decode()
    assert answer.status_code == 200
    assert "<html" not in page
    assert "Which &lt;one&gt;?" in page
    assert "A new flag" in page
    assert " inert>" in page
    marks = {
        "comparison": 'class="step-face"',
        "ranking": 'name="rank-2"',
        "rating": 'name="rating-0-helpfulness"',
        "demonstration": 'name="text"',
        "correction": 'class="response-body changes"',
        "conversation": 'class="step-face"',
    }
    assert marks[kind] in page
    queue.refresh_from_db()
    assert queue.schema.number == 1


def test_the_preview_follows_the_scale(project, client):
    queue = make_queue(project)
    assert preview(client, queue, **{"schema-levels": 2}).content.decode().count('class="step-face"') == 3
    without = preview(client, queue, **{"schema-levels": 4, "schema-allow_tie": []}).content.decode()
    assert without.count('class="step-face"') == 4


def test_the_preview_says_why_there_is_none(project, client):
    queue = make_queue(project, kind="rating")
    assert "a rating needs at least one attribute" in preview(client, queue, attributes="0").content.decode()
    assert "Mend what is marked" in preview(client, queue, **{"schema-question": ""}).content.decode()


def test_without_scripts_the_preview_is_a_page(project, client):
    queue = make_queue(project)
    at = reverse("schema-preview", args=[project.slug, queue.kind])
    page = client.post(at, form_of(client, queue)).content.decode()
    assert "<html" in page
    assert 'class="step-face"' in page


def test_a_button_by_htmx_brings_form_and_preview(project, client):
    queue = make_queue(project)
    answer = client.post(address(queue), form_of(client, queue, do="preset-none"), headers=HTMX)
    page = answer.content.decode()
    assert "<html" not in page
    assert 'id="schema-editor"' in page
    assert 'id="schema-preview"' in page
    assert "This queue has no flags." in page
