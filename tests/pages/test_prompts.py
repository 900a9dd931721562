from __future__ import annotations

from django.urls import reverse

from tests.factories import make_judgment, make_prompt, make_queue, make_response, make_task


def listed(client, project, **filters) -> list[str]:
    answer = client.get(reverse("prompts", args=[project.slug]), filters)
    return [str(prompt) for prompt in answer.context["page_obj"]]


def test_the_list_shows_prompts_with_their_number_of_responses(project, curator, client):
    prompt = make_prompt(project, "Name a river.")
    make_response(prompt)
    make_response(prompt)
    client.force_login(curator)
    answer = client.get(reverse("prompts", args=[project.slug]))
    assert [(str(row), row.response_count) for row in answer.context["page_obj"]] == [("Name a river.", 2)]


def test_an_empty_project_says_what_to_do(project, curator, client):
    client.force_login(curator)
    page = client.get(reverse("prompts", args=[project.slug])).content.decode()
    assert "No prompts yet" in page
    assert reverse("import-new", args=[project.slug]) in page


def test_the_list_is_narrowed_by_text_split_and_responses(project, curator, client):
    make_prompt(project, "Name a café in Köln.", split="evaluation")
    make_prompt(project, 'Say "stone" twice.', tags=["rivers"])
    with_two = make_prompt(project, "Count to three.")
    make_response(with_two)
    make_response(with_two)
    client.force_login(curator)
    assert listed(client, project, q="köln") in (["Name a café in Köln."], [])  # SQLite folds ASCII only
    assert listed(client, project, q="Köln") == ["Name a café in Köln."]
    assert listed(client, project, q='"stone"') == ['Say "stone" twice.']
    assert listed(client, project, q="rivers") == ['Say "stone" twice.']
    assert listed(client, project, split="evaluation") == ["Name a café in Köln."]
    assert listed(client, project, responses="pair") == ["Count to three."]
    assert len(listed(client, project, responses="none")) == 2


def test_a_filter_that_is_no_choice_shows_everything(project, curator, client):
    make_prompt(project, "Name a river.")
    client.force_login(curator)
    assert listed(client, project, split="nonsense") == ["Name a river."]


def test_a_prompt_shows_its_chat_and_who_wrote_each_response(project, curator, client):
    prompt = make_prompt(
        project,
        messages=[
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "Hello there"},
        ],
        licence="CC0",
    )
    make_response(prompt, "Hi!", model_name="SmolLM2", sampling={"temperature": 0.7})
    make_response(prompt, "", model_name="SmolLM2")
    client.force_login(curator)
    page = client.get(reverse("prompt", args=[project.slug, prompt.pk])).content.decode()
    for shown in ("Be kind.", "Hello there", "Hi!", "SmolLM2", "temperature=0.7", "CC0", "answered with nothing"):
        assert shown in page


def test_what_a_model_wrote_cannot_run_in_the_page(project, curator, client):
    prompt = make_prompt(project, "<script>alert(1)</script>")
    make_response(prompt, "<img src=x onerror=alert(1)> <script>alert(2)</script>")
    client.force_login(curator)
    page = client.get(reverse("prompt", args=[project.slug, prompt.pk])).content.decode()
    assert "<script>alert" not in page
    assert "<img src=x" not in page


def test_a_prompt_names_the_queues_that_hold_it(project, curator, client):
    judgment = make_judgment(task=make_task(make_queue(project, name="Round one")))
    client.force_login(curator)
    page = client.get(reverse("prompt", args=[project.slug, judgment.task.prompt_id])).content.decode()
    assert "Round one" in page
    assert "1 judgment<" in page
