"""The steps that make a folder an index, each from what the step before left in it.

    documents.db -> ids -> vectors -> duplicates, approximate search, quantiles; towers; the manifest last

`build` runs them all over a source, `edits` over the documents and vectors of the index before.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

import twotower
from twotower import config, knobs
from twotower.search import approximate, calibration, exact, faiss_index, stored
from twotower.search.approximate import Approximate
from twotower.search.documents import Document, DocumentStore
from twotower.search.index import (
    DOC_TOWER,
    DUPLICATES,
    FORMAT,
    IDS,
    OFFSETS,
    PROBE,
    QUERIES,
    TOWER,
    Index,
)
from twotower.search.numpy_tower import NumpyMLP
from twotower.search.packed import Packed
from twotower.search.redis_cache import RedisCache
from twotower.search.stored import StoredVectors
from twotower.text.cache import WORDS
from twotower.text.tokenize import Tokenizer

if TYPE_CHECKING:  # slow
    from tqdm import tqdm

    from twotower.model.retriever import Retriever

BATCH = 1 << 14
"""Documents tokenised and encoded at a time; bounds memory, changes no vector of an MLP."""
ASKED = 512
"""Queries kept to measure with."""

T = TypeVar("T")
Asked = Callable[[Sequence[str]], NDArray[np.float32]]
"""Encodes queries."""


@dataclass(frozen=True)
class Plan:
    """What is to be built, whatever the documents."""

    kind: config.IndexKind = config.IndexKind.auto
    storage: config.Storage = config.Storage.float32
    recall: float = 0.95
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Model:
    """The checkpoint that encodes."""

    path: Path
    sha256: str
    run: str
    doc_tower: str
    """Identity of the document tower."""
    retriever: "Retriever"
    cache: RedisCache | None = None
    """Where vectors of texts are kept, if somewhere."""


@dataclass(frozen=True, eq=False)
class Before:
    """The approximate search of the index before an edit."""

    search: Approximate
    rows: NDArray[np.int64]
    """(N,), for each row now the row that it had; -1 for one that is new or was encoded again."""


def inputs(documents: Sequence[Document]) -> list[str]:
    """What a tower reads of each document, as `Collection.doc_inputs`: title, a space, text."""
    return [f"{document.title} {document.text}".strip() for document in documents]


def batches(items: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """The items in lists of at most `size`.

    >>> list(batches("abc", 2))
    [['a', 'b'], ['c']]
    """
    rest = iter(items)
    while some := list(islice(rest, size)):
        yield some


def encode(model: Model, documents: Sequence[Document]) -> NDArray[np.float32]:
    """Unit vectors (n, D) of the documents."""
    from twotower.model import encode as encoding  # torch (1.5 s), which a search does not pay

    retriever = model.retriever

    def encoded(texts: Sequence[str]) -> NDArray[np.float32]:
        tokens = retriever.tokenizer.tokenize(texts)
        return encoding.encode_docs_alike(retriever.two_tower, retriever.doc_ids(tokens))

    texts = inputs(documents)
    return model.cache.encode(texts, encoded) if model.cache else encoded(texts)


def write_ids(folder: Path, store: DocumentStore) -> Packed:
    """The ids, ascending, as files; their places are the rows of everything else."""
    ids = Packed.of(list(store.ids()))
    for name, array in ((IDS, ids.blob), (OFFSETS, ids.offsets)):
        np.save(folder / name, array, allow_pickle=False)
    return ids


def write_vectors(folder: Path, store: DocumentStore, ids: Packed, model: Model, storage: str) -> None:
    """Encode what is not encoded yet, in the order of the ids."""
    with stored.Writer.open(folder, storage, (len(ids), model.retriever.two_tower.form.dim)) as writer:
        after = ids[writer.rows - 1] if writer.rows else ""
        with progress("encoding", len(ids), writer.rows) as bar:
            for some in batches(store.scan(after)):
                writer.write(writer.rows, encode(model, some))
                bar.update(len(some))
        writer.finish()


def progress(what: str, total: int | None, done: int = 0) -> "tqdm[Any]":
    """A bar on a terminal, for a step that takes longer than two seconds."""
    from tqdm import tqdm  # 0.03 s, which a search does not pay

    return tqdm(total=total, initial=done, desc=what, unit="text", delay=2, leave=False, disable=None)


def write_duplicates(folder: Path, store: DocumentStore) -> int:
    """Row of the first document with the same title and text, for each; returns how many repeat another."""
    seen: dict[str, int] = {}
    first = np.empty(len(store), dtype=np.int32)
    row = 0
    for some in batches(store.ids()):
        digests = store.hashes(some)
        for doc_id in some:
            first[row] = seen.setdefault(digests[doc_id], row)
            row += 1
    np.save(folder / DUPLICATES, first, allow_pickle=False)
    return int((first != np.arange(len(first))).sum())


def write_towers(folder: Path, model: Model) -> dict[str, Any]:
    """Arrays of the MLP towers, and the vocabulary; returns what the manifest says of them."""
    retriever = model.retriever
    two_tower = retriever.two_tower
    tied = two_tower.doc_tower is two_tower.query_tower and two_tower.doc_words is None
    sides = {TOWER: two_tower.numpy_query_tower(), DOC_TOWER: {} if tied else two_tower.numpy_doc_tower()}
    for prefix, arrays in sides.items():
        for name, array in arrays.items():
            np.save(folder / f"{prefix}{name}.npy", array, allow_pickle=False)
    words = list(retriever.vocab.words)
    (folder / WORDS).write_bytes(json.dumps(words, ensure_ascii=False).encode())
    form = knobs.plain(two_tower.form)
    return {
        "tied": tied,
        "dim": two_tower.form.dim,
        "query_tower": form["query_tower"],
        "doc_tower_knobs": form["doc_tower"],
        "vocabulary": len(words),
        "pattern": retriever.tokenizer.pattern,
        "max_query_words": retriever.max_query_words,
        "max_doc_words": retriever.max_doc_words,
        "probe": _write_probe(folder, retriever),
    }


def _write_probe(folder: Path, retriever: "Retriever") -> list[str]:
    """Vectors of a few texts, by which the towers' arrays are proved; returns the texts."""
    from twotower.model import checkpoint  # torch, which has encoded the documents before

    sides = retriever.encode_queries(checkpoint.PROBE), retriever.encode_docs(checkpoint.PROBE)
    np.save(folder / PROBE, np.stack(sides), allow_pickle=False)
    return list(checkpoint.PROBE)


def some(texts: Sequence[str], seed: int) -> list[str]:
    """At most `ASKED` of the texts, drawn without replacement, in their order."""
    rows = np.random.default_rng(seed).choice(len(texts), min(ASKED, len(texts)), replace=False)
    return [texts[row] for row in np.sort(rows).tolist()]


def _asked(folder: Path, ask: Asked) -> NDArray[np.float32] | None:
    """Vectors of the kept queries; None where the source has none."""
    texts = json.loads((folder / QUERIES).read_bytes())
    return ask(texts) if texts else None


def _drawn(vectors: StoredVectors, seed: int) -> NDArray[np.float32]:
    """Documents that stand in for queries."""
    rows = np.random.default_rng(seed).choice(len(vectors), min(ASKED, len(vectors)), replace=False)
    return np.asarray(vectors[np.sort(rows)], dtype=np.float32)


def write_rest(
    folder: Path, store: DocumentStore, ask: Asked, plan: Plan, before: Before | None = None
) -> dict[str, Any]:
    """All that follows from documents and vectors; returns what the manifest says of it."""
    vectors = stored.open_vectors(folder, plan.storage.value)
    repeated = write_duplicates(folder, store)
    queries = _asked(folder, ask)
    search = write_search(folder, vectors, queries, plan, before)
    pairs = _drawn(vectors, plan.seed) if queries is None else queries
    return {
        "documents": len(vectors),
        "repeated": repeated,
        "storage": plan.storage.value,
        "longest": vectors.longest(),
        "quantiles": calibration.quantiles(pairs, vectors, np.random.default_rng(plan.seed)),
        **search,
        "plan": {"kind": plan.kind.value, "recall": plan.recall, "seed": plan.seed},
        "store": None,
        "versions": _versions(search["kind"]),
    }


def write_search(
    folder: Path,
    vectors: StoredVectors,
    queries: NDArray[np.float32] | None,
    plan: Plan,
    before: Before | None,
) -> dict[str, Any]:
    """Build the approximate search, if one is wanted, or bring the one before up to date."""
    kind = approximate.choose(plan.kind.value, len(vectors))
    if kind == faiss_index.FLAT:
        return {"kind": kind, "parameters": {}, "recall": 1.0}
    if before and before.search.parameters.kind == kind:
        made = approximate.edited(before.search, vectors, before.rows, queries)
    else:
        made = approximate.build(vectors, kind=kind, recall=plan.recall, queries=queries, seed=plan.seed)
    return {"kind": kind, "parameters": made.save(folder), "recall": made.recall}


def by_own_tower(index: Index) -> Asked:
    """Encodes queries with the MLP that an index holds, without torch."""
    knobs = index.manifest["query_tower"]
    tower = NumpyMLP(index.tower, activation=knobs["activation"], residual=knobs["residual"])
    tokenizer, limit = Tokenizer(index.manifest["pattern"]), int(index.manifest["max_query_words"])
    return lambda texts: tower(index.vocab.encode(tokenizer.tokenize(texts), limit))


def now() -> str:
    """The time, to the second, with its zone."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


def identity(name: str, model: Model) -> dict[str, Any]:
    """What the manifest says first: of what format, whose, by which checkpoint."""
    return {
        "format": FORMAT,
        "name": name,
        "created": now(),
        "checkpoint": {"path": str(model.path), "sha256": model.sha256, "run": model.run},
        "doc_tower": model.doc_tower,
    }


def _versions(kind: str) -> dict[str, str]:
    """Of what decides how an index is read and searched."""
    made = {"twotower": twotower.__version__, "numpy": np.__version__}
    return made if kind == "flat" else {**made, "faiss": exact.engine().removeprefix("faiss ")}
