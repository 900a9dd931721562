"""What the documents say is there, is there."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path

import pytest
from django.urls import Resolver404, resolve

from feedback.contract import check_messages, digest

ROOT = Path(__file__).resolve().parent.parent.parent
PROMPTS = ROOT / "feedback" / "demo" / "prompts.jsonl"
KINDS = {"question", "rewriting", "summarising", "tone", "reasoning", "safety", "two-turn", "code"}

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
FENCE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ENV_CALL = re.compile(r"""\benv(?:\.\w+)?\(\s*["']([A-Z_]+)["']""")
SETTING_ROW = re.compile(r"^\| `([A-Z_]+)` \|", re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s#]+)(?:#[^)]*)?\)")
MAKE_NAMED = re.compile(r"\bmake ([a-z][a-z-]+)\b")
MAKE_TARGET = re.compile(r"^([a-z][a-z-]*):", re.MULTILINE)
SITE_PATH = re.compile(r"`(?:(?:GET|POST|PUT|PATCH|DELETE) )?(/(?:p|q|api|healthz|admin|accounts)\b[^`\s]*)`")
CODE_PATH = re.compile(
    r"`((?:feedback|training|rlhf_site|tests|benchmarks|docs|static)/[\w/.-]*\.(?:py|md|jsonl|css|js))`"
)
MANAGE = re.compile(r"manage\.py ([a-z_]+)")

EXAMPLES = {
    "project": "demo",
    "kind": "dpo",
    "uuid": str(uuid.UUID(int=7)),
    "queue": str(uuid.UUID(int=7)),
    "username": "somebody",
    "number": "7",
    "cluster": "0" * 64,
    "format": "preference",
    "form": "jsonl",
}


def documents() -> list[object]:
    return [pytest.param(path, id=str(path.relative_to(ROOT))) for path in DOCUMENTS]


def test_there_are_documents_to_check() -> None:
    names = {path.name for path in DOCUMENTS}
    assert {"README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "settings.md", "api.md"} <= names


def test_every_setting_is_documented_and_every_documented_setting_exists() -> None:
    read = set(ENV_CALL.findall((ROOT / "rlhf_site" / "settings.py").read_text()))
    read |= {"DATABASE_URL"} if "DATABASE_URL" in (ROOT / "rlhf_site" / "settings.py").read_text() else set()
    told = SETTING_ROW.findall((ROOT / "docs" / "settings.md").read_text())
    assert len(read) > 15
    assert sorted(told) == sorted(read)


@pytest.mark.parametrize("path", documents())
def test_every_link_to_a_file_leads_somewhere(path: Path) -> None:
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    broken = [
        target
        for target in LINK.findall(prose)
        if "://" not in target and not target.startswith("mailto:") and not (path.parent / target).exists()
    ]
    assert broken == []


@pytest.mark.parametrize("path", documents())
def test_every_source_file_that_is_named_exists(path: Path) -> None:
    missing = [name for name in CODE_PATH.findall(path.read_text(encoding="utf-8")) if not (ROOT / name).exists()]
    assert missing == []


@pytest.mark.parametrize("path", documents())
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text()))
    text = path.read_text(encoding="utf-8")
    code = " ".join([*re.findall(r"`([^`\n]+)`", text), *FENCE.findall(text)])
    assert [name for name in MAKE_NAMED.findall(code) if name not in targets] == []


@pytest.mark.parametrize("path", documents())
def test_every_management_command_that_is_named_exists(path: Path) -> None:
    from django.core.management import get_commands

    known = get_commands()
    text = path.read_text(encoding="utf-8")
    code = " ".join([*re.findall(r"`([^`]+)`", FENCE.sub("", text)), *FENCE.findall(text)])
    assert [name for name in MANAGE.findall(code) if name not in known] == []


@pytest.mark.parametrize("path", documents())
def test_every_address_of_the_site_that_is_named_resolves(path: Path) -> None:
    lost = []
    for address in SITE_PATH.findall(path.read_text(encoding="utf-8")):
        concrete = re.sub(r"<(?:\w+:)?(\w+)>", lambda match: EXAMPLES[match.group(1)], address)
        try:
            resolve(concrete)
        except Resolver404:
            lost.append(address)
    assert lost == []


def test_readme_has_the_logins_that_the_demo_makes() -> None:
    from training.management.commands.seed_demo import DEMO_LOGINS

    text = (ROOT / "README.md").read_text()
    assert len(DEMO_LOGINS) >= 3
    for login in DEMO_LOGINS:
        assert f"| `{login.username}` | `{login.password}` |" in text


def test_every_decision_is_in_the_list() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text()))
    assert listed == {path.name for path in folder.glob("*.md")} - {"README.md"}


def test_every_run_kind_is_described_for_ml_staff() -> None:
    from training.configs import CONFIGS

    told = set(re.findall(r"^\| ([a-z_]+) \|", (ROOT / "docs" / "ml-staff.md").read_text(), re.MULTILINE))
    assert told - {"kind", "pause", "cancel", "retry"} == set(CONFIGS)


def test_every_metric_that_the_run_pages_draw_is_explained_and_no_other() -> None:
    from training.glossary import CHARTS

    text = (ROOT / "docs" / "metrics.md").read_text()
    told = {
        name
        for row in re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", text, re.MULTILINE)
        for name in re.findall(r"`(\w+)`", row)
    }
    assert told == {series.name for charts in CHARTS.values() for chart in charts for series in chart.series}


def test_demo_prompts_are_valid_distinct_and_of_every_kind() -> None:
    rows = [json.loads(line) for line in PROMPTS.read_text(encoding="utf-8").splitlines()]
    chats = [check_messages(row["messages"]) for row in rows]
    assert len(rows) >= 60
    assert len({digest(chat) for chat in chats}) == len(rows)
    tags = [tag for row in rows for tag in row["tags"]]
    assert set(tags) >= KINDS
    assert min(tags.count(kind) for kind in KINDS) >= 5
    for row, chat in zip(rows, chats, strict=True):
        assert row["tags"]
        assert ("two-turn" in row["tags"]) == (sum(turn["role"] == "user" for turn in chat) == 2)
