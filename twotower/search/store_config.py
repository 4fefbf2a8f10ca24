"""The older system's redis_config.json, as far as it says where vectors lie.

{"redis": {"url" | "host", "port", "username", "password", "db"},
 "vector_store": {"index_name", "vector_dim"},
 "processing": {"batch_size", "encoding_batch_size", "default_max_docs"}}
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

SECTIONS = ("redis", "vector_store", "processing")


@dataclass(frozen=True)
class OlderConfig:
    """What such a file says."""

    url: str
    """With user and password, if the file has them: never to be shown."""
    alias: str = ""
    """Name under which other clients look the vectors up."""
    dim: int = 0
    """Width that the vectors must have; 0 for any."""
    max_docs: int = 0
    """Documents, at most, that are to be put there; 0 for all."""


def read(path: Path) -> OlderConfig:
    """The file; FileNotFoundError, or ValueError, in one line, for what is not one."""
    if not path.is_file():
        raise FileNotFoundError(f"store.config: {path}: no such file")
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"store.config: {path}: not JSON ({error})") from None
    if not isinstance(content, dict) or not isinstance(content.get("redis"), dict):
        raise ValueError(f"store.config: {path}: no redis in it, want redis.url, or redis.host and port")
    parts = {name: _section(path, content, name) for name in SECTIONS}
    store, processing = parts["vector_store"], parts["processing"]
    return OlderConfig(
        url=_url(path, parts["redis"]),
        alias=_value(path, store, "vector_store.index_name", str, ""),
        dim=_value(path, store, "vector_store.vector_dim", int, 0),
        max_docs=_value(path, processing, "processing.default_max_docs", int, 0),
    )


def _section(path: Path, content: dict[str, Any], name: str) -> dict[str, Any]:
    section = content.get(name) or {}
    if not isinstance(section, dict):
        raise ValueError(f"store.config: {path}: {name}: got {type(section).__name__}, want an object")
    return section


def _url(path: Path, redis: dict[str, Any]) -> str:
    url: str = _value(path, redis, "redis.url", str, "")
    if url:
        return url
    host = _value(path, redis, "redis.host", str, "localhost")
    port, db = _value(path, redis, "redis.port", int, 6379), _value(path, redis, "redis.db", int, 0)
    user = _value(path, redis, "redis.username", str, "")
    password = _value(path, redis, "redis.password", str, "")
    who = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    return f"redis://{who}{host}:{port}/{db}"


def _value(path: Path, section: dict[str, Any], name: str, kind: type, default: Any) -> Any:
    value = section.get(name.partition(".")[2])
    if value is None:
        return default
    if not isinstance(value, kind) or isinstance(value, bool):
        got = "something else" if "password" in name or "url" in name else repr(value)
        raise ValueError(f"store.config: {path}: {name}: got {got}, want {kind.__name__}")
    return value
