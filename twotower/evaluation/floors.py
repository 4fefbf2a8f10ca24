"""What a model must stand above: chance and BM25, scored as every model is, by the same closed forms."""

import importlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Collection, Judgements
from twotower.data.tokens import CollectionTokens
from twotower.evaluation import evaluate, listed, ranking
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import Result
from twotower.evaluation.protocol import Protocol
from twotower.search.exact import Vectors
from twotower.text.ragged import Ragged, offsets_of
from twotower.text.tokenize import Tokens

K1, B = 0.9, 0.4
"""Anserini's parameters for passages."""
CHUNK = 65_536
"""Documents searched at a time."""


@dataclass(frozen=True, eq=False)
class Asked:
    """What the models of a table were asked; whatever stands beside them is asked the same."""

    collection: Collection
    protocol: Protocol
    """How the models read the texts is left aside, but for the tokenizer."""
    tokens: CollectionTokens
    """Of the whole collection, by the protocol's tokenizer."""
    judgements: Judgements
    """Of the protocol's split."""
    lists: Lists | None
    """Each query's own, if the protocol says so; None ranks the corpus."""
    ks: Sequence[int]

    @property
    def query_rows(self) -> NDArray[np.int64]:
        """Rows of the queries that are ranked, ascending, (Q,)."""
        return ranking.query_rows(self.judgements)

    def score(self, queries: Vectors, docs: Vectors) -> Result:
        """Rank and score by unit vectors: (Q, D) as `query_rows`, and (N, D) of the corpus.

        With lists, `docs` are (M, D) of their members alone. Raises ValueError for vectors that do not fit.
        """
        judged, grade = self.judgements, self.protocol.min_grade
        if self.lists is not None:
            return evaluate.evaluate_lists(queries, docs, judged, self.lists, ks=self.ks, min_grade=grade)
        return evaluate.evaluate(queries, docs, judged, ks=self.ks, min_grade=grade, chunk=CHUNK)


def chance(documents: int | Lists, judgements: Judgements, *, ks: Sequence[int], min_grade: int) -> Result:
    """What a random order scores on average: exact, nothing is drawn.

    `documents` is how many every query ranks, or each query's own list of them.
    """
    depth = evaluate.check(judgements, ks=ks, min_grade=min_grade)
    if isinstance(documents, Lists):
        equal = np.zeros(len(documents.docs))
        ranked = listed.rank_lists(equal, documents, judgements, depth=depth)
    else:
        ranked = ranking.rank_constant(documents, judgements, depth=depth)
    return evaluate.summarise(ranked, judgements, ks=ks, min_grade=min_grade)


def bm25(
    docs: Tokens,
    queries: Tokens,
    judgements: Judgements,
    lists: Lists | None = None,
    *,
    ks: Sequence[int],
    min_grade: int,
) -> Result:
    """BM25 (Lucene's form, k1 0.9, b 0.4) over words that are no English stop words, unstemmed.

    `docs` and `queries` are all texts of the collection: text i is row i. With `lists` each query ranks its
    own, by scores over the whole corpus. ValueError where judgements name a row that is not there.
    """
    depth = evaluate.check(judgements, ks=ks, min_grade=min_grade)
    for what, tokens, rows in (("document", docs, judgements.docs), ("query", queries, judgements.queries)):
        if rows.max(initial=-1) >= len(tokens.ragged):
            raise ValueError(
                f"judgements: {what} row {rows.max()}, want below {len(tokens.ragged)}, the texts"
            )
    asked = queries.ragged.take(ranking.query_rows(judgements))
    scores = _score_rows(docs, Tokens(queries.words, asked))
    if lists is None:
        ranked = ranking.rank_scores(scores, judgements, depth=depth)
    else:
        own = [row[some] for row, some in zip(scores, lists.each(), strict=True)]
        ranked = listed.rank_lists(np.concatenate(own), lists, judgements, depth=depth)
    return evaluate.summarise(ranked, judgements, ks=ks, min_grade=min_grade)


def _score_rows(docs: Tokens, queries: Tokens) -> Iterator[NDArray[np.float32]]:
    """The scores of all documents (N,), query by query."""
    bm25s = _bm25s()
    stop = set(bm25s.stopwords.STOPWORDS_EN)
    words = {word: i for i, word in enumerate(word for word in docs.words if word not in stop)}
    corpus, asked = _renumber(docs, words), _renumber(queries, words)
    if not len(corpus.ids):  # nothing to index: every score is 0
        yield from np.zeros((len(asked), len(corpus)), dtype=np.float32)
        return
    model = bm25s.BM25(k1=K1, b=B, method="lucene")
    flat, bounds = corpus.ids.tolist(), corpus.offsets.tolist()
    texts = [flat[start:end] for start, end in pairwise(bounds)]
    model.index((texts, words), create_empty_token=False, show_progress=False)
    for i in range(len(asked)):
        yield model.get_scores_from_ids(asked[i])


def _renumber(tokens: Tokens, words: dict[str, int]) -> Ragged:
    """The texts with their words' ids in `words`; others fall away."""
    table = np.array([words.get(word, -1) for word in tokens.words], dtype=np.int32)
    ids = table[tokens.ragged.ids] if len(table) else np.empty(0, dtype=np.int32)
    known = ids >= 0
    return Ragged(ids[known], offsets_of(known.astype(np.int64))[tokens.ragged.offsets])


def _bm25s() -> Any:
    """bm25s, imported only here: with scipy behind it it takes half a second that search must not pay."""
    module = importlib.import_module("bm25s")
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # its import sets DEBUG
    return module
