"""The losses, all over one score matrix and its masks.

    scores (B, C)    cosine of query i and document j
    relevant (B, C)  True where document j is known to be relevant to query i; column i is row i's positive
    given (B, C)     True where document j is known not to be: it was judged so

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


class Outcome(NamedTuple):
    """What a batch gives."""

    loss: Scalar
    accuracy: Scalar
    """Share of the queries whose positive scores highest in the batch; chance is 1 / candidates."""


def contrastive(
    scores: Scores, relevant: Relevant, *, temperature: float | Scalar, symmetric: bool
) -> Scalar:
    """Mean over queries of -log softmax(scores / temperature) at the positive.

    InfoNCE: van den Oord et al., 2018, eq. 4. `symmetric` takes the mean with the same loss from the first B
    documents to the queries.
    """
    target = torch.arange(len(scores), device=scores.device)
    logits = (scores / temperature).masked_fill(others(relevant), -torch.inf)
    loss = F.cross_entropy(logits, target)
    if symmetric:
        loss = (loss + F.cross_entropy(logits[:, : len(scores)].T, target)) / 2
    return loss


def triplet(
    scores: Scores, relevant: Relevant, *, margin: float, hardest: bool, distance: config.Distance
) -> Scalar:
    """Mean hinge max(0, margin + d(positive) - d(negative)); what `relevant` marks is no negative.

    FaceNet: Schroff et al., 2015, eq. 3. `hardest` takes each query's highest-scoring negative and the mean
    over queries (Hermans et al., 2017, batch hard); otherwise the mean is over all negatives that violate the
    margin, 0 if none does. A query without a negative counts 0. With cosine, d is minus the score.
    """
    close = closeness(scores, distance)
    hinge = margin + close - close.diagonal()[:, None]
    hinge = hinge.masked_fill(relevant | diagonal(relevant), 0).clamp(min=0)
    if hardest:
        return hinge.amax(dim=1).mean()
    return hinge.sum() / (hinge > 0).sum().clamp(min=1)


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


def judged_margin(scores: Scores, relevant: Relevant, given: Given, *, margin: float) -> Scalar:
    """Mean over the judged pairs: 1 - score of a row's positive, max(0, score - margin) of a given negative.

    torch.nn.CosineEmbeddingLoss over those pairs. A row without a given negative has its positive alone.
    """
    negatives = given & ~(relevant | diagonal(relevant))
    pushed = (scores - margin).masked_fill(~negatives, 0).clamp(min=0).sum()
    return ((1 - scores.diagonal()).sum() + pushed) / (len(scores) + negatives.sum())


def accuracy(scores: Scores, relevant: Relevant) -> Scalar:
    """Share of the queries whose positive scores higher than each negative."""
    negatives = scores.masked_fill(relevant | diagonal(relevant), -torch.inf)
    return (scores.diagonal() > negatives.amax(dim=1)).float().mean()


def diagonal(relevant: Relevant) -> Relevant:
    """True where column i meets row i.

    >>> diagonal(torch.zeros(2, 3, dtype=torch.bool)).int().tolist()
    [[1, 0, 0], [0, 1, 0]]
    """
    return torch.eye(*relevant.shape, dtype=torch.bool, device=relevant.device)


def others(relevant: Relevant) -> Relevant:
    """What is known to be relevant beside the row's own positive."""
    return relevant & ~diagonal(relevant)


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
        """Loss and in-batch top-1 accuracy."""
        match self.cfg:
            case config.Contrastive(temperature=fixed, symmetric=symmetric):
                temperature = self._temperature(fixed)
                loss = contrastive(scores, relevant, temperature=temperature, symmetric=symmetric)
            case config.Triplet(margin=margin, hardest=hardest, distance=distance):
                left_out = relevant | ~given if needs_given(self.cfg) else relevant
                loss = triplet(scores, left_out, margin=margin, hardest=hardest, distance=distance)
            case config.Margin(margin=margin):
                loss = judged_margin(scores, relevant, given, margin=margin)
            case _:
                raise TypeError(f"no loss for {type(self.cfg).__name__}; want Contrastive, Triplet or Margin")
        with torch.no_grad():
            return Outcome(loss, accuracy(scores, relevant))

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
