"""A run under way: what it has done so far, and all that it works with."""

from dataclasses import dataclass, field
from typing import Any

from twotower.config import Train
from twotower.evaluation.evaluate import Result
from twotower.model.sidecar import Run
from twotower.training.group import Group
from twotower.training.history import duration
from twotower.training.setup import Setup
from twotower.training.step import Stepper, Sums
from twotower.training.stop import Stop

MEASURED = 20
"""Steps by which the time of the others is estimated; the first, which warms up, is not counted."""


@dataclass
class Progress:
    """What a run has done so far; it grows batch by batch."""

    history: list[dict[str, Any]] = field(default_factory=list)
    epoch: int = 0
    """The epoch under way; those before it are in the history."""
    sums: Sums = field(default_factory=Sums)
    """Of the batches of the epoch under way."""
    spent: float = 0.0
    """Seconds of its steps."""
    seconds: float = 0.0
    """Spent in training steps, evaluation left out."""
    pairs: int = 0
    """Trained on in whole epochs."""
    saving: float = 0.0
    """Seconds spent writing states to resume from."""
    stopped: str = ""
    """Why the run ended before its last epoch."""
    changes: list[str] = field(default_factory=list)
    """What was another when the run was continued, and may have changed its course."""

    def count(self, seconds: float) -> None:
        """Add the time of a step."""
        self.spent += seconds
        self.seconds += seconds

    def turn(self) -> None:
        """On to the next epoch."""
        self.epoch, self.sums, self.spent = self.epoch + 1, Sums(), 0.0


@dataclass
class Best:
    """The best weights so far, and what they were found to be worth."""

    weights: dict[str, Any] = field(default_factory=dict)
    result: Result | None = None


@dataclass(eq=False)
class Session:
    """All that a run works with; `run` is where its files go."""

    cfg: Train
    work: Setup
    run: Run
    stepper: Stepper
    group: Group
    stop: Stop
    progress: Progress = field(default_factory=Progress)
    best: Best = field(default_factory=Best)
    wandb_id: str | None = None

    @property
    def batch_size(self) -> int:
        """Pairs a batch, of all processes together."""
        return self.cfg.batch_size * self.group.size

    @property
    def batches(self) -> int:
        """Batches an epoch."""
        return self.work.train.batches(self.batch_size)


class Pace:
    """Says once, some steps after the start, how long a run is going to take."""

    def __init__(self, cfg: Train, progress: Progress, epoch_batches: int) -> None:
        self.evaluation = 0.0
        """Seconds that the latest evaluation took; 0 before the first."""
        self._cfg, self._progress, self._batches = cfg, progress, epoch_batches
        self._steps = 0
        self._before = 0, 0.0

    def _now(self) -> tuple[int, float]:
        """Batches done, and seconds that they took."""
        done = (self._progress.epoch - 1) * self._batches + self._progress.sums.batches
        return done, self._progress.seconds

    def step(self) -> str:
        """A step was taken: the estimate if it is time for it, else nothing."""
        self._steps += 1
        if self._steps == 1:
            self._before = self._now()
        return self._line() if self._steps == MEASURED + 1 else ""

    def _line(self) -> str:
        (before, began), (done, now) = self._before, self._now()
        each = (now - began) / (done - before)
        left = self._cfg.epochs * self._batches - done
        evaluations = self._cfg.epochs - self._progress.epoch + 1 if self._cfg.eval_every_epoch else 1
        parts = [f"{left:,} batches of {1000 * each:.0f} ms"]
        if self.evaluation:
            parts.append(f"{evaluations} evaluations of {self.evaluation:.1f} s")
        seconds = left * each + evaluations * self.evaluation
        return f"about {duration(seconds)} to go at most: {', '.join(parts)}"
