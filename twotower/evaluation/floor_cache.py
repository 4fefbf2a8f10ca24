"""What stands beside the models of a table, scored under its protocol once and kept, query by query.

    <cache_dir>/floors/<protocol key>/BM25-<protocol key>-<content key>.json and .npz

The form is that of all evaluations (`twotower.evaluation.results`). How a floor reads the texts is its own:
chance reads nothing, BM25 all words, untrained towers as many as their model.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from twotower.evaluation import floors, results, wordmean
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import Measured, PerQuery
from twotower.evaluation.statistics import intervals
from twotower.search import lexical

FOLDER = "floors"
"""Within the cache folder."""


@dataclass(frozen=True, eq=False)
class Floor:
    """One row beside the models, not yet scored."""

    name: str
    identity: str
    """SHA-256 (hex) of all that decides its scores but the protocol."""
    protocol: Protocol
    """The asked one, with how this floor reads the texts."""
    make: Callable[[], Result]
    """Scores it, if it is not kept."""
    kind: str = "floor"
    cost: Mapping[str, float] = field(default_factory=dict)
    """What `make` measures on the side, and fills in."""


@dataclass(frozen=True, eq=False)
class Floors:
    """The rows by name, and what was left out and why, a line each."""

    rows: dict[str, Measured]
    remarks: list[str]

    @property
    def means(self) -> dict[str, dict[str, float]]:
        """Metrics by name alone, as a sidecar keeps them."""
        return {name: dict(row.metrics) for name, row in self.rows.items()}


def floors_of(asked: Asked, cache_dir: Path, *, vectors: str) -> Floors:
    """Chance, the mean of the word vectors `vectors=` names, and BM25; weakest first, as a rule.

    Without a table in `vectors` there is no such mean; one that cannot be read is left out with a remark.
    Raises OSError where `cache_dir` cannot be written.
    """
    rows, remarks = {}, []
    for floor in _reading_nothing_or_all(asked):
        rows[floor.name] = kept(asked, floor, cache_dir)
    try:
        if tables := wordmean.tables_of(vectors):
            floor = Floor(
                name=wordmean.name_of(tables),
                identity=wordmean.digest(tables),
                protocol=reading(asked.protocol, asked.protocol.tokenizer),
                make=lambda: wordmean.score(tables, asked),
            )
            rows = {"chance": rows["chance"], floor.name: kept(asked, floor, cache_dir), "BM25": rows["BM25"]}
    except (ValueError, FileNotFoundError) as error:
        remarks.append(f"mean of word vectors left out: {' '.join(str(error).split())}")
    return Floors(rows, remarks)


def _reading_nothing_or_all(asked: Asked) -> Iterator[Floor]:
    judged, tokens, lists = asked.judgements, asked.tokens, asked.lists
    ks, grade = asked.ks, asked.protocol.min_grade
    yield Floor(
        "chance",
        identity("chance"),
        reading(asked.protocol, ""),
        lambda: floors.chance(lists or len(tokens.docs), judged, ks=ks, min_grade=grade),
    )
    yield Floor(
        "BM25",
        identity("BM25", lexical.K1, lexical.B),
        reading(asked.protocol, asked.protocol.tokenizer),
        lambda: floors.bm25(tokens.docs, tokens.queries, judged, lists, ks=ks, min_grade=grade),
    )


def identity(*parts: Any) -> str:
    """SHA-256 (hex) of plain values."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def reading(protocol: Protocol, tokenizer: str) -> Protocol:
    """`protocol` for what reads whole texts, by a tokenizer or, where that is empty, not at all."""
    return replace(protocol, tokenizer=tokenizer, max_query_words=0, max_doc_words=0)


def kept(asked: Asked, floor: Floor, cache_dir: Path) -> Measured:
    """The floor's evaluation, scored and written where no whole one is kept.

    Raises OSError where `cache_dir` cannot be written, and what scoring raises.
    """
    folder = cache_dir / FOLDER / floor.protocol.key
    ks = sorted(set(asked.ks))
    found = results.find(folder, floor.identity, floor.protocol, ks)
    if found:
        return found[1]
    measured, per_query = measured_as(floor, asked, floor.make())
    results.write(folder, measured, per_query)
    return measured


def measured_as(floor: Floor, asked: Asked, result: Result) -> tuple[Measured, PerQuery]:
    """The form in which evaluations are kept."""
    ids: Sequence[str] = [asked.collection.query_ids[row] for row in result.query_rows.tolist()]
    measured = Measured(
        name=floor.name,
        kind=floor.kind,
        identity=floor.identity,
        protocol=floor.protocol,
        metrics={**result.metrics, "queries": result.queries, "judged": result.judged},
        intervals=intervals(result.per_query, np.random.default_rng(0)),
        cost=dict(floor.cost),
        created=datetime.now().isoformat(timespec="milliseconds"),
    )
    return measured, PerQuery(np.array(ids, dtype=np.str_), result.per_query)
