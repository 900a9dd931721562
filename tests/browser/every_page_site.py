"""Fill a site with rows for every page: `python -m tests.browser.every_page_site`, in the site's environment.

Prints {"everybody": {name: address}, "ann": {...}}: the pages, by the person who shall look at them.
"""

from __future__ import annotations

import json

import django

from tests.browser.people import PASSWORD


def fill() -> None:
    from django.core.management import call_command
    from django.urls import reverse

    from feedback.gold import make_gold
    from feedback.models import Qualification, Role
    from feedback.queues import change_policy, set_queue_state
    from feedback.reviewing import review_judgment
    from feedback.schemas import TaskKind
    from tests.factories import make_judgment, make_member, make_project, make_queue, make_task, make_user
    from tests.pages.every_page import addresses, make_everybody, make_rows

    call_command("migrate", verbosity=0)
    project = make_project(name="Harbour")
    everybody = make_everybody(project)
    found = addresses(make_rows(project, everybody))

    ann = make_user(username="ann")
    make_member(project, Role.ANNOTATOR, user=ann)
    own = {"home": "/", "project": reverse("project", args=[project.slug])}
    for kind in TaskKind:
        queue = make_queue(project, kind=kind, name=f"Every {kind}", created_by=everybody)
        for _ in range(2):
            make_task(queue)
        own[f"label {kind}"] = reverse("label", args=[queue.pk])
    done = make_queue(project, name="Done", created_by=everybody)
    judgment = make_judgment(queue=done, annotator=ann, rationale="Because.", flags=["unsafe"])
    review_judgment(judgment=judgment, reviewer=everybody, accepted=False, reason="Look again.")
    own["nothing left"] = reverse("label", args=[done.pk])
    own["history"], own["me"] = reverse("label-history", args=[done.pk]), reverse("label-me", args=[done.pk])
    own["revise"] = reverse("label-revise", args=[done.pk, judgment.pk])
    own["guidelines"] = reverse("label-guidelines", args=[done.pk])
    test = make_queue(project, name="Test", is_qualification=True, created_by=everybody)
    make_gold(task=make_task(test), answer={"preference": 2}, created_by=everybody)
    own["test"] = reverse("label", args=[test.pk])
    over = make_queue(project, name="Test that is over", is_qualification=True, created_by=everybody)
    Qualification.objects.create(queue=over, person=ann, passed=True, right=9, judged=10, policy=over.policy)
    own["test over"] = reverse("label", args=[over.pk])
    shut = make_queue(project, name="Behind the test", created_by=everybody)
    change_policy(queue=shut, changed_by=everybody, qualification=test)
    own["not eligible"] = reverse("label", args=[shut.pk])
    resting = make_queue(project, name="Resting", created_by=everybody)
    set_queue_state(queue=resting, state="paused")
    own["resting"] = reverse("label", args=[resting.pk])
    for person in (ann, everybody):
        person.set_password(PASSWORD)
        person.save()
    print(json.dumps({"everybody": found, "ann": own}))  # noqa: T201  the test reads it


if __name__ == "__main__":
    django.setup()
    fill()
