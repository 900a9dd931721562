"""Fill the site of the browser tests of talks: `python -m tests.browser.labeling.talk_site`. Prints the queue ids."""

from __future__ import annotations

import json

import django

from tests.browser.labeling.site import ANNOTATOR
from tests.browser.people import PASSWORD

TASKS = 12
QUEUES: dict[str, dict[str, object]] = {
    "talk": {"opening": "written", "min_turns": 2, "max_turns": 3, "max_new_tokens": 12},
    "given": {"opening": "given", "max_new_tokens": 12},
}


def fill() -> None:
    from django.core.management import call_command

    from feedback.contract import digest
    from feedback.filling import enqueue_task
    from feedback.models import Membership, Prompt, User
    from feedback.people import create_project
    from feedback.queues import open_queue
    from training.base_models import register_base_model

    call_command("migrate", verbosity=0)
    project = create_project(name="Talks", slug="talks")
    anna = User.objects.create_user(ANNOTATOR, password=PASSWORD)
    Membership.objects.create(project=project, user=anna, role="annotator")
    checkpoint = register_base_model(project=project)
    assert checkpoint is not None
    ids = {}
    for name, schema in QUEUES.items():
        queue = open_queue(
            project=project,
            name=f"Round {name}",
            guideline="Talk **kindly**.",
            created_by=anna,
            kind="conversation",
            schema={**schema, "policies": [str(checkpoint.pk)]},
        )
        ids[name] = str(queue.pk)
        for number in range(TASKS):
            messages = [{"role": "user", "content": f"{name}: talk about tea, number {number}."}]
            mark = digest(messages)
            prompt = Prompt.objects.create(project=project, messages=messages, digest=mark, cluster=mark, split="train")
            enqueue_task(queue=queue, prompt=prompt, responses=[])
    print(json.dumps(ids))  # noqa: T201  the test reads it


if __name__ == "__main__":
    django.setup()
    fill()
