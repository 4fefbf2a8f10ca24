"""A protocol's rows as a table for people: value and interval, who is alike, what it costs.

name      same?  MRR@10  95 %         Recall@10  train s
b-77ab02  a      0.2953  0.262-0.329  0.6185       42.1
a-3fa2b1  ab     0.2847  0.251-0.318  0.6204       12.5*      * nothing is better and cheaper
BM25       b     0.2601  0.229-0.292  0.5537
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from twotower.evaluation.cost import COSTS
from twotower.evaluation.leaderboard import Group
from twotower.evaluation.metrics import shown
from twotower.evaluation.row import Row
from twotower.evaluation.standing import LEVEL
from twotower.show import Grid

BESIDE = ("recall_1", "recall_10", "ndcg_10", "recall_5", "recall_100", "mrr_10")
"""Metrics beside the one that orders the rows."""
USUAL = ("seconds", "parameters", "checkpoint_mb", "docs_per_second", "query_p50_ms")
"""Costs shown unless all are asked for."""
TITLES = {
    "seconds": "train s",
    "pairs_per_second": "pairs/s",
    "megabytes": "weights MB",
    "checkpoint_mb": "MB",
    "docs_per_second": "docs/s",
    "query_p50_ms": "query ms",
    "query_p95_ms": "p95 ms",
    "index_mb": "index MB",
    "peak_mb": "peak MB",
    "gpu_peak_mb": "GPU MB",
}
KINDS = {"run": "run file", "vectors": "vectors"}
LEGEND = (
    "same?: rows that share a letter cannot be told apart (adjusted p 0.05 or more); ~: nor from the first; "
    "95 %: interval of the mean; *: no row is better and cheaper"
)


@dataclass(frozen=True)
class Column:
    """A heading and what stands below it."""

    title: str
    cell: Callable[[Row], str]
    spare: int = 0
    """Of the columns that a narrow terminal leaves out the highest goes first; 0 stays."""


def grid(group: Group, metric: str, *, verbose: bool = False, ends: bool = False) -> Grid:
    """The table of a group under its verdict; columns that no row fills are not there, but in `ends`.

    `verbose` shows every cost, the geometry, p, epoch and history file. `ends` is for programs: the same
    columns whatever the rows, and an interval as two of them.
    """
    columns = [*_standing(group, metric, ends), *_metrics(metric), *_costs(verbose), *_record(verbose)]
    if verbose:
        columns += _geometry(group.rows)
    cells = {column: [column.cell(row) for row in group.rows] for column in columns}
    used = [column for column in columns if ends or any(cells[column])]
    spare = sorted((column for column in used if column.spare), key=lambda column: -column.spare)
    return Grid(
        group.verdict,
        [column.title for column in used],
        [[cells[column][i] for column in used] for i in range(len(group.rows))],
        [row.floor for row in group.rows],
        spare=[column.title for column in spare],
    )


def _standing(group: Group, metric: str, ends: bool) -> list[Column]:
    """Name, letters, the metric with its interval, and what was asked to be set beside it."""
    low, high = (lambda row: _end(row, metric, 0)), (lambda row: _end(row, metric, 1))
    interval = [Column("low", low), Column("high", high)] if ends else [Column("95 %", _between(metric))]
    columns = [
        Column("name", _name),
        Column("same?", _same),
        Column(shown(metric), lambda row: _number(row.metrics.get(metric))),
        *interval,
        Column("sd of seeds", lambda row: _number((row.spread or {}).get(metric)), spare=2),
    ]
    if group.choice:
        split = group.choice["report_split"]
        columns.append(Column(f"on {split}", lambda row: _reported(row, metric)))
    if after := next((row.after for row in group.rows if row.after), None):
        title = f"after {after['seconds']:g} s"
        columns.append(Column(title, lambda row: _number((row.after or {}).get(metric))))
    if versus := next((row.versus for row in group.rows if row.versus), None):
        columns.append(Column(f"to {versus['baseline']}: won-tied-lost, p", _against))
    return columns


def _name(row: Row) -> str:
    return f"{row.name} ({KINDS[row.kind]})" if row.kind in KINDS else row.name


def _same(row: Row) -> str:
    return row.letters or ("~" if row.p_best is not None and row.p_best >= LEVEL else "")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"


def _end(row: Row, metric: str, which: int) -> str:
    return f"{row.intervals[metric][which]:.4f}" if metric in row.intervals else ""


def _between(metric: str) -> Callable[[Row], str]:
    return lambda row: "{:.3f}-{:.3f}".format(*row.intervals[metric]) if metric in row.intervals else ""


def _reported(row: Row, metric: str) -> str:
    if row.reported is None or metric not in row.reported["metrics"]:
        return ""
    value = f"{row.reported['metrics'][metric]:.4f}"
    ends = row.reported["intervals"].get(metric)
    return f"{value} {ends[0]:.3f}-{ends[1]:.3f}" if ends else value


def _against(row: Row) -> str:
    if row.versus is None:
        return ""
    told = row.versus
    return f"{told['wins']}-{told['ties']}-{told['losses']}, {told['p']:.2g}"


def _metrics(metric: str) -> list[Column]:
    def column(name: str, spare: int) -> Column:
        return Column(shown(name), lambda row: _number(row.metrics.get(name)), spare)

    return [column(name, 3 + place) for place, name in enumerate(BESIDE) if name != metric]


def _costs(verbose: bool) -> list[Column]:
    def column(name: str) -> Column:
        def cell(row: Row) -> str:
            if name not in row.cost:
                return ""
            value = row.cost[name]
            places = 0 if value >= 1000 or name == "parameters" else 1 if value >= 10 else 2
            return f"{value:,.{places}f}{'*' if name in row.pareto else ''}"

        return Column(TITLES.get(name, name), cell, spare=1 if name == "seconds" else 12)

    return [column(name) for name in COSTS if verbose or name in USUAL]


def _record(verbose: bool) -> list[Column]:
    columns = [
        Column("towers", lambda row: _more(row, "towers"), spare=14),
        Column("when", lambda row: _more(row, "created")[:16].replace("T", " "), spare=15),
        Column("sweep", lambda row: _more(row, "sweep"), spare=16),
    ]
    if verbose:
        columns += [
            Column("p to first", lambda row: "" if row.p_best is None else f"{row.p_best:.2g}"),
            Column("epoch", lambda row: _more(row, "epoch")),
            Column("history", lambda row: _more(row, "history")),
        ]
    return columns


def _more(row: Row, key: str) -> str:
    value = row.more.get(key)
    return "" if value is None else str(value)


def _geometry(rows: Sequence[Row]) -> list[Column]:
    names = dict.fromkeys(name for row in rows for name in row.geometry)

    def column(name: str) -> Column:
        return Column(
            name.replace("_", " "), lambda row: f"{row.geometry[name]:.4g}" if name in row.geometry else ""
        )

    return [column(name) for name in names]
