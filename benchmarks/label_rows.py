"""Rows for `benchmarks.label_page`: one comparison queue with texts as long as chat models write, one annotator.

`python -m benchmarks.label_rows` in the environment of an own site prints the queue's id.
"""

from __future__ import annotations

import random

import django

ANNOTATOR, PASSWORD = "ann", "correct horse battery"
TASKS = 400
WORDS = """
    about after again answer because before better between boat build change child clear close cold common country
    cover current depth different distance draw early earth example fast field follow force form free garden give
    ground group grow half hard harbour heat help high hour house island keep kind know land language large later
    learn letter light line list little long machine make many mark matter mean measure might minute moon morning most
    move much music near need never next night north note number often open order paper part people person place
    plain plan plant point power press problem question quick rain reach read ready reason remember rest right river
    road rock round rule salt same school science second sentence serve several shape ship shore short should show
    side simple since slow small snow something sound south special stand star start state still stone story strong
    study such summer sure table take teach tell thing think those thought through tide time together toward town
    travel true turn under until usual voice walk warm watch water wave weather while whole wind winter without wonder
    word work world write year young
""".split()  # noqa: SIM905  a list of words reads better as words


def paragraph(draw: random.Random, words: int) -> str:
    text = []
    while words > 0:
        length = min(words, draw.randint(6, 18))
        text.append(" ".join(draw.choices(WORDS, k=length)).capitalize() + ".")
        words -= length
    return " ".join(text)


def response(draw: random.Random) -> str:
    """Return 150 to 350 words of Markdown with a list, and at times code or a formula."""
    parts = [paragraph(draw, draw.randint(60, 120))]
    parts.append("\n".join(f"{place}. **{draw.choice(WORDS)}**: {paragraph(draw, 14)}" for place in range(1, 6)))
    if draw.random() < 0.3:
        parts.append("```python\nfor hour in range(24):\n    print(hour, tide(hour))\n```")
    if draw.random() < 0.3:
        parts.append("It follows $h(t) = a \\cos(\\omega t + \\varphi)$ closely.")
    parts.append(paragraph(draw, draw.randint(30, 120)))
    return "\n\n".join(parts)


def fill() -> None:
    from django.core.management import call_command
    from django.db import transaction

    from feedback.contract import digest
    from feedback.filling import enqueue_task
    from feedback.models import Prompt, Response, Role, User
    from feedback.people import add_member, create_project
    from feedback.queues import open_queue

    call_command("migrate", verbosity=0)
    draw = random.Random(7)
    with transaction.atomic():
        project = create_project(name="Page speed", slug="speed")
        person = User.objects.create_user(ANNOTATOR, password=PASSWORD)
        add_member(project=project, user=person, role=Role.ANNOTATOR)
        queue = open_queue(project=project, name="Speed", guideline=paragraph(draw, 300), created_by=person)
        for number in range(TASKS):
            messages = [{"role": "user", "content": f"{number}: {paragraph(draw, 40)}"}]
            mark = digest(messages)
            prompt = Prompt.objects.create(project=project, messages=messages, digest=mark, cluster=mark, split="train")
            both = [
                Response.objects.create(prompt=prompt, text=response(draw), origin=f"made:{side}", model_name="made")
                for side in range(2)
            ]
            enqueue_task(queue=queue, prompt=prompt, responses=both)
    print(queue.pk)


if __name__ == "__main__":
    django.setup()
    fill()
