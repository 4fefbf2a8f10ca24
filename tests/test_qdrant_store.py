"""Qdrant's client in its local mode: the client's own code, no server; a server has not been tried."""

import gc
import importlib.util
import time
from pathlib import Path

import numpy as np
import pytest
from store_case import check_identity, check_reading, check_search, check_widths, fill, identity, ids, vectors

from twotower.search import qdrant_store, vector_store
from twotower.search.qdrant_store import QdrantStore

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("qdrant_client") is None, reason="not installed: qdrant-client"
    ),
    # the client leaves the lock of a folder that it cannot have open
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]


@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
def test_it_does_what_every_store_does(algorithm: str) -> None:
    store = fill(QdrantStore(":memory:", "one"), algorithm)
    check_widths(store)
    store.finish()
    check_identity(store)
    check_search(store, effort=400 if algorithm == "hnsw" else 0)
    check_reading(store)
    store.drop()
    assert store.count() == 0
    store.close()


def test_what_is_not_finished_is_refused_and_dropped_by_the_next() -> None:
    store = fill(QdrantStore(":memory:", "one"))
    with pytest.raises(ValueError, match="one was never finished; move the index again"):
        store.check(identity("one"))
    again = QdrantStore(":memory:", "two", store.client)  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="no vectors of two in it"):
        again.check(identity("two"))
    fill(again)
    again.finish()
    assert store.count() == 0
    again.check(identity("two"))


def test_less_than_all_is_not_whole() -> None:
    store = QdrantStore(":memory:", "one")
    store.create(identity("one"), "flat")
    store.upsert(0, ids(10), vectors(10))
    with pytest.raises(ValueError, match="it holds 10 vectors, want 3,000"):
        store.finish()
    with pytest.raises(ValueError, match="one lacks row 12; move the index again"):
        store.read(np.array([4, 12]))


def test_an_alias_goes_from_one_to_the_next() -> None:
    first = fill(QdrantStore(":memory:", "one"))
    second = QdrantStore(":memory:", "two", first.client)  # type: ignore[attr-defined]
    first.finish()
    fill(second)
    second.finish()
    for store in (first, second, first):
        store.alias("docs")
        (said,) = second.client.get_aliases().aliases
        assert (said.alias_name, said.collection_name) == ("twotower-docs", f"twotower-{store.key}")  # type: ignore[attr-defined]


def test_a_folder_keeps_it(tmp_path: Path) -> None:
    store = fill(QdrantStore(str(tmp_path / "q"), "one"))
    store.finish()
    store.close()
    again = QdrantStore(str(tmp_path / "q"), "one")
    again.check(identity("one"))
    check_search(again)
    again.close()


def test_a_folder_that_another_has_open_is_one_line(tmp_path: Path) -> None:
    store = QdrantStore(str(tmp_path / "q"), "one")
    with pytest.raises(ValueError, match="already accessed") as raised:
        QdrantStore(str(tmp_path / "q"), "one")
    assert "\n" not in str(raised.value)
    del raised
    gc.collect()
    store.close()


def test_where_no_server_is_that_is_said() -> None:
    with pytest.raises(OSError, match=r"http://127\.0\.0\.1:1: no answer") as raised:
        QdrantStore("http://127.0.0.1:1", "one").check(identity("one"))
    assert "\n" not in str(raised.value)


def test_without_the_client_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "qdrant_client", None)
    with pytest.raises(ValueError, match=r"needs qdrant-client; `pip install 'twotower\[qdrant\]'`"):
        QdrantStore(":memory:", "one")


@pytest.mark.bench
def test_it_costs_little_more_than_the_plain_client() -> None:
    """Local mode, which is not made for many: 20,000 x 128."""
    from qdrant_client import models

    count, dim = 20_000, 128
    wide, names = vectors(count, dim), ids(count)
    store = QdrantStore(":memory:", "ours")
    store.create(identity("ours", dim=dim, documents=count), "flat")
    start = time.perf_counter()
    store.upsert(0, names, wide)
    ours = time.perf_counter() - start
    how = models.VectorParams(size=dim, distance=models.Distance.DOT)
    store.client.create_collection("plain", vectors_config=how)
    start = time.perf_counter()
    for begin in range(0, count, qdrant_store.BATCH):
        part = slice(begin, begin + qdrant_store.BATCH)
        points = [
            models.PointStruct(id=row, vector=wide[row].tolist(), payload={"id": names[row]})
            for row in range(part.start, part.stop)
        ]
        store.client.upsert("plain", points)
    assert ours < 1.2 * (time.perf_counter() - start)
    mine, theirs = [], []
    for query in vectors(100, dim, seed=1):
        start = time.perf_counter()
        vector_store.top(store, query[None], count, 10)
        mine.append(time.perf_counter() - start)
        start = time.perf_counter()
        store.client.query_points("plain", query=query.tolist(), limit=10)
        theirs.append(time.perf_counter() - start)
    assert np.median(mine) < 1.2 * np.median(theirs), (np.median(mine), np.median(theirs))
