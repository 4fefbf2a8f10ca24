"""The leaderboard as one JSON document, for programs and for the report page.

{"metric": "mrr_10", "found": 3, "left_out": [], "alarms": [],
 "groups": [{"protocol": {...}, "judged": 540, "alarms": [], "verdict": "...", "luck": {...},
             "choice": null, "rows": [{"name", "kind", "letters", "metrics", "intervals", ...}]}]}
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twotower.evaluation import cost, seeds
from twotower.evaluation.leaderboard import Board, Group
from twotower.evaluation.results import FOLDER
from twotower.evaluation.row import Row, config_of


def document(board: Board, *, whole: bool = False) -> dict[str, Any]:
    """Everything that the board says, in plain types; what is no finite number is null.

    `whole` adds each row's history (`curve`), its knobs (`config`) and the diagnosis that was kept.
    """
    content = {
        "metric": board.metric,
        "found": board.found,
        "left_out": [{"file": file, "why": why} for file, why in board.left_out],
        "alarms": board.alarms,
        "groups": [_group(group, whole) for group in board.groups],
    }
    plain: dict[str, Any] = _plain(content)
    return plain


def _group(group: Group, whole: bool) -> dict[str, Any]:
    protocol = group.protocol
    return {
        "protocol": {**protocol.to_dict(), "key": protocol.key, "title": str(protocol)},
        "judged": group.judged,
        "alarms": group.alarms,
        "verdict": group.verdict,
        "luck": group.luck.to_dict() if group.luck else None,
        "choice": group.choice,
        "rows": [_row(row) | (_history(row) if whole else {}) for row in group.rows],
    }


def _row(row: Row) -> dict[str, Any]:
    more = {name: row.more.get(name) for name in ("created", "epoch", "sweep", "towers", "history")}
    return {
        "name": row.name,
        "kind": row.kind,
        "checkpoint": row.checkpoint,
        "letters": row.letters,
        "metrics": row.metrics,
        "intervals": row.intervals,
        "cost": row.cost,
        "pareto": row.pareto,
        "geometry": row.geometry,
        "leak": row.leak or None,
        "slices": row.slices or None,
        "p_best": row.p_best,
        "versus": row.versus,
        "spread": row.spread,
        "seeds": [_seed(one) for one in row.seeds] or None,
        "after": row.after,
        "reported": row.reported,
        **more,
    }


def _seed(row: Row) -> dict[str, Any]:
    return {
        "seed": seeds.seed_of(row),
        "name": row.name,
        "checkpoint": row.checkpoint,
        "metrics": row.metrics,
    }


def _history(row: Row) -> dict[str, Any]:
    """Of several seeds, the best one's."""
    one = row.seeds[0] if row.seeds else row
    config = flat(config_of(one.content))
    return {"curve": cost.curve(one.content), "config": config, "diagnosis": _diagnosis(one)}


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Knobs by their dotted names.

    >>> flat({"dim": 64, "loss": {"kind": "triplet", "margin": 0.2}})
    {'dim': 64, 'loss.kind': 'triplet', 'loss.margin': 0.2}
    """
    found: dict[str, Any] = {}
    for name, value in config.items():
        found |= flat(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found


def _diagnosis(row: Row) -> Any:
    """What `twotower diagnose` kept of it; None where there is none that can be read."""
    if row.checkpoint is None:
        return None
    path = Path(row.checkpoint)
    file = path.parent / FOLDER / f"{path.stem}-{row.protocol.key}.diagnosis.json"
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _plain(value: Any) -> Any:
    """With lists and dicts for sequences and mappings."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
