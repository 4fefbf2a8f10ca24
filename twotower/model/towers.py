"""The towers: texts as word ids to unit vectors.

    MLP   ids, offsets -> weighted sum, normalised -> Linear -> x + act(Linear x) -> Linear -> normalised
    GRU   ids, offsets -> weighted word vectors -> states -> pooled states -> Linear -> normalised

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

from twotower import config
from twotower.model.recurrent import RecurrentTower
from twotower.model.words import WordTable, bag_sum

Tower = nn.Module
"""`tower(words, ids, offsets)` -> unit vectors (B, D)."""


class MLPTower(nn.Module):
    """A learned weighted sum of word vectors, normalised, times sqrt(E), then a multi-layer perceptron.

    The word weights start at `idf` (V,); the constant gives the first layer entries of size 1. With
    `residual` the first layer is linear and each hidden layer adds to its input, next to nothing at first:
    the untrained tower is nearly an orthogonal map, which keeps the cosines of the bags. Each layer is of a
    form that sentence-transformers' `Dense` has, so that a tower can be exported.

    With `bag=mean` the sum is divided by the sum of the weights' sizes instead: a word of weight 0 is as if
    it were not there, and with weights of 1 the layers read the plain mean.
    """

    def __init__(self, cfg: config.MLPTower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> None:
        super().__init__()
        self.word_weights = nn.Parameter(torch.from_numpy(np.array(idf, dtype=np.float32)))
        self.bag = cfg.bag
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
        x = self._scaled(words.bags(ids, offsets, self.word_weights), ids, offsets)
        *hidden, last = self.dense
        if self.residual:
            project, *hidden = hidden
            x = project(x)
        for layer in hidden:
            change = self.dropout(self.activation(layer(x)))
            x = x + change if self.residual else change
        return F.normalize(last(x))

    def _scaled(
        self, sums: Float[Tensor, "B E"], ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
    ) -> Float[Tensor, "B E"]:
        if self.bag is config.Bag.unit:
            return F.normalize(sums) * self.scale
        signs = self.word_weights.detach().sign()[:, None]
        return sums / bag_sum(signs, self.word_weights, ids, offsets).clamp(min=TINY)

    @property
    def dense(self) -> list[nn.Linear]:
        """The layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def _start(self) -> None:
        for number, layer in enumerate(self.dense):
            inner = self.residual and 0 < number < len(self.layers) - 1
            nn.init.orthogonal_(layer.weight, gain=SMALL if inner else 1)
            nn.init.zeros_(layer.bias)


SMALL = 0.01
"""Factor of the residual layers' first weights."""
TINY = 1e-12
"""What the mean of a bag without weight is divided by."""


def build(cfg: config.Tower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> Tower:
    """The tower that `cfg` selects, from word vectors of width `word_dim` to embeddings of width `dim`."""
    match cfg:
        case config.MLPTower():
            return MLPTower(cfg, word_dim, dim, idf)
        case config.GRUTower():
            return RecurrentTower(cfg, word_dim, dim, idf)
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
