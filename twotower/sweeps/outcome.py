"""How a trial ended, read off the record of its run: so it is known even where no sweep was there to see.

run.json: ended "done"    metrics.jsonl: {"epoch": 3, "mrr_10": 0.27, ...}
-> Result(7, "done", value=0.27, run="weekend-7-3fa2b1", evaluations=4, epochs=3, training=5.1)
"""

import json
import math
import signal
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from twotower.sweeps.folder import Result
from twotower.training import runs

TAIL = 2_000
"""Bytes at the end of a log in which the reason of a failure is looked for."""


@dataclass(frozen=True)
class Goal:
    """What trials are ranked by."""

    metric: str
    maximised: bool = True

    def of(self, row: Mapping[str, Any]) -> float | None:
        """The metric in a history row; None where it was not evaluated, or is no finite number."""
        value = row.get(self.metric)
        return float(value) if value is not None and math.isfinite(value) else None

    def best(self, values: Iterable[float]) -> float | None:
        """The best value; None if there is none."""
        return (max if self.maximised else min)(values, default=None)


def best(results: Iterable[Result], *, maximised: bool) -> Result | None:
    """The best of the trials that came to their end, the earliest of equals; None if there is none.

    >>> results = [Result(0, "done", 0.2), Result(1, "pruned", 0.9), Result(2, "done", 0.3)]
    >>> best(results, maximised=True).number
    2
    """
    scored = [result for result in results if result.status == "done" and result.value is not None]
    sign = -1 if maximised else 1
    return min(scored, key=lambda result: (sign * (result.value or 0.0), result.number), default=None)


def recorded(number: int, folder: Path, run: str, goal: Goal) -> Result:
    """What the record of the `run` of trial `number` says; `killed` where it says of no end."""
    path = folder / "runs" / run / "run.json"
    if not run or not path.is_file():
        return Result(number, "killed", run=run)
    ended = runs.read(path).ended
    status = "done" if ended == "done" else "pruned" if ended.startswith(runs.PRUNED) else "failed"
    rows = _rows(path.with_name("metrics.jsonl"))
    values = [value for row in rows if (value := goal.of(row)) is not None]
    if ended == "done" and not values:
        status, ended = "failed", f"{goal.metric} was never logged"
    return Result(
        number,
        status if ended else "killed",
        value=goal.best(values),
        run=run,
        evaluations=len(values),
        epochs=max((row["epoch"] for row in rows), default=0),
        training=round(sum(row.get("seconds", 0.0) for row in rows), 3),
        why=ended if status == "failed" else "",
    )


def judged(result: Result, code: int, why: str, log: Path) -> Result:
    """A trial whose run did not come to an end: what its process left behind says why.

    One that a signal ended may go on, whatever else ended it comes out the same again.
    """
    if code < 0:
        name = signal.Signals(-code).name
        memory = "; out of memory?" if name == "SIGKILL" else ""
        return replace(result, status="killed", why=f"killed by {name}{memory}")
    if code in (130, 143):
        return replace(result, status="killed", why="interrupted")
    return replace(result, status="failed", why=why or last_line(log) or f"exit code {code}")


def last_line(log: Path) -> str:
    """The last line of a log that says something."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - TAIL))
        lines = file.read().decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def _rows(path: Path) -> list[dict[str, Any]]:
    """Whole rows of a history; the last may be torn where the process was killed."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return [json.loads(line) for line in lines]
