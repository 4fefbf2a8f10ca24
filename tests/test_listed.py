import itertools
from collections.abc import Mapping, Sequence

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG
from test_metrics import plain

from twotower.data.collection import Judgements
from twotower.evaluation import candidates, listed, metrics, ranking
from twotower.evaluation.candidates import Lists

KS = (1, 3, 5, 10, 20)


def judgements(pairs: Mapping[tuple[int, int], int]) -> Judgements:
    rows = np.array([(*pair, grade) for pair, grade in sorted(pairs.items())], dtype=np.int64)
    return Judgements(rows[:, 0].copy(), rows[:, 1].copy(), rows[:, 2].astype(np.int32))


def values(
    scores: np.ndarray, lists: Lists, judged: Judgements, *, ks: Sequence[int] = KS, least: int = 1
) -> dict[str, np.ndarray]:
    ranked = listed.rank_lists(scores, lists, judged, depth=max(ks))
    return dict(metrics.evaluate(ranked, ks, min_grade=least))


def test_lists_of_unequal_lengths_by_hand() -> None:
    judged = judgements({(4, 0): 0, (4, 1): 1, (4, 2): 0, (9, 5): 1, (9, 7): 0})
    ranked = listed.rank_lists(
        np.array([0.9, 0.4, 0.1, 0.2, 0.7]), candidates.judged(judged), judged, depth=10
    )
    assert ranked.scores.tolist() == [[0.9, 0.4, 0.1], [0.7, 0.2, -np.inf]]
    assert ranked.grades.tolist() == [[0, 1, 0], [0, 1, 0]]
    found = metrics.evaluate(ranked, [1, 10], min_grade=1)
    assert found["mrr_10"].tolist() == found["mrr"].tolist() == [1 / 2, 1 / 2]
    assert found["precision_10"].tolist() == [
        1 / 10,
        1 / 10,
    ]  # trec_eval divides by k, however short the list
    assert found["recall_10"].tolist() == [1, 1]


def test_a_relevant_document_that_the_list_lacks_is_missed() -> None:
    judged = judgements({(0, 1): 1, (0, 2): 1, (1, 3): 1})
    lists = Lists.of(np.array([0, 0, 1]), np.array([1, 8, 9]))
    found = values(np.array([0.5, 0.1, 0.3]), lists, judged)
    assert found["recall_10"].tolist() == [1 / 2, 0]
    assert found["mrr_10"].tolist() == [1, 0]
    # ideal: both relevant documents of query 0 at the top
    assert found["ndcg_10"][0] == pytest.approx(1 / (1 + 1 / np.log2(3)))


@settings(deadline=None, max_examples=60)
@given(
    levels=st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=6), min_size=1, max_size=3),
    seed=st.integers(0, 10_000),
    k=st.integers(1, 8),
    least=st.integers(1, 2),
)
def test_ties_equal_the_mean_over_all_orders(levels: list[list[int]], seed: int, k: int, least: int) -> None:
    rng = np.random.default_rng(seed)
    pairs = {
        (query, doc): int(rng.integers(-1, 4)) for query, row in enumerate(levels) for doc in range(len(row))
    }
    judged = judgements(pairs)
    scores = np.array(list(itertools.chain(*levels))) / 4
    found = values(scores, candidates.judged(judged), judged, ks=[k], least=least)
    for query, row in enumerate(levels):
        grades = [pairs[query, doc] for doc in range(len(row))]
        if not any(grade >= least for grade in grades):
            continue
        tied = [[g for g, level in zip(grades, row, strict=True) if level == each] for each in (3, 2, 1, 0)]
        orders = [sum(order, ()) for order in itertools.product(*map(itertools.permutations, tied))]
        whole = [plain(order, grades, k, least) for order in orders]
        for name in whole[0]:
            mean = np.mean([each[name] for each in whole])
            assert found[name][query] == pytest.approx(mean, abs=1e-12), name


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), depth=st.integers(1, 14))
def test_a_list_that_is_the_corpus_is_ranked_as_the_corpus_is(seed: int, depth: int) -> None:
    rng = np.random.default_rng(seed)
    grid = np.concatenate([np.linspace(0, 1, 4), 0.5 + 7e-7 * np.arange(3)])  # ties, and chains of them
    rows = rng.choice(grid, (5, 12))
    judged = judgements({(q, int(d)): int(rng.integers(0, 3)) for q in range(5) for d in rng.choice(12, 4)})
    everything = Lists.of(np.repeat(np.arange(5), 12), np.tile(np.arange(12), 5))
    ours = listed.rank_lists(rows.ravel(), everything, judged, depth=depth)
    theirs = ranking.rank_scores(rows, judged, depth=depth)
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()
    for least in (1, 2):
        mine, other = (metrics.evaluate(each, KS, min_grade=least) for each in (ours, theirs))
        assert all(mine[name] == pytest.approx(other[name], abs=1e-12) for name in mine)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_hundred_random_sets_of_lists_agree_with_ir_measures() -> None:
    rng = np.random.default_rng(0)
    compared = 0
    for number in range(100):
        least = 1 + number % 2
        pairs = {
            (q, int(d)): int(rng.integers(0, 4))
            for q in range(8)
            for d in rng.choice(40, rng.integers(2, 15), replace=False)
        }
        # each list holds some of the judged documents and some that nobody judged
        own = {pair for pair in pairs if rng.random() < 0.8} | {
            (q, int(rng.integers(40, 50))) for q in range(8)
        }
        queries, docs = np.array(sorted(own)).T
        scores = rng.permutation(len(own)) / len(own)
        judged = judgements(pairs)
        ours = values(scores, Lists.of(queries, docs), judged, least=least)
        theirs = {
            f"{name}_{k}": measure @ k
            for k in KS
            for name, measure in {
                "mrr": RR(rel=least), "recall": R(rel=least), "ndcg": nDCG, "map": AP(rel=least),
                "precision": P(rel=least), "success": Success(rel=least),
            }.items()
        }  # fmt: skip
        names = {measure: name for name, measure in theirs.items()}
        qrels = [ir_measures.Qrel(str(q), str(d), grade) for (q, d), grade in pairs.items()]
        run = [
            ir_measures.ScoredDoc(str(q), str(d), score)
            for (q, d), score in zip(sorted(own), scores.tolist(), strict=True)
        ]
        relevant = {q for (q, _), grade in pairs.items() if grade >= least}
        for metric in ir_measures.iter_calc(list(names), qrels, run):
            query = int(metric.query_id)
            if query in relevant:
                name = names[metric.measure]
                assert ours[name][query] == pytest.approx(metric.value, abs=1e-9), (number, name)
                compared += 1
    assert compared > 100 * 30 * 7


def test_scores_are_those_of_the_vectors() -> None:
    rng = np.random.default_rng(1)
    queries, docs = rng.normal(size=(3, 8)).astype(np.float32), rng.normal(size=(20, 8)).astype(np.float32)
    lists = Lists.of(np.array([5, 5, 6, 9, 9, 9]), np.array([3, 17, 3, 0, 17, 19]))
    found = listed.score_lists(queries, docs[lists.members], lists)
    rows = zip([0, 0, 1, 2, 2, 2], [3, 17, 3, 0, 17, 19], strict=True)
    assert found == pytest.approx([float(queries[q].astype(float) @ docs[d].astype(float)) for q, d in rows])


def test_block_size_and_document_order_change_no_bit(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    # crowded: many scores lie about epsilon apart
    base = rng.normal(size=(5, 16))
    docs = (base[rng.integers(0, 5, 60)] + 1e-6 * rng.normal(size=(60, 16))).astype(np.float32)
    queries = rng.normal(size=(6, 16)).astype(np.float32)
    pairs = {
        (q, int(d)): int(rng.integers(0, 3)) for q in range(6) for d in rng.choice(60, 9 + q, replace=False)
    }
    order = rng.permutation(60)
    row = np.argsort(order)
    made = []
    for cells, vectors, where in ((1 << 21, docs, np.arange(60)), (40, docs[order], row)):
        monkeypatch.setattr(listed.exact, "CELLS", cells)
        judged = judgements({(q, int(where[d])): grade for (q, d), grade in pairs.items()})
        lists = candidates.judged(judged)
        scores = listed.score_lists(queries, vectors[lists.members], lists)
        made.append(listed.rank_lists(scores, lists, judged, depth=7))
    ours, theirs = made
    assert ours.scores.tobytes() == theirs.scores.tobytes()
    assert ours.tail_size.tolist() == theirs.tail_size.tolist()
    mine, other = (metrics.evaluate(each, KS, min_grade=1) for each in made)
    assert all(mine[name] == pytest.approx(other[name], abs=1e-14) for name in mine)


def test_what_does_not_fit_is_refused() -> None:
    judged = judgements({(0, 1): 1, (0, 2): 0})
    lists = candidates.judged(judged)
    with pytest.raises(ValueError, match=r"scores: got \(3,\), want \(2,\), one a candidate"):
        listed.rank_lists(np.zeros(3), lists, judged, depth=1)
    with pytest.raises(ValueError, match="query row 0 and document row 2 is not finite"):
        listed.rank_lists(np.array([0.1, np.nan]), lists, judged, depth=1)
    with pytest.raises(ValueError, match="lists: of 1 queries, want those of the 2 judged"):
        listed.rank_lists(np.zeros(2), lists, judgements({(0, 1): 1, (3, 1): 1}), depth=1)
    with pytest.raises(ValueError, match="doc_vectors: got 3 rows, want 2"):
        listed.score_lists(np.ones((1, 4)), np.ones((3, 4)), lists)
