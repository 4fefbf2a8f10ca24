"""`twotower sweep`: many runs from one W&B sweep file, on this machine or through a W&B server."""

from dataclasses import replace

from twotower import config, show
from twotower.config import AnswerFormat, Engine
from twotower.sweeps import check, folder, local, summary, wandb_engine
from twotower.sweeps.file import Sweep
from twotower.sweeps.summary import Summary


def run(cfg: config.Sweep, file: str = "") -> int:
    """Run the sweep of `file`, or go on with one; 1 where a trial failed."""
    if bool(file) == bool(cfg.resume):
        raise ValueError(
            "sweep: want one FILE, or resume=NAME without; `twotower sweep mlp` takes the package's mlp.yaml"
        )
    if cfg.engine is Engine.local and not cfg.check:
        with local.served(cfg):  # it imports while the file is checked
            return _run(cfg, file)
    return _run(cfg, file)


def _run(cfg: config.Sweep, file: str) -> int:
    if not cfg.resume:
        sweep = check.opened(file, cfg.run_cap)
        if cfg.check:
            show.talk(f"{sweep.path}: nothing is wrong with it; check=true starts nothing")
            return 0
        through = _wandb if wandb_engine.engine_of(cfg) is Engine.wandb else _local
        return through(sweep, cfg, folder.create(cfg, sweep.name, sweep.text))
    home = folder.find(cfg)
    cfg = home.settings(cfg)
    sweep = check.opened(str(home.file), cfg.run_cap)
    through = _wandb if wandb_engine.is_here(home) else _local
    return through(replace(sweep, name=home.name), cfg, home)


def _local(sweep: Sweep, cfg: config.Sweep, home: folder.Folder) -> int:
    show.talk(f"sweep {home.name}: {home.path}")
    return _said(local.run(sweep, cfg, home), cfg)


def _wandb(sweep: Sweep, cfg: config.Sweep, home: folder.Folder) -> int:
    show.talk(f"sweep {home.name}: {home.path}")
    found = wandb_engine.run(sweep, cfg, home)
    return 0 if found is None else _said(found, cfg)


def _said(found: Summary, cfg: config.Sweep) -> int:
    if cfg.format is AnswerFormat.json:
        show.document(summary.document(found))
    else:
        summary.say(found)
    return 1 if found.failed else 0
