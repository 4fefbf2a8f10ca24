from pathlib import Path

import numpy as np
import pytest
from board_case import ids, keep, row, scores

from twotower.evaluation import results
from twotower.evaluation.row import measured_row, numbers, per_query, ranked


def test_values_are_read_with_their_queries(tmp_path: Path) -> None:
    found = per_query(keep(tmp_path, "a", scores(0.3)), "mrr_10", 0.3)
    np.testing.assert_array_equal(found["values"], scores(0.3))
    np.testing.assert_array_equal(found["ids"], ids(540))


def test_no_file_is_no_problem(tmp_path: Path) -> None:
    assert per_query(tmp_path / "none.npz", "mrr_10", 0.3) == {}


def test_a_damaged_file_is_one(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"PK and no more")
    assert "a.npz" in per_query(tmp_path / "a.npz", "mrr_10", 0.3)["problem"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (scores(0.4), "their mean is 0.4000, not 0.3000"),
        (np.full(540, np.nan), "their mean is nan"),
        (scores(0.3)[:7], "not one value a query"),
        (np.zeros((540, 1)), "not one value a query"),
    ],
)
def test_values_of_something_else_are_one(tmp_path: Path, values: np.ndarray, said: str) -> None:
    np.savez(tmp_path / "a.npz", query_ids=ids(540), mrr_10=values)
    problem = per_query(tmp_path / "a.npz", "mrr_10", 0.3)["problem"]
    assert problem.startswith("a.npz: per-query values of another evaluation")
    assert said in problem


def test_a_row_of_a_kept_evaluation_has_its_values_if_it_has_the_metric(tmp_path: Path) -> None:
    path = keep(tmp_path, "minilm", scores(0.3), cost={"docs_per_second": 9.0})
    made = measured_row(path, results.read(path), "mrr_10")
    assert (made.name, made.kind, made.cost) == ("minilm", "run", {"docs_per_second": 9.0})
    assert made.values is not None
    assert measured_row(path, results.read(path), "ndcg_10").values is None


def test_numbers_are_what_can_be_counted_with() -> None:
    stored = {"a": 1, "b": 0.5, "c": "1", "d": None, "e": True, "f": float("nan"), "g": float("inf")}
    assert numbers(stored) == {"a": 1, "b": 0.5}


def test_rows_are_ranked_best_first_and_of_equals_the_earlier() -> None:
    rows = [
        row("late", 0.3, more={"created": "2"}),
        row("without", metrics={}),
        row("early", 0.3, more={"created": "1"}),
        row("best", 0.4),
    ]
    assert [one.name for one in ranked(rows, "mrr_10")] == ["best", "early", "late", "without"]
