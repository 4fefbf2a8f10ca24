"""Rank each query's own list of documents: all scores exactly, lists of any lengths at once.

    lists of 3 and 2, depth 3   ->   scores [[0.9 0.4 0.1] [0.7 0.2 -inf]]   grades [[0 1 0] [1 0 0]]

A list shorter than the depth is padded, so a cut-off beyond it means the whole of it. A longer one may have a
tie at the depth, whose members below are counted as everywhere.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.evaluation import ranking
from twotower.evaluation.candidates import Lists
from twotower.evaluation.metrics import EPSILON, Ints, Ranking
from twotower.search import exact
from twotower.search.exact import Scores, Vectors


def rank_lists(scores: NDArray[np.floating], lists: Lists, judgements: Judgements, *, depth: int) -> Ranking:
    """Rank by given scores, one a candidate in the order of `lists.docs`, to `depth`.

    ValueError for lists of other queries than the judged ones, too few or too many scores, or one that is not
    finite.
    """
    _check(scores, lists, judgements)
    query, sizes = lists.numbers, lists.sizes
    order = np.lexsort((-scores, query))
    ordered = scores[order].astype(np.float64)
    graded = _grades(lists, judgements)[order]
    place = np.arange(len(query)) - lists.offsets[query]
    opens = place == 0
    opens[1:] |= ordered[:-1] - ordered[1:] >= EPSILON
    tie = opens.cumsum()
    at_depth = tie[lists.offsets[:-1] + np.minimum(sizes, depth) - 1]
    kept, tail = place < depth, (place >= depth) & (tie == at_depth[query])
    shape, where = (len(sizes), min(depth, lists.most)), (query[kept], place[kept])
    return Ranking(
        scores=_table(shape, where, ordered[kept], -np.inf),
        grades=_table(shape, where, graded[kept], 0),
        tail_size=np.bincount(query[tail], minlength=len(sizes)),
        tail_grades=ranking.packed(query[tail], graded[tail], len(sizes)),
        judged=ranking.packed(
            np.searchsorted(lists.queries, judgements.queries), judgements.grades, len(sizes)
        ),
        rows=_table(shape, where, lists.docs[order][kept], -1),
    )


def score_lists(query_vectors: Vectors, doc_vectors: Vectors, lists: Lists) -> Scores:
    """The exact score of each candidate, in the order of `lists.docs`.

    Row i of `query_vectors` (Q, D) belongs to `lists.queries[i]`, row i of `doc_vectors` (N, D) to
    `lists.members[i]`. ValueError for vectors that do not fit.
    """
    for what, vectors, rows in (("query", query_vectors, lists.queries), ("doc", doc_vectors, lists.members)):
        if len(vectors) != len(rows):
            raise ValueError(f"{what}_vectors: got {len(vectors)} rows, want {len(rows)}, as in the lists")
    docs = np.searchsorted(lists.members, lists.docs)
    step = max(1, exact.CELLS // query_vectors.shape[1])  # the gathered rows are large
    parts = [slice(start, start + step) for start in range(0, len(docs), step)]
    return np.concatenate(
        [exact.score_pairs(query_vectors[lists.numbers[part]], doc_vectors[docs[part]]) for part in parts]
    )


def _check(scores: NDArray[np.floating], lists: Lists, judgements: Judgements) -> None:
    rows = ranking.query_rows(judgements)
    if not np.array_equal(lists.queries, rows):
        raise ValueError(f"lists: of {len(lists.queries)} queries, want those of the {len(rows)} judged ones")
    if scores.shape != lists.docs.shape:
        raise ValueError(f"scores: got {scores.shape}, want {lists.docs.shape}, one a candidate")
    if not np.isfinite(scores).all():
        bad = int(np.argmin(np.isfinite(scores)))
        query, doc = rows[lists.numbers[bad]], lists.docs[bad]
        raise ValueError(f"scores: that of query row {query} and document row {doc} is not finite")


def _grades(lists: Lists, judgements: Judgements) -> Ints:
    """The grade of each candidate; 0 where it is not judged."""
    width = int(max(lists.docs.max(), judgements.docs.max())) + 1
    known = judgements.queries * width + judgements.docs  # ascending, as judgements are sorted
    wanted = lists.queries[lists.numbers] * width + lists.docs
    where = np.minimum(np.searchsorted(known, wanted), len(known) - 1)
    return np.where(known[where] == wanted, judgements.grades[where], 0).astype(np.int64)


def _table(
    shape: tuple[int, int], where: tuple[Ints, Ints], values: NDArray[Any], pad: float
) -> NDArray[Any]:
    table = np.full(shape, pad, dtype=np.float64 if values.dtype.kind == "f" else np.int64)
    table[where] = values
    return table
