"""From vectors and judgements to metrics: rank, score each query, average over those that can be scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.evaluation import listed, metrics, ranking
from twotower.evaluation.candidates import Lists
from twotower.evaluation.metrics import Floats, Ints, Ranking
from twotower.search.exact import Vectors


@dataclass(frozen=True, eq=False)
class Result:
    """Metrics of one ranking of a split; a query counts as judged if it has a relevant document."""

    metrics: dict[str, float]
    """Means over the judged queries, by name."""
    per_query: dict[str, Floats]
    """The values that they are means of, (judged,) each."""
    query_rows: Ints
    """Rows of the judged queries in the collection, ascending, (judged,)."""
    queries: int
    """Queries with any judgement: those that were ranked."""
    judged: int
    """Queries averaged over."""
    ranking: Ranking | None = None
    """Of every ranked query: its rows are the distinct query rows of the judgements, ascending. None where
    the result was read back."""
    geometry: Mapping[str, float] = field(default_factory=dict)
    """How the vectors lie (`twotower.evaluation.geometry`), where the run measured it."""


def evaluate(
    query_vectors: Vectors,
    doc_vectors: Vectors,
    judgements: Judgements,
    *,
    ks: Sequence[int],
    min_grade: int,
    chunk: int,
) -> Result:
    """Score the ranking of all documents (N, D) for each query (Q, D), to the depth max(ks).

    Row i of `query_vectors` belongs to the i-th distinct query row of `judgements`, ascending. Cut-offs
    beyond the corpus are computed on the whole of it; `chunk` documents are searched at a time and change
    no metric. ValueError if no document is relevant, or the vectors do not fit or are not finite.
    """
    depth = check(judgements, ks=ks, min_grade=min_grade)
    ranked = ranking.rank(query_vectors, doc_vectors, judgements, depth=depth, chunk=chunk)
    return summarise(ranked, judgements, ks=ks, min_grade=min_grade)


def evaluate_lists(
    query_vectors: Vectors,
    doc_vectors: Vectors,
    judgements: Judgements,
    lists: Lists,
    *,
    ks: Sequence[int],
    min_grade: int,
) -> Result:
    """Score the ranking of each query's own list; relevant documents that a list lacks are missed.

    Row i of `query_vectors` (Q, D) belongs to `lists.queries[i]`, row i of `doc_vectors` (N, D) to
    `lists.members[i]`. Cut-offs beyond a list are computed on the whole of it. ValueError as for `evaluate`.
    """
    depth = check(judgements, ks=ks, min_grade=min_grade)
    scores = listed.score_lists(query_vectors, doc_vectors, lists)
    ranked = listed.rank_lists(scores, lists, judgements, depth=depth)
    return summarise(ranked, judgements, ks=ks, min_grade=min_grade)


def check(judgements: Judgements, *, ks: Sequence[int], min_grade: int) -> int:
    """The depth to rank to, max(ks); ValueError for a bad k, or if no judged document is relevant."""
    if not ks or min(ks) < 1:
        raise ValueError(f"k: got {list(ks)}, want one or more cut-offs of at least 1")
    best = int(judgements.grades.max(initial=0))
    if best < min_grade:
        raise ValueError(
            f"judgements: no relevant document among {len(judgements)} judged, the highest grade is {best}; "
            f"want one of at least min_grade={min_grade}"
        )
    return max(ks)


def summarise(ranked: Ranking, judgements: Judgements, *, ks: Sequence[int], min_grade: int) -> Result:
    """The result of a ranking whose rows are the distinct query rows of `judgements`."""
    check(judgements, ks=ks, min_grade=min_grade)
    counts: NDArray[np.bool_] = np.any(ranked.judged >= min_grade, axis=1)
    values = metrics.evaluate(ranked, ks, min_grade=min_grade)
    per_query = {name: value[counts] for name, value in values.items()}
    return Result(
        metrics={name: float(np.mean(value)) for name, value in per_query.items()},
        per_query=per_query,
        query_rows=ranking.query_rows(judgements)[counts],
        queries=len(counts),
        judged=int(counts.sum()),
        ranking=ranked,
    )
