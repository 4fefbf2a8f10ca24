"""How far a mean over queries can be trusted, and how high luck alone would carry the best of several.

    values (Q, rows)    per-query values of one metric, a column for each system, in one order of the queries
    means (draws, rows) what each system's mean would have been on other queries of the same kind

Queries are what is drawn again, jointly for all rows: two systems are always compared on the same queries.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DRAWS = 10_000
"""Bootstrap samples."""
BLOCK = 1_000_000
"""Drawn query numbers held at a time."""
EQUAL = 1e-9
"""Values of one query closer than this are a tie."""


@dataclass(frozen=True)
class Luck:
    """What the best of equally good rows shows although it is no better."""

    mean: float
    """Common mean of the rows."""
    best: float
    """Expected highest mean of that many rows, were they all equally good."""
    tried_best: float
    """The same of all that was tried; an upper bound, since the epochs of a run are alike."""


@dataclass(frozen=True)
class Tally:
    """Queries on which one row is better than another, as good, worse."""

    wins: int
    ties: int
    losses: int


def intervals(
    per_query: Mapping[str, Floats], rng: np.random.Generator, *, draws: int = DRAWS
) -> dict[str, tuple[float, float]]:
    """95 % interval of each metric's mean: percentile bootstrap over queries (Efron, 1979).

    The same drawn queries serve every metric. Raises ValueError when there are no metrics or no queries.
    """
    if not per_query:
        raise ValueError("intervals: got no metrics, want at least one")
    values = np.stack(list(per_query.values()), axis=1)
    if len(values) == 0:
        raise ValueError("intervals: got no queries, want at least one")
    low, high = spread(bootstrap(values, rng, draws=draws))
    return {name: (float(low[i]), float(high[i])) for i, name in enumerate(per_query)}


def bootstrap(values: Floats, rng: np.random.Generator, *, draws: int = DRAWS) -> Floats:
    """Means of `draws` samples of the queries with replacement, (draws, rows) from values (Q, rows).

    What is drawn depends on the number of queries alone: a further row changes no other row's means. Raises
    ValueError unless values are finite and there is a query.
    """
    check(values, "bootstrap")
    queries = len(values)
    step = max(1, BLOCK // queries)
    means = np.empty((draws, values.shape[1]))
    for start in range(0, draws, step):
        count = min(step, draws - start)
        drawn = rng.integers(queries, size=(count, queries))
        drawn += queries * np.arange(count)[:, None]
        times = np.bincount(drawn.ravel(), minlength=count * queries).reshape(count, queries)
        means[start : start + count] = times.astype(np.float64) @ values  # BLAS multiplies floats alone
    means /= queries
    return means


def spread(means: Floats) -> tuple[Floats, Floats]:
    """Lower and upper ends, (rows,) each, of the 95 % percentile intervals of drawn means (draws, rows)."""
    low, high = np.percentile(means, (2.5, 97.5), axis=0)
    return low, high


def difference(
    a: Floats, b: Floats, rng: np.random.Generator, *, draws: int = DRAWS
) -> tuple[float, float, float]:
    """Mean of a - b, and the ends of its 95 % interval: paired bootstrap over the queries (Q,) of both.

    Narrower than two separate intervals let one think, as a hard query is hard for both. Raises ValueError
    when they are not of the same queries.
    """
    change = _change(a, b, "difference")
    low, high = spread(bootstrap(change[:, None], rng, draws=draws))
    return float(change.mean()), float(low[0]), float(high[0])


def versus(values: Floats, baseline: Floats) -> Tally:
    """How many queries a row wins, ties and loses against the baseline, (Q,) both.

    >>> versus(np.array([0.5, 1.0, 0.2, 0.0]), np.array([0.5, 0.5, 0.1, 1.0]))
    Tally(wins=2, ties=1, losses=1)
    """
    change = _change(values, baseline, "versus")
    wins, losses = (int(np.count_nonzero(side >= EQUAL)) for side in (change, -change))
    return Tally(wins, len(change) - wins - losses, losses)


def needed_queries(a: Floats, b: Floats, *, level: float = 0.05, power: float = 0.8) -> int | None:
    """How many queries like these would tell a and b (Q,) apart with chance `power`, were their gap true.

    (z(1 - level / 2) + z(power))^2 variance / gap^2, the two-sided paired test. None when no number would
    do, since the means are equal, or when nothing can be said, since there is one query only. A rough
    figure: where the measured gap is luck, the true one needs more.
    """
    change = _change(a, b, "needed_queries")
    gap = abs(float(change.mean()))
    if gap < EQUAL or len(change) < 2:
        return None
    normal = NormalDist()
    deviates = normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power)
    return max(2, math.ceil((deviates * float(change.std(ddof=1)) / gap) ** 2))


def luck(values: Floats, rng: np.random.Generator, *, draws: int = DRAWS, tried: int = 1) -> Luck:
    """What the best row of values (Q, rows) would score by luck, were all rows equally good.

    Rows are shifted to their common mean and the queries drawn again, jointly, so that rows that answer
    alike gain less than independent ones; `best` is the expected highest mean. `tried` counts all that was
    compared on these queries, epochs included, and at least the rows: `tried_best` grows the gain by the
    ratio of the expected maxima of standard normals, as if the untold trials differed like the rows do. It
    is an upper bound, since the epochs of a run are alike. Rows equal in every query count once; where only
    one is left, the gain is its standard error times the expected maximum.
    """
    check(values, "luck")
    mean = float(values.mean())
    means = bootstrap(values - values.mean(axis=0), rng, draws=draws)
    # the rows' average is 0 in expectation: taking it off leaves the result and takes most of the noise out
    gain = float((means.max(axis=1) - means.mean(axis=1)).mean())
    rows = values.shape[1]
    distinct = np.unique(values.round(9), axis=1).shape[1]
    further = expected_maximum(max(tried, rows) - (rows - distinct))
    if distinct > 1:
        return Luck(mean, mean + gain, mean + gain * further / expected_maximum(distinct))
    error = float(values[:, 0].std()) / math.sqrt(len(values))
    return Luck(mean, mean + gain, mean + error * further)


def expected_maximum(n: int) -> float:
    """Expected maximum of n independent standard normals: the integral of x n f(x) F(x)^(n - 1).

    By the trapezoid rule, which is exact to rounding for an integrand that vanishes smoothly at both ends.
    Blom's approximation, of one line, is 4 % off at n = 2.

    >>> round(expected_maximum(3), 6)
    0.846284
    """
    x = np.arange(-800, 1201) / 100  # left of -8 nothing counts; on the right n = 10^30 has room
    above = np.array([math.erfc(value / math.sqrt(2)) / 2 for value in x])
    density = np.exp(-x * x / 2) / math.sqrt(2 * math.pi)
    return float((x * n * density * np.exp((n - 1) * np.log1p(-above))).sum() / 100)


def check(values: Floats, who: str) -> None:
    """Raises ValueError, opening with `who`, unless values are (Q, rows), none empty, and all finite."""
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(
            f"{who}: got values of shape {values.shape}, want queries and rows, one at least of each"
        )
    if not np.isfinite(values).all():
        missing = int(np.count_nonzero(~np.isfinite(values)))
        raise ValueError(f"{who}: {missing} of {values.size} values are not finite; evaluate that row again")


def _change(a: Floats, b: Floats, who: str) -> Floats:
    if a.shape != b.shape or a.ndim != 1 or len(a) == 0:
        raise ValueError(f"{who}: got values of {a.shape} and {b.shape}, want one a query of each")
    return a - b
