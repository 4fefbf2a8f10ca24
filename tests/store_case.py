"""What every database of vectors must do, asked of each."""

import numpy as np
import pytest

from twotower.search import exact, vector_store
from twotower.search.vector_store import Identity, RemoteVectors, VectorStore

COUNT, DIM = 3000, 16


def vectors(count: int = COUNT, dim: int = DIM, seed: int = 0) -> np.ndarray:
    """Unit vectors, every tenth equal to the one before."""
    wide = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    wide[9::10] = wide[8::10]
    return wide


def ids(count: int = COUNT) -> list[str]:
    return [f"zürich-{row:05}" for row in range(count)]


def identity(key: str = "one", **changes: object) -> Identity:
    said = {"owner": "docs here", "checkpoint": "a" * 64, "doc_tower": "b" * 64, "corpus": "c" * 64}
    return Identity(**{"key": key, **said, "dim": DIM, "documents": COUNT, **changes})  # type: ignore[arg-type]


def fill(store: VectorStore, algorithm: str = "flat") -> VectorStore:
    store.create(identity(store.key), algorithm)  # type: ignore[attr-defined]
    for start in range(0, COUNT, 1700):
        store.upsert(start, ids()[start : start + 1700], vectors()[start : start + 1700])
    return store


def check_search(store: VectorStore, *, effort: int = 0) -> None:
    """The hits of an exact search over the same vectors, but where scores are within 1e-6."""
    queries = vectors(40, seed=1)
    found = vector_store.top(store, queries, COUNT, 10, effort)
    want = exact.top(queries, vectors(), 10, chunk=COUNT)
    np.testing.assert_allclose(found.scores, want.scores, atol=1e-6)
    scores = vectors().astype(np.float64) @ queries.astype(np.float64).T
    for query, (rows, others) in enumerate(zip(found.rows, want.rows, strict=True)):
        for row in set(rows.tolist()) ^ set(others.tolist()):
            assert abs(scores[row, query] - want.scores[query, -1]) < 1e-6
        assert len(set(rows.tolist())) == 10


def check_reading(store: VectorStore) -> None:
    remote = RemoteVectors(store, (COUNT, DIM))
    np.testing.assert_array_equal(remote[0:COUNT], vectors())
    rows = np.array([2999, 0, 7, 7, -1])
    np.testing.assert_array_equal(remote[rows], vectors()[rows])
    assert remote[np.array([], dtype=np.int64)].shape == (0, DIM)
    assert remote.longest() == pytest.approx(1.0, abs=1e-6)
    assert (len(remote), remote.ndim, remote.loss()) == (COUNT, 2, 0.0)
    assert sorted(store.ids()) == ids()
    assert store.count() == COUNT


def check_identity(store: VectorStore) -> None:
    key = store.key  # type: ignore[attr-defined]
    store.check(identity(key))
    for name, value in (("checkpoint", "f" * 64), ("doc_tower", "f" * 64), ("corpus", "f" * 64), ("dim", 17)):
        with pytest.raises(ValueError, match=f"is of another {name} ") as raised:
            store.check(identity(key, **{name: value}))
        assert "\n" not in str(raised.value)


def check_widths(store: VectorStore) -> None:
    """A database that passes over what it cannot index must not be believed."""
    with pytest.raises(ValueError, match="got width 9, want 16"):
        store.upsert(0, ids(2), vectors(2, 9))
