"""Training, read top to bottom: epochs of steps, an evaluation after each, the best weights kept.

    batch -> unit vectors -> scores (B, C) -> loss -> step
    epoch -> evaluate -> history row -> save if better

Row 0 of the history is the untrained model.
"""

import math
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.optim.lr_scheduler import LambdaLR
from tqdm import tqdm

from twotower.config import Train
from twotower.data.batches import Batch
from twotower.data.collection import Judgements
from twotower.evaluation.evaluate import Result, evaluate
from twotower.model import encode, losses
from twotower.model.losses import Objective
from twotower.model.two_tower import TwoTower
from twotower.model.words import tensors
from twotower.training import optim
from twotower.training.history import best, exhausted
from twotower.training.setup import Setup

CHUNK = 65_536
"""Documents searched at a time."""


@dataclass
class Progress:
    """What a run has done so far; it grows epoch by epoch."""

    history: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0
    """Spent in training steps, evaluation left out."""
    pairs: int = 0
    stopped: str = ""
    """Why the run ended before its last epoch."""


@dataclass
class Sums:
    """Sums over the pairs of an epoch; the chance levels are those of equal scores."""

    loss: float = 0.0
    chance_loss: float = 0.0
    correct: float = 0.0
    chance: float = 0.0
    pairs: int = 0

    def add(self, objective: Objective, scores: Tensor, relevant: Tensor) -> Tensor:
        """Count one batch and return its loss."""
        outcome = objective(scores, relevant)
        with torch.no_grad():
            equal = objective(torch.zeros_like(scores), relevant)
        pairs = len(scores)
        self.loss += pairs * outcome.loss.item()
        self.chance_loss += pairs * equal.loss.item()
        self.correct += pairs * outcome.accuracy.item()
        # a row's candidates are its positive and whatever is not known to be relevant
        self.chance += (1 / ((~relevant).sum(dim=1) + 1)).sum().item()
        self.pairs += pairs
        loss: Tensor = outcome.loss
        return loss

    def row(self, prefix: str) -> dict[str, float]:
        """Means, each with its chance level beside it."""
        return {
            f"{prefix}_loss": self.loss / self.pairs,
            f"{prefix}_loss_chance": self.chance_loss / self.pairs,
            f"{prefix}_accuracy": self.correct / self.pairs,
            f"{prefix}_accuracy_chance": self.chance / self.pairs,
        }


@dataclass(frozen=True, eq=False)
class Stepper:
    """All that a step changes."""

    model: TwoTower
    objective: Objective
    optimizer: torch.optim.Optimizer
    schedule: LambdaLR
    cfg: Train

    def epoch(self, batches: Iterable[Batch]) -> dict[str, float]:
        """One pass over the pairs; raises FloatingPointError when the loss is no longer finite."""
        self.model.train()
        sums, rate = Sums(), self.rate()
        for batch in batches:
            loss = sums.add(self.objective, *scored(self.model, batch))
            if not math.isfinite(loss.item()):
                raise FloatingPointError(
                    f"the loss became {loss.item()} at learning rate {self.rate():.2g}; lower learning_rate"
                )
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            if self.cfg.grad_clip:
                parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
                torch.nn.utils.clip_grad_norm_(parameters, self.cfg.grad_clip)
            self.optimizer.step()
            rate = self.rate()
            self.schedule.step()
        return {**sums.row("train"), "learning_rate": rate, **self.objective.state()}

    def rate(self) -> float:
        """The learning rate of the next step, before the groups' own multiples."""
        return float(self.cfg.learning_rate * self.schedule.get_last_lr()[0] / self.schedule.base_lrs[0])


def train(
    cfg: Train,
    setup: Setup,
    progress: Progress,
    *,
    log: Callable[[dict[str, Any]], None],
    save: Callable[[Progress, Result], None],
) -> None:
    """Train `setup.retriever` in place, filling `progress`; `save` is called when the weights are the best.

    The last weights stay in the model; the best are wherever `save` put them.

    Raises FloatingPointError when the loss is no longer finite, KeyboardInterrupt when interrupted;
    `progress` then holds every whole epoch.
    """
    model = setup.retriever.two_tower
    objective = losses.build(cfg.loss).to(next(model.parameters()).device)
    optimizer = optim.build(cfg, model.rates(cfg.word_rate), model, objective)
    schedule = optim.schedule(cfg, optimizer, cfg.epochs * setup.train.batches(cfg.batch_size))
    stepper = Stepper(model, objective, optimizer, schedule, cfg)
    for epoch in range(cfg.epochs + 1):
        row: dict[str, Any] = {"epoch": epoch}
        result = None
        if epoch > 0:
            model.train_words(0 <= cfg.freeze_epochs < epoch)
            started = time.perf_counter()
            row |= stepper.epoch(_batches(cfg, setup, epoch))
            row["seconds"] = time.perf_counter() - started
            progress.seconds += row["seconds"]
            progress.pairs += len(setup.train)
        if cfg.eval_every_epoch or epoch in (0, cfg.epochs):
            result = evaluated(cfg, setup, cfg.eval_max_queries)
            row |= _dev_row(cfg, setup, objective) | result.metrics
        progress.history.append(row)
        log(row)
        if result and best(progress.history, cfg.select) == len(progress.history) - 1:
            save(progress, result)
        if epoch < cfg.epochs and exhausted(progress.history, cfg.select, cfg.patience):
            progress.stopped = f"no better {cfg.select} in {cfg.patience} evaluations"
            return


def scored(model: TwoTower, batch: Batch) -> tuple[Tensor, Tensor]:
    """The score matrix (B, C) of a batch, the only place where the towers meet, and its mask."""
    device = next(model.parameters()).device
    queries = model.embed_queries(*tensors(batch.queries, device))
    docs = model.embed_docs(*tensors(batch.docs, device))
    return queries @ docs.T, torch.from_numpy(batch.relevant).to(device)


def evaluated(cfg: Train, setup: Setup, limit: int = 0) -> Result:
    """The model as it is now on dev, full corpus; on the first `limit` queries only, if that is not 0."""
    judgements = first_queries(setup.judgements, limit, cfg.min_grade)
    model = setup.retriever.two_tower
    queries = encode.encode_queries(model, setup.queries.take(np.unique(judgements.queries)))
    docs = encode.encode_docs(model, setup.docs)
    return evaluate(queries, docs, judgements, ks=cfg.k, min_grade=cfg.min_grade, chunk=CHUNK)


def first_queries(judgements: Judgements, limit: int, min_grade: int) -> Judgements:
    """The judgements of the first `limit` queries that have a relevant document; all if `limit` is 0."""
    if not limit:
        return judgements
    chosen = np.unique(judgements.queries[judgements.grades >= min_grade])[:limit]
    kept = np.isin(judgements.queries, chosen)
    return Judgements(judgements.queries[kept], judgements.docs[kept], judgements.grades[kept])


def _dev_row(cfg: Train, setup: Setup, objective: Objective) -> dict[str, float]:
    """Loss and accuracy on the pairs of dev, with the same kind of batches; always the same ones."""
    model = setup.retriever.two_tower
    model.eval()
    sums = Sums()
    batches = setup.dev.epoch(cfg.seed, 0, batch_size=cfg.batch_size, random_negatives=cfg.random_negatives)
    with torch.inference_mode():
        for batch in batches:
            sums.add(objective, *scored(model, batch))
    return sums.row("dev")


def _batches(cfg: Train, setup: Setup, epoch: int) -> Iterable[Batch]:
    """The epoch's batches, with a bar on a terminal."""
    batches = setup.train.epoch(
        cfg.seed, epoch, batch_size=cfg.batch_size, random_negatives=cfg.random_negatives
    )
    bar: Iterable[Batch] = tqdm(
        batches,
        total=setup.train.batches(cfg.batch_size),
        desc=f"epoch {epoch}/{cfg.epochs}",
        unit="batch",
        leave=False,
        disable=None,  # silent where stderr is no terminal
    )
    return bar
