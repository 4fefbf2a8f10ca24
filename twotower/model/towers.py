"""The towers: texts as word ids to unit vectors.

    MLP   ids, offsets -> weighted sum, normalised -> Linear -> x + act(Linear x) -> Linear -> normalised
    GRU   ids, offsets -> weighted word vectors -> GRU -> pooled states -> Linear -> normalised

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
from twotower.model.recurrence import states_of
from twotower.model.words import WordTable

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
        x = F.normalize(words.bags(ids, offsets, self.word_weights)) * self.scale
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
    """Gated recurrent units (Cho et al., 2014) over weighted word vectors; the states are pooled to one.

    The word weights start at `idf` (V,), so that the states follow the words that tell texts apart.

    Texts of like length are read together, padded behind; the reader from the end gets each text turned
    round without its padding, so that padding reaches no state that counts. PyTorch's packed sequences give
    the same vectors, but on the CPU their backward pass fills a gradient of the whole batch at every place: a
    step of 1,024 pairs of msmarco then takes 60 s instead of 4.
    """

    def __init__(self, cfg: config.GRUTower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> None:
        super().__init__()
        self.word_weights = nn.Parameter(torch.from_numpy(np.array(idf, dtype=np.float32)))
        self.pooling = cfg.pooling
        self.width = cfg.hidden_dim
        directions = 1 + cfg.bidirectional
        width = cfg.hidden_dim * directions
        self.layers = nn.ModuleList(
            nn.ModuleList(nn.GRU(before, cfg.hidden_dim, batch_first=True) for _ in range(directions))
            for before in [word_dim, *[width] * (cfg.num_layers - 1)]
        )
        self.dropout = nn.Dropout(cfg.dropout)
        self.project = nn.Linear(width, dim)

    def forward(
        self, words: WordTable, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
    ) -> Float[Tensor, "B D"]:
        """Unit vectors of B texts; an empty one counts as one word of padding."""
        texts, lengths = _padded(ids, offsets)
        order = lengths.argsort(stable=True)
        pieces = torch.split(order, PIECE)
        longest = [int(lengths[rows[-1]]) for rows in pieces]
        parts = [texts[rows, :places] for rows, places in zip(pieces, longest, strict=True)]
        # one look-up for all, so that the word table gets one gradient
        vectors = words(torch.cat([part.flatten() for part in parts]), self.word_weights)
        ends = np.cumsum([part.numel() for part in parts])[:-1].tolist()
        pooled = [
            self._read(part.reshape(len(rows), -1, part.shape[1]), lengths[rows])
            for part, rows in zip(vectors.tensor_split(ends), pieces, strict=True)
        ]
        in_order = torch.cat(pooled)[order.argsort()]
        return F.normalize(self.project(self.dropout(in_order)))

    def _read(self, x: Float[Tensor, "b L E"], lengths: Int[Tensor, " b"]) -> Float[Tensor, "b H"]:
        """Run over one piece, layer by layer, and pool the states to one vector a text."""
        places = torch.arange(x.shape[1], device=x.device)
        inside = places < lengths[:, None]
        turned = torch.where(inside, lengths[:, None] - 1 - places, places)
        for number, layer in enumerate(self.layers):
            x = self.dropout(x) if number else x
            forward, *backward = (gru for gru in layer.children() if isinstance(gru, nn.GRU))
            states = [
                states_of(forward, x),
                *(_turn(states_of(gru, _turn(x, turned)), turned) for gru in backward),
            ]
            x = torch.cat(states, dim=2)
        match self.pooling:
            case config.Pooling.last:
                ends = x[torch.arange(len(x), device=x.device), lengths - 1, : self.width]
                return torch.cat([ends, x[:, 0, self.width :]], dim=1)
            case config.Pooling.mean:
                return (x * inside[:, :, None]).sum(dim=1) / lengths[:, None]
            case config.Pooling.max:
                return x.masked_fill(~inside[:, :, None], -torch.inf).amax(dim=1)


PIECE = 64
"""Texts of like length that a GRU reads at a time."""
SMALL = 0.01
"""Factor of the residual layers' first weights."""


def build(cfg: config.Tower, word_dim: int, dim: int, idf: NDArray[np.float32]) -> Tower:
    """The tower that `cfg` selects, from word vectors of width `word_dim` to embeddings of width `dim`."""
    match cfg:
        case config.MLPTower():
            return MLPTower(cfg, word_dim, dim, idf)
        case config.GRUTower():
            return GRUTower(cfg, word_dim, dim, idf)
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


def _padded(
    ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
) -> tuple[Int[Tensor, "B L"], Int[Tensor, " B"]]:
    """Ids with padding behind, and lengths; an empty text becomes one word of padding."""
    lengths = offsets.diff()
    inside = torch.arange(int(lengths.max()), device=ids.device) < lengths[:, None]
    texts = torch.zeros(len(lengths), max(1, inside.shape[1]), dtype=ids.dtype, device=ids.device)
    texts[:, : inside.shape[1]][inside] = ids
    return texts, lengths.clamp(min=1)


def _turn(x: Float[Tensor, "b L H"], turned: Int[Tensor, "b L"]) -> Float[Tensor, "b L H"]:
    """Each text's words in the order of `turned`."""
    rows = torch.arange(len(x), device=x.device)[:, None] * x.shape[1] + turned
    return x.flatten(0, 1).index_select(0, rows.flatten()).view_as(x)
