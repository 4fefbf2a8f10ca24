"""Encoding: any number of texts to float32 NumPy vectors; what is evaluated is what is served.

Texts are taken by length, in chunks of bounded size; the vectors come back in the texts' own order.
"""

import zlib
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
TILE = 128
"""Documents encoded at a time where no vector may depend on its neighbours."""


def encode_queries(model: TwoTower, queries: Ragged) -> NDArray[np.float32]:
    """Unit vectors (n, D) of queries."""
    return _encode(model, model.embed_queries, queries)


def encode_docs(model: TwoTower, docs: Ragged) -> NDArray[np.float32]:
    """Unit vectors (n, D) of documents."""
    return _encode(model, model.embed_docs, docs)


def encode_docs_alike(model: TwoTower, docs: Ragged) -> NDArray[np.float32]:
    """As `encode_docs`; an MLP's vectors do not depend, to the bit, on the texts that stand beside each.

    A product of matrices rounds by its height, and in narrow ones by the place of a row. So each has the same
    height, and each text its place, given by its words. An index that grew by a document is then the index
    built with it.
    """
    device = model.words.vectors.device
    numbers: dict[bytes, int] = {}
    owner = np.array([numbers.setdefault(docs[row].tobytes(), len(numbers)) for row in range(len(docs))], int)
    first = np.unique(owner, return_index=True)[1]
    places = np.array([zlib.crc32(key) % TILE for key in numbers], dtype=np.int64)
    vectors = np.empty((len(first), model.form.dim), dtype=np.float32)
    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            for some in _layers(places, docs.lengths[first]):
                tile = np.full(TILE, first[some[0]])
                tile[places[some]] = first[some]
                embedded = model.embed_docs(*tensors(docs.take(tile), device)).cpu().numpy()
                vectors[some] = embedded[places[some]]
    finally:
        model.train(training)
    alike: NDArray[np.float32] = vectors[owner]
    return alike


def _layers(places: Rows, lengths: Rows) -> Iterator[Rows]:
    """Rows in groups that hold each place at most once, the shortest texts of each place first.

    >>> [rows.tolist() for rows in _layers(np.array([0, 1, 0]), np.array([5, 2, 3]))]
    [[1, 2], [0]]
    """
    order = np.lexsort((lengths, places))
    counts = np.bincount(places, minlength=1)
    begin = np.repeat(np.cumsum(counts) - counts, counts)
    layer = np.arange(len(order)) - begin
    for number in range(int(counts.max())):
        yield np.sort(order[layer == number])


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
