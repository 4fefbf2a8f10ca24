"""A checkpoint and a collection to a searcher: by the bundle at hand if it is the right one, else a new one.

    checkpoint -> its SHA-256 --+
                                +-> bundle whole, source files unmoved -> searcher; nothing else is read
    collection -> its stamp ----+                            otherwise -> read it, verify its hash, build

What a collection is, the content of its documents decides; the stamp of its files saves reading them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twotower import config
from twotower.data import stamps
from twotower.data.collection import Collection
from twotower.model import sidecar
from twotower.search import bundle
from twotower.search.bundle import Bundle
from twotower.search.numpy_tower import NumpyMLP
from twotower.search.searcher import Searcher
from twotower.text.ragged import Ragged

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded


@dataclass(frozen=True)
class Request:
    """What to search with, in what."""

    checkpoint: Path
    data: config.Source
    cache_dir: Path
    load: Callable[[], "Loaded"]
    """Opens the checkpoint with torch; called only where a bundle is built, or the query tower is no MLP."""
    say: Callable[[str], None]
    """Takes remarks, a line each."""


def open_searcher(request: Request) -> Searcher:
    """The searcher over the checkpoint's own collection (`Stored`), or over the one that `data` names.

    Raises ValueError where the checkpoint, or its own collection, is no longer what it was, and whatever the
    reader of the collection raises.
    """
    checkpoint = sidecar.sha256(request.checkpoint)
    content = sidecar.verified(request.checkpoint, checkpoint)
    request = replace(request, load=cache(request.load))
    if isinstance(request.data, config.Stored):
        found = _stored(request, checkpoint, _own_data(request.checkpoint, content))
    else:
        found = _named(request, checkpoint)
    return _searcher(request, found)


def _own_data(path: Path, content: Mapping[str, Any]) -> Mapping[str, Any]:
    """What the sidecar says of the collection; raises ValueError where it does not."""
    data = content.get("data")
    if not isinstance(data, dict) or not {"name", "source", "corpus_hash"} <= data.keys():
        raise ValueError(f"data=stored: {path} does not say which collection it was trained on; say data=...")
    return data


def _stored(request: Request, checkpoint: str, data: Mapping[str, Any]) -> Bundle:
    """Over the checkpoint's own collection, from the bundle alone where the collection is gone."""
    folder = bundle.folder_of(request.cache_dir, checkpoint, data["corpus_hash"])
    found = _whole(request, folder, checkpoint, data["corpus_hash"])
    try:
        stamp = stamps.of(data["source"])
    except (OSError, ValueError) as error:
        if found is None:
            raise ValueError(
                f"data=stored: {data['name']}, which the checkpoint was trained on, cannot be read again "
                f"({error}); say data=..."
            ) from None
        request.say(f"{data['name']} is gone ({error}); answering from what was kept of it")
        return found
    if found is None or stamp not in found.stamps:
        collection = _read(request, data["source"])
        if collection.corpus_hash != data["corpus_hash"]:
            raise ValueError(
                f"data=stored: {data['name']} has changed since training (corpus "
                f"{collection.corpus_hash[:12]}, the checkpoint's is {data['corpus_hash'][:12]}); say "
                "data=... to search it as it is now"
            )
        found = found or _built(request, collection, checkpoint)
        found.add_stamp(stamp)
    return found


def _named(request: Request, checkpoint: str) -> Bundle:
    """Over the collection that `request.data` names, whatever the checkpoint was trained on."""
    source = stamps.source_of(request.data)
    try:
        stamp = stamps.of(source)
    except (OSError, ValueError):
        stamp = ""  # the reader says best what is missing
    for folder in bundle.folders(request.cache_dir, checkpoint):
        if stamp in bundle.stamps(folder) and (found := _whole(request, folder, checkpoint)):
            return found
    collection = _read(request, source)
    folder = bundle.folder_of(request.cache_dir, checkpoint, collection.corpus_hash)
    found = _whole(request, folder, checkpoint, collection.corpus_hash) or _built(
        request, collection, checkpoint
    )
    found.add_stamp(stamp)
    return found


def _whole(request: Request, folder: Path, checkpoint: str, corpus: str | None = None) -> Bundle | None:
    """The bundle, if there is a good one; a remark if there is a bad one."""
    found = bundle.load(folder, checkpoint, corpus)
    if found is None and folder.exists():
        request.say(f"{folder}: damaged, or of another version; built anew")
    return found


def _read(request: Request, source: Mapping[str, Any]) -> Collection:
    # 0.1 s, which a search with its bundle at hand does not pay
    from twotower.data import reader

    return reader.read(reader.from_source(source), request.cache_dir)


def _built(request: Request, collection: Collection, checkpoint: str) -> Bundle:
    request.say(
        f"encoding the {len(collection.doc_ids):,} documents of {collection.name}, once for this checkpoint"
    )
    loaded = request.load()
    return bundle.build(loaded, collection, checkpoint, request.cache_dir)


def _searcher(request: Request, found: Bundle) -> Searcher:
    if found.tower:
        knobs = found.manifest["query_tower"]
        tower = NumpyMLP(found.tower, activation=knobs["activation"], residual=knobs["residual"])
        return Searcher(found, tower, "cpu")
    # a tower that reads words in their order is not worth writing twice: torch encodes the query
    from twotower.model import encode

    two_tower = request.load().retriever.two_tower

    def encoded(ids: Ragged) -> Any:
        return encode.encode_queries(two_tower, ids)

    return Searcher(found, encoded, str(next(two_tower.parameters()).device))
