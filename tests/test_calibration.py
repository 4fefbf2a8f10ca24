import numpy as np
import pytest
from scipy import stats

from twotower.search import calibration


def vectors(rows: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, 16)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_a_percentile_is_the_share_of_random_pairs_below() -> None:
    queries, docs = vectors(50, 0), vectors(400, 1)
    kept = calibration.quantiles(queries, docs, np.random.default_rng(0))
    scores = (queries @ docs.T).ravel()
    for score in (-0.3, 0.0, 0.2, 0.5):
        found = calibration.percentile(kept, score)
        assert found == pytest.approx(stats.percentileofscore(scores, score), abs=1.0)
    assert kept == sorted(kept)
    assert calibration.percentile(kept, 1.1) == 100.0
    assert calibration.percentile(kept, -1.1) == 0.0


def test_one_generator_decides() -> None:
    queries, docs = vectors(5, 0), vectors(9, 1)
    one, same, other = (calibration.quantiles(queries, docs, np.random.default_rng(s)) for s in (0, 0, 1))
    assert one == same != other


def test_quantiles_of_something_else_are_refused() -> None:
    with pytest.raises(ValueError, match="quantiles: got 2 of them, want 107"):
        calibration.percentile([0.0, 1.0], 0.5)
