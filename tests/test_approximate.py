from pathlib import Path

import numpy as np
import pytest

from twotower.search import approximate, exact, stored
from twotower.search.approximate import Approximate
from twotower.search.faiss_index import KINDS

COUNT, DIM = 3000, 24


def drawn(count: int, seed: int) -> np.ndarray:
    """Unit vectors near a plane of six dimensions, as trained towers give them."""
    plane = np.random.default_rng(7).normal(size=(6, DIM))
    wide = np.random.default_rng(seed).normal(size=(count, 6)) @ plane
    wide += 0.1 * np.random.default_rng(seed + 1).normal(size=wide.shape)
    return np.asarray(wide / np.linalg.norm(wide, axis=1, keepdims=True), dtype=np.float32)


DOCS, QUERIES = drawn(COUNT, 0), drawn(200, 100)


def built(kind: str, docs: stored.Docs = DOCS, recall: float = 0.95) -> Approximate:
    return approximate.build(docs, kind=kind, recall=recall, queries=QUERIES, seed=0)


def overlap(found: np.ndarray, want: np.ndarray) -> float:
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(found, want, strict=True)]))


@pytest.mark.parametrize("kind", KINDS)
def test_the_recall_that_is_kept_is_the_one_that_a_search_has(kind: str) -> None:
    search = built(kind)
    hits = approximate.top(search, QUERIES, DOCS, 10)
    want = exact.top(QUERIES, DOCS, 10, chunk=COUNT)
    assert search.reached
    assert overlap(hits.rows, want.rows) == pytest.approx(search.recall, abs=1e-9)
    assert search.parameters.queries == len(QUERIES)
    assert search.parameters.given


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("storage", ["float32", "float16", "int8"])
def test_scores_and_order_are_those_of_an_exact_search(kind: str, storage: str) -> None:
    docs = stored.in_memory(DOCS, storage)
    hits = approximate.top(built(kind, docs), QUERIES, docs, 10)
    for query, scores, rows in zip(QUERIES, hits.scores, hits.rows, strict=True):
        want = (docs[rows].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(scores, want)
        assert (np.diff(scores) <= 0).all()
        assert len(set(rows.tolist())) == 10


def test_more_recall_takes_more_effort_and_too_much_is_said() -> None:
    low, high = built("ivf", recall=0.5), built("ivf", recall=1.0)
    assert low.parameters.effort < high.parameters.effort
    assert low.recall >= 0.5
    coarse = approximate.build(np.tile(DOCS[:2], (400, 1)), kind="pq", recall=1.0, queries=None, seed=0)
    assert coarse.recall == 1.0  # a copy of a hit is as good


@pytest.mark.parametrize("kind", KINDS)
def test_after_an_edit_removed_documents_are_never_found_and_new_ones_are(kind: str) -> None:
    old = built(kind)
    stay = np.setdiff1d(np.arange(COUNT), np.arange(0, COUNT, 10))
    docs = np.concatenate([DOCS[stay], drawn(50, 500)])
    moved = np.concatenate([stay, np.full(50, -1)])
    new = approximate.edited(old, docs, moved, QUERIES)
    assert len(new.slots) == COUNT + 50  # not built anew
    assert len(new) == len(docs)
    assert new.reached
    hits = approximate.top(new, docs[-50:], docs, 1)
    np.testing.assert_array_equal(hits.rows[:, 0], np.arange(len(stay), len(docs)))
    assert (
        overlap(approximate.top(new, QUERIES, docs, 10).rows, exact.top(QUERIES, docs, 10, chunk=COUNT).rows)
        > 0.94
    )
    assert approximate.top(old, DOCS[:1], DOCS, 1).rows[0, 0] == 0  # the old one is as it was


def test_an_index_with_many_gaps_or_longer_documents_is_built_anew() -> None:
    old = built("ivf")
    few = np.arange(0, COUNT, 2)
    assert len(approximate.edited(old, DOCS[few], few, QUERIES).slots) == len(few)
    longer = np.concatenate([DOCS, 2 * DOCS[:1]])
    moved = np.append(np.arange(COUNT), -1)
    new = approximate.edited(old, longer, moved, QUERIES)
    assert not new.parameters.even
    assert new.parameters.longest == pytest.approx(2.0, rel=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_saved_and_loaded_it_finds_the_same(kind: str, tmp_path: Path) -> None:
    search = built(kind)
    loaded = approximate.load(tmp_path, search.save(tmp_path), search.recall)
    first, second = (approximate.top(one, QUERIES, DOCS, 10) for one in (search, loaded))
    np.testing.assert_array_equal(first.rows, second.rows)
    np.testing.assert_array_equal(first.scores, second.scores)
    assert loaded.parameters == search.parameters


def test_damage_is_one_line(tmp_path: Path) -> None:
    parameters = built("ivf").save(tmp_path)
    whole = (tmp_path / "faiss.index").read_bytes()
    (tmp_path / "faiss.index").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ValueError, match=r"faiss\.index: cannot be read \(.*\); build the index again$"):
        approximate.load(tmp_path, parameters, 1.0)
    (tmp_path / "faiss.index").write_bytes(whole)
    np.save(tmp_path / "slots.npy", np.arange(5, dtype=np.int32))
    with pytest.raises(ValueError, match=r"slots\.npy: 5 slots, want 3000; build the index again$"):
        approximate.load(tmp_path, parameters, 1.0)


@pytest.mark.parametrize("kind", KINDS)
def test_a_depth_beyond_what_is_proposed_is_exact(kind: str) -> None:
    docs = DOCS[:300]
    hits = approximate.top(built(kind, docs), QUERIES[:5], docs, 300)
    want = exact.top(QUERIES[:5], docs, 300, chunk=100)
    np.testing.assert_array_equal(hits.rows, want.rows)


@pytest.mark.parametrize("kind", KINDS)
def test_one_document_and_no_query(kind: str) -> None:
    search = approximate.build(DOCS[:1], kind=kind, recall=0.95, queries=None, seed=0)
    assert approximate.top(search, QUERIES[:2], DOCS[:1], 5).rows.tolist() == [[0], [0]]
    assert not search.parameters.given


def test_another_number_of_documents_is_refused() -> None:
    with pytest.raises(ValueError, match="search over 3000 documents, got 2999; build the index again"):
        approximate.top(built("ivf"), QUERIES, DOCS[1:], 10)


def test_one_seed_gives_one_search() -> None:
    first, second = built("pq"), built("pq")
    np.testing.assert_array_equal(first.propose(QUERIES, 10), second.propose(QUERIES, 10))
    assert first.parameters == second.parameters


def test_auto_is_exact_until_it_pays(monkeypatch: pytest.MonkeyPatch) -> None:
    assert approximate.choose("auto", 199_999) == "flat"
    assert approximate.choose("auto", 200_000) == "hnsw"
    assert approximate.choose("ivf", 10) == "ivf"
    monkeypatch.setattr(exact, "load_faiss", lambda: None)
    assert approximate.choose("auto", 200_000) == "flat"
