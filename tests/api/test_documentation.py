"""docs/api.md names every endpoint of the people's side, and its answers of every kind are ones that a queue takes."""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path

import pytest

from feedback import eligibility
from feedback.answers import check_answer
from feedback.api.task_serializers import SubmitInputSerializer
from feedback.api.urls import urlpatterns
from feedback.eligibility import NotEligible
from feedback.schemas import RESPONSES, TaskKind, default_schema

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| (\w+) \| `(\{.*?\})`(?::| \|)", re.MULTILINE)


def shape(path: str) -> str:
    return re.sub(r"<(?:\w+:)?\w+>", "*", path)


def test_every_endpoint_is_named_and_no_other():
    told = {shape(path) for path in re.findall(r"`(?:GET|POST|PUT|PATCH|DELETE) /api/v1/([^`]+)`", TEXT)}
    there = {shape(str(pattern.pattern)) for pattern in urlpatterns}
    assert there - told == set()


@pytest.mark.parametrize("kind", TaskKind.values)
def test_the_answer_of_every_kind_is_one_that_its_queue_takes(kind):
    examples = dict(ROW.findall(TEXT))
    answer = json.loads(examples[kind])
    checked = check_answer(default_schema(kind), RESPONSES[kind][0], answer)
    assert checked.as_sent(kind).items() >= answer.items()


def test_the_whole_submission_is_one_that_the_api_reads():
    (block,) = re.findall(r"```json\n(.*?)```", TEXT, re.DOTALL)
    sent = json.loads(block)
    asked = SubmitInputSerializer(data=sent)
    assert asked.is_valid(), asked.errors
    assert set(asked.validated_data) == set(sent)
    check_answer(default_schema("comparison"), 2, sent["answer"], rationale=sent["rationale"], flags=sent["flags"])


def test_every_rule_that_may_be_in_the_way_of_a_claim_is_named():
    codes = set(re.findall(rf'{NotEligible.__name__}\(\s*"(\w+)"', inspect.getsource(eligibility)))
    assert codes
    assert [code for code in sorted(codes) if f"`{code}`" not in TEXT] == []
