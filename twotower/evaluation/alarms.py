"""What is wrong with the numbers of a protocol, each in a line that stands above the table.

Every one of these mistakes has been published: an order on 48 queries, a metric that is 1.0 for every model,
MAP that equals MRR because one relevant passage was kept, a model that does worse than chance at the top.
"""

import math
from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

from twotower.evaluation import candidates, geometry
from twotower.evaluation.metrics import shown
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.row import Row
from twotower.evaluation.standing import LEVEL

FEW_QUERIES = 200
"""Below so many judged queries differences of some hundredths are luck."""
SATURATED = 0.995
"""A metric that is higher in every row tells none apart."""
ERRORS = 3.0
"""Standard errors by which recall must fall short of chance's straight line."""


def all_of(rows: Sequence[Row], metric: str, judged: int) -> list[str]:
    """Every alarm of the rows of one protocol, best first and compared, as lines."""
    protocol = rows[0].protocol
    return [
        *few_queries(judged),
        *saturated(rows, protocol),
        *single_positives(rows),
        *faster_than_k(rows, judged),
        *floor_above(rows, metric),
        *wide(rows, metric),
        *seen(rows, metric),
        *collapsed(rows),
        *without_values(rows),
    ]


def few_queries(judged: int) -> list[str]:
    """Too few queries for small gaps."""
    if judged >= FEW_QUERIES:
        return []
    return [f"{judged} judged queries; below {FEW_QUERIES} small gaps are luck"]


def saturated(rows: Sequence[Row], protocol: Protocol) -> list[str]:
    """Metrics that no model moves: over short lists, or because every row has them nearly whole."""
    first = next((row for row in rows if not row.floor), rows[0])
    short = candidates.remark(first.metrics, protocol.most_candidates)
    known = candidates.fixed(first.metrics, protocol.most_candidates)
    whole = [
        name
        for name in _common(rows)
        if name not in known and all(row.metrics[name] > SATURATED for row in rows)
    ]
    said = [f"saturated: {short}"] if short else []
    if whole and len(rows) > 1:
        names = ", ".join(map(shown, whole[:5])) + (" and others" if len(whole) > 5 else "")
        said.append(f"saturated: {names} above {SATURATED} in every row, which tells none apart")
    return said


def _common(rows: Sequence[Row]) -> list[str]:
    """Metrics that every row has."""
    counts = ("queries", "judged")
    return [name for name in rows[0].metrics if name not in counts and all(name in r.metrics for r in rows)]


def single_positives(rows: Sequence[Row]) -> list[str]:
    """MAP equal to MRR at every cut-off of every row: no query has a second relevant document."""
    pairs = [
        (row.metrics[name], row.metrics[f"mrr{name[3:]}"])
        for row in rows
        for name in row.metrics
        if name.startswith("map") and f"mrr{name[3:]}" in row.metrics
    ]
    if not pairs or any(abs(a - b) > 1e-9 for a, b in pairs):
        return []
    return [
        "MAP equals MRR in every row: no query has a second relevant document, or only the first was kept; "
        "MAP then says nothing of its own"
    ]


def faster_than_k(rows: Sequence[Row], judged: int) -> list[str]:
    """Recall that grows faster than k, as where relevant documents are pushed below the first ranks.

    Chance finds k / k' of what it finds at k'; a model that ranks at all finds more at the top. A gap must
    exceed `ERRORS` standard errors.
    """
    worse = [(row, found) for row in rows if not row.floor and (found := _worst(row.metrics, judged))]
    if not worse:
        return []
    row, (low, high) = worse[0]
    return [
        f"{_named([row for row, _ in worse])}: recall grows faster than k, worse than chance at the top: "
        f"{row.metrics[f'recall_{low}']:.4f} at {low}, {row.metrics[f'recall_{high}']:.4f} at {high}"
    ]


def _worst(metrics: Mapping[str, float], judged: int) -> tuple[int, int] | None:
    """The pair of cut-offs where recall falls shortest of the straight line, if by enough."""
    cuts = sorted(int(name[7:]) for name in metrics if name.startswith("recall_") and name[7:].isdigit())
    found: dict[tuple[int, int], float] = {}
    for low, high in combinations(cuts, 2):
        line = metrics[f"recall_{high}"] * low / high
        error = math.sqrt(max(line * (1 - line), 0) / max(judged, 1))
        short = line - metrics[f"recall_{low}"]
        if short > ERRORS * error and short > 0:
            found[low, high] = short / error
    return max(found, key=lambda pair: found[pair], default=None)


def floor_above(rows: Sequence[Row], metric: str) -> list[str]:
    """Floors that stand above everything that was to beat them."""
    best = max((row.metrics[metric] for row in rows if not row.floor), default=math.inf)
    return [
        f"{row.name} ({row.metrics[metric]:.4f}) stands above the best checkpoint"
        for row in rows
        if row.floor and row.metrics.get(metric, -math.inf) > best
    ]


def wide(rows: Sequence[Row], metric: str) -> list[str]:
    """An interval wider than the gap that the order claims, of the first two."""
    first, second, *_ = [*(row for row in rows if not row.floor), None, None]
    if first is None or second is None or metric not in first.intervals:
        return []
    low, high = first.intervals[metric]
    gap = first.metrics[metric] - second.metrics[metric]
    told_apart = not rows[0].floor and second.p_best is not None and second.p_best < LEVEL
    if high - low <= gap or told_apart:
        return []
    return [
        f"the first two stand {gap:.4f} apart, and the 95 % interval of the first is {high - low:.4f} wide: "
        "their order may be luck"
    ]


def seen(rows: Sequence[Row], metric: str) -> list[str]:
    """What training has seen of the evaluation: counted, the score on clean and on seen queries apart."""
    by_leak: dict[str, list[Row]] = {}
    for row in rows:
        if row.leak.get("leaky"):
            by_leak.setdefault(_counted(row.leak), []).append(row)
    lines = []
    for counted, leaky in by_leak.items():
        clean, known = ((leaky[0].leak.get(part) or {}).get(metric) for part in ("clean", "seen"))
        parts = [
            f"{value:.4f} {where}"
            for value, where in ((clean, "on the others"), (known, "on these"))
            if value is not None
        ]
        score = f"; {leaky[0].name} has {shown(metric)} {', '.join(parts)}" if parts else ""
        lines.append(f"leak, {_named(leaky)}: {counted}{score}")
    return lines


def _counted(leak: Mapping[str, Any]) -> str:
    kinds = [
        f"{leak[f'{what}_{how}']} {one if leak[f'{what}_{how}'] == 1 else what} {words}"
        for what, one in (("queries", "query"), ("documents", "document"))
        for how, words in (("same", "the same"), ("near", "nearly the same"))
        if leak.get(f"{what}_{how}")
    ]
    listed = f": {', '.join(kinds)}" if kinds else ""
    return (
        f"training on {leak.get('train', 'its collection')} has seen {leak['leaky']} of the queries{listed}"
    )


def collapsed(rows: Sequence[Row]) -> list[str]:
    """Embedding spaces that have shrunk into a cone."""
    cones = [row for row in rows if row.geometry and geometry.warning(row.geometry)]
    return [f"{_named(cones)}: {geometry.warning(cones[0].geometry)}"] if cones else []


def without_values(rows: Sequence[Row]) -> list[str]:
    """Rows whose per-query values are damaged, or were never kept: there is nothing to test."""
    damaged = [f"{row.name}: no interval and no test: {row.problem}" for row in rows if row.problem]
    lines = damaged if len(damaged) < 6 else [*damaged[:5], f"and {len(damaged) - 5} more such rows"]
    bare = [row for row in rows if not row.floor and row.values is None and not row.problem]
    if bare:
        lines.append(
            f"{_named(bare)}: no per-query values, so no interval and no test; `twotower evaluate` makes them"
        )
    return lines


def _named(rows: Sequence[Row]) -> str:
    return rows[0].name if len(rows) == 1 else f"{rows[0].name} and {len(rows) - 1} more"
