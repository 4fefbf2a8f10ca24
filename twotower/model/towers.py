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
        texts, lengths = _padded(ids, offsets)
        order = lengths.argsort(descending=True, stable=True)
        pieces = order.split(len(order) if ids.is_cuda else PIECE)
        packs = [_pack(texts[rows, : int(lengths[rows[0]])], lengths[rows]) for rows in pieces]
        # one look-up for all, so that the word table gets one gradient
        vectors = words(torch.cat([pack.data for pack in packs])).split([len(pack.data) for pack in packs])
        pooled = [self._read(pack, part) for pack, part in zip(packs, vectors, strict=True)]
        in_order = torch.cat(pooled)[order.argsort()]
        return F.normalize(self.project(self.dropout(in_order)))

    def _read(self, pack: PackedSequence, vectors: Float[Tensor, "n E"]) -> Float[Tensor, "b H"]:
        """Run over one piece, and pool its states to one vector a text."""
        states, last = self.gru(pack._replace(data=vectors))
        owners = _owners(pack.batch_sizes).to(vectors.device)
        shape = int(pack.batch_sizes[0]), states.data.shape[1]
        match self.pooling:
            case config.Pooling.last:
                return last[-(1 + self.gru.bidirectional) :].transpose(0, 1).reshape(shape)
            case config.Pooling.mean:
                sums = vectors.new_zeros(shape).index_add(0, owners, states.data)
                return sums / torch.bincount(owners)[:, None]
            case config.Pooling.max:
                lowest = vectors.new_full(shape, -torch.inf)
                return lowest.scatter_reduce(0, owners[:, None].expand_as(states.data), states.data, "amax")


PIECE = 128
"""Texts of like length that a GRU reads at a time on the CPU, where its backward pass takes time that grows with
the words of a piece times its longest text: without pieces 60 s a step instead of 2."""
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


def _padded(
    ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"]
) -> tuple[Int[Tensor, "B L"], Int[Tensor, " B"]]:
    """Ids with padding behind, and lengths."""
    lengths = offsets.diff()
    inside = torch.arange(int(lengths.max()), device=ids.device) < lengths[:, None]
    texts = torch.zeros(inside.shape, dtype=ids.dtype, device=ids.device)
    texts[inside] = ids
    return texts, lengths


def _pack(texts: Int[Tensor, "b L"], lengths: Int[Tensor, " b"]) -> PackedSequence:
    """Ids by place, without the padding; the longest text stands first."""
    return pack_padded_sequence(texts, lengths.cpu(), batch_first=True)  # packing wants lengths on the CPU


def _owners(batch_sizes: Int[Tensor, " L"]) -> Int[Tensor, " n"]:
    """Row of each packed word: place after place, the first texts that reach that far.

    >>> _owners(torch.tensor([3, 1])).tolist()
    [0, 1, 2, 0]
    """
    return torch.cat([torch.arange(int(size)) for size in batch_sizes])
