"""The leaderboard: checkpoints and floors of each protocol, best first; read from sidecars, without torch."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower.evaluation import candidates
from twotower.evaluation.metrics import canonical
from twotower.evaluation.names import Entry, label, listing
from twotower.evaluation.protocol import Protocol

FEW_QUERIES = 200
"""Below so many judged queries an alarm says that differences of some hundredths are luck."""


@dataclass(frozen=True, eq=False)
class Row:
    """A checkpoint or a floor under one protocol."""

    name: str
    kind: str
    """`checkpoint` or `floor`."""
    checkpoint: str | None
    metrics: Mapping[str, float]
    cost: Mapping[str, float]
    more: Mapping[str, Any]
    """When the run began, its sweep, the kept epoch, its history file."""


@dataclass(frozen=True, eq=False)
class Group:
    """The rows of one protocol, best first."""

    protocol: Protocol
    judged: int
    rows: list[Row]


@dataclass(frozen=True, eq=False)
class Board:
    """What `twotower leaderboard` shows."""

    metric: str
    found: int
    left_out: list[tuple[str, str]]
    """(file, why it is not in a table)."""
    groups: list[Group]
    alarms: list[str]

    def best(self) -> str:
        """Path of the best checkpoint.

        Raises:
            FileNotFoundError: there is none.
            ValueError: several protocols, whose numbers do not compare.
        """
        if not self.groups:
            raise FileNotFoundError(f"no checkpoint has {self.metric} ({self.found} found)")
        if len(self.groups) > 1:
            names = "; ".join(label(group.protocol) for group in self.groups)
            raise ValueError(
                f"best_only: {len(self.groups)} protocols, whose numbers do not compare: {names}"
            )
        return next(str(row.checkpoint) for row in self.groups[0].rows if row.kind == "checkpoint")


def board(folder: Path, metric: str, top: int = 0) -> Board:
    """The leaderboard of `folder` by `metric`, `top` checkpoints a protocol (0: all); floors always stand.

    Raises:
        ValueError: no such metric.
        FileNotFoundError: no such folder.
    """
    metric = canonical(metric)
    found = listing(folder)
    left_out = list(found.problems)
    by_protocol: dict[str, list[Entry]] = {}
    for entry in found.entries:
        protocol = entry.protocol
        if protocol is None or metric not in entry.metrics:
            left_out.append((entry.path.name, _why(entry, metric)))
            continue
        by_protocol.setdefault(protocol.key, []).append(entry)
    groups = [_group(entries, metric, top) for entries in by_protocol.values()]
    groups.sort(key=lambda group: label(group.protocol))
    alarms = found.remarks() + [alarm for group in groups for alarm in _alarms(group, metric)]
    return Board(metric, len(found.entries) + len(found.problems), left_out, groups, alarms)


def _why(entry: Entry, metric: str) -> str:
    """Why a checkpoint stands in no table."""
    if not entry.metrics:
        return "was never evaluated"
    if metric not in entry.metrics:
        return f"has no {metric}"
    return (
        f"its {metric} of {entry.metrics[metric]:.4f} has no protocol, so it compares with nothing; "
        "`twotower evaluate` measures it"
    )


def _group(entries: list[Entry], metric: str, top: int) -> Group:
    ranked = sorted(entries, key=lambda entry: entry.place(metric))[: top or None]
    rows = _ranked([*map(_checkpoint_row, ranked), *_floor_rows(entries, metric)], metric)
    protocol = entries[0].protocol
    assert protocol is not None  # `board` grouped by it
    return Group(protocol, int(entries[0].metrics.get("judged", 0)), rows)


def _ranked(rows: list[Row], metric: str) -> list[Row]:
    """Best first, equals as they stand."""
    return sorted(rows, key=lambda row: row.metrics.get(metric, -math.inf), reverse=True)


def _checkpoint_row(entry: Entry) -> Row:
    file = entry.part("file")
    config = entry.part("training_stats").get("config") or {}
    more = {
        "created": entry.created,
        "sweep": config.get("sweep"),
        "epoch": entry.content.get("epoch"),
        "history": entry.content.get("history_file"),
        "towers": _towers(config),
    }
    cost = {**entry.part("cost"), "checkpoint_mb": round(file.get("bytes", 0) / 1e6, 2)}
    return Row(entry.run, "checkpoint", str(entry.path), entry.metrics, cost, more)


def _towers(config: Mapping[str, Any]) -> str:
    kinds = [str((config.get(key) or {}).get("kind", "?")) for key in ("query_tower", "doc_tower")]
    return f"{kinds[0]}, tied" if config.get("tied") else "/".join(kinds)


def _floor_rows(entries: Iterable[Entry], metric: str) -> list[Row]:
    """Chance and BM25 once; of the untrained towers the best, for that is the luckiest start."""
    floors: dict[str, Mapping[str, float]] = {}
    untrained = 0
    for entry in entries:
        for name, metrics in entry.floors.items():
            untrained += name == "untrained"
            if name not in floors or metrics.get(metric, -math.inf) > floors[name].get(metric, -math.inf):
                floors[name] = metrics
    labels = {"untrained": f"untrained, best of {untrained}" if untrained > 1 else "untrained"}
    return [Row(labels.get(name, name), "floor", None, metrics, {}, {}) for name, metrics in floors.items()]


def _alarms(group: Group, metric: str) -> list[str]:
    alarms = []
    if group.judged < FEW_QUERIES:
        alarms.append(
            f"{label(group.protocol)}: {group.judged} judged queries; below {FEW_QUERIES} small gaps are luck"
        )
    first = next(row for row in group.rows if row.kind == "checkpoint")
    if said := candidates.remark(first.metrics, group.protocol.most_candidates):
        alarms.append(f"{label(group.protocol)}: {said}")
    return alarms + [
        f"{label(group.protocol)}: {row.name} ({row.metrics[metric]:.4f}) stands above the best checkpoint"
        for row in group.rows
        if row.kind == "floor" and row.metrics.get(metric, -math.inf) > first.metrics[metric]
    ]
