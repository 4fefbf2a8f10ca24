"""TREC's plain files: runs and judgements, plain or gzipped, and a table of per-query values beside them.

    19699 Q0 19699_3 1 14.25 bm25      run: query, Q0, document, rank, score, tag, with white space between
    19699 0 19699_3 1                  qrels: query, 0, document, grade

A run is read for its documents alone, which a model then ranks anew (`read`), or as a system of its own by
the scores that it gives (`read_run`); ranks are not looked at. trec_eval and others order equal scores by
document id, where this project takes the mean over all orders: on ties their numbers differ from ours.
"""

import csv
import gzip
import io
import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from twotower.config import OnBad
from twotower.data.collection import Collection, Judgements
from twotower.data.ledger import BadLine, Ledger, decoded, raw_chunks
from twotower.evaluation import listed, ranking
from twotower.evaluation.candidates import Ints, Lists
from twotower.evaluation.metrics import EPSILON, Floats, Ranking
from twotower.evaluation.results import LEAKY, PerQuery
from twotower.model.sidecar import write_aside

FIELDS = "query Q0 document rank score tag"
BLOCK = 1 << 20
"""Bytes read at a time."""
END = "\x00"
"""Stands for the end of a line among a block's fields."""
ZIPPED = ".gz"


@dataclass(frozen=True, eq=False)
class _Run:
    """The lines of a run: sorted by query row, then document row, (lines,) each."""

    queries: Ints
    docs: Ints
    scores: Floats

    def only(self, kept: NDArray[np.bool_]) -> "_Run":
        """The lines where `kept` is true."""
        return _Run(self.queries[kept], self.docs[kept], self.scores[kept])

    def lists(self) -> Lists:
        """The documents of each query."""
        rows, first = np.unique(self.queries, return_index=True)
        return Lists(rows, self.docs, np.append(first, len(self.docs)).astype(np.int64))


def read(file: Path, collection: Collection, split: str) -> tuple[Lists, list[str]]:
    """The lists of the queries judged in `split`, and remarks on what was left aside.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a malformed line, an unknown query or document, a document twice in a list, with file and
            line; or queries of the split that have no list: their number and the first.
    """
    run, wanted, remarks = _judged(file, collection, split)
    lacking = wanted[~np.isin(wanted, run.queries)]
    if len(lacking):
        raise ValueError(
            f"{file}: {len(lacking)} of the {len(wanted)} queries judged in split {split} have no list, "
            f"the first is {collection.query_ids[lacking[0]]!r}; want a list for each of them"
        )
    return run.lists(), remarks


def read_run(
    file: Path, collection: Collection, split: str, *, depth: int, lists: Lists | None = None
) -> tuple[Ranking, list[str]]:
    """The run as a system: what it ranks to `depth` for each query row of the split, ascending, and remarks.

    Scores count as they are given, equal ones as ties. A query without a list found nothing, and scores 0.
    With `lists` a query's documents that its own list lacks are left aside.

    Raises:
        FileNotFoundError: no such file.
        ValueError: as for `read`, but that some of the queries (not all) may have no list.
    """
    run, wanted, remarks = _judged(file, collection, split)
    if lists is not None:
        width = len(collection.doc_ids)
        own = np.isin(run.queries * width + run.docs, lists.queries[lists.numbers] * width + lists.docs)
        if not own.all():
            remarks.append(
                f"{file}: {np.count_nonzero(~own):,} documents that are no candidates of their query left "
                "aside"
            )
        run = run.only(own)
    found = np.isin(wanted, run.queries)
    if not found.any():
        raise ValueError(f"{file}: none of the {len(wanted)} queries judged in split {split} has a list")
    if not found.all():
        first = collection.query_ids[wanted[~found][0]]
        remarks.append(
            f"{file}: {np.count_nonzero(~found):,} of {len(wanted):,} queries have no list and score 0, "
            f"the first is {first!r}"
        )
    remarks += _closeness(file, run)
    return _ranked(run, collection.judgements(split), found, depth), remarks


def write_run(
    file: Path, ranked: Ranking, query_ids: Sequence[str], doc_ids: Sequence[str], tag: str
) -> Path:
    """Write what each query retrieved, gzipped if the name ends in .gz; `query_ids` name the ranking's rows.

    Scores are written so that they read back equal; those of vectors are float32, as trec_eval holds them.
    ValueError for an id or a tag that has white space in it, and for a ranking that names no documents.
    """
    if ranked.rows is None:
        raise ValueError(f"{file}: {tag} orders by chance, so there is no run to write")
    used = np.unique(ranked.rows[ranked.rows >= 0]).tolist()
    _check_ids(file, [tag, *query_ids, *(doc_ids[row] for row in used)])
    pairs = zip(query_ids, ranked.rows.tolist(), ranked.scores.tolist(), strict=True)
    lines = (
        f"{query} Q0 {doc_ids[row]} {place} {score!r} {tag}\n"
        for query, rows, scores in pairs
        for place, (row, score) in enumerate(zip(rows, scores, strict=True), start=1)
        if row >= 0
    )
    return _write(file, lines)


def write_qrels(file: Path, judgements: Judgements, collection: Collection) -> Path:
    """Write all judgements, grades of 0 too; ValueError for an id that has white space in it."""
    queries = [collection.query_ids[row] for row in judgements.queries.tolist()]
    docs = [collection.doc_ids[row] for row in judgements.docs.tolist()]
    _check_ids(file, [*queries, *docs])
    triples = zip(queries, docs, judgements.grades.tolist(), strict=True)
    return _write(file, (f"{query} 0 {doc} {grade}\n" for query, doc, grade in triples))


def write_per_query(file: Path, per_query: PerQuery) -> Path:
    """Write a CSV table: query_id, each metric, and 1 under leaky for a query that training has seen."""
    columns = {name: values.tolist() for name, values in per_query.values.items()}
    if per_query.leaky is not None:
        columns[LEAKY] = per_query.leaky.astype(int).tolist()
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["query_id", *columns])
    writer.writerows(zip(per_query.ids.tolist(), *columns.values(), strict=True))
    return _write(file, [table.getvalue()])


def _judged(file: Path, collection: Collection, split: str) -> tuple[_Run, Ints, list[str]]:
    """The lines of the queries judged in the split, those queries' rows, and remarks on the others."""
    run = _lines(file.expanduser(), collection)
    rows = collection.query_rows
    wanted = np.array(sorted(rows[query] for query in collection.split(split)), dtype=np.int64)
    kept = np.isin(run.queries, wanted)
    others = len(np.unique(run.queries[~kept]))
    remarks = [f"{file}: {others:,} queries that split {split} does not judge left aside"] if others else []
    return run.only(kept), wanted, remarks


def _ranked(run: _Run, judgements: Judgements, found: NDArray[np.bool_], depth: int) -> Ranking:
    """The lists ranked, with a row of pads for each query where `found` (Q,) is false."""
    query = np.searchsorted(ranking.query_rows(judgements), judgements.queries)
    kept = found[query]
    some = Judgements(judgements.queries[kept], judgements.docs[kept], judgements.grades[kept])
    ranked = listed.rank_lists(run.scores, run.lists(), some, depth=depth)
    place = np.where(found, np.cumsum(found) - 1, -1)  # -1 is the last row, which is made for those without

    def spread(values: NDArray[Any], pad: float) -> NDArray[Any]:
        return np.concatenate([values, np.full_like(values[:1], pad)])[place]

    return Ranking(
        scores=spread(ranked.scores, -np.inf),
        grades=spread(ranked.grades, 0),
        tail_size=spread(ranked.tail_size, 0),
        tail_grades=spread(ranked.tail_grades, 0),
        judged=ranking.packed(query, judgements.grades, len(found)),
        rows=None if ranked.rows is None else spread(ranked.rows, -1),
    )


def _closeness(file: Path, run: _Run) -> list[str]:
    """A remark on scores that other tools tell apart and this project does not."""
    order = np.lexsort((run.scores, run.queries))
    queries, gaps = run.queries[order], np.diff(run.scores[order])
    close = (gaps > 0) & (gaps < EPSILON) & (queries[1:] == queries[:-1])
    count = len(np.unique(queries[1:][close]))
    said = f"{file}: {count:,} queries have scores that differ by less than {EPSILON:g}, which count as equal"
    return [said] if count else []


def _lines(file: Path, collection: Collection) -> _Run:
    """All lines; ValueError for the first that is faulty, or that names a document again."""
    run = _whole(file, collection) or _by_line(file, collection)
    order = np.lexsort((run.docs, run.queries))  # stable: of equals the earlier line first
    made = _Run(run.queries[order], run.docs[order], run.scores[order])
    same = (np.diff(made.queries) == 0) & (np.diff(made.docs) == 0)
    if same.any():
        place = int(order[1:][same].min())  # nothing was skipped, so places are line numbers from 0
        query, doc = collection.query_ids[run.queries[place]], collection.doc_ids[run.docs[place]]
        raise ValueError(f"{file}:{place + 1}: document {doc!r} again in the list of query {query!r}")
    return made


def _whole(file: Path, collection: Collection) -> _Run | None:
    """The lines in the file's order, a block at a time; None where one of them is blank or faulty."""
    queries, docs, scores = array("q"), array("q"), array("d")
    for block in _blocks(file):
        try:
            fields = block.decode().replace("\n", f" {END} ").split()
            # where every seventh is the end of a line, and no other, each line has six fields
            if (
                block.count(END.encode())
                or set(fields[6::7]) != {END}
                or len(fields) != 7 * block.count(b"\n")
            ):
                return None
            queries.extend(map(collection.query_rows.__getitem__, fields[0::7]))
            docs.extend(map(collection.doc_rows.__getitem__, fields[2::7]))
            scores.extend(map(float, fields[4::7]))
        except (KeyError, ValueError):
            return None
    run = _Run(np.array(queries, np.int64), np.array(docs, np.int64), np.array(scores, np.float64))
    return run if np.isfinite(run.scores).all() else None


def _blocks(file: Path) -> Iterator[bytes]:
    """The file in blocks of whole lines, the last of which ends too."""
    rest = b""
    for chunk in raw_chunks(file, BLOCK):
        whole, end, rest = (rest + chunk).rpartition(b"\n")
        if end:
            yield whole + end
    if rest:
        yield rest + b"\n"


def _by_line(file: Path, collection: Collection) -> _Run:
    """The same more slowly, raising ValueError for the first line that is faulty."""
    page = Ledger(OnBad.error).page(file)
    rows: list[tuple[int, int, float]] = []
    for number, raw in page.lines():
        with page.line(number):
            query, doc, score = _parsed(decoded(raw))
            rows.append(
                (
                    _row(query, "query", collection.query_rows),
                    _row(doc, "document", collection.doc_rows),
                    score,
                )
            )
    pairs = np.array([row[:2] for row in rows], dtype=np.int64).reshape(-1, 2)
    return _Run(pairs[:, 0], pairs[:, 1], np.array([row[2] for row in rows], dtype=np.float64))


def _parsed(line: str) -> tuple[str, str, float]:
    fields = line.split()
    if len(fields) != 6:
        raise BadLine("fields", f"{len(fields)} fields, want 6: {FIELDS}")
    query, _, doc, _, score, _ = fields
    try:
        number = float(score)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise BadLine("score", f"score {score!r}, want a finite number")
    return query, doc, number


def _row(name: str, kind: str, rows: dict[str, int]) -> int:
    if name not in rows:
        raise BadLine(kind, f"no {kind} {name!r} in the collection")
    return rows[name]


def _check_ids(file: Path, names: Iterable[str]) -> None:
    for name in names:
        if len(name.split()) != 1 or len(name) != len(name.strip()):
            raise ValueError(
                f"{file}: {name!r} has white space in it, and TREC's files have no place for that"
            )


def _write(file: Path, lines: Iterable[str]) -> Path:
    """Write aside and rename; without time and name inside a gzip file, so that equal content is equal."""

    def write(out: BinaryIO) -> None:
        with (
            gzip.GzipFile("", "wb", fileobj=out, mtime=0) if file.suffix == ZIPPED else nullcontext(out) as to
        ):
            to.writelines(line.encode() for line in lines)

    write_aside(file, write)
    return file
