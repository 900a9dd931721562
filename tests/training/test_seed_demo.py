"""`manage.py seed_demo`: the demo project, made once and left alone afterwards."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

if TYPE_CHECKING:
    from pytest_django.fixtures import Settings

from feedback.claims import claim_next
from feedback.models import Assignment, Membership, Project, Prompt, Queue, Response, Task, User
from feedback.schemas import RESPONSES, TaskKind
from training.management.commands.seed_demo import DEMO_LOGINS, PROJECT_SLUG, QUEUE_NAME
from training.models import Checkpoint, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def model(tmp_path: Path, settings: Settings) -> Path:
    """A directory that looks like a base model to the site, which never opens one."""
    path = tmp_path / "base"
    path.mkdir()
    (path / "config.json").write_text("{}")
    (path / "model.safetensors").touch()
    settings.BASE_MODEL = str(path)
    return path


@pytest.fixture
def no_model(tmp_path: Path, settings: Settings) -> None:
    settings.BASE_MODEL = str(tmp_path / "nothing here")


def seed(*arguments: str) -> tuple[str, str]:
    out, err = StringIO(), StringIO()
    call_command("seed_demo", *arguments, stdout=out, stderr=err)
    return out.getvalue(), err.getvalue()


def counts() -> list[int]:
    models = (User, Project, Membership, Prompt, Response, Queue, Task, Assignment, Checkpoint, Run)
    return [model.objects.count() for model in models]


def test_seeding_makes_people_prompts_a_queue_and_one_run(model: Path) -> None:
    out, _ = seed()
    project = Project.objects.get(slug=PROJECT_SLUG)
    assert project.prompts.count() >= 60
    queue = project.queues.get(name=QUEUE_NAME)
    assert "Which answer" in queue.guideline.text
    run = Run.objects.get()
    assert (run.kind, run.state, run.queue, run.policy) == ("sample", "queued", queue, Checkpoint.objects.get())
    assert run.config["temperatures"] == [0.3, 1.0]
    for login in DEMO_LOGINS:
        assert f"{login.username} / {login.password}" in out
        assert User.objects.get(username=login.username).check_password(login.password)
        assert project.memberships.filter(user__username=login.username, role=login.role).exists()


def test_every_kind_of_task_can_be_tried_at_once(model: Path) -> None:
    seed()
    people = User.objects.get(username="annotator")
    queues = {queue.kind: queue for queue in Queue.objects.exclude(name=QUEUE_NAME)}
    assert set(queues) == set(TaskKind.values) - {"comparison"}
    for kind, queue in queues.items():
        assert queue.tasks.count() == 12, kind
        slot = claim_next(queue=queue, annotator=people, now=timezone.now())
        assert slot is not None
        fewest, most = RESPONSES[kind]
        assert fewest <= len(slot.shown_responses) <= most
        assert all(response.text.strip() for response in slot.shown_responses)
    (base,) = Checkpoint.objects.all()
    assert queues["conversation"].schema.asks.policies == (str(base.pk),)
    assert Response.objects.filter(person__isnull=False).count() == 0


def test_only_the_admin_may_enter_the_admin_site(model: Path) -> None:
    seed()
    assert [user.username for user in User.objects.filter(is_superuser=True)] == ["admin"]
    assert [user.username for user in User.objects.filter(is_staff=True)] == ["admin"]


def test_seeding_again_adds_nothing(model: Path) -> None:
    seed()
    before = counts()
    out, _ = seed()
    assert counts() == before
    assert "Queued" not in out


def test_a_changed_password_and_guideline_stay_changed(model: Path) -> None:
    seed()
    ml = User.objects.get(username="ml")
    ml.set_password("something of my own")
    ml.save()
    seed()
    assert User.objects.get(username="ml").check_password("something of my own")


def test_without_a_model_labeling_is_ready_and_the_way_out_is_named(no_model: None) -> None:
    _, err = seed()
    assert "BASE_MODEL=" in err
    assert set(Queue.objects.values_list("kind", flat=True)) == set(TaskKind.values) - {"conversation"}
    assert Run.objects.count() == 0


def test_a_model_that_appears_later_is_used_by_the_next_start(
    no_model: None, tmp_path: Path, settings: Settings
) -> None:
    seed()
    (tmp_path / "nothing here").mkdir()
    (tmp_path / "nothing here" / "config.json").write_text("{}")
    (tmp_path / "nothing here" / "model.safetensors").touch()
    seed()
    assert Run.objects.count() == 1
    assert Queue.objects.filter(kind="conversation").count() == 1


def test_without_run_leaves_the_queue_empty(model: Path) -> None:
    seed("--without-run")
    assert Run.objects.count() == 0
    assert not Queue.objects.get(name=QUEUE_NAME).tasks.exists()


def test_production_refuses_public_passwords_unless_forced(model: Path, settings: Settings) -> None:
    settings.PRODUCTION = True
    with pytest.raises(CommandError, match="public passwords"):
        seed()
    assert User.objects.count() == 0
    seed("--force")
    assert User.objects.count() == len(DEMO_LOGINS)


def test_migrate_changes_nothing_on_a_database_that_is_up_to_date(model: Path) -> None:
    out, _ = seed("--migrate")
    assert "up to date ..." not in out
