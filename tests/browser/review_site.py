"""Fill a site with twenty judgments to review and a dispute: `python -m tests.browser.review_site`.

Prints the addresses that the test starts from.
"""

from __future__ import annotations

import json

import django

from tests.browser.people import PASSWORD


def fill() -> None:
    from django.core.management import call_command
    from django.urls import reverse

    from feedback.models import Role
    from tests.factories import make_judgment, make_member, make_project, make_queue, make_task, make_user

    call_command("migrate", verbosity=0)
    project = make_project(name="Harbour")
    curator = make_user(username="cura", password=PASSWORD)
    make_member(project, Role.CURATOR, user=curator)
    queue = make_queue(project, name="Pairs", created_by=curator)
    people = [make_member(project) for _ in range(4)]
    for number in range(20):
        make_judgment(queue=queue, annotator=people[number % 4], preference=(-2, 1, 3, 0)[number % 4])
    pair = make_queue(project, name="Twice", overlap=2, created_by=curator)
    task = make_task(pair)
    for person, preference in zip(people, (3, -2), strict=False):
        make_judgment(task=task, annotator=person, preference=preference)
    print(  # noqa: T201  the test reads it
        json.dumps(
            {
                "list": f"{reverse('judgments', args=[project.slug])}?queue={queue.pk}&order=oldest",
                "disputes": reverse("disputes", args=[project.slug]),
                "audit": reverse("audit", args=[project.slug]),
            }
        )
    )


if __name__ == "__main__":
    django.setup()
    fill()
