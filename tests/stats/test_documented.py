"""docs/metrics.md says the figures and the constants that the code has."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from feedback.stats import agreement, dawid_skene, evidence, slopes
from feedback.stats.agreement import Ratings, ceiling, figures, rater_accuracy
from feedback.stats.evidence import DRIFT_THRESHOLD, DRIFTED, GOOD, POOR, REQUIRED

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "metrics.md").read_text()


def told(figure: str) -> str:
    """Return what the table says of a figure."""
    found = re.search(rf"^\| {re.escape(figure)} \| (.+) \|$", TEXT, re.MULTILINE)
    assert found, f"{figure} is not in docs/metrics.md"
    return found[1]


def test_every_figure_of_agreement_is_explained():
    words = {"ac1": "AC1", "ac2": "AC2", "fleiss": "Fleiss' kappa", "percent_of_pairs": "percent of pairs"}
    for name in figures(Ratings([0, 0], [0, 1], [0, 1])):
        if name == "alpha_ratio":
            assert "Ratio:" in told("alpha, interval")
        else:
            told(words.get(name, name.replace("alpha_", "alpha, ")))


def test_the_constants_of_the_evidence_are_the_code_s():
    text = told("gold evidence E")
    assert f"p / {REQUIRED}" in text
    assert f"(1 - p) / {1 - REQUIRED}" in text
    assert "p = 0.45, 0.55, 0.65 and 0.70" in text
    assert POOR == (0.45, 0.55, 0.65, 0.70)
    drift = told("drift")
    assert f"{DRIFTED:.2f} over {GOOD}" in drift
    assert f"At {DRIFT_THRESHOLD:,.0f}:" in drift
    assert evidence.e_benjamini_hochberg.__defaults__ == (0.05,)
    assert "N / (0.05 k)" in told("named by e-BH")


def test_the_priors_are_the_code_s():
    assert "by 5 labels" in told("accuracy without gold")
    assert dawid_skene.fit.__kwdefaults__["prior"] == 5
    assert "a spread of 0.5" in told("interval of a slope")
    assert slopes.slopes_by_person.__kwdefaults__["prior_sd"] == 0.5
    assert "from 1,000 bootstrap samples" in TEXT
    assert agreement.bootstrap.__defaults__ is not None
    assert agreement.bootstrap.__defaults__[0] == 1000


@pytest.mark.parametrize(("votes", "said"), [(1, "83.6 %"), (3, "92.8 %"), (5, "96.6 %")])
def test_the_ceiling_in_the_text_is_the_code_s(votes, said):
    assert f"{100 * ceiling(0.726, votes):.1f} %" == said
    assert said in TEXT


def test_log_odds_and_consistency_in_the_text_are_right():
    assert f"{100 / (1 + np.exp(-1)):.0f} %" == "73 %"
    assert f"{100 / (1 + np.exp(-0.4)):.0f} to 40" in told("position")
    assert f"{rater_accuracy(0.8):.3f}" in told("self-consistency")
