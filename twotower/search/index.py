"""An index: what answers queries with one checkpoint over one corpus; it opens without torch.

    <folder>/manifest.json                               what it was built from, every file with its CRC-32
        documents.db                                     the documents (`DocumentStore`)
        ids.npy ids_offsets.npy                          their ids, ascending: row i is the i-th id
        vectors.npy | codes.npy scales.npy               row i is document i, in the storage chosen
        duplicates.npy                                   (N,) int32, row of the first with its title and text
        queries.json                                     some of the collection's own queries, to measure with
        faiss.index slots.npy                            where the search is approximate
        tower_<name>.npy doctower_<name>.npy             the towers, where they are MLPs
        words.json                                       the vocabulary
        probe.npy                                        vectors of a few texts, as queries and as documents

A folder is never changed once it is there. It is refused, in one line, where a file is missing, has another
size, or is not what the manifest's checksum says.
"""

import json
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.search import approximate, databases, exact, faiss_index, sealed, stored, vector_store
from twotower.search.approximate import Approximate
from twotower.search.documents import DocumentStore
from twotower.search.exact import Hits
from twotower.search.packed import Packed
from twotower.search.stored import StoredVectors
from twotower.search.vector_store import RemoteVectors
from twotower.text.cache import WORDS, Array
from twotower.text.vocabulary import Vocab

FORMAT = 2
"""Of an index; one of another format is refused."""
MANIFEST = sealed.MANIFEST
DOCUMENTS = "documents.db"
IDS, OFFSETS = "ids.npy", "ids_offsets.npy"
DUPLICATES = "duplicates.npy"
QUERIES = "queries.json"
PROBE = "probe.npy"
TOWER, DOC_TOWER = "tower_", "doctower_"

CHUNK = 1 << 16
"""Documents searched at a time; bounds memory, changes no hit."""


@dataclass(frozen=True, eq=False)
class Index:
    """An opened index; the arrays are memory maps."""

    folder: Path
    manifest: Mapping[str, Any]
    vectors: StoredVectors | RemoteVectors
    """(N, D)."""
    ids: Packed
    documents: DocumentStore
    """Read-only."""
    vocab: Vocab
    tower: Mapping[str, Array]
    """Arrays of the MLP query tower; empty for another kind of tower."""
    doc_tower: Mapping[str, Array]
    """Arrays of the MLP document tower; empty for another kind of tower."""
    duplicates: NDArray[np.int32]
    """(N,): row of the first document with the same title and text; its own where it is that."""
    approximate: Approximate | None = None
    """Where the search is not exact."""

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def name(self) -> str:
        """Of the index, or of the collection where it has none."""
        return str(self.manifest["name"] or self.manifest["collection"])

    def row(self, doc_id: str) -> int:
        """Row of a document by its id; -1 for one that is not there."""
        return place(self.ids, doc_id)

    def top(self, queries: NDArray[np.float32], depth: int) -> Hits:
        """The `depth` best documents (all, if there are fewer) of each query (Q, D)."""
        if isinstance(self.vectors, RemoteVectors):
            exact.check(queries, self.vectors, depth, 1)
            effort = int(self.manifest["store"]["effort"])
            return vector_store.top(self.vectors.store, queries, len(self), depth, effort)
        if self.approximate is not None:
            return approximate.top(self.approximate, queries, self.vectors, depth)
        return exact.top(queries, self.vectors, depth, chunk=CHUNK, longest=self.manifest["longest"])

    def close(self) -> None:
        """Let go of the documents' file, and of the database."""
        self.documents.close()
        if isinstance(self.vectors, RemoteVectors):
            self.vectors.store.close()


def place(ids: Packed, doc_id: str) -> int:
    """Where an id stands among ascending ones; -1 for one that does not."""
    row = bisect_left(ids, doc_id)
    return row if row < len(ids) and ids[row] == doc_id else -1


def load(folder: Path) -> Index:
    """The index in `folder`.

    Raises ValueError, in one line, for a folder that is none, of another format, or damaged.
    """
    manifest = read(folder)
    sealed.check(folder, manifest)
    words = json.loads((folder / WORDS).read_bytes())
    tower = _arrays(folder, manifest, TOWER)
    vectors = _vectors(folder, manifest)
    found = Index(
        folder=folder,
        manifest=manifest,
        vectors=vectors,
        ids=Packed(_mapped(folder / IDS), _mapped(folder / OFFSETS)),
        documents=DocumentStore.open(folder / DOCUMENTS, immutable=True),
        vocab=Vocab(tuple(words)),
        tower=tower,
        doc_tower=tower if manifest["tied"] else _arrays(folder, manifest, DOC_TOWER),
        duplicates=_mapped(folder / DUPLICATES),
        approximate=_approximate(folder, manifest),
    )
    if not len(found) == len(vectors) == manifest["documents"]:
        raise ValueError(
            f"{folder}: {len(found)} ids and {len(vectors)} vectors, want {manifest['documents']} of each; "
            "build the index again"
        )
    return found


def read(folder: Path) -> dict[str, Any]:
    """The manifest alone, its format checked; raises as `load` does."""
    manifest = sealed.read(folder)
    if manifest.get("format") != FORMAT:
        raise ValueError(
            f"{folder}: format {manifest.get('format')}, want {FORMAT}; build it again with this version"
        )
    return manifest


def _arrays(folder: Path, manifest: Mapping[str, Any], prefix: str) -> dict[str, Array]:
    names = (name for name in manifest["files"] if name.startswith(prefix) and name.endswith(".npy"))
    return {name.removeprefix(prefix).removesuffix(".npy"): _mapped(folder / name) for name in names}


def _vectors(folder: Path, manifest: Mapping[str, Any]) -> StoredVectors | RemoteVectors:
    if not manifest["store"]:
        return stored.open_vectors(folder, manifest["storage"])
    return RemoteVectors(databases.of_manifest(manifest), (manifest["documents"], manifest["dim"]))


def _approximate(folder: Path, manifest: Mapping[str, Any]) -> Approximate | None:
    if manifest["store"] or manifest["kind"] == faiss_index.FLAT:
        return None
    return approximate.load(folder, manifest["parameters"], manifest["recall"])


def _mapped(file: Path) -> Array:
    array: Array = np.load(file, mmap_mode="r", allow_pickle=False)
    return array
