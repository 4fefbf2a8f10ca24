import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.search import exact

QUERIES = np.array([[1.0, 0.0], [0.6, 0.8]], dtype=np.float32)
DOCS = np.array([[0.0, 1.0], [1.0, 0.0], [0.8, 0.6], [-1.0, 0.0]], dtype=np.float32)


def unit(rows: int, width: int, seed: int) -> np.ndarray:
    vectors = np.random.default_rng(seed).normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@pytest.fixture(params=["faiss", "numpy"])
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "numpy":
        monkeypatch.setitem(sys.modules, "faiss", None)
    else:
        pytest.importorskip("faiss")
    return request.param


def test_the_best_documents_come_first(each_engine: str) -> None:
    hits = exact.top(QUERIES, DOCS, 3, chunk=2)
    # query 0: 0, 1, 0.8, -1; query 1: 0.8, 0.6, 0.96, -0.6
    assert hits.rows.tolist() == [[1, 2, 0], [2, 0, 1]]
    assert hits.scores == pytest.approx(np.array([[1, 0.8, 0], [0.96, 0.8, 0.6]]), abs=1e-7)
    assert (hits.scores.dtype, hits.rows.dtype) == (np.float32, np.int64)


def test_a_depth_beyond_the_corpus_gives_all_of_it(each_engine: str) -> None:
    hits = exact.top(QUERIES, DOCS, 100, chunk=3)
    assert hits.rows.tolist() == [[1, 2, 0, 3], [2, 0, 1, 3]]


def test_no_queries_give_no_hits(each_engine: str) -> None:
    assert exact.top(QUERIES[:0], DOCS, 3, chunk=3).rows.shape == (0, 3)


def test_both_engines_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("faiss")
    queries, docs = unit(40, 32, 0), unit(3000, 32, 1)
    ours = exact.top(queries, docs, 50, chunk=700)
    monkeypatch.setitem(sys.modules, "faiss", None)
    theirs = exact.top(queries, docs, 50, chunk=700)
    assert ours.rows.tolist() == theirs.rows.tolist()
    assert ours.scores.tobytes() == theirs.scores.tobytes()


def test_hits_equal_a_sort_of_all_exact_scores(each_engine: str) -> None:
    queries, docs = unit(20, 16, 2), unit(500, 16, 3)
    scores = queries.astype(np.float64) @ docs.T.astype(np.float64)
    hits = exact.top(queries, docs, 10, chunk=64)
    assert hits.rows.tolist() == np.argsort(-scores, axis=1)[:, :10].tolist()


@settings(deadline=None, max_examples=30)
@given(chunk=st.integers(40, 700), seed=st.integers(0, 5))
def test_the_chunk_changes_nothing(chunk: int, seed: int) -> None:
    queries, docs = unit(5, 8, seed), np.repeat(unit(60, 8, seed + 9), 10, axis=0)
    whole, parts = exact.top(queries, docs, 15, chunk=600), exact.top(queries, docs, 15, chunk=chunk)
    assert whole.rows.tolist() == parts.rows.tolist()
    assert whole.scores.tobytes() == parts.scores.tobytes()


def test_the_number_of_threads_changes_nothing() -> None:
    faiss = pytest.importorskip("faiss")
    queries, docs, before = unit(64, 64, 4), unit(4000, 64, 5), faiss.omp_get_max_threads()
    found = []
    for threads in (1, 2):
        faiss.omp_set_num_threads(threads)
        found.append(exact.top(queries, docs, 20, chunk=1000))
    faiss.omp_set_num_threads(before)
    assert found[0].scores.tobytes() == found[1].scores.tobytes()
    assert found[0].rows.tolist() == found[1].rows.tolist()


def test_equal_scores_stand_by_row_even_where_they_straddle_the_depth(each_engine: str) -> None:
    docs = np.repeat(unit(1, 16, 6), 200, axis=0)
    docs[50] = unit(1, 16, 7)
    hits = exact.top(docs[:2], docs, 5, chunk=30)
    assert hits.rows.tolist() == [[0, 1, 2, 3, 4]] * 2


def test_minus_zero_equals_zero(each_engine: str) -> None:
    docs = np.array([[-0.0], [0.0], [-0.0]], dtype=np.float32)
    assert exact.top(np.ones((1, 1), np.float32), docs, 3, chunk=3).rows.tolist() == [[0, 1, 2]]


def test_documents_may_lie_in_a_memory_map(tmp_path: Path, each_engine: str) -> None:
    np.save(tmp_path / "docs.npy", DOCS)
    mapped = np.load(tmp_path / "docs.npy", mmap_mode="r")
    assert exact.top(QUERIES, mapped, 1, chunk=3).rows.tolist() == [[1], [2]]


def test_score_blocks_cover_every_pair_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exact, "CELLS", 6)  # three documents at a time
    blocks = list(exact.score_blocks(QUERIES, DOCS))
    assert [start for start, _ in blocks] == [0, 3]
    assert np.hstack([scores for _, scores in blocks]) == pytest.approx(QUERIES @ DOCS.T, abs=1e-7)


@pytest.mark.parametrize(
    ("queries", "docs", "depth", "chunk", "message"),
    [
        (QUERIES, DOCS[:0], 1, 1, "no document to search"),
        (QUERIES, DOCS[:, :1], 1, 1, r"queries \(2, 2\) and docs \(4, 1\)"),
        (QUERIES, DOCS, 0, 1, "depth 0"),
        (QUERIES, DOCS, 1, 0, "chunk 0"),
        (np.array([[0, 0], [0, np.nan]], np.float32), DOCS, 1, 1, "queries: the vector in row 1"),
        (QUERIES, np.where(DOCS == 0.8, np.inf, DOCS), 1, 2, "docs: the vector in row 2"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    queries: np.ndarray, docs: np.ndarray, depth: int, chunk: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        exact.top(queries, docs, depth, chunk=chunk)


def test_the_engine_says_how_to_get_faiss(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "faiss", None)
    assert exact.engine() == "numpy; pip install 'twotower[cpu]' for FAISS"


def test_the_engine_names_faiss_and_its_version() -> None:
    faiss = pytest.importorskip("faiss")
    assert exact.engine() == f"faiss {faiss.__version__}"


def test_neither_torch_nor_faiss_is_imported_with_search_and_evaluation() -> None:
    code = (
        "import sys, twotower.search.exact, twotower.evaluation.evaluate, twotower.evaluation.floors\n"
        "print(sorted({'torch', 'faiss', 'bm25s'} & sys.modules.keys()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.bench
def test_a_thousand_queries_take_little_longer_than_faiss_alone() -> None:
    import time

    faiss = pytest.importorskip("faiss")
    queries, docs = unit(1000, 256, 0), unit(100_000, 256, 1)
    exact.top(queries[:1], docs, 100, chunk=65_536)

    def seconds(search: object) -> float:
        start = time.perf_counter()
        search()  # type: ignore[operator]
        return time.perf_counter() - start

    ours = sorted(seconds(lambda: exact.top(queries, docs, 100, chunk=65_536)) for _ in range(5))[2]
    peer = sorted(
        seconds(lambda: faiss.knn(queries, docs, 100, metric=faiss.METRIC_INNER_PRODUCT)) for _ in range(5)
    )[2]
    assert ours < 2 * peer
