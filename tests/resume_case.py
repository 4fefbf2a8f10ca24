"""Runs that are killed and continued, and what must then be equal."""

import itertools
import math
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from conftest import ROOT

from tests.training_case import LOSSES, small
from twotower import cli, config
from twotower.commands import train
from twotower.config import GRUTower, MLPTower
from twotower.model import checkpoint, sidecar
from twotower.training import loop, runs
from twotower.training.keeper import Keeper
from twotower.training.resume import Saver

DIFFERENT = {"run", "name", "created", "history_file", "wandb_run_id", "cost", "seconds", "file"}
"""Names, times and costs, which two runs never share."""
PLACES: list[tuple[Any, str]] = [
    (Saver, "_tick"),  # between two steps
    (torch.optim.AdamW, "step"),  # within one
    (loop, "evaluated"),
    (checkpoint, "save"),
    (sidecar, "write"),
    (os, "fsync"),  # within the writing of any file
    (torch, "save"),
    (Keeper, "take"),
    (Saver, "write"),
]
"""Where a run may be killed: before or after each call of these."""
CASES: Mapping[str, dict[str, Any]] = {
    "mlp": {"query_tower": MLPTower(hidden_dim=12, num_layers=1, dropout=0.2)},
    "gru": {"query_tower": GRUTower(hidden_dim=6), "doc_tower": MLPTower(hidden_dim=12, dropout=0.3)},
    "contrastive": {"loss": LOSSES["contrastive"]},
    "triplet": {"loss": LOSSES["triplet"]},
    "random": {"random_negatives": 8, "given_negatives": 0},
    "given": {"random_negatives": 0, "given_negatives": 2},
}


class Killed(BaseException):
    """Stands for a kill: nothing of ours handles it."""


def small_steps(folder: Path, home: Path, *cases: str, **knobs: Any) -> config.Train:
    """Knobs of a small run of 12 steps that can be continued from each of them."""
    settings: dict[str, Any] = {"epochs": 4, "resume_steps": 1, "threads": 1, "keep": "2"}
    settings["learning_rate"] = 5e-3
    for case in cases:
        settings |= CASES[case]
    return small(folder, home, **(settings | knobs))


def best_of(home: Path, run: str) -> Path:
    """The best checkpoint of a run."""
    (path,) = (home / "checkpoints").glob(f"two_tower_best_{run}_*.pt")
    return path


def started(cfg: config.Train) -> str:
    """Train, and the name of the run that this brought; a killed one has none but its folder."""
    runs = Path(cfg.checkpoint_dir) / "runs"
    before = set(runs.iterdir()) if runs.is_dir() else set()
    with suppress(Killed):
        train.run(cfg)
    (new,) = set(runs.iterdir()) - before
    return new.name


def ended(home: Path, run: str) -> bool:
    """Whether a run came to its end."""
    return '"ended": "done"' in (home / "checkpoints" / "runs" / run / "run.json").read_text()


@contextmanager
def killed_after(monkeypatch: pytest.MonkeyPatch, calls: int) -> Iterator[None]:
    """Kill what runs within after so many calls of `PLACES`, counting both their starts and ends."""
    count = iter(range(calls))

    def hook(real: Callable[..., Any]) -> Callable[..., Any]:
        def hooked(*args: Any, **kwargs: Any) -> Any:
            if next(count, None) is None:
                raise Killed
            made = real(*args, **kwargs)
            if next(count, None) is None:
                raise Killed
            return made

        return hooked

    with monkeypatch.context() as patched:
        for owner, name in PLACES:
            patched.setattr(owner, name, hook(getattr(owner, name)))
        yield


def killed_again_and_again(
    cfg: config.Train, home: Path, monkeypatch: pytest.MonkeyPatch, *, kills: int, rng: random.Random
) -> str:
    """A run that is killed `kills` times at random moments, continued each time, and then left alone."""
    with killed_after(monkeypatch, rng.randrange(5, 60)):  # from when its name is on disk
        run = started(cfg)
    for _ in range(kills - 1):
        if ended(home, run):
            return run
        with killed_after(monkeypatch, rng.randrange(60)):
            again(cfg, run)
    if not ended(home, run):
        train.run(replace(cfg, resume=run))
    return run


def again(cfg: config.Train, run: str) -> None:
    """Continue a run, which may be killed."""
    with suppress(Killed):
        train.run(replace(cfg, resume=run))


SIGKILLED = """
import os, signal, sys
from tests import resume_case
left = iter(range(int(sys.argv[1])))
for owner, name in resume_case.PLACES:
    def hook(real):
        def hooked(*args, **kwargs):
            if next(left, None) is None:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return hooked
    setattr(owner, name, hook(getattr(owner, name)))
from twotower import cli
sys.exit(cli.main(sys.argv[2:]))
"""


def trained(*words: str) -> None:
    """`twotower` in this process."""
    _, cfg = cli.load("train", words, runs.stored(words))
    assert train.run(cfg) == 0


def sigkilled(*words: str, after_calls: int = 10**9, after_seconds: float = math.inf) -> None:
    """`twotower` in a process of its own, killed by SIGKILL.

    It kills itself after so many calls of `PLACES`, or is killed so many seconds after it began to train.
    """
    process = subprocess.Popen(
        [sys.executable, "-c", SIGKILLED, str(after_calls), *words],
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stderr is not None
        lines = list(itertools.takewhile(lambda line: not line.startswith("run "), process.stderr))
        if after_seconds < math.inf:
            time.sleep(after_seconds)
            process.kill()
        lines += process.stderr
    assert process.returncode == -signal.SIGKILL, "".join(lines)


def assert_same(one: Path, other: Path) -> None:
    """Two checkpoints are equal in every tensor and key but names, times and costs."""
    contents = [torch.load(path, weights_only=True) for path in (one, other)]
    found = differences(*contents)
    assert not found, found


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Dotted names of what differs, bit for bit."""
    if isinstance(one, torch.Tensor):
        same = one.dtype == other.dtype and torch.equal(one, other)
        return [] if same else [where]
    if isinstance(one, dict):
        names = [name for name in one | other if name not in DIFFERENT]
        lacking = [f"{where}.{name}" for name in names if name not in one or name not in other]
        return lacking or [
            found for name in names for found in differences(one[name], other[name], f"{where}.{name}")
        ]
    if isinstance(one, list):
        pairs = list(zip(one, other, strict=False))
        found = [name for place, pair in enumerate(pairs) for name in differences(*pair, f"{where}[{place}]")]
        return found + ([where] if len(one) != len(other) else [])
    return [] if one == other else [where]
