"""Adding, removing and updating documents of an index: a new version beside the old one, then live.

    v0003 --snapshot--> documents.db, changed --vectors of others copied, of these encoded--> v0004

Ids, vectors and the corpus hash are then those of an index built from the same documents. Until the last
rename the old version answers, untouched; a process that is killed leaves a work folder, which the next edit
empties.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower import config
from twotower.search import index, sealed, stages, stored, versions
from twotower.search.build import Encoder
from twotower.search.changes import Apply, Change
from twotower.search.documents import DocumentStore
from twotower.search.index import DOC_TOWER, DOCUMENTS, PROBE, QUERIES, TOWER, Index
from twotower.search.packed import Packed
from twotower.search.stages import Before, Plan
from twotower.search.stored import StoredVectors
from twotower.search.versions import Place
from twotower.text.cache import WORDS

WORK = "edit"
"""Key of the work folder of edits, which are not continued."""


@dataclass(frozen=True)
class Edited:
    """Where the index is now, and what was done."""

    place: Place
    change: Change


def edit(root: Path, name: str, encoder: Callable[[Index], Encoder], apply: Apply) -> Edited:
    """A new version of the live index `name` with its documents changed, live at once.

    `encoder` is asked for only where documents are to be encoded. Where nothing changes, no version is made.
    Raises ValueError as `apply` does, and where another process changes the index.
    """
    versions.check_name(name)
    with versions.locked(root, name):
        place = versions.resolve(root, name)
        old = index.load(place.folder)
        if old.manifest["store"]:
            raise ValueError(
                f"index {name}: its vectors lie in {old.manifest['store']['url']}; "
                f"`twotower index move {name} store=files` first, and back afterwards"
            )
        folder = versions.work_folder(root, name, WORK)
        shutil.rmtree(folder)
        folder.mkdir()
        try:
            change = _fill(folder, old, encoder, apply)
            if change:
                place = versions.publish(root, name, folder, live=True)
        finally:
            old.close()
            shutil.rmtree(folder, ignore_errors=True)
        return Edited(place, change)


def _fill(folder: Path, old: Index, encoder: Callable[[Index], Encoder], apply: Apply) -> Change:
    start = perf_counter()
    old.documents.snapshot(folder / DOCUMENTS)
    with DocumentStore.open(folder / DOCUMENTS, write=True) as store:
        change = apply(old, store)
        if not len(store):
            raise ValueError(f"{old.name}: no document would be left, want at least one")
        store.finish()
    if not change:
        return change
    read = perf_counter()
    with DocumentStore.open(folder / DOCUMENTS, immutable=True) as store:
        ids = stages.write_ids(folder, store)
        rows = _rows(old.ids, ids, change)
        _write_vectors(folder, old, store, rows.copy(), encoder)
        encoded = perf_counter()
        _link(folder, old)
        before = Before(old.approximate, rows) if old.approximate else None
        made = stages.write_rest(folder, store, _asked(old, encoder), _plan(old.manifest), before)
        corpus = store.corpus_hash()
    kept = {key: value for key, value in old.manifest.items() if key not in ("files", "seal")}
    seconds = {"read": read - start, "encode": encoded - read, "build": perf_counter() - encoded}
    manifest = {
        **kept,
        **made,
        "created": stages.now(),
        "corpus": corpus,
        "sources": change.sources,
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
    }
    sealed.close(folder, manifest)
    return change


def _rows(before: Packed, after: Packed, change: Change) -> NDArray[np.int64]:
    """For each row of the new index the old row whose vector it keeps, -1 where it is encoded, (N,).

    Both lists of ids ascend, so what neither was added nor removed stands in both in the same order.
    """
    gone = [index.place(before, doc_id) for doc_id in change.removed]
    new = [index.place(after, doc_id) for doc_id in change.added]
    rows = np.full(len(after), -1, dtype=np.int64)
    stay = np.setdiff1d(np.arange(len(after)), np.array(new, dtype=np.int64))
    rows[stay] = np.setdiff1d(np.arange(len(before)), np.array(gone, dtype=np.int64))
    rows[[index.place(after, doc_id) for doc_id in change.changed]] = -1
    return rows


def _link(folder: Path, old: Index) -> None:
    """Take over what does not depend on the documents; the same file, where the system can."""
    for name in old.manifest["files"]:
        if name.startswith((TOWER, DOC_TOWER)) or name in (WORDS, QUERIES, PROBE):
            try:
                os.link(old.folder / name, folder / name)
            except OSError:
                shutil.copyfile(old.folder / name, folder / name)


def _write_vectors(
    folder: Path,
    old: Index,
    store: DocumentStore,
    rows: NDArray[np.int64],
    encoder: Callable[[Index], Encoder],
) -> None:
    """The vector of each row: that of the old row as it lies there, or, where that is negative, a new one."""
    ids, storage, dim = list(store.ids()), old.manifest["storage"], old.manifest["dim"]
    with stored.Writer.open(folder, storage, (len(rows), dim)) as writer:
        for stop in range(stages.BATCH, len(rows) + stages.BATCH, stages.BATCH):
            some = rows[stop - stages.BATCH : stop]
            new = np.flatnonzero(some < 0)
            vectors = np.empty((0, dim), dtype=np.float32)
            if len(new):
                documents = store.get([ids[stop - stages.BATCH + row] for row in new.tolist()])
                vectors = stages.encode(_fitting(old, encoder(old)).model, documents)
            some[new] = -1 - np.arange(len(new))
            assert isinstance(old.vectors, StoredVectors)  # `edit` refuses others
            stored.copy_rows(writer, old.vectors, stored.in_memory(vectors, storage), rows[:stop])
        writer.finish()


def _fitting(old: Index, encoder: Encoder) -> Encoder:
    """The encoder itself; ValueError where it is not the one that the index was built with."""
    own = old.manifest["checkpoint"]
    if encoder.sha256 != own["sha256"] and encoder.doc_tower != old.manifest["doc_tower"]:
        raise ValueError(
            f"{encoder.path}: not the checkpoint that {old.name} was built by, {own['run']} "
            f"({own['sha256'][:12]}, it is {encoder.sha256[:12]}); build the index again"
        )
    return encoder


def _asked(old: Index, encoder: Callable[[Index], Encoder]) -> stages.Asked:
    """Encodes the kept queries: with the index's own tower, where it is an MLP."""
    if not old.tower:
        return _fitting(old, encoder(old)).model.retriever.encode_queries
    return stages.by_own_tower(old)


def _plan(manifest: Mapping[str, Any]) -> Plan:
    plan = manifest["plan"]
    kind, storage = config.IndexKind[plan["kind"]], config.Storage[manifest["storage"]]
    return Plan(kind, storage, plan["recall"], plan["seed"])
