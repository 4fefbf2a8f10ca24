"""Vectors in Redis with its search module: a hash for each, found by FT.SEARCH.

    twotower:<key>:<row>     hash: v (D float32, little-endian), id
    twotower:<key>           the search index over them: FLAT or HNSW, inner product
    twotower:mark:<key>      JSON: whose they are, and `whole`, which is written last
    twotower:<name>          alias of the search index that is live

User and password come from the URL or from REDIS_USERNAME and REDIS_PASSWORD, and are never shown or kept.
"""

import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import numpy as np

from twotower.search.exact import Rows
from twotower.search.vector_store import HNSW, Floats, Identity

ROOT = "twotower:"
MARK = f"{ROOT}mark:"
BATCH = 1000
"""Vectors sent at a time."""
PATIENCE = 60.0
"""Seconds to wait until the server has indexed what it was sent."""
TIMEOUT = 30.0
"""Seconds to wait for one answer."""
LINKS, WIDTH = 32, 200
"""Of HNSW: links a document, and candidates for them."""


def connect(url: str) -> Any:
    """A client; raises, in one line, where no server answers, or it refuses user and password."""
    with told(shown(url)):
        import redis  # optional

        client = redis.Redis.from_url(
            url,
            username=_part(url, "username") or os.environ.get("REDIS_USERNAME"),
            password=_part(url, "password") or os.environ.get("REDIS_PASSWORD"),
            socket_timeout=TIMEOUT,
            protocol=2,
        )
        client.ping()
        return client


def shown(url: str) -> str:
    """The URL without user and password.

    >>> shown("redis://me:secret@host:6379/0"), shown("unix:///run/redis.sock?db=1&password=secret")
    ('redis://host:6379/0', 'unix:///run/redis.sock?db=1')
    """
    scheme, colon, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    db = parse_qs(query).get("db", [""])[0]
    return f"{scheme}{colon}{rest.rpartition('@')[2]}{f'?db={db}' if db else ''}" if colon else scheme[:20]


def _part(url: str, name: str) -> str | None:
    try:
        value = getattr(urlsplit(url), name)
    except ValueError:
        return None
    return unquote(value) if value else None


@contextmanager
def told(where: str) -> Iterator[None]:
    """Redis's errors in one line; ours pass as they are."""
    try:
        from redis import RedisError  # optional
    except ModuleNotFoundError:
        raise ValueError("store=redis: needs redis; `pip install 'twotower[redis]'`") from None
    try:
        yield
    except RedisError as error:
        raise _ours(where, error) from None
    except ValueError as error:
        if where in str(error):
            raise
        raise ValueError(
            f"store.url: {where}: {_line(error)}; want redis://host:6379/0 or unix:///path"
        ) from None


def _ours(where: str, error: Exception) -> Exception:
    from redis import exceptions  # optional

    said = _line(error)
    refused = exceptions.AuthenticationError | exceptions.NoPermissionError
    if "auth" in said.lower() or isinstance(error, refused):
        return ValueError(
            f"{where}: user or password refused ({said}); set REDIS_USERNAME and REDIS_PASSWORD"
        )
    if isinstance(error, exceptions.OutOfMemoryError):
        return OSError(f"{where}: its memory is full; raise maxmemory, or free some, and start again")
    if isinstance(error, exceptions.ConnectionError | exceptions.TimeoutError):
        return OSError(f"{where}: no answer ({said}); start the server, and the command again")
    if "unknown command" in said.lower():
        return ValueError(f"{where}: no search module in it; want Redis 8, or Redis Stack, which have one")
    return ValueError(f"{where}: {said}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


class RedisStore:
    """One index's vectors in a Redis server."""

    def __init__(self, url: str, key: str) -> None:
        """Connects; raises as `connect` does."""
        self.where = shown(url)
        self.key = key
        self.client = connect(url)
        self._identity: Identity | None = None

    def create(self, identity: Identity, algorithm: str) -> None:
        """As `VectorStore.create`."""
        with told(self.where):
            for name, mark in self._marks():
                if mark.get("owner") == identity.owner and not mark.get("whole"):
                    self._drop(name)
            self.client.set(f"{MARK}{self.key}", json.dumps({**asdict(identity), "whole": False}))
            how = ["TYPE", "FLOAT32", "DIM", identity.dim, "DISTANCE_METRIC", "IP"]
            how += ["M", LINKS, "EF_CONSTRUCTION", WIDTH] if algorithm == HNSW else []
            schema = ("SCHEMA", "v", "VECTOR", algorithm.upper(), len(how), *how)
            prefix = ("ON", "HASH", "PREFIX", 1, f"{ROOT}{self.key}:")
            self.client.execute_command("FT.CREATE", f"{ROOT}{self.key}", *prefix, *schema)
        self._identity = identity

    def upsert(self, start: int, ids: Sequence[str], vectors: Floats) -> None:
        """As `VectorStore.upsert`; vectors of another width, which Redis would pass over, are refused."""
        if self._identity and vectors.shape[1] != self._identity.dim:
            raise ValueError(f"{self.where}: got width {vectors.shape[1]}, want {self._identity.dim}")
        little = np.ascontiguousarray(vectors, dtype="<f4")
        with told(self.where):
            for begin in range(0, len(ids), BATCH):
                pipe = self.client.pipeline(transaction=False)
                for place in range(begin, min(begin + BATCH, len(ids))):
                    name = f"{ROOT}{self.key}:{start + place}"
                    pipe.execute_command("HSET", name, "v", little[place].tobytes(), "id", ids[place])
                pipe.execute()

    def finish(self) -> None:
        """As `VectorStore.finish`; ValueError where the server has not taken all of them."""
        assert self._identity is not None  # it was created
        with told(self.where):
            self._wait()
            if (have := self.count()) != self._identity.documents:
                raise ValueError(
                    f"{self.where}: it holds {have:,} vectors, want {self._identity.documents:,}"
                )
            self.client.set(f"{MARK}{self.key}", json.dumps({**asdict(self._identity), "whole": True}))

    def check(self, identity: Identity) -> None:
        """As `VectorStore.check`."""
        with told(self.where):
            said = self.client.get(f"{MARK}{self.key}")
            if said is None:
                raise ValueError(f"{self.where}: no vectors of {self.key} in it; move the index again")
            mark = json.loads(said)
            identity.matches(mark, self.where)
            if not mark["whole"]:
                raise ValueError(f"{self.where}: {self.key} was never finished; move the index again")
            self._wait()
            if (have := self.count()) != identity.documents:
                raise ValueError(
                    f"{self.where}: {self.key} holds {have:,} vectors, want {identity.documents:,}; "
                    "move the index again"
                )
        self._identity = identity

    def search(self, queries: Floats, count: int, effort: int = 0) -> list[tuple[Rows, Floats]]:
        """As `VectorStore.search`; `effort` is HNSW's EF_RUNTIME."""
        more = f" EF_RUNTIME {max(effort, count)}" if effort else ""
        ask = f"*=>[KNN {count} @v $q{more} AS d]"
        rest = ("SORTBY", "d", "RETURN", 1, "v", "LIMIT", 0, count, "DIALECT", 2)
        with told(self.where):
            words = "FT.SEARCH", f"{ROOT}{self.key}", ask, "PARAMS", 2, "q"
            asked = [(*words, query.tobytes(), *rest) for query in np.ascontiguousarray(queries, dtype="<f4")]
            if len(asked) == 1:  # a pipeline of one costs a tenth of a millisecond
                return [self._found(self.client.execute_command(*asked[0]))]
            pipe = self.client.pipeline(transaction=False)
            for one in asked:
                pipe.execute_command(*one)
            return [self._found(answer) for answer in pipe.execute()]

    def _found(self, answer: list[Any]) -> tuple[Rows, Floats]:
        """Key and fields by turns, behind their number."""
        rows = np.array([int(key.rpartition(b":")[2]) for key in answer[1::2]], dtype=np.int64)
        blob = b"".join(fields[1] for fields in answer[2::2])
        return rows, np.frombuffer(blob, dtype="<f4").reshape(len(rows), -1)

    def read(self, rows: Rows) -> Floats:
        """As `VectorStore.read`; ValueError for one that is not there."""
        with told(self.where):
            pipe = self.client.pipeline(transaction=False)
            for row in rows.tolist():
                pipe.execute_command("HGET", f"{ROOT}{self.key}:{row}", "v")
            found = pipe.execute()
        if None in found:
            raise ValueError(
                f"{self.where}: {self.key} lacks row {rows[found.index(None)]}; move the index again"
            )
        return np.frombuffer(b"".join(found), dtype="<f4").reshape(len(rows), -1)

    def count(self) -> int:
        """As `VectorStore.count`: those that the search index has."""
        with told(self.where):
            return int(self._info()["num_docs"])

    def ids(self) -> Iterator[str]:
        """As `VectorStore.ids`."""
        with told(self.where):
            names = self.client.scan_iter(match=f"{ROOT}{self.key}:*", count=BATCH)
            while some := list(islice(names, BATCH)):
                pipe = self.client.pipeline(transaction=False)
                for name in some:
                    pipe.execute_command("HGET", name, "id")
                yield from (one.decode() for one in pipe.execute() if one is not None)

    def alias(self, name: str) -> None:
        """As `VectorStore.alias`."""
        with told(self.where):
            self.client.execute_command("FT.ALIASUPDATE", f"{ROOT}{name}", f"{ROOT}{self.key}")

    def drop(self) -> None:
        """As `VectorStore.drop`."""
        with told(self.where):
            self._drop(self.key)

    def close(self) -> None:
        """As `VectorStore.close`."""
        self.client.close()

    def _drop(self, key: str) -> None:
        """The mark goes first: what is being deleted is not whole."""
        from redis import exceptions  # optional

        self.client.delete(f"{MARK}{key}")
        try:
            self.client.execute_command("FT.DROPINDEX", f"{ROOT}{key}")
        except exceptions.ResponseError as error:
            if "no such index" not in str(error).lower() and "unknown index" not in str(error).lower():
                raise
        names = []
        for name in self.client.scan_iter(match=f"{ROOT}{key}:*", count=BATCH):
            names.append(name)
            if len(names) == BATCH:
                self.client.unlink(*names)
                names = []
        if names:
            self.client.unlink(*names)

    def _marks(self) -> Iterator[tuple[str, dict[str, Any]]]:
        for name in list(self.client.scan_iter(match=f"{MARK}*", count=BATCH)):
            if (said := self.client.get(name)) is not None:
                yield name.decode().removeprefix(MARK), json.loads(said)

    def _info(self) -> dict[str, Any]:
        said = self.client.execute_command("FT.INFO", f"{ROOT}{self.key}")
        return {key.decode(): value for key, value in zip(said[::2], said[1::2], strict=True)}

    def _wait(self) -> None:
        """Until what the server holds is indexed: it may do so after it has answered, or been restarted."""
        until = time.monotonic() + PATIENCE
        while int(float(self._info().get("indexing", 0))) and time.monotonic() < until:
            time.sleep(0.02)
