"""Vectors of an index in a database, for those who outgrow one machine; documents and ids stay in its folder.

    create(identity) -> upsert(0, ids, vectors) ... -> finish()       whole from here on, and not before
    check(identity)  -> search(queries, 10), read(rows), count()

What is stored carries whose vectors they are: checkpoint, document tower, documents, width. A database that
says otherwise, or holds less than all, is refused as a file is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from twotower.search.exact import Hits, Rows, Vectors

Floats = NDArray[np.float32]

FLAT, HNSW = "flat", "hnsw"
SPARE = 4
"""Documents asked for beyond the depth, so that the exact score decides at the cut-off."""
PART = 4096
"""Vectors read at a time."""


@dataclass(frozen=True)
class Identity:
    """Whose vectors they are."""

    key: str
    """Names them in the database; no other index has it."""
    owner: str
    """Index and folder that they were written for."""
    checkpoint: str
    """SHA-256."""
    doc_tower: str
    corpus: str
    """Hash of the documents."""
    dim: int
    documents: int

    def matches(self, said: Mapping[str, Any], where: str) -> None:
        """Raises ValueError, in one line, naming the first thing that is another's."""
        for name, want in asdict(self).items():
            if said.get(name) != want:
                got = str(said.get(name))
                raise ValueError(
                    f"{where}: {self.key} is of another {name} ({got[:12]}, want {str(want)[:12]}); "
                    "move the index again"
                )


class VectorStore(Protocol):
    """A database over one index's vectors; all raise ValueError or OSError, in one line, when it fails."""

    where: str
    """For people to read; without user and password."""

    def create(self, identity: Identity, algorithm: str) -> None:
        """Make room; what an interrupted move of the same owner has left is dropped."""

    def upsert(self, start: int, ids: Sequence[str], vectors: Floats) -> None:
        """Write rows `start` and following (n, D), each with its document's id."""

    def finish(self) -> None:
        """Say that all is there, once the database has all of it."""

    def check(self, identity: Identity) -> None:
        """Raises ValueError unless all of it is there, and is the index's."""

    def search(self, queries: Floats, count: int, effort: int = 0) -> list[tuple[Rows, Floats]]:
        """For each query (Q, D) the rows of at most `count` documents, and their vectors, in any order."""

    def read(self, rows: Rows) -> Floats:
        """The vectors of these rows (n, D), in that order."""

    def count(self) -> int:
        """Vectors there."""

    def ids(self) -> Iterator[str]:
        """Ids of their documents, in any order."""

    def alias(self, name: str) -> None:
        """Let other clients find them under the index's name."""

    def drop(self) -> None:
        """Delete them."""

    def close(self) -> None:
        """Let go of the connection."""


@dataclass(frozen=True, eq=False)
class RemoteVectors:
    """Vectors read when they are asked for, as `StoredVectors` are."""

    store: VectorStore
    shape: tuple[int, int]
    storage: str = "float32"

    @property
    def ndim(self) -> int:
        return 2

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> Floats:
        every = np.arange(len(self))[rows] if isinstance(rows, slice) else np.asarray(rows) % len(self)
        parts = [self.store.read(every[start : start + PART]) for start in range(0, len(every), PART)]
        return np.concatenate(parts) if parts else np.empty((0, self.shape[1]), dtype=np.float32)

    def longest(self) -> float:
        """Length of the longest vector; reads all of them."""
        parts = (self[start : start + PART] for start in range(0, len(self), PART))
        return max(float(np.linalg.norm(part.astype(np.float64), axis=1).max()) for part in parts)

    def loss(self) -> float:
        """What no score is off by more than, for what the storage leaves out: nothing."""
        return 0.0


def top(store: VectorStore, queries: Vectors, documents: int, depth: int, effort: int = 0) -> Hits:
    """The `depth` best of each query: the database proposes, exact scores and rows decide, as in a file."""
    wide, depth = min(depth + SPARE, documents), min(depth, documents)
    asked = np.ascontiguousarray(queries, dtype=np.float32)
    scores = np.full((len(asked), depth), -np.inf, dtype=np.float32)
    rows = np.full((len(asked), depth), -1, dtype=np.int64)
    for i, (found, vectors) in enumerate(store.search(asked, wide, effort)):
        if len(found) < depth:
            raise ValueError(f"{store.where}: it found {len(found)} documents, want {depth}; check the index")
        exactly = (vectors.astype(np.float64) @ asked[i].astype(np.float64)).astype(np.float32)
        order = np.lexsort((found, -exactly))[:depth]
        scores[i], rows[i] = exactly[order], found[order]
    return Hits(scores, rows)
