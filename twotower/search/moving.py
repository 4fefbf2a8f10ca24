"""An index's vectors from its folder to a database and back, as a new version; ids and texts stay.

    v0003 (files)  --vectors, in batches-->  database, marked whole  -->  v0004 (redis), live
    v0004 (redis)  --vectors read back-->    vectors.npy             -->  v0005 (files), live

Until the last step the version before answers. What a killed move has left in the database is not marked
whole; the next one drops it.
"""

import hashlib
import json
import os
import secrets
import shutil
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower import config
from twotower.search import (
    databases,
    exact,
    index,
    sealed,
    stages,
    store_config,
    stored,
    vector_store,
    versions,
)
from twotower.search.approximate import INDEX, SLOTS, TOP
from twotower.search.index import CHUNK, QUERIES, Index
from twotower.search.redis_store import shown
from twotower.search.stages import Plan
from twotower.search.stored import ERRORS, SCALES
from twotower.search.vector_store import HNSW, VectorStore
from twotower.search.versions import Place

VECTORS = {"vectors.npy", "codes.npy", SCALES, ERRORS, INDEX, SLOTS}
"""Files that a version in a database does without."""
WORK = "move"
PART = 4096
"""Vectors moved at a time."""
EFFORTS = (40, 80, 160, 320, 640, 1280)
"""EF_RUNTIME that is tried."""


@dataclass(frozen=True)
class Target:
    """Where vectors are to lie."""

    kind: str
    """redis or qdrant."""
    url: str
    """May hold a password: neither shown nor kept."""
    algorithm: str
    alias: str = ""
    dim: int = 0
    """Width that an older configuration names; 0 for any."""


def target(store: config.Store) -> Target | None:
    """What the knobs name; None for files."""
    match store:
        case config.RedisStore(config=path) if path:
            older = store_config.read(Path(path))
            return Target("redis", older.url, store.algorithm.value, older.alias, older.dim)
        case config.RedisStore():
            return Target("redis", store.url, store.algorithm.value)
        case config.QdrantStore():
            return Target("qdrant", store.url, store.algorithm.value)
    return None


def move(root: Path, name: str, to: Target | None) -> Place:
    """A new, live version of the live one, with its vectors in `to`, or, where that is None, in its folder.

    Raises ValueError where they lie there already, or cannot be put there.
    """
    with versions.locked(root, name):
        place = versions.resolve(root, name)
        old = index.load(place.folder)
        before = old.manifest["store"]
        if to is None and not before:
            raise ValueError(f"index move: the vectors of {place} lie in files already")
        if to and before and (to.kind, shown(to.url)) == (before["kind"], before["url"]):
            raise ValueError(f"index move: the vectors of {place} lie in {before['url']} already")
        if to and to.dim not in (0, old.manifest["dim"]):
            raise ValueError(
                f"store.config: vector_dim {to.dim}, but {place} has vectors of {old.manifest['dim']}"
            )
        folder = versions.work_folder(root, name, WORK)
        shutil.rmtree(folder)
        folder.mkdir()
        try:
            made = _to_files(folder, old) if to is None else _to_store(folder, old, to, root / name)
            kept = {key: value for key, value in old.manifest.items() if key not in ("files", "seal")}
            sealed.close(folder, {**kept, "created": stages.now(), **made})
            return versions.publish(root, name, folder, live=True)
        finally:
            old.close()
            shutil.rmtree(folder, ignore_errors=True)


def _link(folder: Path, old: Index) -> None:
    for name in old.manifest["files"]:
        if name not in VECTORS:
            try:
                os.link(old.folder / name, folder / name)
            except OSError:
                shutil.copyfile(old.folder / name, folder / name)


def _to_store(folder: Path, old: Index, to: Target, home: Path) -> dict[str, Any]:
    """Write all vectors, float32; what could not be finished is dropped, if the database still answers."""
    _link(folder, old)
    key = f"{old.manifest['checkpoint']['sha256'][:12]}-{home.name}-{secrets.token_hex(4)}"
    owner = f"{home.name} {hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]}"
    store = databases.opened(to.kind, to.url, key)
    try:
        store.create(databases.identity(old.manifest, key, owner), to.algorithm)
        _upsert(store, old)
        store.finish()
        search = _measured(store, old, to)
        store.alias(to.alias or home.name)
    except BaseException:
        _dropped(store)
        raise
    finally:
        store.close()
    said = {"kind": to.kind, "url": shown(to.url), "key": key, "owner": owner, "alias": to.alias or home.name}
    return {
        **search,
        "storage": stored.FLOAT32,
        "store": {**said, "effort": search["parameters"].get("effort", 0)},
    }


def _upsert(store: VectorStore, old: Index) -> None:
    with stages.progress("moving", len(old)) as bar:
        for start in range(0, len(old), PART):
            vectors = np.asarray(old.vectors[start : start + PART])
            store.upsert(start, [old.ids[row] for row in range(start, start + len(vectors))], vectors)
            bar.update(len(vectors))


def _dropped(store: VectorStore) -> None:
    with suppress(OSError, ValueError):  # the server is gone: what is there is not marked whole
        store.drop()


def _measured(store: VectorStore, old: Index, to: Target) -> dict[str, Any]:
    """How the database searches, and the share of the exact 10 best that it finds."""
    if to.algorithm != HNSW:
        return {"kind": "flat", "parameters": {}, "recall": 1.0}
    wanted, seed = old.manifest["plan"]["recall"], old.manifest["plan"]["seed"]
    queries = _queries(old, seed)
    depth = min(TOP, len(old))
    least = exact.top(queries, old.vectors, depth, chunk=CHUNK).scores[:, -1:]
    effort, recall = 0, 0.0
    for effort in EFFORTS:
        found = vector_store.top(store, queries, len(old), depth, effort)
        recall = float((found.scores >= least).mean())
        if recall >= wanted:
            break
    return {"kind": HNSW, "parameters": {"effort": effort, "queries": len(queries)}, "recall": recall}


def _queries(old: Index, seed: int) -> NDArray[np.float32]:
    """The kept queries, by the index's own tower; documents where there are none, or the tower is no MLP."""
    texts = json.loads((old.folder / QUERIES).read_bytes())
    if texts and old.tower:
        return stages.by_own_tower(old)(texts)
    rows = np.random.default_rng(seed).choice(len(old), min(stages.ASKED, len(old)), replace=False)
    return np.asarray(old.vectors[np.sort(rows)], dtype=np.float32)


def _to_files(folder: Path, old: Index) -> dict[str, Any]:
    """Read all vectors back, and build the search that the index was planned with."""
    _link(folder, old)
    dim = old.manifest["dim"]
    with stored.Writer.open(folder, stored.FLOAT32, (len(old), dim)) as writer:
        with stages.progress("moving", len(old)) as bar:
            for start in range(0, len(old), PART):
                some = np.asarray(old.vectors[start : start + PART])
                writer.write(start, some)
                bar.update(len(some))
        vectors = writer.finish()
    plan = old.manifest["plan"]
    made = Plan(config.IndexKind[plan["kind"]], config.Storage.float32, plan["recall"], plan["seed"])
    search = stages.write_search(folder, vectors, _queries(old, plan["seed"]), made, None)
    return {**search, "storage": stored.FLOAT32, "store": None, "longest": vectors.longest()}


def prune(root: Path, name: str, keep: int) -> tuple[list[str], list[str]]:
    """`versions.prune`, and what the deleted ones have in databases; a line for each that is not reached."""
    stored_in = {}
    for version in versions.versions(root, name):
        with suppress(ValueError):  # a damaged one says nothing
            stored_in[version] = index.read(root / name / version)["store"]
    gone, said = versions.prune(root, name, keep), []
    for where in (stored_in.get(version) for version in gone):
        if where:
            try:
                store = databases.of_key(where)
                store.drop()
                store.close()
            except (OSError, ValueError) as error:
                said.append(f"{where['key']} stays in the database: {error}")
    return gone, said


def alias(place: Place) -> None:
    """Point the database's alias at a version that has gone live, if its vectors lie in one."""
    manifest = index.read(place.folder)
    if manifest["store"]:
        store = databases.of_manifest(manifest)
        store.alias(manifest["store"]["alias"])
        store.close()
