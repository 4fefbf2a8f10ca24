"""Two systems on the same queries."""

import numpy as np
import pytest

from twotower.evaluation.side_by_side import best_rank, gaps, knobs_apart, moved, verdict


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_only_knobs_that_differ_are_named() -> None:
    assert knobs_apart({"a": 1, "b": [1]}, {"a": 1, "b": [1]}) == []
    assert knobs_apart({"a": 1}, {"b": 2}) == [("a", 1, None), ("b", None, 2)]


def test_a_gap_counts_who_is_better_on_which_query() -> None:
    a, b = np.array([1.0, 0.5, 0.0, 0.25]), np.array([1.0, 1.0, 0.5, 0.0])
    (gap,) = gaps({"mrr_10": a, "mrr": a}, {"mrr_10": b, "map_10": b}, rng(), draws=1000)
    assert (gap.metric, gap.a, gap.b, gap.difference) == ("mrr_10", 0.4375, 0.625, 0.1875)
    assert (gap.better, gap.equal, gap.worse) == (2, 1, 1)
    assert gap.low < 0 < gap.high
    assert not gap.real


def test_turned_round_every_figure_changes_its_sign_and_no_more() -> None:
    a, b = rng().random(60), rng().random(60) ** 2
    (there,) = gaps({"m": a}, {"m": b}, rng(), draws=1000)
    (back,) = gaps({"m": b}, {"m": a}, rng(), draws=1000)
    assert back.difference == -there.difference
    assert (back.low, back.high) == pytest.approx((-there.high, -there.low), abs=1e-12)
    assert (back.p, back.better, back.worse) == (there.p, there.worse, there.better)


def test_a_gap_on_every_query_is_real_and_none_at_all_is_not() -> None:
    values = rng().random(50)
    real, none = gaps({"m": values, "n": values}, {"m": values + 0.1, "n": values}, rng(), draws=1000)
    assert real.real
    assert real.difference == pytest.approx(0.1)
    assert (none.p, none.low, none.high, none.equal) == (1.0, 0.0, 0.0, 50)


def test_systems_without_a_common_metric_are_not_compared() -> None:
    with pytest.raises(ValueError, match="share no metric; evaluate both with the same k"):
        gaps({"mrr_10": np.ones(2)}, {"mrr_20": np.ones(2)}, rng(), draws=100)


def test_who_moved_most_stands_first() -> None:
    better, worse = moved(np.array([0.0, 1.0, 0.5, 0.2, 0.2]), np.array([0.1, 0.0, 0.2, 0.2, 1.0]), 2)
    assert (better.tolist(), worse.tolist()) == ([4, 0], [1, 2])


def test_the_best_rank_is_of_any_relevant_document() -> None:
    assert best_rank(np.array([7, 3, 9]), np.array([9, 3])) == 2
    assert best_rank(np.array([7, 3, -1]), np.array([5])) is None


def test_the_verdict_names_the_better_one_or_none() -> None:
    values = rng().random(50)
    (gap,) = gaps({"m": values + 0.1}, {"m": values}, rng(), draws=1000)
    said = verdict(gap, "old", "new", "M")
    assert said.startswith("old is better than new: M higher by 0.1000 (95 %: 0.1000 to 0.1000, p ")
    (gap,) = gaps({"m": values}, {"m": rng().permutation(values)}, rng(), draws=1000)
    assert "cannot be told apart" in verdict(gap, "old", "new", "M")
