import numpy as np
import pytest

from twotower.evaluation.legacy_results import history, named, results, tidy


@pytest.mark.parametrize(
    ("older", "ours"),
    [
        ("MRR", "mrr"),
        ("mrr", "mrr"),
        ("MRR@10", "mrr_10"),
        ("eval_recall@10", "recall_10"),
        ("Recall@10", "recall_10"),
        ("val/NDCG@5", "ndcg_5"),
        ("hit_rate@3", "success_3"),
        ("num_queries", "queries"),
        ("loss", ""),
        ("recall", ""),  # without a cut-off it is no metric
        ("MRR@0", ""),
    ],
)
def test_an_older_name_means_one_of_ours_or_none(older: str, ours: str) -> None:
    assert named(older) == ours


def test_a_full_evaluation_is_kept_and_what_is_no_metric_is_named() -> None:
    found = results(
        "eval_results", {"MRR": 0.4, "Recall@10": 1.0, "loss": 0.7, "evaluation_type": "full_eval"}
    )
    assert found.metrics == {"mrr": 0.4, "recall_10": 1.0}
    assert found.dropped == ["eval_results: dropped, no metric of ours: loss"]


def test_another_evaluation_is_dropped_with_a_line() -> None:
    found = results("eval_results", {"MRR": 0.9, "evaluation_type": "quick"})
    assert found.metrics == {}
    assert found.dropped == ["eval_results: dropped, evaluation_type is 'quick', want 'full_eval'"]


def test_results_of_no_type_are_kept_with_a_line() -> None:
    found = results("eval_results", {"MRR": 0.4})
    assert found.metrics == {"mrr": 0.4}
    assert found.dropped == ["eval_results: kept, though no evaluation_type says that it is a full_eval"]


def test_a_metric_that_is_no_number_is_dropped() -> None:
    found = results("eval_results", {"MRR": float("nan"), "MRR@10": "0.4", "evaluation_type": "full_eval"})
    assert found.metrics == {}
    assert found.dropped == ["eval_results: dropped, no metric of ours: MRR, MRR@10"]


def test_no_results_are_no_results() -> None:
    assert [results("x", nothing).metrics for nothing in (None, {}, 3, [])] == [{}] * 4


def test_the_history_beside_the_file_goes_before_its_own() -> None:
    own = {"training_stats": [{"epoch": 1}], "evaluation_stats": [{"epoch": 1, "MRR": 0.1}]}
    beside = {
        "training_stats": [],
        "evaluation_stats": [
            {"epoch": 1, "MRR@10": 0.2, "evaluation_type": "full_eval"},
            {"epoch": 2, "MRR@10": 0.9, "evaluation_type": "sample"},
        ],
    }
    rows, lines = history(own, beside)
    assert rows["training_stats"] == [{"epoch": 1}]
    assert rows["evaluation_stats"] == [{"epoch": 1, "mrr_10": 0.2, "evaluation_type": "full_eval"}]
    assert lines == ["history: 1 evaluations dropped, evaluation_type is not 'full_eval'"]


def test_a_list_is_the_training_rows() -> None:
    rows, lines = history([{"epoch": 1, "train_loss": float("inf")}], None)
    assert rows == {"training_stats": [{"epoch": 1, "train_loss": None}], "evaluation_stats": []}
    assert lines == []


def test_a_long_array_is_left_out_and_a_short_one_written() -> None:
    assert tidy({"a": np.ones(2), "b": np.ones(21), "c": np.float64(2.5), "d": len}) == {
        "a": [1.0, 1.0],
        "b": None,
        "c": 2.5,
        "d": str(len),
    }
