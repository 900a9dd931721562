from __future__ import annotations

import numpy as np
import pytest

from feedback.stats.dawid_skene import fit, majority_shares
from tests.stats.published import patients


def drawn(seed: int = 0, people: int = 30, tasks: int = 400, each: int = 5, classes: int = 3):
    """Draw labels by people of different accuracy; returns task, annotator, label, truth, accuracy."""
    rng = np.random.default_rng(seed)
    accuracy, truth = rng.uniform(0.45, 0.95, people), rng.integers(0, classes, tasks)
    task = np.repeat(np.arange(tasks), each)
    person = np.concatenate([rng.permutation(people)[:each] for _ in range(tasks)])
    wrong = (truth[task] + rng.integers(1, classes, task.size)) % classes
    label = np.where(rng.random(task.size) < accuracy[person], truth[task], wrong)
    return task, person, label, truth, accuracy


def test_the_paper_s_anaesthetists():
    fitted = fit(*patients(), 4, prior=0, tolerance=0, iterations=2_000)
    assert fitted.class_prior == pytest.approx([0.3996, 0.4220, 0.1118, 0.0667], abs=5e-5)
    assert fitted.confusion[0, 0] == pytest.approx([0.89, 0.11, 0, 0], abs=5e-3)
    assert fitted.log_likelihood == pytest.approx(-192.891, abs=5e-4)


def test_each_step_gains_likelihood_without_a_prior():
    gained = [fit(*patients(), 4, prior=0, tolerance=0, iterations=n).log_likelihood for n in (1, 2, 5, 10, 50)]
    assert gained == sorted(gained)


def test_it_beats_the_majority_and_knows_who_is_good():
    task, person, label, truth, accuracy = drawn()
    fitted = fit(task, person, label, 3)
    majority = majority_shares(task, label, 3).argmax(axis=1)
    assert (fitted.verdicts == truth).mean() > (majority == truth).mean()
    assert np.corrcoef(fitted.accuracy, accuracy)[0, 1] > 0.9
    assert fitted.labels.tolist() == np.bincount(person).tolist()


def test_posteriors_are_as_sure_as_they_are_right():
    task, person, label, truth, _ = drawn(tasks=3_000)
    fitted = fit(task, person, label, 3)
    sure = fitted.posterior.max(axis=1)
    for low, high in ((0.4, 0.7), (0.7, 0.9), (0.9, 0.99)):
        some = (sure >= low) & (sure < high)
        assert (fitted.verdicts == truth)[some].mean() == pytest.approx(sure[some].mean(), abs=0.08)


def test_naming_classes_otherwise_turns_the_tables_alike():
    task, person, label, _, _ = drawn()
    turned = np.array([2, 0, 1])
    once, again = fit(task, person, label, 3), fit(task, person, turned[label], 3)
    assert again.posterior[:, turned] == pytest.approx(once.posterior, abs=1e-9)
    assert again.confusion[:, turned][:, :, turned] == pytest.approx(once.confusion, abs=1e-9)
    assert again.accuracy == pytest.approx(once.accuracy)


def test_order_of_rows_changes_nothing():
    task, person, label, _, _ = drawn()
    order = np.random.default_rng(1).permutation(task.size)
    once, again = fit(task, person, label, 3), fit(task[order], person[order], label[order], 3)
    assert again.posterior == pytest.approx(once.posterior)


def test_probabilities_sum_to_one():
    task, person, label, _, _ = drawn()
    fitted = fit(task, person, label, 3)
    assert fitted.posterior.sum(axis=1) == pytest.approx(np.ones(400))
    assert fitted.confusion.sum(axis=2) == pytest.approx(np.ones((30, 3)))
    assert fitted.class_prior.sum() == pytest.approx(1)


def test_intervals_of_accuracy_hold_what_they_promise():
    held = []
    for seed in range(20):
        task, person, label, _, accuracy = drawn(seed, tasks=300)
        fitted = fit(task, person, label, 3)
        held.append((fitted.accuracy_low <= accuracy) & (accuracy <= fitted.accuracy_high))
    assert 0.90 <= np.mean(held) <= 0.99


def test_somebody_whose_tasks_nobody_else_judged_is_unknown_and_not_perfect():
    task, person, label, _, _ = drawn()
    alone = np.arange(400, 450)
    fitted = fit(
        np.append(task, alone), np.append(person, np.full(50, 30)), np.append(label, np.arange(50) % 3), 3
    )  # fmt: skip
    assert fitted.accuracy[30] == pytest.approx(0.5, abs=0.1)
    assert fitted.accuracy_high[30] - fitted.accuracy_low[30] > 0.8


def test_somebody_with_few_labels_is_taken_for_ordinary():
    task, person, label, truth, _ = drawn()
    fitted = fit(np.append(task, [0, 1]), np.append(person, [30, 30]), np.append(label, truth[:2]), 3)
    assert fitted.confusion[30].max() < 0.9
    assert fitted.accuracy_high[30] - fitted.accuracy_low[30] > 0.4


def test_gaps_in_the_numbers_are_people_and_tasks_without_labels():
    fitted = fit([0, 0, 2], [0, 3, 3], [1, 1, 0], 2, task_count=4, annotator_count=6)
    assert fitted.posterior.shape == (4, 2)
    assert fitted.posterior[1] == pytest.approx(fitted.class_prior)
    assert np.isnan(fitted.confusion[[1, 2, 4, 5]]).all()
    assert np.isnan(fitted.accuracy[1])


def test_no_labels_at_all_leave_everything_open():
    fitted = fit([], [], [], 2)
    assert fitted.posterior.shape == (0, 2)
    assert fitted.class_prior == pytest.approx([0.5, 0.5])
    assert fitted.converged


@pytest.mark.parametrize("label", [3, -1])
def test_a_label_that_is_no_class_is_refused(label):
    with pytest.raises(ValueError, match=r"negative|not among"):
        fit([0], [0], [label], 3)


def test_everybody_says_the_same():
    fitted = fit([0, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1], 2)
    assert fitted.verdicts.tolist() == [1, 1]
    assert np.isfinite(fitted.log_likelihood)
