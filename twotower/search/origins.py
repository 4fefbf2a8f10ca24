"""Where an index's documents come from: a collection, or a file of documents; a stamp tells whether it moved.

    {"kind": "beir", "path": "/data/msmarco"}                       a collection's `source`
    {"kind": "docs", "path": "/data/wiki.jsonl.gz", "chunk_words": 200, "chunk_overlap": 20}

What a source held is its digest: of a collection its corpus hash, of a file the SHA-256 of its bytes.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from twotower import config
from twotower.data import stamps
from twotower.data.collection import Collection
from twotower.model import sidecar
from twotower.search import passages
from twotower.search.documents import Document

DOCS = "docs"
"""The kind of a source that is a file of documents."""


@dataclass(frozen=True)
class Origin:
    """One source of documents."""

    source: Mapping[str, Any]
    name: str
    want: str = ""
    """Digest that it must have; empty for any."""


@dataclass(frozen=True, eq=False)
class Reading:
    """A source as it is now; its documents are not held where it is a file."""

    origin: Origin
    digest: str
    collection: Collection | None

    def documents(self) -> Iterator[Document]:
        """Each document, or passage, of the source; ValueError for a line that is none."""
        if self.collection is not None:
            return passages.of_collection(self.collection, self.collection.name)
        source = self.origin.source
        return passages.of_file(
            Path(source["path"]), chunk_words=source["chunk_words"], chunk_overlap=source["chunk_overlap"]
        )

    def record(self, stamp: str, *, whole: bool) -> dict[str, Any]:
        """What a manifest keeps of it; `whole` where all of its documents went in."""
        source = dict(self.origin.source)
        return {
            "source": source,
            "name": self.origin.name,
            "corpus": self.digest,
            "stamp": stamp,
            "whole": whole,
        }


def of_data(data: config.Source) -> Origin:
    """The collection that the data knobs name, which are not `Stored`."""
    source = stamps.source_of(data)
    return Origin(source, Path(str(source.get("path", source["kind"]))).name)


def of_docs(cfg: config.Index) -> Origin:
    """The file that `docs` names, cut into passages if the knobs say so; FileNotFoundError without it."""
    path = Path(cfg.docs).expanduser().resolve()
    if not path.is_file():
        raise FileNotFoundError(f"docs: {cfg.docs}: no such file; want .jsonl or .jsonl.gz")
    source = {
        "kind": DOCS,
        "path": str(path),
        "chunk_words": cfg.chunk_words,
        "chunk_overlap": cfg.chunk_overlap,
    }
    return Origin(source, path.name.removesuffix(".gz").removesuffix(".jsonl"))


def of_checkpoint(path: Path, content: Mapping[str, Any]) -> Origin:
    """The collection that a checkpoint was trained on; ValueError where its sidecar does not say."""
    data = content.get("data")
    if not isinstance(data, dict) or not {"name", "source", "corpus_hash"} <= data.keys():
        raise ValueError(f"data=stored: {path} does not say which collection it was trained on; say data=...")
    source = data["source"]
    # one that no reader wrote stays as it is, for the error that says so
    with suppress(ValueError):
        source = stamps.source_of(stamps.knobs_of(source))
    return Origin(source, str(data["name"]), str(data["corpus_hash"]))


def of_record(record: Mapping[str, Any]) -> Origin:
    """A source that a manifest keeps, whatever it holds now."""
    return Origin(record["source"], str(record["name"]))


def stamp(origin: Origin) -> str:
    """What the source's files look like from outside (`data.stamps`); raises where they are gone."""
    if origin.source.get("kind") != DOCS:
        return stamps.of(origin.source)
    path = Path(origin.source["path"])
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    stat = path.stat()
    line = json.dumps([dict(origin.source), stat.st_size, stat.st_mtime_ns], sort_keys=True)
    return hashlib.sha256(line.encode()).hexdigest()


def read(origin: Origin, cache_dir: Path) -> Reading:
    """The source as it is now.

    Raises what the reader raises, and ValueError where the content is not the one wanted.
    """
    if origin.source.get("kind") == DOCS:
        return Reading(origin, sidecar.sha256(Path(origin.source["path"])), None)
    # 0.1 s, which a search with its index at hand does not pay
    from twotower.data import reader

    collection = reader.read(reader.from_source(origin.source), cache_dir)
    if origin.want not in ("", collection.corpus_hash):
        raise ValueError(
            f"data=stored: {origin.name} has changed since training (corpus {collection.corpus_hash[:12]}, "
            f"the checkpoint's is {origin.want[:12]}); say data=... to take it as it is now"
        )
    named = Origin(origin.source, collection.name, origin.want)
    return Reading(named, collection.corpus_hash, collection)
