from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from index_case import Indexes, same_bytes
from redis_case import Server, needs_redis, server

from twotower.search import build
from twotower.search.redis_cache import RedisCache

pytestmark = [pytest.mark.service, needs_redis]


@pytest.fixture(scope="module")
def redis() -> Iterator[Server]:
    """Without its search module."""
    with TemporaryDirectory(prefix="tt") as name, server(Path(name), "--save", "", module=False) as made:
        yield made


class Encoder:
    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        return np.array([[len(text), ord(text[0])] for text in texts], dtype=np.float32)


def test_no_text_is_encoded_twice(redis: Server) -> None:
    encoder, cache = Encoder(), RedisCache(redis.url, "tower one" * 4, 2)
    first = cache.encode(["a", "bb", "ccc"], encoder)
    again = RedisCache(redis.url, "tower one" * 4, 2)
    np.testing.assert_array_equal(again.encode(["ccc", "dddd", "a"], encoder), [[3, 99], [4, 100], [1, 97]])
    np.testing.assert_array_equal(first, [[1, 97], [2, 98], [3, 99]])
    assert encoder.asked == ["a", "bb", "ccc", "dddd"]
    assert (cache.found, again.found) == (0, 2)
    assert cache.encode([], encoder).shape == (0, 2)


def test_another_tower_finds_nothing(redis: Server) -> None:
    encoder = Encoder()
    for tower in ("x" * 64, "y" * 64):
        RedisCache(redis.url, tower, 2).encode(["same"], encoder)
    assert encoder.asked == ["same", "same"]


def test_a_value_of_another_length_is_encoded_anew(redis: Server) -> None:
    encoder, cache = Encoder(), RedisCache(redis.url, "z" * 64, 2)
    cache.encode(["a"], encoder)
    for key in cache.client.scan_iter(match=f"{cache.prefix}*"):
        cache.client.set(key, b"short")
    cache.encode(["a"], encoder)
    assert encoder.asked == ["a", "a"]


def test_an_index_built_from_it_is_the_same(redis: Server, tmp_path: Path) -> None:
    made = Indexes(tmp_path)
    plain = made.build("plain")
    for name in ("first", "second"):
        job = made.job()
        job = replace(job, encoder=replace(job.encoder, cache_url=redis.url))
        place = build.named(made.root, name, job)
        assert same_bytes(place.folder, plain.folder)
        cache = job.encoder.model.cache
        assert cache is not None
        assert cache.found == (0 if name == "first" else 6)
