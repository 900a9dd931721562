"""Turn texts into sketches: few numbers by which texts that say nearly the same are found without comparing all.

MinHash (Broder 1997, as in the library rensa) over the runs of five characters of a text in which only letters and
digits count. Two sketches agree in as many places as the two texts share runs (Jaccard similarity J, here with a
standard error of at most 0.05). Bands of four places are looked up together: with 24 bands a pair of J = 0.8 is found
with probability 0.99999, one of J = 0.7 with 0.9986, one of J = 0.3 with 0.18, and what is found is compared in all
places. A system message does not count: the same one may stand over all prompts of a project. In a short text the
numbers say what is asked ("What is 17 plus 5?"), so two short texts with other numbers share nothing.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from itertools import chain
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from rensa import RMinHash

from feedback.contract import Message
from feedback.splits import normal_text

Sketches: TypeAlias = NDArray[np.uint16]
"""[texts x PLACES]: the low 16 bits of the smallest hashes."""

RUN = 5
BANDS = 24
ROWS = 4
PLACES = BANDS * ROWS
NUMBERS_MATTER = 200
"""Characters up to which a text counts as short."""
SEED = 20_240_229
"""Of the permutations. Sketches of another seed cannot be compared with these."""

DIGITS = re.compile(r"\d+")
MIX = np.uint64(0x9E3779B97F4A7C15)
SHIFT = np.uint64(29)


def text_of(messages: Sequence[Message]) -> str:
    """Return what of a prompt is compared, in its normal form."""
    said = [message["content"] for message in messages if message["role"] != "system"]
    return normal_text(said[0] if len(said) == 1 else "\n".join(said))


def sketch(texts: Sequence[str]) -> Sketches:
    """Return the sketch of every text, which is in its normal form; the same text always gives the same sketch."""
    if not texts:
        return np.empty((0, PLACES), dtype=np.uint16)
    hashes, offsets = runs(texts)
    digests = RMinHash.digest_matrix_from_flat_token_hashes(hashes, offsets, PLACES, SEED)
    numbers = np.fromiter(chain.from_iterable(digests.to_rows()), dtype=np.uint32, count=len(texts) * PLACES)
    return numbers.astype(np.uint16).reshape(-1, PLACES)


def runs(texts: Sequence[str]) -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return the hashes of all runs of all texts, and where each text's begin and end.

    A text of fewer characters than a run holds is padded to one.
    """
    padded = [text if len(text) >= RUN else text.ljust(RUN, "\x00") for text in texts]
    codes = np.frombuffer("".join(padded).encode("utf-32-le"), dtype=np.uint32).astype(np.uint64)
    lengths = np.fromiter(map(len, padded), dtype=np.int64, count=len(padded))
    salts = np.fromiter(map(salt_of, padded), dtype=np.uint64, count=len(padded))
    hashes = np.repeat(salts, lengths)[: len(codes) - RUN + 1]
    shifted = np.empty_like(hashes)
    for place in range(RUN):
        hashes ^= codes[place : len(codes) - RUN + 1 + place]
        hashes *= MIX
        hashes ^= np.right_shift(hashes, SHIFT, out=shifted)
    ends = np.cumsum(lengths)
    inside = np.ones(len(codes), dtype=bool)
    for back in range(1, RUN):
        inside[ends - back] = False  # runs that would reach into the next text
    offsets = np.concatenate([[0], np.cumsum(lengths - RUN + 1)]).astype(np.uint64)
    return hashes[inside[: len(hashes)]], offsets


def salt_of(text: str) -> int:
    """Return what tells the runs of a short text apart from those of one with other numbers."""
    if len(text) > NUMBERS_MATTER or not (numbers := DIGITS.findall(text)):
        return 0
    return int.from_bytes(hashlib.blake2b(" ".join(numbers).encode(), digest_size=8).digest(), "big")


def likeness(one: str, other: str) -> float:
    """Return J itself of two texts in their normal form, of which sketches give an estimate."""
    if salt_of(one) != salt_of(other):
        return 0.0
    mine, its = (
        {text[at : at + RUN] for at in range(len(text) - RUN + 1)} or {text}
        for text in (one.ljust(RUN), other.ljust(RUN))
    )
    return len(mine & its) / len(mine | its)


def bands(sketches: Sketches) -> NDArray[np.uint64]:
    """Return the 36-bit hash of every band of every sketch, [texts x BANDS]; bands at different places never match."""
    whole = np.ascontiguousarray(sketches).view(np.uint64)
    placed = (whole ^ (np.arange(1, BANDS + 1, dtype=np.uint64) * MIX)) * np.uint64(0xD6E8FEB86659FD93)
    placed ^= placed >> np.uint64(32)
    return placed * MIX >> np.uint64(28)


def similarity(one: Sketches, other: Sketches) -> NDArray[np.float64]:
    """Return the share of places in which the sketches of each pair of rows agree: the estimate of J."""
    return np.asarray((one == other).mean(axis=-1), dtype=np.float64)
