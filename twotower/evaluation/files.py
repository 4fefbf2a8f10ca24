"""Evaluations as a folder of files that other tools read: TREC's own, and a table of per-query values.

    out/qrels.txt                    what is relevant, for trec_eval, ir_measures, ranx
    out/first-a1b2c3.run             what was retrieved, a line a document
    out/first-a1b2c3.queries.csv     query_id, each metric, whether training has seen it
    out/BM25.run                     a system to compare with, that everybody has

A file that is there is replaced whole or not at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from twotower.evaluation import floors, trec
from twotower.evaluation.floors import Asked
from twotower.evaluation.metrics import Ranking
from twotower.evaluation.results import PerQuery, stem_of

BM25 = "BM25"


@dataclass(frozen=True, eq=False)
class Row:
    """One system's lists and values."""

    name: str
    ranking: Ranking
    per_query: PerQuery


def write(folder: Path, asked: Asked, rows: Sequence[Row], *, bm25: bool) -> str:
    """Write all of them, and with `bm25` its run too; a line that says what was written, and replaced.

    Raises:
        ValueError: an id that has no place in a run file, for there is white space in it.
        OSError: the folder cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"out: {folder}: a file, want a folder")
    before = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    folder.mkdir(parents=True, exist_ok=True)
    written = list(_written(folder, asked, rows))
    if bm25 and not any(row.name == BM25 for row in rows):
        written.append(_bm25(folder, asked))
    replaced = sum(path.name in before for path in written)
    said = f", {replaced} of them in place of older ones" if replaced else ""
    return f"out: {len(written)} files written to {folder}{said}"


def _written(folder: Path, asked: Asked, rows: Sequence[Row]) -> Iterator[Path]:
    collection = asked.collection
    yield trec.write_qrels(folder / "qrels.txt", asked.judgements, collection)
    queries = [collection.query_ids[row] for row in asked.query_rows.tolist()]
    for stem, row in zip(_stems([row.name for row in rows]), rows, strict=True):
        yield trec.write_run(folder / f"{stem}.run", row.ranking, queries, collection.doc_ids, stem)
        yield trec.write_per_query(folder / f"{stem}.queries.csv", row.per_query)


def _bm25(folder: Path, asked: Asked) -> Path:
    """Ranked anew: what is kept of a floor are its values, not its lists."""
    tokens, grade = asked.tokens, asked.protocol.min_grade
    result = floors.bm25(
        tokens.docs, tokens.queries, asked.judgements, asked.lists, ks=asked.ks, min_grade=grade
    )
    assert result.ranking is not None  # it was made here
    queries = [asked.collection.query_ids[row] for row in asked.query_rows.tolist()]
    return trec.write_run(folder / f"{BM25}.run", result.ranking, queries, asked.collection.doc_ids, BM25)


def _stems(names: Sequence[str]) -> list[str]:
    """File names of systems, each its own.

    >>> _stems(["a b", "a/b", "c"])
    ['a_b', 'a_b-2', 'c']
    """
    stems: list[str] = []
    for name in map(stem_of, names):
        number, stem = 1, name
        while stem in stems:
            number += 1
            stem = f"{name}-{number}"
        stems.append(stem)
    return stems
