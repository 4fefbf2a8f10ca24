"""One row of the leaderboard: a system under one protocol, with what the rows beside it say about it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation import results
from twotower.evaluation.metrics import Floats
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import Measured

Kept = tuple[Path, Measured]
"""An evaluation and the file it lies in."""
SAME = 1e-6
"""Per-query values whose mean is farther from the metric are not of that evaluation."""


@dataclass(frozen=True, eq=False, kw_only=True)
class Row:
    """One system under one protocol; what a group of rows says about it is added by `replace`."""

    name: str
    kind: str
    """`checkpoint`, `floor`, `run` or `vectors`."""
    protocol: Protocol
    metrics: Mapping[str, float]
    checkpoint: str | None = None
    """Path of the file; of several seeds that of the best."""
    identity: str = ""
    """SHA-256 of what was evaluated; empty where that is not known."""
    cost: Mapping[str, float] = field(default_factory=dict)
    geometry: Mapping[str, float] = field(default_factory=dict)
    leak: Mapping[str, Any] = field(default_factory=dict)
    slices: Mapping[str, Any] = field(default_factory=dict)
    more: Mapping[str, Any] = field(default_factory=dict)
    """created, sweep, epoch, history (file), towers."""
    content: Mapping[str, Any] = field(default_factory=dict)
    """The sidecar."""
    epochs: int = 1
    """Evaluations of this run under this protocol, among which its best epoch was chosen."""
    own: bool = False
    """Whether its training was evaluated under this protocol."""
    ids: NDArray[np.str_] | None = None
    """Ids of the judged queries, (Q,), of `values`."""
    values: Floats | None = None
    """Per-query values of the metric that orders the rows, (Q,)."""
    problem: str = ""
    """Why there are none, where a file has them and they are of no use."""
    seeds: tuple["Row", ...] = ()
    """The rows of one configuration that this one is the mean of."""

    # what comparing the rows of a group adds
    letters: str = ""
    """Rows that share a letter cannot be told apart."""
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """95 % intervals of the means."""
    p_best: float | None = None
    """Adjusted p of the gap to the first row."""
    versus: Mapping[str, Any] | None = None
    """baseline, wins, ties, losses, difference, p."""
    spread: Mapping[str, float] | None = None
    """Standard deviation of each metric over the seeds."""
    pareto: Sequence[str] = ()
    """Costs for which no other row is better and cheaper."""
    after: Mapping[str, float | None] | None = None
    """Best so far after so many `seconds` of training."""
    reported: Mapping[str, Any] | None = None
    """Metrics and intervals on the split kept for reporting."""

    @property
    def floor(self) -> bool:
        """Whether it is a floor and no contender."""
        return self.kind == "floor"


def per_query(path: Path, metric: str, mean: float) -> dict[str, Any]:
    """`ids`, `values` and `problem` of a row whose metric is `mean`, from the npz file at `path`."""
    try:
        found = results.per_query(path, [metric])
    except FileNotFoundError:
        return {}
    except (ValueError, OSError) as error:
        return {"problem": " ".join(str(error).split())}
    values = np.asarray(found.values[metric], dtype=np.float64)
    whole = values.shape == found.ids.shape == (len(values),) and len(values) > 0
    if not whole or not abs(float(values.mean()) - mean) < SAME:  # a NaN is no better
        said = f"their mean is {values.mean():.4f}, not {mean:.4f}" if whole else "not one value a query"
        return {"problem": f"{path.name}: per-query values of another evaluation ({said}); evaluate again"}
    return {"ids": found.ids, "values": values}


def numbers(stored: Mapping[str, Any]) -> dict[str, float]:
    """What of `stored` is a finite number."""
    return {
        name: value for name, value in stored.items() if type(value) in (int, float) and math.isfinite(value)
    }


def measured_row(path: Path, one: Measured, metric: str) -> Row:
    """The row of an evaluation that belongs to no checkpoint of the folder."""
    return Row(
        name=one.name,
        kind=one.kind,
        protocol=one.protocol,
        metrics=one.metrics,
        identity=one.identity,
        cost=numbers(one.cost),
        geometry=one.geometry,
        leak=one.leak,
        slices=one.slices,
        more={"created": one.created},
        intervals=one.intervals,
        **(per_query(path, metric, one.metrics[metric]) if metric in one.metrics else {}),
    )


def config_of(content: Mapping[str, Any]) -> Mapping[str, Any]:
    """Every knob of a run, from its sidecar's content; empty where there is nothing of the kind."""
    config = part(part(content, "training_stats"), "config")
    return {name: value for name, value in config.items() if isinstance(name, str)}


def part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object within an object, empty where something else stands there."""
    found = content.get(key)
    return found if isinstance(found, Mapping) else {}


def objects(stored: Any) -> list[Mapping[str, Any]]:
    """The objects of a list, none where something else stands there."""
    return [one for one in stored if isinstance(one, Mapping)] if isinstance(stored, list) else []


def ranked(rows: Iterable[Row], metric: str) -> list[Row]:
    """Best first; of equals the earlier, then by name; a floor without the metric stands last."""

    def place(row: Row) -> tuple[float, str, str]:
        return -row.metrics.get(metric, -math.inf), str(row.more.get("created") or ""), row.name

    return sorted(rows, key=place)
