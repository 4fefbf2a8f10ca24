"""`twotower train`: one run from knobs to its best checkpoint."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twotower import knobs, show
from twotower.config import GRUTower, Train
from twotower.evaluation import candidates, floor_cache
from twotower.evaluation.evaluate import Result
from twotower.evaluation.metrics import shown
from twotower.model import checkpoint, sidecar
from twotower.training import loop, machine, setup, tracking
from twotower.training.history import best
from twotower.training.loop import Progress
from twotower.training.record import per_query, record
from twotower.training.setup import Setup
from twotower.training.tracking import Tracker


def run(cfg: Train) -> int:
    """Train; the exit code is 0 unless an error says otherwise."""
    cfg = setup.settled(cfg)
    recurrent = any(isinstance(tower, GRUTower) for tower in (cfg.query_tower, cfg.doc_tower))
    machine.settle(cfg.seed, cfg.threads or int(recurrent))  # many small products, slower on two threads
    device = machine.device_of(cfg.device)
    sidecar.check_name(cfg.name)
    work = setup.build(cfg)
    cfg = replace(cfg, k=setup.fitted(cfg.k, cfg.select, len(work.docs)))
    work.retriever.two_tower.to(device)
    for remark in setup.remarks(cfg, work):
        show.talk(remark)
    new = sidecar.reserve(Path(cfg.checkpoint_dir), cfg.name)
    show.talk(f"run {new.name}")
    keeper = Keeper(cfg, work, new, tracking.start(cfg, new.name, new.scratch, knobs.plain(cfg)))
    progress, whole = Progress(), False
    try:
        loop.train(cfg, work, progress, log=keeper.log, save=keeper.save)
        whole = True
    except (KeyboardInterrupt, FloatingPointError) as error:
        progress.stopped = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error)
        raise
    finally:
        keeper.close(progress, whole=whole)
    return 0


class Keeper:
    """Keeps what a run brings: history rows, and the best weights on disk."""

    def __init__(self, cfg: Train, work: Setup, new: sidecar.Run, tracker: Tracker) -> None:
        self.cfg, self.work, self.run, self.tracker = cfg, work, new, tracker
        self.best: dict[str, torch.Tensor] = {}
        self.result: Result | None = None

    def log(self, row: Mapping[str, Any]) -> None:
        """One history row, to the tracker and the terminal."""
        self.tracker.log(row)
        show.talk(line_of(row, self.cfg.select))

    def save(self, progress: Progress, result: Result) -> None:
        """The weights as they are now, in memory and on disk."""
        state = self.work.retriever.two_tower.state_dict()
        self.best, self.result = {name: value.clone() for name, value in state.items()}, result
        self._write(progress, {})

    def close(self, progress: Progress, *, whole: bool) -> None:
        """Back to the best weights; evaluate them on all of dev, write the final checkpoint, end tracking."""
        if self.result is None:
            self.tracker.finish({}, exit_code=1)
            return
        self.work.retriever.two_tower.load_state_dict(self.best)
        if self.cfg.eval_max_queries:
            self.result = loop.evaluated(self.cfg, self.work)
        self._write(progress, self._floors() if whole and self.cfg.floors else {})
        self.tracker.finish(self.result.metrics, exit_code=0 if whole else 1)
        self._say(progress)

    def _floors(self) -> dict[str, dict[str, float]]:
        work, cfg = self.work, self.cfg
        return floor_cache.chance_and_bm25(
            work.protocol, work.tokens, work.judgements, work.lists, ks=cfg.k, cache_dir=Path(cfg.cache_dir)
        )

    def _write(self, progress: Progress, floors: Mapping[str, Any]) -> None:
        if self.result is None:
            return
        path = self.run.checkpoint
        content = record(
            self.cfg, self.work, self.run, progress, self.result, {"wandb_run_id": self.tracker.wandb_id}
        )
        content["floors"] |= floors
        checkpoint.save(path, self.work.retriever, content)
        values = per_query(self.work, self.result)
        sidecar.write_aside(sidecar.per_query_of(path), lambda file: np.savez(file, **values))  # type: ignore[arg-type]

    def _say(self, progress: Progress) -> None:
        select, path = self.cfg.select, self.run.checkpoint
        if progress.stopped:
            show.talk(f"stopped: {progress.stopped}")
        epoch = progress.history[best(progress.history, select) or 0]["epoch"]
        value = self.result.metrics[select] if self.result else 0.0
        show.talk(f"best {shown(select)} {value:.4f} at epoch {epoch}, {progress.seconds:.1f} s of training")
        most = self.work.protocol.most_candidates
        if self.result and (said := candidates.remark(self.result.metrics, most)):
            show.talk(said)
        show.result(str(path))
        show.talk(f"next: twotower leaderboard checkpoint_dir={path.parent}")
        show.talk(f'next: twotower search "..." checkpoint={path}')


def line_of(row: Mapping[str, Any], select: str) -> str:
    """A history row for the terminal."""
    parts = [f"epoch {row['epoch']:>3}"]
    if "train_loss" in row:
        parts += [
            f"loss {row['train_loss']:.3f} (chance {row['train_loss_chance']:.3f})",
            f"accuracy {row['train_accuracy']:.3f} (chance {row['train_accuracy_chance']:.4f})",
            f"{row['seconds']:.1f} s",
        ]
    if select in row:
        parts += [f"dev loss {row['dev_loss']:.3f}", f"{shown(select)} {row[select]:.4f}"]
    return "  ".join(parts)
