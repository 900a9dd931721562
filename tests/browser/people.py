"""Set up the data directory of a browser test: `python -m tests.browser.people` in the site's environment."""

from __future__ import annotations

import os

import django

ROLES = {"ann": ["annotator"], "cleo": ["curator"], "mel": ["ml_staff"]}
PASSWORD = "correct horse battery"
PROJECT = "harbour"


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "rlhf_site.settings")
    django.setup()
    from django.core.management import call_command

    from feedback.models import User
    from feedback.people import add_member, create_project
    from training.base_models import register_base_model

    call_command("migrate", verbosity=0)
    project = create_project(name="Harbour", slug=PROJECT)
    for username, roles in ROLES.items():
        person = User.objects.create_user(username, password=PASSWORD)
        for role in roles:
            add_member(project=project, user=person, role=role)
    User.objects.create_user("olga", password=PASSWORD)
    assert register_base_model(project=project) is not None


if __name__ == "__main__":
    main()
