"""How embeddings lie in their space: spread over it, or in a cone where every score is the same.

    docs (N, D), queries (Q, D)  ->  {"mean_cosine": 0.06, "effective_rank": 88.1, "top_spread": 0.12, ...}

    mean_cosine      mean over pairs of documents; 0 is spread out, 1 is one point
    effective_rank   directions in use, 1 to D: exp of the entropy of the singular values over their sum, of
                     vectors not centred, so a cone is near 1 (Roy and Vetterli, "The effective rank", 2007)
    alignment        mean squared distance of a query and its relevant document, 0 to 4; lower is closer
    uniformity       log of the mean of exp(-2 squared distance) over pairs of documents; 0 is one point, -4
                     spread evenly (both: Wang and Isola, "Understanding contrastive representation learning
                     through alignment and uniformity on the hypersphere", 2020; alpha 2, t 2)
    hub_skew         skewness of how often each document is among the first ten hits; it grows with hubs, and
                     with the corpus (Radovanovic et al., "Hubs in space", 2010)
    dead_dimensions  how many of the D hardly vary over the documents
    top_spread       median over queries of the first hit's score less the tenth's

A large corpus is sampled, the same documents for the same generator; nothing here is ever a metric.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Judgements
from twotower.evaluation.metrics import Floats, Ints, Ranking
from twotower.search.exact import Vectors

DOCUMENTS = 10_000
"""Documents looked at, at most."""
PAIRS = 20_000
"""Pairs looked at, at most."""
WIDE = 1024
"""Rows at most that the singular values are of where vectors are wider: their time grows with its cube."""
HITS = 10
"""First hits that count for hubs and for the spread at the top."""
DEAD = 1e-4
"""A dimension that varies less than this share of the widest one is dead."""
ROUNDING = 1e-7
"""Of float32: what varies less does not vary."""

CONE_SPREAD, CONE_COSINE, CONE_RANK = 0.01, 0.9, 2.0
"""A cone: top scores closer than the first, a mean cosine above the second, or fewer directions in use."""


def measure(
    queries: Vectors, docs: Vectors, pairs: tuple[Ints, Ints], ranking: Ranking, rng: np.random.Generator
) -> dict[str, float]:
    """All measures; those that there is nothing to measure on are left out.

    `queries` (Q, D) in the order of `ranking`, `docs` (N, D), which may be a memory map, of any length: only
    their directions count. `pairs` are the rows in `queries` and in `docs` of what is relevant to what.
    Without `ranking.rows`, which are rows of `docs`, hubs are not counted.
    """
    sample = _unit(docs[_some(len(docs), DOCUMENTS, rng)])
    found = {"effective_rank": _effective_rank(sample), "dead_dimensions": float(_dead(sample))}
    if len(sample) > 1:
        found["mean_cosine"] = _mean_cosine(sample)
        found["uniformity"] = _uniformity(sample, rng)
    if len(pairs[0]):
        some = _some(len(pairs[0]), PAIRS, rng)
        apart = _unit(queries[pairs[0][some]]) - _unit(docs[pairs[1][some]])
        found["alignment"] = float(np.einsum("nd,nd->n", apart, apart).mean())
    if ranking.rows is not None:
        found["hub_skew"] = _hub_skew(ranking.rows[:, :HITS], len(docs))
    if np.isfinite(ranking.scores[:, 1:2]).any():
        found["top_spread"] = _top_spread(ranking.scores)
    return dict(sorted(found.items()))


def relevant_pairs(judgements: Judgements, members: Ints | None, min_grade: int) -> tuple[Ints, Ints]:
    """What `measure` takes as pairs: places among the distinct query rows of `judgements`, document rows.

    Where only the documents at `members` (ascending) have a vector, places among those, the others left out.
    """
    relevant = judgements.grades >= min_grade
    docs = judgements.docs[relevant]
    queries = np.unique(judgements.queries, return_inverse=True)[1][relevant]
    if members is None:
        return queries, docs
    inside = np.isin(docs, members)
    return queries[inside], np.searchsorted(members, docs[inside])


def warning(geometry: Mapping[str, float]) -> str:
    """A line where the space has collapsed, nothing where it has not.

    >>> warning({"mean_cosine": 0.1, "effective_rank": 60.0, "top_spread": 0.1})
    ''
    >>> warning({"mean_cosine": 0.99, "effective_rank": 40.0, "top_spread": 0.004})
    'the embeddings have collapsed into a cone: the ten top scores of a query lie within 0.0040, the mean cosine of two documents is 0.990; scores mean little'
    """  # noqa: E501 - one line is what it returns
    spread, cosine = geometry.get("top_spread", 1.0), geometry.get("mean_cosine", 0.0)
    rank = geometry.get("effective_rank", CONE_RANK)
    signs = []
    if spread < CONE_SPREAD:
        signs.append(f"the ten top scores of a query lie within {spread:.4f}")
    if cosine > CONE_COSINE:
        signs.append(f"the mean cosine of two documents is {cosine:.3f}")
    if rank < CONE_RANK:
        signs.append(f"{rank:.1f} directions are in use")
    if not signs:
        return ""
    return f"the embeddings have collapsed into a cone: {', '.join(signs)}; scores mean little"


def _some(count: int, most: int, rng: np.random.Generator) -> Ints:
    """`most` of `count` rows, or all of them, ascending: a memory map is read from front to back."""
    if count <= most:
        return np.arange(count)
    return np.sort(rng.choice(count, most, replace=False))


def _unit(vectors: Vectors) -> NDArray[np.floating]:
    """Directions; a vector of length 0 has none and stays."""
    lengths = np.sqrt(np.einsum("nd,nd->n", vectors, vectors, dtype=np.float64))[:, None]
    return vectors / np.where(lengths > 0, lengths, 1.0).astype(vectors.dtype)


def _effective_rank(sample: Vectors) -> float:
    values = _singular(sample)
    shares = values[values > 0] / values.sum() if values.any() else np.ones(1)
    return float(np.exp(-(shares * np.log(shares)).sum()))


def _singular(sample: Vectors) -> Floats:
    """Singular values, by way of the smaller of the two products with itself."""
    wide = sample.shape[1] > WIDE
    rows = sample[:: -(-len(sample) // WIDE)].astype(np.float64) if wide else sample.astype(np.float64)
    squares = np.linalg.eigvalsh(rows @ rows.T if len(rows) < rows.shape[1] else rows.T @ rows)
    # what is left of float64 after squaring: nothing below is told from 0
    noise = squares.max(initial=0.0) * 1e-12
    return np.sqrt(np.where(squares > noise, squares, 0.0))


def _dead(sample: Vectors) -> int:
    widths = sample.std(axis=0, dtype=np.float64)
    return int((widths <= max(DEAD * widths.max(initial=0.0), ROUNDING)).sum())


def _mean_cosine(sample: Vectors) -> float:
    """Over all pairs of the sample: the square of the sum holds each of them twice."""
    total = sample.sum(axis=0, dtype=np.float64)
    own = np.einsum("nd,nd->", sample, sample, dtype=np.float64)
    return float((total @ total - own) / (len(sample) * (len(sample) - 1)))


def _uniformity(sample: Vectors, rng: np.random.Generator) -> float:
    """Over pairs of distinct documents: all of a small sample, else random ones."""
    count = len(sample)
    if count * (count - 1) // 2 <= PAIRS:
        one, other = np.triu_indices(count, 1)
    else:
        one = rng.integers(count, size=PAIRS)
        other = (one + rng.integers(1, count, size=PAIRS)) % count
    apart = sample[one] - sample[other]
    return float(np.log(np.exp(-2 * np.einsum("nd,nd->n", apart, apart, dtype=np.float64)).mean()))


def _hub_skew(rows: Ints, documents: int) -> float:
    """Third standardised moment of the number of lists that each document is in; 0 if all are in as many."""
    counts = np.bincount(rows[rows >= 0], minlength=documents).astype(np.float64)
    off = counts - counts.mean()
    spread = np.sqrt(np.mean(off**2))
    return float(np.mean(off**3) / spread**3) if spread else 0.0


def _top_spread(scores: Floats) -> float:
    """Of the queries with two hits or more; the last hit stands for the tenth where there are fewer."""
    first = scores[:, :HITS]
    several = first[np.isfinite(first[:, 1])]
    lowest = np.where(np.isfinite(several), several, np.inf).min(axis=1)
    return float(np.median(several[:, 0] - lowest))
