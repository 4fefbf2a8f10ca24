"""Redis itself, with its search module, started here."""

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from redis_case import Server, needs_redis, server
from store_case import (
    check_identity,
    check_reading,
    check_search,
    check_widths,
    fill,
    identity,
    ids,
    vectors,
)

from twotower.search import redis_store, vector_store
from twotower.search.redis_store import RedisStore, shown

UNFINISHED = r"no vectors of one in it|one was never finished"


def filled(store: RedisStore, times: int) -> None:
    """Again and again: what was there is written anew."""
    fill(store)
    for _ in range(times):
        store.upsert(0, ids(), vectors())


@pytest.fixture
def folder() -> Iterator[Path]:
    """A short one: a socket's path has at most 107 bytes."""
    with TemporaryDirectory(prefix="tt") as name:
        yield Path(name)


@pytest.fixture
def redis(folder: Path) -> Iterator[Server]:
    with server(folder, "--save", "") as made:
        yield made


@pytest.mark.service
@needs_redis
@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
def test_it_does_what_every_store_does(redis: Server, algorithm: str) -> None:
    store = fill(RedisStore(redis.url, "one"), algorithm)
    check_widths(store)
    store.finish()
    check_identity(store)
    check_search(store, effort=400 if algorithm == "hnsw" else 0)
    check_reading(store)
    store.drop()
    assert list(store.client.scan_iter()) == []
    store.close()


@pytest.mark.service
@needs_redis
def test_what_is_not_finished_is_refused_and_dropped_by_the_next(redis: Server) -> None:
    store = fill(RedisStore(redis.url, "one"))
    with pytest.raises(ValueError, match="one was never finished; move the index again"):
        store.check(identity("one"))
    with pytest.raises(ValueError, match="no vectors of two in it"):
        RedisStore(redis.url, "two").check(identity("two"))
    again = fill(RedisStore(redis.url, "two"))
    again.finish()
    assert {name for name in again.client.scan_iter() if b":one" in name} == set()
    again.check(identity("two"))
    other = RedisStore(redis.url, "three")
    other.create(identity("three", owner="another"), "flat")
    again.check(identity("two"))  # a whole one stays, and so does another owner's


@pytest.mark.service
@needs_redis
def test_less_than_all_is_not_whole(redis: Server) -> None:
    store = RedisStore(redis.url, "one")
    store.create(identity("one"), "flat")
    store.upsert(0, ids(10), vectors(10))
    with pytest.raises(ValueError, match="it holds 10 vectors, want 3,000"):
        store.finish()
    store = fill(RedisStore(redis.url, "two"))
    store.finish()
    store.client.delete("twotower:two:5")
    with pytest.raises(ValueError, match="two holds 2,999 vectors, want 3,000; move the index again"):
        store.check(identity("two"))
    with pytest.raises(ValueError, match="two lacks row 5; move the index again"):
        store.read(np.array([4, 5]))


@pytest.mark.service
@needs_redis
def test_an_alias_goes_from_one_to_the_next(redis: Server) -> None:
    for key in ("one", "two"):
        store = fill(RedisStore(redis.url, key))
        store.finish()
        store.alias("docs")
        said = store.client.execute_command("FT.INFO", "twotower:docs")
        assert said[said.index(b"index_name") + 1] == f"twotower:{key}".encode()


@pytest.mark.service
@needs_redis
@pytest.mark.parametrize("moment", [0.02, 0.1, 0.2])
def test_a_server_killed_while_it_is_written_to_leaves_nothing_that_looks_whole(
    folder: Path, moment: float
) -> None:
    settings = ("--save", "", "--appendonly", "yes", "--appendfsync", "always")
    with server(folder, *settings) as redis:
        store = RedisStore(redis.url, "one")

        def die() -> None:
            time.sleep(moment)
            redis.kill()

        killer = threading.Thread(target=die)
        killer.start()
        with pytest.raises(OSError, match=r"no answer .*; start the server, and the command again") as raised:
            filled(store, 10_000)
        assert "\n" not in str(raised.value)
        killer.join()
        redis.start()
        again = RedisStore(redis.url, "one")
        with pytest.raises(ValueError, match=UNFINISHED):
            again.check(identity("one"))
        fresh = fill(RedisStore(redis.url, "two"))
        fresh.finish()
        fresh.check(identity("two"))
        redis.kill()
        redis.start()  # what was finished before is whole after
        RedisStore(redis.url, "two").check(identity("two"))


@pytest.mark.service
@needs_redis
def test_a_full_memory_is_one_line_and_nothing_whole(folder: Path) -> None:
    with server(folder, "--save", "", "--maxmemory", "2mb", "--maxmemory-policy", "noeviction") as redis:
        store = RedisStore(redis.url, "one")
        with pytest.raises(OSError, match="its memory is full; raise maxmemory") as raised:
            filled(store, 50)
        assert "\n" not in str(raised.value)
        with pytest.raises(ValueError, match=UNFINISHED):
            store.check(identity("one"))


@pytest.mark.service
@needs_redis
def test_a_server_without_its_module_says_so(folder: Path) -> None:
    with (
        server(folder, "--save", "", module=False) as redis,
        pytest.raises(ValueError, match="no search module in it; want Redis 8, or Redis Stack"),
    ):
        RedisStore(redis.url, "one").create(identity("one"), "flat")


@pytest.mark.service
@needs_redis
def test_passwords_are_asked_for_and_never_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with server(folder, "--save", "", "--requirepass", "s3cret") as redis:
        with pytest.raises(ValueError, match=r"user or password refused .*REDIS_PASSWORD") as raised:
            RedisStore(redis.url, "one")
        monkeypatch.setenv("REDIS_PASSWORD", "wr0ng")
        with pytest.raises(ValueError, match="user or password refused") as again:
            RedisStore(redis.url, "one")
        assert "wr0ng" not in f"{raised.value}{again.value}"
        monkeypatch.setenv("REDIS_PASSWORD", "s3cret")
        assert RedisStore(redis.url, "one").client.ping()
        monkeypatch.delenv("REDIS_PASSWORD")
        url = redis.url.replace("unix://", "unix://:s3cret@")
        store = fill(RedisStore(url, "one"))
        store.finish()
        kept = {store.client.get(name) for name in store.client.scan_iter(match="twotower:mark:*")}
        assert not any(b"s3cret" in one for one in kept if one)
        assert json.loads(kept.pop())["whole"]  # type: ignore[arg-type]
        assert "s3cret" not in store.where


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("redis://127.0.0.1:1/0", "redis://127.0.0.1:1/0: no answer"),
        ("http://localhost", "store.url: http://localhost: .*want redis://host:6379/0 or unix:///path"),
        ("nonsense", "store.url: nonsense: "),
        ("redis://:hidden@127.0.0.1:1", "redis://127.0.0.1:1: no answer"),
    ],
)
def test_where_no_server_is_that_is_said(url: str, message: str) -> None:
    with pytest.raises((OSError, ValueError), match=message) as raised:
        RedisStore(url, "one")
    assert "\n" not in str(raised.value)
    assert "hidden" not in str(raised.value)


@pytest.mark.parametrize(
    ("url", "want"),
    [
        ("redis://user:pa/ss@host:1/2", "redis://host:1/2"),
        ("rediss://:x@host", "rediss://host"),
        ("unix://u:p@/run/r.sock?db=3", "unix:///run/r.sock?db=3"),
        ("redis://host?password=x&username=y", "redis://host"),
    ],
)
def test_a_url_is_shown_without_its_secrets(url: str, want: str) -> None:
    assert shown(url) == want


def test_without_the_client_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "redis", None)
    with pytest.raises(ValueError, match=r"needs redis; `pip install 'twotower\[redis\]'`"):
        RedisStore("redis://localhost", "one")


@pytest.mark.bench
@needs_redis
def test_it_costs_little_more_than_the_plain_client(folder: Path) -> None:
    """100,000 x 128: upserts, and single queries, by turns."""
    count, dim = 100_000, 128
    wide, names = vectors(count, dim), ids(count)
    queries = vectors(200, dim, seed=1)
    with server(folder, "--save", "") as redis:
        store = RedisStore(redis.url, "ours")
        ours, plain = [], []
        for round_ in range(2):
            store.create(identity("ours", dim=dim, documents=count), "flat")
            start = time.perf_counter()
            for begin in range(0, count, 4096):
                store.upsert(begin, names[begin : begin + 4096], wide[begin : begin + 4096])
            ours.append(time.perf_counter() - start)
            if round_ == 0:
                store.drop()
            how = ["TYPE", "FLOAT32", "DIM", "128", "DISTANCE_METRIC", "IP"]
            schema = ["ON", "HASH", "PREFIX", 1, "plain:", "SCHEMA", "v", "VECTOR", "FLAT", len(how), *how]
            store.client.execute_command("FT.CREATE", "plain", *schema)
            start = time.perf_counter()
            for begin in range(0, count, redis_store.BATCH):
                pipe = store.client.pipeline(transaction=False)
                for row in range(begin, begin + redis_store.BATCH):
                    pipe.hset(f"plain:{row}", mapping={"v": wide[row].tobytes(), "id": names[row]})
                pipe.execute()
            plain.append(time.perf_counter() - start)
            if round_ == 0:
                store.client.execute_command("FT.DROPINDEX", "plain", "DD")
        assert min(ours) < 1.2 * min(plain), (ours, plain)
        mine, theirs = [], []
        for query in queries:
            start = time.perf_counter()
            vector_store.top(store, query[None], count, 10)
            mine.append(time.perf_counter() - start)
            words = ["*=>[KNN 10 @v $q AS d]", "PARAMS", 2, "q", query.tobytes(), "SORTBY", "d"]
            words += ["RETURN", 1, "d", "LIMIT", 0, 10, "DIALECT", 2]
            start = time.perf_counter()
            store.client.execute_command("FT.SEARCH", "twotower:ours", *words)
            theirs.append(time.perf_counter() - start)
        assert np.median(mine) < 1.2 * np.median(theirs), (np.median(mine), np.median(theirs))
