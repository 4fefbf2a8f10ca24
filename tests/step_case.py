"""A narrow model on random texts, and its steps."""

from typing import Any

import numpy as np
import torch

from tests.training_case import TOWERS
from twotower import config
from twotower.data.batches import Batch, TrainingPairs
from twotower.data.collection import Judgements
from twotower.model.two_tower import TwoTower
from twotower.text.ragged import Ragged
from twotower.training.group import Group
from twotower.training.step import Stepper, Sums

WORDS = 40
LOSSES = {
    "contrastive": config.Contrastive(),
    "one-sided": config.Contrastive(symmetric=False, learn_temperature=False),
    "hardest": config.Triplet(),
    "triplet": config.Triplet(hardest=False),
    "l2": config.Triplet(hardest=False, distance=config.Distance.l2),
    "given": config.Triplet(hardest=False, negatives=config.Negatives.given),
    "margin": config.Margin(margin=-0.2),
}


def pairs(count: int = 50) -> TrainingPairs:
    """Random texts; of each query one document is relevant and one is not."""
    rng = np.random.default_rng(0)
    queries, docs = (
        Ragged.of([rng.integers(2, WORDS, rng.integers(1, most)).tolist() for _ in range(count)])
        for most in (5, 9)
    )
    rows = np.arange(count)
    judged = [np.concatenate(parts) for parts in ((rows, rows), (rows, (rows + 1) % count))]
    return TrainingPairs.build(Judgements(*judged, np.repeat([1, 0], count).astype(np.int32)), queries, docs)


PAIRS = pairs()


def stepper(**knobs: Any) -> Stepper:
    """A narrow model, the same for all; `tower` and `loss` by name."""
    group = knobs.pop("group", Group())
    tower = TOWERS[knobs.pop("tower", "mlp")]
    dropout = knobs.pop("dropout", 0.0)
    tower = type(tower)(**{**vars(tower), "dropout": dropout})
    loss = LOSSES[knobs.pop("loss", "contrastive")]
    cfg = config.Train(
        data=config.Docstrings(), query_tower=tower, doc_tower=tower, loss=loss, dim=6,
        **{"epochs": 1, "learning_rate": 0.01, "warmup": 0.0, "batch_size": 20, **knobs},
    )  # fmt: skip
    torch.manual_seed(0)
    vectors = np.random.default_rng(0).standard_normal((WORDS, 5), dtype=np.float32)
    model = TwoTower.build(cfg, vectors, np.ones(WORDS, dtype=np.float32))
    return Stepper(cfg, model, PAIRS.batches(cfg.batch_size), group)


def batches(size: int = 20, **knobs: Any) -> list[Batch]:
    drawn = PAIRS.epoch(0, 1, **{"batch_size": size, "random_negatives": 6, "given_negatives": 1, **knobs})
    return list(drawn)


def gradients(one: Stepper, batch: Batch, *, double: bool) -> dict[str, torch.Tensor]:
    """Of all weights after one batch, and the loss and other figures."""
    if double:
        one.model.double()
        one.objective.double()
    one.model.train()
    torch.manual_seed(5)
    tally = one.learn(batch)
    found = {name: p.grad for module in (one.model, one.objective) for name, p in module.named_parameters()}
    sums = Sums()
    sums.add(tally, len(batch.queries))
    return {**found, "figures": torch.tensor(list(sums.row("train").values()), dtype=torch.float64)}


def assert_equal(got: dict[str, torch.Tensor], want: dict[str, torch.Tensor], tolerance: float) -> None:
    """Each gradient, to within a share of its own size."""
    assert got.keys() == want.keys()
    for name in want:
        apart = (got[name] - want[name]).norm() / want[name].norm().clamp(min=1e-12)
        assert apart <= tolerance, f"{name}: {apart:.2g}"
