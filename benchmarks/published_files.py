"""Where the published data sets lie, and how their files are read; nothing of Django.

The files are no part of the repository: CONCORD_SHARED_DATA names their folder.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

SHARED = "CONCORD_SHARED_DATA"


def shared_data() -> Path:
    """Return the folder of the published data, whether or not it is there."""
    return Path(os.environ.get(SHARED) or Path(__file__).resolve().parents[2] / "shared" / "data")


def json_lines(path: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        yield from map(json.loads, file)


def csv_rows(path: Path) -> Iterator[dict[str, str]]:
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)
