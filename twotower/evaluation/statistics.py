"""How far a mean over queries can be trusted."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

DRAWS = 10_000
"""Bootstrap samples."""
BLOCK = 2_000_000
"""Drawn query numbers held at a time."""


def intervals(
    per_query: Mapping[str, NDArray[np.float64]], rng: np.random.Generator, *, draws: int = DRAWS
) -> dict[str, tuple[float, float]]:
    """95 % interval of each metric's mean: percentile bootstrap over queries (Efron, 1979).

    The same drawn queries serve every metric. Raises ValueError when there are no metrics or no queries.
    """
    if not per_query:
        raise ValueError("intervals: got no metrics, want at least one")
    names = list(per_query)
    values = np.stack([per_query[name] for name in names], axis=1)
    queries = len(values)
    if queries == 0:
        raise ValueError("intervals: got no queries, want at least one")
    step = max(1, BLOCK // queries)
    means = np.concatenate([_means(values, rng, min(step, draws - done)) for done in range(0, draws, step)])
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(names)}


def _means(values: NDArray[np.float64], rng: np.random.Generator, draws: int) -> NDArray[np.float64]:
    """Means of `draws` samples of queries with replacement, (draws, metrics)."""
    queries = len(values)
    drawn = rng.integers(queries, size=(draws, queries)) + queries * np.arange(draws)[:, None]
    times = np.bincount(drawn.ravel(), minlength=draws * queries).reshape(draws, queries)
    return times @ values / queries
