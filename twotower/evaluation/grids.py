"""Evaluations under one protocol as tables for people: metrics with their intervals, slices, cost, geometry.

name            MRR@10           Recall@10
first-a1b2c3    0.2953           0.5011
95 % interval   0.262 to 0.329   0.459 to 0.543
not seen (528)  0.2912           0.4981              the queries that training has not seen, if it has any
BM25            0.2826           0.4685              floors, weakest first as a rule
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from twotower.evaluation.metrics import shown
from twotower.evaluation.results import Measured
from twotower.show import Grid

COLUMNS = ("mrr_10", "recall_1", "recall_5", "recall_10", "recall_100", "ndcg_10", "map_100", "success_1")
"""Metrics of the table, as far as they were measured; JSON has all."""
SPARE = ("success_1", "map_100", "recall_5", "recall_1", "recall_100", "ndcg_10")
"""Which of them a narrow terminal leaves out, the first first."""
COSTS = {
    "docs_per_second": "docs/s",
    "query_p50_ms": "query ms",
    "query_p95_ms": "p95 ms",
    "index_mb": "index MB",
    "peak_mb": "peak MB",
    "gpu_peak_mb": "GPU MB",
}
SPACE = {
    "mean_cosine": "mean cosine",
    "effective_rank": "eff. rank",
    "alignment": "alignment",
    "uniformity": "uniformity",
    "hub_skew": "hub skew",
    "dead_dimensions": "dead dims",
    "top_spread": "top spread",
}


def metrics(rows: Sequence[Measured], floors: Mapping[str, Measured]) -> Grid:
    """A line a system and one for its intervals; floors below. There is at least one row."""
    columns = _columns(rows)
    lines: list[list[str]] = []
    dim: list[bool] = []
    for row in rows:
        lines.append([row.name, *_values(row.metrics, columns)])
        lines.append(["95 % interval", *(_ends(row, name) for name in columns)])
        dim += [False, True]
        if row.leak.get("leaky") and row.leak["clean"]:
            clean = row.leak["queries"] - row.leak["leaky"]
            lines.append([f"not seen ({clean:,})", *_values(row.leak["clean"], columns)])
            dim.append(True)
    for name, floor in floors.items():
        lines.append([name, *_values(floor.metrics, columns)])
        dim.append(True)
    protocol, counts = rows[0].protocol, rows[0].metrics
    judged, queries = int(counts["judged"]), int(counts["queries"])
    heading = f"{protocol}, {judged} of {queries} queries, {protocol.key}"
    titles = [shown(name) for name in columns]
    spare = [shown(name) for name in SPARE if name in columns]
    return Grid(heading, ["name", *titles], lines, dim, spare)


def slices(rows: Sequence[Measured], names: Sequence[str]) -> Iterator[Grid]:
    """A table a slicing: a line a slice, of one system after the other."""
    columns = _columns(rows)
    for slicing in dict.fromkeys(names):
        lines = [
            [row.name, part["value"], f"{part['queries']:,}", *_sliced(part, columns)]
            for row in rows
            for part in row.slices.get(slicing, ())
        ]
        spare = [shown(name) for name in SPARE if name in columns]
        if lines:
            yield Grid(f"by {slicing}", ["name", slicing, "queries", *_titles(columns)], lines, spare=spare)


def aside(rows: Sequence[Measured]) -> Iterator[Grid]:
    """What answering costs, and how the vectors lie; nothing for run files, which have neither."""
    for heading, titles, values in (
        ("cost", COSTS, [row.cost for row in rows]),
        ("geometry", SPACE, [row.geometry for row in rows]),
    ):
        there = [name for name in titles if any(name in value for value in values)]
        lines = [
            [row.name, *(_number(value[name]) if name in value else "" for name in there)]
            for row, value in zip(rows, values, strict=True)
            if value
        ]
        if lines:
            yield Grid(heading, ["name", *(titles[name] for name in there)], lines)


def _columns(rows: Sequence[Measured]) -> list[str]:
    """The usual metrics, or all where none of these was measured."""
    return [name for name in COLUMNS if name in rows[0].metrics] or list(rows[0].intervals)


def _titles(columns: Sequence[str]) -> list[str]:
    """The first metric is followed by its interval."""
    first, *others = map(shown, columns)
    return [first, "95 %", *others]


def _sliced(part: Mapping[str, Any], columns: Sequence[str]) -> list[str]:
    first, *others = _values(part["metrics"], columns)
    return [first, "{:.3f} to {:.3f}".format(*part["intervals"][columns[0]]), *others]


def _values(metrics: Mapping[str, float], columns: Sequence[str]) -> list[str]:
    return [f"{metrics[name]:.4f}" if name in metrics else "" for name in columns]


def _ends(row: Measured, name: str) -> str:
    return "{:.3f} to {:.3f}".format(*row.intervals[name]) if name in row.intervals else ""


def _number(value: float) -> str:
    """As many digits as one reads.

    >>> _number(12345.6), _number(12.34), _number(0.01234), _number(0.0)
    ('12,346', '12.3', '0.012', '0')
    """
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
