"""Training pairs to batches: who is whose positive, and who may not be a negative.

    row i of `relevant` is query i, column i its positive; further columns are drawn from the corpus

    queries [q0 q1]   docs [d0 d1 | d7]   relevant [[T F F]
                                                    [F T T]]

Here d7 is known to be relevant to q1, so it is no negative of it. A document counts as relevant to a query
when it, or one that reads the same to the tower, was judged so for the query, or for one that reads the same.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.text.ragged import Ragged, Rows, offsets_of


@dataclass(frozen=True, eq=False)
class Batch:
    """B queries, C documents of which the first B are the queries' positives, and `relevant` (B, C)."""

    queries: Ragged
    docs: Ragged
    relevant: NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """Pairs of a query and a relevant document, with all that is known to be relevant.

    `query_rows`, `doc_rows` (P,) are the pairs. `known` holds, for each class of equal queries, the classes
    of equal documents that are relevant to it, from `starts[class]` to `starts[class + 1]`.
    """

    queries: Ragged
    docs: Ragged
    query_rows: Rows
    doc_rows: Rows
    query_classes: Rows
    doc_classes: Rows
    known: Rows
    starts: Rows

    @staticmethod
    def build(
        judgements: Judgements, queries: Ragged, docs: Ragged, *, min_grade: int = 1
    ) -> "TrainingPairs":
        """Pairs judged at least `min_grade`; `queries` and `docs` are whole, encoded and truncated.

        Raises ValueError when no judgement reaches `min_grade`.
        """
        good = judgements.grades >= min_grade
        if not good.any():
            highest = max(judgements.grades.tolist(), default="none")
            raise ValueError(f"training pairs: no judgement reaches min_grade {min_grade}, highest {highest}")
        query_rows, doc_rows = judgements.queries[good], judgements.docs[good]
        query_classes, doc_classes = equal_texts(queries), equal_texts(docs)
        pairs = np.unique(np.stack([query_classes[query_rows], doc_classes[doc_rows]], axis=1), axis=0)
        starts = np.searchsorted(pairs[:, 0], np.arange(len(queries) + 1))
        return TrainingPairs(
            queries, docs, query_rows, doc_rows, query_classes, doc_classes, pairs[:, 1].copy(), starts
        )

    def __len__(self) -> int:
        return len(self.query_rows)

    def batches(self, batch_size: int) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self) // batch_size)

    def epoch(
        self, seed: int, epoch: int, *, batch_size: int, random_negatives: int, first: int = 0
    ) -> Iterator[Batch]:
        """The batches of one epoch from batch `first` on.

        All randomness is drawn ahead from (seed, epoch): batch n is the same wherever the epoch starts.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
        order = rng.permutation(len(self))
        negatives = rng.integers(len(self.docs), size=(self.batches(batch_size), random_negatives))
        for number in range(first, len(negatives)):
            pairs = order[number * batch_size : (number + 1) * batch_size]
            rows = self.query_rows[pairs]
            columns = np.concatenate([self.doc_rows[pairs], negatives[number]])
            relevant = self.relevant(rows, columns)
            yield Batch(self.queries.take(rows), self.docs.take(columns), relevant)

    def relevant(self, query_rows: Rows, doc_rows: Rows) -> NDArray[np.bool_]:
        """Whether each document is known to be relevant to each query, (B, C)."""
        queries, docs = self.query_classes[query_rows], self.doc_classes[doc_rows]
        rows, known = _ranges(self.starts[queries], self.starts[queries + 1])
        order = np.argsort(docs, kind="stable")
        classes = self.known[known]
        lows, highs = (np.searchsorted(docs[order], classes, side=side) for side in ("left", "right"))
        entries, places = _ranges(lows, highs)
        relevant = np.zeros((len(queries), len(docs)), dtype=np.bool_)
        relevant[rows[entries], order[places]] = True
        return relevant


def equal_texts(texts: Ragged) -> Rows:
    """A class for each text, (n,): equal for texts of equal ids, numbered by first appearance.

    >>> equal_texts(Ragged.of([[5, 7], [9], [5, 7]])).tolist()
    [0, 1, 0]
    """
    classes: dict[bytes, int] = {}
    ids, ends = texts.ids.tobytes(), (texts.offsets * texts.ids.itemsize).tolist()
    keys = (ids[start:end] for start, end in pairwise(ends))
    return np.array([classes.setdefault(key, len(classes)) for key in keys], dtype=np.int64)


def _ranges(lows: Rows, highs: Rows) -> tuple[Rows, Rows]:
    """Every integer of every half-open range, with the range's own number.

    >>> [part.tolist() for part in _ranges(np.array([3, 0, 8]), np.array([5, 0, 9]))]
    [[0, 0, 2], [3, 4, 8]]
    """
    lengths = highs - lows
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return owner, np.arange(len(owner)) - np.repeat(offsets_of(lengths)[:-1] - lows, lengths)
