"""Which model people prefer: Bradley-Terry raw and with length and style held equal, Davidson, Plackett-Luce, and how
few votes would flip first place. Intervals are clustered by annotator, because one person's votes go together."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feedback.models import Project
from feedback.quality.columns import Bools, Columns, Floats, Ints, read_columns
from feedback.quality.questions import contents, votes_among
from feedback.quality.reports import Measured, Tell
from feedback.quality.writers import FEATURES, Writers, read_writers
from feedback.schemas import TaskKind
from feedback.stats.fragility import Flip, fewest_people, fewest_votes
from feedback.stats.preference_models import Strengths, bradley_terry, davidson, style_differences
from feedback.stats.rankings import RankingTooLong, plackett_luce

Json = dict[str, Any]
MOST_IN_TABLE = 24
"""Models in the table of wins."""
MOST_PEOPLE_NAMED = 10


@dataclass(frozen=True)
class Votes:
    """Choices between two models' responses, one row each."""

    first: Ints
    second: Ints
    wins: Floats
    """How much the first was preferred: 0, 0.5 or 1."""
    annotator: Ints
    cluster: Ints
    """As `clusters_of` tells."""
    covariates: Floats
    """[votes x (1 + FEATURES)]: who was shown first, then the differences of style."""


def measure_models(*, project: Project, params: Mapping[str, Any], tell: Tell) -> Measured:
    """Compute the models' ranks from the judgments of people."""
    tell(0, 4, "Reading the judgments")
    columns = read_columns(project=project)
    rows = votes_among(columns) & ~columns.simulated
    tell(1, 4, "Reading who wrote what")
    writers = read_writers(columns, project)
    votes, unnamed = votes_of(columns, rows, writers)
    tell(2, 4, "Fitting strengths")
    content: Json = {
        "votes": len(votes.first),
        "unnamed": unnamed,
        "people": len(np.unique(votes.cluster[votes.cluster < len(columns.people)])),
        "ties": round(float((votes.wins == 0.5).mean()), 5) if len(votes.first) else None,
        "comparisons": ranks_of(votes, writers, columns.people) if len(votes.first) else None,
    }
    tell(3, 4, "Fitting rankings")
    content["rankings"] = rankings_of(columns, rows & columns.of_kind(TaskKind.RANKING), writers)
    return Measured(content=content, columns=columns)


def votes_of(columns: Columns, rows: Bools, writers: Writers) -> tuple[Votes, int]:
    """Return the votes between two models that the judgments of `rows` hold, in comparisons and at the turns of talks;
    and how many are left out because a writer is not named."""
    row = np.flatnonzero(rows & columns.of_kind(TaskKind.COMPARISON))
    task, talks = columns.task[row], writers.talks
    chosen = np.flatnonzero(np.isin(pairs_of(columns, talks.task, talks.annotator), judged_talks(columns, rows)))
    shown = columns.shown_swapped[row]
    order = np.where(shown == 0, 1.0, np.where(shown == 1, -1.0, 0.0))
    writer = np.concatenate([writers.writer[task, :2], talks.writer[chosen]])
    features = np.concatenate([writers.features[task, :2], talks.features[chosen]])
    preference = np.concatenate([columns.preference[row], talks.preference[chosen]])
    annotator = np.concatenate([columns.annotator[row], talks.annotator[chosen]])
    cluster = np.concatenate([clusters_of(columns)[row], talks.annotator[chosen]])
    order = np.concatenate([order, np.ones(len(chosen))])
    named = (writer >= 0).all(axis=1)
    kept = named & (writer[:, 0] != writer[:, 1])
    style = style_differences(features[kept, 0], features[kept, 1])
    votes = Votes(
        writer[kept, 0],
        writer[kept, 1],
        (1 - np.sign(preference[kept]).astype(float)) / 2,
        annotator[kept],
        cluster[kept],
        np.column_stack([order[kept], style]),
    )
    return votes, int((~named).sum())


def clusters_of(columns: Columns) -> Ints:
    """Return whose votes may all err alike: the person's; of a dataset that names nobody, only those on one task."""
    return np.where(columns.by_nobody, len(columns.people) + columns.task.astype(np.int64), columns.annotator)


def pairs_of(columns: Columns, task: Ints, annotator: Ints) -> Ints:
    """Return one number for each (task, person)."""
    return task.astype(np.int64) * max(len(columns.people), 1) + annotator


def judged_talks(columns: Columns, rows: Bools) -> Ints:
    here = rows & columns.of_kind(TaskKind.CONVERSATION)
    return pairs_of(columns, columns.task[here], columns.annotator[here])


def ranks_of(votes: Votes, writers: Writers, people: Sequence[int]) -> Json:
    count = len(writers.names)
    pairs = (votes.first, votes.second, votes.wins)
    raw = bradley_terry(*pairs, players=count, clusters=votes.cluster)
    with_ties = davidson(*pairs, players=count, clusters=votes.cluster)
    controlled = bradley_terry(*pairs, players=count, clusters=votes.cluster, covariates=votes.covariates)
    met = np.flatnonzero(np.bincount(votes.first, minlength=count) + np.bincount(votes.second, minlength=count))
    order = met[np.argsort(-np.nan_to_num(raw.strength[met], nan=-np.inf), kind="stable")]
    flip = fewest_votes(*pairs, players=count)
    without = fewest_people(*pairs, votes.annotator, players=count)
    return {
        "models": [
            {
                "name": writers.names[at],
                "checkpoint": writers.checkpoints.get(writers.names[at]),
                **tally(votes, at),
                "raw": estimate(raw, at),
                "davidson": estimate(with_ties, at),
                "controlled": estimate(controlled, at),
            }
            for at in order.tolist()
        ],
        "effects": [
            {
                "name": name,
                "effect": [rounded(controlled.coefficients[at]), rounded(controlled.coefficient_low[at]),
                           rounded(controlled.coefficient_high[at])],
            }
            for at, name in enumerate(("shown first", *FEATURES))
        ],
        "tie": rounded(with_ties.coefficients[0]),
        "lead": lead(raw, order, writers),
        "flip_votes": flip_of(flip, writers, people),
        "flip_people": flip_of(without, writers, people),
        "table": table_of_wins(votes, order[:MOST_IN_TABLE]),
    }  # fmt: skip


def tally(votes: Votes, model: int) -> Json:
    as_first, as_second = votes.first == model, votes.second == model
    won = (votes.wins[as_first] == 1).sum() + (votes.wins[as_second] == 0).sum()
    tied = (votes.wins[as_first] == 0.5).sum() + (votes.wins[as_second] == 0.5).sum()
    return {"votes": int(as_first.sum() + as_second.sum()), "won": int(won), "tied": int(tied)}


def table_of_wins(votes: Votes, order: Ints) -> Json:
    """Return for every two of the models in `order` how often the row was preferred to the column, and ties."""
    place = np.full(int(max(votes.first.max(), votes.second.max())) + 1, -1, dtype=np.int64)
    place[order] = np.arange(len(order))
    first, second = place[votes.first], place[votes.second]
    both = (first >= 0) & (second >= 0)
    first, second, wins, size = first[both], second[both], votes.wins[both], len(order)

    def counted(one: Ints, other: Ints, which: Bools) -> Any:
        return np.bincount(one[which] * size + other[which], minlength=size * size).reshape(size, size)

    won = counted(first, second, wins == 1) + counted(second, first, wins == 0)
    tied = counted(first, second, wins == 0.5)
    return {"won": won.tolist(), "tied": (tied + tied.T).tolist()}


def lead(fitted: Strengths, order: Ints, writers: Writers) -> Json | None:
    compared = [at for at in order.tolist() if fitted.compared[at]]
    if len(compared) < 2:
        return None
    one, other = compared[:2]
    return {
        "first": writers.names[one],
        "second": writers.names[other],
        "errors": rounded(fitted.leads(one, other)),
        "beats": rounded(fitted.beats(one, other)),
    }


def flip_of(flip: Flip | None, writers: Writers, people: Sequence[int]) -> Json | None:
    if flip is None:
        return None
    return {
        "dropped": flip.dropped,
        "of": flip.of,
        "leader": writers.names[flip.leader],
        "rival": writers.names[flip.rival],
        "people": [people[at] for at in flip.people[:MOST_PEOPLE_NAMED].tolist()],
    }


def rankings_of(columns: Columns, rows: Bools, writers: Writers) -> Json | None:
    """Return Plackett and Luce's strengths of whole rankings; of one model's responses in a ranking the best counts."""
    ranking: list[int] = []
    player: list[int] = []
    rank: list[int] = []
    for number, queue in enumerate(columns.queues):
        here = np.flatnonzero(rows & (columns.queue == number))
        for row, said in contents(columns, queue, here) if len(here) else ():
            best: dict[int, int] = {}
            for writer, given in zip(writers.writer[columns.task[row]].tolist(), said.get("ranks", ()), strict=False):
                if writer >= 0 and given is not None:
                    best[writer] = min(given, best.get(writer, given))
            if len(best) > 1:
                ranking += itertools.repeat(row, len(best))
                player += best
                rank += best.values()
    if not ranking:
        return None
    try:
        fitted = plackett_luce(
            ranking, player, rank, player_count=len(writers.names), clusters=clusters_of(columns)[np.array(ranking)]
        )
    except RankingTooLong as reason:
        return {"rankings": len(set(ranking)), "refused": str(reason), "models": []}
    met = np.unique(player)
    order = met[np.argsort(-np.nan_to_num(fitted.strength[met], nan=-np.inf), kind="stable")]
    return {
        "rankings": fitted.votes,
        "refused": "",
        "models": [
            {
                "name": writers.names[at],
                "checkpoint": writers.checkpoints.get(writers.names[at]),
                "votes": int((np.array(player) == at).sum()),
                "raw": estimate(fitted, at),
            }
            for at in order.tolist()
        ],
    }


def estimate(fitted: Strengths, at: int) -> list[float | None] | None:
    """Return [strength, low, high] in log-odds; None for a model that cannot be compared with the others."""
    if not fitted.compared[at]:
        return None
    return [rounded(fitted.strength[at]), rounded(fitted.low[at]), rounded(fitted.high[at])]


def rounded(value: float) -> float | None:
    return None if np.isnan(value) or np.isinf(value) else round(float(value), 5)
