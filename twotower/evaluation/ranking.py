"""Rank a corpus for each query and keep only what the metrics need.

    query vectors, document vectors, judgements  ->  Ranking: scores (Q, K), grades (Q, K), tie at the cut-off

Memory grows with queries x depth alone. Where the tie at the cut-off may reach below the depth, a second pass
over the corpus measures it exactly, again a block at a time.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.evaluation.metrics import EPSILON, Floats, Ints, Ranking
from twotower.search import exact
from twotower.search.exact import Hits, Scores, Vectors

BIN = EPSILON / 2
"""Width of the bins in which scores below the cut-off are chained: whatever shares a bin is tied."""
BINS = 1024
"""Bins below the cut-off at the first attempt; each further one takes eight times as many."""


@dataclass(frozen=True, eq=False)
class _Judged:
    """Judgements with queries counted from 0 in ascending order of their row."""

    rows: Ints
    """The distinct query rows, (Q,)."""
    query: Ints
    """Which of them each judgement is of, (pairs,)."""
    column: Ints
    """Which of its query's judgements each is, from 0, (pairs,)."""
    docs: Ints
    grades: Ints

    def padded(self, grades: Ints) -> Ints:
        """One row of `grades` (pairs,) a query, as `packed` makes it."""
        return packed(self.query, grades, len(self.rows))

    def each(self) -> Iterator[tuple[Ints, Ints]]:
        """The judged documents and their grades, query by query."""
        starts = np.flatnonzero(self.column == 0)[1:]
        return zip(np.split(self.docs, starts), np.split(self.grades, starts), strict=True)


def query_rows(judgements: Judgements) -> Ints:
    """The distinct query rows, ascending: the order in which query vectors are to be given, (Q,)."""
    return np.unique(judgements.queries).astype(np.int64)


def packed(query: Ints, grades: NDArray[np.integer[Any]], queries: int) -> Ints:
    """The grades above 0 of each query, from the left, (queries, R) with R at least 1; 0 pads.

    `query` (pairs,) ascends from 0. The others change no metric, and a query may have many of them.
    """
    query, grades = query[grades > 0], grades[grades > 0]
    column = np.arange(len(query)) - np.searchsorted(query, query)
    table = np.zeros((queries, int(column.max(initial=0)) + 1), dtype=np.int64)
    table[query, column] = grades
    return table


def rank(
    query_vectors: Vectors, doc_vectors: Vectors, judgements: Judgements, *, depth: int, chunk: int
) -> Ranking:
    """Rank all documents for each judged query by inner product, to `depth` or the whole corpus if smaller.

    Row i of `query_vectors` (Q, D) belongs to `query_rows(judgements)[i]`; `doc_vectors` is (N, D). The
    result does not depend on `chunk`. ValueError for vectors that do not fit or are not finite.
    """
    judged = _judged(judgements, len(doc_vectors))
    if len(query_vectors) != len(judged.rows):
        raise ValueError(
            f"query_vectors: got {len(query_vectors)} rows, want {len(judged.rows)}, one a judged query"
        )
    vectors = np.ascontiguousarray(query_vectors, dtype=np.float32), doc_vectors
    hits, bound = exact.candidates(query_vectors, doc_vectors, depth, chunk=chunk)
    depth = min(depth, len(doc_vectors))
    tail, ended = _tail(hits.scores, bound, depth)
    kept = Hits(hits.scores[:, :depth].copy(), hits.rows[:, :depth].copy())
    (tied,) = np.nonzero(~ended)
    low = np.take_along_axis(hits.scores, (depth - 1 + tail)[:, None], axis=1)[:, 0].astype(np.float64)
    low[tied], reached, above = _chain(vectors, kept.scores[:, -1].astype(np.float64), tied)
    missed = above > (kept.scores[tied] > kept.scores[tied, -1:]).sum(axis=1)
    if missed.any():  # float32 products of long vectors proposed the wrong documents
        wrong = tied[missed]
        settled = exact.settle(vectors[0][wrong], doc_vectors, depth)
        kept.scores[wrong], kept.rows[wrong] = settled.scores, settled.rows
        low[wrong], reached[missed], _ = _chain(vectors, kept.scores[:, -1].astype(np.float64), wrong)
    tail[tied] = reached - depth
    low[tail == 0] = np.inf
    return Ranking(
        scores=kept.scores.astype(np.float64),
        grades=_grades(kept.rows, judged, len(doc_vectors)),
        tail_size=tail,
        tail_grades=judged.padded(_tail_grades(vectors, kept, judged, low)),
        judged=judged.padded(judged.grades),
        rows=kept.rows,
    )


def _tail(scores: Scores, bound: Floats, depth: int) -> tuple[Ints, NDArray[np.bool_]]:
    """How many of the scores (Q, more than depth) below the depth are tied with it, and whether that is all.

    `bound` is as `exact.candidates` gives it.
    """
    below = scores[:, depth - 1 :].astype(np.float64)
    steps = np.diff(below, axis=1, append=-np.inf) <= -EPSILON
    tail = np.argmax(steps, axis=1)
    last = np.take_along_axis(below, tail[:, None], axis=1)[:, 0]
    return tail, last - bound >= EPSILON


def rank_scores(score_rows: Iterable[NDArray[np.floating]], judgements: Judgements, *, depth: int) -> Ranking:
    """Rank by given scores: for each of `query_rows(judgements)`, the scores of all documents (N,).

    ValueError for too few rows, rows that do not fit the judgements, or a score that is not finite.
    """
    judged = _judged(judgements, None)
    pairs = zip(judged.each(), score_rows, strict=False)
    ranked = [_rank_one(scores.astype(np.float64), docs, grades, depth) for (docs, grades), scores in pairs]
    if len(ranked) != len(judged.rows):
        raise ValueError(f"score_rows: got {len(ranked)} rows, want {len(judged.rows)}, one a judged query")
    scores, rows, grades, tail_sizes, tail_grades = zip(*ranked, strict=True)
    return Ranking(
        scores=np.stack(scores),
        grades=np.stack(grades),
        tail_size=np.array(tail_sizes, dtype=np.int64),
        tail_grades=judged.padded(np.concatenate(tail_grades)),
        judged=judged.padded(judged.grades),
        rows=np.stack(rows),
    )


def rank_constant(documents: int, judgements: Judgements, *, depth: int) -> Ranking:
    """One score for each of `documents` documents: their order is chance, so the ranking names no rows."""
    judged = _judged(judgements, documents)
    depth, queries = min(depth, documents), len(judged.rows)
    grades = np.zeros((queries, depth), dtype=np.int64)
    table = judged.padded(judged.grades)
    width = min(depth, table.shape[1])
    grades[:, :width] = table[:, :width]
    return Ranking(
        scores=np.zeros((queries, depth)),
        grades=grades,
        tail_size=np.full(queries, documents - depth, dtype=np.int64),
        tail_grades=table[:, width:],
        judged=table,
    )


def _judged(judgements: Judgements, documents: int | None) -> _Judged:
    rows, first, query = np.unique(judgements.queries, return_index=True, return_inverse=True)
    if documents is not None and judgements.docs.max(initial=-1) >= documents:
        raise ValueError(
            f"judgements: document row {judgements.docs.max()}, want below {documents}, the corpus"
        )
    column = np.arange(len(query)) - first[query]
    return _Judged(rows, query.astype(np.int64), column, judgements.docs, judgements.grades.astype(np.int64))


def _grades(rows: Ints, judged: _Judged, documents: int) -> Ints:
    """The grades of the documents at `rows` (Q, K); 0 for those not judged."""
    known = judged.query * documents + judged.docs  # ascending, as judgements are sorted
    wanted = np.arange(len(rows))[:, None] * documents + rows
    where = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[where] == wanted, judged.grades[where], 0)


def _tail_grades(vectors: tuple[Vectors, Vectors], kept: Hits, judged: _Judged, bottom: Floats) -> Ints:
    """Each judgement's grade if its document lies below the depth and in the tie there, else 0, (pairs,).

    `bottom` (Q,) is the lowest score of that tie, inf where it ends at the depth.
    """
    (pairs,) = np.nonzero(np.isfinite(bottom[judged.query]) & (judged.grades > 0))
    query, docs = judged.query[pairs], judged.docs[pairs]
    scores = exact.score_pairs(vectors[0][query], vectors[1][docs])
    retrieved = (kept.rows[query] == docs[:, None]).any(axis=1)
    inside = (
        scores >= bottom[query] - BIN
    ) & ~retrieved  # nothing lies between a tie's end and epsilon below it
    grades = np.zeros_like(judged.grades)
    grades[pairs[inside]] = judged.grades[pairs[inside]]
    return grades


def _chain(vectors: tuple[Vectors, Vectors], cutoffs: Floats, tied: Ints) -> tuple[Floats, Ints, Ints]:
    """For each cut-off the lowest score of its tie, the documents that reach that, those above the cut-off.

    (tied,) each.
    """
    low, reached = np.zeros(len(tied)), np.zeros(len(tied), dtype=np.int64)
    above = np.zeros_like(reached)
    pending, bins = np.arange(len(tied)), BINS
    while len(pending):
        step = max(1, exact.CELLS // (8 * bins))
        ended = np.zeros(len(pending), dtype=np.bool_)
        for start in range(0, len(pending), step):
            some = pending[start : start + step]
            queries = vectors[0][tied[some]]
            high = _Bins(cutoffs[tied[some]], bins)
            for _, scores in exact.score_blocks(queries, vectors[1]):
                high.add(scores)
            low[some], reached[some], ended[start : start + step] = high.end()
            above[some] = high.above
        pending, bins = pending[~ended], bins * 8
    return low, reached, above


class _Bins:
    """Count, least and greatest score of each bin below a cut-off: enough to follow a chain of ties."""

    def __init__(self, cutoffs: Floats, bins: int) -> None:
        self.cutoffs = cutoffs
        self.above = np.zeros(len(cutoffs), dtype=np.int64)
        self.count = np.zeros((len(cutoffs), bins), dtype=np.int64)
        self.least = np.full((len(cutoffs), bins), np.inf)
        self.greatest = np.full((len(cutoffs), bins), -np.inf)

    def add(self, scores: NDArray[np.float32]) -> None:
        """Enter a block of scores (queries, documents)."""
        fall = self.cutoffs[:, None] - scores
        self.above += (fall < 0).sum(axis=1)
        bins = self.count.shape[1]
        near = np.flatnonzero((fall >= 0) & (fall < bins * BIN * (1 - 1e-9)))
        cell = near // scores.shape[1] * bins + (fall.ravel()[near] / BIN).astype(np.int64)
        found = scores.ravel()[near].astype(np.float64)
        self.count += np.bincount(cell, minlength=self.count.size).reshape(self.count.shape)
        np.minimum.at(self.least.ravel(), cell, found)
        np.maximum.at(self.greatest.ravel(), cell, found)

    def end(self) -> tuple[Floats, Ints, NDArray[np.bool_]]:
        """For each query: the tie's lowest score, the documents down to it, whether it surely ends there."""
        lowest = np.minimum.accumulate(np.hstack([self.cutoffs[:, None], self.least]), axis=1)
        broken = np.where(self.count > 0, lowest[:, :-1] - self.greatest >= EPSILON, False)
        beyond = broken.cumsum(axis=1) > 0
        counted = np.where(beyond, 0, self.count).sum(axis=1)
        low = np.where(beyond, np.inf, lowest[:, 1:]).min(axis=1, initial=np.inf)
        low = np.minimum(low, self.cutoffs)
        floor = self.cutoffs - self.count.shape[1] * BIN
        return low, self.above + counted, beyond.any(axis=1) | (low - floor >= EPSILON + BIN)


def _rank_one(scores: Floats, docs: Ints, grades: Ints, depth: int) -> tuple[Floats, Ints, Ints, int, Ints]:
    """Scores, rows and grades to the depth, the tail's size, the grade of each judged document inside it."""
    if docs.max() >= len(scores):
        raise ValueError(f"scores: got {len(scores)} documents, want {docs.max() + 1} or more, as judged")
    if not np.isfinite(scores).all():
        raise ValueError(
            f"scores: document row {int(np.argmin(np.isfinite(scores)))} has none that is finite"
        )
    depth = min(depth, len(scores))
    cutoff = _cutoff(scores, depth)
    (above,), (level,) = np.nonzero(scores > cutoff), np.nonzero(scores == cutoff)
    above = above[np.argsort(-scores[above], kind="stable")]
    rows = np.concatenate([above, level[: depth - len(above)]])
    low = _lowest(scores, cutoff)
    order = np.argsort(rows)
    where = order[np.minimum(np.searchsorted(rows, docs, sorter=order), depth - 1)]
    retrieved = rows[where] == docs
    table = np.zeros(depth, dtype=np.int64)
    table[where[retrieved]] = grades[retrieved]
    tail = int((scores >= low).sum()) - depth
    return scores[rows], rows, table, tail, np.where(~retrieved & (scores[docs] >= low), grades, 0)


def _cutoff(scores: Floats, depth: int) -> float:
    """The `depth`-th highest score; the lowest is set aside, for equals by the thousand slow a partition."""
    higher = scores[scores > scores.min()]
    if len(higher) < depth:
        return float(scores.min())
    return float(np.partition(higher, -depth)[-depth])


def _lowest(scores: Floats, cutoff: float) -> float:
    """The lowest score of the tie at the cut-off; all of them are sorted only where it goes on below that."""
    below = scores[scores < cutoff]
    if not len(below) or cutoff - below.max() >= EPSILON:
        return cutoff
    falling = np.append(cutoff, -np.sort(-below))
    ends = np.append(falling[:-1] - falling[1:] >= EPSILON, True)
    return float(falling[np.argmax(ends)])
