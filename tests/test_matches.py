from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from twotower.data import near
from twotower.data.matches import NOBODY, Matches
from twotower.text.tokenize import Tokenizer

TEXTS = (
    "a b c d e",  # 0
    "A, b c: d e.",  # 1 reads as 0 does
    "e d c b a",  # 2 the same words in another order
    "a b c d e f",  # 3 shares 5 of 6 words with them
    "v w x y z",  # 4
    "",  # 5
    "?",  # 6 no word either
)


def find(sides: Mapping[str, Sequence[int]], threshold: float = 0.8) -> Matches:
    joined = near.joined([Tokenizer().tokenize(TEXTS)])
    masks = {side: np.isin(np.arange(len(TEXTS)), rows) for side, rows in sides.items()}
    return Matches.find(joined, near.word_sets(joined), masks, threshold=threshold)


@pytest.mark.parametrize(
    ("row", "side", "same", "close"),
    [
        (0, [1], 1, NOBODY),
        (0, [0, 1], 0, NOBODY),  # itself
        (0, [2], NOBODY, 2),
        (0, [3], NOBODY, 3),
        (3, [0], NOBODY, 0),
        (0, [1, 2], 1, 2),
        (0, [1, 3], 1, 3),
        (0, [4, 5, 6], NOBODY, NOBODY),
        (4, [4], 4, NOBODY),
        (5, [5, 6], NOBODY, NOBODY),
        (0, [], NOBODY, NOBODY),
    ],
)
def test_partners_are_those_of_the_other_side(row: int, side: list[int], same: int, close: int) -> None:
    partners = find({"side": side}).partners(np.array([row]), "side")
    assert (partners.same.tolist(), partners.near.tolist()) == ([same], [close])


def test_whether_a_row_is_on_the_side_itself_does_not_hide_its_reordering() -> None:
    partners = find({"all": range(7)}).partners(np.arange(7), "all")
    assert (partners.near != NOBODY).tolist() == [True, True, True, True, False, False, False]


def test_a_higher_threshold_leaves_reordered_texts_alone() -> None:
    partners = find({"all": range(7)}, threshold=0.9).partners(np.arange(7), "all")
    assert (partners.near != NOBODY).tolist() == [True, True, True, False, False, False, False]


def test_sides_are_kept_apart() -> None:
    matches = find({"left": [0], "right": [3]})
    assert matches.partners(np.array([2]), "left").near.tolist() == [0]
    assert matches.partners(np.array([2]), "right").near.tolist() == [3]
