"""A split to choose by, and another to report: the best of many on the first is too high there by luck.

dev    a 0.31  b 0.29  c 0.28      orders the rows and chooses a
test   a 0.27  b 0.28  c  -        is shown beside them and orders nothing; c is named with what measures it
"""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from twotower.evaluation import seeds, statistics
from twotower.evaluation.names import label
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.row import Row


@dataclass(frozen=True)
class Splits:
    """The two splits, by name."""

    choose: str
    report: str

    @staticmethod
    def of(choose: str, report: str) -> "Splits | None":
        """From the knobs, None where neither is given; ValueError where one alone is, or both are one."""
        if not choose and not report:
            return None
        if not (choose and report):
            given, missing = ("choose", "report") if choose else ("report", "choose")
            raise ValueError(
                f"{missing}_split: missing, want it with {given}_split={choose or report}: one split "
                "chooses, another reports"
            )
        if choose == report:
            raise ValueError(
                f"report_split: got {report!r}, which choose_split is too; what chose a row flatters it, "
                "want another split"
            )
        return Splits(choose, report)


def partners(splits: Splits, protocols: Mapping[str, Protocol]) -> dict[str, str]:
    """Key of each protocol of the split that chooses -> key of that of the split that reports.

    Two protocols belong together that differ in the queries alone. Raises ValueError where no two do, or
    where several would report for one.
    """
    pairs: dict[str, str] = {}
    for key, chooses in protocols.items():
        if chooses.split != splits.choose:
            continue
        fitting = {
            other: one
            for other, one in protocols.items()
            if one.split == splits.report and _system(one) == _system(chooses)
        }
        if len(fitting) > 1:
            names = "; ".join(map(label, fitting.values()))
            raise ValueError(
                f"report_split: {len(fitting)} protocols of {splits.report} fit {label(chooses)}, want one: "
                f"{names}"
            )
        pairs |= dict.fromkeys([key] if fitting else [], next(iter(fitting), ""))
    if not pairs:
        known = ", ".join(sorted({one.split for one in protocols.values()})) or "none"
        raise ValueError(
            f"choose_split={splits.choose} report_split={splits.report}: no rows of one corpus on both "
            f"(splits here: {known}); `twotower evaluate checkpoint=@all split={splits.report}` measures them"
        )
    return pairs


def _system(protocol: Protocol) -> tuple[Any, ...]:
    """What two splits of one task share."""
    return (
        protocol.corpus_hash,
        protocol.kind,
        protocol.min_grade,
        protocol.tie_rule,
        protocol.metrics_version,
    )


def reported(rows: Sequence[Row], others: Sequence[Row], metric: str, *, draws: int) -> list[Row]:
    """The rows, in their order, with `reported` from the rows `others` of the split that reports.

    Of several seeds the mean over all, if all were measured there.
    """
    known = {_who(row): row for row in others}
    return [replace(row, reported=_reported(row, known, metric, draws)) for row in rows]


def _who(row: Row) -> tuple[str, str]:
    """What a row is, whatever it was measured on."""
    return row.kind, row.checkpoint or (row.name.partition(",")[0].lower() if row.floor else row.name)


def _reported(
    row: Row, known: Mapping[tuple[str, str], Row], metric: str, draws: int
) -> dict[str, Any] | None:
    found = [known.get(_who(one)) for one in row.seeds or (row,)]
    there = [one for one in found if one is not None]
    if len(there) < len(found):
        return None
    joined = there[0] if len(there) == 1 else seeds.mean(there, row.name)
    intervals = dict(joined.intervals)
    if joined.values is not None:
        rng = np.random.default_rng(0)
        intervals |= statistics.intervals({metric: joined.values}, rng, draws=draws)
    return {"metrics": dict(joined.metrics), "intervals": intervals}


def unreported(rows: Sequence[Row], splits: Splits) -> list[str]:
    """Checkpoints without figures on the split that reports, each with the command that measures it."""
    own = " candidates=own" if rows and rows[0].protocol.kind == "own" else ""
    missing = [row for row in rows if row.kind == "checkpoint" and row.reported is None]
    lines = [
        f"{row.name}: no figures on {splits.report}: `twotower evaluate "
        f"checkpoint={','.join(shlex.quote(str(one.checkpoint)) for one in row.seeds or (row,))} "
        f"split={splits.report}{own}` measures it"
        for row in missing[:5]
    ]
    return [*lines, f"and {len(missing) - 5} more without figures"] if len(missing) > 5 else lines


def chosen(rows: Sequence[Row], splits: Splits) -> dict[str, Any] | None:
    """The best checkpoint by the split that chooses, with its figures on the one that reports."""
    best = next((row for row in rows if row.kind == "checkpoint"), None)
    if best is None:
        return None
    figures = best.reported or {"metrics": {}, "intervals": {}}
    return {"choose_split": splits.choose, "report_split": splits.report, "chosen": best.name, **figures}
