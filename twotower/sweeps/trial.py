"""A trial: one `twotower train` in a process of its own, which ends with the sweep that started it.

    sweep --- Order ---> trial
    sweep <-- pipe ----- trial    ("run", "weekend-7-3fa2b1")   ("row", {"epoch": 0, "mrr_10": 0.01, ...})

The process is forked from a server that has imported what training needs, and run nothing: that takes 0.02 s,
importing 1.5 s. It has a session of its own, so that Ctrl-C reaches the sweep alone, which then says what is
to be done: SIGINT means save what continuing needs, SIGTERM stop for good.
"""

import importlib
import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from types import FrameType
from typing import Any

from twotower import show
from twotower.config import Train
from twotower.sweeps.folder import Folder
from twotower.training.history import Listener, Row

TRAIN = "twotower.commands.train"
"""What a trial runs, by name, as the command line does: commands stand above sweeps."""
IMPORTED = (TRAIN, "torch._dynamo", "bm25s", "faiss")
"""What the server has imported before the first trial; the second is what an optimizer imports, in 1 s.

Polars is not among it: it starts threads, which no fork survives."""


@dataclass(frozen=True)
class Order:
    """What a trial is to do."""

    number: int
    cfg: Train
    folder: Folder
    env: Mapping[str, str]
    """Variables for the trial alone."""
    module: str = TRAIN


@contextmanager
def served(threads: int, *, tracked: bool) -> Iterator[ForkServerContext]:
    """The server from which trials are forked, every library in it held to `threads`.

    `tracked` trials use W&B. It imports on its own while the caller goes on; entered again, it is the same
    server.
    """
    names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS")
    before = {name: os.environ.get(name) for name in (*names, "OMP_WAIT_POLICY")}
    os.environ |= dict.fromkeys(names, str(threads)) | {"OMP_WAIT_POLICY": "PASSIVE"}
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([*IMPORTED, *(["wandb"] if tracked else [])])
    try:
        forkserver.ensure_running()  # it reads the variables as it starts
        yield context
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def start(context: ForkServerContext, order: Order) -> tuple[BaseProcess, Connection]:
    """Start a trial; its process, and our end of the pipe to it."""
    ours, theirs = context.Pipe()
    process = context.Process(target=work, args=(order, theirs), name=f"trial {order.number}")
    process.start()
    theirs.close()  # else we would not see the trial's end close
    return process, ours


def work(order: Order, pipe: Connection) -> None:
    """The trial's process from its start to its end; the exit code is that of `twotower train`."""
    os.setsid()
    with order.folder.log(order.number).open("ab", buffering=0) as log:
        os.dup2(log.fileno(), sys.stdout.fileno())
        os.dup2(log.fileno(), sys.stderr.fileno())
    os.environ |= order.env
    signal.signal(signal.SIGINT, _interrupt)
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_watch, args=(pipe,), daemon=True).start()
    sys.exit(_trained(order, pipe))


def _trained(order: Order, pipe: Connection) -> int:
    train = importlib.import_module(order.module)
    try:
        return int(train.run(order.cfg, listener=_Teller(order, pipe)))
    except KeyboardInterrupt as interrupt:
        return 143 if interrupt.args == ("SIGTERM",) else 130
    except (FloatingPointError, ValueError, OSError) as error:
        line = " ".join(str(error).split())
        show.error(line)
        pipe.send(("failed", line))
        return 1


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt(signal.Signals(number).name)


def _watch(pipe: Connection) -> None:
    """End this process as soon as the sweep is gone; files are written aside, so none is left half done."""
    try:
        pipe.recv_bytes()
    except (EOFError, OSError):
        os._exit(1)


class _Teller(Listener):
    """Tells the sweep what it hears."""

    def __init__(self, order: Order, pipe: Connection) -> None:
        self._order, self._pipe = order, pipe

    def begins(self, run: str) -> None:
        self._order.folder.name_run(self._order.number, run)
        self._pipe.send(("run", run))

    def hears(self, row: Row) -> None:
        plain: dict[str, Any] = {
            name: value for name, value in row.items() if isinstance(value, str | int | float)
        }
        self._pipe.send(("row", plain))
