import pytest
from board_case import history, row
from hypothesis import given
from hypothesis import strategies as st

from twotower.evaluation import cost
from twotower.evaluation.row import Row


def priced(mrr: float, **costs: float) -> Row:
    return row("x", mrr, cost=costs)


def marks(rows: list[Row], name: str = "seconds") -> list[bool]:
    return [name in one for one in cost.pareto(rows, "mrr_10")]


def test_a_row_is_marked_where_none_is_better_and_cheaper() -> None:
    rows = [priced(0.30, seconds=90), priced(0.28, seconds=12), priced(0.27, seconds=40)]
    assert marks(rows) == [True, True, False]


def test_of_pairs_a_second_the_more_the_better() -> None:
    rows = [
        priced(0.30, pairs_per_second=10),
        priced(0.28, pairs_per_second=99),
        priced(0.27, pairs_per_second=50),
    ]
    assert marks(rows, "pairs_per_second") == [True, True, False]


def test_equal_rows_are_marked_both_and_equally_good_ones_by_their_price() -> None:
    assert marks([priced(0.3, seconds=9), priced(0.3, seconds=9)]) == [True, True]
    assert marks([priced(0.3, seconds=9), priced(0.3, seconds=8)]) == [False, True]


def test_a_cost_that_one_row_has_marks_nothing() -> None:
    assert cost.pareto([priced(0.3, seconds=9), priced(0.2)], "mrr_10") == [[], []]


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=8))
def test_marks_are_those_that_nothing_dominates(points: list[tuple[int, int]]) -> None:
    rows = [priced(float(quality), seconds=float(price)) for quality, price in points]
    free = [
        not any(q >= quality and p <= price and (q, p) != (quality, price) for q, p in points)
        for quality, price in points
    ]
    assert marks(rows) == free


def test_seconds_of_a_curve_run_on_and_what_is_no_history_is_empty() -> None:
    content = {"training_stats": history((0, 0.1), (5, 0.3), (7, 0.2))}
    assert [(one["epoch"], one["seconds"], one["mrr_10"]) for one in cost.curve(content)] == [
        (0, 0.0, 0.1),
        (1, 5.0, 0.3),
        (2, 12.0, 0.2),
    ]
    assert "train_loss" in cost.curve(content)[1]
    assert (
        cost.curve({})
        == cost.curve({"training_stats": {"training_stats": "x", "evaluation_stats": [1]}})
        == []
    )


@pytest.mark.parametrize(("seconds", "best"), [(0, 0.1), (4.9, 0.1), (5, 0.3), (100, 0.3)])
def test_after_some_seconds_the_best_so_far_counts(seconds: float, best: float) -> None:
    own = row("a", own=True, content={"training_stats": history((0, 0.1), (5, 0.3), (7, 0.2))})
    assert cost.best_after(own, "mrr_10", seconds) == best


def test_a_history_under_another_protocol_says_nothing() -> None:
    content = {"training_stats": history((0, 0.1), (5, 0.3))}
    assert cost.best_after(row("a", content=content), "mrr_10", 10) is None
    assert cost.best_after(row("a"), "mrr_10", 10) is None


def test_after_some_seconds_seeds_are_averaged() -> None:
    seeds = [
        row("a", own=True, content={"training_stats": history((0, 0.1), (5, value))}) for value in (0.2, 0.4)
    ]
    assert cost.best_after(row("both", seeds=tuple(seeds)), "mrr_10", 10) == pytest.approx(0.3)
    assert cost.best_after(row("both", seeds=(seeds[0], row("b"))), "mrr_10", 10) is None
