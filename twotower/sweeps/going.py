"""A trial under way, as the sweep that started it sees it: its process, what it has said, its signals."""

import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import Any

from twotower import config, knobs
from twotower.sweeps.folder import Trial
from twotower.sweeps.live import Shown
from twotower.sweeps.outcome import Goal
from twotower.sweeps.trial import Order, start

SHARED = (
    "data",
    "pattern",
    "vectors",
    "vectors_dim",
    "vectors_algorithm",
    "vectors_epochs",
    "vectors_window",
)
"""Knobs by which trials share what they read and tokenise."""


@dataclass(eq=False)
class Going:
    """A trial under way."""

    trial: Trial
    cfg: config.Train
    process: BaseProcess
    pipe: Connection
    began: float = field(default_factory=time.monotonic)
    rows: list[Mapping[str, Any]] = field(default_factory=list)
    warm: bool = False
    """Whether what it shares with others is in the cache."""
    stopped: bool = False
    why: str = ""

    @classmethod
    def begin(cls, context: ForkServerContext, one: Trial, order: Order) -> "Going":
        """Start a trial."""
        process, pipe = start(context, order)
        return cls(one, order.cfg, process, pipe)

    def hear(self) -> Iterator[Mapping[str, Any]]:
        """What the trial has said since; its new rows."""
        with suppress(EOFError, OSError):  # it has ended, which is seen to elsewhere
            while self.pipe.poll():
                kind, said = self.pipe.recv()
                match kind:
                    case "run":
                        self.warm = True
                    case "failed":
                        self.why = said
                    case "row":
                        self.rows.append(said)
                        yield said

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is still somebody to get it."""
        with suppress(ProcessLookupError):
            os.kill(self.process.pid or 0, number)

    def seconds(self) -> float:
        """Since the trial began here."""
        return time.monotonic() - self.began

    def leave(self) -> None:
        """The process has ended: let go of it."""
        self.process.join()
        self.pipe.close()

    def shown(self, goal: Goal) -> Shown:
        """As much of it as the user sees."""
        values = [value for row in self.rows if (value := goal.of(row)) is not None]
        return Shown(
            self.trial.number,
            self.rows[-1]["epoch"] if self.rows else None,
            self.cfg.epochs,
            values[-1] if values else None,
            goal.best(values),
            self.trial.point,
        )


def shared(cfg: config.Train) -> str:
    """Trials for which it is the same share what they read and tokenise."""
    plain = knobs.plain(cfg)
    return json.dumps([plain[name] for name in SHARED], sort_keys=True)
