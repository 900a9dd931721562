from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from feedback.stats.intervals import clustered_share, dense, share, student, wilson


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
        (14, 20, 0.48, 0.85),
    ],
)
def test_newcombes_table(successes, trials, low, high):
    places = 2 if trials == 20 and successes else 4
    assert [round(float(end), places) for end in wilson(successes, trials)] == [low, high]


def test_every_share_of_a_few_as_statsmodels_has_it():
    x, n = np.meshgrid(np.arange(13), np.arange(1, 13))
    x = np.minimum(x, n)
    for level in (0.8, 0.95, 0.99):
        peer = proportion_confint(x, n, alpha=1 - level, method="wilson")
        assert wilson(x, n, level) == pytest.approx(np.stack(peer), abs=1e-12)


def test_failures_and_successes_mirror_each_other():
    low, high = wilson([3, 7, 0, 10], 10)
    assert low[:2] == pytest.approx(1 - high[1::-1])
    assert (low[2], high[3]) == (0.0, 1.0)


def test_nothing_tried_is_unknown():
    assert np.isnan(share(0, 0)).all()
    assert wilson(0, 0) == (0.0, 1.0)
    assert np.isnan(clustered_share([], [])).all()
    assert np.isnan(clustered_share([1, 0, 1], [4, 4, 4])[1:]).all()


def test_labels_of_one_prompt_go_together():
    rng = np.random.default_rng(0)
    prompts = np.repeat(np.arange(100), 6)
    false_alarms_of_a_share, false_alarms = 0, 0
    for _ in range(300):
        values = rng.random(600) < rng.beta(1.5, 1.5, 100)[prompts]
        low, high = wilson(values.sum(), 600)
        false_alarms_of_a_share += not low <= 0.5 <= high
        found = clustered_share(values, prompts)
        false_alarms += not found.low <= 0.5 <= found.high
    assert false_alarms_of_a_share / 300 > 0.12
    assert 0.02 <= false_alarms / 300 <= 0.09


def test_few_clusters_have_students_quantile():
    assert student(2) == pytest.approx(12.706, abs=5e-4)
    assert student(100_000) == pytest.approx(1.95998, abs=5e-5)
    assert np.isnan(student(1))


def test_indices_count_from_zero():
    assert dense([0, 2])[1] == 3
    assert dense([])[1] == 0
    with pytest.raises(ValueError, match="negative"):
        dense([-1])
    with pytest.raises(ValueError, match="There are 2 of them"):
        dense([2], 2)
