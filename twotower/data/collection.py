"""A collection: documents, queries, and which answers which, by split.

    docs     d1  "Einstein" "Physicist, born in Ulm."        doc_inputs: "Einstein Physicist, born in Ulm."
    queries  q1  "where was einstein born"
    qrels    {"train": {"q1": {"d1": 1}}, "dev": {...}}      grade 0: judged and not relevant

Documents and queries stand sorted by id, so rows and hashes depend on what a collection holds, not on the
order in which it was read.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.data import checks
from twotower.data.checks import Qrels
from twotower.data.ledger import FileReport, Ledger


@dataclass(frozen=True, eq=False)
class Judgements:
    """The judged pairs of a split, sorted by query row, then document row."""

    queries: NDArray[np.int64]
    """Row in `Collection.query_ids` of each pair, (pairs,)."""
    docs: NDArray[np.int64]
    """Row in `Collection.doc_ids`, (pairs,)."""
    grades: NDArray[np.int32]
    """How relevant, (pairs,); 0 or less is judged and not relevant."""

    def __len__(self) -> int:
        return len(self.queries)


@dataclass(frozen=True, eq=False)
class Collection:
    """Build it with `from_dicts` or a reader; ids must ascend without a repetition (ValueError)."""

    name: str
    doc_ids: tuple[str, ...]
    doc_titles: tuple[str, ...]
    doc_texts: tuple[str, ...]
    query_ids: tuple[str, ...]
    query_texts: tuple[str, ...]
    qrels: Qrels
    source: Mapping[str, Any] = field(default_factory=dict)
    """How to read it again, in plain types; empty for a collection built in Python."""
    files: tuple[FileReport, ...] = ()
    """What became of the lines of the files that it was read from."""
    remarks: tuple[str, ...] = ()
    """What its reader settled, a line each."""

    def __post_init__(self) -> None:
        for kind, ids in (("document", self.doc_ids), ("query", self.query_ids)):
            for first, second in pairwise(ids):
                if first >= second:
                    raise ValueError(f"{self.name}: {kind} ids do not ascend: {first!r} before {second!r}")
        if not self.doc_ids:
            raise ValueError(f"{self.name}: the corpus is empty, want at least one document")
        if not self.query_ids:
            raise ValueError(f"{self.name}: no queries, want at least one")

    @staticmethod
    def from_dicts(
        docs: Mapping[str, str | Mapping[str, str]],
        queries: Mapping[str, str],
        qrels: Qrels,
        *,
        name: str = "collection",
    ) -> "Collection":
        """From {id: text or {"title", "text"}}, {id: text} and {split: {query: {document: grade}}}.

        Raises ValueError for an empty corpus or document, no queries, a judgement whose query or document
        does not exist, and values of other types.

        >>> Collection.from_dicts({"d": "Ulm."}, {"q": "where"}, {"test": {"q": {"d": 1}}}).splits
        ('test',)
        """
        pairs = {
            doc: checks.title_and_text(f"{name}: document {doc!r}", value) for doc, value in docs.items()
        }
        for query, text in queries.items():
            checks.text(f"{name}: query {query!r}", text)
        for what in (*pairs, *queries):
            checks.text(f"{name}: id {what!r}", what)
        grades = checks.qrels(name, qrels, pairs.keys(), queries.keys())
        return Collection.assemble(name, pairs, queries, grades, source={})

    @staticmethod
    def assemble(
        name: str,
        docs: Mapping[str, tuple[str, str]],
        queries: Mapping[str, str],
        qrels: Qrels,
        *,
        source: Mapping[str, Any],
        ledger: Ledger | None = None,
    ) -> "Collection":
        """From checked parts in any order: `docs` is {id: (title, text)}, `ledger` that of their files."""
        doc_ids, query_ids = tuple(sorted(docs)), tuple(sorted(queries))
        return Collection(
            name=name,
            doc_ids=doc_ids,
            doc_titles=tuple(docs[doc][0] for doc in doc_ids),
            doc_texts=tuple(docs[doc][1] for doc in doc_ids),
            query_ids=query_ids,
            query_texts=tuple(queries[query] for query in query_ids),
            qrels=sorted_qrels(qrels),
            source=dict(source),
            files=ledger.reports() if ledger else (),
            remarks=tuple(ledger.remarks) if ledger else (),
        )

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have judgements, sorted."""
        return tuple(self.qrels)

    @cached_property
    def doc_rows(self) -> dict[str, int]:
        """Row of each document id."""
        return {doc: row for row, doc in enumerate(self.doc_ids)}

    @cached_property
    def query_rows(self) -> dict[str, int]:
        """Row of each query id."""
        return {query: row for row, query in enumerate(self.query_ids)}

    def doc_inputs(self) -> list[str]:
        """What a tower reads of each document: title, a space, text."""
        return [
            f"{title} {text}".strip() for title, text in zip(self.doc_titles, self.doc_texts, strict=True)
        ]

    def split(self, name: str) -> Mapping[str, Mapping[str, int]]:
        """Query id -> document id -> grade; ValueError for a split that does not exist."""
        if name not in self.qrels:
            raise ValueError(f"{self.name}: no split {name!r}, there is {', '.join(self.splits) or 'none'}")
        return self.qrels[name]

    def judgements(self, split: str) -> Judgements:
        """The judged pairs of `split` as rows; ValueError for a split that does not exist."""
        docs, queries = self.doc_rows, self.query_rows
        rows = np.array(
            [
                (queries[query], docs[doc], grade)
                for query, grades in self.split(split).items()
                for doc, grade in grades.items()
            ],
            dtype=np.int64,
        ).reshape(-1, 3)
        rows = rows[np.lexsort((rows[:, 1], rows[:, 0]))]
        return Judgements(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].astype(np.int32))

    @cached_property
    def hash(self) -> str:
        """SHA-256 (hex) of documents, all queries and all judgements, whatever the name and the source."""
        queries = digest(zip(self.query_ids, self.query_texts, strict=True))
        splits = [(split, self.qrels_hash(split)) for split in self.splits]
        return digest([(self.corpus_hash, queries), *splits])

    @cached_property
    def corpus_hash(self) -> str:
        """SHA-256 (hex) of ids, titles and texts of the documents."""
        return digest(zip(self.doc_ids, self.doc_titles, self.doc_texts, strict=True))

    def queries_hash(self, split: str) -> str:
        """SHA-256 (hex) of ids and texts of the queries judged in `split`."""
        rows = self.query_rows
        return digest((query, self.query_texts[rows[query]]) for query in sorted(self.split(split)))

    def qrels_hash(self, split: str) -> str:
        """SHA-256 (hex) of the judgements of `split`."""
        grades = sorted_qrels({split: self.split(split)})[split]
        return digest((query, doc, str(g)) for query, docs in grades.items() for doc, g in docs.items())


def sorted_qrels(qrels: Qrels) -> dict[str, dict[str, dict[str, int]]]:
    """The same judgements as plain dicts, sorted by split, query and document."""
    return {
        split: {query: dict(sorted(qrels[split][query].items())) for query in sorted(qrels[split])}
        for split in sorted(qrels)
    }


def digest(records: Iterable[tuple[str, ...]]) -> str:
    """SHA-256 (hex) of records of strings; lengths go first, so that ("ab", "c") differs from ("a", "bc")."""
    digest = hashlib.sha256()
    for record in records:
        parts = [part.encode() for part in record]
        digest.update(f"{','.join(str(len(part)) for part in parts)}:".encode())
        digest.update(b"".join(parts))
    return digest.hexdigest()
