"""`twotower leaderboard`: checkpoints and floors of each protocol, best first; read from sidecars."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from twotower import show
from twotower.config import Leaderboard, TableFormat
from twotower.evaluation.leaderboard import Board, Group, Row, board
from twotower.evaluation.metrics import shown

COLUMNS = ("mrr_10", "recall_1", "recall_5", "recall_10", "recall_100", "ndcg_10")


def run(cfg: Leaderboard) -> int:
    """Print the tables, or with `best_only` the path of the best checkpoint."""
    found = board(Path(cfg.checkpoint_dir), cfg.metric, cfg.top)
    if cfg.best_only:
        best = found.best()
        if cfg.format is TableFormat.json:
            show.document({"checkpoint": best})
        else:
            show.result(best)
        return 0
    for line in _head(found):
        show.talk(line)
    if cfg.format is TableFormat.json:
        show.document(_json(found))
        return 0
    grids = [_grid(group, found.metric, cfg.verbose) for group in found.groups]
    for grid in [_joined(found, grids)] if cfg.format is TableFormat.csv else grids:
        show.grid(grid, cfg.format.value)
    for alarm in found.alarms:
        show.talk(f"note: {alarm}")
    return 0


def _head(found: Board) -> list[str]:
    ranked = found.found - len(found.left_out)
    head = f"{found.found} checkpoints found, {ranked} with {shown(found.metric)}"
    if len(found.groups) > 1:
        head += f"; {len(found.groups)} protocols, whose numbers do not compare, stand apart"
    return [head, *(f"left out: {name}: {why}" for name, why in found.left_out)]


def _json(found: Board) -> dict[str, Any]:
    groups = [
        {
            "protocol": {**group.protocol.to_dict(), "key": group.protocol.key},
            "judged": group.judged,
            "rows": [vars(row) for row in group.rows],
        }
        for group in found.groups
    ]
    left_out = [{"file": name, "why": why} for name, why in found.left_out]
    return {"groups": groups, "alarms": found.alarms, "found": found.found, "left_out": left_out}


def _joined(found: Board, grids: Sequence[show.Grid]) -> show.Grid:
    """One table for programs, its first column the protocol."""
    pairs = zip(found.groups, grids, strict=True)
    rows = [[group.protocol.key, *row] for group, grid in pairs for row in grid.rows]
    return show.Grid("", ["protocol", *(grids[0].columns if grids else ())], rows)


def _grid(group: Group, metric: str, verbose: bool) -> show.Grid:
    metrics = [metric, *(name for name in COLUMNS if name != metric)]
    columns = ["name", "towers", *map(shown, metrics), "MB", "parameters", "train s", "when", "sweep"]
    if verbose:
        columns += ["epoch", "history"]
    heading = f"{group.protocol}, {group.judged} queries, protocol {group.protocol.key}"
    rows = [_cells(row, metrics, verbose) for row in group.rows]
    spare = [shown(name) for name in ("recall_5", "recall_1", "recall_100") if name != metric]
    floors = [row.kind == "floor" for row in group.rows]
    return show.Grid(heading, columns, rows, floors, spare=["sweep", "parameters", "when", "MB", *spare])


def _cells(row: Row, metrics: list[str], verbose: bool) -> list[str]:
    cost, more = row.cost, row.more
    cells = [
        row.name,
        _text(more, "towers"),
        *(f"{row.metrics[name]:.4f}" if name in row.metrics else "" for name in metrics),
        f"{cost['checkpoint_mb']:.1f}" if "checkpoint_mb" in cost else "",
        f"{cost['parameters']:,}" if "parameters" in cost else "",
        f"{cost['seconds']:.1f}" if "seconds" in cost else "",
        _text(more, "created")[:16].replace("T", " "),
        _text(more, "sweep"),
    ]
    return [*cells, _text(more, "epoch"), _text(more, "history")] if verbose else cells


def _text(more: Mapping[str, Any], key: str) -> str:
    value = more.get(key)
    return "" if value is None else str(value)
