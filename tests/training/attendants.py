"""Attendants of runs, as a worker starts them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping

from tests.ml.conftest import ROOT
from training.rundir import RunDirectory


def start_attendant(module: str, run: RunDirectory, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    with open(run.log_path, "ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", module, str(run.path)],
            cwd=ROOT,
            env={
                **os.environ,
                "OMP_NUM_THREADS": "1",
                "OMP_WAIT_POLICY": "PASSIVE",
                "HF_HUB_OFFLINE": "1",
                **environment,
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )


def said(run: RunDirectory) -> str:
    return f"{run.error()}\n{run.log_path.read_text()[-3000:]}"
