import pytest

from twotower.training.history import best, drops, exhausted


def rows(*values: float | None) -> list[dict[str, float]]:
    """History whose metric is `values`; None: not evaluated."""
    return [{"epoch": place} | ({} if v is None else {"m": v}) for place, v in enumerate(values)]


@pytest.mark.parametrize(
    ("values", "place"),
    [
        ((0.1, 0.3, 0.2), 1),
        ((0.3, 0.2, 0.1), 0),
        ((0.0, 0.0, 0.0), 0),
        ((0.1, 0.3, 0.3), 1),
        ((None, 0.0, None), 1),
        ((-1.0, -0.5), 1),
        ((None, None), None),
        ((), None),
    ],
)
def test_the_best_row_is_the_first_of_the_highest(
    values: tuple[float | None, ...], place: int | None
) -> None:
    assert best(rows(*values), "m") == place


@pytest.mark.parametrize(
    ("values", "patience", "ends"),
    [
        ((0.1, 0.2, 0.1), 1, True),
        ((0.1, 0.2, 0.1), 2, False),
        ((0.1, 0.2, 0.2, 0.2), 2, True),  # equal is not better
        ((0.0, 0.0, 0.0), 2, True),
        ((0.2, None, None, 0.1), 2, False),  # patience counts evaluations, not epochs
        ((0.2, None, 0.1, 0.1), 2, True),
        ((0.3, 0.2, 0.1), 0, False),
        ((None, None), 1, False),
        ((), 1, False),
    ],
)
def test_patience_counts_evaluations_without_a_better_one(
    values: tuple[float | None, ...], patience: int, ends: bool
) -> None:
    assert exhausted(rows(*values), "m", patience) is ends


@pytest.mark.parametrize(
    ("values", "patience", "times"),
    [
        ((0.1, 0.2, 0.1), 1, 1),
        ((0.1, 0.2, 0.1), 2, 0),
        ((0.0, 0.0, 0.0, 0.0), 1, 3),  # equal is not better
        ((0.3, 0.2, 0.1, 0.1, 0.1), 2, 2),  # the count starts anew
        ((0.3, 0.2, 0.4, 0.1, 0.1), 2, 1),  # and with something better
        ((0.3, None, 0.2, None), 1, 1),  # epochs without an evaluation do not count
        ((0.3, 0.1, 0.2), 1, 2),  # 0.2 is better than 0.1 and no better than the best
        ((), 1, 0),
    ],
)
def test_drops_count_runs_of_evaluations_without_a_better_one(
    values: tuple[float | None, ...], patience: int, times: int
) -> None:
    assert drops(rows(*values), "m", patience) == times
