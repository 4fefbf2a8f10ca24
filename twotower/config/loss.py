"""The losses: `loss=contrastive|triplet`, both over one score matrix and its mask of known positives."""

from dataclasses import dataclass

from twotower.config.knobs import knob


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
    """Hinge on the margin between a positive's and a negative's cosine."""

    margin: float = knob(0.2, above=0, at_most=2)
    """By how much a positive must outscore a negative, in cosine."""
    hardest: bool = True
    """Only the highest-scoring negative of each query counts; otherwise all that violate the margin."""
