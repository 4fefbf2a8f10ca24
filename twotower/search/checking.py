"""Whether an index still is what it says: its files, its documents, its towers, and a sample of its vectors.

check(folder, encoder)  ->  [("files", "14 files, 143.2 MB, every checksum right"), ...]
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.search import index, origins, sealed, stages
from twotower.search.build import Encoder
from twotower.search.index import PROBE, Index
from twotower.search.numpy_tower import NumpyMLP
from twotower.text.tokenize import Tokenizer

SAMPLE = 512
"""Documents encoded again."""
TOLERANCE = 1e-5
"""How far a coordinate of a vector may be from the one stored, beyond what the storage leaves out."""

Row = tuple[str, str]
"""What was looked at, and how it was found."""


def check(folder: Path, encoder: Callable[[Index], Encoder]) -> list[Row]:
    """Look at everything; raises ValueError, in one line, at the first that is not as it should be."""
    manifest = index.read(folder)
    sealed.check(folder, manifest, fully=True)
    found = index.load(folder)
    try:
        size = sum(size for size, _ in manifest["files"].values()) / 1e6
        return [
            ("files", f"{len(manifest['files'])} files, {size:,.1f} MB, every checksum right"),
            ("documents", _documents(found)),
            ("vectors", _vectors(found)),
            ("towers", _towers(found)),
            ("encoding", _sample(found, encoder)),
            *(("source", source_state(record, found)) for record in manifest["sources"]),
        ]
    finally:
        found.close()


def source_state(record: Mapping[str, Any], found: Index) -> str:
    """Whether a source is still there, and as it was, by its stamp alone."""
    origin = origins.of_record(record)
    try:
        stamp = origins.stamp(origin)
    except (OSError, ValueError) as error:
        return f"{origin.name} is gone ({error})"
    same = stamp in (record["stamp"], *sealed.stamps(found.folder))
    return f"{origin.name}: {'untouched since' if same else 'touched since; the next search reads it again'}"


def _documents(found: Index) -> str:
    """Every id has its document and the reverse, and all are those that were indexed."""
    row = -1
    for row, doc_id in enumerate(found.documents.ids()):
        if row >= len(found) or found.ids[row] != doc_id:
            raise ValueError(f"{found.folder}: document {doc_id!r} has no vector; build the index again")
    if row + 1 != len(found):
        raise ValueError(f"{found.folder}: id {found.ids[row + 1]!r} has no document; build the index again")
    corpus = found.documents.corpus_hash()
    if corpus != found.manifest["corpus"]:
        raise ValueError(
            f"{found.folder}: corpus {corpus[:12]}, want {found.manifest['corpus'][:12]}; "
            "its documents are others; build the index again"
        )
    return f"{len(found):,}, each with its id and vector, corpus {corpus[:12]}"


def _vectors(found: Index) -> str:
    longest = found.vectors.longest()
    if abs(longest - found.manifest["longest"]) > TOLERANCE:
        raise ValueError(
            f"{found.folder}: the longest vector has length {longest:.6f}, want "
            f"{found.manifest['longest']:.6f}; build the index again"
        )
    return f"{found.vectors.shape[0]:,} x {found.vectors.shape[1]}, {found.manifest['storage']}, all finite"


def _towers(found: Index) -> str:
    """The towers' arrays give the probe the vectors that the model gave it."""
    probe = np.load(found.folder / PROBE, allow_pickle=False)
    tokens = Tokenizer(found.manifest["pattern"]).tokenize(found.manifest["probe"])
    sides = (
        ("query", found.tower, "query_tower", "max_query_words"),
        ("document", found.doc_tower, "doc_tower_knobs", "max_doc_words"),
    )
    proved = []
    for (side, arrays, knobs, limit), want in zip(sides, probe, strict=True):
        if arrays:
            cfg = found.manifest[knobs]
            tower = NumpyMLP(arrays, activation=cfg["activation"], residual=cfg["residual"])
            off = np.abs(tower(found.vocab.encode(tokens, found.manifest[limit])) - want).max()
            if not off <= TOLERANCE:
                raise ValueError(
                    f"{found.folder}: its {side} tower is {off:.2g} off its probe; build the index again"
                )
            proved.append(side)
    return (
        f"the {' and the '.join(proved)} tower give the probe its vectors" if proved else "in the checkpoint"
    )


def _sample(found: Index, encoder: Callable[[Index], Encoder]) -> str:
    """Some documents encoded again have the vectors that are stored."""
    rows = np.random.default_rng(0).choice(len(found), min(SAMPLE, len(found)), replace=False)
    rows = np.sort(rows)
    try:
        model = encoder(found).model
    except FileNotFoundError as error:
        return f"not compared: {error}"
    documents = found.documents.get([found.ids[row] for row in rows.tolist()])
    off = _distance(stages.encode(model, documents), found.vectors[rows])
    limit = TOLERANCE + found.vectors.loss()
    if not (off <= limit).all():
        worst = int(rows[np.argmax(off)])
        raise ValueError(
            f"{found.folder}: the vector of document {found.ids[worst]!r} is {off.max():.2g} from what "
            f"{model.run} gives, want at most {limit:.2g}; build the index again"
        )
    return f"{len(rows):,} documents encoded again, at most {off.max():.1g} off"


def _distance(vectors: NDArray[np.float32], stored: NDArray[np.float32]) -> NDArray[np.float32]:
    """The largest coordinate of each row's difference, (n,)."""
    return np.asarray(np.abs(vectors - stored).max(axis=1))
