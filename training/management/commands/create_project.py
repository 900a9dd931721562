"""Make a project, give people their roles in it, and register the base model for it."""

from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import transaction

from feedback.models import Role, User
from feedback.people import MemberRefused, ProjectRefused, add_member, create_project
from training.base_models import MISSING_MODEL, find_base_model, register_base_model


class Command(BaseCommand):
    help = (
        "Make a project. People must exist (`manage.py createsuperuser` makes the first one). "
        "Example: create_project 'Help desk' --slug help-desk --member ana:curator --member ana:ml_staff"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--slug", default="", help="Part of the address; made from the name if left out.")
        parser.add_argument("--description", default="")
        parser.add_argument(
            "--evaluation-percent", type=int, default=20, help="Share of prompts never trained on (0 to 90)."
        )
        parser.add_argument(
            "--holdout-percent", type=int, default=0, help="Share of prompts kept for a last test (0 to 50)."
        )
        parser.add_argument(
            "--member",
            action="append",
            default=[],
            metavar="USERNAME:ROLE",
            help=f"May be repeated. Roles: {', '.join(Role.values)}.",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        members = [parse_member(text) for text in options["member"]]
        try:
            with transaction.atomic():
                project = create_project(
                    name=options["name"],
                    slug=options["slug"],
                    description=options["description"],
                    evaluation_percent=options["evaluation_percent"],
                    holdout_percent=options["holdout_percent"],
                )
                for person, role in members:
                    add_member(project=project, user=person, role=role)
        except (ProjectRefused, MemberRefused) as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"Made project {project.name!r} at /p/{project.slug}/ with {len(members)} roles.")
        if find_base_model() is None:
            self.stderr.write(f"{MISSING_MODEL}\nThe project has no base model until then; labeling works without it.")
        else:
            base = register_base_model(project=project)
            self.stdout.write(f"Registered the base model {base}.")


def parse_member(text: str) -> tuple[User, Role]:
    """Return the person and role that `username:role` names."""
    username, colon, role = text.rpartition(":")
    if not colon or role not in Role.values:
        raise CommandError(f"--member {text!r} is not USERNAME:ROLE with a role of {', '.join(Role.values)}")
    person = User.objects.filter(username=username).first()
    if person is None:
        raise CommandError(f"There is no person {username!r}; make one with `manage.py createsuperuser` or in /admin/")
    return person, Role(role)
