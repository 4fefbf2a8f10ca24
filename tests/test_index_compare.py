import math
from pathlib import Path

import ir_measures
import numpy as np
import pytest
from search_case import encode, index_of

from twotower.evaluation import index_compare
from twotower.evaluation.index_compare import Questions
from twotower.search.finding import Options
from twotower.search.searcher import Searcher

TEXTS = {"a": "csv", "b": "csv file", "c": "matrix", "d": "file"}
OTHERS = {"a": "file", "b": "csv file", "c": "csv", "e": "matrix matrix file"}
MANIFEST = {
    "checkpoint": {"run": "one"},
    "storage": "float32",
    "recall": 1.0,
    "files": {"x": [2_000_000, 0]},
    "corpus": "c",
}


def searcher(texts: dict[str, str], folder: Path) -> Searcher:
    folder.mkdir()
    made = Searcher(index_of(texts, ("",) * len(texts), folder, **MANIFEST), encode, "cpu")
    (folder / "queries.json").write_text("[]")
    return made


@pytest.fixture
def both(tmp_path: Path) -> tuple[Searcher, Searcher]:
    return searcher(TEXTS, tmp_path / "one"), searcher(OTHERS, tmp_path / "two")


def compared(both: tuple[Searcher, Searcher], asked: Questions, metric: str = "mrr_10"):
    rng = np.random.default_rng(0)
    return index_compare.compare(("old", both[0]), ("new", both[1]), asked, metric, rng)


def test_overlap_by_hand(both: tuple[Searcher, Searcher]) -> None:
    found = compared(both, Questions(["csv", "matrix"]))
    assert found.overlap == 3 / 4  # a, b and c of four each
    assert found.identical == 0.0
    assert found.gap is None
    alone = compared((both[0], both[0]), Questions(["csv", "matrix"]))
    assert (alone.overlap, alone.identical) == (1.0, 1.0)


def test_the_metric_is_that_of_what_each_answers(both: tuple[Searcher, Searcher]) -> None:
    # by the old index csv is answered a, b and file d, b; by the new one c, b and a, then b
    judged = [{"a": 1}, {"d": 1}, {"nothing": 1}]
    found = compared(both, Questions(["csv", "file", "matrix"], judged))
    assert found.judged == 3
    assert found.gap is not None
    assert found.gap.a == pytest.approx((1 + 1 + 0) / 3)
    assert found.gap.b == pytest.approx(
        sum(_reciprocal(both[1], q, g) for q, g in zip(("csv", "file"), judged, strict=False)) / 3
    )
    assert found.gap.difference == pytest.approx(found.gap.b - found.gap.a)
    assert found.gap.low <= found.gap.difference <= found.gap.high


def _reciprocal(one: Searcher, query: str, grades: dict[str, int]) -> float:
    """Expected, where documents are tied."""
    hits = one.search(query, 10).hits
    relevant = [hit for hit in hits if hit.doc_id in grades]
    if not relevant:
        return 0.0
    tied = [hit.rank for hit in hits if math.isclose(hit.score, relevant[0].score, abs_tol=1e-6)]
    return float(np.mean([1 / rank for rank in tied]))


@pytest.mark.parametrize(
    ("metric", "measure"), [("mrr_10", "RR@10"), ("ndcg_10", "nDCG@10"), ("recall_3", "R@3")]
)
def test_metrics_agree_with_ir_measures(metric: str, measure: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    words = np.array(["csv", "file", "matrix"])
    # distinct mixtures, so that no two scores are tied
    texts = {f"d{i:02}": " ".join(np.repeat(words, [1 + i % 5, 1 + i // 5, 7])) for i in range(30)}
    one = searcher(texts, tmp_path / "one")
    queries = [" ".join(np.repeat(words, rng.permutation([1, 2 + i, 5]))) for i in range(8)]
    judged = [
        {f"d{i:02}": int(rng.integers(0, 3)) for i in rng.choice(30, 12, replace=False)} | {"d07": 1}
        for _ in queries
    ]
    found = compared((one, one), Questions(queries, judged), metric)
    run = {
        str(number): {hit.doc_id: hit.score for hit in one.search(query, 10, Options(merge=False)).hits}
        for number, query in enumerate(queries)
    }
    assert all(np.diff(sorted(scores.values())).min() > 1e-6 for scores in run.values())
    parsed = ir_measures.parse_measure(measure)
    want = ir_measures.calc_aggregate([parsed], {str(i): g for i, g in enumerate(judged)}, run)
    assert found.gap is not None
    assert found.gap.a == pytest.approx(want[parsed], abs=1e-6)


def test_without_queries_documents_stand_in(both: tuple[Searcher, Searcher]) -> None:
    asked = index_compare.stand_ins(both[0], np.random.default_rng(0))
    assert sorted(asked.texts) == ["csv", "csv file", "file", "matrix"]
    assert asked.what == "first words of documents"
    (both[0].index.folder / "queries.json").write_text('["csv"]')
    assert index_compare.stand_ins(both[0], np.random.default_rng(0)).texts == ["csv"]


def test_no_query_at_all_is_refused(both: tuple[Searcher, Searcher]) -> None:
    with pytest.raises(ValueError, match="no query to ask"):
        compared(both, Questions([]))


def test_what_is_shown_has_sizes_and_times(both: tuple[Searcher, Searcher]) -> None:
    found = compared(both, Questions(["csv", "file"], [{"a": 1}, {"d": 1}], "two of them"))
    table = index_compare.table(found)
    assert "2 queries (two of them)" in table.heading
    assert [row[0] for row in table.rows] == ["old", "new"]
    assert found.old.mb == 2.0
    assert 0 < found.old.p50_ms <= found.old.p95_ms
    assert "judged queries" in index_compare.verdict(found)
    assert index_compare.verdict(compared(both, Questions(["csv"]))).startswith("no judged query")
    assert found.content["gap"]["metric"] == "mrr_10"
