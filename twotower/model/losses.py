"""The losses, all over one score matrix and its masks.

    scores (B, C)    cosine of query i and document j
    relevant (B, C)  True where document j is known to be relevant to query i; column i is row i's positive
    given (B, C)     True where document j is known not to be: it was judged so

A loss is a sum over rows, and where it is symmetric over columns too, divided by the number of its terms: so
it can be had from some rows at a time. Column `first` + i is then the positive of row i.
Every other True entry of `relevant` is left out: a document known to be relevant is never pushed away.
"""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from twotower import config

Scores = Float[Tensor, "B C"]
Relevant = Bool[Tensor, "B C"]
Given = Bool[Tensor, "B C"]
Scalar = Float[Tensor, ""]

COLDEST, WARMEST = 0.01, 1.0
"""Bounds of a learned temperature (CLIP: Radford et al., 2021)."""
NEAREST = 1e-6
"""Added to a squared distance, so that its root has a gradient at 0."""


class Part(NamedTuple):
    """What some rows or columns of a score matrix add; the loss is the sum of totals / that of weights."""

    total: Scalar
    weight: Scalar
    """How many terms the total has, of those that the loss is the mean of; it has no gradient."""


class Outcome(NamedTuple):
    """What a batch gives."""

    loss: Scalar
    accuracy: Scalar
    """Share of the queries whose positive scores highest in the batch; chance is 1 / candidates."""


def contrastive(logits: Scores, *, first: int = 0) -> Part:
    """-log softmax at each row's positive, one term a row.

    InfoNCE: van den Oord et al., 2018, eq. 4.
    """
    target = torch.arange(first, first + len(logits), device=logits.device)
    return Part(F.cross_entropy(logits, target, reduction="sum"), logits.new_tensor(len(logits)))


def softened(scores: Scores, relevant: Relevant, *, temperature: float | Scalar, first: int = 0) -> Scores:
    """Scores / temperature, and minus infinity for what is known to be relevant beside the positive."""
    return (scores / temperature).masked_fill(others(relevant, first), -torch.inf)


def triplet(scores: Scores, relevant: Relevant, cfg: config.Triplet, *, first: int = 0) -> Part:
    """Hinges max(0, margin + d(positive) - d(negative)); what `relevant` marks is no negative.

    FaceNet: Schroff et al., 2015, eq. 3. `hardest` takes each query's highest-scoring negative, one term a
    row (Hermans et al., 2017, batch hard); otherwise the terms are all negatives that violate the margin. A
    query without a negative adds 0. With cosine, d is minus the score.
    """
    close = closeness(scores, cfg.distance)
    hinge = cfg.margin + close - close.diagonal(first)[:, None]
    hinge = hinge.masked_fill(relevant | diagonal(relevant, first), 0).clamp(min=0)
    if cfg.hardest:
        return Part(hinge.amax(dim=1).sum(), scores.new_tensor(len(scores)))
    return Part(hinge.sum(), (hinge > 0).sum().to(scores.dtype))


def closeness(scores: Scores, distance: config.Distance) -> Scores:
    """The score itself, or minus the Euclidean distance of the unit vectors, -sqrt(2 - 2 score).

    >>> closeness(torch.tensor([[1.0, 0.5, -1.0]]), config.Distance.l2).round(decimals=2).tolist()
    [[-0.0, -1.0, -2.0]]
    """
    match distance:
        case config.Distance.cosine:
            return scores
        case config.Distance.l2:
            return -(2 - 2 * scores).clamp(min=0).add(NEAREST).sqrt()


def judged_margin(scores: Scores, relevant: Relevant, given: Given, *, margin: float, first: int = 0) -> Part:
    """A term a judged pair: 1 - score of a row's positive, max(0, score - margin) of a given negative.

    torch.nn.CosineEmbeddingLoss over those pairs. A row without a given negative has its positive alone; one
    whose own column is given has no positive.
    """
    own = asked(given, first=first)
    negatives = given & ~(relevant | (diagonal(relevant, first) & own[:, None]))
    pushed = (scores - margin).masked_fill(~negatives, 0).clamp(min=0).sum()
    pulled = (1 - scores.diagonal(first)).masked_fill(~own, 0).sum()
    return Part(pulled + pushed, (own.sum() + negatives.sum()).to(scores.dtype))


def asked(given: Given, *, first: int = 0) -> Bool[Tensor, " B"]:
    """Which rows have a positive: all but those of pairs that are themselves given negatives."""
    return ~given.diagonal(first)


def on_top(scores: Scores, relevant: Relevant, given: Given, *, first: int = 0) -> Scalar:
    """How many queries have a positive that scores higher than each negative."""
    negatives = scores.masked_fill(relevant | diagonal(relevant, first), -torch.inf)
    best = scores.diagonal(first) > negatives.amax(dim=1)
    return (best & asked(given, first=first)).sum().to(scores.dtype)


def diagonal(relevant: Relevant, first: int = 0) -> Relevant:
    """True where a row meets its positive: row i, column `first` + i.

    >>> diagonal(torch.zeros(2, 3, dtype=torch.bool), 1).int().tolist()
    [[0, 1, 0], [0, 0, 1]]
    """
    mask = torch.zeros_like(relevant)
    mask.diagonal(first).fill_(True)
    return mask


def others(relevant: Relevant, first: int = 0) -> Relevant:
    """What is known to be relevant beside the row's own positive."""
    return relevant & ~diagonal(relevant, first)


class Objective(nn.Module):
    """What training minimises; it holds the learned temperature, if there is one."""

    def __init__(self, cfg: config.Loss) -> None:
        super().__init__()
        self.cfg = cfg
        self.log_temperature: nn.Parameter | None = None
        if isinstance(cfg, config.Contrastive) and cfg.learn_temperature:
            start = min(max(cfg.temperature, COLDEST), WARMEST)
            self.log_temperature = nn.Parameter(torch.tensor(math.log(start)))

    def forward(self, scores: Scores, relevant: Relevant, given: Given) -> Outcome:
        """Loss and in-batch top-1 accuracy of a whole batch."""
        match self.cfg:
            case config.Contrastive(temperature=fixed, symmetric=True):
                logits = softened(scores, relevant, temperature=self._temperature(fixed))
                parts = [contrastive(logits), contrastive(logits[:, : len(logits)].T)]
            case _:
                parts = [self.rows(scores, relevant, given)]
        total, weight = (sum(values[1:], start=values[0]) for values in zip(*parts, strict=True))
        with torch.no_grad():
            accuracy = on_top(scores, relevant, given) / asked(given).sum().clamp(min=1)
        return Outcome(total / weight.clamp(min=1), accuracy)

    @property
    def symmetric(self) -> bool:
        """Whether the loss has `columns` beside `rows`."""
        return isinstance(self.cfg, config.Contrastive) and self.cfg.symmetric

    def rows(self, scores: Scores, relevant: Relevant, given: Given, *, first: int = 0) -> Part:
        """What rows add of the score matrix, all columns of each; the positive of row i is `first` + i."""
        match self.cfg:
            case config.Contrastive(temperature=fixed):
                temperature = self._temperature(fixed)
                return contrastive(
                    softened(scores, relevant, temperature=temperature, first=first), first=first
                )
            case config.Triplet():
                left_out = relevant | ~given if needs_given(self.cfg) else relevant
                return triplet(scores, left_out, self.cfg, first=first)
            case config.Margin(margin=margin):
                return judged_margin(scores, relevant, given, margin=margin, first=first)
            case _:
                raise TypeError(f"no loss for {type(self.cfg).__name__}; want Contrastive, Triplet or Margin")

    def columns(self, scores: Scores, relevant: Relevant, *, first: int = 0) -> Part:
        """What columns of the first B add, all rows of each: the same loss from documents to queries."""
        return self.rows(scores.T, relevant.T, torch.zeros_like(relevant.T), first=first)

    def state(self) -> dict[str, float]:
        """What a history row shows of it: the temperature, if there is one."""
        match self.cfg:
            case config.Contrastive(temperature=fixed):
                return {"temperature": float(torch.as_tensor(self._temperature(fixed)).detach())}
            case _:
                return {}

    def _temperature(self, fixed: float) -> float | Scalar:
        if self.log_temperature is None:
            return fixed
        with torch.no_grad():  # clamping the parameter itself keeps its gradient alive at the bounds
            self.log_temperature.clamp_(math.log(COLDEST), math.log(WARMEST))
        return self.log_temperature.exp()


def build(cfg: config.Loss) -> Objective:
    """The objective that `cfg` selects."""
    return Objective(cfg)


def needs_given(cfg: config.Loss) -> bool:
    """Whether a loss pushes away given negatives alone, so that without them it has nothing to push."""
    match cfg:
        case config.Margin() | config.Triplet(negatives=config.Negatives.given):
            return True
        case _:
            return False
