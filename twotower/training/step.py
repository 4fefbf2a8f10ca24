"""One step: a few batches to unit vectors, to scores, to a loss, to an update of the weights.

    plain      texts -> Q, D -> scores (B, C) -> loss -> gradients
    in blocks  texts of this process -> all processes' Q, D -> blocks of scores -> gradients of Q, D -> texts

Both give the same gradients. The second is for GradCache (`cache_chunk`) and for several processes, of which
each embeds its share of the texts and looks at the scores of its share of the queries.
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass
from itertools import islice
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from twotower.config import Train
from twotower.data.batches import WHOLE, Batch
from twotower.model import blocks, losses
from twotower.model.blocks import Marks, Pieces, Tally
from twotower.model.two_tower import TwoTower
from twotower.model.words import tensors
from twotower.text.ragged import Ragged
from twotower.training import machine, optim
from twotower.training.group import Group


@dataclass
class Sums:
    """Sums over the pairs of an epoch; the chance levels are those of equal scores."""

    loss: float = 0.0
    chance_loss: float = 0.0
    correct: float = 0.0
    chance: float = 0.0
    asked: float = 0.0
    """Pairs that are no given negative themselves: those that the accuracy is of."""
    pairs: int = 0
    batches: int = 0
    """Batches counted: where in the epoch it stands."""
    rate: float = 0.0
    """Learning rate of the last step."""

    def add(self, tally: Tally, pairs: int) -> None:
        """Count one batch."""
        self.loss += pairs * tally.loss
        self.chance_loss += pairs * tally.chance_loss
        self.correct += tally.correct
        self.chance += tally.chance
        self.asked += tally.asked
        self.pairs += pairs
        self.batches += 1

    def row(self, prefix: str) -> dict[str, float]:
        """Means, each with its chance level beside it."""
        return {
            f"{prefix}_loss": self.loss / self.pairs,
            f"{prefix}_loss_chance": self.chance_loss / self.pairs,
            f"{prefix}_accuracy": self.correct / max(self.asked, 1.0),
            f"{prefix}_accuracy_chance": self.chance / max(self.asked, 1.0),
        }


class Stepper:
    """All that a step changes: model, objective, optimizers, learning rate, and the scale of fp16's loss."""

    def __init__(self, cfg: Train, model: TwoTower, epoch_batches: int, group: Group) -> None:
        """`epoch_batches` is the number of batches of an epoch."""
        self.cfg, self.model, self.group = cfg, model, group
        if group.rank:
            torch.manual_seed(cfg.seed + group.rank)  # the first process has drawn all that must be alike
        self.device = next(model.parameters()).device
        self.cast_to = machine.set_precision(cfg.precision)
        if cfg.compile:
            for tower in (model.query_tower, model.doc_tower):
                tower.compile(dynamic=True)  # in place: parameters keep their names
        self.objective = losses.build(cfg.loss).to(self.device)
        rates = model.rates(cfg.word_rate)
        self.optimizers = [optim.build(cfg, rates, model, self.objective)]
        if cfg.sparse_words:
            self.optimizers.append(optim.build_rows(cfg, rates, model))
        for table in (model.words, model.doc_words):
            if table is not None:
                table.sparse = cfg.sparse_words
        self.schedule = optim.Schedule(cfg, self.optimizers, -(-epoch_batches // cfg.accumulate))
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=self.cast_to is torch.float16)

    def epoch(self, batches: Iterable[Batch], sums: Sums, after: Callable[[], None]) -> None:
        """Step through what is left of an epoch, counting in `sums`; `after` is called after each step.

        Raises FloatingPointError when the loss is no longer finite.
        """
        self.model.train()
        for several in _groups(batches, self.cfg.accumulate):
            for optimizer in self.optimizers:
                optimizer.zero_grad(set_to_none=True)
            for batch in several:
                sums.add(self.learn(batch, 1 / len(several)), len(batch.queries))
            self._update()
            sums.rate = self.rate()
            self.schedule.step()
            after()

    def learn(self, batch: Batch, share: float = 1.0) -> Tally:
        """Add to the weights' gradients those of `share` times the loss of a batch; on this process's texts.

        Raises FloatingPointError when the loss is not finite.
        """
        if self.group.size > 1 or self.cfg.cache_chunk:
            return self._learn_in_blocks(batch, share)
        queries, docs = self._queries(batch.queries), self._docs(batch.docs)
        marks = self._marks(batch)(WHOLE, WHOLE)
        loss, tally = blocks.whole(self.objective, queries @ docs.T, *marks)
        self._check(tally)
        self.scaler.scale(loss * share).backward()  # type: ignore[no-untyped-call]
        return tally

    def count(self, batch: Batch, sums: Sums) -> None:
        """Count a batch in `sums` as one process alone, without dropout and in fp32, and learn nothing."""
        self.model.eval()
        queries, docs = self._all_in_pieces(batch, Group())
        rows = slice(0, len(batch.queries))
        both = queries.vectors, docs.vectors
        sums.add(blocks.tally(self.objective, both, self._marks(batch), rows), len(batch.queries))

    def rate(self) -> float:
        """The learning rate of the next step, before the groups' own multiples."""
        return float(self.cfg.learning_rate * self.schedule.factor)

    def state(self) -> dict[str, Any]:
        """What continuing exactly needs beside the model's weights: tensors and plain types."""
        return {
            "objective": self.objective.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
            "scaler": self.scaler.state_dict(),
            "taken": self.schedule.taken,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """The inverse of `state`."""
        self.objective.load_state_dict(state["objective"])
        for optimizer, kept in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        if state["scaler"]:
            self.scaler.load_state_dict(state["scaler"])
        self.schedule.resume(state["taken"])

    def _learn_in_blocks(self, batch: Batch, share: float) -> Tally:
        group, counts = self.group, (len(batch.queries), len(batch.docs))
        sides = self._all_in_pieces(batch, group)
        queries, docs = (group.gather(side.vectors, count) for side, count in zip(sides, counts, strict=True))
        own = group.share(len(batch.queries))
        tally, found = blocks.gradients(self.objective, (queries, docs), self._marks(batch), own)
        leaves = [found.queries, found.docs]
        group.add(leaves)
        summed = torch.tensor(astuple(tally), dtype=torch.float64, device=group.device)
        group.add([summed])
        tally = Tally(*summed.tolist())
        self._check(tally)
        factor = share / max(tally.weight, 1.0)
        for side, leaf, count in zip(sides, leaves, counts, strict=True):
            side.backward(self.scaler.scale(leaf * factor)[group.share(count)])
        for parameter, part in zip(self.objective.parameters(), found.parameters, strict=True):
            scaled = self.scaler.scale(part * factor)
            parameter.grad = scaled if parameter.grad is None else parameter.grad + scaled
        return tally

    def _update(self) -> None:
        """Step along the gradients of all processes."""
        if self.group.size > 1:
            self.group.add([_gradient(p) for p in _trained(self.model, self.objective)])
        for optimizer in self.optimizers:
            self.scaler.unscale_(optimizer)
        if self.cfg.grad_clip:
            optim.clip(self.optimizers, self.cfg.grad_clip)
        for optimizer in self.optimizers:
            self.scaler.step(optimizer)
        self.scaler.update()

    def _check(self, tally: Tally) -> None:
        if not math.isfinite(tally.loss):
            raise FloatingPointError(
                f"the loss became {tally.loss} at learning rate {self.rate():.2g}; lower learning_rate"
            )

    def _queries(self, texts: Ragged) -> Tensor:
        return self._embed(self.model.embed_queries, texts)

    def _docs(self, texts: Ragged) -> Tensor:
        return self._embed(self.model.embed_docs, texts)

    def _embed(self, tower: Callable[[Tensor, Tensor], Tensor], texts: Ragged) -> Tensor:
        bags = tensors(texts, self.device)
        if self.cast_to is None or not self.model.training:
            return tower(*bags)
        with torch.autocast(self.device.type, self.cast_to):
            vectors = tower(*bags)
        # they have unit length only as far as their numbers reach; a vector of zeros stays one
        return F.normalize(vectors.float(), eps=0.5)

    def _all_in_pieces(self, batch: Batch, group: Group) -> tuple[Pieces, Pieces]:
        """A process's share of the queries and of the documents, `cache_chunk` at a time."""
        none = next(self.model.parameters()).new_zeros(0, self.cfg.dim)
        queries, docs = (
            Pieces(embed, texts, list(blocks.cut(group.share(len(texts)), self.cfg.cache_chunk)), none)
            for embed, texts in ((self._queries, batch.queries), (self._docs, batch.docs))
        )
        return queries, docs

    def _marks(self, batch: Batch) -> Marks:
        """The masks of some rows and columns, on the device."""

        def some(rows: slice, columns: slice) -> tuple[Tensor, Tensor]:
            relevant, given = batch.marks(rows, columns)
            return torch.from_numpy(relevant).to(self.device), torch.from_numpy(given).to(self.device)

        return some


def _groups(batches: Iterable[Batch], size: int) -> Iterator[list[Batch]]:
    """So many batches at a time, fewer at the end."""
    left = iter(batches)
    while several := list(islice(left, size)):
        yield several


def _trained(*modules: nn.Module) -> list[nn.Parameter]:
    return [p for module in modules for p in module.parameters() if p.requires_grad]


def _gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient; zeros where this process had no text to learn from."""
    if parameter.grad is None:
        parameter.grad = torch.zeros_like(parameter)
    return parameter.grad
