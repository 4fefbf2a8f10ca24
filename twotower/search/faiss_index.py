"""FAISS's own indexes, which propose documents: made, filled and asked, kind by kind.

    hnsw    a graph, a byte a number               ivf    lists, a byte a number
    pq      every code is looked at, four bits for two numbers

Vectors of unequal lengths get one number more, which makes them equally long and changes no score, for a
query has zero there: FAISS's graphs and lists mislead otherwise (Bachrach et al. 2014, "Speeding up the Xbox
recommender system using a Euclidean transformation for inner-product spaces").
"""

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np

from twotower.search import exact
from twotower.search.exact import Rows, Scores, Vectors
from twotower.search.stored import Docs

AUTO, FLAT, IVF, HNSW, PQ = "auto", "flat", "ivf", "hnsw", "pq"
KINDS = (IVF, HNSW, PQ)

BLOCK = 1 << 14
"""Documents added at a time; bounds memory."""
LINKS, WIDTH = 32, 40
"""Of a graph: links a document, and candidates for them. 100,000 passages: 5 s, 53 MB; twice the
width takes twice the time for one point of recall."""
LISTS, SAMPLE = 4, 40
"""Of ivf: lists for the root of the number of documents, and documents a list from which it is trained."""
TRAINED = 1 << 16
"""Documents, at most, from which codes are trained."""
ENOUGH = 64
"""Vectors, at least, that FAISS is given to train with."""


@dataclass(frozen=True)
class Make:
    """What an index is made as."""

    kind: str
    seed: int
    longest: float
    """Length that vectors get where they are not even."""
    even: bool


def module(kind: str) -> ModuleType:
    """FAISS; ValueError where it is not installed, or the kind is none of its."""
    if kind not in KINDS:
        raise ValueError(f"kind: got {kind}, want one of {', '.join((AUTO, FLAT, *KINDS))}")
    faiss = exact.load_faiss()
    if faiss is None:
        raise ValueError(f"kind {kind}: needs FAISS; `pip install 'twotower[cpu]'`, or kind=flat")
    return faiss


def trained(make: Make, vectors: Docs, rng: np.random.Generator) -> Any:
    """An empty index for the vectors (N, D), trained with some of them where its kind asks for that."""
    index = _empty(module(make.kind), make, *vectors.shape)
    if not index.is_trained:
        count = min(len(vectors), max(TRAINED, SAMPLE * getattr(index, "nlist", 0)))
        some = np.sort(rng.choice(len(vectors), count, replace=False))
        sample = widened(vectors[some], index.d, None if make.even else make.longest)
        index.train(np.tile(sample, (-(-ENOUGH // count), 1)))
    return index


def _empty(faiss: ModuleType, make: Make, documents: int, dim: int) -> Any:
    wide = dim + (not make.even)
    product, byte = faiss.METRIC_INNER_PRODUCT, faiss.ScalarQuantizer.QT_8bit
    if make.kind == HNSW:
        index = faiss.IndexHNSWSQ(wide, byte, LINKS, product)
        index.hnsw.efConstruction = WIDTH
    elif make.kind == IVF:
        lists = max(1, min(int(LISTS * documents**0.5), documents // SAMPLE))
        index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(wide), wide, lists, byte, product)
        index.cp.seed = make.seed
    else:
        wide += wide % 2
        index = faiss.IndexPQFastScan(wide, wide // 2, 4, product)
        index.pq.cp.seed = make.seed
    return index


def add(index: Any, vectors: Docs, rows: Rows, make: Make) -> None:
    """Give these rows the next slots, in their order."""
    for start in range(0, len(rows), BLOCK):
        some = vectors[rows[start : start + BLOCK]]
        index.add(widened(some, index.d, None if make.even else make.longest))


def slots(index: Any, kind: str, queries: Vectors, count: int, effort: int) -> Rows:
    """The `count` slots (Q, count) that the index holds for the best, -1 for none."""
    asked = widened(np.asarray(queries, dtype=np.float32), index.d, None)
    # an object for each search, so that threads that share the index do not set each other's effort
    parameters = None
    if kind == HNSW:
        parameters = module(kind).SearchParametersHNSW(efSearch=max(effort, count))
    elif kind == IVF:
        parameters = module(kind).SearchParametersIVF(nprobe=min(effort, index.nlist))
    _, found = index.search(asked, count, params=parameters)
    return np.asarray(found, dtype=np.int64)


def widened(vectors: Scores, dim: int, longest: float | None) -> Scores:
    """The vectors with zeros behind; with `longest`, first a number that makes all of them as long as that.

    >>> widened(np.array([[3.0, 0.0]], dtype=np.float32), 4, 5.0).tolist()
    [[3.0, 0.0, 4.0, 0.0]]
    """
    if vectors.shape[1] == dim:
        return np.ascontiguousarray(vectors, dtype=np.float32)
    wide = np.zeros((len(vectors), dim), dtype=np.float32)
    wide[:, : vectors.shape[1]] = vectors
    if longest is not None:
        squares = longest**2 - np.square(vectors, dtype=np.float64).sum(axis=1)
        wide[:, vectors.shape[1]] = np.sqrt(np.maximum(squares, 0.0))
    return wide
