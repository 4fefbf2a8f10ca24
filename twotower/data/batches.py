"""Training pairs to batches: who is whose positive, and who may not be a negative.

    row i of `relevant` is query i, column i its positive; then given negatives, then documents of the corpus

    queries [q0 q1]   docs [d0 d1 | d4 | d7]   relevant [[T F F F]   given [[F F T F]
                                                         [F T F T]]         [F F F F]]

Here d7 is known to be relevant to q1, so it is no negative of it, and d4 was judged not relevant to q0. A
document counts as relevant to a query when it, or one that reads the same to the tower, was judged so for the
query, or for one that reads the same; likewise as not relevant, unless it is both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.text.ragged import Ragged, Rows, offsets_of

Mask = NDArray[np.bool_]

WHOLE = slice(None)


@dataclass(frozen=True, eq=False)
class Known:
    """Documents of each class of equal queries: those of `class` from `starts[class]` to `starts[class + 1]`.

    Of documents that read the same the first stands for all, by its row.
    """

    docs: Rows
    starts: Rows

    @staticmethod
    def of(pairs: NDArray[np.int64], classes: int) -> "Known":
        """From (pairs, 2) distinct query classes and documents, sorted."""
        return Known(pairs[:, 1].copy(), np.searchsorted(pairs[:, 0], np.arange(classes + 1)))

    def of_queries(self, queries: Rows) -> tuple[Rows, Rows]:
        """Which of `queries` (classes), and a document of it, for all that they have."""
        owners, places = _ranges(self.starts[queries], self.starts[queries + 1])
        return owners, self.docs[places]

    def marks(self, queries: Rows, docs: Rows) -> Mask:
        """Whether each of `docs` is one of each of `queries`' (classes, each), (queries, docs)."""
        rows, wanted = self.of_queries(queries)
        order = np.argsort(docs, kind="stable")
        lows, highs = (np.searchsorted(docs[order], wanted, side=side) for side in ("left", "right"))
        entries, places = _ranges(lows, highs)
        marked = np.zeros((len(queries), len(docs)), dtype=np.bool_)
        marked[rows[entries], order[places]] = True
        return marked


@dataclass(frozen=True, eq=False)
class TrainingPairs:
    """Pairs of a query and a relevant document, with all that is known to be relevant, or not to be.

    `query_rows`, `doc_rows` (P,) are the pairs; a class is the row of the first text that reads the same. A
    pair may be a given negative itself, where its query has nothing relevant and the loss learns from it.
    """

    queries: Ragged
    docs: Ragged
    query_rows: Rows
    doc_rows: Rows
    query_classes: Rows
    doc_classes: Rows
    known: Known
    """What is relevant."""
    refused: Known
    """The given negatives: judged not relevant, and reading as nothing that is."""

    @staticmethod
    def build(
        judgements: Judgements, queries: Ragged, docs: Ragged, *, min_grade: int = 1, lone: bool = False
    ) -> "TrainingPairs":
        """Pairs judged at least `min_grade`; `queries` and `docs` are whole, encoded and truncated.

        `lone` adds the pairs judged lower whose query has nothing relevant: their own column is a given
        negative. Raises ValueError when no judgement reaches `min_grade`.
        """
        good = judgements.grades >= min_grade
        if not good.any():
            highest = max(judgements.grades.tolist(), default="none")
            raise ValueError(f"training pairs: no judgement reaches min_grade {min_grade}, highest {highest}")
        query_classes, doc_classes = first_equal(queries), first_equal(docs)
        judged = np.stack([query_classes[judgements.queries], doc_classes[judgements.docs]], axis=1)
        relevant = np.unique(judged[good], axis=0)
        bad = np.unique(judged[~good], axis=0)
        bad_keys, keys = (pairs[:, 0] * len(docs) + pairs[:, 1] for pairs in (bad, relevant))
        refused = ~np.isin(bad_keys, keys)
        if lone:
            good |= ~np.isin(judged[:, 0], relevant[:, 0])
        else:
            refused &= np.isin(bad[:, 0], relevant[:, 0])  # the rest is in no pair
        return TrainingPairs(
            queries,
            docs,
            judgements.queries[good],
            judgements.docs[good],
            query_classes,
            doc_classes,
            Known.of(relevant, len(queries)),
            Known.of(bad[refused], len(queries)),
        )

    def __len__(self) -> int:
        return len(self.query_rows)

    def batches(self, batch_size: int) -> int:
        """Batches an epoch; the last may be smaller."""
        return -(-len(self) // batch_size)

    def epoch(
        self,
        seed: int,
        epoch: int,
        *,
        batch_size: int,
        random_negatives: int,
        given_negatives: int = 0,
        first: int = 0,
    ) -> Iterator["Batch"]:
        """The batches of one epoch from batch `first` on.

        For each pair up to `given_negatives` of its query's are drawn, without repetition.

        All randomness comes from (seed, epoch): batch n is the same wherever the epoch starts.
        """
        rng = np.random.default_rng(np.random.SeedSequence([seed, epoch]))
        order = rng.permutation(len(self))
        negatives = rng.integers(len(self.docs), size=(self.batches(batch_size), random_negatives))
        for number in range(first, len(negatives)):
            pairs = order[number * batch_size : (number + 1) * batch_size]
            rows, positives = self.query_rows[pairs], self.doc_rows[pairs]
            # a stream for each batch, beside that of the epoch, which given negatives must not change
            own = np.random.default_rng(np.random.SeedSequence([seed, epoch], spawn_key=(number,)))
            given = self._given(rows, positives, given_negatives, own)
            columns = np.concatenate([positives, given, negatives[number]])
            yield Batch(self, rows, columns, bool(given_negatives))

    def relevant(self, query_rows: Rows, doc_rows: Rows) -> Mask:
        """Whether each document is known to be relevant to each query, (B, C)."""
        return self.known.marks(self.query_classes[query_rows], self.doc_classes[doc_rows])

    def judged_not(self, query_rows: Rows, doc_rows: Rows) -> Mask:
        """Whether each document was judged not relevant to each query, (B, C)."""
        return self.refused.marks(self.query_classes[query_rows], self.doc_classes[doc_rows])

    def _given(self, query_rows: Rows, positives: Rows, count: int, rng: np.random.Generator) -> Rows:
        """Rows of up to `count` given negatives of each query, each once, without those among `positives`."""
        rows, docs = self.refused.of_queries(self.query_classes[query_rows])
        shuffled = np.lexsort((rng.random(len(rows)), rows))  # by query, and at random within it
        rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
        drawn = docs[shuffled[rank < count]]
        return np.setdiff1d(drawn, self.doc_classes[positives])


@dataclass(frozen=True, eq=False)
class Batch:
    """B queries, C documents of which the first B are the queries' positives, and what is known of them."""

    pairs: TrainingPairs
    query_rows: Rows
    doc_rows: Rows
    with_given: bool
    """Whether given negatives are marked at all."""

    @cached_property
    def queries(self) -> Ragged:
        """The texts of the B queries."""
        return self.pairs.queries.take(self.query_rows)

    @cached_property
    def docs(self) -> Ragged:
        """The texts of the C documents."""
        return self.pairs.docs.take(self.doc_rows)

    def marks(self, rows: slice = WHOLE, columns: slice = WHOLE) -> tuple[Mask, Mask]:
        """Which of some documents are known to be relevant to some queries, and which not to be.

        The masks are made on each call, so that those of a large batch need never exist as a whole.
        """
        queries, docs = self.query_rows[rows], self.doc_rows[columns]
        relevant = self.pairs.relevant(queries, docs)
        return relevant, self.pairs.judged_not(queries, docs) if self.with_given else np.zeros_like(relevant)

    @property
    def relevant(self) -> Mask:
        """Whether each document is known to be relevant to each query, (B, C)."""
        return self.marks()[0]

    @property
    def given(self) -> Mask:
        """Whether each document was judged not relevant to each query, (B, C)."""
        return self.marks()[1]


def first_equal(texts: Ragged) -> Rows:
    """The row of the first text of equal ids, for each text, (n,).

    >>> first_equal(Ragged.of([[5, 7], [9], [5, 7]])).tolist()
    [0, 1, 0]
    """
    rows: dict[bytes, int] = {}
    ids, ends = texts.ids.tobytes(), (texts.offsets * texts.ids.itemsize).tolist()
    keys = (ids[start:end] for start, end in pairwise(ends))
    return np.array([rows.setdefault(key, row) for row, key in enumerate(keys)], dtype=np.int64)


def _ranges(lows: Rows, highs: Rows) -> tuple[Rows, Rows]:
    """Every integer of every half-open range, with the range's own number.

    >>> [part.tolist() for part in _ranges(np.array([3, 0, 8]), np.array([5, 0, 9]))]
    [[0, 0, 2], [3, 4, 8]]
    """
    lengths = highs - lows
    owner = np.repeat(np.arange(len(lengths)), lengths)
    return owner, np.arange(len(owner)) - np.repeat(offsets_of(lengths)[:-1] - lows, lengths)
