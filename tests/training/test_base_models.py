"""Where the base model is found, and its one checkpoint in a project."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.factories import make_base_checkpoint, make_project
from tests.training.conftest import make_model_files
from training.base_models import FETCHED_NAME, find_base_model, register_base_model, resolve_path
from training.models import Checkpoint
from training.rundir import directory_digest


@pytest.fixture(autouse=True)
def data(tmp_path: Path, settings) -> Path:
    settings.DATA_DIR = tmp_path / "data"
    settings.BASE_MODEL = ""
    return settings.DATA_DIR


def test_without_a_model_there_is_none():
    assert find_base_model() is None


def test_the_fetched_model_is_found(data: Path):
    place = make_model_files(data / "models" / FETCHED_NAME)
    assert find_base_model() == place


def test_base_model_goes_before_the_fetched_one(data: Path, tmp_path: Path, settings):
    make_model_files(data / "models" / FETCHED_NAME)
    mine = make_model_files(tmp_path / "mine")
    settings.BASE_MODEL = str(mine)
    assert find_base_model() == mine


def test_a_base_model_that_is_none_is_not_replaced_in_silence(data: Path, settings):
    make_model_files(data / "models" / FETCHED_NAME)
    settings.BASE_MODEL = "/no/such/model"
    assert find_base_model() is None


@pytest.mark.django_db
def test_a_model_below_the_data_directory_is_stored_so_that_it_can_move(project, data: Path, settings, tmp_path: Path):
    place = make_model_files(data / "models" / FETCHED_NAME)
    checkpoint = register_base_model(project=project)
    assert (checkpoint.name, checkpoint.path) == (FETCHED_NAME, f"models/{FETCHED_NAME}")
    assert checkpoint.sha256 == directory_digest(place)
    assert checkpoint.licence == "Apache-2.0"
    assert resolve_path(checkpoint.path) == place
    settings.DATA_DIR = tmp_path / "moved"
    assert resolve_path(checkpoint.path) == tmp_path / "moved" / "models" / FETCHED_NAME


@pytest.mark.django_db
def test_registering_again_returns_the_same_checkpoint(project, data: Path):
    make_model_files(data / "models" / FETCHED_NAME)
    assert register_base_model(project=project) == register_base_model(project=project)
    assert register_base_model(project=make_project()).project != project
    assert Checkpoint.objects.count() == 2


@pytest.mark.django_db
def test_a_hub_id_is_kept_as_it_is(project, settings):
    settings.BASE_MODEL = "org/some-model"
    checkpoint = register_base_model(project=project)
    assert (checkpoint.name, checkpoint.path, checkpoint.sha256) == ("some-model", "org/some-model", "")
    assert resolve_path(checkpoint.path) == "org/some-model"


@pytest.mark.django_db
def test_a_name_that_is_taken_gets_a_number(project, tmp_path: Path):
    make_base_checkpoint(project, name="mine")
    assert register_base_model(project=project, path=make_model_files(tmp_path / "mine")).name == "mine-2"


@pytest.mark.django_db
def test_without_a_model_nothing_is_registered(project, tmp_path: Path):
    assert register_base_model(project=project) is None
    assert register_base_model(project=project, path=tmp_path / "nothing") is None
    assert not Checkpoint.objects.exists()
