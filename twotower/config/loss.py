"""The losses: `loss=contrastive|triplet|margin`, all over one score matrix and its masks."""

from dataclasses import dataclass
from enum import StrEnum

from twotower.config.knobs import knob


class Distance(StrEnum):
    """How far a query and a document lie apart."""

    cosine = "cosine"
    l2 = "l2"


class Negatives(StrEnum):
    """Which documents of a batch are pushed away."""

    batch = "batch"
    given = "given"


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What every loss has: nothing yet."""


@dataclass(frozen=True, kw_only=True)
class Contrastive(Loss):
    """InfoNCE: softmax over the batch's documents (van den Oord et al., 2018)."""

    temperature: float = knob(0.1, above=0, at_most=10)
    """Scores are divided by this; smaller is sharper. Where it is learned, this is its start."""
    learn_temperature: bool = True
    """Learn the temperature, kept between 0.01 and 1 (CLIP: Radford et al., 2021)."""
    symmetric: bool = True
    """Add the same loss from documents to queries."""


@dataclass(frozen=True, kw_only=True)
class Triplet(Loss):
    """Hinge on the margin between a positive's and a negative's closeness to the query."""

    margin: float = knob(0.2, above=0, at_most=2)
    """By how much a positive must be closer than a negative, in units of `distance`."""
    hardest: bool = True
    """Only the highest-scoring negative of each query counts; otherwise all that violate the margin."""
    distance: Distance = Distance.cosine
    """What the margin is measured in: cosine, l2 (of unit vectors, 0 to 2)."""
    negatives: Negatives = Negatives.batch
    """Documents pushed away: batch (all that are not known to be relevant), given (judged not relevant)."""


@dataclass(frozen=True, kw_only=True)
class Margin(Loss):
    """Judged pairs alone: positives to cosine 1, given negatives down to the margin."""

    margin: float = knob(0.5, at_least=-1, at_most=1)
    """Cosine from which on a given negative is pushed away."""
