"""Knobs of `twotower sweep`."""

from dataclasses import dataclass
from enum import StrEnum

from twotower.config.knobs import knob
from twotower.config.search import AnswerFormat
from twotower.config.train import Tracking


class Engine(StrEnum):
    """Who proposes the trials and starts them."""

    auto = "auto"
    local = "local"
    wandb = "wandb"


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """Launch many runs from one W&B sweep file, on this machine or through a W&B server."""

    # the sweep
    engine: Engine = Engine.auto
    """Who proposes: local (no account, no network), wandb (a server), auto (wandb when logged in)."""
    name: str = ""
    """Name of the sweep and its folder under `checkpoint_dir`/sweeps; empty: the file's."""
    run_cap: int = knob(0, at_least=0)
    """Trials at most; 0 leaves it to the file's `run_cap`."""
    seed: int = knob(0, at_least=0)
    """Decides what engine=local proposes; the trials have their own `seed`, in the file."""
    resume: str = ""
    """Sweep to go on with, by name, without FILE; what ended is not run again."""
    check: bool = False
    """Only check the file and say what would run."""

    # the trials
    jobs: int = knob(1, at_least=1)
    """Trials at a time on this machine; with engine=wandb, agents."""
    agents: int = knob(-1, at_least=-1)
    """Agents of engine=wandb to start here: -1 as many as `jobs`, 0 none, their command is printed."""
    threads: int = knob(0, at_least=0)
    """CPU threads of a trial; 0 is cores // jobs."""
    max_failures: int = knob(0, at_least=0)
    """Failed trials after which the sweep stops; 0 goes on whatever fails."""
    storage: str = ""
    """Where engine=local keeps its study for several machines: a journal file on a shared disk, or a URL."""

    # where
    checkpoint_dir: str = "checkpoints"
    """Folder of the trials' checkpoints, and of `sweeps`."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections, floors and document vectors; safe to delete."""
    tracking: Tracking = Tracking.auto
    """How trials of engine=local are logged: auto and wandb (runs of one group), none."""
    project: str = ""
    """Project on Weights & Biases; empty: the file's, else twotower."""
    format: AnswerFormat = AnswerFormat.text
    """Output of the result: text, json."""
