"""What a score is worth: where it stands among the scores of queries and documents that were drawn at random.

    quantiles(queries, docs, generator)  ->  [-0.31, ..., 0.12, ..., 0.74]    at LEVELS, kept with the index
    percentile(kept, 0.61)               ->  99.93        a score above all that were seen: 100.0

A cosine of 0.9 says nothing where two random texts have 0.89.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twotower.search.stored import StoredVectors

PAIRS = 1 << 16
"""Pairs that are drawn; the quantile at 99.99 % still rests on six of them."""
LEVELS = (*np.linspace(0.0, 0.99, 100).round(4).tolist(), 0.995, 0.998, 0.999, 0.9995, 0.9998, 0.9999, 1.0)
"""Shares of the pairs with a lower score."""
BLOCK = 8192
"""Pairs scored at a time."""


def quantiles(
    queries: NDArray[np.float32], docs: StoredVectors, generator: np.random.Generator
) -> list[float]:
    """Scores at `LEVELS` of random pairs of queries (Q, D) and documents (N, D), ascending."""
    asked = generator.integers(len(queries), size=PAIRS)
    found = np.sort(generator.integers(len(docs), size=PAIRS))  # a file is read from its beginning to its end
    scores = np.empty(PAIRS)
    for start in range(0, PAIRS, BLOCK):
        part = slice(start, start + BLOCK)
        pair = queries[asked[part]].astype(np.float64), np.asarray(docs[found[part]], dtype=np.float64)
        scores[part] = np.einsum("nd,nd->n", *pair)
    return [round(float(score), 7) for score in np.quantile(scores, LEVELS)]


def percentile(kept: Sequence[float], score: float) -> float:
    """Percent of random pairs that score lower, between the quantiles by straight lines.

    >>> kept = [level * 2 - 1 for level in LEVELS]
    >>> [round(percentile(kept, score), 4) for score in (-2.0, 0.0, 0.98, 2.0)]
    [0.0, 50.0, 99.0, 100.0]
    """
    if len(kept) != len(LEVELS) or any(low > high for low, high in pairwise(kept)):
        raise ValueError(f"quantiles: got {len(kept)} of them, want {len(LEVELS)}, ascending")
    return 100.0 * float(np.interp(score, kept, LEVELS, left=0.0, right=1.0))
