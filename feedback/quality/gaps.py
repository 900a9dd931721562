"""Agreement as a curve over the reward model's gap: people disagree more where the responses are close."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from django.db.models import Count, Max, TextField
from django.db.models.functions import Cast

from feedback.models import Project, Score, TaskResponse
from feedback.quality.columns import ID, Columns, Floats, as_raw, batches, places_in
from feedback.quality.questions import Question
from feedback.stats.intervals import clustered_share

BINS = 6
FEWEST_TASKS = 30
WIDE = 0.8
"""Of the widest fifth of the gaps it is told where most people prefer the other response."""


def agreement_by_gap(columns: Columns, question: Question, project: Project) -> dict[str, Any] | None:
    """Return the curve under the scorer that knows most responses; None while nothing is scored.

    Bins hold equally many tasks. Of each: the size of the gap, the share of pairs of decisive votes that agree, and
    the share of decisive votes that prefer the response with the higher reward.
    """
    scorer = best_scorer(project)
    if scorer is None:
        return None
    gap = gaps_of_tasks(columns, scorer["scorer_id"], [queue.pk for queue in question.queues])
    decided = question.value != 0
    task, side = columns.task[question.row][decided], np.sign(question.value[decided])
    known = ~np.isnan(gap[task])
    task, side = task[known], side[known]
    first = np.bincount(task, weights=side < 0, minlength=len(columns.tasks))
    second = np.bincount(task, weights=side > 0, minlength=len(columns.tasks))
    votes = first + second
    judged = np.flatnonzero(votes)
    found: dict[str, Any] = {
        "scorer": scorer["scorer_name"],
        "scorer_id": str(scorer["scorer_id"]),
        "tasks": len(judged),
        "bins": [],
    }
    if len(judged) < FEWEST_TASKS:
        return found
    size = np.abs(gap)
    wide = judged[size[judged] >= np.quantile(size[judged], WIDE)]
    against = np.where(gap[wide] > 0, first[wide] > second[wide], second[wide] > first[wide])
    found["conflicts"] = {"tasks": int(against.sum()), "of": len(wide), "gap": round(float(size[wide].min()), 4)}
    edges = np.unique(np.quantile(size[judged], np.linspace(0, 1, BINS + 1)))
    number = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, max(len(edges) - 2, 0))
    for each in range(max(len(edges) - 1, 1)):
        here = judged[number[judged] == each]
        if not len(here):
            continue
        shared = here[votes[here] > 1]
        pairs = votes[shared] * (votes[shared] - 1)
        agreeing = first[shared] * (first[shared] - 1) + second[shared] * (second[shared] - 1)
        with_model = np.where(gap[here] > 0, second[here], first[here]) / votes[here]
        found["bins"].append({
            "low": round(float(edges[each]), 4),
            "high": round(float(edges[min(each + 1, len(edges) - 1)]), 4),
            "tasks": len(here),
            "compared": len(shared),
            "agreement": estimate(agreeing / pairs),
            "with_model": estimate(with_model),
        })  # fmt: skip
    return found


def estimate(shares: Floats) -> list[float] | None:
    """Return the mean of tasks' shares with its interval."""
    found = clustered_share(shares, np.arange(len(shares)))
    return None if np.isnan(found.value) else [round(float(each), 5) for each in np.nan_to_num(found, nan=found.value)]


def best_scorer(project: Project) -> Mapping[str, Any] | None:
    """Return the scorer that has scored most of the project's responses, the latest among equals."""
    scorers = Score.objects.filter(project=project).values("scorer_id", "scorer_name")
    return scorers.annotate(responses=Count("pk"), last=Max("created_at")).order_by("-responses", "-last").first()


def gaps_of_tasks(columns: Columns, scorer: Any, queues: list[Any]) -> Floats:
    """Return the reward of the response at place 1 less that at place 0 [tasks]; nan where one of them has none.

    Scores and links are read apart: joined, the database would look each link's score up by itself.
    """
    scored, rewards = [np.empty(0, ID)], [np.empty(0)]
    scores = Score.objects.filter(scorer_id=scorer).order_by()
    for batch in batches(scores.values_list(Cast("response_id", TextField()), "value")):
        response, value = zip(*batch, strict=True)
        scored.append(as_raw(response))
        rewards.append(np.array(value))
    known, worth = np.concatenate(scored), np.append(np.concatenate(rewards), np.nan)
    found = np.full((2, len(columns.tasks)), np.nan)
    links = TaskResponse.objects.filter(task__queue__in=queues, place__lt=2).order_by()
    for batch in batches(links.values_list(Cast("task_id", TextField()), Cast("response_id", TextField()), "place")):
        task, response, place = zip(*batch, strict=True)
        at = places_in(columns.tasks, as_raw(task))
        judged = at >= 0
        found[np.array(place)[judged], at[judged]] = worth[places_in(known, as_raw(response))[judged]]
    return found[1] - found[0]
