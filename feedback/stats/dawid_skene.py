"""What is true, and who is how often right, from overlapping labels without gold: Dawid and Skene 1979.

Every annotator has a full confusion matrix; expectation maximisation alternates between posteriors of the true class
and matrices. One sparse matrix [tasks x annotators * classes] carries both steps, so 1,000,000 labels take a second.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy.sparse import csr_array

from feedback.stats.intervals import LEVEL, Floats, Ints, dense

GRID = np.linspace(0.0025, 0.9975, 200)
"""The accuracies whose likelihood is compared for the interval of an annotator's accuracy."""
SPREAD_LIMIT = 30.0
"""A log-ratio at which a class is as good as excluded; keeps what follows finite."""
TINY = 1e-300


@dataclass(frozen=True)
class DawidSkene:
    """A fitted model; tasks, annotators and classes are numbered as they were given.

    `posterior` [tasks x classes] of the true class. `confusion` [annotators x true class x label], rows sum to 1; an
    annotator without labels has `nan`. `class_prior` [classes]. `accuracy`, `accuracy_low`, `accuracy_high`
    [annotators]: probability that a label of theirs is right, judged by the others' labels alone (see
    `accuracies`). `log_likelihood` of the labels in nats; the prior has no part in it.
    """

    posterior: Floats
    confusion: Floats
    class_prior: Floats
    log_likelihood: float
    iterations: int
    converged: bool
    labels: Ints
    accuracy: Floats
    accuracy_low: Floats
    accuracy_high: Floats

    @property
    def verdicts(self) -> Ints:
        """The likeliest class of every task; the lowest of equally likely ones."""
        return np.asarray(self.posterior.argmax(axis=1), dtype=np.int64)


def fit(
    tasks: ArrayLike,
    annotators: ArrayLike,
    labels: ArrayLike,
    classes: int,
    *,
    iterations: int = 100,
    tolerance: float = 1e-5,
    prior: float = 5.0,
    task_count: int | None = None,
    annotator_count: int | None = None,
) -> DawidSkene:
    """Fit by expectation maximisation from majority shares, until a step gains less than `tolerance` nats per task.

    Three arrays of equal length: task, annotator, label (0 to classes - 1) as indices. `prior` is how many labels, of
    each true class, everybody's pooled matrix counts for in each annotator's own: with few labels one is taken for
    ordinary, not for perfect or impossible. `prior=0, tolerance=0` is the maximum of the likelihood, as in the paper. A
    task without labels has the class prior as its posterior. A person's second label of a task counts like another
    person's: leave repeats out before.
    """
    task, n_tasks = dense(tasks, task_count)
    annotator, n_annotators = dense(annotators, annotator_count)
    label, _ = dense(labels, classes)
    shape = (n_tasks, n_annotators * classes)
    seen = csr_array((np.ones(task.size), (task, annotator * classes + label)), shape=shape)
    back = csr_array(seen.T)
    posterior, before, step, converged = majority_shares(task, label, classes, n_tasks), -np.inf, 0, False
    while not converged and step < max(1, iterations):
        given, log_given, class_prior = maximise(back, posterior, prior)
        # -inf times a count of zero would be no number, so what is excluded is only almost so.
        log_joint = seen @ log_given.reshape(-1, classes) + np.log(np.maximum(class_prior, TINY))
        peak = log_joint.max(axis=1, keepdims=True)
        joint = np.exp(log_joint - peak)
        evidence = joint.sum(axis=1, keepdims=True)
        posterior, step = joint / evidence, step + 1
        log_likelihood = float((np.log(evidence) + peak).sum())
        converged = log_likelihood - before <= tolerance * max(1, n_tasks)
        before = log_likelihood
    counts = np.bincount(annotator, minlength=n_annotators)
    confusion = np.where(counts[:, None, None] > 0, given.transpose(0, 2, 1), np.nan)
    accuracy, low, high = accuracies(task, annotator, label, log_joint, log_given, counts)
    return DawidSkene(
        posterior, confusion, class_prior, log_likelihood, step, converged, counts, accuracy, low, high
    )  # fmt: skip


def maximise(back: csr_array, posterior: Floats, prior: float) -> tuple[Floats, Floats, Floats]:
    """Return matrices [annotators x labels x true classes], their logarithms, and the class prior (the M step)."""
    tasks, classes = posterior.shape
    said = (back @ posterior).reshape(-1, classes, classes)
    pooled = said.sum(axis=0) + 0.5
    smoothed = said + prior * pooled / pooled.sum(axis=0)
    totals = smoothed.sum(axis=1, keepdims=True)
    # Where an annotator was never seen on a class, nothing is known of what they would say of it.
    given = np.where(totals > 0, smoothed / np.where(totals > 0, totals, 1), 1 / classes)
    class_prior = posterior.mean(axis=0) if tasks else np.full(classes, 1 / classes)
    return given, np.log(np.maximum(given, TINY)), class_prior


def majority_shares(tasks: ArrayLike, labels: ArrayLike, classes: int, task_count: int | None = None) -> Floats:
    """Return the share of every label among a task's [tasks x classes]; equal shares where there is none."""
    task, n_tasks = dense(tasks, task_count)
    label, _ = dense(labels, classes)
    counts = np.bincount(task * classes + label, minlength=n_tasks * classes).reshape(n_tasks, classes).astype(float)
    total = counts.sum(axis=1, keepdims=True)
    return np.where(total > 0, counts / np.maximum(total, 1), 1 / classes)


def accuracies(
    task: Ints, annotator: Ints, label: Ints, log_joint: Floats, log_given: Floats, counts: Ints, level: float = LEVEL
) -> tuple[Floats, Floats, Floats]:
    """Return every annotator's accuracy with the ends of its interval: mean and quantiles of its posterior.

    The likelihood of an accuracy a is, over the annotator's labels, the product of a r + (1 - a) (1 - r) / (K - 1),
    where r is the probability of the label given what the *others* said of that task. The prior is uniform. So somebody
    whose tasks nobody else judged is unknown (0.5, from 0.025 to 0.975), not perfect. The others' matrices are taken as
    known; below a few labels a task that makes the interval a little too narrow.
    """
    classes = log_joint.shape[1]
    others = log_joint[task] - log_given[annotator, label]  # leave out what this label itself said
    others -= others.max(axis=1, keepdims=True)
    weight = np.exp(np.maximum(others, -SPREAD_LIMIT))
    right = weight[np.arange(task.size), label] / weight.sum(axis=1)
    wrong = (1 - right) / max(1, classes - 1)
    log_likelihood = np.stack(
        [np.bincount(annotator, np.log(a * right + (1 - a) * wrong), minlength=counts.size) for a in GRID], axis=1
    )
    density = np.exp(log_likelihood - log_likelihood.max(axis=1, keepdims=True))
    density /= density.sum(axis=1, keepdims=True)
    mean = density @ GRID
    cumulative = np.cumsum(density, axis=1) - density / 2
    ends = [
        np.array([np.interp(at, each, GRID) for each in cumulative]) for at in ((1 - level) / 2, (1 + level) / 2)
    ]  # fmt: skip
    known = counts > 0
    return np.where(known, mean, np.nan), np.where(known, ends[0], np.nan), np.where(known, ends[1], np.nan)
