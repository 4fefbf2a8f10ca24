import numpy as np
import pytest

from twotower.search import exact, faiss_index
from twotower.search.faiss_index import KINDS, Make


def vectors(count: int, dim: int, seed: int = 0) -> np.ndarray:
    wide = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return wide / np.linalg.norm(wide, axis=1, keepdims=True)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("count", "dim"), [(1, 3), (40, 5), (3000, 16)])
def test_every_slot_is_given_once(kind: str, count: int, dim: int) -> None:
    docs = vectors(count, dim)
    make = Make(kind, 0, 1.0, even=True)
    index = faiss_index.trained(make, docs, np.random.default_rng(0))
    faiss_index.add(index, docs, np.arange(count), make)
    found = faiss_index.slots(index, kind, docs[:1], min(count, 30), effort=count)[0]
    assert index.ntotal == count
    assert len(set(found.tolist())) == min(count, 30)
    assert 0 in found


@pytest.mark.parametrize("kind", KINDS)
def test_unequal_lengths_do_not_mislead(kind: str) -> None:
    """The best by inner product is a long vector that points elsewhere than the query."""
    docs = vectors(2000, 8) * np.random.default_rng(1).uniform(0.2, 3.0, size=(2000, 1)).astype(np.float32)
    longest = float(np.linalg.norm(docs, axis=1).max())
    make = Make(kind, 0, longest, even=False)
    index = faiss_index.trained(make, docs, np.random.default_rng(0))
    faiss_index.add(index, docs, np.arange(2000), make)
    queries = vectors(50, 8, seed=2)
    found = faiss_index.slots(index, kind, queries, 100, effort=100)
    best = exact.top(queries, docs, 1, chunk=500).rows
    assert np.mean([row in some for row, some in zip(best[:, 0], found, strict=True)]) >= 0.9


def test_the_added_number_makes_lengths_equal() -> None:
    docs = vectors(20, 4) * np.linspace(0.1, 2.0, 20, dtype=np.float32)[:, None]
    wide = faiss_index.widened(docs, 6, 2.0)
    np.testing.assert_allclose(np.linalg.norm(wide, axis=1), 2.0, rtol=1e-6)
    np.testing.assert_array_equal(wide[:, :4], docs)
    np.testing.assert_array_equal(wide[:, 5], 0.0)


def test_a_kind_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^kind: got tree, want one of auto, flat, ivf, hnsw, pq$"):
        faiss_index.module("tree")


def test_without_faiss_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "load_faiss", lambda: None)
    with pytest.raises(ValueError, match=r"^kind hnsw: needs FAISS; .*or kind=flat$"):
        faiss_index.module("hnsw")
