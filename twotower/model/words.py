"""Word vectors, and weighted bags of them.

    ids = [5, 7, 9], offsets = [0, 2, 3]  ->  rows  w5 v5 + w7 v7  and  w9 v9

The gradient of a bag sum is itself a bag sum with words and bags exchanged: the gradient of word v is the
sum, over the places that hold v, of their bags' gradients. So both directions run `embedding_bag` forward,
over the distinct words of the batch: deterministic, and several times faster than PyTorch's own backward. The
gradients are of whole tables, or, where a table is `sparse`, of the rows of those words alone.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor, nn

from twotower.text.ragged import Ragged

Bags = tuple[Int[Tensor, " n"], Int[Tensor, " bounds"]]
"""Token ids and offsets of B texts: a `Ragged` as tensors."""


class WordTable(nn.Module):
    """The word vectors, trained or frozen, one row a word of the vocabulary."""

    def __init__(self, vectors: NDArray[np.float32]) -> None:
        super().__init__()
        self.vectors = nn.Parameter(torch.from_numpy(np.array(vectors, dtype=np.float32)))
        self.sparse = False
        """Whether gradients, of the word weights too, are sparse tensors; training sets it."""

    def forward(self, ids: Int[Tensor, " n"], weights: Float[Tensor, " V"]) -> Float[Tensor, "n E"]:
        """The vector of each token, times its word's weight."""
        return self.bags(ids, torch.arange(len(ids) + 1, device=ids.device), weights)

    def bags(
        self, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"], weights: Float[Tensor, " V"]
    ) -> Float[Tensor, "B E"]:
        """The weighted sum of each text's vectors."""
        return bag_sum(self.vectors, weights, ids, offsets, sparse=self.sparse)


def bag_sum(
    vectors: Float[Tensor, "V E"],
    weights: Float[Tensor, " V"],
    ids: Int[Tensor, " n"],
    offsets: Int[Tensor, " bounds"],
    *,
    sparse: bool = False,
) -> Float[Tensor, "B E"]:
    """Sum over each bag's tokens of weight times vector; an empty bag is zeros.

    `sparse` gradients hold the rows of the words that occur, each once.
    """
    bags: Tensor = _BagSum.apply(vectors, weights, ids, offsets, sparse)  # type: ignore[no-untyped-call]
    return bags


class _BagSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, *inputs: Any) -> Tensor:
        vectors, weights, ids, offsets, ctx.sparse = inputs
        words, local, counts = torch.unique(ids, return_inverse=True, return_counts=True)
        rows, scale = vectors[words], weights[words, None]
        ctx.save_for_backward(rows, scale, words, local, counts, offsets)
        ctx.vocabulary = len(vectors)
        return F.embedding_bag(local, rows * scale, offsets[:-1], mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        rows, scale, words, local, counts, offsets = ctx.saved_tensors
        (gradient,) = gradients
        bags = torch.repeat_interleave(torch.arange(len(gradient), device=local.device), offsets.diff())
        # tokens sorted by word: each word is now a bag of the bags that hold it
        exchanged = bags[torch.sort(local, stable=True).indices]
        summed = F.embedding_bag(exchanged, gradient.contiguous(), counts.cumsum(0) - counts, mode="sum")
        to_vectors = to_weights = None
        if ctx.needs_input_grad[0]:
            to_vectors = _spread(summed * scale, words, ctx.vocabulary, sparse=ctx.sparse)
        if ctx.needs_input_grad[1]:
            to_weights = _spread((summed * rows).sum(1), words, ctx.vocabulary, sparse=ctx.sparse)
        return to_vectors, to_weights, None, None, None


def _spread(rows: Tensor, words: Tensor, vocabulary: int, *, sparse: bool) -> Tensor:
    """A tensor of `vocabulary` rows with `rows` at `words`, distinct and rising, and zeros elsewhere."""
    shape = (vocabulary, *rows.shape[1:])
    if sparse:
        return torch.sparse_coo_tensor(
            words[None].long(), rows, shape, is_coalesced=True, check_invariants=False
        )
    whole = rows.new_zeros(shape)
    whole[words] = rows
    return whole


def idf(docs: Ragged, vocabulary: int) -> NDArray[np.float32]:
    """Inverse document frequency of each word, log10(1 + N / (1 + df)), (vocabulary,).

    It is never 0, and largest for words that no document holds.

    >>> idf(Ragged.of([[2, 3, 3], [2]]), 5).astype(float).round(3).tolist()
    [0.477, 0.477, 0.222, 0.301, 0.477]
    """
    owner = np.repeat(np.arange(len(docs), dtype=np.int64), docs.lengths)
    words = np.unique(owner * vocabulary + docs.ids) % vocabulary
    frequency = np.bincount(words, minlength=vocabulary)
    return np.log10(1 + len(docs) / (1 + frequency)).astype(np.float32)


def tensors(texts: Ragged, device: torch.device) -> Bags:
    """The ids and offsets on `device`; memory maps are copied, for torch wants writable memory."""
    ids, offsets = (np.require(part, requirements="W") for part in (texts.ids, texts.offsets))
    return torch.from_numpy(ids).to(device), torch.from_numpy(offsets).to(device)
