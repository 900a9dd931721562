"""Put the demo project in place: people, prompts, queues of every kind, the base model, and one run that samples."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor

import feedback
from feedback.imports.uploading import digest_of
from feedback.imports.whole import import_file
from feedback.models import FileImport, Project, Queue, Role, User
from feedback.people import add_member, create_project
from feedback.queues import open_queue
from training.base_models import MISSING_MODEL, register_base_model
from training.demo_queues import seed_queues
from training.models import Checkpoint, Run
from training.runs import start_run

PROJECT_SLUG = "demo"
PROJECT_NAME = "Demo"
QUEUE_NAME = "First answers"
DEMO_FILES = Path(feedback.__file__).parent / "demo"
TEMPERATURES = (0.3, 1.0)


@dataclass(frozen=True)
class DemoLogin:
    username: str
    password: str
    role: Role


DEMO_LOGINS = (
    DemoLogin("annotator", "annotator-demo", Role.ANNOTATOR),
    DemoLogin("curator", "curator-demo", Role.CURATOR),
    DemoLogin("ml", "ml-demo", Role.ML_STAFF),
    DemoLogin("admin", "admin-demo", Role.ADMIN),
)
"""Public passwords: fit for one's own machine only, which is why production mode refuses to make them."""


class Command(BaseCommand):
    help = "Seed the demo project. Safe to repeat: what is there already stays as it is."
    requires_system_checks = ()  # `up`, which follows in `make run`, has the site make them

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--migrate", action="store_true", help="Bring the database up to date first.")
        parser.add_argument("--fetch-base-model", action="store_true", help="Fetch the base model first if missing.")
        parser.add_argument("--without-run", action="store_true", help="Start no sampling; comparisons stay empty.")
        parser.add_argument("--force", action="store_true", help="Seed in production mode, with public passwords.")

    def handle(self, *args: Any, **options: Any) -> None:
        if settings.PRODUCTION and not options["force"]:
            raise CommandError(
                "seed_demo makes people with public passwords, so CONCORD_MODE=production refuses it. "
                "Add --force if nobody else can reach this site."
            )
        if options["migrate"]:
            self.migrate()
        if options["fetch_base_model"]:
            self.fetch_base_model()
        people = seed_people()
        project = seed_project(people)
        queue = seed_queue(project, people)
        base = register_base_model(project=project)
        seed_queues(project=project, file=DEMO_FILES / "responses.jsonl", base=base, opened_by=people["curator"])
        if not options["without_run"]:
            self.seed_run(project, queue, base, people)
        self.stdout.write("Demo logins (user / password):")
        for login in DEMO_LOGINS:
            self.stdout.write(f"  {login.role.label:<10} {login.username} / {login.password}")

    def migrate(self) -> None:
        executor = MigrationExecutor(connection)
        if executor.migration_plan(executor.loader.graph.leaf_nodes()):
            self.stdout.write("Bringing the database up to date ...")
            call_command("migrate", verbosity=0, interactive=False)

    def fetch_base_model(self) -> None:
        try:
            call_command("fetch_base_model", stdout=self.stdout, stderr=self.stderr)
        except CommandError as error:
            self.stderr.write(f"{error}\nLabeling works without it; going on.")

    def seed_run(self, project: Project, queue: Queue, base: Checkpoint | None, people: dict[str, User]) -> None:
        """Sample every prompt once from the base model into the queue, unless a run has done or tried so."""
        if Run.objects.filter(project=project, kind=Run.Kind.SAMPLE, queue=queue).exists():
            return
        if base is None:
            self.stderr.write(
                f"{MISSING_MODEL}\nThe queue {QUEUE_NAME!r} stays empty until then; the others need no model."
            )
            return
        start_run(
            project=project,
            kind=Run.Kind.SAMPLE,
            config={"temperatures": list(TEMPERATURES)},
            created_by=people["ml"],
            name="First answers from the base model",
            policy=base,
            queue=queue,
        )
        self.stdout.write(
            f"Queued: sampling {project.prompts.count()} prompts at temperatures "
            f"{' and '.join(str(value) for value in TEMPERATURES)}; comparisons appear in {QUEUE_NAME!r} as they land."
        )


@transaction.atomic
def seed_people() -> dict[str, User]:
    """Return the demo people by username, made where missing; a password that was changed stays changed."""
    people = {}
    for login in DEMO_LOGINS:
        person, created = User.objects.get_or_create(username=login.username)
        if created:
            person.is_staff = person.is_superuser = login.role == Role.ADMIN
            person.set_password(login.password)
            person.save()
        people[login.username] = person
    return people


@transaction.atomic
def seed_project(people: dict[str, User]) -> Project:
    """Return the demo project with its people and prompts, made where missing."""
    project = Project.objects.filter(slug=PROJECT_SLUG).first()
    if project is None:
        project = create_project(
            name=PROJECT_NAME,
            slug=PROJECT_SLUG,
            description="A small project to try everything on: a small model, a few prompts, a queue of every kind.",
            admin=people["admin"],
        )
    for login in DEMO_LOGINS:
        add_member(project=project, user=people[login.username], role=login.role)
    prompts = DEMO_FILES / "prompts.jsonl"
    if not project.imports.filter(sha256=digest_of(prompts)[0], state=FileImport.State.STORED).exists():
        import_file(
            project=project,
            path=prompts,
            kind=FileImport.Kind.PROMPTS,
            source="Written for Concord's demo project",
            licence="Apache-2.0",
            language="en",
            created_by=people["curator"],
        )
    return project


def seed_queue(project: Project, people: dict[str, User]) -> Queue:
    """Return the demo queue, opened with the demo guidelines if it is not there."""
    queue = Queue.objects.filter(project=project, name=QUEUE_NAME).first()
    return queue or open_queue(
        project=project,
        name=QUEUE_NAME,
        guideline=(DEMO_FILES / "guidelines.md").read_text(encoding="utf-8"),
        created_by=people["curator"],
    )
