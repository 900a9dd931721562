"""An import knows what is there already, however that came in."""

from __future__ import annotations

import pytest
from django.utils import timezone

from feedback.hygiene.redacting import settle_findings
from feedback.models import Finding
from tests.factories import make_prompt
from tests.feedback.imports.loading import jsonl, loader
from tests.hygiene.test_near_duplicates import LONG

pytestmark = pytest.mark.django_db


def test_a_row_that_says_nearly_the_same_joins_the_cluster_that_is_there(project, curator, tmp_path):
    made = make_prompt(project, LONG, split="evaluation")
    rows = {"prompt": f"Please: {LONG}"}, {"prompt": "Where is Rome?"}
    loader(project, tmp_path, curator)("prompts.jsonl", jsonl(*rows))
    near = project.prompts.get(messages__icontains="Please: ")
    assert (near.cluster, near.split) == (made.cluster, "evaluation")
    assert Finding.objects.get(kind="near_duplicate").prompt == near


def test_personal_data_in_a_row_waits_for_a_decision(project, curator, tmp_path):
    load = loader(project, tmp_path, curator)
    row = {"prompt": "Write to jane@example.com.", "response": "Dear jane@example.com, hello."}
    load("responses.jsonl", jsonl(row), kind="responses")
    assert Finding.objects.filter(kind="personal_data", prompt__isnull=False).count() == 1
    assert Finding.objects.filter(kind="personal_data", response__isnull=False).count() == 1


def test_a_redacted_prompt_is_not_brought_in_again(project, curator, tmp_path):
    load = loader(project, tmp_path, curator)
    content = jsonl({"prompt": "Write to jane@example.com."})
    load("prompts.jsonl", content)
    settle_findings(
        project=project, findings=Finding.objects.all(), settlement="redact", settled_by=curator, now=timezone.now()
    )
    again = load("again.jsonl", content)
    assert again.counts["stored"].get("prompts", 0) == 0
    assert [prompt.last_turn for prompt in project.prompts.all()] == ["Write to [e-mail]."]
