"""Freed memory stays with the process, where the system's allocator is one that can be told so."""

from __future__ import annotations

import platform
import subprocess
import sys

LARGE = 200_000_000
SCRIPT = f"""
from training.ml.allocation import keep_freed_memory
from training.ml.estimates import status_bytes
told = keep_freed_memory() if {{keeps}} else False
before = status_bytes("VmRSS")
text = b"x" * {LARGE}
del text
print(told, status_bytes("VmRSS") - before > {LARGE} / 2)
"""


def freed_and_kept(keeps: bool) -> list[str]:
    script = SCRIPT.replace("{keeps}", str(keeps))
    return subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()


def test_freed_memory_is_kept_for_the_next_step_once_asked():
    has_glibc = platform.libc_ver()[0] == "glibc"
    assert freed_and_kept(keeps=False) == ["False", "False"]
    assert freed_and_kept(keeps=True) == [str(has_glibc), str(has_glibc)]
