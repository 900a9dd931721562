"""Bringing in a model that lies on this machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from feedback.models import AuditEvent, Project, User
from tests.factories import make_base_checkpoint, make_project, make_reward_checkpoint
from training.importing import ImportRefused, import_model, importable
from training.lineage import model_source
from training.models import Checkpoint
from training.rundir import directory_digest

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(settings, tmp_path) -> Path:
    """A directory from which models may be brought in."""
    settings.DATA_DIR, settings.MODEL_DIRS = tmp_path / "data", [tmp_path / "shelf"]
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def whole_model(place: Path, **config) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").write_bytes(b"weights")
    (place / "tokenizer.json").write_text("{}")
    (place / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    return place


def adapter(place: Path, **config) -> Path:
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    (place / "adapter_model.safetensors").write_bytes(b"weights")
    return place


def bring_in(project: Project, by: User, path: Path | str, kind: str = "base", **given) -> Checkpoint:
    return import_model(project=project, path=str(path), kind=kind, origin="a colleague", by=by, **given)


def refusal(project: Project, by: User, path: Path | str, kind: str = "base", **given) -> ImportRefused:
    before = project.checkpoints.count()
    with pytest.raises(ImportRefused) as caught:
        bring_in(project, by, path, kind, **given)
    assert project.checkpoints.count() == before
    return caught.value


def test_a_whole_model_becomes_a_checkpoint_that_can_be_used(project, ml_staff: User, shelf):
    place = whole_model(shelf / "small")
    made = bring_in(project, ml_staff, place, licence="MIT", note="Small.")
    assert (made.kind, made.name, made.is_whole, made.parent) == ("base", "small", True, None)
    assert (made.origin, made.licence, made.sha256) == ("a colleague", "MIT", directory_digest(place))
    assert model_source(made).base == str(place)
    assert AuditEvent.objects.get(action="checkpoint.import").after["sha256"] == made.sha256


def test_a_trained_whole_model_can_be_a_policy(project, ml_staff: User, shelf):
    made = bring_in(project, ml_staff, whole_model(shelf / "tuned"), "policy", name="tuned elsewhere")
    assert (made.kind, made.parent, made.run, made.name) == ("policy", None, None, "tuned elsewhere")


def test_an_adapter_stands_on_a_model_of_the_project(project, ml_staff: User, shelf):
    base = bring_in(project, ml_staff, whole_model(shelf / "small"))
    place = adapter(shelf / "tuned")
    (place / "checkpoint.json").write_text(json.dumps({"template_digest": "t" * 64, "step": 40}))
    made = bring_in(project, ml_staff, place, "policy", parent=base)
    assert (made.is_whole, made.template_digest, made.step) == (False, "t" * 64, 40)
    assert model_source(made).adapters == (str(place),)


def test_a_reward_model_is_an_adapter_with_its_head(project, ml_staff: User, shelf):
    base = make_base_checkpoint(project)
    with_head = adapter(shelf / "judge", modules_to_save=["score"])
    assert bring_in(project, ml_staff, with_head, "reward", parent=base).kind == "reward"
    assert "no score head" in refusal(project, ml_staff, adapter(shelf / "none"), "reward", parent=base).message


def test_what_lies_there_and_is_not_in_the_project_is_offered(project, ml_staff: User, shelf):
    place, other = whole_model(shelf / "a" / "small"), adapter(shelf / "b")
    (shelf / "no model").mkdir()
    assert [(one.path, one.is_adapter) for one in importable(project)] == [(place, False), (other, True)]
    bring_in(project, ml_staff, place)
    assert [one.path for one in importable(project)] == [other]


def test_only_the_operators_directories_can_be_named(project, ml_staff: User, shelf, tmp_path):
    outside = whole_model(tmp_path / "elsewhere")
    (shelf / "link").symlink_to(outside)
    for path in (outside, shelf / ".." / "elsewhere", shelf / "link"):
        assert "does not lie in" in refusal(project, ml_staff, path).message
    assert importable(project) == []


@pytest.mark.parametrize("path", ["", "a\x00b", "models/nothing-here"])
def test_a_path_that_leads_nowhere_is_refused(project, ml_staff: User, path):
    assert refusal(project, ml_staff, path).field == "path"


def test_pickles_are_refused(project, ml_staff: User, shelf):
    place = whole_model(shelf / "old")
    (place / "model.safetensors").rename(place / "pytorch_model.bin")
    assert "pytorch_model.bin is a pickle" in refusal(project, ml_staff, place).message


def test_code_of_others_is_refused(project, ml_staff: User, shelf):
    place = whole_model(shelf / "own-code", auto_map={"AutoModel": "modeling.Model"})
    assert "auto_map" in refusal(project, ml_staff, place).message


def test_a_model_that_nobody_can_talk_to_is_refused(project, ml_staff: User, shelf):
    silent = whole_model(shelf / "silent")
    (silent / "tokenizer_config.json").write_text("{}")
    assert "no chat template" in refusal(project, ml_staff, silent).message
    (silent / "tokenizer_config.json").unlink()
    (silent / "tokenizer.json").unlink()
    assert "no tokenizer" in refusal(project, ml_staff, silent).message


def test_a_config_that_is_no_json_is_refused(project, ml_staff: User, shelf):
    place = whole_model(shelf / "broken")
    (place / "config.json").write_text("{")
    assert "is not JSON" in refusal(project, ml_staff, place).message


def test_the_kind_has_to_fit_what_lies_there(project, ml_staff: User, shelf):
    base = make_base_checkpoint(project)
    whole, part = whole_model(shelf / "whole"), adapter(shelf / "part")
    assert refusal(project, ml_staff, part, "base", parent=base).field == "kind"
    assert refusal(project, ml_staff, whole, "reward").field == "kind"
    assert refusal(project, ml_staff, whole, "policy", parent=base).field == "parent"
    assert refusal(project, ml_staff, part, "policy").field == "parent"
    assert refusal(project, ml_staff, part, "policy", parent=make_base_checkpoint(make_project())).field == "parent"
    assert refusal(project, ml_staff, part, "policy", parent=make_reward_checkpoint(project)).field == "parent"
    assert refusal(project, ml_staff, adapter(shelf / "p", peft_type="IA3"), "policy", parent=base).field == "path"


def test_the_same_model_and_a_name_that_is_taken_are_refused(project, ml_staff: User, shelf):
    place = whole_model(shelf / "small")
    bring_in(project, ml_staff, place, name="small")
    assert "already" in refusal(project, ml_staff, place, name="again").message
    assert refusal(project, ml_staff, whole_model(shelf / "other"), name="small").field == "name"


def test_where_it_comes_from_has_to_be_said(project, ml_staff: User, shelf):
    place = whole_model(shelf / "small")
    with pytest.raises(ImportRefused, match="origin"):
        import_model(project=project, path=str(place), kind="base", origin=" ", by=ml_staff)
