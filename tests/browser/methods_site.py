"""A project that a run of every kind can start from: `python -m tests.browser.methods_site`, as the site is set."""

from __future__ import annotations

import django

from tests.browser import people

ROUNDS = 3


def fill() -> None:
    from feedback.models import Project, User
    from feedback.schemas import TaskKind
    from feedback.selection import Selection
    from tests.every_kind import judge_everything
    from tests.factories import make_snapshot

    project = Project.objects.get(slug=people.PROJECT)
    annotator = User.objects.get(username="ann")
    for split in ("train", "evaluation"):
        for _ in range(ROUNDS):
            judge_everything(project, annotator, split)
    make_snapshot(project, name="Everything", selection=Selection(kinds=tuple(TaskKind)))


if __name__ == "__main__":
    people.main()
    django.setup()
    fill()
