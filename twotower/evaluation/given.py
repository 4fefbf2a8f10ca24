"""Vectors that another model made, in a folder, lined up with a collection by their ids.

    openai/docs.npy        (N, D) float16, float32 or float64      openai/doc_ids.txt      an id a line
    openai/queries.npy     (Q, D)                                  openai/query_ids.txt

Scores are inner products of the vectors as they are; nothing is brought to unit length here. Documents stay
on disk where they stand in the collection's order, by ascending id; otherwise they are put into it in memory.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.config import OnBad
from twotower.data.collection import Collection
from twotower.data.ledger import BadLine, Ledger, decoded
from twotower.evaluation import ranking
from twotower.evaluation.candidates import Ints
from twotower.model.sidecar import sha256
from twotower.search.exact import Scores, Vectors

FILES = ("docs.npy", "doc_ids.txt", "queries.npy", "query_ids.txt")
BLOCK = 1 << 24
"""Numbers looked at, or put in order, at a time."""
UNIT = 1e-3
"""By which the length of a unit vector may miss 1; float16 misses it by less."""


@dataclass(frozen=True, eq=False)
class Given:
    """Both sides, ready to be ranked."""

    queries: Scores
    """Of the queries judged in the split, ascending by row, (Q, D)."""
    docs: Vectors
    """Of all documents, in the collection's order, (N, D); a memory map where the file is in that order."""
    identity: str
    """SHA-256 (hex) over the four files."""
    remarks: Sequence[str]
    """What was left aside, or is unusual, a line each."""


def read(folder: Path, collection: Collection, split: str) -> Given:
    """The vectors of the collection's documents, and of the queries judged in `split`.

    Raises:
        FileNotFoundError: one of the files is missing.
        ValueError: a file that is no matrix of floating-point numbers, has one that is not finite, or other
            rows than ids; an id twice; ids of the collection that have no vector, their number and the first.
    """
    for name in FILES:
        if not (folder / name).is_file():
            raise FileNotFoundError(f"vectors: {folder / name}: no such file, want {', '.join(FILES)}")
    docs, queries = _matrix(folder / FILES[0]), _matrix(folder / FILES[2])
    if docs.shape[1] != queries.shape[1]:
        raise ValueError(f"{folder}: docs.npy is {docs.shape}, queries.npy {queries.shape}, want one width")
    rows = ranking.query_rows(collection.judgements(split)).tolist()
    asked = [collection.query_ids[row] for row in rows]
    wanted = _places(folder / FILES[3], queries, asked, collection.query_rows)
    places = _places(folder / FILES[1], docs, collection.doc_ids, collection.doc_rows)
    taken = np.asarray(queries[wanted.rows], dtype=np.float32)
    spans = [_lengths(folder / FILES[0], docs), _lengths(folder / FILES[2], taken)]
    return Given(
        queries=taken,
        docs=_ordered(docs, places.rows),
        identity=hashlib.sha256("".join(sha256(folder / name) for name in FILES).encode()).hexdigest(),
        remarks=[*places.remarks, *wanted.remarks, *_length_remark(folder, spans)],
    )


@dataclass(frozen=True, eq=False)
class _Places:
    """Where the wanted ids stand in a file."""

    rows: Ints
    """(wanted,)."""
    remarks: Sequence[str]


def _matrix(file: Path) -> NDArray[np.floating[Any]]:
    """The file as a memory map; ValueError for anything but a matrix of floating-point numbers."""
    try:
        found: NDArray[Any] = np.lib.format.open_memmap(file, mode="r")  # refuses objects and archives
    except (ValueError, EOFError) as error:
        raise ValueError(f"{file}: not a NumPy array ({' '.join(str(error).split())})") from None
    if found.ndim != 2 or found.dtype.kind != "f" or not found.size:
        raise ValueError(
            f"{file}: {found.dtype} of {found.shape}, want a matrix of float16, float32 or float64"
        )
    return found


def _ids(file: Path) -> dict[str, int]:
    """The row of each id; ValueError, with its line, for one that is blank or stands there twice."""
    rows: dict[str, int] = {}
    page = Ledger(OnBad.error).page(file)
    for number, raw in page.lines():
        with page.line(number):
            name = decoded(raw)
            if name in rows or not name:
                raise BadLine("id", f"id {name!r} again, first in line {rows[name] + 1}" if name else "no id")
            rows[name] = number - 1
    return rows


def _places(
    file: Path, vectors: NDArray[np.floating[Any]], wanted: Sequence[str], known: dict[str, int]
) -> _Places:
    """The rows of the wanted ids; those that the collection does not know are a remark."""
    rows = _ids(file)
    if len(rows) != len(vectors):
        raise ValueError(f"{file}: {len(rows):,} ids, want {len(vectors):,}, one a vector")
    lacking = [name for name in wanted if name not in rows]
    if lacking:
        raise ValueError(
            f"{file}: {len(lacking):,} of the {len(wanted):,} ids wanted are missing, "
            f"the first is {lacking[0]!r}"
        )
    strange = len(rows) - sum(name in known for name in rows)
    said = f"{file}: {strange:,} vectors whose ids the collection does not have left aside"
    return _Places(np.array([rows[name] for name in wanted], dtype=np.int64), [said] if strange else [])


def _lengths(file: Path, vectors: Vectors) -> tuple[float, float]:
    """The shortest and the longest; ValueError for the first vector that has a number that is not finite."""
    step = max(1, BLOCK // vectors.shape[1])
    ends: list[float] = []
    for start in range(0, len(vectors), step):
        block = np.asarray(vectors[start : start + step], dtype=np.float32)
        squares = np.einsum("nd,nd->n", block, block)
        if not np.isfinite(squares).all():
            row = start + int(np.argmin(np.isfinite(squares)))
            raise ValueError(f"{file}: the vector in row {row} is not finite, or too long for float32")
        ends += [float(squares.min()), float(squares.max())]
    return min(ends) ** 0.5, max(ends) ** 0.5


def _length_remark(folder: Path, spans: Sequence[tuple[float, float]]) -> list[str]:
    low, high = min(span[0] for span in spans), max(span[1] for span in spans)
    if low >= 1 - UNIT and high <= 1 + UNIT:
        return []
    return [
        f"{folder}: vectors of length {low:.3g} to {high:.3g}, not 1: ranked by inner product as they are"
    ]


def _ordered(docs: NDArray[np.floating[Any]], rows: Ints) -> Vectors:
    """The rows in that order: the file itself, or a stretch of it, where it is in that order; else a copy."""
    if np.array_equal(rows, np.arange(rows[0], rows[0] + len(rows))):
        return docs[rows[0] : rows[0] + len(rows)]
    made = np.empty((len(rows), docs.shape[1]), dtype=docs.dtype)
    step = max(1, BLOCK // docs.shape[1])
    for start in range(0, len(rows), step):
        made[start : start + step] = docs[rows[start : start + step]]
    return made
