"""Metrics and histories of older checkpoints, under our names.

    {"MRR": 0.41, "eval_recall@10": 1.0, "evaluation_type": "full_eval"}  ->  {"mrr": 0.41, "recall_10": 1.0}

What they were measured on is not known, so they have no protocol and are ranked with nothing.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from twotower.evaluation.metrics import canonical

FULL = "full_eval"
"""The `evaluation_type` of results that count."""
COUNTS = {"num_queries": "queries", "n_queries": "queries", "queries": "queries"}
_PREFIX = re.compile(r"(eval|evaluation|val|dev|test)[_/]")
_LISTED = 20
"""Numbers of an array that are written out; longer ones are left out of the record."""


@dataclass(frozen=True)
class Results:
    """Metrics by our names, and a line on each thing that was left out."""

    metrics: Mapping[str, float]
    dropped: Sequence[str] = field(default_factory=list)


def results(what: str, stored: Any) -> Results:
    """The metrics of `stored`, which `what` names in the lines; none where they are no full evaluation."""
    if not isinstance(stored, Mapping) or not stored:
        return Results({})
    kind = stored.get("evaluation_type")
    if kind not in (None, FULL):
        return Results({}, [f"{what}: dropped, evaluation_type is {kind!r}, want {FULL!r}"])
    metrics: dict[str, float] = {}
    strange = []
    for name, value in stored.items():
        ours = named(str(name))
        if ours and _is_number(value):
            metrics.setdefault(ours, value)
        elif name not in ("evaluation_type", "epoch"):
            strange.append(str(name))
    lines = [f"{what}: dropped, no metric of ours: {', '.join(strange)}"] if strange else []
    if metrics and kind is None:
        lines.append(f"{what}: kept, though no evaluation_type says that it is a {FULL}")
    return Results(metrics, lines)


def named(name: str) -> str:
    """Our name of an older metric, empty for what is none of ours.

    >>> named("MRR@10"), named("eval_recall@10"), named("loss")
    ('mrr_10', 'recall_10', '')
    """
    bare = _PREFIX.sub("", name.lower(), count=1).replace("@", "_")
    if bare in COUNTS:
        return COUNTS[bare]
    try:
        return canonical(bare)
    except ValueError:
        return ""


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def history(stored: Any, beside: Any) -> tuple[dict[str, Any], list[str]]:
    """Training and evaluation rows of a file's `training_stats`, or of the history beside it, which wins.

    The lines say how many evaluations were dropped.
    """
    rows: dict[str, Any] = {"training_stats": [], "evaluation_stats": []}
    for source in (stored, beside):
        found = source if isinstance(source, Mapping) else {"training_stats": source}
        for key in rows:
            if isinstance(found.get(key), list) and found[key]:
                rows[key] = [row for row in found[key] if isinstance(row, Mapping)]
    kept = []
    for row in rows["evaluation_stats"]:
        if row.get("evaluation_type") in (None, FULL):
            kept.append(_row(row))
    lost = len(rows["evaluation_stats"]) - len(kept)
    lines = [f"history: {lost} evaluations dropped, evaluation_type is not {FULL!r}"] if lost else []
    return {"training_stats": [tidy(row) for row in rows["training_stats"]], "evaluation_stats": kept}, lines


def _row(row: Mapping[Any, Any]) -> dict[str, Any]:
    """An evaluation's row: metrics by our names, all else under its own."""
    return {named(str(name)) or str(name): tidy(value) for name, value in row.items()}


def tidy(value: Any) -> Any:
    """`value` as JSON has it: what is no finite number becomes null, long arrays are left out.

    >>> tidy({1: (1.5, float("nan"))})
    {'1': [1.5, None]}
    """
    match value:
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(key): tidy(one) for key, one in value.items()}
        case list() | tuple():
            return [tidy(one) for one in value]
        case _ if hasattr(value, "tolist"):  # an array or a tensor
            return tidy(value.tolist()) if math.prod(value.shape) <= _LISTED else None
        case _:
            return str(value)
