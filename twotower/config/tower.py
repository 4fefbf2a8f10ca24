"""The towers: `query_tower=mlp|gru doc_tower=mlp|gru`."""

from dataclasses import dataclass
from enum import StrEnum

from omegaconf import MISSING

from twotower.config.knobs import knob


class Activation(StrEnum):
    """Elementwise non-linearity."""

    gelu = "gelu"
    relu = "relu"
    tanh = "tanh"


class Cell(StrEnum):
    """What a recurrent tower computes at each word."""

    gru = "gru"
    lstm = "lstm"
    rnn = "rnn"


class Pooling(StrEnum):
    """How a recurrent tower's states become one vector."""

    last = "last"
    mean = "mean"
    max = "max"
    attention = "attention"


class Bag(StrEnum):
    """What an MLP reads of a text: the bag of its word vectors as one vector."""

    unit = "unit"
    mean = "mean"


@dataclass(frozen=True, kw_only=True)
class Tower:
    """What every tower has."""

    hidden_dim: int = knob(512, at_least=1)
    """Width of the hidden layers, in units."""
    dropout: float = knob(0.0, at_least=0, below=1)
    """Share of units dropped while training."""
    rate: float = knob(1.0, above=0)
    """Learning rate of the layers, as a multiple of `learning_rate`; words have their own."""


@dataclass(frozen=True, kw_only=True)
class FrozenTower:
    """Another checkpoint's document tower, as it is; indexes that it built answer for the new one too."""

    checkpoint: str = MISSING
    """A path, a run's name, @best or @latest; short: doc_tower=frozen:CHECKPOINT."""
    sha256: str = ""
    """That file's SHA-256, which a run writes down; empty takes the file as it is."""


@dataclass(frozen=True, kw_only=True)
class MLPTower(Tower):
    """Weighted sum of word vectors, normalised, then a multi-layer perceptron."""

    hidden_dim: int = knob(256, at_least=1)
    """Width of the hidden layers, in units."""
    rate: float = knob(0.1, above=0)
    """Learning rate of the layers, as a multiple of `learning_rate`; words have their own."""
    num_layers: int = knob(1, at_least=0)
    """Hidden layers; 0 leaves one linear map."""
    activation: Activation = Activation.gelu
    """Non-linearity of the hidden layers: gelu, relu, tanh."""
    residual: bool = True
    """Add each hidden layer's input to its output."""
    bag: Bag = Bag.unit
    """Weighted word vectors as one: unit (their sum's direction, times the root of their width) or mean."""


@dataclass(frozen=True, kw_only=True)
class GRUTower(Tower):
    """Recurrent cells over the word vectors: gated recurrent units unless `cell` says otherwise."""

    hidden_dim: int = knob(64, at_least=1)
    """Width of the recurrent state, in units, for each direction."""
    cell: Cell = Cell.gru
    """What is computed at each word: gru, lstm, rnn (tanh)."""
    num_layers: int = knob(1, at_least=1)
    """Recurrent layers."""
    bidirectional: bool = False
    """Read the text from both ends."""
    pooling: Pooling = Pooling.mean
    """States to one vector: last, mean, max, attention."""
