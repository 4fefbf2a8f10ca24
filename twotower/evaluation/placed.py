"""Where each query's relevant document stands in a ranking, and what stands above it.

    hits  d4 0.9   d1 0.8   d7 0.8   d2 0.1      relevant d7    ->    rank 2.5: below d4, tied with d1

Of several relevant documents the one that the model scores highest counts. The rank is the mean over the
orders of its tie: a model that gives one score to all documents places them all in the middle.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.evaluation.evaluate import Result
from twotower.evaluation.geometry import relevant_pairs
from twotower.evaluation.metrics import EPSILON, Floats, Ints
from twotower.search import exact
from twotower.search.exact import Vectors

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Placed:
    """Of the queries that have a relevant document, in the order of `Result.query_rows`."""

    hits: Ints
    """Document rows, best first, (Q, K); -1 pads."""
    answers: Mask
    """Which of them are relevant, (Q, K)."""
    rivals: Mask
    """Which of them are not, and are scored as high as the relevant document or higher, (Q, K)."""
    gold: Ints
    """Row of the relevant document, (Q,)."""
    rank: Floats
    """Its rank from 1, (Q,); where it is below all K hits, K + 1."""

    @staticmethod
    def of(
        result: Result, judgements: Judgements, queries: Vectors, docs: Vectors, min_grade: int
    ) -> "Placed":
        """From a ranking of the corpus and the vectors that it is made of, as `evaluate` takes them.

        ValueError for a result without its ranking or its documents.
        """
        ranking = result.ranking
        if ranking is None or ranking.rows is None:
            raise ValueError("result: got one that was read back, want one with the documents it ranked")
        query, doc = relevant_pairs(judgements, None, min_grade)
        score = exact.score_pairs(queries[query], docs[doc]).astype(np.float64)
        order = np.lexsort((doc, -score, query))
        judged, first = np.unique(query[order], return_index=True)
        gold, best = doc[order][first], score[order][first][:, None]
        scores, hits = ranking.scores[judged], ranking.rows[judged]
        answers = ranking.grades[judged] >= min_grade
        above, tied = scores >= best + EPSILON, np.abs(scores - best) < EPSILON
        among = tied.sum(axis=1) + np.where(tied[:, -1], ranking.tail_size[judged], 0)
        rank = 1 + above.sum(axis=1) + (np.maximum(among, 1) - 1) / 2
        return Placed(hits, answers, (above | tied) & ~answers & (hits >= 0), gold, rank)
