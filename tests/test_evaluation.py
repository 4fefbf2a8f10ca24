import numpy as np
import pytest

from twotower.data.collection import Judgements
from twotower.evaluation import candidates
from twotower.evaluation.evaluate import evaluate, evaluate_lists

QUERIES = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8]], dtype=np.float32)
DOCS = np.array([[0.0, 1.0], [1.0, 0.0], [0.8, 0.6]], dtype=np.float32)
# query rows 2, 5 and 6 of the collection; 5 has no relevant document
JUDGED = Judgements(
    queries=np.array([2, 5, 6, 6]), docs=np.array([2, 1, 0, 1]), grades=np.array([1, 0, 2, 1], dtype=np.int32)
)


def test_means_are_over_the_judged_queries_alone() -> None:
    found = evaluate(QUERIES, DOCS, JUDGED, ks=[1, 2], min_grade=1, chunk=2)
    # query 2 ranks 1, 2, 0: its document stands second; query 6 ranks 2, 0, 1: second and third
    assert found.per_query["mrr_2"].tolist() == [1 / 2, 1 / 2]
    assert found.per_query["recall_2"].tolist() == [1, 1 / 2]
    assert found.metrics["recall_2"] == 3 / 4
    assert (found.queries, found.judged, found.query_rows.tolist()) == (3, 2, [2, 6])


def test_the_least_grade_decides_which_queries_are_judged() -> None:
    found = evaluate(QUERIES, DOCS, JUDGED, ks=[1, 2], min_grade=2, chunk=2)
    assert (found.judged, found.query_rows.tolist()) == (1, [6])


def test_cut_offs_beyond_the_corpus_are_no_error() -> None:
    found = evaluate(QUERIES, DOCS, JUDGED, ks=[1, 100], min_grade=1, chunk=100).metrics
    assert found["recall_100"] == 1
    assert found["precision_100"] == pytest.approx((1 / 100 + 2 / 100) / 2)
    assert found["mrr_100"] == found["mrr"]


def test_metrics_are_plain_floats() -> None:
    found = evaluate(QUERIES, DOCS, JUDGED, ks=[1], min_grade=1, chunk=2)
    assert {type(value) for value in found.metrics.values()} == {float}
    assert {value.dtype for value in found.per_query.values()} == {np.dtype(np.float64)}


def test_a_split_with_no_relevant_document_is_refused() -> None:
    with pytest.raises(ValueError, match="highest grade is 2; want one of at least min_grade=3") as raised:
        evaluate(QUERIES, DOCS, JUDGED, ks=[1], min_grade=3, chunk=2)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("ks", [[], [0], [1, -5]])
def test_cut_offs_below_one_are_refused(ks: list[int]) -> None:
    with pytest.raises(ValueError, match="want one or more cut-offs"):
        evaluate(QUERIES, DOCS, JUDGED, ks=ks, min_grade=1, chunk=2)


def test_each_querys_own_list_is_ranked_and_nothing_else() -> None:
    lists = candidates.judged(JUDGED)
    found = evaluate_lists(QUERIES, DOCS[lists.members], JUDGED, lists, ks=[1, 2], min_grade=2)
    # query 6 (0.6, 0.8) scores its documents 0 and 1 at 0.8 and 0.6; document 2 (0.96) is not in its list
    assert found.per_query["mrr_2"].tolist() == [1]
    assert (found.queries, found.judged, found.query_rows.tolist()) == (3, 1, [6])


def test_a_split_with_no_relevant_document_is_refused_over_lists_too() -> None:
    lists = candidates.judged(JUDGED)
    with pytest.raises(ValueError, match="want one of at least min_grade=3"):
        evaluate_lists(QUERIES, DOCS, JUDGED, lists, ks=[1], min_grade=3)
