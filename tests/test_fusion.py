import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.search import fusion

scores = st.lists(st.floats(-10, 10, width=32), min_size=1, max_size=20)


def test_reciprocal_ranks_by_hand() -> None:
    found = fusion.rrf([5, 2, 9], [9, 5])
    assert found == {5: 1 / 61 + 1 / 62, 2: 1 / 62, 9: 1 / 63 + 1 / 61}


def test_one_order_stays_as_it_is() -> None:
    found = fusion.rrf([4, 1, 7], [])
    assert sorted(found, key=lambda row: -found[row]) == [4, 1, 7]


def test_weights_by_hand() -> None:
    found = fusion.weighted(np.float32([0.9, 0.5, 0.1]), np.float32([0, 10, 5]), 0.25)
    np.testing.assert_allclose(found, [0.25, 0.25 * 0.5 + 0.75, 0.75 * 0.5], atol=1e-7)


def test_equal_scores_say_nothing() -> None:
    assert fusion.weighted(np.float32([0.4, 0.4]), np.float32([0, 0]), 0.5).tolist() == [0.0, 0.0]
    assert fusion.weighted(np.float32([]), np.float32([]), 0.5).tolist() == []


@given(scores)
def test_a_weight_of_one_is_the_tower_alone_and_zero_is_bm25(values: list[float]) -> None:
    cosines = np.float32(values)
    others = np.float32(np.random.default_rng(0).permutation(len(values)))
    for weight, want in ((1.0, cosines), (0.0, others)):
        found = fusion.weighted(cosines, others, weight)
        for first, second in ((i, j) for i in range(len(values)) for j in range(len(values))):
            if want[first] > want[second]:
                assert found[first] >= found[second]
    assert found.min() >= 0
    assert found.max() <= 1 + 1e-12


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
def test_scale_and_place_of_the_scores_do_not_matter(weight: float) -> None:
    cosines, bm25 = np.float32([0.25, 0.5, 0.75]), np.float32([3, 1, 2])
    np.testing.assert_allclose(
        fusion.weighted(cosines, bm25, weight), fusion.weighted(cosines / 2 + 8, bm25 * 16, weight), atol=1e-6
    )
