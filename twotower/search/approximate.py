"""The documents nearest to each query, found by a look at a few: FAISS proposes, exact scores decide.

    queries (Q, D) -> FAISS's slots -> rows (Q, K) of the documents -> rescored from the stored vectors

What FAISS keeps are copies of a byte a number, or of four bits for two, which suffice to propose. Every hit
then gets the score and the place that an exact search gives it, so that all that can differ is which
documents are among the hits: `recall`, measured against an exact search.

A slot is FAISS's own number of a vector, given as it was added; rows shift when documents come and go, so
`slots.npy` says which row stands in each slot, -1 where the document is gone. One seed decides what is drawn.
Graphs (hnsw) are built by all threads at once, each linking to what it finds: with more than one thread two
builds differ in some links, so in a few of the documents found, never in a score.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.search import exact, faiss_index
from twotower.search.exact import Hits, Rows, Scores, Vectors
from twotower.search.faiss_index import AUTO, BLOCK, FLAT, HNSW, IVF, PQ, Make
from twotower.search.stored import Docs

INDEX, SLOTS = "faiss.index", "slots.npy"

FLAT_BELOW = 200_000
"""Documents from which `auto` is not exact. On two cores a query of 256 numbers takes 5 ms exactly over
100,000 documents, so 10 ms over this many: less than anybody notices, and nothing to tune."""
TOP = 10
"""Depth at which recall is measured."""
QUERIES = 512
"""Queries, at most, with which recall is measured."""
SPARE = exact.SPARE
"""Documents proposed beyond the depth: the copies' small errors then cost no hit."""
CHUNK = 1 << 16
"""Documents searched exactly at a time; bounds memory, changes no hit."""
NOISE = 0.5
"""Length of what is added to a document of length 1 to make a query of it, where none is given."""
EVEN = 0.98
"""Lengths within this share of the longest count as equal: int8 alone changes them by 0.3 %."""
STALE = 0.2
"""Share of slots without document from which an edit builds anew."""
MOST = 4096
"""Of hnsw: the largest efSearch that is tried; an exact search is as quick."""


@dataclass(frozen=True)
class Parameters:
    """What decides how is searched; plain numbers and words, for the manifest."""

    kind: str
    wanted: float
    """Recall at 10 that was asked for."""
    effort: int
    """What was tuned: of hnsw efSearch, of ivf nprobe, of pq how many are rescored; for depths up to 10."""
    queries: int
    """Queries with which it was measured."""
    given: bool
    """Whether those were queries; otherwise they were documents with noise."""
    seed: int
    documents: int
    """From which it was built; edits do not change it."""
    longest: float
    """Length of the longest of them."""
    even: bool
    """Whether all were about as long; see `faiss_index`."""

    @property
    def make(self) -> Make:
        """What FAISS's index is made as."""
        return Make(self.kind, self.seed, self.longest, self.even)


@dataclass(frozen=True, eq=False)
class Approximate:
    """A search that looks at a part of the documents; an edit makes a new one."""

    parameters: Parameters
    recall: float
    """Share of the exact 10 best that were found; may be below the wanted one, if no effort reached it."""
    slots: NDArray[np.int32]
    """Row of the document in each of FAISS's slots, -1 where it is gone."""
    index: Any
    """FAISS's."""

    def __len__(self) -> int:
        return int((self.slots >= 0).sum())

    @property
    def reached(self) -> bool:
        """Whether the wanted recall was measured."""
        return self.recall >= self.parameters.wanted

    def propose(self, queries: Vectors, count: int) -> Rows:
        """At least `count` (Q, K) rows likely to be among the best, each once, in no order; -1 for none."""
        made, slots = self.parameters, len(self.slots)
        effort = -(-made.effort * max(count, TOP) // TOP)
        wanted = effort if made.kind == PQ else count + SPARE
        gone = slots - len(self)
        wide = min(wanted + -(-wanted * 2 * gone // slots) + (SPARE if gone else 0), slots)
        found = faiss_index.slots(self.index, made.kind, queries, wide, effort)
        rows: Rows = np.where(found >= 0, self.slots[np.maximum(found, 0)], -1).astype(np.int64)
        return rows

    def save(self, folder: Path) -> dict[str, Any]:
        """Write `faiss.index` and `slots.npy`; returns the parameters, which `load` wants back."""
        faiss_index.module(self.parameters.kind).write_index(self.index, str(folder / INDEX))
        np.save(folder / SLOTS, self.slots, allow_pickle=False)
        return asdict(self.parameters)


def load(folder: Path, parameters: Mapping[str, Any], recall: float) -> Approximate:
    """What `save` wrote; ValueError, in one line, for a file that FAISS refuses, or without FAISS."""
    made = Parameters(**parameters)
    faiss = faiss_index.module(made.kind)
    try:
        index, slots = faiss.read_index(str(folder / INDEX)), np.load(folder / SLOTS, allow_pickle=False)
    except (RuntimeError, OSError, ValueError) as error:
        why = str(error).strip().splitlines()[-1][:100]
        raise ValueError(f"{folder / INDEX}: cannot be read ({why}); build the index again") from None
    if index.ntotal != len(slots):
        raise ValueError(f"{folder / SLOTS}: {len(slots)} slots, want {index.ntotal}; build the index again")
    return Approximate(made, recall, slots, index)


def choose(kind: str, documents: int) -> str:
    """The kind itself, or of `auto` the one for so many documents: exact below 200,000, or without FAISS."""
    if kind != AUTO:
        return kind
    return FLAT if documents < FLAT_BELOW or exact.load_faiss() is None else HNSW


def top(approximate: Approximate, queries: Vectors, vectors: Docs, depth: int) -> Hits:
    """The hits of each query, as `exact.top`, but for documents that were not proposed.

    `vectors` are those whose rows the search knows. Depths of which much of the corpus would be proposed are
    searched exactly, and so are queries for which too few were.
    """
    exact.check(queries, vectors, depth, 1)
    if len(approximate) != len(vectors):
        raise ValueError(
            f"search over {len(approximate)} documents, got {len(vectors)}; build the index again"
        )
    queries, depth = np.ascontiguousarray(queries, dtype=np.float32), min(depth, len(vectors))
    if approximate.parameters.effort * depth > TOP * len(vectors) // 2:
        return _exactly(queries, vectors, depth)
    found = exact.rescored(queries, vectors, approximate.propose(queries, depth))
    hits = Hits(found.scores[:, :depth].copy(), found.rows[:, :depth].copy())
    (short,) = np.nonzero(hits.rows[:, -1] < 0)
    if len(short):
        settled = _exactly(queries[short], vectors, depth)
        hits.scores[short], hits.rows[short] = settled.scores, settled.rows
    return hits


def build(vectors: Docs, *, kind: str, recall: float, queries: Vectors | None, seed: int) -> Approximate:
    """Make a search of the kind (ivf, hnsw or pq) over the vectors (N, D), and tune it to find `recall`.

    Tuned with `queries` (Q, D), or where there are none with documents to which noise is added. If no effort
    reaches `recall`, the best is kept, and its `recall` says so. ValueError without FAISS.
    """
    rng = np.random.default_rng(seed)
    shortest, longest = _lengths(vectors)
    asked, given = _asked(vectors, queries, rng)
    even = shortest >= EVEN * longest
    made = Parameters(kind, recall, 1, len(asked), given, seed, len(vectors), longest, even)
    index = faiss_index.trained(made.make, vectors, rng)
    faiss_index.add(index, vectors, np.arange(len(vectors)), made.make)
    slots = np.arange(len(vectors), dtype=np.int32)
    return tuned(Approximate(made, 0.0, slots, index), vectors, asked)


def edited(
    old: Approximate, vectors: Docs, moved: NDArray[np.integer], queries: Vectors | None = None
) -> Approximate:
    """The search after an edit, tuned again; `old` stays as it is.

    `vectors` (N, D) are those after the edit, and `moved` (N,) the row that each had before, -1 for one that
    is new or was encoded again. Built anew where more than a fifth of the slots would be without document,
    half of the documents are new since the last build, or a new one has another length.
    """
    made = old.parameters
    fresh, stay = np.flatnonzero(moved < 0), np.flatnonzero(moved >= 0)
    rows = np.full(int(old.slots.max(initial=-1)) + 1, -1, dtype=np.int32)
    rows[moved[stay]] = stay
    slots = np.concatenate([np.where(old.slots >= 0, rows[np.maximum(old.slots, 0)], -1), fresh])
    shortest, longest = _lengths(vectors)
    fits = longest * EVEN <= made.longest and (not made.even or shortest >= EVEN * made.longest)
    if not fits or (slots < 0).sum() > STALE * len(slots) or len(slots) > 2 * made.documents:
        return build(vectors, kind=made.kind, recall=made.wanted, queries=queries, seed=made.seed)
    index = faiss_index.module(made.kind).clone_index(old.index)
    faiss_index.add(index, vectors, fresh, made.make)
    asked, given = _asked(vectors, queries, np.random.default_rng(made.seed))
    made = replace(made, queries=len(asked), given=given)
    return tuned(Approximate(made, 0.0, slots.astype(np.int32), index), vectors, asked)


def tuned(search: Approximate, vectors: Docs, queries: Vectors) -> Approximate:
    """The same search with the least effort that finds the wanted share of the exact 10 best, or its best.

    A document that scores what the tenth does counts as found: which of equals is shown is chance.
    """
    depth = min(TOP, len(vectors))
    last = _exactly(queries, vectors, depth).scores[:, -1:]
    best = replace(search, recall=-1.0)
    for effort in _efforts(search):
        tried = replace(search, parameters=replace(search.parameters, effort=effort))
        found = exact.rescored(queries, vectors, tried.propose(queries, depth))
        recall = float((found.scores[:, :depth] >= last).mean())
        if recall > best.recall:
            best = replace(tried, recall=recall)
        if best.reached:
            break
    return best


def _efforts(search: Approximate) -> list[int]:
    """What is tried, ascending by about a half each."""
    most = {HNSW: MOST, IVF: getattr(search.index, "nlist", 1), PQ: len(search)}[search.parameters.kind]
    efforts = [1 if search.parameters.kind == IVF else TOP + SPARE]
    while efforts[-1] < most:
        efforts.append(min(-(-efforts[-1] * 3 // 2), most))
    return efforts


def _asked(vectors: Docs, queries: Vectors | None, rng: np.random.Generator) -> tuple[Scores, bool]:
    """Queries to tune with, and whether they were given; else documents with noise."""
    if queries is not None and len(queries):
        some = np.sort(rng.choice(len(queries), min(QUERIES, len(queries)), replace=False))
        return np.ascontiguousarray(queries[some], dtype=np.float32), True
    documents = vectors[np.sort(rng.choice(len(vectors), min(QUERIES, len(vectors)), replace=False))]
    noise = rng.normal(size=documents.shape)
    lengths = np.linalg.norm(documents, axis=1, keepdims=True)
    noise *= NOISE * lengths / np.maximum(np.linalg.norm(noise, axis=1, keepdims=True), 1e-12)
    return (documents + noise).astype(np.float32), False


def _lengths(vectors: Docs) -> tuple[float, float]:
    """Lengths of the shortest and the longest vector."""
    shortest, longest = np.inf, 0.0
    for start in range(0, len(vectors), BLOCK):
        lengths = np.sqrt(np.square(vectors[start : start + BLOCK], dtype=np.float64).sum(axis=1))
        shortest, longest = min(shortest, float(lengths.min())), max(longest, float(lengths.max()))
    return shortest, longest


def _exactly(queries: Vectors, vectors: Docs, depth: int) -> Hits:
    return exact.top(queries, vectors, depth, chunk=CHUNK)
