"""The databases that there are, and the one that a version of an index names.

of_manifest(manifest)  ->  RedisStore, connected, whole and the version's own
"""

import os
from collections.abc import Mapping
from typing import Any

from twotower.search.qdrant_store import QdrantStore
from twotower.search.redis_store import RedisStore
from twotower.search.vector_store import Identity, VectorStore

URL = "TWOTOWER_STORE_URL"
"""Environment variable that says where the database is now, with user and password if it wants them."""


def opened(kind: str, url: str, key: str) -> VectorStore:
    """The database; raises, in one line, where it cannot be reached."""
    return RedisStore(url, key) if kind == "redis" else QdrantStore(url, key)


def of_key(said: Mapping[str, Any]) -> VectorStore:
    """The database that a manifest's `store` names, whatever it holds."""
    return opened(said["kind"], os.environ.get(URL) or said["url"], said["key"])


def identity(manifest: Mapping[str, Any], key: str, owner: str) -> Identity:
    """Whose the vectors of an index are."""
    return Identity(
        key=key,
        owner=owner,
        checkpoint=manifest["checkpoint"]["sha256"],
        doc_tower=manifest["doc_tower"],
        corpus=manifest["corpus"],
        dim=manifest["dim"],
        documents=manifest["documents"],
    )


def of_manifest(manifest: Mapping[str, Any]) -> VectorStore:
    """The database that a version's vectors lie in, if it holds all of them and they are its own."""
    said = manifest["store"]
    store = of_key(said)
    try:
        store.check(identity(manifest, said["key"], said["owner"]))
    except BaseException:
        store.close()
        raise
    return store
