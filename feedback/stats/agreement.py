"""How far people agree: percent, Krippendorff's alpha, Gwet's AC1 and AC2, Fleiss' kappa, and one bootstrap of all.

Every figure is a function of sums over units, so a bootstrap draws units (or clusters of units, such as the prompts
that several pairs share) by multinomial weights and adds up again. Units that got the same ratings are one kind of
unit, and few kinds make up a million: a draw is one multinomial number per kind, which is the same in distribution.

Say preferences by response (the winner), never by side: sides are shuffled, and agreement on a side means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from feedback.stats.intervals import LEVEL, UNKNOWN, Bools, Estimate, Floats, Ints

Metric = Literal["nominal", "ordinal", "interval", "ratio"]
METRICS: tuple[Metric, ...] = ("nominal", "ordinal", "interval", "ratio")
BATCH_CELLS = 2_000_000
MULTINOMIAL_FROM = 8
CATEGORIES_LIMIT = 25


class TooManyCategories(ValueError):
    """Agreement on so many different values is not counted; group the values first."""


@dataclass(frozen=True)
class Ratings:
    """Who gave which value to which unit: three arrays of equal length, one row per rating.

    `units` and `raters` are any codes; `values` are numbers (a preference, a scale's point; nan or None is no rating).
    `categories` are the values that there can be, ascending; those that occur, if not given. Of two ratings of a unit
    by one rater the first is kept. Kept rows are in `unit`, `rater`, `code` (indices from 0 on); `rows` says which
    they were, `unit_codes` and `rater_codes` what the indices stand for.
    """

    units: ArrayLike
    raters: ArrayLike
    values: ArrayLike
    categories: ArrayLike | None = None
    unit: Ints = field(init=False, repr=False)
    rater: Ints = field(init=False, repr=False)
    code: Ints = field(init=False, repr=False)
    rows: Ints = field(init=False, repr=False)
    unit_codes: Any = field(init=False, repr=False)
    rater_codes: Any = field(init=False, repr=False)
    points: Floats = field(init=False, repr=False)

    def __post_init__(self) -> None:
        values = np.asarray(self.values, dtype=float)
        rows = np.flatnonzero(~np.isnan(values))
        unit_codes, unit = np.unique(np.asarray(self.units)[rows], return_inverse=True)
        rater_codes, rater = np.unique(np.asarray(self.raters)[rows], return_inverse=True)
        # `return_index` finds the first of equal ones.
        _, first = np.unique(unit * max(1, rater_codes.size) + rater, return_index=True)
        first.sort()
        rows, unit, rater = rows[first], unit[first].astype(np.int64), rater[first].astype(np.int64)
        kept = values[rows]
        points = np.unique(kept) if self.categories is None else np.unique(np.asarray(self.categories, dtype=float))
        if points.size > CATEGORIES_LIMIT:
            raise TooManyCategories(f"{points.size} different values; at most {CATEGORIES_LIMIT} can be compared.")
        code = np.searchsorted(points, kept)
        if kept.size and not np.array_equal(points[np.minimum(code, points.size - 1)], kept):
            raise ValueError("A rating is none of the categories.")
        found: Mapping[str, Any] = {
            "unit": unit, "rater": rater, "code": code.astype(np.int64), "rows": rows, "points": points,
            "unit_codes": unit_codes, "rater_codes": rater_codes,
        }  # fmt: skip
        for name, value in found.items():
            object.__setattr__(self, name, value)

    def __len__(self) -> int:
        return self.rows.size

    @property
    def counts(self) -> Ints:
        """Count the ratings by unit and category: [units x categories]."""
        width = self.points.size
        flat = np.bincount(self.unit * width + self.code, minlength=self.unit_codes.size * width)
        return flat.reshape(self.unit_codes.size, width)

    def only(self, kept: Bools) -> Ratings:
        """Return those of the kept rows for which `kept` (as long as `rows`) is true."""
        rows = self.rows[kept]
        return Ratings(
            np.asarray(self.units)[rows], np.asarray(self.raters)[rows], np.asarray(self.values, dtype=float)[rows],
            self.categories,
        )  # fmt: skip


def ties_as_a_category(ratings: Ratings) -> Ratings:
    """Tie rule S1: who is preferred, whatever the strength; a tie is the middle of three ordered categories."""
    return Ratings(ratings.units, ratings.raters, np.sign(np.asarray(ratings.values, dtype=float)), (-1, 0, 1))


def decisive_only(ratings: Ratings) -> Ratings:
    """Tie rule S2: who is preferred, among the ratings that prefer one; a tie is no rating."""
    signs = np.sign(np.asarray(ratings.values, dtype=float))
    return Ratings(ratings.units, ratings.raters, np.where(signs == 0, np.nan, signs), (-1, 1))


# Figures ------------------------------------------------------------------------------------------------


def percent_agreement(ratings: Ratings) -> float:
    """Return the mean over units with two ratings or more of the share of their pairs of ratings that agree."""
    return figures(ratings)["percent"]


def krippendorff_alpha(ratings: Ratings, metric: Metric = "nominal") -> float:
    """Return alpha: 1 - observed / expected disagreement; nan if fewer than two values occur in comparable units.

    The distance of `ordinal` depends on how often each category was used. `ratio` needs values from 0 on. Source:
    Krippendorff 2011, Computing Krippendorff's Alpha-Reliability.
    """
    return figures(ratings)[f"alpha_{metric}"]


def gwet_ac1(ratings: Ratings) -> float:
    """Return AC1, which prevalence does not pull down as it does kappa; nan for one category. Source: Gwet 2008."""
    return figures(ratings)["ac1"]


def gwet_ac2(ratings: Ratings) -> float:
    """Return AC2 with quadratic weights over the categories' values. Source: Gwet 2014, ch. 4."""
    return figures(ratings)["ac2"]


def fleiss_kappa(ratings: Ratings) -> float:
    """Return Fleiss' kappa, with unequal numbers of ratings as in Gwet 2014: a unit's shares weigh the same."""
    return figures(ratings)["fleiss"]


def cohen_kappa(first: ArrayLike, second: ArrayLike, weights: Literal["nominal", "quadratic"] = "nominal") -> Estimate:
    """Return kappa of two raters' values of the same units, with the interval of its large-sample error.

    `quadratic` weighs by the values' distance. Source: Fleiss, Cohen and Everitt 1969. One category only: nan.
    """
    a, b = np.asarray(first, dtype=float), np.asarray(second, dtype=float)
    points = np.unique(np.concatenate([a, b]))
    if points.size < 2:
        return UNKNOWN
    shape = (points.size, points.size)
    cells = np.searchsorted(points, a) * points.size + np.searchsorted(points, b)
    p = np.bincount(cells, minlength=points.size**2).reshape(shape) / a.size
    w = np.eye(points.size) if weights == "nominal" else quadratic_weights(points)
    row, column = p.sum(axis=1), p.sum(axis=0)
    observed, expected = float((w * p).sum()), float(row @ w @ column)
    if expected >= 1:
        return UNKNOWN
    kappa = (observed - expected) / (1 - expected)
    mean_weight = (w @ column)[:, None] + (row @ w)[None, :]
    spread = (p * (w - mean_weight * (1 - kappa)) ** 2).sum() - (kappa - expected * (1 - kappa)) ** 2
    half = 1.959963984540054 * np.sqrt(max(0.0, spread) / a.size) / (1 - expected)
    return Estimate(float(kappa), float(kappa - half), float(min(1.0, kappa + half)))


def figures(ratings: Ratings) -> dict[str, float]:
    """Return every figure of `bootstrap` without intervals."""
    kinds, kind = kinds_of_units(ratings.counts)
    sums = np.bincount(kind, minlength=len(kinds)).astype(float)[None, :] @ features(kinds)
    return {name: float(value[0]) for name, value in from_sums(sums, ratings.points).items()}


def bootstrap(
    ratings: Ratings, draws: int = 1000, seed: int = 0, clusters: ArrayLike | None = None, level: float = LEVEL
) -> dict[str, Estimate]:
    """Return every figure with its percentile interval, from `draws` bootstrap samples of whole units.

    Figures: percent, percent_of_pairs (every pair of ratings weighs the same), alpha_nominal, alpha_ordinal,
    alpha_interval, alpha_ratio, ac1, ac2, fleiss. `clusters` says for every row given to `ratings` which cluster
    (prompt) its unit is in; then clusters are drawn, because units of one prompt are not independent. With fewer than
    two clusters, or where more than half of the samples cannot say a figure, its interval is nan.
    """
    kinds, kind = kinds_of_units(ratings.counts)
    if clusters is not None:
        of_rows = np.asarray(clusters)[ratings.rows]
        cluster_of_unit = np.empty(ratings.unit_codes.size, dtype=of_rows.dtype)
        cluster_of_unit[ratings.unit] = of_rows
        sums, times = kinds_of_clusters(features(kinds), kind, cluster_of_unit)
    else:
        sums, times = features(kinds), np.bincount(kind, minlength=len(kinds))
    values = from_sums(times.astype(float)[None, :] @ sums, ratings.points)
    drawn = draw_sums(sums, times, draws, np.random.default_rng(seed))
    samples = from_sums(drawn, ratings.points)
    enough = times.sum() > 1
    return {
        name: Estimate(float(value[0]), *(ends(samples[name], level) if enough else (np.nan, np.nan)))
        for name, value in values.items()
    }


def ends(samples: Floats, level: float) -> tuple[float, float]:
    known = samples[~np.isnan(samples)]
    if known.size * 2 <= samples.size:
        return np.nan, np.nan
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def rater_accuracy(percent: float) -> float:
    """Return the accuracy of raters of one skill who agree this often on two equally frequent answers.

    Two such raters agree with probability p p + (1 - p)(1 - p). Below one half nothing but chance is left: 0.5.
    """
    return float((1 + np.sqrt(np.maximum(2 * percent - 1, 0.0))) / 2)


def ceiling(percent: float, votes: int = 1) -> float:
    """Return the accuracy that a perfect model reaches against the majority of `votes` people who agree this often.

    With one vote that is the people's own accuracy. Half of an even number's ties go right. People are taken as of one
    skill and independent; where some pairs are hard for everybody, the majority's true accuracy is lower.
    """
    if np.isnan(percent):
        return np.nan
    p = rater_accuracy(percent)
    from scipy.stats import binom  # 50 MB that the other figures do without

    right = 1 - binom.cdf(votes // 2, votes, p)
    return float(right + (binom.pmf(votes // 2, votes, p) / 2 if votes % 2 == 0 else 0.0))


# Sums over units ----------------------------------------------------------------------------------------


def kinds_of_units(counts: Ints) -> tuple[Ints, Ints]:
    """Return the distinct rows of `counts` [kinds x categories] and every unit's kind [units]."""
    if counts.size == 0:
        return counts[:0], np.zeros(0, dtype=np.int64)
    base = int(counts.max()) + 1
    if base ** counts.shape[1] < 2**62:  # a row read as one number is much faster to sort
        keys = counts @ (base ** np.arange(counts.shape[1], dtype=np.int64))
        _, first, kind = np.unique(keys, return_index=True, return_inverse=True)
        return counts[first], kind.reshape(-1)
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    return kinds, kind.reshape(-1)


def kinds_of_clusters(sums: Floats, kind: Ints, clusters: ArrayLike) -> tuple[Floats, Ints]:
    """Return the sums of every distinct kind of cluster, and how many clusters are of each.

    Clusters are of one kind when they hold the same kinds of units equally often; a random 64-bit number per kind,
    added up, tells them apart (two differing ones of 100,000 meet with probability 3e-10).
    """
    _, cluster = np.unique(np.asarray(clusters), return_inverse=True)
    cluster = cluster.reshape(-1)
    marks = np.random.default_rng(20110125).integers(0, 2**63, size=len(sums), dtype=np.uint64) * np.uint64(2)
    order = np.argsort(cluster, kind="stable")
    starts = np.flatnonzero(np.diff(cluster[order], prepend=-1))
    signature = np.add.reduceat(marks[kind[order]], starts)
    _, first, times = np.unique(signature, return_index=True, return_counts=True)
    rows = np.full(starts.size, -1, dtype=np.int64)
    rows[first] = np.arange(first.size)
    wanted = rows[cluster] >= 0
    units = np.ones(int(wanted.sum()))
    held = csr_array((units, (rows[cluster[wanted]], kind[wanted])), shape=(first.size, len(sums)))
    return held @ sums, times


def features(counts: Ints) -> Floats:
    """Return per unit what the figures are sums of: [units x (5 + K + 2 K K)], of counts [units x K].

    In order: whether it has two ratings; its agreeing share of pairs; pairs; agreeing pairs; whether it has one; shares
    of the categories; coincidences; coincidences per rating.
    """
    n = counts.astype(float)
    m = n.sum(axis=1)
    two = m >= 2
    width = n.shape[1]
    pairs = n[:, :, None] * (n[:, None, :] - np.eye(width))  # ordered pairs of ratings, by category
    pairs[~two] = 0
    other, ordered = np.where(two, m - 1, 1), np.where(two, m * (m - 1), 1)
    agreeing = np.trace(pairs, axis1=1, axis2=2)
    shares = n / np.maximum(m, 1)[:, None]
    return np.concatenate(
        [
            np.stack([two, agreeing / ordered, np.where(two, ordered / 2, 0), agreeing / 2, m >= 1], axis=1),
            shares,
            (pairs / other[:, None, None]).reshape(len(n), width * width),
            (pairs / ordered[:, None, None]).reshape(len(n), width * width),
        ],
        axis=1,
    )


def draw_sums(sums: Floats, times: Ints, draws: int, rng: np.random.Generator) -> Floats:
    """Return sums over `draws` bootstrap samples [draws x features]."""
    total, kinds = int(times.sum()), len(times)
    if total == 0:
        return np.zeros((draws, sums.shape[1]))
    batch = max(1, BATCH_CELLS // kinds)
    if total <= MULTINOMIAL_FROM * kinds:  # few of each kind: drawing them one by one is faster
        kind = np.repeat(np.arange(kinds), times)

        def weights(size: int) -> Ints:
            return np.stack([np.bincount(kind[rng.integers(0, total, total)], minlength=kinds) for _ in range(size)])
    else:

        def weights(size: int) -> Ints:
            return rng.multinomial(total, times / total, size=size)

    return np.concatenate([weights(min(batch, draws - done)) @ sums for done in range(0, draws, batch)])


def from_sums(sums: Floats, points: Floats) -> dict[str, Floats]:
    """Return every figure [draws] of sums [draws x features] (see `features`)."""
    width = points.size
    two, agreeing, pairs, agreeing_pairs, one = sums[:, :5].T
    shares, together, per_rating = np.split(sums[:, 5:], np.cumsum([width, width * width]), axis=1)
    found: dict[str, Floats] = {}
    with np.errstate(invalid="ignore", divide="ignore"):
        percent = found["percent"] = agreeing / two
        found["percent_of_pairs"] = agreeing_pairs / pairs
        coincidences = together.reshape(len(sums), width, width)
        for metric in METRICS:
            found[f"alpha_{metric}"] = alpha_of(coincidences, points, metric)
        used = shares / one[:, None]
        chance = (used * (1 - used)).sum(axis=1) / (width - 1) if width > 1 else np.full(len(sums), np.nan)
        found["ac1"] = (percent - chance) / (1 - chance)
        if width > 1:
            weights = quadratic_weights(points)
            weighted = (per_rating.reshape(len(sums), width, width) * weights).sum(axis=(1, 2)) / two
            chance = chance * weights.sum() / width
            found["ac2"] = (weighted - chance) / (1 - chance)
        else:
            found["ac2"] = np.full(len(sums), np.nan)
        chance = (used**2).sum(axis=1)
        found["fleiss"] = np.where(chance < 1 - 1e-12, (percent - chance) / (1 - chance), np.nan)
    return found


def alpha_of(coincidences: Floats, points: Floats, metric: Metric) -> Floats:
    """Return alpha [draws] of matrices of coincidences [draws x K x K] of the categories with the values `points`."""
    if metric == "ratio" and points.size and points[0] < 0:
        return np.full(len(coincidences), np.nan)
    used = coincidences.sum(axis=2)
    if metric == "ordinal":
        middle = np.cumsum(used, axis=1) - used / 2
        distance = (middle[:, :, None] - middle[:, None, :]) ** 2
    else:
        distance = np.broadcast_to(distances(points, metric), coincidences.shape)
    observed = (coincidences * distance).sum(axis=(1, 2))
    expected = np.einsum("bc,bk,bck->b", used, used, distance, optimize=True)
    total = used.sum(axis=1)
    return np.where(expected > 0, 1 - (total - 1) * observed / expected, np.nan)


def distances(points: Floats, metric: Metric) -> Floats:
    gap = points[:, None] - points[None, :]
    if metric == "nominal":
        return (gap != 0).astype(float)
    if metric == "interval":
        return gap**2
    total = points[:, None] + points[None, :]
    return np.where(total > 0, gap / np.where(total > 0, total, 1), 0.0) ** 2


def quadratic_weights(points: Floats) -> Floats:
    return 1 - ((points[:, None] - points[None, :]) / (points[-1] - points[0])) ** 2
