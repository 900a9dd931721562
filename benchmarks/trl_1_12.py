"""An environment with TRL 1.12 beside this one: torch and the rest are shared, TRL alone is another version."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
from pathlib import Path

VERSION = "1.12.0"


class NoPackages(Exception):
    """TRL 1.12 cannot be had here; the message says why."""


def python_with_trl_1_12(directory: Path) -> str:
    """Make the environment in `directory` and return its Python; raises NoPackages."""
    python = directory / "bin" / "python"
    steps = (
        [sys.executable, "-m", "venv", str(directory)],
        [str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-deps", f"trl=={VERSION}"],
    )
    for step in steps:
        done = subprocess.run(step, capture_output=True, text=True)
        if done.returncode:
            raise NoPackages(f"TRL {VERSION} cannot be installed: {(done.stderr or done.stdout).strip()[-500:]}")
    # What this environment has comes after its own packages, so its TRL is the one that is found.
    own = subprocess.run(
        [str(python), "-c", "import sysconfig; print(sysconfig.get_paths()['purelib'])"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    paths = dict.fromkeys(sysconfig.get_paths()[name] for name in ("purelib", "platlib"))
    Path(own, "shared.pth").write_text("".join(f"{path}\n" for path in paths))
    found = subprocess.run([str(python), "-c", "import trl; print(trl.__version__)"], capture_output=True, text=True)
    if found.stdout.strip() != VERSION:
        raise NoPackages(f"TRL {VERSION} was installed, and another one is imported: {found.stderr.strip()[-500:]}")
    return str(python)
