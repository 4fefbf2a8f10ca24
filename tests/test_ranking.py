import tracemalloc
from math import comb, log2
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.data.collection import Judgements
from twotower.evaluation import metrics, ranking
from twotower.evaluation.metrics import Ranking
from twotower.search import exact

KS = (1, 2, 3, 5, 10)


def judgements(*pairs: tuple[int, int, int]) -> Judgements:
    queries, docs, grades = np.array(sorted(pairs), dtype=np.int64).T
    return Judgements(queries, docs, grades.astype(np.int32))


def drawn(rng: np.random.Generator, queries: int, docs: int) -> Judgements:
    """Up to four judged documents a query, grades 0 to 2."""
    pairs = {
        (query, int(doc)): int(rng.integers(0, 3)) for query in range(queries) for doc in rng.choice(docs, 4)
    }
    return judgements(*((query, doc, grade) for (query, doc), grade in pairs.items()))


def unit(rng: np.random.Generator, rows: int, width: int) -> np.ndarray:
    vectors = rng.normal(size=(rows, width)).astype(np.float32)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def line(*scores: float) -> tuple[np.ndarray, np.ndarray]:
    """One query and documents whose inner products with it are `scores`."""
    return np.ones((1, 1), np.float32), np.array(scores, dtype=np.float32)[:, None]


def assert_same(ours: Ranking, theirs: Ranking) -> None:
    for least in (1, 2):
        mine, other = (metrics.evaluate(each, KS, min_grade=least) for each in (ours, theirs))
        for name in mine:
            assert mine[name] == pytest.approx(other[name], abs=1e-12), name


def by_sorting(queries: np.ndarray, docs: np.ndarray, judged: Judgements, depth: int) -> Ranking:
    rows = (queries.astype(np.float64) @ docs.T.astype(np.float64)).astype(np.float32)
    return ranking.rank_scores(rows, judged, depth=depth)


def test_scores_and_grades_go_to_the_depth() -> None:
    queries, docs = line(0.1, 0.4, 0.3, 0.2)
    ranked = ranking.rank(queries, docs, judgements((7, 0, 3), (7, 2, 1)), depth=3, chunk=2)
    assert ranked.scores[0] == pytest.approx([0.4, 0.3, 0.2])
    assert ranked.grades.tolist() == [[0, 1, 0]]
    assert ranked.tail_size.tolist() == [0]
    assert sorted(ranked.judged[0]) == [1, 3]


def test_a_depth_beyond_the_corpus_is_the_corpus() -> None:
    queries, docs = line(0.1, 0.4)
    ranked = ranking.rank(queries, docs, judgements((0, 0, 1)), depth=100, chunk=10)
    assert ranked.grades.tolist() == [[0, 1]]


def test_the_tail_of_a_tie_at_the_cut_off_is_counted_with_its_grades() -> None:
    # four documents at 0.5, of which depth 2 retrieves one; documents 1 to 4 are judged 1, 0, 2, 3
    queries, docs = line(0.9, 0.5, 0.5, 0.5, 0.5, 0.1)
    judged = judgements((0, 1, 1), (0, 2, 0), (0, 3, 2), (0, 4, 3), (0, 5, 3))
    ranked = ranking.rank(queries, docs, judged, depth=2, chunk=3)
    assert ranked.tail_size.tolist() == [3]
    assert sorted([*ranked.tail_grades[0], ranked.grades[0, 1]])[-3:] == [1, 2, 3]
    assert metrics.evaluate(ranked, [2], min_grade=1)["recall_2"][0] == pytest.approx((3 / 4) / 4)


@pytest.mark.parametrize("bins", [2, 8, ranking.BINS])
@pytest.mark.parametrize(("step", "tail"), [(6e-7, 30), (3e-6, 0)])
def test_a_chain_of_ties_is_followed_below_the_depth(
    step: float, tail: int, bins: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # 33 documents `step` apart, then a gap, then one more; depth 3
    monkeypatch.setattr(ranking, "BINS", bins)
    queries, docs = line(*(0.25 - step * np.arange(33)), 0.2)
    shuffled = np.random.default_rng(0).permutation(34)
    ranked = ranking.rank(queries, docs[shuffled], judgements((0, 0, 1)), depth=3, chunk=5)
    assert ranked.tail_size.tolist() == [tail]


def test_a_gap_little_wider_than_epsilon_ends_the_tail() -> None:
    # depth 1 is tied with the next alone; the third is 1.4e-6 below that
    queries, docs = line(0.25, 0.25 - 6e-7, 0.25 - 20e-7, 0.25 - 22e-7)
    ranked = ranking.rank(queries, docs, judgements((0, 0, 1), (0, 2, 1)), depth=1, chunk=4)
    assert ranked.tail_size.tolist() == [1]
    assert not ranked.tail_grades.any()


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 10_000), depth=st.integers(1, 12), chunk=st.integers(3, 60))
def test_ties_of_every_size_equal_a_sort_of_all_scores(seed: int, depth: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    # few distinct scores, some of them within epsilon of each other
    grid = np.concatenate([np.linspace(0, 1, 4), 0.5 + 7e-7 * np.arange(3)]).astype(np.float32)
    queries, docs = np.ones((6, 1), np.float32), rng.choice(grid, 50)[:, None]
    judged = drawn(rng, 6, 50)
    ours = ranking.rank(queries, docs, judged, depth=depth, chunk=chunk)
    theirs = by_sorting(queries, docs, judged, depth)
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()
    assert_same(ours, theirs)


def test_real_vectors_equal_a_sort_of_all_scores() -> None:
    rng = np.random.default_rng(1)
    queries, docs, judged = unit(rng, 30, 16), unit(rng, 4000, 16), drawn(rng, 30, 4000)
    ours = ranking.rank(queries, docs, judged, depth=50, chunk=512)
    assert_same(ours, by_sorting(queries, docs, judged, 50))


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10_000), chunk=st.integers(20, 700))
def test_neither_chunk_nor_document_order_changes_a_bit(seed: int, chunk: int) -> None:
    rng = np.random.default_rng(seed)
    # crowded: many scores lie about epsilon apart, where float32 products would decide by their rounding
    base = unit(rng, 40, 24)
    docs = (base[rng.integers(0, 40, 600)] + 1e-6 * rng.normal(size=(600, 24))).astype(np.float32)
    queries, judged, order = unit(rng, 8, 24), drawn(rng, 8, 600), rng.permutation(600)
    row = np.argsort(order)
    moved = judgements(*zip(judged.queries, row[judged.docs], judged.grades, strict=True))
    ours = ranking.rank(queries, docs, judged, depth=20, chunk=600)
    theirs = ranking.rank(queries, docs[order], moved, depth=20, chunk=chunk)
    assert ours.scores.tobytes() == theirs.scores.tobytes()
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()
    mine, other = (metrics.evaluate(each, KS, min_grade=1) for each in (ours, theirs))
    assert all(mine[name] == pytest.approx(other[name], abs=1e-14) for name in mine)


def test_a_constant_scorer_is_chance() -> None:
    rng = np.random.default_rng(2)
    judged = drawn(rng, 5, 300)
    queries, docs = unit(rng, 5, 8), np.repeat(unit(rng, 1, 8), 300, axis=0)
    ours = ranking.rank(queries, docs, judged, depth=10, chunk=64)
    assert ours.tail_size.tolist() == [290] * 5
    assert_same(ours, ranking.rank_constant(300, judged, depth=10))


@pytest.mark.parametrize("chunk", [64, 4096])
@pytest.mark.parametrize(("copies", "relevant"), [(100, 1), (300, 3), (900, 20)])
def test_a_document_with_hundreds_of_copies_counts_at_its_chance(
    copies: int, relevant: int, chunk: int
) -> None:
    # one document above, then `copies` equal ones of which `relevant` are, then others; depth 10
    rng, n, r = np.random.default_rng(copies), copies, relevant
    docs = np.concatenate([line(0.9)[1], np.full((n, 1), 0.5, np.float32), rng.uniform(-1, 0.4, (500, 1))])
    order = rng.permutation(len(docs))
    row = np.argsort(order)
    judged = judgements((0, int(row[0]), 0), *((0, int(row[1 + at]), 1) for at in range(r)))
    ranked = ranking.rank(line(0.0)[0], docs[order].astype(np.float32), judged, depth=10, chunk=chunk)
    found = {name: value[0] for name, value in metrics.evaluate(ranked, [10], min_grade=1).items()}
    assert ranked.tail_size.tolist() == [n - 9]
    # place j of the tie is position j + 1; all comb(n, r) ways to put the relevant ones are as likely
    places = range(1, 10)
    first = {j: comb(n - j, r - 1) / comb(n, r) for j in places}
    before = {j: 1 + (j - 1) * (r - 1) / max(n - 1, 1) for j in places}
    ideal = sum(1 / log2(position + 1) for position in range(1, min(r, 10) + 1))
    wanted = {
        "mrr_10": sum(first[j] / (j + 1) for j in places),
        "success_10": 1 - comb(n - 9, r) / comb(n, r),
        "recall_10": 9 / n,
        "precision_10": 9 * r / n / 10,
        "map_10": sum(before[j] / (j + 1) for j in places) / n,
        "ndcg_10": sum(r / n / log2(j + 2) for j in places) / ideal,
    }
    assert {name: found[name] for name in wanted} == pytest.approx(wanted, abs=1e-9)


@pytest.mark.parametrize("collapsed", [False, True])
def test_memory_does_not_grow_with_the_corpus(
    collapsed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ranking.exact, "CELLS", 1 << 14)
    rng = np.random.default_rng(3)
    queries = unit(rng, 20, 16)
    peaks = []
    for documents in (5_000, 40_000):
        docs = np.repeat(queries[:1], documents, axis=0) if collapsed else unit(rng, documents, 16)
        np.save(tmp_path / "docs.npy", docs)
        mapped, judged = np.load(tmp_path / "docs.npy", mmap_mode="r"), drawn(rng, 20, documents)
        ranking.rank(queries, mapped, judged, depth=10, chunk=1000)
        tracemalloc.start()
        ranking.rank(queries, mapped, judged, depth=10, chunk=1000)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]


def test_given_scores_are_ranked_query_by_query() -> None:
    rows = [np.array([0.1, 0.9, 0.5]), np.array([0.0, 0.0, 0.0])]
    judged = judgements((3, 0, 1), (3, 1, 2), (8, 2, 1))
    ranked = ranking.rank_scores(iter(rows), judged, depth=2)
    assert ranked.grades[0].tolist() == [2, 0]
    assert ranked.tail_size.tolist() == [0, 1]
    assert metrics.evaluate(ranked, [2], min_grade=1)["recall_2"].tolist() == pytest.approx([1 / 2, 2 / 3])


def test_given_scores_and_vectors_name_the_same_rows() -> None:
    rng = np.random.default_rng(4)
    queries, docs, judged = unit(rng, 10, 16), unit(rng, 500, 16), drawn(rng, 10, 500)
    docs[40:60] = docs[7]  # equal scores stand by ascending row on both paths
    ours = ranking.rank(queries, docs, judged, depth=50, chunk=100)
    theirs = by_sorting(queries, docs, judged, 50)
    assert ours.rows is not None
    assert theirs.rows is not None
    assert ours.rows.tolist() == theirs.rows.tolist()
    assert ours.scores.tobytes() == theirs.scores.tobytes()
    assert ours.grades.tolist() == theirs.grades.tolist()
    assert ranking.rank_constant(500, judged, depth=50).rows is None


@pytest.mark.parametrize("seed", range(4))
def test_long_vectors_are_ranked_as_their_exact_scores_say(seed: int) -> None:
    # scores of some thousands, which float32 products misplace by far more than those of unit vectors
    rng = np.random.default_rng(seed)
    docs = (60 * unit(rng, 1, 48) + 1e-5 * rng.normal(size=(3000, 48))).astype(np.float32)
    queries, judged = 60 * unit(rng, 5, 48), drawn(rng, 5, 3000)
    ours = ranking.rank(queries, docs, judged, depth=20, chunk=500)
    theirs = by_sorting(queries, docs, judged, 20)
    assert ours.scores == pytest.approx(theirs.scores, rel=1e-7)
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()


def test_a_document_that_the_products_misplaced_by_far_is_found_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settled: list[int] = []
    settle = exact.settle
    monkeypatch.setattr(exact, "settle", lambda *some: settled.append(len(some[0])) or settle(*some))
    rng = np.random.default_rng(0)
    docs = (3000 * unit(rng, 1, 48) + 1e-4 * rng.normal(size=(3000, 48))).astype(np.float32)
    queries, judged = 3000 * unit(rng, 30, 48), drawn(rng, 30, 3000)
    ours = ranking.rank(queries, docs, judged, depth=20, chunk=500)
    theirs = by_sorting(queries, docs, judged, 20)
    assert settled  # else this shows nothing
    assert ours.scores == pytest.approx(theirs.scores, rel=1e-7)
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()


def test_query_rows_are_the_distinct_ones_in_ascending_order() -> None:
    assert ranking.query_rows(judgements((9, 0, 1), (2, 1, 1), (9, 3, 0))).tolist() == [2, 9]


def test_vectors_that_do_not_fit_the_judgements_are_refused() -> None:
    queries, docs = line(0.1, 0.2)
    with pytest.raises(ValueError, match="got 1 rows, want 2"):
        ranking.rank(queries, docs, judgements((0, 0, 1), (1, 0, 1)), depth=1, chunk=1)
    with pytest.raises(ValueError, match="document row 2, want below 2"):
        ranking.rank(queries, docs, judgements((0, 2, 1)), depth=1, chunk=1)


def test_scores_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="document row 1"):
        ranking.rank_scores([np.array([0.1, np.nan])], judgements((0, 0, 1)), depth=1)


def test_scores_that_do_not_fit_the_judgements_are_refused() -> None:
    with pytest.raises(ValueError, match="got 1 rows, want 2"):
        ranking.rank_scores([np.array([0.1])], judgements((0, 0, 1), (1, 0, 1)), depth=1)
    with pytest.raises(ValueError, match="got 1 documents, want 5 or more"):
        ranking.rank_scores([np.array([0.1])], judgements((0, 4, 1)), depth=1)


def test_documents_judged_not_relevant_take_no_room() -> None:
    # 5,000 of them for one of 2,000 queries: a column for each would be 80 MB
    judged = judgements(*((0, doc, 0) for doc in range(1, 5_000)), *((query, 0, 1) for query in range(2_000)))
    ranked = ranking.rank_constant(5_000, judged, depth=3)
    assert ranked.judged.shape == (2_000, 1)
    assert ranking.packed(np.array([0, 2, 2, 2]), np.array([-1, 0, 3, 2]), 3).tolist() == [
        [0, 0],
        [0, 0],
        [3, 2],
    ]
