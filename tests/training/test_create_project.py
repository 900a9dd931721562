"""`manage.py create_project`: the first thing an operator does."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

from feedback.models import Project, User
from training.models import Checkpoint

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def model(tmp_path: Path, settings: Settings) -> Path:
    path = tmp_path / "base"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").touch()
    settings.BASE_MODEL = str(path)
    return path


def test_a_project_is_made_with_its_people_and_base_model() -> None:
    ana = User.objects.create_user("ana")
    call_command(
        "create_project",
        "Help desk",
        slug="help",
        evaluation_percent=30,
        member=["ana:curator", "ana:ml_staff"],
        stdout=StringIO(),
    )
    project = Project.objects.get()
    assert (project.name, project.slug, project.evaluation_percent) == ("Help desk", "help", 30)
    assert set(ana.memberships.values_list("role", flat=True)) == {"curator", "ml_staff"}
    assert Checkpoint.objects.get().project == project


def test_without_a_base_model_the_project_is_made_and_the_way_out_named(settings: Settings, tmp_path: Path) -> None:
    settings.BASE_MODEL = str(tmp_path / "missing")
    err = StringIO()
    call_command("create_project", "Help desk", stdout=StringIO(), stderr=err)
    assert Project.objects.count() == 1
    assert "BASE_MODEL=" in err.getvalue()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"member": ["nobody:curator"]}, "no person 'nobody'"),
        ({"member": ["ana:boss"]}, "role of annotator"),
        ({"member": ["ana"]}, "USERNAME:ROLE"),
        ({"evaluation_percent": 95}, "95"),
        ({"slug": "Not a slug"}, "slug"),
    ],
)
def test_a_bad_project_is_refused_and_nothing_is_made(options: dict[str, object], message: str) -> None:
    User.objects.create_user("ana")
    with pytest.raises(CommandError, match=message):
        call_command("create_project", "Help desk", stdout=StringIO(), **options)
    assert Project.objects.count() == 0


def test_a_second_project_of_the_same_address_is_refused() -> None:
    call_command("create_project", "Help desk", stdout=StringIO())
    with pytest.raises(CommandError, match="slug"):
        call_command("create_project", "Help desk", stdout=StringIO())
    assert Project.objects.count() == 1
