"""How a task of a queue will look to annotators: their own templates, filled with example texts."""

from __future__ import annotations

import uuid
from typing import Any

from feedback.markdown import render as render_markdown
from feedback.models import Prompt, Response, Task, User
from feedback.schemas import RESPONSES, Schema, TaskKind
from feedback.views.label_parts import parts, steps
from feedback.views.talk_parts import CHOOSING, Past, Talk

ASKED = "Why does bread rise in the oven? Answer in two sentences for a child."
ANSWERS = (
    "Tiny living things called yeast make bubbles of gas in the dough. In the hot oven the bubbles grow, and so does "
    "the bread.",
    "Bread rises because of **chemistry**. Yeast eats sugar and lets out carbon dioxide, which the gluten holds in.",
    "Because the oven is hot, and hot things get bigger.",
)
NOTHING = {"answer": {}, "rationale": "", "flags": [], "active_seconds": 0.0}


def preview_parts(schema: Schema, person: User) -> dict[str, Any]:
    """Return what the annotator's templates read, of a task that is in no queue; nothing is stored."""
    prompt = Prompt(messages=[{"role": "user", "content": ASKED}])
    texts = ANSWERS[: 2 if schema.kind == TaskKind.CONVERSATION else RESPONSES[schema.kind][0]]
    shown = [Response(prompt=prompt, text=text) for text in texts]
    context = parts(task=Task(prompt=prompt), shown=shown, annotator=person, schema=schema, entered=NOTHING)
    if schema.kind == TaskKind.CONVERSATION:
        said = Past(1, render_markdown(ASKED))
        context["talk"] = Talk(CHOOSING, uuid.uuid4(), 1, past=[said], max_turns=schema.max_turns)
        context["steps"] = steps(schema, None)
    return context
