"""Small sweeps: the tiny collection, runs of a fraction of a second, and trials that go wrong on purpose."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import yaml

from twotower import config
from twotower.commands import train
from twotower.sweeps import check, folder, local
from twotower.sweeps.file import Sweep
from twotower.sweeps.folder import Folder
from twotower.sweeps.summary import Summary
from twotower.training.history import Listener, Row

RATES = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05]
RAISES, KILLED, BREAKS, SLOW, NOTHING = 0.0011, 0.0012, 0.0013, 0.0014, 0.0015
"""Learning rates at which `run`, below, goes wrong."""


def content(data: Path, **more: Any) -> dict[str, Any]:
    """A sweep file over the collection in `data`, as plain types: a grid of six learning rates."""
    constants = {
        "data": "beir",
        "data.path": str(data),
        "vectors": "random",
        "vectors_dim": 8,
        "dim": 10,
        "hidden_dim": 12,
        "num_layers": 1,
        "batch_size": 16,
        "random_negatives": 8,
        "k": [1, 3, 10],
        "patience": 0,
        "epochs": 2,
        "floors": False,
    }
    made = {
        "method": "grid",
        "metric": {"name": "mrr_10", "goal": "maximize"},
        "parameters": {
            **{name: {"value": value} for name, value in constants.items()},
            "learning_rate": {"values": RATES},
        },
    }
    parameters = more.pop("parameters", {})
    return {**made, **more, "parameters": {**made["parameters"], **parameters}}  # type: ignore[dict-item]


def written(path: Path, content: dict[str, Any]) -> Path:
    """The sweep file."""
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def knobs(home: Path, **more: Any) -> config.Sweep:
    """Of a sweep that keeps all under `home`."""
    settings = {
        "checkpoint_dir": str(home / "checkpoints"),
        "cache_dir": str(home / "cache"),
        "tracking": config.Tracking.none,
        "engine": config.Engine.local,
        "name": "weekend",
        "threads": 1,
    }
    return config.Sweep(**{**settings, **more})


def begun(path: Path, cfg: config.Sweep) -> tuple[Sweep, Folder]:
    """The sweep of a file, and its new folder."""
    sweep = check.opened(str(path), cfg.run_cap)
    return sweep, folder.create(cfg, sweep.name, sweep.text)


def swept(path: Path, cfg: config.Sweep) -> Summary:
    """A sweep from its start to its end."""
    sweep, home = begun(path, cfg)
    return local.run(sweep, cfg, home)


def run(cfg: config.Train, *, listener: Listener) -> int:
    """What trials run in place of `twotower train`: the same, but for some learning rates."""
    rate = cfg.learning_rate
    if rate == RAISES:
        raise ValueError("learning_rate: this one is refused")
    if rate == BREAKS:
        raise RuntimeError("nobody expected this")
    return train.run(cfg, listener=Disturbed(listener, rate))


class Disturbed(Listener):
    """Goes wrong, or takes its time, as the rows come."""

    def __init__(self, real: Listener, rate: float) -> None:
        self.real, self.rate = real, rate

    def begins(self, run: str) -> None:
        self.real.begins(run)

    def hears(self, row: Row) -> None:
        self.real.hears(row)
        if self.rate == NOTHING:
            raise FloatingPointError("the loss became nan at learning rate 0.0015; lower learning_rate")
        if self.rate == KILLED:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.rate == SLOW:
            time.sleep(0.3)
