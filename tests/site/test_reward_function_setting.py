"""The site refuses to start with a list of reward functions that it cannot read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def start_site(reward_functions: str, data: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from rlhf_site import settings; print(settings.REWARD_FUNCTIONS)"],
        cwd=ROOT,
        env={**os.environ, "CONCORD_REWARD_FUNCTIONS": reward_functions, "CONCORD_DATA_DIR": str(data)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_operators_functions_are_taken_from_the_environment(tmp_path):
    assert start_site("mine=my.rewards:mine", tmp_path).stdout == "mine=my.rewards:mine\n"


def test_a_list_that_cannot_be_read_stops_the_start_with_a_word(tmp_path):
    done = start_site("mine", tmp_path)
    assert done.returncode == 1
    assert "CONCORD_REWARD_FUNCTIONS holds 'mine'; each entry must be name=module:function" in done.stderr
