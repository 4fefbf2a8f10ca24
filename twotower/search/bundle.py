"""A bundle: what answers queries with one checkpoint over one corpus, as arrays that open without torch.

    <cache_dir>/<checkpoint's SHA-256, 16 digits>-<corpus hash, 16 digits>/
        vectors.npy                                          (N, D) float32, row i is document i
        doc_ids.npy titles.npy texts.npy, each with <name>_offsets.npy      the documents, as `Packed`
        tower_<name>.npy                                     the query tower, if it is an MLP
        words.json                                           the vocabulary
        manifest.json                                        what it was built from
        stamps.json                                          source files seen to hold this corpus

It is whole or not there (`text.cache`), and refused for another checkpoint or another corpus.
"""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Collection
from twotower.data.tokens import tokenise
from twotower.model import sidecar
from twotower.search.packed import Packed
from twotower.text import cache
from twotower.text.vocabulary import Vocab

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded

FORMAT = 1
"""Of a bundle; one of another format is built anew."""
MANIFEST = "manifest.json"
STAMPS = "stamps.json"
TOWER = "tower_"


@dataclass(frozen=True, eq=False)
class Bundle:
    """An opened bundle; the arrays are memory maps where it lies on disk."""

    folder: Path
    manifest: Mapping[str, Any]
    vectors: NDArray[np.float32]
    """(N, D), unit vectors."""
    doc_ids: Packed
    titles: Packed
    texts: Packed
    vocab: Vocab
    tower: Mapping[str, cache.Array]
    """Arrays of the MLP query tower; empty for another kind of tower."""

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def stamps(self) -> list[str]:
        """Stamps of source files that were read and found to hold this corpus."""
        return stamps(self.folder)

    def add_stamp(self, stamp: str) -> None:
        """Remember that source files of this stamp hold this corpus; not where the folder is read-only."""
        with contextlib.suppress(OSError):
            text = json.dumps([*(old for old in self.stamps[-7:] if old != stamp), stamp])
            sidecar.write_aside(self.folder / STAMPS, lambda file: file.write(text.encode()))


def folder_of(cache_dir: Path, checkpoint: str, corpus: str) -> Path:
    """Where the bundle of a checkpoint (SHA-256) and a corpus (hash) lies."""
    return cache_dir / f"{checkpoint[:16]}-{corpus[:16]}"


def folders(cache_dir: Path, checkpoint: str) -> list[Path]:
    """The bundles of a checkpoint (SHA-256) over whatever corpus."""
    return sorted(cache_dir.glob(f"{checkpoint[:16]}-*"))


def stamps(folder: Path) -> list[str]:
    """As `Bundle.stamps`, without opening the bundle."""
    try:
        return [str(stamp) for stamp in json.loads((folder / STAMPS).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def load(folder: Path, checkpoint: str, corpus: str | None = None) -> Bundle | None:
    """The bundle in `folder` if it is whole, of this format, and of this checkpoint (SHA-256); else None.

    With `corpus` (hash) it must be of that corpus too.
    """
    try:
        manifest = json.loads((folder / MANIFEST).read_bytes())
        entry = cache.load(folder, manifest["arrays"], [MANIFEST])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if entry is None or manifest["format"] != FORMAT or manifest["checkpoint"] != checkpoint:
        return None
    if corpus not in (None, manifest["corpus"]):
        return None
    return _opened(folder, manifest, *entry)


def build(loaded: "Loaded", collection: Collection, checkpoint: str, cache_dir: Path) -> Bundle:
    """Encode the corpus and keep it beside the query tower's arrays.

    `checkpoint` is the SHA-256 of the file that was loaded. OSError where `cache_dir` cannot be written.
    """
    from twotower.model import encode  # torch (1.5 s), which a search with its bundle at hand does not pay

    retriever, shape = loaded.retriever, loaded.content["model_config"]
    tokens = tokenise(collection, retriever.tokenizer, cache_dir)
    arrays = {
        "vectors": encode.encode_docs(retriever.two_tower, retriever.doc_ids(tokens.docs)),
        **_packed("doc_ids", Packed.of(collection.doc_ids)),
        **_packed("titles", Packed.of(collection.doc_titles)),
        **_packed("texts", Packed.of(collection.doc_texts)),
        **{f"{TOWER}{name}": array for name, array in retriever.two_tower.numpy_query_tower().items()},
    }
    manifest = {
        "format": FORMAT,
        "checkpoint": checkpoint,
        "corpus": collection.corpus_hash,
        "collection": collection.name,
        "documents": len(collection.doc_ids),
        "dim": int(arrays["vectors"].shape[1]),
        "vocabulary": len(retriever.vocab),
        "pattern": retriever.tokenizer.pattern,
        "max_query_words": retriever.max_query_words,
        "query_tower": shape["query_tower"],
        "arrays": sorted(arrays),
    }
    folder = folder_of(cache_dir, checkpoint, collection.corpus_hash)
    cache.save(folder, arrays, retriever.vocab.words, {MANIFEST: manifest})
    return load(folder, checkpoint) or _opened(folder, manifest, arrays, retriever.vocab.words)


def _packed(name: str, texts: Packed) -> dict[str, cache.Array]:
    return {name: texts.blob, f"{name}_offsets": texts.offsets}


def _opened(
    folder: Path, manifest: Mapping[str, Any], arrays: Mapping[str, cache.Array], words: tuple[str, ...]
) -> Bundle:
    doc_ids, titles, texts = (
        Packed(arrays[name], arrays[f"{name}_offsets"]) for name in ("doc_ids", "titles", "texts")
    )
    return Bundle(
        folder=folder,
        manifest=manifest,
        vectors=arrays["vectors"],
        doc_ids=doc_ids,
        titles=titles,
        texts=texts,
        vocab=Vocab(words),
        tower={name.removeprefix(TOWER): arrays[name] for name in arrays if name.startswith(TOWER)},
    )
