"""The towers: texts as word ids to unit vectors.

    MLP   ids, offsets -> weighted sum, normalised -> Linear -> x + act(Linear x) -> Linear -> normalised
    GRU   ids, offsets -> packed word vectors -> GRU -> pooled states -> Linear -> normalised

Towers normalise, nobody else does. Every tower reads the word table that it is handed.
"""

import math
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence

from twotower import config
from twotower.model.words import WordTable, bag_sum

Tower = nn.Module
"""`tower(words, ids, offsets)` -> unit vectors (B, D)."""


class MLPTower(nn.Module):
    """A learned weighted sum of word vectors, normalised, times sqrt(E), then a multi-layer perceptron.

    The word weights start at `idf` (V,); the constant gives the first layer entries of size 1. With
    `residual` the first layer is linear and each hidden layer adds to its input, next to nothing at first:
    the untrained tower is nearly an orthogonal map, which keeps the cosines of the bags. Each layer is of a
    form that sentence-transformers' `Dense` has, so that a tower can be exported.
    """

    def __init__(self, cfg: config.MLPTower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> None:
        super().__init__()
        self.word_weights = nn.Parameter(torch.from_numpy(np.array(idf, dtype=np.float32)))
        self.residual = cfg.residual and cfg.num_layers > 0
        self.scale = math.sqrt(word_dim)
        widths = [word_dim, *[cfg.hidden_dim] * (cfg.num_layers + self.residual), dim]
        self.layers = nn.ModuleList(nn.Linear(before, after) for before, after in pairwise(widths))
        self.activation = _activation(cfg.activation)
        self.dropout = nn.Dropout(cfg.dropout)
        self._start()

    def forward(
        self, words: WordTable, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
    ) -> Float[Tensor, "B D"]:
        """Unit vectors of B texts; a text of padding alone gives a finite vector."""
        x = F.normalize(bag_sum(words.vectors, self.word_weights, ids, offsets)) * self.scale
        *hidden, last = self.dense
        if self.residual:
            project, *hidden = hidden
            x = project(x)
        for layer in hidden:
            change = self.dropout(self.activation(layer(x)))
            x = x + change if self.residual else change
        return F.normalize(last(x))

    @property
    def dense(self) -> list[nn.Linear]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def _start(self) -> None:
        for number, layer in enumerate(self.dense):
            inner = self.residual and 0 < number < len(self.layers) - 1
            nn.init.orthogonal_(layer.weight, gain=SMALL if inner else 1)
            nn.init.zeros_(layer.bias)


class GRUTower(nn.Module):
    """Gated recurrent units (Cho et al., 2014) over the word vectors; the states are pooled to one vector."""

    def __init__(self, cfg: config.GRUTower, word_dim: int, dim: int) -> None:
        super().__init__()
        self.pooling = cfg.pooling
        self.gru = nn.GRU(
            word_dim,
            cfg.hidden_dim,
            cfg.num_layers,
            bidirectional=cfg.bidirectional,
            dropout=cfg.dropout if cfg.num_layers > 1 else 0.0,  # PyTorch's lies between layers alone
        )
        self.dropout = nn.Dropout(cfg.dropout)
        self.project = nn.Linear(cfg.hidden_dim * (1 + cfg.bidirectional), dim)

    def forward(
        self, words: WordTable, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
    ) -> Float[Tensor, "B D"]:
        """Unit vectors of B texts, none of which may be empty."""
        packed, owners = _pack(ids, offsets)
        states, last = self.gru(packed._replace(data=words(packed.data)))
        pooled = self._pooled(states.data, last, owners, offsets)
        return F.normalize(self.project(self.dropout(pooled)))

    def _pooled(self, states: Tensor, last: Tensor, owners: Tensor, offsets: Tensor) -> Tensor:
        """States (n, H) of all words, or `last` (layers * directions, B, H / directions), to (B, H)."""
        shape = len(offsets) - 1, states.shape[1]
        match self.pooling:
            case config.Pooling.last:
                return last[-(1 + self.gru.bidirectional) :].transpose(0, 1).reshape(shape)
            case config.Pooling.mean:
                return states.new_zeros(shape).index_add(0, owners, states) / offsets.diff()[:, None]
            case config.Pooling.max:
                lowest = states.new_full(shape, -torch.inf)
                return lowest.scatter_reduce(0, owners[:, None].expand_as(states), states, "amax")


SMALL = 0.01
"""Factor of the residual layers' first weights."""


def build(cfg: config.Tower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> Tower:
    """The tower that `cfg` selects, from word vectors of width `word_dim` to embeddings of width `dim`."""
    match cfg:
        case config.MLPTower():
            return MLPTower(cfg, word_dim, dim, idf)
        case config.GRUTower():
            return GRUTower(cfg, word_dim, dim)
        case _:
            raise TypeError(f"no tower for {type(cfg).__name__}; want MLPTower or GRUTower")


def _activation(kind: config.Activation) -> nn.Module:
    match kind:
        case config.Activation.gelu:
            return nn.GELU()
        case config.Activation.relu:
            return nn.ReLU()
        case config.Activation.tanh:
            return nn.Tanh()


def _pack(
    ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
) -> tuple[PackedSequence, Int[Tensor, " n"]]:
    """The ids packed, place after place, and the text that each belongs to."""
    lengths = offsets.diff()
    places = torch.arange(int(lengths.max()), device=ids.device)
    inside = places < lengths[:, None]
    padded = torch.zeros(2, *inside.shape, dtype=torch.int64, device=ids.device)
    padded[0][inside] = ids.long()
    padded[1] = torch.arange(len(lengths), device=ids.device)[:, None]
    # (B, L, 2): ids and owners go through one packing; it wants lengths on the CPU
    packed = pack_padded_sequence(
        padded.movedim(0, -1), lengths.cpu(), batch_first=True, enforce_sorted=False
    )
    return packed._replace(data=packed.data[:, 0]), packed.data[:, 1]
