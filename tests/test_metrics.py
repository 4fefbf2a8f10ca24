import itertools
import time
from collections.abc import Sequence

import ir_measures
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ir_measures import AP, RR, P, R, Success, nDCG

from twotower.data.collection import Judgements
from twotower.evaluation import metrics
from twotower.evaluation.metrics import Ranking, canonical, evaluate, shown
from twotower.evaluation.ranking import rank_scores

KS = (1, 3, 5, 10, 20)


def ranking(
    scores: Sequence[float], grades: Sequence[int], judged: Sequence[int], tail: Sequence[int] = ()
) -> Ranking:
    """One query; `tail` are the grades of all documents tied with the last below the depth."""
    return Ranking(
        scores=np.array([scores], dtype=np.float64),
        grades=np.array([grades]),
        tail_size=np.array([len(tail)]),
        tail_grades=np.array([tail], dtype=np.int64).reshape(1, -1),
        judged=np.array([list(judged) or [0]]),
    )


def values(ranked: Ranking, ks: Sequence[int] = KS, min_grade: int = 1) -> dict[str, float]:
    return {name: float(value[0]) for name, value in evaluate(ranked, ks, min_grade=min_grade).items()}


def plain(order: Sequence[int], judged: Sequence[int], k: int, least: int) -> dict[str, float]:
    """The definitions, for one order of grades and no ties."""
    relevant = sum(grade >= least for grade in judged)
    hits = [i for i, grade in enumerate(order[:k]) if grade >= least]
    ideal = sorted((max(grade, 0) for grade in judged), reverse=True)
    dcg, best = (
        sum(max(g, 0) / np.log2(i + 2) for i, g in enumerate(grades[:k])) for grades in (order, ideal)
    )
    return {
        f"mrr_{k}": 1 / (hits[0] + 1) if hits else 0.0,
        f"recall_{k}": len(hits) / relevant,
        f"ndcg_{k}": dcg / best,
        f"map_{k}": sum((n + 1) / (i + 1) for n, i in enumerate(hits)) / relevant,
        f"precision_{k}": len(hits) / k,
        f"success_{k}": float(bool(hits)),
    }


def test_a_ranking_without_ties_by_hand() -> None:
    found = values(ranking([0.9, 0.8, 0.7, 0.6], [0, 2, 0, 1], [2, 1, 3]), ks=[1, 3, 4])
    assert found["mrr_1"] == found["success_1"] == found["recall_1"] == found["precision_1"] == 0
    assert found["mrr_3"] == found["mrr"] == 1 / 2
    assert (found["recall_3"], found["recall_4"]) == pytest.approx((1 / 3, 2 / 3))
    assert (found["precision_3"], found["precision_4"]) == pytest.approx((1 / 3, 2 / 4))
    # AP: (1/2 + 2/4) / 3 relevant
    assert (found["map_3"], found["map"]) == pytest.approx((1 / 6, 1 / 3))
    # DCG at 3: 2 / log2(3); ideal: 3 / log2(2) + 2 / log2(3) + 1 / log2(4)
    assert found["ndcg_3"] == pytest.approx((2 / np.log2(3)) / (3 + 2 / np.log2(3) + 0.5))


def test_a_tie_by_hand() -> None:
    # the relevant document stands at 2, 3, 4 or (in the tail) 5, each with probability 1/4
    found = values(ranking([0.9, 0.5, 0.5, 0.5], [0, 1, 0, 0], [1], tail=[0]), ks=[2, 4])
    assert (found["mrr_2"], found["mrr_4"]) == pytest.approx(((1 / 2) / 4, (1 / 2 + 1 / 3 + 1 / 4) / 4))
    assert (found["success_2"], found["recall_4"], found["precision_4"]) == pytest.approx(
        (1 / 4, 3 / 4, 3 / 16)
    )


def test_only_a_relevant_document_in_the_tail_counts_too() -> None:
    found = values(ranking([0.5], [0], [1], tail=[1, 0, 0]), ks=[1])
    assert found["mrr_1"] == found["recall_1"] == pytest.approx(1 / 4)


ORDERS = np.array(list(itertools.permutations(range(7))))


def averaged(scores: np.ndarray, grades: np.ndarray, k: int) -> dict[str, float]:
    """Means over every order of seven documents in which no document stands above one that scores higher."""
    falling = (np.diff(scores[ORDERS], axis=1) <= 0).all(axis=1)
    order = grades[ORDERS[falling]]
    relevant, place = order > 0, np.arange(1, 8)
    top, found = relevant[:, :k], relevant[:, :k].any(axis=1)
    gains = (order / np.log2(place + 1))[:, :k].sum(axis=1)
    hits = top * top.cumsum(axis=1) / place[:k]
    total = (grades > 0).sum()
    return {
        f"mrr_{k}": np.where(found, 1 / (top.argmax(axis=1) + 1), 0).mean(),
        f"recall_{k}": top.sum(axis=1).mean() / total,
        f"ndcg_{k}": gains.mean() / (-np.sort(-grades) / np.log2(place + 1))[:k].sum(),
        f"map_{k}": hits.sum(axis=1).mean() / total,
        f"precision_{k}": top.mean(axis=1).mean(),
        f"success_{k}": found.mean(),
    }


SCORERS = {
    "constant": lambda rng: np.full(7, 0.3),
    "two-valued": lambda rng: rng.permutation([0.7, *rng.choice([0.3, 0.7], 5), 0.3]),
    "random": lambda rng: rng.integers(0, 4, 7) / 4,
    "random without ties": lambda rng: rng.permutation(7) / 7,
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("scorer", SCORERS)
def test_a_hundred_problems_equal_the_mean_over_all_tie_orders(scorer: str) -> None:
    # seven documents, ranked to a depth of five: ties go on below it
    rng, ks = np.random.default_rng(0), (1, 2, 3, 5)
    problems = [(SCORERS[scorer](rng), rng.permutation([*rng.integers(0, 4, 6), 1])) for _ in range(100)]
    queries, docs = np.divmod(np.arange(700), 7)
    judged = Judgements(queries, docs, np.concatenate([grades for _, grades in problems]).astype(np.int32))
    ranked = rank_scores((scores for scores, _ in problems), judged, depth=5)
    ours = evaluate(ranked, ks, min_grade=1)
    for number, (scores, grades) in enumerate(problems):
        for name, mean in itertools.chain(*(averaged(scores, grades, k).items() for k in ks)):
            assert ours[name][number] == pytest.approx(mean, abs=1e-9), (number, name)
    if scorer == "random without ties":
        assert_agrees_with_ir_measures(ours, problems, ks)


def assert_agrees_with_ir_measures(
    ours: dict[str, np.ndarray], problems: list[tuple[np.ndarray, np.ndarray]], ks: Sequence[int]
) -> None:
    kinds = {"mrr": RR, "recall": R, "ndcg": nDCG, "map": AP, "precision": P, "success": Success}
    names = {measure @ k: f"{name}_{k}" for name, measure in kinds.items() for k in ks}
    qrels = {
        str(q): {str(d): int(grade) for d, grade in enumerate(grades)}
        for q, (_, grades) in enumerate(problems)
    }
    run = {
        str(q): {str(d): float(score) for d, score in enumerate(scores)}
        for q, (scores, _) in enumerate(problems)
    }
    compared = list(ir_measures.iter_calc(list(names), qrels, run))
    assert len(compared) == len(problems) * len(names)
    for each in compared:
        assert ours[names[each.measure]][int(each.query_id)] == pytest.approx(each.value, abs=1e-9), each


@settings(deadline=None)
@given(
    documents=st.lists(st.tuples(st.booleans(), st.integers(-1, 3)), min_size=1, max_size=6),
    missed=st.lists(st.integers(0, 3), max_size=2),
    depth=st.integers(1, 6),
    least=st.integers(1, 2),
    k=st.integers(1, 7),
)
def test_ties_equal_the_mean_over_all_orders(
    documents: list[tuple[bool, int]], missed: list[int], depth: int, least: int, k: int
) -> None:
    # each document opens a new tie or joins the one before it; `missed` are judged and scored far below
    groups: list[list[int]] = []
    for opens, grade in documents:
        groups[-1].append(grade) if groups and not opens else groups.append([grade])
    scores = [-float(i) for i, group in enumerate(groups) for _ in group]
    grades = [grade for _, grade in documents]
    judged = grades + missed
    tail = [grade for score, grade in zip(scores, grades, strict=True) if score == scores[:depth][-1]]
    tail = tail[scores[:depth].count(scores[:depth][-1]) :]
    found = values(ranking(scores[:depth], grades[:depth], judged, tail), ks=[k], min_grade=least)
    if not any(grade >= least for grade in judged):
        assert not any(found.values())
        return
    orders = [sum(order, ()) for order in itertools.product(*map(itertools.permutations, groups))]
    whole = [plain(order[:depth], judged, k, least) for order in orders]
    for name in whole[0]:
        assert found[name] == pytest.approx(np.mean([each[name] for each in whole]), abs=1e-12), name
    to_depth = [plain(order[:depth], judged, depth, least) for order in orders]
    for name in ("mrr", "map"):
        mean = np.mean([each[f"{name}_{depth}"] for each in to_depth])
        assert found[name] == pytest.approx(mean, abs=1e-12)


def test_ties_chain_and_wider_gaps_part() -> None:
    # 0.6e-6 apart: one tie of three, though its ends are 1.2e-6 apart
    near = values(ranking([0.5, 0.5 - 6e-7, 0.5 - 12e-7], [1, 0, 0], [1]), ks=[1])
    assert near["mrr_1"] == pytest.approx(1 / 3)
    far = values(ranking([0.5, 0.5 - 2e-6, 0.5 - 4e-6], [1, 0, 0], [1]), ks=[1])
    assert far["mrr_1"] == 1


@settings(deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_within_a_tie_changes_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    scores = -np.sort(rng.integers(0, 4, 12).astype(np.float64))
    grades = rng.integers(0, 3, 12)
    shuffled = rng.permutation(12)
    shuffled = shuffled[np.argsort(-scores[shuffled], kind="stable")]
    ours, theirs = (values(ranking(scores, grades[order], grades)) for order in (np.arange(12), shuffled))
    assert ours == pytest.approx(theirs, abs=1e-12)


@settings(deadline=None)
@given(
    grades=st.lists(st.integers(0, 3), min_size=1, max_size=30),
    scores=st.lists(st.integers(0, 9), min_size=30, max_size=30),
)
def test_values_stay_in_range_and_grow_with_k(grades: list[int], scores: list[int]) -> None:
    ordered = sorted(scores[: len(grades)], reverse=True)
    found = values(ranking(ordered, grades, grades), ks=range(1, 31))
    assert all(-1e-12 <= value <= 1 + 1e-12 for value in found.values())
    for name in ("mrr", "recall", "map", "success"):
        curve = [found[f"{name}_{k}"] for k in range(1, 31)]
        assert all(later >= earlier - 1e-12 for earlier, later in itertools.pairwise(curve))
    assert found["mrr_1"] == pytest.approx(found["success_1"]) == pytest.approx(found["precision_1"])


def random_run(rng: np.random.Generator) -> tuple[dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    """Graded qrels and a run without ties, in which queries are missing and rankings are short."""
    docs = [f"d{i}" for i in range(30)]
    qrels = {
        f"q{i}": {
            str(d): int(rng.integers(0, 4)) for d in rng.choice(docs, rng.integers(1, 12), replace=False)
        }
        for i in range(8)
    }
    run = {}
    for query in qrels:
        if rng.random() < 0.8:
            found = rng.choice(docs, rng.integers(1, 26), replace=False)
            run[query] = dict(zip(map(str, found), rng.permutation(len(found)) / 30.0, strict=True))
    return qrels, run


def ranking_of(qrels: dict[str, dict[str, int]], run: dict[str, dict[str, float]], depth: int) -> Ranking:
    scores, grades = np.full((len(qrels), depth), -np.inf), np.zeros((len(qrels), depth), dtype=np.int64)
    judged = np.zeros((len(qrels), max(map(len, qrels.values()))), dtype=np.int64)
    for i, (query, known) in enumerate(qrels.items()):
        judged[i, : len(known)] = list(known.values())
        best = sorted(run.get(query, {}).items(), key=lambda item: -item[1])
        for place, (doc, score) in enumerate(best):
            scores[i, place], grades[i, place] = score, known.get(doc, 0)
    none = np.zeros((len(qrels), 0), dtype=np.int64)
    return Ranking(scores, grades, np.zeros(len(qrels), dtype=np.int64), none, judged)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_two_hundred_random_runs_agree_with_ir_measures() -> None:
    rng = np.random.default_rng(0)
    compared = 0
    for number in range(200):
        qrels, run = random_run(rng)
        least = 1 + number % 2
        theirs = {"mrr": RR(rel=least), "map": AP(rel=least)}
        for k in KS:
            theirs |= {
                f"mrr_{k}": RR(rel=least) @ k,
                f"recall_{k}": R(rel=least) @ k,
                f"ndcg_{k}": nDCG @ k,
                f"map_{k}": AP(rel=least) @ k,
                f"precision_{k}": P(rel=least) @ k,
                f"success_{k}": Success(rel=least) @ k,
            }
        names = {measure: name for name, measure in theirs.items()}
        ours = evaluate(ranking_of(qrels, run, 26), KS, min_grade=least)
        assert ours.keys() == theirs.keys()
        rows = {query: i for i, query in enumerate(qrels)}
        expected = {name: np.zeros(len(qrels)) for name in theirs}
        for metric in ir_measures.iter_calc(list(names), qrels, run):
            expected[names[metric.measure]][rows[metric.query_id]] = metric.value
        kept = [max(known.values()) >= least for known in qrels.values()]
        for name, value in ours.items():
            assert value[kept] == pytest.approx(expected[name][kept], abs=1e-9), (number, name)
            compared += sum(kept)
    assert compared > 200 * 30 * 5


def test_more_queries_than_a_block_are_scored_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(3)
    ranked = ranking_of(*random_run(rng), 26)
    whole = evaluate(ranked, KS, min_grade=1)
    monkeypatch.setattr(metrics, "QUERIES", 3)
    assert {name: value.tolist() for name, value in evaluate(ranked, KS, min_grade=1).items()} == {
        name: value.tolist() for name, value in whole.items()
    }


def test_a_query_without_hits_scores_zero() -> None:
    assert not any(values(ranking([-np.inf, -np.inf], [0, 0], [1])).values())


def test_a_query_without_relevant_documents_scores_zero() -> None:
    assert not any(values(ranking([0.5, 0.4], [1, 0], [1]), min_grade=2).values())


def test_a_cut_off_beyond_the_depth_finds_nothing_there() -> None:
    found = values(ranking([0.5, 0.4], [0, 1], [1]), ks=[2, 50])
    assert found["mrr_50"] == found["mrr_2"] == 0.5
    assert found["precision_50"] == 1 / 50


def test_ndcg_counts_grades_below_the_least_one() -> None:
    assert values(ranking([0.5, 0.4], [1, 2], [1, 2]), ks=[1], min_grade=2)["ndcg_1"] == 0.5


@pytest.mark.parametrize(("ks", "least"), [([], 1), ([0], 1), ([5], 0)])
def test_cut_offs_and_grades_below_one_are_refused(ks: list[int], least: int) -> None:
    with pytest.raises(ValueError, match=r"want .*at least 1"):
        evaluate(ranking([0.5], [1], [1]), ks, min_grade=least)


@pytest.mark.parametrize(
    ("name", "stored"),
    [("mrr_10", "mrr_10"), ("accuracy_3", "success_3"), ("hit_rate_100", "success_100"), ("map", "map")],
)
def test_each_metric_has_one_stored_name(name: str, stored: str) -> None:
    assert canonical(name) == stored


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("mmr_10", "mrr_10"),
        ("recal_5", "recall_5"),
        ("ndcg", "ndcg_10"),
        ("mrr@10", "mrr_10"),
        ("mrr_0", "mrr_10"),
        ("hitrate_5", "hit_rate_5"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_nearest(name: str, nearest: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}': unknown, did you mean '{nearest}'") as raised:
        canonical(name)
    assert "\n" not in str(raised.value)


def test_metrics_are_shown_as_people_write_them() -> None:
    assert [shown(name) for name in ("mrr_10", "ndcg_3", "accuracy_1", "map")] == [
        "MRR@10",
        "nDCG@3",
        "Success@1",
        "MAP",
    ]


@pytest.mark.bench
def test_five_thousand_queries_to_depth_100_take_under_three_tenths_of_a_second() -> None:
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.random((5000, 100)), axis=1)
    grades = (rng.random((5000, 100)) < 0.02).astype(np.int64)
    none = np.zeros((5000, 0), dtype=np.int64)
    ranked = metrics.Ranking(
        scores, grades, np.zeros(5000, dtype=np.int64), none, np.ones((5000, 3), np.int64)
    )
    start = time.perf_counter()
    evaluate(ranked, [1, 3, 5, 10, 20, 50, 100], min_grade=1)
    assert time.perf_counter() - start < 0.3
