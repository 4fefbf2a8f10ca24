"""The history of a run: one row an epoch, and which of them is best.

    {"epoch": 3, "train_loss": 2.1, "train_loss_chance": 7.6, "train_accuracy": 0.41,
     "train_accuracy_chance": 5e-4, "learning_rate": 8e-4, "seconds": 1.9,
     "dev_loss": 2.4, "dev_loss_chance": 7.2, "mrr_10": 0.27, ...}

Row 0 is the untrained model, which has no training figures.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def best(history: Sequence[Row], metric: str) -> int | None:
    """Place of the row with the highest `metric`, the earliest of equals; None where no row has it.

    >>> best([{"mrr_10": 0.0}, {"train_loss": 1.0}, {"mrr_10": 0.0}], "mrr_10")
    0
    """
    scored = [place for place, row in enumerate(history) if metric in row]
    return max(scored, key=lambda place: history[place][metric], default=None)


def exhausted(history: Sequence[Row], metric: str, patience: int) -> bool:
    """Whether the last `patience` evaluations brought nothing better; 0 never stops.

    >>> rows = [{"m": 0.1}, {"m": 0.3}, {"m": 0.2}, {"m": 0.3}]
    >>> exhausted(rows, "m", 2), exhausted(rows, "m", 3), exhausted(rows, "m", 0)
    (True, False, False)
    """
    scored = [row for row in history if metric in row]
    place = best(scored, metric)
    return place is not None and 0 < patience <= len(scored) - 1 - place


def drops(history: Sequence[Row], metric: str, patience: int) -> int:
    """How often `patience` evaluations in a row brought nothing better; each time the count starts anew.

    >>> rows = [{"m": value} for value in (0.1, 0.3, 0.2, 0.3, 0.1, 0.4, 0.4)]
    >>> drops(rows, "m", 1), drops(rows, "m", 2), drops(rows, "m", 3), drops(rows, "m", 4)
    (4, 1, 1, 0)
    """
    made = without = 0
    highest = -math.inf
    for value in (row[metric] for row in history if metric in row):
        without = 0 if value > highest else without + 1
        highest = max(highest, value)
        if without == patience:
            made, without = made + 1, 0
    return made


class Listener:
    """Hears of a run while it goes on; this one does nothing with it."""

    def begins(self, run: str) -> None:
        """The run has this name and is about to train."""

    def hears(self, row: Row) -> None:
        """A history row, in order; those of before first where the run is continued."""


def duration(seconds: float) -> str:
    """In words, to two units.

    >>> duration(7.4), duration(200), duration(7384)
    ('7 s', '3 min 20 s', '2 h 3 min')
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
