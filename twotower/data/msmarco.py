"""MS MARCO (Bajaj et al., 2016), v1.1 and v2.1, to a collection: each query with its own 8 to 10 passages.

    {"query_id": 19699, "query": "what is", "passages": {"is_selected": [0, 1], "passage_text": ["a", "b"]}}
        -> query 19699; documents 19699_0 (grade 0) and 19699_1 (grade 1)

    as on the hub       a record a row of Parquet, or a line of JSON
    v1.1 as published   a line of JSON, its passages a list of {"is_selected", "passage_text"}
    v2.1 as published   one JSON object of columns: {"query": {"0": ".."}, "passages": {"0": [..]}, ..}

The beginning of a file's name says its split: train, dev (or validation, valid, val), test (or eval).
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from twotower.config import MsMarco
from twotower.config.source import HUB
from twotower.data import checks, hub, records, splitting
from twotower.data.collection import Collection
from twotower.data.json_list import JsonText
from twotower.data.ledger import BadLine, Ledger, Page
from twotower.data.records import Load

SPLIT = re.compile(r"(train|dev|validation|valid|val|test|eval)(?![a-z])", re.IGNORECASE)
FIELDS = ("query_id", "query", "passages")
COLUMNS = "an object of columns"
UNLABELLED = -1
"""Grade of all passages of a query in the test split of v2.1, in which none is selected."""

Part = tuple[str, Page, Iterable[tuple[int, Load]]]
"""Split, page and records of one file, or of one split on the hub."""


def read(cfg: MsMarco) -> Collection:
    """Every passage a document, the selected ones relevant (grade 1), the others judged not to be (grade 0).

    A query without a selected passage is kept. A single file whose name says no split is divided by
    `train_share` and `split_seed`. Raises FileNotFoundError for what is missing, ValueError for what is
    malformed, with file and line, unless bad records are skipped.
    """
    ledger = Ledger(cfg.on_bad)
    name, parts = _hub_parts(cfg, ledger) if cfg.path.startswith(HUB) else _parts(cfg, ledger)
    read = _Read()
    for split, page, rows in parts:
        read.part(split, page, rows)
    ledger.remarks += [
        f"{split}: {count:,} queries without is_selected, no passage of theirs counts as relevant"
        for split, count in read.unlabelled.items()
    ]
    collection = Collection.assemble(name, read.docs, read.queries, read.qrels, source={}, ledger=ledger)
    if splitting.WHOLE in collection.splits:
        rng = np.random.default_rng(cfg.split_seed)
        return splitting.by_documents(collection, cfg.train_share, rng)
    return collection


def files(path: Path, subset: str) -> list[tuple[str, Path]]:
    """(split, file) of all files to read, sorted; in a folder that has a folder `subset`, those in there.

    Raises FileNotFoundError where there are none.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such file or folder, want Parquet or JSON, or hf://owner/name")
    if path.is_file():
        return [(_split_of(path) or splitting.WHOLE, path)]
    folder = _folder(path, subset)
    found = [file for file in sorted(folder.iterdir()) if records.is_known(file) and file.is_file()]
    named = [(split, file) for file in found if (split := _split_of(file))]
    if not named:
        raise FileNotFoundError(
            f"{folder}: no file <split>*.parquet, .json or .jsonl in it, want train, dev or validation, test"
        )
    return named


def _folder(path: Path, subset: str) -> Path:
    return path / subset if subset and (path / subset).is_dir() else path


def _split_of(file: Path) -> str:
    """The split that a file's name begins with, or nothing.

    >>> _split_of(Path("validation-00000-of-00001.parquet")), _split_of(Path("testing.json"))
    ('dev', '')
    """
    match = SPLIT.match(file.name)
    name = match[1].lower() if match else ""
    return "test" if name == "eval" else splitting.canonical(name)


def _parts(cfg: MsMarco, ledger: Ledger) -> tuple[str, Iterator[Part]]:
    """Name of the collection, and its parts on disk."""
    path = Path(cfg.path).expanduser()
    named = files(path, cfg.subset)
    name = path.resolve().name if path.is_dir() else path.name.split(".")[0]
    if path.is_dir() and _folder(path, cfg.subset) != path:
        name = f"{name}-{cfg.subset}"
    return name, ((split, page, _rows(file, page)) for split, file in named for page in [ledger.page(file)])


def _hub_parts(cfg: MsMarco, ledger: Ledger) -> tuple[str, Iterator[Part]]:
    name = cfg.path.removeprefix(HUB).partition("/")[2].partition("@")[0]
    splits = hub.load(cfg.path, cfg.subset)
    return f"{name}-{cfg.subset}" if cfg.subset else name, (
        (split, ledger.page(f"{cfg.path}/{split}"), ((number, partial(dict, row)) for number, row in rows))
        for split, rows in splits.items()
    )


def _rows(file: Path, page: Page) -> Iterator[tuple[int, Load]]:
    if records.suffix(file) in (".tsv", ".csv"):
        raise ValueError(
            f"{file}: MS MARCO as Parquet or JSON is wanted; data=pairs or data=triplets read this"
        )
    return _by_row(file) if _is_by_column(file) else records.read(file, page)


@dataclass
class _Read:
    """What was read so far."""

    docs: dict[str, tuple[str, str]] = field(default_factory=dict)
    queries: dict[str, str] = field(default_factory=dict)
    qrels: dict[str, dict[str, dict[str, int]]] = field(default_factory=dict)
    places: dict[str, tuple[Page, int]] = field(default_factory=dict)
    """Where each query stands."""
    unlabelled: dict[str, int] = field(default_factory=dict)
    """Queries of each split of whose passages nobody said whether they are selected."""

    def part(self, split: str, page: Page, rows: Iterable[tuple[int, Load]]) -> None:
        """Add the records of one file."""
        judged = self.qrels.setdefault(split, {})
        for number, load in rows:
            with page.line(number):
                query, text, passages = _record(load())
                if query in self.places:
                    first, line = self.places[query]
                    said = f"query_id {query} again, first in {first.file}:{line}"
                    raise BadLine("duplicate query_id", said)
                self.places[query] = page, number
                self.queries[query] = text
                if passages[0][0] == UNLABELLED:
                    self.unlabelled[split] = self.unlabelled.get(split, 0) + 1
                judged[query] = {f"{query}_{place}": max(0, one) for place, (one, _) in enumerate(passages)}
                self.docs.update((f"{query}_{place}", ("", one)) for place, (_, one) in enumerate(passages))
        if not judged:
            skips = f"; {page.report()}" if page.skipped else ""
            raise ValueError(f"{page.file}: no record, want at least one{skips}")


def _record(record: Mapping[str, Any]) -> tuple[str, str, list[tuple[int, str]]]:
    """Query id, query, and (is_selected, text) of each passage."""
    for name in FIELDS:
        if record.get(name) is None:
            raise BadLine("missing field", f"no {name!r}, it has {', '.join(map(repr, record)) or 'nothing'}")
    query = record["query_id"]
    if type(query) is not int and not (isinstance(query, str) and query.strip()):
        raise BadLine("wrong query_id", f"query_id: got {checks.kind(query)}, want a whole number")
    passages = _passages(record["passages"])
    marks = {mark for mark, _ in passages}
    if not passages:
        raise BadLine("no passages", f"query_id {query} has no passages, want at least one")
    if marks != {UNLABELLED} and not marks <= {0, 1}:
        wrong = next(mark for mark in marks if mark not in (0, 1))
        raise BadLine("wrong is_selected", f"is_selected: got {wrong!r}, want 0 or 1")
    for place, (_, text) in enumerate(passages):
        _text(f"passages[{place}]", text)
    return _text("query_id", str(query)), _text("query", record["query"]), passages


def _text(name: str, value: Any) -> str:
    """`value`, if it is a text that is not blank."""
    try:
        text = checks.text(name, value)
    except ValueError as error:
        raise BadLine(f"wrong {name.partition('[')[0]}", str(error)) from None
    if not text.strip():
        raise BadLine(f"empty {name.partition('[')[0]}", f"{name}: empty, want a text")
    return text


def _passages(value: Any) -> list[tuple[Any, Any]]:
    """(is_selected, text) of each passage, given as lists or one by one; unchecked."""
    match value:
        case {"passage_text": list(texts)}:
            marks = value.get("is_selected")
            marks = [UNLABELLED] * len(texts) if marks is None else marks
            if not isinstance(marks, list) or len(marks) != len(texts):
                count = len(marks) if isinstance(marks, list) else checks.kind(marks)
                raise BadLine(
                    "unequal lists", f"{len(texts)} passage_text, {count} is_selected, want as many"
                )
            return [(_mark(mark), text) for mark, text in zip(marks, texts, strict=True)]
        case list() if all(isinstance(one, dict) for one in value):
            return [(_mark(one.get("is_selected")), one.get("passage_text")) for one in value]
        case _:
            said = f"got {checks.kind(value)}, want passage_text and is_selected"
            raise BadLine("wrong passages", f"passages: {said}")


def _mark(value: Any) -> Any:
    """0, 1 or `UNLABELLED` as they are; anything else as text, which equals none of them."""
    if value is None:
        return UNLABELLED
    return value if type(value) is int and value in (0, 1, UNLABELLED) else str(value)[:40]


def _is_by_column(file: Path) -> bool:
    """Whether a file is one object of columns, each an object of values by row number."""
    if records.suffix(file) != ".json":
        return False
    text = JsonText(file, COLUMNS)
    try:
        text.skip("{")
        text.value()
        text.skip(":")
        text.skip("{")
        row = text.value()
    except ValueError:  # records.read says what is wrong
        return False
    return isinstance(row, str) and row.isdecimal()


def _by_row(file: Path) -> Iterator[tuple[int, Load]]:
    """The records of a file of columns; of these, only the wanted ones are held."""
    text = JsonText(file, COLUMNS)
    columns: dict[str, dict[str, Any]] = {}
    for name in _keys(text):
        column = {row: _slim(text.value()) if name in FIELDS else text.value() for row in _keys(text)}
        if name in FIELDS:
            columns[name] = column
    text.end()
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    for number, row in enumerate(rows, start=1):
        yield number, partial(dict, {name: column.pop(row, None) for name, column in columns.items()})


def _keys(text: JsonText) -> Iterator[str]:
    """The keys of the object that comes next, each with its colon; the caller takes the value."""
    text.skip("{")
    while text.peek() != "}":
        key = str(text.value())
        text.skip(":")
        yield key
        if text.peek() != "}":
            text.skip(",")
    text.skip("}")


def _slim(value: Any) -> Any:
    """A list of passages without what is not read."""
    if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
        return value
    wanted = ("is_selected", "passage_text")
    return [{name: one[name] for name in wanted if name in one} for one in value]
