"""Rough scores of all documents for one query, as quickly as NumPy can: every search by one person.

    docs (N, D) in any storage, query (D,)  ->  (N,) float32, off in the last bits

Such a search does nothing but read the vectors once, so its time is that of the memory. Whatever else would
pass over them (a check, a conversion of the whole) costs as much again.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.search.stored import FLOAT32, INT8, SCALES, Docs, Floats, StoredVectors

Array = NDArray[Any]

PIECE = 1024
"""Rows converted at a time: those of 256 numbers stay in the processor's cache. 100,000 of int8 then take as
long as of float32; 4,096 at a time, three times as long."""
BIG = np.float32(2.0**60)
REST = np.float32(2.0**52)
"""Both together undo the 2**-112 by which the bits of a float16 read as a float32 are too small."""


def products(docs: Docs, query: Floats) -> Floats:
    """Scores (N,) of all documents for one query (D,), as float32 products: rough in the last bits.

    The quickest way that NumPy has for each storage.
    """
    if not isinstance(docs, StoredVectors):
        scores: Floats = np.ascontiguousarray(docs, dtype=np.float32) @ query
        return scores
    wide = next(iter(docs.files.values()))
    if docs.storage == FLOAT32:
        return np.asarray(wide @ query)
    if docs.storage == INT8:
        return _in_pieces(wide, query, np.copyto) * docs.files[SCALES]
    if np.abs(query).max(initial=0.0) < 2.0**30:
        return _in_pieces(wide.view(np.int16), query * BIG, _widen) * REST
    return _in_pieces(wide, query, np.copyto)


def part(docs: Docs, start: int, stop: int) -> Docs:
    """Documents `start` to `stop`, not read yet."""
    rows = slice(start, stop)
    return StoredVectors(docs.storage, docs.raw(rows)) if isinstance(docs, StoredVectors) else docs[rows]


def _in_pieces(wide: Array, query: Floats, unpack: Callable[[Array, Array], None]) -> Floats:
    scores, space = np.empty(len(wide), np.float32), np.empty((PIECE, wide.shape[1]), np.float32)
    for start in range(0, len(wide), PIECE):
        some = wide[start : start + PIECE]
        unpack(space[: len(some)], some)
        np.dot(space[: len(some)], query, out=scores[start : start + PIECE])
    return scores


def _widen(space: Floats, halves: NDArray[np.int16]) -> None:
    """Sign, exponent and fraction of float16 to their places in float32, which is then too small by 2**-112.

    NumPy itself converts number by number, which takes five times as long.
    """
    bits = space.view(np.int32)
    np.copyto(bits, halves)  # the sign is spread over the upper half
    np.left_shift(bits, 13, out=bits)
    np.bitwise_and(bits, np.int32(-0x70002000), out=bits)  # 0x8FFFE000
