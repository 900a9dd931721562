from __future__ import annotations

import pytest
from django.urls import reverse

from feedback.models import Queue
from feedback.queues import default_rules
from feedback.schemas import TaskKind, default_schema
from tests.factories import make_member, make_queue
from tests.pages.posted import fields_on


@pytest.fixture(autouse=True)
def logged_in(curator, client):
    client.force_login(curator)


def address(project, kind: str = "comparison") -> str:
    return reverse("queue-open-kind", args=[project.slug, kind])


def form_of(client, project, kind: str = "comparison", **typed) -> dict:
    return {**fields_on(client.get(address(project, kind)), "guideline"), "name": "Round one", **typed}


def open_a_queue(client, project, kind: str = "comparison", **typed):
    return client.post(address(project, kind), form_of(client, project, kind, **typed))


def test_every_kind_has_a_card_that_leads_to_its_form(project, client):
    page = client.get(reverse("queue-open", args=[project.slug])).content.decode()
    assert [kind for kind in TaskKind.values if address(project, kind) not in page] == []
    assert client.get(address(project, "poem")).status_code == 404


@pytest.mark.parametrize("kind", TaskKind.values)
def test_a_form_left_as_it_is_opens_a_queue_with_the_defaults(project, curator, client, kind):
    answer = open_a_queue(client, project, kind)
    queue = Queue.objects.in_force().get()
    assert answer["Location"] == reverse("queue", args=[project.slug, queue.pk])
    assert (queue.name, queue.kind, queue.created_by, queue.is_qualification) == ("Round one", kind, curator, False)
    assert {name: getattr(queue.policy, name) for name in default_rules()} == default_rules()
    assert queue.schema.asks == default_schema(kind)
    assert queue.guideline.text.startswith("# ")


def test_guidelines_rules_and_schema_are_taken_as_typed(project, client):
    open_a_queue(
        client,
        project,
        guideline="# Help\nMore.",
        overlap=2,
        lease_minutes=20,
        languages="de, pt-BR",
        named_only="on",
        **{"schema-levels": 4, "schema-question": "Which one helps?", "do": ""},
    )
    queue = Queue.objects.in_force().get()
    assert queue.guideline.text == "# Help\nMore."
    assert (queue.policy.overlap, queue.policy.lease_minutes, queue.policy.named_only) == (2, 20, True)
    assert queue.policy.languages == ["de", "pt-BR"]
    assert (queue.schema.asks.levels, queue.schema.asks.question) == (4, "Which one helps?")


def test_a_qualification_queue_can_be_required_by_the_next_one(project, client):
    open_a_queue(client, project, is_qualification="on", pass_judgments=5, name="Test")
    test = Queue.objects.get()
    assert test.is_qualification
    open_a_queue(client, project, qualification=test.pk)
    assert Queue.objects.in_force().get(name="Round one").policy.qualification == test


def test_people_are_named_at_once(project, curator, client):
    for name in ("ada", "bob"):
        make_member(project, username=name)
    open_a_queue(client, project, named_only="on", people="bob, ada,bob")
    named = Queue.objects.get().named.order_by("person__username")
    assert [(one.person.username, one.named_by) for one in named] == [("ada", curator), ("bob", curator)]


def test_a_name_that_no_annotator_has_opens_nothing(project, ml_staff, client):
    answer = open_a_queue(client, project, people=ml_staff.username)
    assert answer.status_code == 422
    assert "No annotator of this project is called" in answer.content.decode()
    assert not Queue.objects.exists()


def test_ml_staff_open_queues_without_naming_people(project, ml_staff, annotator, client):
    client.force_login(ml_staff)
    assert 'name="people"' not in client.get(address(project)).content.decode()
    open_a_queue(client, project, people=annotator.username)
    assert not Queue.objects.get().named.exists()


@pytest.mark.parametrize("kind", ["demonstration", "correction", "conversation"])
def test_where_answers_cannot_be_compared_no_rule_about_that_is_asked(project, client, kind):
    fields = form_of(client, project, kind)
    asked = {"gold_percent", "repeat_percent", "overlap_cap", "pass_percent"}
    assert asked & set(form_of(client, project)) == asked
    assert asked & set(fields) == set()
    client.post(address(project, kind), {**fields, "is_qualification": "on", "gold_percent": "50"})
    queue = Queue.objects.in_force().get()
    assert (queue.is_qualification, queue.policy.gold_percent) == (False, 0)


def test_a_taken_name_is_an_error_on_the_field(project, client):
    make_queue(project, name="Round one")
    answer = open_a_queue(client, project)
    assert answer.status_code == 422
    page = answer.content.decode()
    assert "already has a queue named" in page
    assert page.count('aria-invalid="true"') == 1


@pytest.mark.parametrize(
    "bad",
    [
        {"overlap": 0},
        {"overlap": 21},
        {"lease_minutes": 0},
        {"guideline": "  "},
        {"schema-question": ""},
        {"schema-levels": "5"},
        {"gold_percent": 95, "random_percent": 10},
        {"overlap": 3, "overlap_cap": 2},
        {"languages": ",".join(["en"] * 60)},
        {"qualification": "0190f5b2-0000-7000-8000-000000000000"},
    ],
)
def test_values_that_do_not_fit_are_refused_beside_their_field(project, client, bad):
    answer = open_a_queue(client, project, **bad)
    assert answer.status_code == 422
    assert 'aria-invalid="true"' in answer.content.decode()
    assert not Queue.objects.exists()


def test_a_refused_rule_opens_its_fold_and_what_was_typed_stays(project, client):
    plain = client.get(address(project)).content.decode()
    assert '<details class="fold" id="rules-unseen">' in plain
    page = open_a_queue(client, project, gold_percent=95, random_percent=10, name="Kept").content.decode()
    assert '<details class="fold" id="rules-unseen" open>' in page
    assert "together are more than 100 percent" in page
    assert 'value="Kept"' in page


def test_a_button_in_the_form_adds_a_row_and_opens_nothing(project, client):
    fields = form_of(client, project, "rating", name="Kept", do="add-attribute")
    answer = client.post(address(project, "rating"), fields)
    page = answer.content.decode()
    assert (answer.status_code, fields["attributes"]) == (200, "3")
    assert 'name="attribute-3-label"' in page
    assert 'value="Kept"' in page
    assert not Queue.objects.exists()
