"""The floors of a protocol as rows of the leaderboard: from the cache query by query, else from sidecars.

    sidecars of three runs, the cache  ->  chance, BM25, untrained (best of 3)

Of untrained towers the best stands for all: it is the luckiest start, which a trained model has to beat.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from twotower.evaluation import results
from twotower.evaluation.names import Entry
from twotower.evaluation.row import Kept, Row, measured_row

UNTRAINED = "untrained"
CHANCE = "chance"


def known(
    key: str, entries: Sequence[Entry], kept: Sequence[Kept], metric: str, cache_dir: Path | None
) -> list[Row]:
    """Each floor of the protocol `key` once; sidecars have means alone, so the cache stands before them.

    What cannot be read of the cache is left aside: the next evaluation computes it anew.
    """
    cached = results.listing(cache_dir / "floors" / key)[0] if cache_dir else []
    cached += [one for one in kept if one[1].kind == "floor"]
    rows = [measured_row(path, one, metric) for path, one in cached if one.protocol.key == key]
    stored = [row for entry in entries for row in _stored(entry, key)]
    pools: dict[str, list[Row]] = {}
    for row in [*rows, *stored]:
        base = row.name.lower()
        pools.setdefault(UNTRAINED if base.startswith(UNTRAINED) else base, []).append(row)
    return [_one(name, pool, metric) for name, pool in pools.items()]


def _stored(entry: Entry, key: str) -> list[Row]:
    """The floors that a sidecar has."""
    protocol = entry.protocol
    if protocol is None or protocol.key != key:
        return []
    floors: Mapping[str, Mapping[str, float]] = entry.floors
    return [
        Row(name=name, kind="floor", protocol=protocol, metrics=metrics) for name, metrics in floors.items()
    ]


def _one(name: str, pool: Sequence[Row], metric: str) -> Row:
    """The best of a pool; of equals, whose last bits may differ, one with values by query."""

    def height(row: Row) -> tuple[float, bool]:
        return round(row.metrics.get(metric, -math.inf), 9), row.values is not None

    best = max(pool, key=height)
    starts = len({round(row.metrics[metric], 9) for row in pool if metric in row.metrics})
    several = name == UNTRAINED and starts > 1
    return replace(best, name=f"{UNTRAINED}, best of {starts}") if several else best
