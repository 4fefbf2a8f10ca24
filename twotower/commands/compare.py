"""`twotower compare`: two checkpoints side by side, from their knobs down to the queries that moved."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twotower import knobs, show
from twotower.config import Compare, TableFormat
from twotower.data import stamps
from twotower.evaluation import grids, names, side_by_side
from twotower.evaluation.metrics import Ints, canonical, shown
from twotower.evaluation.side_by_side import Gap
from twotower.evaluation.statistics import DRAWS
from twotower.training import machine, measuring
from twotower.training.measuring import Measurement, Task
from twotower.training.setup import fitted
from twotower.training.subjects import Checkpoint

ALIKE = ("name", "checkpoint_dir", "cache_dir", "tracking", "threads", "resume")
"""Knobs that change no model."""


@dataclass(frozen=True, eq=False)
class Side:
    """One of the two."""

    subject: Checkpoint
    measured: Measurement

    @property
    def knobs(self) -> dict[str, Any]:
        """What it was trained with, by dotted name."""
        stored = (self.subject.content.get("training_stats") or {}).get("config") or {}
        return {name: value for name, value in knobs.flat(stored).items() if name not in ALIKE}

    @property
    def hits(self) -> Ints:
        """Rows of the documents that it found, (Q, K), for every ranked query."""
        ranking = self.measured.result.ranking
        assert ranking is not None  # it was ranked just now
        assert ranking.rows is not None
        return ranking.rows


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two checkpoints on one task."""

    cfg: Compare
    task: Task
    a: Side
    b: Side
    gaps: Sequence[Gap]

    @property
    def chosen(self) -> Gap:
        """The gap in the metric that decides."""
        return next(gap for gap in self.gaps if gap.metric == self.cfg.metric)

    @property
    def verdict(self) -> str:
        """Which is better, or that nobody can say, in a sentence."""
        a, b = self.a.subject.name, self.b.subject.name
        return side_by_side.verdict(self.chosen, a, b, shown(self.cfg.metric))

    def moved(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """(better or worse in b, the query and what both found), those first that moved most."""
        a, b = (side.measured.result.per_query[self.cfg.metric] for side in (self.a, self.b))
        ways = zip(("better", "worse"), side_by_side.moved(a, b, self.cfg.queries), strict=True)
        for way, places in ways:
            yield from ((way, self._query(int(place))) for place in places)

    def _query(self, place: int) -> dict[str, Any]:
        """The `place`-th judged query."""
        row = int(self.a.measured.result.query_rows[place])
        collection, judgements = self.task.collection, self.task.judgements
        texts = collection.doc_texts
        mine = (judgements.queries == row) & (judgements.grades >= self.cfg.min_grade)
        relevant = judgements.docs[mine]
        said: dict[str, Any] = {
            "query_id": collection.query_ids[row],
            "query": collection.query_texts[row],
            "relevant": [collection.doc_ids[doc] for doc in relevant.tolist()],
        }
        for key, side in (("a", self.a), ("b", self.b)):
            hits = side.hits[np.searchsorted(self.task.query_rows, row)]
            said[key] = {
                self.cfg.metric: float(side.measured.result.per_query[self.cfg.metric][place]),
                "rank": side_by_side.best_rank(hits, relevant),
                "hits": [
                    {"doc_id": collection.doc_ids[doc], "text": texts[doc]}
                    for doc in hits[: self.cfg.hits].tolist()
                ],
            }
        return said


def run(cfg: Compare, a: str = "", b: str = "") -> int:
    """Evaluate both on one split and print what tells them apart."""
    if not (a and b):
        raise ValueError(f"compare: got {'one checkpoint' if a else 'none'}, want two: twotower compare A B")
    found = compare(cfg, a, b)
    match cfg.format:
        case TableFormat.json:
            show.document(_json(found))
        case TableFormat.csv:
            show.grid(_metrics(found, found.gaps), "csv")
        case _:
            _page(found)
    return 0


def compare(cfg: Compare, a: str, b: str) -> Comparison:
    """Find, encode and rank both, on the collection of the first unless `data=` says otherwise.

    Raises ValueError for an unknown metric, or one file under both names.
    """
    metric = canonical(cfg.metric)
    device, folder = machine.device_of(cfg.device), Path(cfg.checkpoint_dir)
    source = stamps.source_of(cfg.data)
    paths = [names.find(name, folder, source=source, split=cfg.split) for name in (a, b)]
    first, second = (Checkpoint.of(path, device) for path in paths)
    if first.identity == second.identity:
        raise ValueError(f"compare: {a} and {b} are one checkpoint, {paths[0].name}; want two")
    collection = measuring.collection_of(cfg.data, first.content, Path(cfg.cache_dir))
    ks = fitted(cfg.k, metric, len(collection.doc_ids))
    task = Task(collection, cfg.split, ks, cfg.min_grade, Path(cfg.cache_dir), chunk=cfg.chunk)
    one, other = (Side(subject, subject.measure(task)[0]) for subject in (first, second))
    values = one.measured.result.per_query, other.measured.result.per_query
    if metric not in values[0]:
        raise ValueError(
            f"metric: {metric} needs {metric.rpartition('_')[2]} in k, which is {knobs.shown(ks)}"
        )
    gaps = side_by_side.gaps(values[0], values[1], np.random.default_rng(0), draws=DRAWS)
    return Comparison(replace(cfg, metric=metric), task, one, other, gaps)


def _json(found: Comparison) -> dict[str, Any]:
    sides = {
        key: {
            "name": side.subject.name,
            "checkpoint": str(side.subject.path),
            "metrics": side.measured.result.metrics,
            "geometry": side.measured.geometry,
            "cost": side.measured.cost,
        }
        for key, side in (("a", found.a), ("b", found.b))
    }
    moved: dict[str, list[Mapping[str, Any]]] = {"better": [], "worse": []}
    for way, query in found.moved():
        moved[way].append(query)
    apart = side_by_side.knobs_apart(found.a.knobs, found.b.knobs)
    return {
        **sides,
        "protocol": {**found.task.protocol.to_dict(), "key": found.task.protocol.key},
        "judged": found.a.measured.result.judged,
        "metric": found.cfg.metric,
        "verdict": found.verdict,
        "knobs": [{"knob": name, "a": one, "b": other} for name, one, other in apart],
        "metrics": [{**asdict(gap), "real": gap.real} for gap in found.gaps],
        "queries": moved,
    }


def _page(found: Comparison) -> None:
    """Tables for a reader: knobs, metrics, cost and geometry, queries."""
    form = found.cfg.format.value
    show.result(found.verdict + "\n")
    shown_here = [gap for gap in found.gaps if gap.metric in (found.cfg.metric, *grids.COLUMNS)]
    for grid in (_knobs(found), _metrics(found, shown_here), _figures(found)):
        if grid.rows:
            show.grid(grid, form)
    for way, query in found.moved():
        show.result("\n".join(_lines(way, query)) + "\n")


def _knobs(found: Comparison) -> show.Grid:
    apart = side_by_side.knobs_apart(found.a.knobs, found.b.knobs)
    rows = [
        [name, *("" if value is None else knobs.shown(value) for value in (one, other))]
        for name, one, other in apart
    ]
    heading = "knobs that differ" if rows else ""
    return show.Grid(heading, ["knob", found.a.subject.name, found.b.subject.name], rows)


def _metrics(found: Comparison, gaps: Sequence[Gap]) -> show.Grid:
    protocol, judged = found.task.protocol, found.a.measured.result.judged
    rows = [
        [
            shown(gap.metric),
            f"{gap.a:.4f}",
            f"{gap.b:.4f}",
            f"{gap.difference:+.4f}",
            f"{gap.low:+.4f} to {gap.high:+.4f}",
            f"{gap.p:.4f}",
            f"{gap.better} / {gap.equal} / {gap.worse}",
        ]
        for gap in gaps
    ]
    names_of = [found.a.subject.name, found.b.subject.name]
    columns = ["metric", *names_of, "gap", "95 % interval", "p", "better / equal / worse"]
    return show.Grid(f"{protocol}, {judged} queries, {protocol.key}", columns, rows)


def _figures(found: Comparison) -> show.Grid:
    """Cost and geometry of both."""
    rows = []
    for part in ("cost", "geometry"):
        one, other = (getattr(side.measured, part) for side in (found.a, found.b))
        rows += [[name, f"{one[name]:,.4g}", f"{other[name]:,.4g}"] for name in one if name in other]
    return show.Grid("cost and geometry", ["", found.a.subject.name, found.b.subject.name], rows)


def _lines(way: str, query: Mapping[str, Any]) -> Iterator[str]:
    """A query that moved, and what both found."""
    ranks = [query[key]["rank"] or "none" for key in ("a", "b")]
    yield f"{way}: {show.printable(query['query'])} [{query['query_id']}], rank {ranks[0]} -> {ranks[1]}"
    for key in ("a", "b"):
        for place, hit in enumerate(query[key]["hits"], start=1):
            mark = "*" if hit["doc_id"] in query["relevant"] else " "
            yield f"  {key} {place} {mark} {hit['doc_id']}  {show.printable(show.cut(hit['text'], 100))}"
