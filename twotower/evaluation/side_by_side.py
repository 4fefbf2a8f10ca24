"""Two systems on the same queries: what tells their configurations apart, each metric's gap, who moved.

    MRR@10   a 0.2953   b 0.2826   b - a -0.0127, 95 % -0.034 to 0.009, p 0.27   better 83, worse 86

A gap is tested query by query: its interval by bootstrap over queries, p by sign flips adjusted over the
metrics.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation import significance, statistics
from twotower.evaluation.metrics import Floats, Ints

EQUAL = 1e-9
"""A query whose value moved by less has not moved."""
LEVEL = 0.05
"""A gap whose p is below this is told from luck."""


@dataclass(frozen=True)
class Gap:
    """One metric of two systems, `b` against `a`."""

    metric: str
    a: float
    b: float
    difference: float
    """b - a."""
    low: float
    high: float
    """Ends of its 95 % interval."""
    p: float
    """That so large a gap, in any of the metrics compared, is luck."""
    better: int
    """Queries on which b is better."""
    equal: int
    worse: int

    @property
    def real(self) -> bool:
        """Whether luck alone hardly explains it."""
        return self.p < LEVEL


def knobs_apart(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[tuple[str, Any, Any]]:
    """(dotted name, value of a, value of b) where flat configurations differ; None where one lacks the knob.

    >>> knobs_apart({"dim": 64, "seed": 0}, {"dim": 128, "seed": 0, "loss.margin": 0.2})
    [('dim', 64, 128), ('loss.margin', None, 0.2)]
    """
    names = [*a, *(name for name in b if name not in a)]
    return [(name, a.get(name), b.get(name)) for name in names if a.get(name) != b.get(name)]


def gaps(
    a: Mapping[str, Floats], b: Mapping[str, Floats], rng: np.random.Generator, *, draws: int
) -> list[Gap]:
    """Every metric that both have, in the order of `a`; value i of both is of one query.

    Raises ValueError where they share no metric or hold unequally many queries.
    """
    names = [name for name in a if name in b]
    if not names:
        raise ValueError("compare: the two share no metric; evaluate both with the same k")
    values = np.stack([side[name] for name in names for side in (a, b)], axis=1)
    pairs = np.arange(2 * len(names)).reshape(-1, 2)
    flips, resampling = rng.spawn(2)
    p_values = significance.adjusted(values, pairs, flips, draws=draws)
    means = statistics.bootstrap(values[:, 1::2] - values[:, ::2], resampling, draws=draws)
    low, high = statistics.spread(means)
    made = []
    for i, name in enumerate(names):
        tally = statistics.versus(b[name], a[name])
        ends = float(low[i]), float(high[i])
        mean_a, mean_b = float(a[name].mean()), float(b[name].mean())
        counts = (tally.wins, tally.ties, tally.losses)
        made.append(Gap(name, mean_a, mean_b, mean_b - mean_a, *ends, float(p_values[i]), *counts))
    return made


def moved(a: Floats, b: Floats, count: int) -> tuple[Ints, Ints]:
    """Places of the queries that moved most from a to b, at most `count` each: (better in b, worse in b).

    The largest move first, of equals the earlier query.
    """
    change = b - a
    order = np.argsort(-np.abs(change), kind="stable")
    up, down = (order[side[order]] for side in (change > EQUAL, change < -EQUAL))
    return up[:count], down[:count]


def best_rank(hits: Ints, relevant: NDArray[np.integer[Any]]) -> int | None:
    """The rank of the first relevant document among the hits (K,), from 1; None where none is."""
    places = np.flatnonzero(np.isin(hits, relevant))
    return int(places[0]) + 1 if len(places) else None


def verdict(gap: Gap, a: str, b: str, title: str) -> str:
    """The gap in a sentence.

    >>> print(verdict(Gap("mrr_10", 0.2, 0.3, 0.1, 0.05, 0.15, 0.001, 40, 50, 10), "old", "new", "MRR@10"))
    new is better than old: MRR@10 higher by 0.1000 (95 %: 0.0500 to 0.1500, p 0.001)
    """
    if gap.difference < 0:
        a, b = b, a
        gap = Gap(gap.metric, gap.b, gap.a, -gap.difference, -gap.high, -gap.low, gap.p, 0, 0, 0)
    figures = f"(95 %: {gap.low:.4f} to {gap.high:.4f}, p {gap.p:.2g})"
    if gap.real:
        return f"{b} is better than {a}: {title} higher by {gap.difference:.4f} {figures}"
    return f"{b} and {a} cannot be told apart: {title} differs by {gap.difference:.4f} {figures}"
