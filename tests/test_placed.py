import numpy as np
import pytest

from twotower.data.collection import Judgements
from twotower.evaluation.evaluate import Result, evaluate
from twotower.evaluation.placed import Placed


def along(scores: list[list[float]]) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Query and document vectors with these inner products, (Q, N)."""
    table = np.array(scores, dtype=np.float32)
    return np.eye(len(table), dtype=np.float32), np.ascontiguousarray(table.T)


def placed(scores: list[list[float]], relevant: list[tuple[int, int, int]], depth: int = 10) -> Placed:
    queries, docs = along(scores)
    rows = np.array(relevant)
    judgements = Judgements(rows[:, 0], rows[:, 1], rows[:, 2].astype(np.int32))
    result = evaluate(queries, docs, judgements, ks=[depth], min_grade=1, chunk=100)
    return Placed.of(result, judgements, queries, docs, 1)


def test_the_rank_counts_what_is_scored_higher() -> None:
    found = placed([[0.9, 0.5, 0.7, 0.1]], [(0, 1, 1)])
    assert found.rank.tolist() == [3]
    assert found.gold.tolist() == [1]
    assert found.rivals.tolist() == [[True, True, False, False]]


def test_a_tie_is_in_its_middle() -> None:
    found = placed([[0.9, 0.5, 0.5, 0.5]], [(0, 3, 1)])
    assert found.rank.tolist() == [3]  # the mean of 2, 3 and 4
    assert found.rivals.sum() == 3


def test_a_tie_that_reaches_below_the_depth_is_counted_whole() -> None:
    found = placed([[0.5] * 100, [0.5] * 100], [(0, 99, 1), (1, 0, 1)], depth=10)
    assert found.rank.tolist() == [50.5, 50.5]


def test_of_several_relevant_documents_the_highest_counts() -> None:
    found = placed([[0.9, 0.5, 0.7, 0.8]], [(0, 1, 1), (0, 2, 2), (0, 3, 0)])
    assert (found.gold.tolist(), found.rank.tolist()) == ([2], [3])
    assert found.answers.tolist() == [[False, False, True, True]]
    assert found.rivals.tolist() == [[True, True, False, False]]


def test_below_the_depth_the_rank_is_one_more() -> None:
    assert placed([[0.9, 0.5, 0.7, 0.8]], [(0, 1, 1)], depth=2).rank.tolist() == [3]


def test_queries_without_a_relevant_document_are_left_out() -> None:
    found = placed([[0.9, 0.5], [0.9, 0.5], [0.2, 0.5]], [(0, 1, 1), (1, 0, 0), (2, 1, 1)])
    assert found.rank.tolist() == [2, 1]
    assert found.hits.tolist() == [[0, 1], [1, 0]]


def test_a_result_that_was_read_back_is_refused() -> None:
    queries, docs = along([[0.9, 0.5]])
    judgements = Judgements(np.array([0]), np.array([1]), np.array([1], dtype=np.int32))
    result = Result({}, {}, np.array([0]), 1, 1)
    with pytest.raises(ValueError, match="one with the documents it ranked"):
        Placed.of(result, judgements, queries, docs, 1)
