"""Fill the database of the site that test_label_browser talks to: `python -m tests.pages.label_site`."""

from __future__ import annotations

import django

ANNOTATOR = "anna"
COMPARISONS = 12


def fill() -> None:
    from django.core.management import call_command

    from tests.factories import make_comparison, make_member, make_project, make_prompt, make_queue, make_response

    call_command("migrate", verbosity=0)
    project = make_project(name="Labels", slug="labels")
    make_member(project, "annotator", username=ANNOTATOR)
    queue = make_queue(project, name="Round 1", overlap=2)
    code = "```python\nprint(" + "'a very long line', " * 20 + ")\n```\n\n$x^2$"
    for number in range(COMPARISONS):
        prompt = make_prompt(project, text=f"Question {number}?")
        texts = (f"{code}\n\nAnswer {number}.", "Word. " * (40 * number) + f"Other {number}.")
        make_comparison(queue, prompt=prompt, responses=tuple(make_response(prompt, text) for text in texts))
    print(queue.pk)  # noqa: T201  the test reads it


if __name__ == "__main__":
    django.setup()
    fill()
