"""Training, read top to bottom: epochs of steps, an evaluation after each, the best weights kept.

    batch -> unit vectors -> scores (B, C) -> loss -> step
    epoch -> evaluate -> history row -> save if better

Row 0 of the history is the untrained model.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from twotower.config import Train
from twotower.data.batches import Batch, TrainingPairs
from twotower.data.collection import Judgements
from twotower.evaluation import candidates
from twotower.evaluation.evaluate import Result, evaluate, evaluate_lists
from twotower.model import encode
from twotower.model.losses import Objective
from twotower.training.group import Group
from twotower.training.history import best, exhausted
from twotower.training.setup import Setup
from twotower.training.step import Stepper, Sums, scored

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


def train(
    cfg: Train,
    setup: Setup,
    progress: Progress,
    *,
    log: Callable[[dict[str, Any]], None],
    save: Callable[[Progress, Result], None],
    group: Group | None = None,
) -> None:
    """Train `setup.retriever` in place, filling `progress`; `save` is called when the weights are the best.

    The last weights stay in the model; the best are wherever `save` put them.

    Raises FloatingPointError when the loss is no longer finite, KeyboardInterrupt when interrupted;
    `progress` then holds every whole epoch.
    """
    model = setup.retriever.two_tower
    stepper = Stepper(cfg, model, setup.train.batches(cfg.batch_size), group or Group())
    for epoch in range(cfg.epochs + 1):
        row: dict[str, Any] = {"epoch": epoch}
        result = None
        if epoch > 0:
            model.train_words(0 <= cfg.freeze_epochs < epoch)
            stepper.schedule.follow(progress.history)
            started, sums = time.perf_counter(), Sums()
            stepper.epoch(_batches(cfg, setup, epoch), sums, lambda: None)
            row |= {**sums.row("train"), "learning_rate": sums.rate, **stepper.objective.state()}
            row["seconds"] = time.perf_counter() - started
            progress.seconds += row["seconds"]
            progress.pairs += len(setup.train)
        if cfg.eval_every_epoch or epoch in (0, cfg.epochs):
            result = evaluated(cfg, setup, cfg.eval_max_queries)
            row |= _dev_row(cfg, setup, stepper.objective) | result.metrics
        progress.history.append(row)
        log(row)
        if result and best(progress.history, cfg.select) == len(progress.history) - 1:
            save(progress, result)
        if epoch < cfg.epochs and exhausted(progress.history, cfg.select, cfg.patience):
            progress.stopped = f"no better {cfg.select} in {cfg.patience} evaluations"
            return


def evaluated(cfg: Train, setup: Setup, limit: int = 0) -> Result:
    """The model as it is now on dev; on the first `limit` queries only, if that is not 0."""
    judgements = first_queries(setup.judgements, limit, cfg.min_grade)
    model = setup.retriever.two_tower
    queries = encode.encode_queries(model, setup.queries.take(np.unique(judgements.queries)))
    if setup.lists:
        lists = candidates.judged(judgements)
        docs = encode.encode_docs(model, setup.docs.take(lists.members))
        return evaluate_lists(queries, docs, judgements, lists, ks=cfg.k, min_grade=cfg.min_grade)
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
    with torch.inference_mode():
        for batch in _drawn(cfg, setup.dev, 0):
            sums.add(objective, *scored(model, batch))
    return sums.row("dev")


def _drawn(cfg: Train, pairs: TrainingPairs, epoch: int) -> Iterable[Batch]:
    """The epoch's batches of `pairs`, as the knobs say."""
    return pairs.epoch(
        cfg.seed,
        epoch,
        batch_size=cfg.batch_size,
        random_negatives=cfg.random_negatives,
        given_negatives=cfg.given_negatives,
    )


def _batches(cfg: Train, setup: Setup, epoch: int) -> Iterable[Batch]:
    """The epoch's batches, with a bar on a terminal."""
    bar: Iterable[Batch] = tqdm(
        _drawn(cfg, setup.train, epoch),
        total=setup.train.batches(cfg.batch_size),
        desc=f"epoch {epoch}/{cfg.epochs}",
        unit="batch",
        leave=False,
        disable=None,  # silent where stderr is no terminal
    )
    return bar
