import json
from pathlib import Path

import pytest

from twotower.search import store_config
from twotower.search.store_config import OlderConfig


def read(folder: Path, content: object) -> OlderConfig:
    path = folder / "redis_config.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return store_config.read(path)


def test_everything_that_the_older_file_says(tmp_path: Path) -> None:
    content = {
        "redis": {"host": "db", "port": 6380, "username": "me", "password": "p@ss/word", "db": 2},
        "vector_store": {"index_name": "documents", "vector_dim": 128},
        "processing": {"batch_size": 64, "encoding_batch_size": 32, "default_max_docs": 1000},
    }
    assert read(tmp_path, content) == OlderConfig(
        url="redis://me:p%40ss%2Fword@db:6380/2", alias="documents", dim=128, max_docs=1000
    )


@pytest.mark.parametrize(
    ("redis", "url"),
    [
        ({"url": "redis://there:1/3", "host": "elsewhere"}, "redis://there:1/3"),
        ({}, "redis://localhost:6379/0"),
        ({"host": "h", "password": "x"}, "redis://:x@h:6379/0"),
        ({"url": None, "username": None, "port": None}, "redis://localhost:6379/0"),
    ],
)
def test_a_url_stands_above_its_parts(redis: dict[str, object], url: str, tmp_path: Path) -> None:
    assert read(tmp_path, {"redis": redis}) == OlderConfig(url=url)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", "not JSON"),
        ({}, "no redis in it, want redis.url, or redis.host and port"),
        ({"redis": {"port": "6379"}}, "redis.port: got '6379', want int"),
        ({"redis": {"db": True}}, "redis.db: got True, want int"),
        ({"redis": {"password": 12345}}, "redis.password: got something else, want str"),
        ({"redis": {}, "vector_store": []}, None),
        ({"redis": {}, "vector_store": [1]}, "vector_store: got list, want an object"),
        ({"redis": {}, "vector_store": {"vector_dim": "x"}}, "vector_store.vector_dim: got 'x', want int"),
    ],
)
def test_what_is_wrong_is_one_line_without_secrets(
    content: object, message: str | None, tmp_path: Path
) -> None:
    if message is None:
        assert read(tmp_path, content).dim == 0
        return
    with pytest.raises(ValueError, match=r"^store\.config: .*redis_config\.json: ") as raised:
        read(tmp_path, content)
    assert message in str(raised.value)
    assert "12345" not in str(raised.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"^store\.config: .*none\.json: no such file$"):
        store_config.read(tmp_path / "none.json")
