"""Where an index's vectors lie: `store=files` (default), `store=redis store.url=...`, `store=qdrant`."""

from dataclasses import dataclass
from enum import StrEnum


class Algorithm(StrEnum):
    """How a database finds the nearest vectors."""

    flat = "flat"
    hnsw = "hnsw"


@dataclass(frozen=True, kw_only=True)
class Store:
    """One place for vectors."""


@dataclass(frozen=True, kw_only=True)
class FileStore(Store):
    """In the index's own folder."""


@dataclass(frozen=True, kw_only=True)
class RedisStore(Store):
    """A Redis server with its search module; user and password from REDIS_USERNAME and REDIS_PASSWORD."""

    url: str = "redis://localhost:6379/0"
    """redis://host:port/db, rediss:// (TLS) or unix:///path/to/socket."""
    algorithm: Algorithm = Algorithm.flat
    """Search on the server: flat (exact), hnsw."""
    config: str = ""
    """An older redis_config.json instead of `url`: its redis, vector_store and processing settings."""


@dataclass(frozen=True, kw_only=True)
class QdrantStore(Store):
    """A Qdrant server, or its local mode in a folder; the server's key from QDRANT_API_KEY."""

    url: str = "data/qdrant"
    """http://host:6333, or a folder for the local mode."""
    algorithm: Algorithm = Algorithm.flat
    """Search on the server: flat (exact), hnsw."""
