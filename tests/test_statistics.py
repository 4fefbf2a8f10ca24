import numpy as np
import pytest

from twotower.evaluation import statistics
from twotower.evaluation.statistics import intervals


def seeded() -> np.random.Generator:
    return np.random.default_rng(0)


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
def test_nothing_has_no_interval(values: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]]) -> None:
    with pytest.raises(ValueError, match=r"intervals: got no (queries|metrics), want at least one"):
        intervals(values, seeded())
