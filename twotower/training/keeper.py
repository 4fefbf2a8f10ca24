"""What a run brings, kept: history rows with the tracker, weights as checkpoints.

two_tower_best_...    the best weights so far, written as soon as an evaluation finds them
two_tower_epoch3_...  keep=all, or keep=n for the latest n: the weights after each evaluated epoch
two_tower_last_...    keep=last: the weights at the end
"""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twotower import knobs, show
from twotower.evaluation import candidates, floor_cache, geometry
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.evaluation.metrics import shown
from twotower.model import checkpoint, sidecar
from twotower.training import loop, untrained
from twotower.training.history import Row, best
from twotower.training.record import Kept, per_query, record
from twotower.training.session import Best, Session
from twotower.training.tracking import Counts, Tracker

EDGES = (1, 2, 3, 4, 6, 9, 13, 21, 33, 51, 81, 129, 205, 325, 513)
"""Ranks at which bins begin; each is about 1.6 times as wide as the one before."""


def latest(keep: str) -> float:
    """How many epochs' weights `keep` wants beside the best, the latest ones; infinite for all.

    >>> latest("best"), latest("last"), latest("all"), latest("3")
    (0, 0, inf, 3)

    Raises ValueError for another word, and for a number below 1.
    """
    known = {"best": 0, "last": 0, "all": math.inf}
    if keep in known:
        return known[keep]
    if not (keep.isascii() and keep.isdigit() and int(keep)):
        raise ValueError(f"keep: got {keep!r}, want best, last, all or a number of epochs, at least 1")
    return int(keep)


class Keeper:
    """Keeps what a session brings; only the leader of several processes has one."""

    def __init__(self, session: Session, tracker: Tracker) -> None:
        self.session, self.tracker = session, tracker
        self.cfg, self.work, self.run = session.cfg, session.work, session.run
        self._warned = False
        session.wandb_id = tracker.wandb_id

    def take(self, row: Row, result: Result | None) -> None:
        """The latest row of the history and its evaluation, if there was one: log it, keep its weights.

        Raises OSError where a checkpoint cannot be written.
        """
        self.tracker.log(row, rank_counts(result.per_query) if result else None)
        show.talk(line_of(row, self.cfg.select))
        if result is None:
            return
        self._warn(row, result)
        if row["epoch"] == 0 and self.cfg.floors and not self.cfg.eval_max_queries:
            untrained.keep(knobs.plain(self.cfg), self._asked, result, Path(self.cfg.cache_dir))
        place = len(self.session.progress.history) - 1
        if best(self.session.progress.history, self.cfg.select) == place:
            self.session.best = Best(self._weights(), result)
            if row["epoch"] < self.cfg.epochs:  # the last epoch's are written when the run is closed, next
                self._write(Kept(sidecar.BEST, place, result), {})
        if row["epoch"] and latest(self.cfg.keep):
            whole = loop.evaluated(self.cfg, self.work) if self.cfg.eval_max_queries else result
            self._write(Kept(f"epoch{row['epoch']}", place, whole), {})
            self._forget()

    def close(self, *, whole: bool) -> None:
        """Evaluate what is kept on all of dev, write the final checkpoints, end tracking.

        `whole` is whether the run went to its end.
        """
        session, progress = self.session, self.session.progress
        if session.best.result is None:
            self.tracker.finish({}, exit_code=1)
            return
        floors = self._floors() if whole and self.cfg.floors else {}
        if whole and self.cfg.keep == "last":
            self._write(Kept("last", len(progress.history) - 1, loop.evaluated(self.cfg, self.work)), floors)
        with self._at_best():
            if self.cfg.eval_max_queries:
                session.best.result = loop.evaluated(self.cfg, self.work)
            self._write(Kept.best(progress, self.cfg.select, session.best.result), floors)
        if self.cfg.artifact:
            path = self.run.checkpoint
            self.tracker.artifact([path, sidecar.sidecar_of(path), sidecar.per_query_of(path)])
        epoch = progress.history[best(progress.history, self.cfg.select) or 0]["epoch"]
        self.tracker.finish({**session.best.result.metrics, "best_epoch": epoch}, exit_code=0 if whole else 1)
        self._say(epoch)

    def _warn(self, row: Row, result: Result) -> None:
        """Say once a run that the space has collapsed; untrained towers often are a cone, and leave it."""
        said = geometry.warning(result.geometry) if row["epoch"] else ""
        if said and not self._warned:
            show.talk(f"epoch {row['epoch']}: {said}")
            self._warned = True

    @contextmanager
    def _at_best(self) -> Iterator[None]:
        """The model with the best weights; afterwards, and if interrupted, with its own again."""
        own = self._weights()
        model = self.work.retriever.two_tower
        model.load_state_dict(self.session.best.weights)
        try:
            yield
        finally:
            model.load_state_dict(own)

    def _weights(self) -> dict[str, torch.Tensor]:
        return {name: value.clone() for name, value in self.work.retriever.two_tower.state_dict().items()}

    @property
    def _asked(self) -> Asked:
        """What the floors are asked: what the model is."""
        work = self.work
        return Asked(work.collection, work.protocol, work.tokens, work.judgements, work.lists, self.cfg.k)

    def _floors(self) -> dict[str, dict[str, float]]:
        cfg = self.cfg
        return floor_cache.floors_of(self._asked, Path(cfg.cache_dir), vectors=cfg.vectors).means

    def _write(self, kept: Kept, floors: Mapping[str, Any]) -> None:
        path = self.run.file(kept.kind)
        more = {"wandb_run_id": self.session.wandb_id}
        content = record(self.cfg, self.work, self.run, self.session.progress, kept, more)
        content["floors"] |= floors
        checkpoint.save(path, self.work.retriever, content)
        values = per_query(self.work, kept.result)
        sidecar.write_aside(sidecar.per_query_of(path), lambda file: np.savez(file, **values))  # type: ignore[arg-type]

    def _forget(self) -> None:
        """Delete the weights of epochs that `keep` no longer wants."""
        evaluated = [row["epoch"] for row in self.session.progress.history if self.cfg.select in row]
        for epoch in evaluated[: max(0, len(evaluated) - int(min(latest(self.cfg.keep), len(evaluated))))]:
            path = self.run.file(f"epoch{epoch}")
            for file in (path, sidecar.sidecar_of(path), sidecar.per_query_of(path)):
                file.unlink(missing_ok=True)

    def _say(self, epoch: int) -> None:
        select, path, progress = self.cfg.select, self.run.checkpoint, self.session.progress
        if progress.stopped:
            show.talk(f"stopped: {progress.stopped}")
        metrics = self.session.best.result.metrics if self.session.best.result else {}
        spent = f"{progress.seconds:.1f} s of training"
        show.talk(f"best {shown(select)} {metrics.get(select, 0.0):.4f} at epoch {epoch}, {spent}")
        if said := candidates.remark(metrics, self.work.protocol.most_candidates):
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


def rank_counts(per_query: Mapping[str, NDArray[np.float64]]) -> Counts:
    """How many queries found their first relevant document at which ranks: (counts, edges).

    It is read off the deepest reciprocal rank; the last bin is of those that found none.

    >>> rank_counts({"mrr_10": np.array([1.0, 0.5, 0.1, 0.0, 0.0]), "mrr_1": np.zeros(5)})
    ([1, 1, 0, 0, 0, 1, 2], [1, 2, 3, 4, 6, 9, 11, 22])
    """
    depth = max((int(name.removeprefix("mrr_")) for name in per_query if name.startswith("mrr_")), default=0)
    if not depth:
        return [], []
    values = per_query[f"mrr_{depth}"]
    ranks = np.full(len(values), depth + 1.0)
    np.divide(1.0, values, out=ranks, where=values > 0)
    inner = [edge for edge in EDGES if edge <= depth]
    edges = [*inner, depth + 1, 2 * (depth + 1)]
    return np.histogram(np.minimum(ranks, depth + 1), edges)[0].tolist(), edges
