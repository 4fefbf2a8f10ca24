"""What the charts of the report page are drawn from: the leaderboard's document, cut down to what they show.

A sweep's histories hold every metric at every cut-off of every epoch; a page of 500 runs would weigh tens of
megabytes. Kept are the metrics of the table, the losses and the knobs that differ, to six digits.
"""

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from twotower.evaluation.cost import MORE_IS_BETTER
from twotower.evaluation.metrics import canonical, shown
from twotower.evaluation.seeds import NOT_LEARNT
from twotower.evaluation.standing import LEVEL

Row = Mapping[str, Any]
"""A row of a group of the leaderboard's document."""

BESIDE = ("mrr_10", "ndcg_10", "recall_1", "recall_10", "recall_100")
"""Metrics that are shown beside the one that orders the rows."""
LOSSES = {"dev_loss": "loss on dev", "train_loss": "training loss"}
COSTS = {
    "seconds": "training, s",
    "pairs_per_second": "training, pairs/s",
    "parameters": "parameters",
    "megabytes": "weights, MB",
    "checkpoint_mb": "checkpoint, MB",
    "docs_per_second": "encoding, docs/s",
    "query_p50_ms": "query p50, ms",
    "query_p95_ms": "query p95, ms",
    "index_mb": "index, MB",
    "peak_mb": "peak memory, MB",
    "gpu_peak_mb": "peak on GPU, MB",
}
"""Every cost with its unit, in the order of the columns."""
NOT_SWEPT = {*NOT_LEARNT, "data.path", "eval_every_epoch", "eval_max_queries"}
"""Entries of a run's configuration that are no axis of a sweep."""
DIGITS = 6


def charts(document: Mapping[str, Any]) -> dict[str, Any]:
    """Metric, and for each group what its charts need; plain types, no number that is not finite."""
    metric = document["metric"]
    return {"metric": metric, "groups": [_group(group, metric) for group in document["groups"]]}


def metrics_of(rows: Sequence[Row], metric: str) -> list[str]:
    """`metric`, then those of `BESIDE` that any row has."""
    return [
        metric,
        *(name for name in BESIDE if name != metric and any(name in row["metrics"] for row in rows)),
    ]


def costs_of(rows: Sequence[Row]) -> list[str]:
    """The costs that any row has, in the order of `COSTS`."""
    return [name for name in COSTS if any(name in (row.get("cost") or {}) for row in rows)]


def label(metric: str) -> str:
    """A metric's name for people, or the name itself where it is none of ours."""
    try:
        return shown(canonical(metric))
    except ValueError:
        return metric


def alike(row: Row, best: Row) -> bool:
    """Whether nothing tells a row from the best: by the test against it, else by a letter that both have.

    Tests are against the first row of all; where that is a floor above `best`, letters alone say.
    """
    if (p := finite(row.get("p_best"))) is not None and best.get("p_best") is None:
        return p >= LEVEL
    return row is best or bool(set(row.get("letters") or "") & set(best.get("letters") or ""))


def title_of(protocol: Mapping[str, Any]) -> str:
    """What a group is called."""
    return str(
        protocol.get("title") or f"{protocol.get('collection', '')} {protocol.get('split', '')}".strip()
    )


def finite(value: Any) -> float | None:
    """`value` to six digits; None for what is no finite number.

    >>> finite(0.123456789), finite(float("nan")), finite("0.5"), finite(True)
    (0.123457, None, None, None)
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(f"{value:.{DIGITS}g}")


def _group(group: Mapping[str, Any], metric: str) -> dict[str, Any]:
    rows: Sequence[Row] = group["rows"]
    metrics = metrics_of(rows, metric)
    luck = group.get("luck") or {}
    best = next((row for row in rows if row["kind"] != "floor"), {})
    return {
        "title": title_of(group["protocol"]),
        "metrics": {name: label(name) for name in metrics},
        "losses": LOSSES,
        "costs": {
            name: {"label": COSTS[name], "more": name in MORE_IS_BETTER}
            for name in costs_of(rows)
            if len({finite((row.get("cost") or {}).get(name)) for row in rows} - {None}) > 1
        },
        "luck": {"rows": luck.get("rows"), "best": finite(luck.get("best"))} if luck else None,
        "knobs": knobs(rows),
        "rows": [_row(row, metric, metrics) | {"alike": alike(row, best)} for row in rows],
    }


def _row(row: Row, metric: str, metrics: Sequence[str]) -> dict[str, Any]:
    low, high = (row.get("intervals") or {}).get(metric) or (None, None)
    cost = row.get("cost") or {}
    return {
        "name": row["name"],
        "kind": row["kind"],
        "letters": row.get("letters") or "",
        "epoch": finite(row.get("epoch")),
        "values": {name: finite(row["metrics"].get(name)) for name in metrics},
        "low": finite(low),
        "high": finite(high),
        "cost": {name: finite(cost[name]) for name in COSTS if finite(cost.get(name)) is not None},
        "pareto": list(row.get("pareto") or ()),
        "curve": _columns(row.get("curve") or (), ["epoch", "seconds", *metrics, *LOSSES]),
    }


def _columns(curve: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[float | None]]:
    """A history by columns, without those that say nothing."""
    columns = {name: [finite(point.get(name)) for point in curve] for name in names}
    return {name: values for name, values in columns.items() if any(value is not None for value in values)}


def knobs(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The knobs that differ between the rows, each with its value in every row; None where a row has none.

    A knob that the two towers always share is one, under its last word.
    """
    configs = [row.get("config") or {} for row in rows]
    known = list(dict.fromkeys(name for config in configs for name in config if name not in NOT_SWEPT))
    columns = {name: [_plain(config.get(name)) for config in configs] for name in known}
    swept = {name: values for name, values in columns.items() if _differs(values, configs)}
    found: dict[str, list[Any]] = {}
    for name, values in swept.items():
        tower, _, last = name.partition(".")
        other = {"query_tower": "doc_tower", "doc_tower": "query_tower"}.get(tower, "")
        same = bool(last) and swept.get(f"{other}.{last}") == values
        found.setdefault(_short(last, other) if same else name, values)
    return [{"name": name, "values": values} for name, values in found.items()]


def _short(last: str, other: str) -> str:
    """What both towers' knob is called, `towers` for their kind."""
    return "towers" if last == "kind" and other else last


def _differs(values: Sequence[Any], configs: Sequence[Mapping[str, Any]]) -> bool:
    """Among the rows that have a configuration; that a knob is missing in one is a difference."""
    return len({json.dumps(value) for value, config in zip(values, configs, strict=True) if config}) > 1


def _plain(value: Any) -> str | int | float | bool | None:
    """As JSON has it; a list as its text."""
    if value is None or isinstance(value, str | bool):
        return value
    return finite(value) if isinstance(value, int | float) else json.dumps(value, sort_keys=True)
