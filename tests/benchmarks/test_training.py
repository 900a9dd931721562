"""The training benchmarks run, and say what they promise; how fast they are is not a matter of tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import gold
from benchmarks.overoptimisation import fitted
from benchmarks.overoptimisation_picture import draw
from benchmarks.training_data import made_up_pairs

ROOT = Path(__file__).resolve().parents[2]


def lines_of(*module: str) -> list[dict]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, "-m", *module], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.mark.torch
def test_a_comparison_is_one_line_of_ratios_within_one_run():
    (line,) = lines_of("benchmarks.training", "--quick", "--kinds", "sft", "--settings", "equal")
    assert (line["kind"], line["settings"], line["against"], line["model"]) == ("sft", "equal", "trl", "tiny")
    assert line["ours"]["steps"] == line["theirs"]["steps"] == 4
    expected = line["theirs"]["cpu_s_per_step"] / line["ours"]["cpu_s_per_step"]
    assert line["speed_ratio"] == pytest.approx(expected, rel=0.02)
    assert line["memory_ratio"] == pytest.approx(line["ours"]["peak_mib"] / line["theirs"]["peak_mib"], rel=0.02)


@pytest.mark.torch
def test_over_optimisation_is_measured_and_drawn(tmp_path):
    lines = lines_of("benchmarks.overoptimisation", "--quick", "--svg", str(tmp_path / "curves.svg"))
    assert [line["figure"] for line in lines] == ["ppo_against_gold", "ppo", "best_of_n"]
    assert all(line["points"] for line in lines[1:])
    assert (tmp_path / "curves.svg").read_text().count("<polyline") == 4


def test_gold_likes_the_first_half_of_the_alphabet_and_dislikes_repetition():
    assert gold.of_text("abcde") == 1.0
    assert gold.of_text("vwxyz") == -1.0
    assert gold.of_text("aaaaa") == pytest.approx(1.0 - 2.0 * 2 / 3)
    assert gold.of_text("  ") == gold.EMPTY


def test_watching_adds_nothing_to_a_reward():
    gold.seen.clear()
    assert gold.watch([[], []], ["abc", "z"]) == [0.0, 0.0]
    assert gold.seen == [[1.0, -1.0]]


def test_the_papers_form_is_found_again_in_a_curve_that_has_it():
    points = [{"root_kl": d / 2, "gold": d / 2 * (1.5 - 0.4 * d / 2)} for d in range(1, 9)]
    assert fitted(points, "best_of_n") == {"alpha": 1.5, "beta": 0.4, "r_squared": 1.0}


def test_a_picture_of_nothing_is_still_a_picture():
    assert draw([]).endswith("</svg>\n")


def test_made_up_pairs_are_always_the_same_and_of_different_lengths():
    pairs = made_up_pairs(20)
    assert pairs == made_up_pairs(20)
    assert len({len(pair.chosen) for pair in pairs}) > 5


@pytest.mark.torch
def test_the_gpu_script_runs_on_a_processor_and_says_what_did_not_fit():
    lines = lines_of("benchmarks.gpu", "--quick", "--kinds", "generation")
    assert [line["way"] for line in lines] == ["one by one", "batched", "compiled", "continuous"]
    assert all(line["tokens"] == (2 if line["way"] == "one by one" else 4) * 6 for line in lines[:3])
    assert lines[1]["against"] == "one by one"
    (skipped,) = lines_of("benchmarks.gpu", "--quick", "--kinds", "dpo", "--seconds", "0")
    assert skipped == {"benchmark": "gpu", "kind": "dpo", "skipped": "0 s are over"}
