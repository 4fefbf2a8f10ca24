"""Encoding: any number of texts to float32 NumPy vectors; what is evaluated is what is served.

Texts are taken by length, in chunks of bounded size; the vectors come back in the texts' own order.
"""

from collections.abc import Callable, Iterable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from tqdm import tqdm

from twotower.model.two_tower import TwoTower
from twotower.model.words import tensors
from twotower.text.ragged import Ragged, Rows

CHUNK = 32_768
"""Words encoded at a time; bounds memory, and changes no vector by more than rounding."""


def encode_queries(model: TwoTower, queries: Ragged) -> NDArray[np.float32]:
    """Unit vectors (n, D) of queries."""
    return _encode(model, model.embed_queries, queries)


def encode_docs(model: TwoTower, docs: Ragged) -> NDArray[np.float32]:
    """Unit vectors (n, D) of documents."""
    return _encode(model, model.embed_docs, docs)


def _encode(model: TwoTower, embed: Callable[[Tensor, Tensor], Tensor], texts: Ragged) -> NDArray[np.float32]:
    device = model.words.vectors.device
    vectors = np.empty((len(texts), model.form.dim), dtype=np.float32)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for rows in _bar(chunks(texts.lengths, CHUNK), texts):
                vectors[rows] = embed(*tensors(texts.take(rows), device)).cpu().numpy()
    finally:
        model.train(training)
    return vectors


def _bar(parts: Iterable[Rows], texts: Ragged) -> Iterator[Rows]:
    """The same chunks, with a bar on a terminal where they take longer than two seconds."""
    with tqdm(total=len(texts), desc="encoding", unit="text", delay=2, leave=False, disable=None) as bar:
        for rows in parts:
            yield rows
            bar.update(len(rows))


def chunks(lengths: Rows, size: int) -> Iterator[Rows]:
    """Rows by rising length, in chunks of at most `size` words with their padding, or of one longer text.

    >>> [rows.tolist() for rows in chunks(np.array([3, 1, 9, 2]), 5)]
    [[1, 3], [0], [2]]
    """
    order = np.argsort(lengths, kind="stable")
    start = 0
    while start < len(order):
        padded = lengths[order[start:]] * np.arange(1, len(order) - start + 1)
        end = start + max(1, int(np.searchsorted(padded, size, side="right")))
        yield order[start:end]
        start = end
