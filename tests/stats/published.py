"""Small published data sets that the answers of others are known for."""

from __future__ import annotations

import numpy as np

KRIPPENDORFF = """
1 2 3 3 2 1 4 1 2 - - -
1 2 3 3 2 2 4 1 2 5 - 3
- 3 3 3 2 3 4 2 2 5 1 -
1 2 3 3 2 4 4 1 2 5 1 -
"""
"""Four coders (rows) of twelve units; Krippendorff 2011, and Gwet's cac.raw4raters."""

FLEISS = """
0 0 0 0 14
0 2 6 4 2
0 0 3 5 6
0 3 9 2 0
2 2 8 1 1
7 7 0 0 0
3 2 6 3 0
2 5 3 2 2
6 5 2 1 0
0 2 2 3 7
"""
"""How many of 14 raters gave each of ten subjects each of five categories; Wikipedia's example of Fleiss' kappa."""

BASEBALL_HOME = """
0 4 4 4 6 4 6
3 0 4 4 6 6 4
2 4 0 2 4 4 6
3 5 2 0 4 4 6
5 2 3 4 0 5 6
2 3 3 4 4 0 2
2 1 1 2 1 3 0
"""
BASEBALL_AWAY = """
0 3 2 3 1 2 0
3 0 2 3 0 1 3
5 3 0 4 3 2 0
3 1 5 0 3 2 1
1 5 3 2 0 2 0
5 3 4 3 2 0 4
5 5 6 4 6 4 0
"""
"""American League East, 1987 (Agresti 2002; R's BradleyTerry2): of the games at the row's home against the column, how
many the row won, and how many the column. Milwaukee, Detroit, Toronto, New York, Boston, Cleveland, Baltimore."""

STIGLER = "714 730 498 221 / 33 425 68 17 / 320 813 1072 142 / 284 276 325 188"
"""Cited by citing journal: Biometrika, Communications in Statistics, JASA, JRSS-B (Stigler 1994)."""

PUDDING = """
1 2 19 22 16 / 1 3 16 19 12 / 2 3 19 19 10 / 1 4 18 23 13 / 2 4 23 19 9 / 3 4 19 20 15 / 1 5 13 19 18 / 2 5 16 20 12
3 5 16 15 17 / 4 5 17 14 16 / 1 6 18 21 12 / 2 6 22 20 12 / 3 6 13 18 10 / 4 6 14 19 18 / 5 6 11 21 12
"""
"""Chocolate puddings i and j, how often i was preferred, j, and neither (Davidson 1970)."""

PATIENTS = """
111 1 1 1 1/333 4 3 3 4/112 2 1 2 2/222 3 1 2 1/222 3 2 2 2/222 3 3 2 2/122 2 1 1 1/333 3 4 3 3/222 2 2 2 3
232 2 2 2 3/444 4 4 4 4/222 3 3 4 3/111 1 1 1 1/222 3 2 1 2/121 1 1 1 1/111 2 1 1 1/111 1 1 1 1/111 1 1 1 1
222 2 2 2 1/222 1 3 2 2/222 2 2 2 2/222 2 2 2 1/222 3 2 2 2/221 2 2 2 2/111 1 1 1 1/111 1 1 1 1/232 2 2 2 2
111 1 1 1 1/111 1 1 1 1/112 1 1 2 1/111 1 1 1 1/333 3 2 3 3/111 1 1 1 1/222 2 2 2 2/222 3 2 3 2/433 4 3 4 3
221 2 2 3 2/232 3 2 3 3/333 3 4 3 2/111 1 1 1 1/111 1 1 1 1/121 2 1 1 1/232 2 2 2 2/121 1 1 1 1/222 2 2 2 2
"""
"""Fitness of 45 patients for anaesthesia, 1 to 4, by observer 1 (three times) to observer 5 (Dawid and Skene 1979)."""


def matrix(text: str) -> np.ndarray:
    """Return the numbers of a table; `-` is nan."""
    lines = text.replace("/", "\n").strip().splitlines()
    return np.array([[np.nan if cell == "-" else float(cell) for cell in line.split()] for line in lines])


def patients() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return task, annotator and label (from 0) of every judgment of PATIENTS."""
    rows = [
        (task, observer, int(label) - 1)
        for task, patient in enumerate(PATIENTS.replace("/", "\n").strip().splitlines())
        for observer, labels in enumerate(patient.split())
        for label in labels
    ]
    task, observer, label = np.array(rows).T
    return task, observer, label


def pudding() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return two players and the first one's points of every single comparison of PUDDING."""
    rows = [
        (i - 1, j - 1, points)
        for i, j, *counts in matrix(PUDDING).astype(int).tolist()
        for points, times in zip((1.0, 0.0, 0.5), counts, strict=True)
        for _ in range(times)
    ]
    first, second, points = np.array(rows).T
    return first.astype(int), second.astype(int), points
