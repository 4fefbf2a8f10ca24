import math
import time
import tracemalloc

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
from numpy.typing import NDArray

from twotower.evaluation import statistics
from twotower.evaluation.statistics import intervals


def seeded() -> np.random.Generator:
    return np.random.default_rng(0)


def reciprocal_ranks(queries: int) -> NDArray[np.float64]:
    """As of MRR@10: half of the queries find nothing."""
    ranks = np.random.default_rng(3).geometric(0.3, size=queries)
    return np.where((ranks <= 10) & (np.arange(queries) % 2 == 0), 1 / ranks, 0.0)


def test_an_interval_equals_a_plain_loop_over_the_same_draws() -> None:
    values = seeded().random(17)
    rng = np.random.default_rng(5)
    means = sorted(float(np.mean([values[row] for row in rng.integers(17, size=17)])) for _ in range(999))
    # of 999 sorted means the 2.5 % quantile lies at 0.025 * 998 = 24.95, so nearly at the 26th
    low = means[24] + 0.95 * (means[25] - means[24])
    high = means[973] + 0.05 * (means[974] - means[973])
    got = intervals({"mrr_10": values}, np.random.default_rng(5), draws=999)
    assert got["mrr_10"] == pytest.approx((low, high), abs=1e-12)


def test_two_queries_have_three_means() -> None:
    # of 0 and 1 drawn twice: mean 0 and 1 with chance 1/4 each, so both ends of 95 % are reached
    assert intervals({"m": np.array([0.0, 1.0])}, seeded()) == {"m": (0.0, 1.0)}


def test_equal_values_have_an_interval_of_no_width() -> None:
    low, high = intervals({"m": np.full(9, 0.25)}, seeded())["m"]
    assert (low, high) == (0.25, 0.25)


def test_one_query_is_its_own_interval() -> None:
    assert intervals({"m": np.array([0.3])}, seeded())["m"] == pytest.approx((0.3, 0.3))


def test_the_same_draws_serve_every_metric() -> None:
    values = seeded().random(50)
    got = intervals({"a": values, "twice": 2 * values, "less": 1 - values}, seeded())
    low, high = got["a"]
    assert got["twice"] == pytest.approx((2 * low, 2 * high))
    assert got["less"] == pytest.approx((1 - high, 1 - low))


def test_how_many_are_drawn_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"m": seeded().random(13)}
    whole = intervals(values, seeded(), draws=1000)
    for block in (1, 13 * 7, 13 * 1000):
        monkeypatch.setattr(statistics, "BLOCK", block)
        assert intervals(values, seeded(), draws=1000)["m"] == pytest.approx(whole["m"], abs=1e-12)


def test_a_seed_decides_the_interval() -> None:
    values = {"m": seeded().random(30)}
    assert intervals(values, seeded()) == intervals(values, seeded())
    assert intervals(values, seeded()) != intervals(values, np.random.default_rng(1))


def test_the_width_is_that_of_the_normal_approximation() -> None:
    # 400 coin flips: standard error 0.5 / 20 = 0.025, interval about 2 * 1.96 * 0.025 = 0.098 wide
    flips = np.tile([0.0, 1.0], 200)
    low, high = intervals({"m": flips}, seeded())["m"]
    assert high - low == pytest.approx(0.098, abs=0.005)
    assert (low + high) / 2 == pytest.approx(0.5, abs=0.005)


def test_nineteen_of_twenty_intervals_hold_the_true_mean() -> None:
    rng = seeded()
    held = 0
    for _ in range(300):
        sample = (rng.random(200) < 0.3).astype(np.float64)
        low, high = intervals({"m": sample}, rng, draws=400)["m"]
        held += low <= 0.3 <= high
    # 95 % of 300 is 285, with a standard deviation of 3.8; the percentile bootstrap falls a little short
    assert 270 <= held <= 297


@pytest.mark.parametrize("values", [{"m": np.zeros(0)}, {}], ids=["queries", "metrics"])
def test_nothing_has_no_interval(values: dict[str, NDArray[np.float64]]) -> None:
    with pytest.raises(ValueError, match=r"intervals: got no (queries|metrics), want at least one"):
        intervals(values, seeded())


def test_agrees_with_scipy() -> None:
    values = reciprocal_ranks(540)
    theirs = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=10_000, method="percentile", random_state=np.random.default_rng(1)
    ).confidence_interval
    assert intervals({"m": values}, seeded())["m"] == pytest.approx((theirs.low, theirs.high), abs=0.002)


def test_a_further_row_changes_no_other_rows_means() -> None:
    values = seeded().random((40, 5))
    whole = statistics.bootstrap(values, seeded(), draws=300)
    for columns in ([0], [3, 1], [0, 2, 4]):
        alone = statistics.bootstrap(values[:, columns], seeded(), draws=300)
        assert alone == pytest.approx(whole[:, columns], abs=1e-12)


def test_drawn_means_of_a_sum_are_sums_of_drawn_means() -> None:
    # only if both are of the same queries in every draw
    values = seeded().random((30, 2))
    means = statistics.bootstrap(np.column_stack([values, values.sum(axis=1)]), seeded(), draws=200)
    assert means[:, 0] + means[:, 1] == pytest.approx(means[:, 2])


def test_memory_does_not_grow_with_the_draws() -> None:
    values = seeded().random((2000, 3))
    tracemalloc.start()
    statistics.bootstrap(values, seeded(), draws=3000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6  # all at once, 3000 draws of 2000 queries are 48 MB in each of four arrays


def test_a_value_that_is_missing_is_not_averaged() -> None:
    values = np.ones((4, 2))
    values[1, 1] = np.nan
    with pytest.raises(ValueError, match=r"bootstrap: 1 of 8 values are not finite"):
        statistics.bootstrap(values, seeded())
    with pytest.raises(ValueError, match=r"luck: got values of shape \(4,\), want queries and rows"):
        statistics.luck(np.ones(4), seeded())


def test_a_difference_is_narrower_than_two_intervals_where_queries_are_hard_for_both() -> None:
    hard = seeded().random(300)
    better = hard + np.random.default_rng(2).normal(0.02, 0.05, 300)
    mean, low, high = statistics.difference(better, hard, seeded())
    assert mean == pytest.approx(float((better - hard).mean()))
    # standard error 0.05 / sqrt(300) = 0.0029, where that of each mean is 0.29 / sqrt(300) = 0.017
    assert high - low == pytest.approx(2 * 1.96 * 0.05 / math.sqrt(300), rel=0.15)
    assert 0 < low < mean < high


def test_a_difference_turned_round_changes_its_sign() -> None:
    a, b = seeded().random((2, 50))
    mean, low, high = statistics.difference(a, b, seeded())
    assert statistics.difference(b, a, seeded()) == pytest.approx((-mean, -high, -low))


def test_values_closer_than_a_rounding_error_tie() -> None:
    base = np.array([0.1, 0.2, 0.3, 1.0])
    moved = base + np.array([1e-12, -1e-12, 0.2, -0.5])
    assert statistics.versus(moved, base) == statistics.Tally(wins=1, ties=2, losses=1)
    assert statistics.versus(base, moved) == statistics.Tally(wins=1, ties=2, losses=1)


@pytest.mark.parametrize("name", ["versus", "needed_queries"])
def test_values_of_unequal_queries_are_not_compared(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"{name}: got values of \(3,\) and \(1,\), want one a query of each"
    ):
        getattr(statistics, name)(np.ones(3), np.ones(1))


def test_the_queries_needed_follow_from_gap_and_noise() -> None:
    # differences of mean 0.1 and standard deviation 0.5: (1.95996 + 0.84162)^2 * 0.25 / 0.01 = 196.2
    wave = 0.5 * math.sqrt(99 / 100) * np.tile([1.0, -1.0], 50)
    assert statistics.needed_queries(0.1 + wave, np.zeros(100)) == 197
    assert statistics.needed_queries(np.zeros(100), 0.1 + wave) == 197
    # (1.95996 + 1.28155)^2 * 25 = 262.7
    assert statistics.needed_queries(0.1 + wave, np.zeros(100), power=0.9) == 263


def test_with_the_queries_needed_four_of_five_repetitions_tell_the_rows_apart() -> None:
    rng = seeded()
    change = rng.normal(0.1, 0.5, 5000)
    needed = statistics.needed_queries(change, np.zeros(5000))
    assert needed is not None
    again = rng.choice(change, size=(1000, needed))
    t = again.mean(axis=1) / again.std(axis=1, ddof=1) * math.sqrt(needed)
    # 80 % of 1000 has a standard deviation of 13
    assert np.count_nonzero(t > 1.96) == pytest.approx(800, abs=50)


def test_no_number_of_queries_tells_equals_apart() -> None:
    assert statistics.needed_queries(np.array([0.0, 1.0]), np.array([1.0, 0.0])) is None
    assert statistics.needed_queries(np.ones(1), np.zeros(1)) is None
    assert statistics.needed_queries(np.ones(9), np.zeros(9)) == 2


def test_the_best_of_twenty_coin_flippers_shows_what_the_old_board_published() -> None:
    """48 queries with ten candidates each: the mean is that of 1 / rank, H(10) / 10 = 0.293."""
    rng = seeded()
    lucks = [statistics.luck(1 / rng.integers(1, 11, size=(48, 20)), rng, draws=2000) for _ in range(20)]
    assert np.mean([luck.mean for luck in lucks]) == pytest.approx(0.293, abs=0.004)
    # variance 0.155 - 0.293^2 = 0.0692, standard error 0.038, of which 1.867: 0.364
    assert np.mean([luck.best for luck in lucks]) == pytest.approx(0.364, abs=0.006)
    assert all(0.33 < luck.best < 0.41 for luck in lucks)


def test_luck_foretells_the_best_of_equals() -> None:
    rng = seeded()
    bests = [(1 / rng.integers(1, 11, size=(100, 8))).mean(axis=0).max() for _ in range(400)]
    told = [statistics.luck(1 / rng.integers(1, 11, size=(100, 8)), rng, draws=300).best for _ in range(40)]
    assert np.mean(told) == pytest.approx(np.mean(bests), abs=0.005)


def test_luck_does_not_see_which_row_is_better() -> None:
    values = seeded().random((60, 4))
    plain = statistics.luck(values, seeded(), draws=500)
    shifted = statistics.luck(values + np.array([0.0, 0.3, 0.0, 0.0]), seeded(), draws=500)
    assert shifted.best - shifted.mean == pytest.approx(plain.best - plain.mean)
    assert shifted.mean == pytest.approx(plain.mean + 0.075)


def test_rows_that_answer_alike_gain_nothing() -> None:
    same = np.repeat(reciprocal_ranks(50)[:, None], 6, axis=1)
    luck = statistics.luck(same, seeded(), draws=500, tried=6)
    assert luck.best == luck.mean
    assert luck.tried_best == pytest.approx(luck.mean)


def test_what_was_tried_grows_the_gain_by_the_expected_maxima() -> None:
    values = seeded().random((80, 20))
    luck = statistics.luck(values, seeded(), draws=500, tried=140)
    # E_max of 140 is 2.62559, of 20 it is 1.86748 (Harter, 1961)
    assert (luck.tried_best - luck.mean) / (luck.best - luck.mean) == pytest.approx(
        2.62559 / 1.86748, abs=1e-5
    )
    for tried in (20, 3):  # the rows were tried in any case
        luck = statistics.luck(values, seeded(), draws=500, tried=tried)
        assert luck.tried_best == pytest.approx(luck.best)


def test_the_epochs_of_a_single_row_gain_by_its_standard_error() -> None:
    # 100 coin flips: standard error 0.05; the best of three: 0.8463 of it
    flips = np.tile([0.0, 1.0], 50)
    for copies in (1, 2):  # a copy is no further trial
        values = np.repeat(flips[:, None], copies, axis=1)
        luck = statistics.luck(values, seeded(), draws=100, tried=2 + copies)
        assert (luck.mean, luck.best) == (0.5, 0.5)
        assert luck.tried_best == pytest.approx(0.5 + 0.05 * 1.5 / math.sqrt(math.pi))


def test_expected_maxima_of_normals() -> None:
    root = math.sqrt(math.pi)
    # David and Nagaraja, Order Statistics, section 3.2; n = 5 by scipy's quadrature in a table, 1.16296
    exact = {1: 0, 2: 1 / root, 3: 1.5 / root, 5: 1.1629644736}
    for n, expected in exact.items():
        assert statistics.expected_maximum(n) == pytest.approx(expected, abs=1e-10)
    f = scipy.stats.norm
    for n in (20, 1000, 10**6):
        expected, _ = scipy.integrate.quad(
            lambda x, n=n: x * n * f.pdf(x) * f.cdf(x) ** (n - 1), -8, 12, limit=200
        )
        assert statistics.expected_maximum(n) == pytest.approx(expected, abs=1e-7)


@pytest.mark.bench
def test_ten_thousand_draws_over_5000_queries_and_50_rows_take_under_2_seconds() -> None:
    values = seeded().random((5000, 50))
    start = time.perf_counter()
    statistics.spread(statistics.bootstrap(values, seeded()))
    assert time.perf_counter() - start < 2
