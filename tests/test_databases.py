from pathlib import Path

import pytest

from twotower.search import databases
from twotower.search.databases import URL
from twotower.search.qdrant_store import QdrantStore

MANIFEST = {
    "checkpoint": {"sha256": "a" * 64},
    "doc_tower": "b" * 64,
    "corpus": "c" * 64,
    "dim": 4,
    "documents": 3,
    "store": {"kind": "redis", "url": "redis://127.0.0.1:1/0", "key": "one", "owner": "docs"},
}


def test_the_database_of_a_manifest_is_asked_for_where_it_says() -> None:
    with pytest.raises(OSError, match=r"redis://127\.0\.0\.1:1/0: no answer"):
        databases.of_manifest(MANIFEST)


def test_the_environment_says_where_it_is_by_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(URL, "redis://:hidden@127.0.0.1:2/0")
    with pytest.raises(OSError, match=r"redis://127\.0\.0\.1:2/0: no answer") as raised:
        databases.of_manifest(MANIFEST)
    assert "hidden" not in str(raised.value)


def test_what_is_not_the_versions_own_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("qdrant_client")
    where = {"kind": "qdrant", "url": str(tmp_path / "q"), "key": "one", "owner": "docs"}
    manifest = {**MANIFEST, "store": where}
    with pytest.raises(ValueError, match="no vectors of one in it; move the index again"):
        databases.of_manifest(manifest)
    store = databases.opened("qdrant", where["url"], "one")
    assert isinstance(store, QdrantStore)  # the refused one has let go of the folder
    own = databases.identity(manifest, "one", "docs")
    assert (own.checkpoint, own.dim, own.documents) == ("a" * 64, 4, 3)
    store.close()
