"""Bringing in a model that lies on this machine."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from django.utils import timezone

from feedback.jobs import carry_out
from feedback.models import AuditEvent, Job, Project, User
from tests.factories import make_base_checkpoint, make_project, make_reward_checkpoint
from tests.training.conftest import tensors
from training.importing import ImportRefused, importable, start_import
from training.lineage import model_source
from training.models import Checkpoint
from training.rundir import ModelSource, directory_digest

pytestmark = pytest.mark.django_db


@pytest.fixture
def shelf(settings, tmp_path) -> Path:
    """A directory from which models may be brought in."""
    settings.DATA_DIR, settings.MODEL_DIRS = tmp_path / "data", [tmp_path / "shelf"]
    (tmp_path / "shelf").mkdir()
    return tmp_path / "shelf"


def whole_model(place: Path, weights: bytes = tensors(), **config) -> Path:
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    (place / "model.safetensors").write_bytes(weights)
    (place / "tokenizer.json").write_text("{}")
    (place / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    return place


def adapter(place: Path, **config) -> Path:
    place.mkdir(parents=True)
    (place / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", **config}))
    (place / "adapter_model.safetensors").write_bytes(tensors())
    return place


def started(project: Project, by: User, path: Path | str, kind: str = "base", **given) -> Job:
    return start_import(project=project, path=str(path), kind=kind, by=by, **{"origin": "a colleague", **given})


def bring_in(project: Project, by: User, path: Path | str, kind: str = "base", **given) -> Checkpoint:
    job = started(project, by, path, kind, **given)
    assert job.state == "succeeded", job.error
    return Checkpoint.objects.get(pk=job.result["checkpoint"])


def refusal(project: Project, by: User, path: Path | str, kind: str = "base", **given) -> ImportRefused:
    before = project.checkpoints.count()
    with pytest.raises(ImportRefused) as caught:
        started(project, by, path, kind, **given)
    assert project.checkpoints.count() == before
    assert not project.jobs.unfinished().exists()
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


CLASSIFIER = ["LlamaForSequenceClassification"]


def test_a_whole_reward_model_has_a_score_head_that_gives_one_number(project, ml_staff: User, shelf):
    one = whole_model(shelf / "one", tensors(score__weight=[1, 4]), architectures=CLASSIFIER)
    made = bring_in(project, ml_staff, one, "reward")
    assert (made.kind, made.is_whole, made.parent) == ("reward", True, None)
    assert model_source(made) == ModelSource(str(one))
    three = whole_model(shelf / "three", tensors(score__weight=[3, 4]), architectures=CLASSIFIER)
    assert "gives 3 numbers" in refusal(project, ml_staff, three, "reward").message
    (three / "reward.json").write_text("{}")
    assert bring_in(project, ml_staff, three, "reward").kind == "reward"


def test_a_whole_model_without_a_score_head_is_no_reward_model(project, ml_staff: User, shelf):
    writes = whole_model(shelf / "writes", architectures=["LlamaForCausalLM"])
    other = whole_model(shelf / "other", tensors(classifier__weight=[1, 4]), architectures=CLASSIFIER)
    for place in (writes, other):
        assert "is no reward model" in refusal(project, ml_staff, place, "reward").message
    assert "only be a reward model" in refusal(project, ml_staff, other, "policy").message


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
    (place / "other.safetensors").write_bytes(tensors())  # which nobody would load
    assert "pytorch_model.bin is a pickle" in refusal(project, ml_staff, place).message


@pytest.mark.parametrize(
    "content", [b"", b"version https://git-lfs.github.com/spec/v1", tensors()[:20], (2).to_bytes(8, "little") + b"[]"]
)
def test_a_pointer_or_a_part_of_the_weights_is_refused(project, ml_staff: User, shelf, content):
    assert "Git LFS" in refusal(project, ml_staff, whole_model(shelf / "small", content)).message


def test_a_link_that_leads_out_of_the_folders_for_models_is_refused(project, ml_staff: User, shelf, tmp_path):
    (tmp_path / "secret").write_bytes(tensors())
    place = whole_model(shelf / "linked")
    (place / "model.safetensors").unlink()
    (place / "model.safetensors").symlink_to(tmp_path / "secret")
    assert "is a link that leads out" in refusal(project, ml_staff, place).message


def test_a_link_inside_of_them_is_followed(project, ml_staff: User, shelf):
    place = whole_model(shelf / "linked")
    (place / "model.safetensors").rename(shelf / "blob")
    (place / "model.safetensors").symlink_to(shelf / "blob")
    assert bring_in(project, ml_staff, place).name == "linked"


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


@pytest.mark.parametrize("content", ["[1]", "{", '{"step": -1}', '{"step": 99999999999}', '{"step": "x"}'])
def test_nonsense_beside_the_weights_makes_no_difference_or_is_refused(project, ml_staff: User, shelf, content):
    place = whole_model(shelf / "small")
    (place / "checkpoint.json").write_text(content)
    job = started(project, ml_staff, place)
    assert job.state == ("succeeded" if "step" in content else "failed")
    assert [one.step for one in project.checkpoints.all()] == [0] * ("step" in content)


def test_an_adapter_whose_config_says_nonsense_is_taken_for_what_it_is(project, ml_staff: User, shelf):
    base = make_base_checkpoint(project)
    odd = adapter(shelf / "odd", modules_to_save=7)
    assert "no score head" in refusal(project, ml_staff, odd, "reward", parent=base).message
    assert bring_in(project, ml_staff, odd, "policy", parent=base).name == "odd"


def test_a_folder_whose_name_cannot_be_shown_is_not_offered(project, shelf):
    whole_model(Path(os.fsdecode(os.fsencode(shelf) + b"/\xff")))
    whole_model(shelf / "line\nbreak")
    assert importable(project) == []


def test_a_name_of_several_lines_is_refused(project, ml_staff: User, shelf):
    assert refusal(project, ml_staff, whole_model(shelf / "small"), name="a\nb").field == "name"


def test_an_adapter_cannot_stand_on_files_that_were_deleted(project, ml_staff: User, shelf):
    gone = make_base_checkpoint(project, files_deleted_at=timezone.now())
    assert refusal(project, ml_staff, adapter(shelf / "tuned"), "policy", parent=gone).field == "parent"


def test_a_job_that_was_killed_after_its_work_makes_no_second_checkpoint(project, ml_staff: User, shelf):
    job = started(project, ml_staff, whole_model(shelf / "small"))
    Job.objects.update(state="queued", result={}, finished_at=None)
    again = carry_out(job)
    assert (again.state, again.result["checkpoint"]) == ("succeeded", str(project.checkpoints.get().pk))


def test_files_that_change_while_the_job_waits_are_looked_at_again(project, ml_staff: User, shelf, settings):
    settings.JOB_REQUEST_SECONDS = 0.0
    place = whole_model(shelf / "small")
    job = started(project, ml_staff, place)
    assert job.state == "queued"
    (place / "tokenizer.json").unlink()
    (place / "tokenizer_config.json").unlink()
    again = carry_out(job, seconds=60)
    assert (again.state, project.checkpoints.count()) == ("failed", 0)
    assert "no tokenizer" in again.error


def test_the_kind_has_to_fit_what_lies_there(project, ml_staff: User, shelf):
    base = make_base_checkpoint(project)
    whole, part = whole_model(shelf / "whole"), adapter(shelf / "part")
    assert refusal(project, ml_staff, part, "base", parent=base).field == "kind"
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
        started(project, ml_staff, place, origin=" ")
