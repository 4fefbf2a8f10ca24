"""Ranking metrics at their expected value over the orders of tied documents.

    scores   0.9  0.5  0.5  0.5 | 0.5      one query, depth 4, a tie of four that one document beyond shares
    grades    0    1    0    0  |  0       -> MRR@4 = (1/2 + 1/3 + 1/4 + 0) / 4

Neighbours closer than `EPSILON` are tied, and ties chain. Within a tie every order is equally likely, so each
metric is a sum over positions of a closed form in the tie's size n, its relevant documents r and its gain g
(McSherry and Najork, "Computing information retrieval performance measures efficiently in the presence of
tied scores", 2008). A model that gives one score to all documents gets what chance gets.

Definitions are trec_eval's: the gain of nDCG is the grade itself (other libraries use 2^grade - 1), its ideal
is made of all judged documents whatever `min_grade`; average precision divides by the number of relevant
documents (others by the smaller of that and k). Recall is the share of the relevant documents found, success
whether any was. A metric without a k goes to the run's depth.
"""

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

EPSILON = 1e-6
"""Neighbouring scores closer than this are tied."""
QUERIES = 256
"""Queries scored at a time, so that what lies between stays in the processor's cache; changes no value."""
VERSION = 1
"""Of the definitions here; numbers of different versions are not compared."""
NAMES = ("mrr", "recall", "ndcg", "map", "precision", "success")
WHOLE = ("mrr", "map")
"""Metrics that exist without a k."""
SYNONYMS = {"accuracy": "success", "hit_rate": "success"}
SHOWN = {"mrr": "MRR", "ndcg": "nDCG", "map": "MAP"}


@dataclass(frozen=True, eq=False)
class Ranking:
    """What each query retrieved, with all that is needed to score it. Unjudged documents have grade 0."""

    scores: Floats
    """Best first, (Q, K) with K at least 1; -inf pads a query that retrieved fewer."""
    grades: Ints
    """Grades of the retrieved documents, (Q, K); 0 at pads."""
    tail_size: Ints
    """Documents below the depth that are tied with the last retrieved one, (Q,)."""
    tail_grades: Ints
    """The grades of the judged ones among them, (Q, T); 0 pads."""
    judged: Ints
    """The grades above 0 of all judged documents of a query, (Q, R), R at least 1, in any order; 0 pads."""
    rows: Ints | None = None
    """Rows of the retrieved documents, (Q, K), -1 at pads; None where only their grades are known."""


@dataclass(frozen=True, eq=False)
class _Ties:
    """For each position of each ranking, (Q, K): the tie that it lies in."""

    size: Floats
    relevant: Floats
    gain: Floats
    place: Floats
    """0-based place within the tie."""
    before: Floats
    """Relevant documents above the tie."""


def evaluate(ranking: Ranking, ks: Sequence[int], *, min_grade: int) -> dict[str, Floats]:
    """Every metric at every cut-off of `ks`, and `mrr` and `map` at the run's depth: name -> (Q,).

    Queries without a document of at least `min_grade` score 0 and belong in no mean. A cut-off beyond the
    depth finds nothing there. ValueError for a cut-off or a grade below 1.
    """
    if min_grade < 1:
        raise ValueError(f"min_grade: got {min_grade}, want at least 1")
    if not ks or min(ks) < 1:
        raise ValueError(f"k: got {list(ks)}, want one or more cut-offs of at least 1")
    starts = range(0, max(len(ranking.grades), 1), QUERIES)
    parts = [_evaluate(_some(ranking, slice(at, at + QUERIES)), ks, min_grade) for at in starts]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _some(ranking: Ranking, part: slice) -> Ranking:
    """The ranking of some of the queries, as far as metrics need it."""
    return Ranking(
        ranking.scores[part],
        ranking.grades[part],
        ranking.tail_size[part],
        ranking.tail_grades[part],
        ranking.judged[part],
    )


def _evaluate(ranking: Ranking, ks: Sequence[int], min_grade: int) -> dict[str, Floats]:
    depth = ranking.grades.shape[1]
    totals = (ranking.judged >= min_grade).sum(axis=1).astype(np.float64)
    curves = _curves(ranking, min_grade)
    ideal = _ideal(ranking.judged, max(ks))
    values = {"mrr": curves["mrr"][:, -1], "map": _share(curves["map"][:, -1], totals)}
    for k in sorted(set(ks)):
        last = min(k, depth) - 1
        values[f"mrr_{k}"] = curves["mrr"][:, last]
        values[f"recall_{k}"] = _share(curves["found"][:, last], totals)
        values[f"ndcg_{k}"] = _share(curves["dcg"][:, last], ideal[:, min(k, ideal.shape[1]) - 1])
        values[f"map_{k}"] = _share(curves["map"][:, last], totals)
        values[f"precision_{k}"] = curves["found"][:, last] / k
        values[f"success_{k}"] = curves["success"][:, last]
    return {name: np.where(totals > 0, value, 0.0) for name, value in values.items()}


def canonical(name: str) -> str:
    """The one name under which a metric is stored; ValueError, naming the nearest, if there is none.

    >>> canonical("accuracy_1"), canonical("hit_rate_10"), canonical("map")
    ('success_1', 'success_10', 'map')
    """
    base, number = _parts(name)
    base = SYNONYMS.get(base, base)
    if (number and base in NAMES) or (not number and base in WHOLE):
        return f"{base}_{number}" if number else base
    stems = [*NAMES, *SYNONYMS]
    close = difflib.get_close_matches(base or name, stems, n=1, cutoff=0.0)[0]
    nearest = f"{close}_{number or 10}"
    known = ", ".join([*(f"{stem}_<k>" for stem in stems), *WHOLE])
    raise ValueError(f"metric {name!r}: unknown, did you mean {nearest!r}? Known: {known}")


def shown(name: str) -> str:
    """A metric's name for people.

    >>> shown("ndcg_10"), shown("hit_rate_5"), shown("mrr")
    ('nDCG@10', 'Success@5', 'MRR')
    """
    base, number = _parts(canonical(name))
    title = SHOWN.get(base, base.capitalize())
    return f"{title}@{number}" if number else title


def _parts(name: str) -> tuple[str, str]:
    match = re.fullmatch(r"([a-z_]+?)(?:_([1-9][0-9]*))?", name)
    return (match[1], match[2] or "") if match else ("", "")


def _curves(ranking: Ranking, min_grade: int) -> Mapping[str, Floats]:
    """Expected values after each position, (Q, K) each; `map` is not yet divided by the relevant."""
    ties = _ties(ranking, min_grade)
    positions = np.arange(1, ranking.grades.shape[1] + 1, dtype=np.float64)
    chance = ties.relevant / ties.size  # that the document at this position is relevant
    # hypergeometric: that it is, when none of the tie's earlier places was
    hazard = np.minimum(ties.relevant / (ties.size - ties.place), 1.0)
    none_yet = np.cumprod(1.0 - hazard, axis=1)
    none_before = np.hstack([np.ones((len(none_yet), 1)), none_yet[:, :-1]])
    others = ties.place * (ties.relevant - 1.0) / np.maximum(ties.size - 1.0, 1.0)
    return {
        "found": chance.cumsum(axis=1),
        "success": 1.0 - none_yet,
        "mrr": (none_before * hazard / positions).cumsum(axis=1),
        "map": (chance * (ties.before + 1.0 + others) / positions).cumsum(axis=1),
        "dcg": (ties.gain / ties.size / np.log2(positions + 1.0)).cumsum(axis=1),
    }


def _ties(ranking: Ranking, min_grade: int) -> _Ties:
    queries, depth = ranking.grades.shape
    positions = np.broadcast_to(np.arange(depth), (queries, depth))
    opens = np.ones(
        (queries, depth + 1), dtype=np.bool_
    )  # whether a tie starts here; one past the end it does
    real = np.isfinite(ranking.scores)
    finite = np.where(real, ranking.scores, 0.0)  # no infinity is subtracted from itself; a pad stands alone
    opens[:, 1:-1] = (finite[:, :-1] - finite[:, 1:] >= EPSILON) | ~real[:, 1:]
    start = np.maximum.accumulate(np.where(opens[:, :-1], positions, 0), axis=1)
    end = np.where(opens[:, 1:], positions + 1, depth)
    end = np.minimum.accumulate(end[:, ::-1], axis=1)[:, ::-1]
    last = end == depth  # the tie that may go on below the depth
    relevant = _running(ranking.grades >= min_grade)
    gain = _running(np.maximum(ranking.grades, 0))
    before = np.take_along_axis(relevant, start, axis=1)
    below = ranking.tail_grades
    tail_relevant = (below >= min_grade).sum(axis=1)[:, None]
    tail_gain = np.maximum(below, 0).sum(axis=1)[:, None]
    return _Ties(
        size=(end - start + last * ranking.tail_size[:, None]).astype(np.float64),
        relevant=np.take_along_axis(relevant, end, axis=1) - before + last * tail_relevant,
        gain=np.take_along_axis(gain, end, axis=1)
        - np.take_along_axis(gain, start, axis=1)
        + last * tail_gain,
        place=(positions - start).astype(np.float64),
        before=before,
    )


def _running(counts: NDArray[np.generic]) -> Floats:
    """Sums over the first 0, 1, ... K positions: (Q, K) -> (Q, K + 1)."""
    sums = np.zeros((counts.shape[0], counts.shape[1] + 1))
    np.cumsum(counts, axis=1, out=sums[:, 1:])
    return sums


def _ideal(judged: Ints, depth: int) -> Floats:
    """The best possible DCG after each of the first `depth` positions, (Q, at most depth)."""
    best = -np.sort(-np.maximum(judged, 0), axis=1)[:, :depth]
    return np.cumsum(best / np.log2(np.arange(2.0, best.shape[1] + 2.0)), axis=1)


def _share(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
