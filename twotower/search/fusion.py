"""One order from two: the tower's and BM25's, by the ranks that each gives, or by its scores.

rrf([3, 7], [7, 9])                  ->  {7: 1/62 + 1/61, 3: 1/61, 9: 1/62}
weighted([0.8, 0.2], [0, 5], 0.5)    ->  [0.5, 0.5]
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RRF, WEIGHTED = "rrf", "weighted"
MODES = (RRF, WEIGHTED)
OFFSET = 60
"""Added to each rank (Cormack, Clarke, Büttcher 2009): how little the very first ranks differ."""


def rrf(*orders: Sequence[int]) -> dict[int, float]:
    """Reciprocal rank fusion: the sum of 1 / (60 + rank) over the orders that hold a row, ranks from 1.

    >>> {row: round(score, 4) for row, score in rrf([3, 7], [7, 9]).items()}
    {3: 0.0164, 7: 0.0325, 9: 0.0161}
    """
    scores: dict[int, float] = {}
    for order in orders:
        for rank, row in enumerate(order, start=1):
            scores[row] = scores.get(row, 0.0) + 1.0 / (OFFSET + rank)
    return scores


def weighted(cosines: NDArray[np.float32], bm25: NDArray[np.float32], weight: float) -> NDArray[np.float64]:
    """`weight` of the cosines and the rest of the BM25 scores, both (n,) and brought to 0..1 among these n.

    Weight 1 is the order of the cosines, weight 0 that of BM25.

    >>> cosines, bm25 = np.float32([0.8, 0.2, 0.5]), np.float32([0, 5, 0])
    >>> weighted(cosines, bm25, 0.75).round(4).tolist()
    [0.75, 0.25, 0.375]
    """
    return weight * _scaled(cosines) + (1.0 - weight) * _scaled(bm25)


def _scaled(scores: NDArray[np.float32]) -> NDArray[np.float64]:
    """From 0 for the lowest to 1 for the highest; all 0 where they are equal."""
    wide = scores.astype(np.float64)
    span = float(np.ptp(wide)) if len(wide) else 0.0
    return (wide - wide.min()) / span if span else np.zeros(len(wide))
