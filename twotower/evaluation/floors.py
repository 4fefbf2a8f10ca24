"""What a model must stand above: chance and BM25, scored as every model is, by the same closed forms."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Collection, Judgements
from twotower.data.tokens import CollectionTokens
from twotower.evaluation import evaluate, listed, ranking
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import Result
from twotower.evaluation.protocol import Protocol
from twotower.search.exact import Vectors
from twotower.search.lexical import Lexical
from twotower.text.tokenize import Tokens

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
    model = Lexical.of(docs)
    for i in range(len(queries)):
        yield model.scores(queries[i])
