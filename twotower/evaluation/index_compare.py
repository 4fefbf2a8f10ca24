"""Two indexes asked the same: how many hits they share, what a metric says, how long each takes.

compare(old, new, Questions(texts, judged), ...)  ->  Comparison(overlap=0.83, gap=Gap("mrr_10", ...), ...)

Each is asked as a user asks it, with its own query tower, so a metric is of what it answers: a document that
an approximate search misses is missed, and one that an index does not hold cannot be found in it.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from twotower.evaluation import metrics, ranking, side_by_side
from twotower.evaluation.metrics import Floats, Ranking
from twotower.evaluation.side_by_side import Gap
from twotower.search import inventory
from twotower.search.finding import Options
from twotower.search.index import QUERIES
from twotower.search.searcher import Searcher
from twotower.show import Grid

DEPTH = 10
"""Hits whose overlap is measured."""
TIMED = 200
"""Queries, at most, that are timed one by one."""
BATCH = 256
"""Queries asked together otherwise."""
WORDS = 8
"""First words of a document that stand in for a query."""
DRAWS = 10_000


@dataclass(frozen=True)
class Questions:
    """What both are asked."""

    texts: Sequence[str]
    judged: Sequence[Mapping[str, int]] = ()
    """Of each text the grades of documents, by id; empty where nobody has judged."""
    what: str = ""
    """What they are, for people to read."""
    min_grade: int = 1


@dataclass(frozen=True)
class Side:
    """One of the two."""

    index: str
    checkpoint: str
    documents: int
    kind: str
    storage: str
    recall: float
    """Against exact search, as measured when it was built."""
    mb: float
    p50_ms: float
    """Median time of a query asked alone, warm."""
    p95_ms: float


@dataclass(frozen=True)
class Comparison:
    """The new index against the old one."""

    old: Side
    new: Side
    queries: int
    what: str
    """What the queries are."""
    overlap: float
    """Mean share of the first 10 hits that both have."""
    identical: float
    """Share of the queries for which both have the same 10, in one order."""
    gap: Gap | None
    """Of the metric; None without judged queries."""
    judged: int
    """Queries with a relevant document."""

    @property
    def content(self) -> dict[str, Any]:
        """For programs."""
        return asdict(self)


def stand_ins(searcher: Searcher, rng: np.random.Generator, count: int = 200) -> Questions:
    """Queries that were kept with the index; without any, the first words of documents drawn at random."""
    kept = json.loads((searcher.index.folder / QUERIES).read_bytes())
    if kept:
        return Questions(kept, what="queries kept with the index")
    rows = np.sort(rng.choice(len(searcher), min(count, len(searcher)), replace=False)).tolist()
    documents = searcher.index.documents.get([searcher.index.ids[row] for row in rows])
    texts = [" ".join(f"{one.title} {one.text}".split()[:WORDS]) for one in documents]
    return Questions([text for text in texts if text], what="first words of documents")


def compare(
    old: tuple[str, Searcher],
    new: tuple[str, Searcher],
    questions: Questions,
    metric: str,
    rng: np.random.Generator,
) -> Comparison:
    """Ask both (each with its name) and compare; `metric` is one with a cut-off, as mrr_10.

    Raises ValueError where there is no query to ask.
    """
    if not questions.texts:
        raise ValueError("index compare: no query to ask")
    cut = int(metric.rpartition("_")[2])
    sides, found = [], []
    for _, searcher in (old, new):
        found.append(_hits(searcher, questions.texts, max(cut, DEPTH)))
    times = _times((old[1], new[1]), questions.texts[:TIMED])
    for (name, searcher), seconds in zip((old, new), times, strict=True):
        sides.append(_side(name, searcher, seconds))
    shared = [_overlap(a, b) for a, b in zip(*found, strict=True)]
    same = [
        [one for one, _ in a[:DEPTH]] == [one for one, _ in b[:DEPTH]] for a, b in zip(*found, strict=True)
    ]
    gap, judged = _gap(found, questions, metric, cut, rng)
    return Comparison(
        old=sides[0],
        new=sides[1],
        queries=len(questions.texts),
        what=questions.what,
        overlap=float(np.mean(shared)),
        identical=float(np.mean(same)),
        gap=gap,
        judged=judged,
    )


Hits = list[tuple[str, float]]
"""Ids and scores of one query, best first."""


def _hits(searcher: Searcher, texts: Sequence[str], depth: int) -> list[Hits]:
    options = Options(merge=False)
    found: list[Hits] = []
    for start in range(0, len(texts), BATCH):
        for answer in searcher.search_many(texts[start : start + BATCH], depth, options):
            found.append([(hit.doc_id, hit.score) for hit in answer.hits])
    return found


def _times(both: tuple[Searcher, Searcher], texts: Sequence[str]) -> list[list[float]]:
    """Seconds of each query by each of both, by turns, so that neither has the quieter machine."""
    times: list[list[float]] = [[], []]
    for searcher in both:
        searcher.search(texts[0], DEPTH)
    for text in texts:
        for seconds, searcher in zip(times, both, strict=True):
            seconds.append(searcher.search(text, DEPTH).seconds)
    return times


def _side(name: str, searcher: Searcher, seconds: Sequence[float]) -> Side:
    manifest = searcher.index.manifest
    p50, p95 = (round(1e3 * float(value), 3) for value in np.percentile(seconds, (50, 95)))
    return Side(
        index=name,
        checkpoint=manifest["checkpoint"]["run"],
        documents=len(searcher),
        kind=manifest["kind"],
        storage=manifest["storage"],
        recall=manifest["recall"],
        mb=round(inventory.size(manifest) / 1e6, 1),
        p50_ms=p50,
        p95_ms=p95,
    )


def _overlap(a: Hits, b: Hits) -> float:
    """Share of the larger answer's first documents that both have."""
    first, second = ({doc for doc, _ in side[:DEPTH]} for side in (a, b))
    return len(first & second) / max(len(first), len(second), 1)


def _gap(
    found: Sequence[list[Hits]], questions: Questions, metric: str, cut: int, rng: np.random.Generator
) -> tuple[Gap | None, int]:
    relevant = [any(grade >= questions.min_grade for grade in grades.values()) for grades in questions.judged]
    rows = np.flatnonzero(relevant).tolist()
    if not rows:
        return None, 0
    judged = [questions.judged[row] for row in rows]
    values: list[Mapping[str, Floats]] = []
    for side in found:
        ranked = _ranking([side[row] for row in rows], judged, max(cut, DEPTH))
        every = metrics.evaluate(ranked, [cut], min_grade=questions.min_grade)
        values.append({metric: every[metric]})
    (gap,) = side_by_side.gaps(values[0], values[1], rng, draws=DRAWS)
    return gap, len(rows)


def _ranking(found: Sequence[Hits], judged: Sequence[Mapping[str, int]], depth: int) -> Ranking:
    """What was answered, as the metrics take it; below the last hit nothing is known."""
    scores = np.full((len(found), depth), -np.inf)
    grades = np.zeros((len(found), depth), dtype=np.int64)
    for row, (hits, known) in enumerate(zip(found, judged, strict=True)):
        for place, (doc, score) in enumerate(hits[:depth]):
            scores[row, place], grades[row, place] = score, max(known.get(doc, 0), 0)
    query = np.repeat(np.arange(len(judged)), [len(known) for known in judged])
    every = np.array([grade for known in judged for grade in known.values()], dtype=np.int64)
    return Ranking(
        scores=scores,
        grades=grades,
        tail_size=np.zeros(len(found), dtype=np.int64),
        tail_grades=np.zeros((len(found), 1), dtype=np.int64),
        judged=ranking.packed(query, every, len(judged)),
    )


def table(found: Comparison) -> Grid:
    """To be shown."""
    columns = ["index", "checkpoint", "documents", "kind", "storage", "recall", "MB", "p50 ms", "p95 ms"]
    cells = [
        [
            one.index,
            one.checkpoint,
            f"{one.documents:,}",
            one.kind,
            one.storage,
            f"{one.recall:.3f}",
            f"{one.mb:,.1f}",
            f"{one.p50_ms:.2f}",
            f"{one.p95_ms:.2f}",
        ]
        for one in (found.old, found.new)
    ]
    if found.gap:
        columns.append(metrics.shown(found.gap.metric))
        for row, value in zip(cells, (found.gap.a, found.gap.b), strict=True):
            row.append(f"{value:.4f}")
    heading = (
        f"{found.queries:,} queries ({found.what}): of the first {DEPTH} hits both have {found.overlap:.1%}, "
        f"the same {DEPTH} in one order for {found.identical:.1%}"
    )
    return Grid(heading, columns, cells, spare=("storage", "checkpoint", "p95 ms"))


def verdict(found: Comparison) -> str:
    """What the metric says, in a sentence."""
    if found.gap is None:
        return "no judged query to measure with; data=... names a collection that has some"
    said = side_by_side.verdict(found.gap, found.old.index, found.new.index, metrics.shown(found.gap.metric))
    return f"{said}, {found.judged:,} judged queries"
