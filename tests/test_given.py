from pathlib import Path

import numpy as np
import pytest
from passages_case import passages

from twotower.data.collection import Collection
from twotower.evaluation import given
from twotower.evaluation.evaluate import evaluate

WIDTH = 8


@pytest.fixture(scope="module")
def collection() -> Collection:
    return passages(8)


def unit(rows: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, WIDTH)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def written(
    folder: Path, docs: np.ndarray, doc_ids: list[str], queries: np.ndarray, query_ids: list[str]
) -> Path:
    folder.mkdir(exist_ok=True)
    np.save(folder / "docs.npy", docs)
    np.save(folder / "queries.npy", queries)
    (folder / "doc_ids.txt").write_text("".join(f"{name}\n" for name in doc_ids))
    (folder / "query_ids.txt").write_text("".join(f"{name}\n" for name in query_ids))
    return folder


def whole(folder: Path, collection: Collection) -> Path:
    """Vectors of all of the collection, in its order."""
    docs, queries = list(collection.doc_ids), list(collection.query_ids)
    return written(folder, unit(len(docs), 0), docs, unit(len(queries), 1), queries)


def test_vectors_in_the_collections_order_stay_on_disk(collection: Collection, tmp_path: Path) -> None:
    found = given.read(whole(tmp_path, collection), collection, "dev")
    assert isinstance(found.docs, np.memmap)
    assert np.array_equal(found.docs, unit(len(collection.doc_ids), 0))
    # of the eight queries, the first and the fifth are in dev
    assert np.array_equal(found.queries, unit(8, 1)[[0, 4]])
    assert found.remarks == []


def test_the_order_in_the_files_changes_nothing(
    collection: Collection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(given, "BLOCK", 5 * WIDTH)  # five documents at a time
    rng, docs, queries = np.random.default_rng(2), list(collection.doc_ids), list(collection.query_ids)
    order, other = rng.permutation(len(docs)), rng.permutation(len(queries))
    moved = written(
        tmp_path / "moved",
        unit(len(docs), 0)[order],
        [docs[at] for at in order],
        unit(len(queries), 1)[other],
        [queries[at] for at in other],
    )
    ours = given.read(whole(tmp_path / "plain", collection), collection, "dev")
    theirs = given.read(moved, collection, "dev")
    assert np.array_equal(ours.docs, theirs.docs)
    assert np.array_equal(ours.queries, theirs.queries)
    assert ours.identity != theirs.identity


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_widths_of_numbers_are_kept_for_the_documents(
    kind: type, collection: Collection, tmp_path: Path
) -> None:
    docs, queries = list(collection.doc_ids), list(collection.query_ids)
    folder = written(
        tmp_path, unit(len(docs), 0).astype(kind), docs, unit(len(queries), 1).astype(kind), queries
    )
    found = given.read(folder, collection, "dev")
    assert (found.docs.dtype, found.queries.dtype, found.remarks) == (kind, np.float32, [])
    judged = collection.judgements("dev")
    scores = evaluate(found.queries, found.docs, judged, ks=[5], min_grade=1, chunk=7)
    plain = found.docs.astype(np.float64) @ found.queries.astype(np.float64).T
    ranks = [
        1 + np.sum(plain[:, at] > plain[judged.docs[(judged.queries == row) & (judged.grades > 0)], at].max())
        for at, row in enumerate(scores.query_rows)
    ]
    assert scores.per_query["mrr"].tolist() == [1 / rank if rank <= 5 else 0 for rank in ranks]


def test_vectors_of_others_are_left_aside_with_a_remark(collection: Collection, tmp_path: Path) -> None:
    docs, queries = [*collection.doc_ids, "z1", "z2"], [*collection.query_ids, "zz"]
    folder = written(tmp_path, unit(len(docs), 0), docs, unit(len(queries), 1), queries)
    found = given.read(folder, collection, "dev")
    assert np.array_equal(found.docs, unit(len(docs), 0)[:-2])
    assert found.remarks == [
        f"{folder / 'doc_ids.txt'}: 2 vectors whose ids the collection does not have left aside",
        f"{folder / 'query_ids.txt'}: 1 vectors whose ids the collection does not have left aside",
    ]


def test_lengths_other_than_one_are_a_remark(collection: Collection, tmp_path: Path) -> None:
    docs, queries = list(collection.doc_ids), list(collection.query_ids)
    folder = written(tmp_path, 3 * unit(len(docs), 0), docs, unit(len(queries), 1), queries)
    assert given.read(folder, collection, "dev").remarks == [
        f"{folder}: vectors of length 1 to 3, not 1: ranked by inner product as they are"
    ]


def test_the_identity_is_that_of_every_number_and_id(collection: Collection, tmp_path: Path) -> None:
    first = given.read(whole(tmp_path / "a", collection), collection, "dev").identity
    folder = whole(tmp_path / "b", collection)
    assert given.read(folder, collection, "dev").identity == first
    docs = np.load(folder / "docs.npy")
    docs[0] *= -1
    np.save(folder / "docs.npy", docs)
    assert given.read(folder, collection, "dev").identity != first


def test_ids_without_a_vector_are_counted(collection: Collection, tmp_path: Path) -> None:
    docs, queries = list(collection.doc_ids[2:]), list(collection.query_ids)
    folder = written(tmp_path, unit(len(docs), 0), docs, unit(len(queries), 1), queries)
    number = len(collection.doc_ids)
    says = f"doc_ids.txt: 2 of the {number} ids wanted are missing, the first is '{collection.doc_ids[0]}'"
    with pytest.raises(ValueError, match=says):
        given.read(folder, collection, "dev")


def test_only_queries_of_the_split_need_a_vector(collection: Collection, tmp_path: Path) -> None:
    docs, queries = list(collection.doc_ids), list(collection.split("dev"))
    folder = written(tmp_path, unit(len(docs), 0), docs, unit(len(queries), 1), queries)
    assert np.array_equal(given.read(folder, collection, "dev").queries, unit(2, 1))
    with pytest.raises(ValueError, match=r"query_ids\.txt: 2 of the 2 ids wanted are missing"):
        given.read(folder, collection, "test")


def archive(folder: Path, docs: np.ndarray) -> None:
    with (folder / "docs.npy").open("wb") as out:
        np.savez(out, docs=docs)


def fifth(folder: Path, name: str) -> None:
    """Write `name` in place of the fifth document's id."""
    names = (folder / "doc_ids.txt").read_text().splitlines()
    (folder / "doc_ids.txt").write_text("\n".join([*names[:4], name, *names[5:]]))


def at(row: int, value: float, docs: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(docs))[:, None] == row, np.float32(value), docs)


SPOIL = {
    "nan": lambda folder, docs: np.save(folder / "docs.npy", at(3, np.nan, docs)),
    "huge": lambda folder, docs: np.save(folder / "docs.npy", at(1, 1e30, docs)),
    "narrow": lambda folder, docs: np.save(folder / "queries.npy", unit(8, 1)[:, :4]),
    "integers": lambda folder, docs: np.save(folder / "docs.npy", docs.astype(np.int64)),
    "flat": lambda folder, docs: np.save(folder / "docs.npy", docs.ravel()),
    "objects": lambda folder, docs: np.save(folder / "docs.npy", np.array([{}, {}]), allow_pickle=True),
    "archive": archive,
    "empty": lambda folder, docs: (folder / "docs.npy").write_bytes(b""),
    "text": lambda folder, docs: (folder / "docs.npy").write_text("no vectors"),
    "short": lambda folder, docs: np.save(folder / "docs.npy", docs[:-1]),
    "cut": lambda folder, docs: (folder / "docs.npy").write_bytes((folder / "docs.npy").read_bytes()[:-40]),
    "twice": lambda folder, docs: fifth(folder, "1000_1"),
    "blank": lambda folder, docs: fifth(folder, ""),
}
"""How a folder is made faulty, by the name of the fault."""

FAULTS = {
    "nan": r"docs\.npy: the vector in row 3 is not finite",
    "huge": r"docs\.npy: the vector in row 1 is not finite, or too long for float32",
    "narrow": r"docs\.npy is \(.*, 8\), queries\.npy \(8, 4\), want one width",
    "integers": r"docs\.npy: int64 of \(.*\), want a matrix of float16, float32 or float64",
    "flat": r"docs\.npy: float32 of \(\d+,\), want a matrix",
    "objects": r"docs\.npy: not a NumPy array \(.*\)",
    "archive": r"docs\.npy: not a NumPy array",
    "empty": r"docs\.npy: not a NumPy array",
    "text": r"docs\.npy: not a NumPy array",
    "short": r"doc_ids\.txt: \d+ ids, want \d+, one a vector",
    "cut": r"docs\.npy: not a NumPy array",
    "twice": r"doc_ids\.txt:5: id '1000_1' again, first in line 2",
    "blank": r"doc_ids\.txt:5: no id",
}


@pytest.mark.parametrize(("fault", "says"), FAULTS.items())
def test_what_cannot_be_used_is_named_in_a_line(
    fault: str, says: str, collection: Collection, tmp_path: Path
) -> None:
    folder = whole(tmp_path, collection)
    SPOIL[fault](folder, unit(len(collection.doc_ids), 0))
    with pytest.raises(ValueError, match=says) as caught:
        given.read(folder, collection, "dev")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(collection: Collection, tmp_path: Path) -> None:
    folder = whole(tmp_path, collection)
    (folder / "query_ids.txt").unlink()
    with pytest.raises(
        FileNotFoundError, match=r"query_ids\.txt: no such file, want docs\.npy, doc_ids\.txt"
    ):
        given.read(folder, collection, "dev")
