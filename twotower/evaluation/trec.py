"""A TREC run file, plain or gzipped, as each query's own list of candidates.

    19699 Q0 19699_3 1 14.25 bm25      query, Q0, document, rank, score, tag, with white space between

Rank and score say how another system ordered the list; who ranks it anew needs the documents alone.
"""

import math
from array import array
from pathlib import Path

import numpy as np

from twotower.config import OnBad
from twotower.data.collection import Collection
from twotower.data.ledger import BadLine, Ledger, decoded
from twotower.evaluation.candidates import Ints, Lists

FIELDS = "query Q0 document rank score tag"


def read(file: Path, collection: Collection, split: str) -> tuple[Lists, list[str]]:
    """The lists of the queries judged in `split`, and remarks on what was left aside.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a malformed line, an unknown query or document, a document twice in a list, with file and
            line; or queries of the split that have no list: their number and the first.
    """
    queries, docs = _pairs(file.expanduser(), collection)
    _check_repeats(file, queries, docs, collection)
    rows = collection.query_rows
    wanted = np.array(sorted(rows[query] for query in collection.split(split)), dtype=np.int64)
    lacking = wanted[~np.isin(wanted, queries)]
    if len(lacking):
        raise ValueError(
            f"{file}: {len(lacking)} of the {len(wanted)} queries judged in split {split} have no list, "
            f"the first is {collection.query_ids[lacking[0]]!r}; want a list for each of them"
        )
    kept = np.isin(queries, wanted)
    others = len(np.unique(queries[~kept]))
    remarks = [f"{file}: {others:,} queries that split {split} does not judge left aside"] if others else []
    return Lists.of(queries[kept], docs[kept]), remarks


def _pairs(file: Path, collection: Collection) -> tuple[Ints, Ints]:
    """Rows of the query and the document of each line, in the file's order."""
    queries, docs = array("q"), array("q")
    page = Ledger(OnBad.error).page(file)
    for number, raw in page.lines():
        with page.line(number):
            query, doc = _parsed(decoded(raw))
            queries.append(_row(query, "query", collection.query_rows))
            docs.append(_row(doc, "document", collection.doc_rows))
    return np.array(queries, dtype=np.int64), np.array(docs, dtype=np.int64)


def _parsed(line: str) -> tuple[str, str]:
    fields = line.split()
    if len(fields) != 6:
        raise BadLine("fields", f"{len(fields)} fields, want 6: {FIELDS}")
    query, _, doc, _, score, _ = fields
    try:
        finite = math.isfinite(float(score))
    except ValueError:
        finite = False
    if not finite:
        raise BadLine("score", f"score {score!r}, want a finite number")
    return query, doc


def _row(name: str, kind: str, rows: dict[str, int]) -> int:
    if name not in rows:
        raise BadLine(kind, f"no {kind} {name!r} in the collection")
    return rows[name]


def _check_repeats(file: Path, queries: Ints, docs: Ints, collection: Collection) -> None:
    """ValueError for the first line that names a document again; line numbers are places, counted from 1."""
    order = np.lexsort((docs, queries))  # stable: of equals the earlier line first
    same = (np.diff(queries[order]) == 0) & (np.diff(docs[order]) == 0)
    if same.any():
        place = int(order[1:][same].min())
        query, doc = collection.query_ids[queries[place]], collection.doc_ids[docs[place]]
        raise ValueError(f"{file}:{place + 1}: document {doc!r} again in the list of query {query!r}")
