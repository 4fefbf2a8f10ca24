"""`twotower train -m`: Hydra's own multirun, for those who launch with it, on Slurm or through joblib.

    train -m query_tower=mlp,gru seed=0,1   ->   four runs of one sweep, checkpoints/sweeps/multirun-3fa2b1

Every job is composed and checked before the first one starts, and one that fails stops no other. There is no
file to check, no early stopping and no way to go on with it: for these, `twotower sweep`.
"""

import importlib
import json
import secrets
import shlex
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from twotower import compose, knobs, show
from twotower.config import Train
from twotower.model import sidecar
from twotower.sweeps.trial import TRAIN


def run(words: Sequence[str]) -> int:
    """Run the jobs that `words` describe in Hydra's grammar; 1 where one failed.

    Raises ValueError, before anything starts, for a job that `train` would refuse.
    """
    words = [word for word in words if word not in ("-m", "--multirun")]
    if "resume" in knobs.split(words)[1]:
        raise ValueError("resume: continues one run; want it without -m")
    settings = [word for word in words if word.startswith(("hydra.", "hydra/"))]
    jobs = compose.expanded([word for word in words if word not in settings])
    first, *_ = [_checked(job) for job in jobs]
    name = f"{first.name if first.name != Train.name else 'multirun'}-{secrets.token_hex(3)}"
    folder = Path(first.checkpoint_dir) / "sweeps" / name
    folder.mkdir(parents=True)
    text = json.dumps(jobs, indent=1, ensure_ascii=False)
    sidecar.write_aside(folder / "jobs.json", lambda file: file.write(text.encode()))
    show.talk(f"multirun {name}: {len(jobs)} jobs, {folder}")
    codes = compose.launched(partial(job, jobs, name), len(jobs), settings, folder)
    failed = [number for number, code in enumerate(codes) if code]
    for number in failed:
        show.talk(f"job {number} failed: twotower train {shlex.join(jobs[number])}")
    show.talk(f"multirun {name}: {len(codes) - len(failed)} of {len(jobs)} done")
    home = first.checkpoint_dir
    where = "" if home == Train.checkpoint_dir else f" checkpoint_dir={shlex.quote(home)}"
    show.talk(f"next: twotower leaderboard sweep={name}{where}")
    return 1 if failed else 0


def _checked(words: Sequence[str]) -> Train:
    """The knobs of a job; ValueError for what does not go together."""
    from twotower.training.setup import settled  # torch, after all that needs it not

    cfg: Train = settled(compose.composed("train", words).cfg)
    sidecar.check_name(cfg.name)
    return cfg


def job(jobs: Sequence[Sequence[str]], name: str, which: Any) -> int:
    """One job, in whatever process the launcher has for it; `which.job` is its number."""
    number = int(which.job)
    show.talk(f"job {number} of {len(jobs)}: {shlex.join(jobs[number])}")
    try:
        _, cfg = compose.load("train", [*jobs[number], f"sweep={name}"])
        return int(importlib.import_module(TRAIN).run(cfg))
    except (FloatingPointError, ValueError, OSError) as error:
        show.error(" ".join(str(error).split()))
        return 1
