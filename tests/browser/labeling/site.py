"""Fill the database of the site that the browser tests of labeling talk to: `python -m tests.browser.labeling.site`."""

from __future__ import annotations

import json

import django

from tests.browser.people import PASSWORD

ANNOTATOR = "anna"

TASKS = 30
WORDS = "Boats need the wind and some patience. " * 6
TEXTS = [
    "The tide comes in twice a day. " + WORDS,
    "The tide goes out twice a day, mostly. " + WORDS,
    "Tides follow the moon.\n\n| place | hours |\n|---|---|\n| harbour | 6 |\n",
    "```python\nprint(" + "'a very long line', " * 20 + ")\n```\n\n$x^2$",
]
ATTRIBUTES = [
    {
        "key": "helpfulness",
        "label": "Helpfulness",
        "definition": "How far it does what the person needs.",
        "anchors": ["not at all", "fully"],
    },
    {"key": "correct", "label": "Correctness", "definition": "Whether what it states is true."},
    {"key": "thumbs", "label": "All in all", "style": "thumbs", "required": False},
]
QUEUES: dict[str, tuple[str, int, dict[str, object]]] = {
    "comparison": ("comparison", 2, {}),
    "edit": ("comparison", 2, {"edit_winner": True, "levels": 4}),
    "ranking": ("ranking", 4, {}),
    "rating": ("rating", 1, {"attributes": ATTRIBUTES}),
    "demonstration": ("demonstration", 0, {}),
    "correction": ("correction", 1, {}),
}
"""Name: kind, responses, label schema."""


def fill() -> None:
    from django.core.management import call_command

    from feedback.contract import digest
    from feedback.filling import enqueue_task
    from feedback.models import Membership, Prompt, Response, User
    from feedback.people import create_project
    from feedback.queues import open_queue

    call_command("migrate", verbosity=0)
    project = create_project(name="Labels", slug="labels")
    anna = User.objects.create_user(ANNOTATOR, password=PASSWORD)
    Membership.objects.create(project=project, user=anna, role="annotator")
    ids = {}
    for name, (kind, count, schema) in QUEUES.items():
        guideline = "Prefer the response that **helps** more."
        queue = open_queue(
            project=project,
            name=f"Round {name}",
            guideline=guideline,
            created_by=anna,
            kind=kind,
            schema=schema,
            overlap=2,
        )
        ids[name] = str(queue.pk)
        for number in range(TASKS):
            messages = [{"role": "user", "content": f"{name}: how do the tides work, question {number}?"}]
            mark = digest(messages)
            prompt = Prompt.objects.create(project=project, messages=messages, digest=mark, cluster=mark, split="train")
            responses = [
                Response.objects.create(
                    prompt=prompt,
                    text=f"{TEXTS[place]}\n\nAnswer {number}-{place}.",
                    origin=f"made:{place}",
                    model_name="m",
                )
                for place in range(count)
            ]
            enqueue_task(queue=queue, prompt=prompt, responses=responses)
    print(json.dumps(ids))  # noqa: T201  the test reads it


if __name__ == "__main__":
    django.setup()
    fill()
