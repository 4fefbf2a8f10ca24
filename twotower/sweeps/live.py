"""A sweep while it goes on: a table on a terminal, else a line for each trial that ends.

weekend: 12 of 40 done, 3 pruned, 1 failed; best MRR@10 0.2713 (trial 7); about 12 min 30 s to go
trial  epoch  MRR@10  best    knobs
14     3/10   0.2312  0.2312  dropout=0.1 learning_rate=0.001
"""

import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import TracebackType

from twotower import show
from twotower.evaluation.metrics import shown
from twotower.show import Grid
from twotower.sweeps import outcome, space
from twotower.sweeps.folder import Result
from twotower.sweeps.outcome import Goal
from twotower.sweeps.space import Parameter, Point
from twotower.training.history import duration

EVERY = 0.5
"""Seconds from one drawing to the next."""


@dataclass(frozen=True)
class Shown:
    """A trial under way, as far as it is shown."""

    number: int
    epoch: int | None
    epochs: int
    latest: float | None
    best: float | None
    point: Point


@dataclass(frozen=True)
class State:
    """Where a sweep is."""

    name: str
    total: int
    """Trials in the end; 0 where that is not known."""
    going: Iterable[Shown]
    results: Iterable[Result]
    left: float | None
    """Seconds to go."""


class Live:
    """Shows a sweep from its first trial to its last."""

    def __init__(self, goal: Goal, swept: Mapping[str, Parameter]) -> None:
        self._goal, self._swept = goal, swept
        self._board = show.Board()
        self._drawn = 0.0

    def __enter__(self) -> "Live":
        self._board.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._board.__exit__(kind, error, trace)

    @property
    def pause(self) -> float | None:
        """How long a sweep may wait for its trials before it shows itself again; None for ever."""
        return EVERY if self._board.drawn else None

    def draw(self, state: State) -> None:
        """Draw the table, if there is a terminal and it is time."""
        if not self._board.drawn or time.monotonic() < self._drawn + EVERY:
            return
        self._drawn = time.monotonic()
        columns = ["trial", "epoch", shown_metric(self._goal.metric), "best", "knobs"]
        rows = [
            [
                str(one.number),
                "starting" if one.epoch is None else f"{one.epoch}/{one.epochs}",
                _number(one.latest),
                _number(one.best),
                knobs_of(one.point, self._swept)[:60],
            ]
            for one in state.going
        ]
        self._board.draw(Grid(heading(state, self._goal), columns, rows))

    def tell(self, result: Result, point: Point, state: State) -> None:
        """A trial has ended: one line."""
        total = f" of {state.total}" if state.total else ""
        ended = sum(one.ended for one in state.results)
        what = (
            f"{result.status}: {result.why}"
            if result.why
            else f"{result.status}, {shown_metric(self._goal.metric)} {_number(result.value)}"
        )
        show.talk(
            f"[{ended}{total}] trial {result.number} {what} in {result.seconds:.1f} s "
            f"({knobs_of(point, self._swept)})"
        )


def heading(state: State, goal: Goal) -> str:
    """Counts, the best so far, and the time left, on one line."""
    results = list(state.results)
    parts = [counts(results, state.total)]
    best = outcome.best(results, maximised=goal.maximised)
    if best:
        parts.append(f"best {shown_metric(goal.metric)} {_number(best.value)} (trial {best.number})")
    if state.left is not None:
        parts.append(f"about {duration(state.left)} to go")
    return f"{state.name}: {'; '.join(parts)}"


def counts(results: Iterable[Result], total: int = 0) -> str:
    """How many trials ended in which way.

    >>> counts([Result(0, "done"), Result(1, "pruned"), Result(2, "done")], 5)
    '2 of 5 done, 1 pruned'
    """
    found = Counter(result.status for result in results)
    done = f"{found['done']} of {total} done" if total else f"{found['done']} done"
    others = [f"{found[status]} {status}" for status in ("pruned", "failed", "killed") if found[status]]
    return ", ".join([done, *others])


def knobs_of(point: Point, swept: Mapping[str, Parameter]) -> str:
    """The knobs in which trials differ, as words."""
    return " ".join(space.words({name: value for name, value in point.items() if name in swept}))


def shown_metric(name: str) -> str:
    """A metric as people write it; `dev_loss` and its like as they are."""
    return shown(name) if name.rpartition("_")[2].isdigit() else name


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
