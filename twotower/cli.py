"""The command line: `twotower <command> [argument] [knob=value ...]`.

Results go to stdout, talk to stderr. Exit codes: 0; 1 a run failed; 2 the user's mistake, in one line;
130 and 143 interrupted.
"""

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from twotower import __version__, knobs, manual, show
from twotower.compose import before_dashes, help_of, load
from twotower.manual import COMMANDS
from twotower.show import one_line
from twotower.training import runs


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    show.prepare()
    before = signal.signal(signal.SIGTERM, _terminate)
    try:
        return _run(words)
    except KeyboardInterrupt as interrupt:
        code = 143 if interrupt.args == ("SIGTERM",) else 130
        show.talk("terminated" if code == 143 else "interrupted")
        return code
    except BrokenPipeError:  # the reader of a pipe left (`| head`)
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except FloatingPointError as error:
        show.error(str(error))
        return 1
    except (ValueError, OSError) as error:
        show.error(one_line(error))
        return 2
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt("SIGTERM")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        show.result(manual.overview())
        return 0
    if words[0] == "--version":
        show.result(f"twotower {__version__}")
        return 0
    name, *rest = words
    if name not in COMMANDS:
        raise ValueError(
            f"{name}: no such command{knobs.nearest(name, COMMANDS)} (want one of {', '.join(COMMANDS)})"
        )
    if not {"--help", "-h"}.isdisjoint(before_dashes(rest)):
        show.result(help_of(name))
        return 0
    if name == "train" and not {"--multirun", "-m"}.isdisjoint(before_dashes(rest)):
        _limit(0)
        return int(importlib.import_module("twotower.sweeps.multirun").run(rest))  # as below
    bare, cfg = load(name, rest, runs.stored(rest) if name == "train" else None)
    _limit(getattr(cfg, "threads", 0))
    module = importlib.import_module(f"twotower.commands.{name}")  # only the command's own imports are paid
    return int(module.run(cfg, *bare) or 0)


def _limit(threads: int) -> None:
    """Hold every library to `threads`; they read these names once, when they are first imported."""
    # waiting threads that spin slow a step three to fifteen times where anything else runs beside it
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if threads:
        for name in ("OMP", "OPENBLAS", "MKL"):
            os.environ[f"{name}_NUM_THREADS"] = str(threads)
        os.environ["POLARS_MAX_THREADS"] = str(threads)
