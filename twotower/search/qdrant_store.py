"""Vectors in Qdrant: a point for each, by the number of its row; a server, or a folder of its local mode.

    twotower-<key>           points: row, vector, payload {"id"}
    twotower-mark-<key>      one point, whose payload says whose they are, and `whole`, which is written last
    twotower-<name>          alias of the collection that is live

The key of a server comes from QDRANT_API_KEY, and is never shown or kept.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

import numpy as np

from twotower.search.exact import Rows
from twotower.search.vector_store import FLAT, Floats, Identity

ROOT = "twotower-"
MARK = f"{ROOT}mark-"
BATCH = 1000
"""Vectors sent at a time."""
TIMEOUT = 30
"""Seconds to wait for one answer."""
MEMORY = ":memory:"
"""Where nothing is kept; for tests."""


@contextmanager
def told(where: str) -> Iterator[None]:
    """Qdrant's errors in one line."""
    try:
        from qdrant_client import http  # optional
    except ModuleNotFoundError:
        raise ValueError("store=qdrant: needs qdrant-client; `pip install 'twotower[qdrant]'`") from None
    try:
        yield
    except http.exceptions.UnexpectedResponse as error:
        if error.status_code in (401, 403):
            raise ValueError(f"{where}: it refuses the key; set QDRANT_API_KEY") from None
        raise ValueError(f"{where}: {_line(error)}") from None
    except http.exceptions.ResponseHandlingException as error:
        raise OSError(
            f"{where}: no answer ({_line(error)}); start the server, and the command again"
        ) from None
    except RuntimeError as error:  # a folder that another process has open
        raise ValueError(f"{where}: {_line(error)}") from None


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def connect(url: str) -> Any:
    """A client of a server (http://, https://), of a folder, or in memory."""
    with told(url):
        from qdrant_client import QdrantClient  # optional, 1 s

        if url == MEMORY:
            return QdrantClient(MEMORY)
        if url.startswith(("http://", "https://")):
            key = os.environ.get("QDRANT_API_KEY")
            return QdrantClient(url=url, api_key=key, timeout=TIMEOUT, check_compatibility=False)
        return QdrantClient(path=url)


class QdrantStore:
    """One index's vectors in Qdrant."""

    def __init__(self, url: str, key: str, client: Any = None) -> None:
        """Connects, unless a client is given."""
        self.where = url
        self.key = key
        self.client = connect(url) if client is None else client
        self._identity: Identity | None = None

    @property
    def _name(self) -> str:
        return f"{ROOT}{self.key}"

    def create(self, identity: Identity, algorithm: str) -> None:
        """As `VectorStore.create`; FLAT is asked exactly, without a graph."""
        from qdrant_client import models  # optional, 1 s

        with told(self.where):
            for name in self._unfinished(identity.owner):
                self._drop(name)
            graph = models.HnswConfigDiff(m=0) if algorithm == FLAT else None
            how = models.VectorParams(size=identity.dim, distance=models.Distance.DOT, hnsw_config=graph)
            self._mark(identity, whole=False)
            self.client.create_collection(self._name, vectors_config=how)
        self._identity = identity

    def upsert(self, start: int, ids: Sequence[str], vectors: Floats) -> None:
        """As `VectorStore.upsert`."""
        from qdrant_client import models  # optional, 1 s

        if self._identity and vectors.shape[1] != self._identity.dim:
            raise ValueError(f"{self.where}: got width {vectors.shape[1]}, want {self._identity.dim}")
        with told(self.where):
            for begin in range(0, len(ids), BATCH):
                points = [
                    models.PointStruct(
                        id=start + place, vector=vectors[place].tolist(), payload={"id": ids[place]}
                    )
                    for place in range(begin, min(begin + BATCH, len(ids)))
                ]
                self.client.upsert(self._name, points, wait=True)

    def finish(self) -> None:
        """As `VectorStore.finish`; ValueError where not all of them are there."""
        assert self._identity is not None  # it was created
        if (have := self.count()) != self._identity.documents:
            raise ValueError(f"{self.where}: it holds {have:,} vectors, want {self._identity.documents:,}")
        with told(self.where):
            self._mark(self._identity, whole=True)

    def check(self, identity: Identity) -> None:
        """As `VectorStore.check`."""
        with told(self.where):
            mark = self._said(self.key)
        if mark is None:
            raise ValueError(f"{self.where}: no vectors of {self.key} in it; move the index again")
        identity.matches(mark, self.where)
        if not mark["whole"]:
            raise ValueError(f"{self.where}: {self.key} was never finished; move the index again")
        if (have := self.count()) != identity.documents:
            raise ValueError(
                f"{self.where}: {self.key} holds {have:,} vectors, want {identity.documents:,}; "
                "move the index again"
            )
        self._identity = identity

    def search(self, queries: Floats, count: int, effort: int = 0) -> list[tuple[Rows, Floats]]:
        """As `VectorStore.search`; exact, but with an `effort`, which is the graph's."""
        from qdrant_client import models  # optional, 1 s

        how = None
        if self.where.startswith("http"):  # the local mode is always exact, and says so each time
            how = models.SearchParams(hnsw_ef=max(effort, count) if effort else None, exact=not effort)
        asked = [
            models.QueryRequest(query=query.tolist(), limit=count, with_vector=True, params=how)
            for query in queries
        ]
        with told(self.where):
            found = self.client.query_batch_points(self._name, asked)
        return [_rows(one.points) for one in found]

    def read(self, rows: Rows) -> Floats:
        """As `VectorStore.read`; ValueError for one that is not there."""
        with told(self.where):
            points = self.client.retrieve(self._name, sorted(set(rows.tolist())), with_vectors=True)
        found, vectors = _rows(points)
        place = {row: i for i, row in enumerate(found.tolist())}
        lacking = [row for row in rows.tolist() if row not in place]
        if lacking:
            raise ValueError(f"{self.where}: {self.key} lacks row {lacking[0]}; move the index again")
        return vectors[[place[row] for row in rows.tolist()]]

    def count(self) -> int:
        """As `VectorStore.count`."""
        with told(self.where):
            if not self.client.collection_exists(self._name):
                return 0
            return int(self.client.count(self._name, exact=True).count)

    def ids(self) -> Iterator[str]:
        """As `VectorStore.ids`."""
        after = None
        with told(self.where):
            while True:
                points, after = self.client.scroll(self._name, limit=BATCH, offset=after)
                yield from (point.payload["id"] for point in points)
                if after is None:
                    return

    def alias(self, name: str) -> None:
        """As `VectorStore.alias`: in one step from the collection before."""
        from qdrant_client import models  # optional, 1 s

        with told(self.where):
            known = {one.alias_name for one in self.client.get_aliases().aliases}
            steps: list[Any] = []
            if f"{ROOT}{name}" in known:
                away = models.DeleteAlias(alias_name=f"{ROOT}{name}")
                steps.append(models.DeleteAliasOperation(delete_alias=away))
            made = models.CreateAlias(collection_name=self._name, alias_name=f"{ROOT}{name}")
            steps.append(models.CreateAliasOperation(create_alias=made))
            self.client.update_collection_aliases(change_aliases_operations=steps)

    def drop(self) -> None:
        """As `VectorStore.drop`."""
        with told(self.where):
            self._drop(self.key)

    def close(self) -> None:
        """As `VectorStore.close`."""
        self.client.close()

    def _drop(self, key: str) -> None:
        """The mark goes first: what is being deleted is not whole."""
        self.client.delete_collection(f"{MARK}{key}")
        self.client.delete_collection(f"{ROOT}{key}")

    def _mark(self, identity: Identity, *, whole: bool) -> None:
        from qdrant_client import models  # optional, 1 s

        name = f"{MARK}{identity.key}"
        if not self.client.collection_exists(name):
            how = models.VectorParams(size=1, distance=models.Distance.DOT)
            self.client.create_collection(name, vectors_config=how)
        payload = {**asdict(identity), "whole": whole}
        self.client.upsert(name, [models.PointStruct(id=0, vector=[0.0], payload=payload)], wait=True)

    def _said(self, key: str) -> dict[str, Any] | None:
        if not self.client.collection_exists(f"{MARK}{key}"):
            return None
        points = self.client.retrieve(f"{MARK}{key}", [0])
        return dict(points[0].payload) if points else None

    def _unfinished(self, owner: str) -> list[str]:
        names = [one.name for one in self.client.get_collections().collections]
        keys = [name.removeprefix(MARK) for name in names if name.startswith(MARK)]
        said = {key: self._said(key) or {} for key in keys}
        return [key for key, mark in said.items() if mark.get("owner") == owner and not mark.get("whole")]


def _rows(points: Sequence[Any]) -> tuple[Rows, Floats]:
    rows = np.array([point.id for point in points], dtype=np.int64)
    return rows, np.array([point.vector for point in points], dtype=np.float32).reshape(len(rows), -1)
