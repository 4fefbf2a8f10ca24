"""One step: a batch to unit vectors, to scores, to a loss, to an update of the weights.

Sums of an epoch: loss and in-batch accuracy, each with what equal scores would give
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from twotower.config import Train
from twotower.data.batches import Batch
from twotower.model import losses
from twotower.model.losses import Objective
from twotower.model.two_tower import TwoTower
from twotower.model.words import tensors
from twotower.training import optim
from twotower.training.group import Group


@dataclass
class Sums:
    """Sums over the pairs of an epoch; the chance levels are those of equal scores."""

    loss: float = 0.0
    chance_loss: float = 0.0
    correct: float = 0.0
    chance: float = 0.0
    pairs: int = 0
    batches: int = 0
    """Batches counted: where in the epoch it stands."""
    rate: float = 0.0
    """Learning rate of the last step."""

    def add(self, objective: Objective, scores: Tensor, relevant: Tensor, given: Tensor) -> Tensor:
        """Count one batch and return its loss."""
        outcome = objective(scores, relevant, given)
        with torch.no_grad():
            equal = objective(torch.zeros_like(scores), relevant, given)
        pairs = len(scores)
        self.loss += pairs * outcome.loss.item()
        self.chance_loss += pairs * equal.loss.item()
        self.correct += pairs * outcome.accuracy.item()
        # a row's candidates are its positive and whatever is not known to be relevant
        self.chance += (1 / ((~relevant).sum(dim=1) + 1)).sum().item()
        self.pairs += pairs
        self.batches += 1
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


class Stepper:
    """All that a step changes: model, objective, optimizer, learning rate."""

    def __init__(self, cfg: Train, model: TwoTower, epoch_batches: int, group: Group) -> None:
        """`epoch_batches` is the number of batches of an epoch."""
        self.cfg, self.model, self.group = cfg, model, group
        self.objective = losses.build(cfg.loss).to(next(model.parameters()).device)
        self.optimizer = optim.build(cfg, model.rates(cfg.word_rate), model, self.objective)
        self.schedule = optim.Schedule(cfg, self.optimizer, epoch_batches)

    def epoch(self, batches: Iterable[Batch], sums: Sums, after: Callable[[], None]) -> None:
        """Step through what is left of an epoch, counting in `sums`; `after` is called after each step.

        Raises FloatingPointError when the loss is no longer finite.
        """
        self.model.train()
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
            sums.rate = self.rate()
            self.schedule.step()
            after()

    def rate(self) -> float:
        """The learning rate of the next step, before the groups' own multiples."""
        return float(self.cfg.learning_rate * self.schedule.factor)

    def state(self) -> dict[str, Any]:
        """What continuing exactly needs beside the model's weights: tensors and plain types."""
        return {
            "objective": self.objective.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "taken": self.schedule.taken,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.objective.load_state_dict(state["objective"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.taken = state["taken"]


def scored(model: TwoTower, batch: Batch) -> tuple[Tensor, Tensor, Tensor]:
    """The score matrix (B, C) of a batch, the only place where the towers meet, and its masks."""
    device = next(model.parameters()).device
    queries = model.embed_queries(*tensors(batch.queries, device))
    docs = model.embed_docs(*tensors(batch.docs, device))
    relevant, given = (torch.from_numpy(mask).to(device) for mask in (batch.relevant, batch.given))
    return queries @ docs.T, relevant, given
