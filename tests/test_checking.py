import sqlite3
from pathlib import Path

import numpy as np
import pytest
from index_case import Indexes

from twotower import config
from twotower.search import checking, sealed
from twotower.search.build import Encoder
from twotower.search.index import Index


@pytest.fixture
def made(tmp_path: Path) -> Indexes:
    indexes = Indexes(tmp_path)
    indexes.build()
    return indexes


def check(made: Indexes) -> dict[str, str]:
    return dict(checking.check(made.root / "docs" / "v0001", lambda _: made.encoder))


def closed_again(made: Indexes) -> Path:
    """Write the manifest anew, so that only what the checksums cannot know is wrong."""
    folder = made.root / "docs" / "v0001"
    manifest = {key: value for key, value in sealed.read(folder).items() if key not in ("files", "seal")}
    sealed.close(folder, manifest)
    return folder


def test_a_whole_index_is_said_to_be_one(made: Indexes) -> None:
    found = check(made)
    assert list(found) == ["files", "documents", "vectors", "towers", "encoding", "source"]
    assert found["documents"].startswith("6, each with its id and vector")
    assert found["encoding"] == "6 documents encoded again, at most 0 off"
    assert found["source"] == "docs: untouched since"


@pytest.mark.parametrize("storage", list(config.Storage))
def test_every_storage_passes(tmp_path: Path, storage: config.Storage) -> None:
    made = Indexes(tmp_path)
    job = made.job()
    made.build(plan=type(job.plan)(storage=storage))
    assert storage.value in check(made)["vectors"]


def test_a_lost_checkpoint_is_said(made: Indexes) -> None:
    def gone(_: Index) -> Encoder:
        raise FileNotFoundError("model.pt: gone")

    rows = dict(checking.check(made.root / "docs" / "v0001", gone))
    assert rows["encoding"] == "not compared: model.pt: gone"


def test_a_vector_that_is_not_its_documents_is_found(made: Indexes) -> None:
    folder = made.root / "docs" / "v0001"
    vectors = np.load(folder / "vectors.npy")
    np.save(folder / "vectors.npy", vectors[[1, 0, 2, 3, 4, 5]])
    closed_again(made)
    with pytest.raises(
        ValueError, match=r"the vector of document '(csv.reader|json.load)' is .* from what case"
    ):
        check(made)


@pytest.mark.parametrize(
    ("statement", "says"),
    [
        ("UPDATE documents SET text = 'another' WHERE id = 're.sub'", r"corpus \w+, want \w+; its documents"),
        ("DELETE FROM documents WHERE id = 'zürich'", "id 'zürich' has no document"),
        ("UPDATE documents SET id = 'aaa' WHERE id = 're.sub'", "document 'aaa' has no vector"),
    ],
)
def test_documents_that_are_not_those_indexed_are_found(made: Indexes, statement: str, says: str) -> None:
    file = made.root / "docs" / "v0001" / "documents.db"
    with sqlite3.connect(file) as database:
        database.execute(statement)
    database.close()
    closed_again(made)
    with pytest.raises(ValueError, match=says):
        check(made)


def test_a_tower_that_is_another_is_found(made: Indexes) -> None:
    folder = made.root / "docs" / "v0001"
    np.save(folder / "tower_bias_2.npy", np.load(folder / "tower_bias_2.npy") + 1)
    closed_again(made)
    with pytest.raises(ValueError, match=r"its query tower is .* off its probe"):
        check(made)


def test_a_source_that_is_gone_or_touched_is_said(made: Indexes) -> None:
    made.write({"new": "one"})
    assert check(made)["source"] == "docs: touched since; the next search reads it again"
    made.file.unlink()
    assert check(made)["source"].startswith("docs is gone (")
