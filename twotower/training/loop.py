"""Training, read top to bottom: epochs of steps, an evaluation after each, the best weights kept.

    batch -> unit vectors -> scores (B, C) -> loss -> step
    epoch -> evaluate -> history row -> save if better

Row 0 of the history is the untrained model. The loop starts wherever the session stands, in mid-epoch too.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from tqdm import tqdm

from twotower.config import Train
from twotower.data.batches import Batch, TrainingPairs
from twotower.data.collection import Judgements
from twotower.evaluation import candidates, geometry
from twotower.evaluation.evaluate import Result, evaluate, evaluate_lists
from twotower.model import encode
from twotower.training.history import Row, exhausted
from twotower.training.resume import Saver
from twotower.training.session import Session
from twotower.training.setup import Setup
from twotower.training.step import Sums

CHUNK = 65_536
"""Documents searched at a time."""


def train(session: Session, saver: Saver, take: Callable[[Row, Result | None], None]) -> None:
    """Train the session's model in place; `take` is given each row and evaluation, by the leader alone.

    The last weights stay in the model; the best are wherever `take` put them.

    Raises FloatingPointError when the loss is no longer finite, KeyboardInterrupt when asked to stop; the
    session's progress then holds every whole epoch.
    """
    cfg, progress, group = session.cfg, session.progress, session.group
    while progress.epoch <= cfg.epochs and not progress.stopped:
        row: dict[str, Any] = {"epoch": progress.epoch}
        if progress.epoch > 0:
            row |= _steps(session, saver)
        result = None
        if group.leads and (cfg.eval_every_epoch or progress.epoch in (0, cfg.epochs)):
            # the other processes wait for the row: one that left alone would leave them hanging
            with session.stop.at_once(group.size == 1), saver.evaluating():
                result = evaluated(cfg, session.work, cfg.eval_max_queries)
                row |= _dev_row(session) | result.metrics
                row |= {f"geometry_{name}": value for name, value in result.geometry.items()}
        row = group.tell(row)
        progress.history.append(row)
        progress.pairs += len(session.work.train) if progress.epoch else 0
        if group.leads:
            take(row, result)
        progress.turn()
        if progress.epoch <= cfg.epochs and exhausted(progress.history, cfg.select, cfg.patience):
            progress.stopped = f"no better {cfg.select} in {cfg.patience} evaluations"
        saver.between()


def _steps(session: Session, saver: Saver) -> dict[str, Any]:
    """What is left of the epoch under way, and its training figures."""
    cfg, progress, stepper = session.cfg, session.progress, session.stepper
    session.work.retriever.two_tower.train_words(0 <= cfg.freeze_epochs < progress.epoch)
    stepper.schedule.follow(progress.history)
    saver.begin()
    stepper.epoch(_batches(session), progress.sums, saver.after)
    figures = {**progress.sums.row("train"), "learning_rate": progress.sums.rate}
    return {**figures, **stepper.objective.state(), "seconds": progress.spent}


def evaluated(cfg: Train, setup: Setup, limit: int = 0) -> Result:
    """The model as it is now on dev; on the first `limit` queries only, if that is not 0."""
    judgements = first_queries(setup.judgements, limit, cfg.min_grade)
    model = setup.retriever.two_tower
    queries = encode.encode_queries(model, setup.queries.take(np.unique(judgements.queries)))
    if setup.lists:
        lists = candidates.judged(judgements)
        docs = encode.encode_docs(model, setup.docs.take(lists.members))
        result = evaluate_lists(queries, docs, judgements, lists, ks=cfg.k, min_grade=cfg.min_grade)
        pairs = geometry.relevant_pairs(judgements, lists.members, cfg.min_grade)
    else:
        docs = encode.encode_docs(model, setup.docs)
        result = evaluate(queries, docs, judgements, ks=cfg.k, min_grade=cfg.min_grade, chunk=CHUNK)
        pairs = geometry.relevant_pairs(judgements, None, cfg.min_grade)
    assert result.ranking is not None  # it was made here
    # who is in which list was not the model's choice, so there are no hubs among them
    ranked = replace(result.ranking, rows=None) if setup.lists else result.ranking
    seeded = np.random.default_rng(cfg.seed)  # the same documents at each evaluation
    return replace(result, geometry=geometry.measure(queries, docs, pairs, ranked, seeded))


def first_queries(judgements: Judgements, limit: int, min_grade: int) -> Judgements:
    """The judgements of the first `limit` queries that have a relevant document; all if `limit` is 0."""
    if not limit:
        return judgements
    chosen = np.unique(judgements.queries[judgements.grades >= min_grade])[:limit]
    kept = np.isin(judgements.queries, chosen)
    return Judgements(judgements.queries[kept], judgements.docs[kept], judgements.grades[kept])


def _dev_row(session: Session) -> dict[str, float]:
    """Loss and accuracy on the pairs of dev, with the same kind of batches; always the same ones."""
    sums = Sums()
    for batch in _drawn(session, session.work.dev, 0):
        session.stepper.count(batch, sums)
    return sums.row("dev")


def _drawn(session: Session, pairs: TrainingPairs, epoch: int, first: int = 0) -> Iterator[Batch]:
    """The epoch's batches of `pairs` from the `first` on, as the knobs say."""
    cfg = session.cfg
    return pairs.epoch(
        cfg.seed,
        epoch,
        batch_size=session.batch_size,
        random_negatives=cfg.random_negatives,
        given_negatives=cfg.given_negatives,
        first=first,
    )


def _batches(session: Session) -> Iterable[Batch]:
    """The batches that are left of the epoch under way, with a bar on a terminal."""
    cfg, pairs, progress = session.cfg, session.work.train, session.progress
    done = progress.sums.batches
    bar: Iterable[Batch] = tqdm(
        _drawn(session, pairs, progress.epoch, done),
        total=session.batches,
        initial=done,
        desc=f"epoch {progress.epoch}/{cfg.epochs}",
        unit="batch",
        leave=False,
        # silent where stderr is no terminal
        disable=None if session.group.leads else True,
    )
    return bar
