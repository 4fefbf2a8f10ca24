"""Tables of triplets (query, positive, negatives) and of pairs (query, document, score) to a collection.

    query        positive   negative        qrels {"train": {"9d3f..": {"c2a1..": 1, "77e0..": 0}}, ...}
    where born   Ulm        Bern

A document given as a negative is judged and not relevant: grade 0. Splits come from a column `split`, else
from the names of the files, else the queries are divided by `train_share`.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from twotower import config
from twotower.config.source import HUB
from twotower.data import columns, hub, parts, records, rows, splitting
from twotower.data.collection import Collection
from twotower.data.columns import Columns
from twotower.data.ledger import BadLine, Ledger, Page, listed
from twotower.data.records import Load
from twotower.data.rows import Row

NAMED = 20
"""Columns without a role that a remark names at most."""
SHAPES = 256
"""Sets of keys of JSON objects whose roles are remembered."""

Config = config.Triplets | config.Pairs


@dataclass(frozen=True)
class _Part:
    """The records of one file, or of one split on the hub."""

    split: str
    page: Page
    names: tuple[str, ...] | None
    """Columns of all records; None where each brings its own."""
    records: Iterable[tuple[int, Load]]


def read(cfg: Config) -> Collection:
    """The collection of a table in one file, in a folder with files for each split, or on the hub.

    Raises FileNotFoundError for what is missing, ValueError for a table whose columns do not say which is the
    query, and for what is malformed, with file and line, unless bad lines are skipped.
    """
    ledger = Ledger(cfg.on_bad)
    reading = _Reading(cfg)
    name, found = _on_hub(cfg, ledger) if cfg.path.startswith(HUB) else _on_disk(cfg, ledger)
    for part in found:
        reading.add(part)
    ledger.remarks += reading.remarks()
    collection = Collection.assemble(
        name, reading.docs, reading.queries, reading.qrels, source={}, ledger=ledger
    )
    if splitting.WHOLE in collection.splits:
        rng = np.random.default_rng(cfg.split_seed)
        return splitting.by_documents(collection, cfg.train_share, rng)
    return collection


def _on_disk(cfg: Config, ledger: Ledger) -> tuple[str, Iterator[_Part]]:
    """Name of the collection, and its parts."""
    path = Path(cfg.path).expanduser()
    folder = path / cfg.subset if cfg.subset and (path / cfg.subset).is_dir() else path
    files = parts.by_split(folder)
    name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    return name, (_file(split, file, ledger) for split, some in files.items() for file in some)


def _file(split: str, file: Path, ledger: Ledger) -> _Part:
    page = ledger.page(file)
    return _Part(split, page, records.header(file), records.read(file, page))


def _on_hub(cfg: Config, ledger: Ledger) -> tuple[str, Iterator[_Part]]:
    name = cfg.path.removeprefix(HUB).partition("/")[2].partition("@")[0]
    splits = hub.load(cfg.path, cfg.subset)
    return name, (
        _rows(split, ledger.page(f"{cfg.path}/{split}"), iter(some)) for split, some in splits.items()
    )


def _rows(split: str, page: Page, some: Iterator[tuple[int, dict[str, Any]]]) -> _Part:
    first = next(some, None)
    if first is None:
        raise ValueError(f"{page.file}: no rows, want at least one")
    loads: Iterator[tuple[int, Load]] = ((number, partial(dict, row)) for number, row in chain([first], some))
    return _Part(split, page, tuple(first[1]), loads)


class _Reading:
    """What was read so far."""

    def __init__(self, cfg: Config) -> None:
        self.cfg = cfg
        self.docs: dict[str, tuple[str, str]] = {}
        self.queries: dict[str, str] = {}
        self.qrels: dict[str, dict[str, dict[str, int]]] = {}
        self.places: dict[tuple[str, str], tuple[Page, int]] = {}
        """Where a query or document first stands, of those whose id the file gives."""
        self.contested: set[tuple[str, str, str]] = set()
        """Split, query and document of given negatives that are elsewhere a positive of the same query."""
        self.ignored: dict[str, None] = {}

    def add(self, part: _Part) -> None:
        """Add the records of one part; ValueError where none of them can be used."""
        find = _Roles(part, self.cfg)
        for number, load in part.records:
            with part.page.line(number):
                record = load()
                roles = find(record)
                row = rows.parse(record, roles, self.cfg)
                split = splitting.canonical(row.split) if row.split else part.split
                self._check(row, split)
                self._add(row, split)
                if roles.with_ids:
                    self._place(row, roles, (part.page, number))
                if roles.ignored and len(self.ignored) < NAMED:
                    self.ignored.update(dict.fromkeys(roles.ignored))
        if not part.page.kept:
            what = "triplet" if isinstance(self.cfg, config.Triplets) else "pair"
            skips = f"; {part.page.report()}" if part.page.skipped else ""
            raise ValueError(f"{part.page.file}: no usable {what}, want at least one{skips}")

    def remarks(self) -> Iterator[str]:
        """What was settled while reading, a line each."""
        if self.ignored:
            yield f"columns without a role, left out: {listed(self.ignored.keys(), NAMED)}"
        if self.contested:
            said = "given negatives that are positives of the same query elsewhere, kept as positives"
            yield f"{said}: {len(self.contested):,}"

    def _check(self, row: Row, split: str) -> None:
        """BadLine where `row` contradicts an earlier one."""
        query, text = row.query
        for doc, content in row.docs.items():
            if self.docs.get(doc, content) != content:
                raise BadLine("id of two texts", self._two_texts("document", doc))
        if query not in self.queries:
            return
        if self.queries[query] != text:
            raise BadLine("id of two texts", self._two_texts("query", query))
        if isinstance(self.cfg, config.Pairs):
            before = self.qrels.get(split, {}).get(query, {})
            for doc, grade in row.grades.items():
                if before.get(doc, grade) != grade:
                    both = f"query {rows.shown(text)} and document {rows.shown(row.docs[doc][1])}"
                    raise BadLine("two scores", f"{both} have score {grade} here and {before[doc]} before")

    def _two_texts(self, kind: str, name: str) -> str:
        said = f"{kind} id {name!r} names two different texts"
        if (kind, name) not in self.places:  # the hash of a text is the id of another
            return said
        page, number = self.places[kind, name]
        return f"{said}, first in {page.file}:{number}"

    def _add(self, row: Row, split: str) -> None:
        query, text = row.query
        self.queries.setdefault(query, text)
        judged = self.qrels.setdefault(split, {}).setdefault(query, {})
        for doc, content in row.docs.items():
            self.docs.setdefault(doc, content)
            grade = row.grades[doc]
            if judged.setdefault(doc, grade) != grade:
                self.contested.add((split, query, doc))
                judged[doc] = max(judged[doc], grade)

    def _place(self, row: Row, roles: Columns, place: tuple[Page, int]) -> None:
        if roles.query_id:
            self.places.setdefault(("query", row.query[0]), place)
        if roles.told["positive id"] or roles.told["negative id"]:
            for doc in row.docs:
                self.places.setdefault(("document", doc), place)


class _Roles:
    """The roles of the columns of one part's records."""

    def __init__(self, part: _Part, cfg: Config) -> None:
        """Raises ValueError where all records have the same columns, and these will not do."""
        self.cfg = cfg
        self.fixed: Columns | None = None
        self.known: dict[tuple[str, ...], Columns] = {}
        self.told: dict[str, bool] = {}
        if part.names is not None:
            try:
                self.fixed = columns.find(part.names, cfg)
            except BadLine as error:
                raise ValueError(f"{part.page.file}: {error}") from None

    def __call__(self, record: Mapping[str, Any]) -> Columns:
        """The roles of the record's columns; BadLine where they will not do, or differ from those before."""
        if self.fixed:
            return self.fixed
        names = tuple(record)
        if names not in self.known:
            found = columns.find(names, self.cfg)
            self.told = self.told or found.told
            for role, told in found.told.items():
                if told != self.told[role]:
                    raise BadLine(f"{role} now and then", f"{role}: {_SAYS[told]}, want it in all or in none")
            if len(self.known) == SHAPES:
                self.known.clear()
            self.known[names] = found
        return self.known[names]


_SAYS = {True: "given here and not before", False: "missing here and given before"}
