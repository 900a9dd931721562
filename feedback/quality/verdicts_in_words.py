"""What a report says, in the words of a page's first lines: what is wrong, and what to do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse

from feedback.models import Project
from feedback.quality.published import USUAL_DECISIVE, USUAL_SCALE

Json = dict[str, Any]


@dataclass(frozen=True)
class Lead:
    tone: str
    """bad, warn, good or plain."""
    title: str
    text: str
    links: list[tuple[str, str]] = field(default_factory=list)
    """(words, address) of where it is settled."""


def lead_of(found: Json, project: Project) -> Lead:
    """Say of the agreement of a whole project what is wrong and what to do."""
    single = [one for one in found["questions"] if len(one["queues"]) == 1]
    by_standing = {
        standing: [one for one in single if one["standing"] == standing] for standing in ("low", "unclear", "few")
    }
    if not any(rated_twice(one) for one in single):
        return nothing_to_compare(single, project)
    if low := by_standing["low"]:
        return Lead(
            "bad",
            f"People agree less than is usual in {listed(low)}",
            f"{figure_words(low[0])} First see where: a slice, a week or two people below. Then settle the disputes "
            "and sharpen the guidelines with what they show. Where the responses are close, less agreement is honest.",
            [("Look at this queue", question_url(project, low[0])),
             ("Change its guidelines", reverse("queue-guidelines", args=[project.slug, low[0]["queues"][0]]))],
        )  # fmt: skip
    if unclear := by_standing["unclear"]:
        return Lead(
            "warn",
            f"Agreement may be too low in {listed(unclear)}",
            f"{figure_words(unclear[0])} The interval still reaches what is usual; more tasks with two "
            "answers will tell.",
            [("Look at this queue", question_url(project, unclear[0]))],
        )
    few = by_standing["few"]
    if len(few) == len(single):
        return Lead(
            "plain",
            "Too few tasks have two people's answers to say how far people agree",
            "Thirty such tasks are the least. Let a random tenth of the tasks be judged by two or three people.",
            [("Change the rules", reverse("queue-policy", args=[project.slug, few[0]["queues"][0]]))],
        )
    best = next(one for one in single if one["standing"] in ("usual", "high"))
    also = f" Of {listed(few)} too little is known." if few else ""
    return Lead("good", "People agree as far as is usual", f"{figure_words(best)}{also}")


def rated_twice(question: Json) -> bool:
    return any(figures["units"] for figures in question["figures"].values())


def nothing_to_compare(single: list[Json], project: Project) -> Lead:
    text = "No task has answers of two people, so nobody knows how reliable one answer is."
    if not single:
        return Lead("plain", "There is nothing to compare yet", text)
    queue = single[0]["queues"][0]
    return Lead(
        "warn",
        "There is nothing to compare yet",
        f"{text} Let a random tenth of the tasks be judged by two or three people.",
        [("Change the rules", reverse("queue-policy", args=[project.slug, queue]))],
    )


def listed(questions: list[Json], most: int = 3) -> str:
    """Name the questions: "A", "A and B", "A, B, C and 4 more"."""
    names = [f"“{one['label']}”" for one in questions]
    if len(names) > most:
        names = [*names[:most], f"{len(names) - most} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def figure_words(question: Json) -> str:
    figures = question["figures"]
    if "decisive" in figures:
        value, low, high = figures["decisive"]["percent_of_pairs"]
        return (
            f"Of two people who both name a better response in “{question['label']}”, {100 * value:.0f} % name the "
            f"same one ({100 * low:.0f} to {100 * high:.0f}); usual is {100 * USUAL_DECISIVE[0]:.0f} to "
            f"{100 * USUAL_DECISIVE[1]:.0f} %."
        )
    value, low, high = figures["scale"]["ac2"]
    return (
        f"AC2 of “{question['label']}” is {value:.2f} ({low:.2f} to {high:.2f}); usual is {USUAL_SCALE[0]} to "
        f"{USUAL_SCALE[1]}."
    )


def question_url(project: Project, question: Json) -> str:
    return f"{reverse('quality-agreement', args=[project.slug])}?question={question['key']}"


def question_words(question: Json) -> list[str]:
    """Say in sentences what the figures of one question mean."""
    figures = question["figures"]
    said = []
    if not rated_twice(question):
        return ["No task of it has answers of two people."]
    if "decisive" in figures and figures["decisive"]["percent_of_pairs"]:
        same, units = figures["decisive"]["percent_of_pairs"][0], figures["decisive"]["units"]
        said.append(
            f"Two people who both name a better response name the same one in {100 * same:.0f} % of the cases, over "
            f"{units:,} {'pairs of responses' if question['kind'] == 'ranking' else 'tasks'}."
        )
        if question["ties"] and figures["ties"]["percent_of_pairs"]:
            said.append(
                f"{100 * question['ties']:.0f} % of the answers are ties; with the tie as an answer of its own, "
                f"{100 * figures['ties']['percent_of_pairs'][0]:.0f} % of the pairs agree."
            )
    elif figures.get("scale", {}).get("percent_of_pairs"):
        said.append(
            f"Two people give the very same value in {100 * figures['scale']['percent_of_pairs'][0]:.0f} % of the "
            f"cases, over {figures['scale']['units']:,} responses."
        )
    if question.get("ceiling"):
        rater, many = question["ceiling"]["rater"][0], question["ceiling"]["votes"]["3"][0]
        said.append(
            f"That is how often two people agree who are each right {100 * rater:.0f} % of the time. So a reward model "
            f"that is always right would be measured at {100 * rater:.0f} % against single votes, and at "
            f"{100 * many:.0f} % against the majority of three."
        )
    return said
