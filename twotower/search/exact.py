"""The documents nearest to each query by inner product, found by looking at all of them.

    queries (Q, D), docs (N, D)  ->  Hits(scores (Q, K), rows (Q, K)), best first

Products of float32 matrices differ in the last bits with the library, the block size and the number of
threads. So FAISS, or NumPy without it, only proposes: a few more documents than asked for. Their scores are
computed again in float64 and rounded once, equal scores are ordered by row, and a cut-off that this leaves
open is settled over the whole corpus. The same vectors therefore give the same hits on every path.
"""

import importlib
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import ModuleType

import numpy as np
from numpy.typing import NDArray

from twotower.search.products import part, products
from twotower.search.stored import Docs

Vectors = NDArray[np.floating]
Scores = NDArray[np.float32]
Rows = NDArray[np.int64]
Keys = NDArray[np.int64]

SPARE = 16
"""Documents proposed beyond the depth, so that the true order decides at the cut-off."""
SLACK = 4e-6
"""More than the two rounding errors by which float32 products of unit vectors can misplace two documents;
grows with the lengths of longer ones."""
QUERIES = 256
"""Queries whose cut-off is settled at a time."""
CELLS = 1 << 21
"""Scores held at a time outside FAISS; bounds memory, changes no result."""
ALONE = 1
"""Queries up to which NumPy searches: one product reads the matrix once, and FAISS takes 0.07 s to import."""
GROUP = 128
"""Scores of one query of which the highest stands for all, when the highest of many are looked for."""
LOW = 0xFFFFFFFF


@dataclass(frozen=True, eq=False)
class Hits:
    """The best documents of each query, best first; equal scores stand by ascending row."""

    scores: Scores
    """(Q, K)."""
    rows: Rows
    """Rows of the documents, (Q, K)."""


def top(queries: Vectors, docs: Docs, depth: int, *, chunk: int, longest: float | None = None) -> Hits:
    """The `depth` best documents (all, if there are fewer) for each query.

    `queries` (Q, D) and `docs` (N, D), which may be a memory map, hold unit vectors; `chunk` documents are
    searched at a time. ValueError for empty, unequally wide or not finite vectors. `longest` is the length of
    the longest document where it is known: then all are finite, and no time is spent on looking.
    """
    found, bound = candidates(queries, docs, depth, chunk=chunk, longest=longest)
    depth = min(depth, len(docs))
    hits = Hits(found.scores[:, :depth].copy(), found.rows[:, :depth].copy())
    (where,) = np.nonzero(hits.scores[:, -1] <= bound)
    for start in range(0, len(where), QUERIES):
        some = where[start : start + QUERIES]
        settled = settle(queries[some], docs, depth)
        hits.scores[some], hits.rows[some] = settled.scores, settled.rows
    return hits


def candidates(
    queries: Vectors, docs: Docs, depth: int, *, chunk: int, longest: float | None = None
) -> tuple[Hits, NDArray[np.float64]]:
    """A few more documents than `depth`, best first, and for each query (Q,) what no other one scores above.

    For evaluation, which needs the size of a tie at the cut-off and not its members. The bound is -inf where
    all documents are among the hits.
    """
    check(queries, docs, depth, chunk)
    queries = np.ascontiguousarray(queries, dtype=np.float32)
    wide = min(depth + SPARE, len(docs))
    if longest is not None and len(queries) <= ALONE:
        rough, rows = _propose_alone(queries, docs, wide, chunk)
    else:
        rough, rows, longest = _propose(queries, docs, wide, chunk)
    if wide == len(docs):
        bound = np.full(len(queries), -np.inf)
    else:
        slack = SLACK * np.maximum(_lengths(queries) * longest, 1.0)
        bound = rough.min(axis=1).astype(np.float64) + slack
    return rescored(queries, docs, rows), bound


def rescored(queries: Vectors, docs: Docs, rows: Rows) -> Hits:
    """The documents at `rows` (Q, K) by their exact scores, best first; row -1 is none, and scores -inf."""
    scores = np.empty(rows.shape, dtype=np.float32)
    for i, query in enumerate(queries):  # one at a time, for the gathered rows are large
        scores[i] = docs[rows[i]].astype(np.float64) @ query.astype(np.float64)
    scores[rows < 0] = -np.inf
    hits = _decode(np.sort(_encode(scores, np.maximum(rows, 0)), axis=1)[:, ::-1])
    hits.rows[np.isneginf(hits.scores)] = -1
    return hits


def score_blocks(queries: Vectors, docs: Docs) -> Iterator[tuple[int, Scores]]:
    """All scores, exact to float32, as (first document row, block (Q, some documents)) in ascending row."""
    exact = np.asarray(queries, dtype=np.float64)
    step = max(1, CELLS // max(exact.shape))
    for start in range(0, len(docs), step):
        yield start, (exact @ docs[start : start + step].astype(np.float64).T).astype(np.float32)


def score_pairs(queries: Vectors, docs: Vectors) -> Scores:
    """The exact score of each pair of rows: (n, D), (n, D) -> (n,)."""
    scores: NDArray[np.float64] = np.einsum("nd,nd->n", queries, docs, dtype=np.float64)
    return scores.astype(np.float32)


def engine(queries: int = ALONE + 1) -> str:
    """What searches for so many queries at a time, for people to read."""
    if queries <= ALONE:
        return f"numpy {np.__version__}"
    faiss = load_faiss()
    return f"faiss {faiss.__version__}" if faiss else "numpy; pip install 'twotower[cpu]' for FAISS"


def check(queries: Vectors, docs: Docs, depth: int, chunk: int) -> None:
    """Raises ValueError for what cannot be searched; the documents' numbers are not looked at."""
    if queries.ndim != 2 or docs.ndim != 2 or queries.shape[1] != docs.shape[1]:
        raise ValueError(f"queries {queries.shape} and docs {docs.shape}: want (Q, D) and (N, D) of one D")
    if len(docs) == 0:
        raise ValueError("docs: no document to search, want at least one")
    if depth < 1 or chunk < 1:
        raise ValueError(f"depth {depth}, chunk {chunk}: want both at least 1")
    _check_finite(queries, "queries", 0)


def _check_finite(vectors: Vectors, what: str, start: int) -> None:
    finite = np.isfinite(vectors)
    if not finite.all():
        row = start + int(np.argmin(finite.all(axis=1)))
        raise ValueError(f"{what}: the vector in row {row} is not finite, want finite numbers")


def _lengths(vectors: Scores) -> NDArray[np.float64]:
    """Euclidean, (n,); inf for a vector that is not finite, and for one whose square float32 cannot hold."""
    squares: Scores = np.einsum("nd,nd->n", vectors, vectors)
    return np.sqrt(np.where(np.isnan(squares), np.inf, squares).astype(np.float64))


def _propose_alone(queries: Scores, docs: Docs, depth: int, chunk: int) -> tuple[Scores, Rows]:
    """The `depth` best (1, depth) by float32 products, in no order, or (0, depth) without a query.

    The documents are known to be finite: one look at each of them is all the time that there is.
    """
    if not len(queries):
        return np.empty((0, depth), np.float32), np.empty((0, depth), np.int64)
    scores, rows = np.empty(0, np.float32), np.empty(0, np.int64)
    for start in range(0, len(docs), chunk):
        rough = products(part(docs, start, start + chunk), queries[0])
        where = _highest(rough, depth)
        scores, rows = np.concatenate([scores, rough[where]]), np.concatenate([rows, where + start])
    where = _highest(scores, depth)
    return scores[None, where], rows[None, where]


def _highest(scores: Scores, depth: int) -> Rows:
    """Where the `depth` highest of many scores (n,) stand (all, if there are fewer), in no order.

    No more than a few are as high as the `depth`-th of the groups' highest. Sorting out those takes a
    twentieth of the time that `numpy.argpartition` takes for all of 100,000.
    """
    groups = len(scores) // GROUP
    where = np.arange(0)
    if groups > depth:
        peaks = scores[: groups * GROUP].reshape(GROUP, groups).max(axis=0)
        where = np.flatnonzero(scores >= np.partition(peaks, groups - depth)[groups - depth])
    if len(where) < depth:  # few scores, or one is not a number
        where = np.arange(len(scores))
    if len(where) <= depth:
        return where
    return where[np.argpartition(scores[where], -depth)[-depth:]]


def _propose(queries: Scores, docs: Docs, depth: int, chunk: int) -> tuple[Scores, Rows, float]:
    """The `depth` best (Q, depth) by float32 products, in no order, and the longest document's length."""
    faiss = load_faiss() if len(queries) > ALONE else None
    scores, rows = np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    longest = 0.0
    for start in range(0, len(docs), chunk):
        block = np.ascontiguousarray(docs[start : start + chunk], dtype=np.float32)
        longest = max(longest, float(_lengths(block).max()))
        if not np.isfinite(longest):  # rarely: a look at each number takes as long as the lengths do
            _check_finite(block, "docs", start)
        count = min(depth, len(block))
        some = _faiss_best(faiss, queries, block, count) if faiss else _numpy_best(queries, block, count)
        scores = np.concatenate([scores, some[0]], axis=1)
        rows = np.concatenate([rows, some[1] + start], axis=1)
        scores, rows = _largest(scores, rows, depth)
    return scores, rows, longest


def _faiss_best(faiss: ModuleType, queries: Scores, docs: Scores, depth: int) -> tuple[Scores, Rows]:
    if _counts_products(faiss):
        # the default uses BLAS from 128,000 on, and small batches ran up to nine times slower
        threshold = 4 * queries.shape[1] * faiss.omp_get_max_threads()
        faiss.cvar.distance_compute_blas_threshold = threshold
    # what IndexFlatIP calls, without its copy of the block
    scores, rows = faiss.knn(queries, docs, depth, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, rows


def _numpy_best(queries: Scores, docs: Scores, depth: int) -> tuple[Scores, Rows]:
    scores, rows = np.empty((len(queries), depth), np.float32), np.empty((len(queries), depth), np.int64)
    step = max(1, CELLS // len(docs))
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        block = queries[part] @ docs.T
        scores[part], rows[part] = _largest(block, np.broadcast_to(np.arange(len(docs)), block.shape), depth)
    return scores, rows


def _largest(scores: Scores, rows: Rows, depth: int) -> tuple[Scores, Rows]:
    """The `depth` largest of each row of scores (Q, n), in no order, with their document rows."""
    if scores.shape[1] <= depth:
        return scores, rows
    where = np.argpartition(scores, -depth, axis=1)[:, -depth:]
    return np.take_along_axis(scores, where, axis=1), np.take_along_axis(rows, where, axis=1)


def settle(queries: Vectors, docs: Docs, depth: int) -> Hits:
    """The `depth` best of each query by exact score and row, over the whole corpus."""
    best: Keys = np.empty((len(queries), 0), dtype=np.int64)
    for start, scores in score_blocks(queries, docs):
        keys = _encode(scores, np.arange(start, start + scores.shape[1]))
        best = np.concatenate([best, keys], axis=1)
        if best.shape[1] > depth:
            best = np.partition(best, -depth, axis=1)[:, -depth:]
    return _decode(np.sort(best, axis=1)[:, ::-1])


def _encode(scores: Scores, rows: Rows) -> Keys:
    """One integer for a score and a row, larger for a higher score, then for a lower row.

    >>> keys = _encode(np.array([0.5, -1.0, 0.5], dtype=np.float32), np.array([7, 8, 9]))
    >>> np.argsort(-keys).tolist(), _decode(keys).scores.tolist(), _decode(keys).rows.tolist()
    ([0, 2, 1], [0.5, -1.0, 0.5], [7, 8, 9])
    """
    bits = (scores + np.float32(0.0)).view(np.int32)  # adding zero turns -0.0 into 0.0
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits)
    return (ordered.astype(np.int64) << 32) | (LOW - rows)


def _decode(keys: Keys) -> Hits:
    ordered = (keys >> 32).astype(np.int32)
    bits = np.where(ordered < 0, ordered ^ np.int32(0x7FFFFFFF), ordered)
    return Hits(bits.view(np.float32), LOW - (keys & LOW))


def load_faiss() -> ModuleType | None:
    """FAISS, an optional package, imported when the first search asks for it; None without it."""
    logging.getLogger("faiss").setLevel(logging.WARNING)  # it says at INFO which build it loaded
    try:
        return importlib.import_module("faiss")
    except ModuleNotFoundError:
        return None


@cache
def _counts_products(faiss: ModuleType) -> bool:
    """Whether this FAISS's threshold for BLAS counts queries x D (from 1.14.3 on) and not queries."""
    return int(faiss.cvar.distance_compute_blas_threshold) >= 100_000
