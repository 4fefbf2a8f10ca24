"""What quality costs: the rows that nothing beats at their price, and who was best after so many seconds.

MRR@10   0.30  0.28  0.27
seconds    90    12    40        the first two are marked for seconds: nothing is better and cheaper
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from twotower.evaluation.row import Row, numbers, objects, part

COSTS = (
    *("seconds", "pairs_per_second", "parameters", "megabytes", "checkpoint_mb", "docs_per_second"),
    *("query_p50_ms", "query_p95_ms", "index_mb", "peak_mb", "gpu_peak_mb"),
)
"""Training seconds, trained pairs a second, weights and checkpoint in MB, encoded documents a second, ..."""
MORE_IS_BETTER = {"pairs_per_second", "docs_per_second"}


def pareto(rows: Sequence[Row], metric: str) -> list[list[str]]:
    """For each row the costs for which no other is at least as good and as cheap, and one of both truly.

    Rows without the metric or the cost take no part; two rows that are equal in both are marked both. A cost
    that one row alone has marks nothing.
    """
    marks: list[list[str]] = [[] for _ in rows]
    for cost in COSTS:
        sign = -1 if cost in MORE_IS_BETTER else 1
        known = [i for i, row in enumerate(rows) if cost in row.cost and metric in row.metrics]
        for i in _front([(rows[i].metrics[metric], sign * rows[i].cost[cost]) for i in known]):
            marks[known[i]] += [cost] if len(known) > 1 else []
    return marks


def _front(points: Sequence[tuple[float, float]]) -> list[int]:
    """Places of the points (quality, price) that no other dominates."""
    order = sorted(range(len(points)), key=lambda i: (-points[i][0], points[i][1]))
    front: list[int] = []
    cheapest = float("inf")
    for _, level in groupby(order, key=lambda i: points[i][0]):
        places = list(level)
        price = points[places[0]][1]
        if price < cheapest:  # the cheapest of equal quality are cheaper than all of better quality
            front += [i for i in places if points[i][1] == price]
            cheapest = price
    return front


def curve(content: Mapping[str, Any]) -> list[dict[str, float]]:
    """A run's history from its sidecar, a row an epoch; `seconds` are those of training up to its end."""
    stats = part(content, "training_stats")
    trained, evaluated = (_by_epoch(stats.get(name)) for name in ("training_stats", "evaluation_stats"))
    epochs = sorted(trained.keys() | evaluated.keys())
    rows: list[dict[str, float]] = []
    spent = 0.0
    for epoch in epochs:
        spent += trained.get(epoch, {}).get("seconds", 0.0)
        rows.append(
            {**trained.get(epoch, {}), **evaluated.get(epoch, {}), "epoch": epoch, "seconds": round(spent, 3)}
        )
    return rows


def _by_epoch(stored: Any) -> dict[int, dict[str, float]]:
    return {row["epoch"]: numbers(row) for row in objects(stored) if isinstance(row.get("epoch"), int)}


def best_after(row: Row, metric: str, seconds: float) -> float | None:
    """The best that training had reached after so many seconds of it, mean over seeds; None if unknown.

    Only of what training evaluated under the row's own protocol: other figures are of the kept weights alone.
    """
    values = [_best_after(one, metric, seconds) for one in row.seeds or (row,)]
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if len(known) == len(values) else None


def _best_after(row: Row, metric: str, seconds: float) -> float | None:
    points = curve(row.content) if row.own else []
    reached = [point[metric] for point in points if metric in point and point["seconds"] <= seconds]
    return max(reached, default=None)
