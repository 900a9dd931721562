"""What a person learns of a test that is over: their answers beside the good ones."""

from __future__ import annotations

from dataclasses import dataclass

from feedback.answers import Answer, to_shown
from feedback.gold import is_right
from feedback.models import Judgment, Queue, User
from feedback.views.label_parts import in_words


@dataclass(frozen=True)
class KnownAnswer:
    prompt: str
    said: str
    good: str
    right: bool
    explanation: str


def answers_of_test(*, queue: Queue, person: User) -> list[KnownAnswer]:
    """Return the person's judgments of the test with what is known of each, in the order in which they saw them."""
    mine = Judgment.objects.current().filter(queue=queue, annotator=person, task__gold__isnull=False)
    found = []
    for judgment in mine.select_related("task__gold", "task__prompt", "schema__queue").order_by(
        "assignment__leased_at"
    ):
        asks, gold = judgment.schema.asks, judgment.task.gold
        known = Answer(gold.answer.get("preference"), {k: v for k, v in gold.answer.items() if k != "preference"})
        found.append(
            KnownAnswer(
                prompt=judgment.task.prompt.last_turn,
                said=in_words(asks, judgment.shown_answer),
                good=in_words(asks, to_shown(known, judgment.display_order)),
                right=is_right(asks, gold.answer, judgment.answer),
                explanation=gold.explanation,
            )
        )
    return found
