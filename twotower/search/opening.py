"""From what a user names to a searcher: a named index, or a checkpoint with the index kept in the cache.

    index=docs        -> its live version, if checkpoint and sources are still its own -> searcher
    checkpoint, data  -> index in the cache folder whole, source files unmoved         -> searcher
                                                                   otherwise read it, verify its hash, build

What a collection is, the content of its documents decides; the stamp of its files saves reading them.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import config
from twotower.model import sidecar
from twotower.search import build, index, origins, sealed, versions
from twotower.search.build import Encoder, Job
from twotower.search.index import Index
from twotower.search.numpy_tower import NumpyMLP
from twotower.search.origins import Origin, Reading
from twotower.search.searcher import Searcher
from twotower.text.ragged import Ragged

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded


@dataclass(frozen=True)
class Request:
    """What to search with, in what."""

    checkpoint: Path | None
    """None for the index's own; without `index` there must be one."""
    data: config.Source
    cache_dir: Path
    load: Callable[[Path], "Loaded"]
    """Opens a checkpoint with torch; called only where an index is built, or the query tower is no MLP."""
    say: Callable[[str], None]
    """Takes remarks, a line each."""
    index: str = ""
    """A named index: docs, docs@v0002, or its folder; empty for the one that the cache keeps."""
    index_dir: Path = Path(config.Index.index_dir)


def open_searcher(request: Request) -> Searcher:
    """The searcher over a named index, or over a checkpoint's own collection (`Stored`), or over `data`.

    Raises ValueError where the index, the checkpoint, or a collection is no longer what it was, and whatever
    the reader of the collection raises.
    """
    request = replace(request, load=cache(request.load))
    searcher = _indexed(request) if request.index else _unnamed(request)
    searcher.finder.say = request.say
    return searcher


def _unnamed(request: Request) -> Searcher:
    if request.checkpoint is None:
        raise ValueError("checkpoint: got none, want one, or index=")
    path = request.checkpoint
    encoder = build.encoder(path, lambda: request.load(path))
    if isinstance(request.data, config.Stored):
        found = _stored(request, encoder, origins.of_checkpoint(path, encoder.content))
    else:
        found = _named(request, encoder, origins.of_data(request.data))
    return _searcher(request, found, path)


# a named index


def _indexed(request: Request) -> Searcher:
    """Over a named index, if it still is what it was built from, and what is asked for."""
    found = index.load(versions.resolve(request.index_dir, request.index).folder)
    _check_data(request, found)
    for record in found.manifest["sources"]:
        _check_source(request, found, record)
    own = found.manifest["checkpoint"]
    if request.checkpoint is None:
        return _searcher(request, found, Path(own["path"]))
    path = request.checkpoint
    encoder = build.encoder(path, lambda: request.load(path))
    if encoder.sha256 != own["sha256"]:
        if encoder.doc_tower != found.manifest["doc_tower"]:
            raise ValueError(
                f"checkpoint: {path} ({encoder.sha256[:12]}) did not build index {found.name}, {own['run']} "
                f"({own['sha256'][:12]}) did; leave out checkpoint=, or build an index with it"
            )
        found = _queried_by(found, encoder)
    return _searcher(request, found, path, encoder.sha256)


def _check_data(request: Request, found: Index) -> None:
    """Raises ValueError where `data` names documents that are not the index's."""
    if isinstance(request.data, config.Stored):
        return
    origin = origins.of_data(request.data)
    if any(record["source"] == origin.source for record in found.manifest["sources"]):
        return
    stamp = _stamp(origin)
    if stamp in sealed.stamps(found.folder):
        return
    corpus = origins.read(origin, request.cache_dir).digest
    if corpus != found.manifest["corpus"]:
        raise ValueError(
            f"data: {origin.name} (corpus {corpus[:12]}) is not what index {found.name} holds "
            f"({found.manifest['corpus'][:12]}); leave out data=, or build an index of it"
        )
    sealed.add_stamp(found.folder, stamp)


def _check_source(request: Request, found: Index, record: dict[str, Any]) -> None:
    """Raises ValueError where a source of the index has changed since; a source that is gone is said."""
    origin = origins.of_record(record)
    try:
        stamp = origins.stamp(origin)
    except (OSError, ValueError) as error:
        request.say(f"{origin.name} is gone ({error}); answering from what was kept of it")
        return
    if stamp in (record["stamp"], *sealed.stamps(found.folder)):
        return
    digest = origins.read(origin, request.cache_dir).digest
    if digest != record["corpus"]:
        raise ValueError(
            f"index {found.name}: {origin.name} has changed since it was indexed ({digest[:12]}, then "
            f"{record['corpus'][:12]}); `twotower index update {found.name}` takes it as it is now"
        )
    sealed.add_stamp(found.folder, stamp)


def _queried_by(found: Index, encoder: Encoder) -> Index:
    """The index with the query side of another checkpoint, whose document tower is the same."""
    retriever = encoder.model.retriever
    manifest = {
        **found.manifest,
        "pattern": retriever.tokenizer.pattern,
        "max_query_words": retriever.max_query_words,
    }
    return replace(found, manifest=manifest, vocab=retriever.vocab, tower={})


# an index that the cache keeps


def _stored(request: Request, encoder: Encoder, origin: Origin) -> Index:
    """Over the checkpoint's own collection, from the index alone where the collection is gone."""
    folder = build.folder_of(request.cache_dir, encoder.sha256, origin.want)
    found = _whole(request, folder, encoder, origin.want)
    try:
        stamp = origins.stamp(origin)
    except (OSError, ValueError) as error:
        if found is None:
            raise ValueError(
                f"data=stored: {origin.name}, which the checkpoint was trained on, cannot be read again "
                f"({error}); say data=..."
            ) from None
        request.say(f"{origin.name} is gone ({error}); answering from what was kept of it")
        return found
    if found is None or stamp not in sealed.stamps(folder):
        reading = origins.read(origin, request.cache_dir)
        found = found or _built(request, encoder, reading)
        sealed.add_stamp(folder, stamp)
    return found


def _named(request: Request, encoder: Encoder, origin: Origin) -> Index:
    """Over the collection that `data` names, whatever the checkpoint was trained on."""
    stamp = _stamp(origin)
    for folder in sorted(request.cache_dir.glob(f"{encoder.sha256[:16]}-*")):
        if stamp in sealed.stamps(folder) and (found := _whole(request, folder, encoder)):
            return found
    reading = origins.read(origin, request.cache_dir)
    folder = build.folder_of(request.cache_dir, encoder.sha256, reading.digest)
    found = _whole(request, folder, encoder, reading.digest) or _built(request, encoder, reading)
    sealed.add_stamp(folder, stamp)
    return found


def _stamp(origin: Origin) -> str:
    try:
        return origins.stamp(origin)
    except (OSError, ValueError):
        return ""  # the reader says best what is missing


def _whole(request: Request, folder: Path, encoder: Encoder, corpus: str = "") -> Index | None:
    """The index, if there is a good one; a remark if there is a bad one."""
    if not folder.exists():
        return None
    try:
        found = index.load(folder)
    except ValueError:
        found = None
    own = found.manifest["checkpoint"]["sha256"] == encoder.sha256 if found else False
    if found and own and corpus in ("", found.manifest["corpus"]):
        return found
    request.say(f"{folder}: damaged, or of another version; built anew")
    return None


def _built(request: Request, encoder: Encoder, reading: Reading) -> Index:
    total = len(reading.collection.doc_ids) if reading.collection else 0
    request.say(f"encoding the {total:,} documents of {reading.origin.name}, once for this checkpoint")
    job = Job(reading.origin, encoder, request.cache_dir, request.say, reading=reading)
    return index.load(build.unnamed(job))


def _searcher(request: Request, found: Index, path: Path, digest: str = "") -> Searcher:
    if found.tower:
        knobs = found.manifest["query_tower"]
        tower = NumpyMLP(found.tower, activation=knobs["activation"], residual=knobs["residual"])
        return Searcher(found, tower, "cpu", None, request.cache_dir)
    own = found.manifest["checkpoint"]
    if request.index and not digest and sidecar.sha256(_there(path, found)) != own["sha256"]:
        raise ValueError(
            f"{path}: not the checkpoint any more that built index {found.name} ({own['sha256'][:12]}), and "
            "its query tower is needed; say checkpoint="
        )
    # a tower that reads words in their order is not worth writing twice: torch encodes the query
    from twotower.model import encode

    two_tower = request.load(path).retriever.two_tower

    def encoded(ids: Ragged) -> Any:
        return encode.encode_queries(two_tower, ids)

    device = str(next(two_tower.parameters()).device)
    return Searcher(found, encoded, device, two_tower, request.cache_dir)


def _there(path: Path, found: Index) -> Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: gone, and index {found.name} needs its query tower; say checkpoint="
        )
    return path
