"""Building an index from one source; what an interrupted build has done, the next one finds and goes on from.

<index_dir>/<name>/.build-<key>/    documents.db, .read.json, vectors so far    key: checkpoint, plan, source
                                    -> manifest.json -> renamed to v0001, live if it is the first
<cache_dir>/<checkpoint's SHA-256, 16 digits>-<corpus hash, 16 digits>/         one without a name
"""

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from twotower.model import sidecar
from twotower.search import index, origins, sealed, stages, versions
from twotower.search.documents import Document, DocumentStore
from twotower.search.index import DOCUMENTS, QUERIES
from twotower.search.origins import Origin, Reading
from twotower.search.redis_cache import RedisCache
from twotower.search.stages import Model, Plan
from twotower.search.versions import Place
from twotower.text import cache

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded

STATE = ".read.json"
"""Says in a work folder that all documents are in it."""


@dataclass(frozen=True)
class Encoder:
    """A checkpoint, opened with torch only when something is to be encoded."""

    path: Path
    sha256: str
    content: Mapping[str, Any]
    """Of its sidecar."""
    load: Callable[[], "Loaded"]
    cache_url: str = ""
    """Of a Redis server that keeps vectors of texts; empty for none."""

    @property
    def doc_tower(self) -> str:
        """Identity of its document tower; its file's where it says none."""
        return str(self.content.get("doc_tower") or self.sha256)

    @cached_property
    def model(self) -> Model:
        """The checkpoint in memory."""
        run = str(self.content.get("run", self.path.stem))
        retriever = self.load().retriever
        dim = retriever.two_tower.form.dim
        cache = RedisCache(self.cache_url, self.doc_tower, dim) if self.cache_url else None
        return Model(self.path.resolve(), self.sha256, run, self.doc_tower, retriever, cache)


def encoder(path: Path, load: Callable[[], "Loaded"]) -> Encoder:
    """The checkpoint at `path`; ValueError where its sidecar is another file's."""
    digest = sidecar.sha256(path)
    return Encoder(path, digest, sidecar.verified(path, digest), load)


@dataclass(frozen=True, eq=False)
class Job:
    """What is to be built from what."""

    origin: Origin
    encoder: Encoder
    cache_dir: Path
    say: Callable[[str], None]
    """Takes remarks, a line each."""
    plan: Plan = field(default_factory=Plan)
    reading: Reading | None = None
    """The source, where it has been read already."""

    @cached_property
    def stamp(self) -> str:
        """Of the source's files; empty for a source that has none."""
        try:
            return origins.stamp(self.origin)
        except (OSError, ValueError):
            return ""  # the reader says best what is missing

    @property
    def key(self) -> str:
        """Equal where an interrupted build may be continued."""
        parts = [index.FORMAT, self.encoder.sha256, asdict(self.plan), dict(self.origin.source), self.stamp]
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def named(root: Path, name: str, job: Job) -> Place:
    """A new version of the index `name` below `root`; live if it is the first.

    Raises ValueError where another process changes the index, or the source holds no document.
    """
    versions.check_name(name)
    with versions.locked(root, name):
        folder = versions.work_folder(root, name, job.key)
        try:
            fill(folder, job, name)
        except KeyboardInterrupt:
            job.say("what is done is kept; the same command goes on from there")
            raise
        return versions.publish(root, name, folder, live=not versions.versions(root, name))


def unnamed(job: Job) -> Path:
    """The index of a checkpoint over a source in the cache folder, whole or not there.

    Whoever is second of two processes leaves the other's, which is as good.
    """
    reading = job.reading or _reading(job)
    job = replace(job, reading=reading)
    folder = folder_of(job.cache_dir, job.encoder.sha256, reading.digest)
    job.cache_dir.mkdir(parents=True, exist_ok=True)
    cache.sweep(job.cache_dir)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    aside.mkdir()
    try:
        fill(aside, job)
        _install(folder, aside)
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _install(folder: Path, aside: Path) -> None:
    """Give `aside` the name of `folder`, unless there is a whole one by now; a damaged one is removed."""
    damaged = aside.with_name(f"{aside.name}.damaged")
    try:
        sealed.check(folder, index.read(folder))
    except ValueError:
        with suppress(FileNotFoundError):
            folder.rename(damaged)
        try:
            aside.rename(folder)
        except OSError:
            if not folder.is_dir():  # not another process's, which came first
                raise
        shutil.rmtree(damaged, ignore_errors=True)


def folder_of(cache_dir: Path, checkpoint: str, corpus: str) -> Path:
    """Where the index of a checkpoint (SHA-256) over a corpus (hash) lies that has no name."""
    return cache_dir / f"{checkpoint[:16]}-{corpus[:16]}"


def fill(folder: Path, job: Job, name: str = "") -> None:
    """Make `folder` an index, from whatever an earlier call has left in it."""
    start = perf_counter()
    state = _read(folder, job)
    read = perf_counter()
    model = job.encoder.model
    with DocumentStore.open(folder / DOCUMENTS, immutable=True) as store:
        ids = stages.write_ids(folder, store)
        stages.write_vectors(folder, store, ids, model, job.plan.storage.value)
        encoded = perf_counter()
        towers = stages.write_towers(folder, model)
        made = stages.write_rest(folder, store, model.retriever.encode_queries, job.plan)
        corpus = store.corpus_hash()
    seconds = {"read": read - start, "encode": encoded - read, "build": perf_counter() - encoded}
    manifest = {
        **stages.identity(name, model),
        "collection": state["name"],
        "corpus": corpus,
        "sources": state["sources"],
        **towers,
        **made,
        "seconds": {step: round(value, 3) for step, value in seconds.items()},
    }
    (folder / STATE).unlink()
    sealed.close(folder, manifest)


def _read(folder: Path, job: Job) -> dict[str, Any]:
    """Bring the source's documents into the folder; what is known of them, from the state that says so."""
    with suppress(FileNotFoundError):
        state: dict[str, Any] = json.loads((folder / STATE).read_bytes())
        return state
    reading = job.reading or _reading(job)
    with DocumentStore.open(folder / DOCUMENTS, write=True) as store:
        counts = store.put(counted(reading))
        if not len(store):
            raise ValueError(f"{reading.origin.name}: no document in it, want at least one")
        if counts.changed:
            raise ValueError(f"{reading.origin.name}: {counts.changed} ids stand in it twice, want each once")
        store.finish()
    write_queries(folder, reading, job.plan.seed)
    state = {"name": reading.origin.name, "sources": [reading.record(job.stamp, whole=True)]}
    sidecar.write_aside(folder / STATE, lambda file: file.write(json.dumps(state).encode()))
    return state


def _reading(job: Job) -> Reading:
    job.stamp  # noqa: B018  - taken before it is read, so that what changes meanwhile is read again
    return origins.read(job.origin, job.cache_dir)


def counted(reading: Reading) -> Iterator[Document]:
    """The documents of a source, with a bar on a terminal."""
    total = len(reading.collection.doc_ids) if reading.collection else None
    with stages.progress("reading", total) as bar:
        for document in reading.documents():
            yield document
            bar.update()


def write_queries(folder: Path, reading: Reading, seed: int) -> None:
    """Keep some of the collection's queries, to measure with; none of a file of documents."""
    texts = reading.collection.query_texts if reading.collection else ()
    text = json.dumps(stages.some(texts, seed), ensure_ascii=False)
    (folder / QUERIES).write_bytes(text.encode())
