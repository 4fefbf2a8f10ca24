"""Rows of the documents for each query, in their order: by the tower, or by tower and BM25.

    vectors (Q, D), the queries' words  ->  [Ranked(rows, scores, cosines), ...]

Documents that read the same have equal scores; where they are shown once, as many more are looked for.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twotower import knobs
from twotower.search import exact, fusion, lexical
from twotower.search.exact import Hits, Rows
from twotower.search.index import CHUNK, Index
from twotower.search.stored import Floats, Readable

NAMED = 8
"""Sources that a refusal names."""
POOL = 100
"""Documents, at least, that tower and BM25 each propose for a hybrid search."""


@dataclass(frozen=True)
class Options:
    """How to search."""

    hybrid: str = ""
    """BM25 too: empty for the tower alone, rrf (ranks), weighted (scores)."""
    weight: float = 0.5
    """Share of the tower in weighted; the rest is BM25's."""
    source: str = ""
    """Search the documents of this source alone; empty for all."""
    merge: bool = True
    """Show documents of one title and text once."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """Rows of one query, best first; all (n,)."""

    rows: Rows
    scores: NDArray[np.floating]
    cosines: NDArray[np.float32]
    bm25: NDArray[np.float32] | None = None


@dataclass(frozen=True, eq=False)
class Selected:
    """Some rows of other vectors, gathered when they are read."""

    docs: Readable
    rows: NDArray[np.int64]
    """(N,), those that are row 0, 1, ... here."""

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.rows), self.docs.shape[1]

    @property
    def ndim(self) -> int:
        return 2

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> Floats:
        return self.docs[self.rows[rows]]


class Finder:
    """Looks in one index."""

    def __init__(self, index: Index, cache_dir: Path | None, say: Callable[[str], None]) -> None:
        """`cache_dir` keeps what a hybrid search builds; without it, it is built for each finder."""
        self.index = index
        self.cache_dir = cache_dir
        self.say = say
        self._rows: dict[str, Rows] = {}

    @cached_property
    def sources(self) -> dict[str, int]:
        """Documents of each source, by name."""
        return self.index.documents.sources()

    @cached_property
    def lexical(self) -> lexical.Lexical:
        """BM25 over the same documents; ValueError without bm25s."""
        return lexical.of_index(self.index, self.cache_dir, self.say)

    @cached_property
    def repeats(self) -> dict[int, list[int]]:
        """Rows of each text that stands more than once, by the first of them."""
        first = np.asarray(self.index.duplicates)
        groups: dict[int, list[int]] = {}
        for row in np.flatnonzero(first != np.arange(len(first))).tolist():
            groups.setdefault(int(first[row]), [int(first[row])]).append(row)
        return groups

    def check(self, options: Options) -> None:
        """Raises ValueError for an unknown source or mode, or where a hybrid search cannot be had."""
        if options.hybrid and options.hybrid not in fusion.MODES:
            raise ValueError(f"hybrid: got {options.hybrid!r}, want one of {', '.join(fusion.MODES)}")
        if options.source and options.source not in self.sources:
            known = ", ".join(list(self.sources)[:NAMED]) or "none: its documents have no source"
            near = knobs.nearest(options.source, self.sources)
            raise ValueError(
                f"source: {self.index.name} has no {options.source!r}{near} (want one of {known})"
            )

    def find(
        self, vectors: NDArray[np.float32], words: Sequence[Sequence[str]], k: int, options: Options
    ) -> list[Ranked]:
        """For each query rows enough for `k` hits after merging."""
        among = self._rows_of(options.source) if options.source else None
        most = len(self.index) if among is None else len(among)
        found: list[Ranked | None] = [None] * len(vectors)
        left, depth = np.arange(len(vectors)), k
        while len(left):
            depth = min(depth, most)
            ranked = self._ranked(vectors[left], [words[i] for i in left.tolist()], depth, among, options)
            for i, one in zip(left.tolist(), ranked, strict=True):
                if depth == most or not options.merge or self._distinct(one.rows) >= k:
                    found[i] = one
            left = np.array([i for i in left.tolist() if found[i] is None], dtype=np.int64)
            depth *= 2
        return [one for one in found if one is not None]

    def _distinct(self, rows: Rows) -> int:
        return len(set(self.index.duplicates[rows].tolist()))

    def _ranked(
        self,
        vectors: NDArray[np.float32],
        words: Sequence[Sequence[str]],
        depth: int,
        among: Rows | None,
        options: Options,
    ) -> list[Ranked]:
        """At least `depth` rows for each query, if there are so many."""
        most = len(self.index) if among is None else len(among)
        wide = min(max(depth, POOL), most) if options.hybrid else depth
        if among is None:
            hits = self.index.top(vectors, wide)
        else:
            own = exact.top(vectors, Selected(self.index.vectors, among), wide, chunk=CHUNK)
            hits = Hits(own.scores, among[own.rows])
        if not options.hybrid:
            return [Ranked(rows, scores, scores) for rows, scores in zip(hits.rows, hits.scores, strict=True)]
        return [
            self._fused(vectors[i : i + 1], hits.rows[i], self.lexical.scores(words[i]), among, options)
            for i in range(len(vectors))
        ]

    def _fused(
        self,
        vector: NDArray[np.float32],
        near: Rows,
        scores: NDArray[np.float32],
        among: Rows | None,
        options: Options,
    ) -> Ranked:
        """What tower and BM25 propose for one query, in one order; equal ones by row."""
        if among is not None:
            mask = np.zeros(len(scores), dtype=bool)
            mask[among] = True
            scores = np.where(mask, scores, np.float32(0))
        worded = lexical.best(scores, len(near))
        every = np.union1d(near, worded)
        hits = exact.rescored(vector, self.index.vectors, every[None])
        rows, cosines = hits.rows[0], hits.scores[0]
        if options.hybrid == fusion.RRF:
            ranks = fusion.rrf(near.tolist(), worded.tolist())
            fused = np.array([ranks[row] for row in rows.tolist()])
        else:
            fused = fusion.weighted(cosines, scores[rows], options.weight)
        order = np.lexsort((rows, -fused))
        return Ranked(rows[order], fused[order], cosines[order], scores[rows][order])

    def _rows_of(self, source: str) -> Rows:
        """Rows of the documents of a source, ascending."""
        if source not in self._rows:
            own = set(self.index.documents.ids_of(source))
            ids = enumerate(self.index.documents.ids())
            self._rows[source] = np.array([row for row, doc_id in ids if doc_id in own], dtype=np.int64)
        return self._rows[source]

    def others(self, row: int) -> tuple[str, ...]:
        """Ids of the documents that read as the one in this row."""
        group = self.repeats.get(int(self.index.duplicates[row]), ())
        return tuple(self.index.ids[other] for other in group if other != row)
