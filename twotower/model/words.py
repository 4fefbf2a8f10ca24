"""Word vectors, and weighted bags of them.

    ids = [5, 7, 9], offsets = [0, 2, 3]  ->  rows  w5 v5 + w7 v7  and  w9 v9

The gradient of a bag sum is itself a bag sum with words and bags exchanged: the gradient of word v is the
sum, over the places that hold v, of their bags' gradients. So both directions run `embedding_bag` forward,
over the distinct words of the batch: deterministic, and several times faster than PyTorch's own backward.
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

    def forward(self, ids: Int[Tensor, " n"], weights: Float[Tensor, " V"]) -> Float[Tensor, "n E"]:
        """The vector of each token, times its word's weight."""
        return self.bags(ids, torch.arange(len(ids) + 1, device=ids.device), weights)

    def bags(
        self, ids: Int[Tensor, " n"], offsets: Int[Tensor, " bounds"], weights: Float[Tensor, " V"]
    ) -> Float[Tensor, "B E"]:
        """The weighted sum of each text's vectors."""
        return bag_sum(self.vectors, weights, ids, offsets)


def bag_sum(
    vectors: Float[Tensor, "V E"],
    weights: Float[Tensor, " V"],
    ids: Int[Tensor, " n"],
    offsets: Int[Tensor, " bounds"],
) -> Float[Tensor, "B E"]:
    """Sum over each bag's tokens of weight times vector; an empty bag is zeros."""
    bags: Tensor = _BagSum.apply(vectors, weights, ids, offsets)  # type: ignore[no-untyped-call]
    return bags


class _BagSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, vectors: Tensor, weights: Tensor, ids: Tensor, offsets: Tensor) -> Tensor:
        words, local, counts = torch.unique(ids, return_inverse=True, return_counts=True)
        rows, scale = vectors[words], weights[words, None]
        ctx.save_for_backward(rows, scale, words, local, counts, offsets)
        ctx.vocabulary = len(vectors)
        return F.embedding_bag(local, rows * scale, offsets[:-1], mode="sum")

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None, None]:
        rows, scale, words, local, counts, offsets = ctx.saved_tensors
        (gradient,) = gradients
        bags = torch.repeat_interleave(torch.arange(len(gradient), device=local.device), offsets.diff())
        # tokens sorted by word: each word is now a bag of the bags that hold it
        exchanged = bags[torch.sort(local, stable=True).indices]
        summed = F.embedding_bag(exchanged, gradient.contiguous(), counts.cumsum(0) - counts, mode="sum")
        to_vectors = to_weights = None
        if ctx.needs_input_grad[0]:
            to_vectors = summed.new_zeros(ctx.vocabulary, summed.shape[1])
            to_vectors[words] = summed * scale
        if ctx.needs_input_grad[1]:
            to_weights = summed.new_zeros(ctx.vocabulary)
            to_weights[words] = (summed * rows).sum(1)
        return to_vectors, to_weights, None, None


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
