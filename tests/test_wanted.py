import re

import numpy as np
import pytest

from twotower.text import wanted
from twotower.text.wanted import Wanted


def test_the_first_of_equal_words_counts_and_what_nobody_wants_is_left() -> None:
    matrix = np.arange(8, dtype=np.float64).reshape(4, 2)
    places, rows = wanted.pick(matrix, ["a", "b", "a", "c"], ["c", "a", "z"], "x")
    assert places.tolist() == [1, 0]  # in the order of the table
    assert rows.tolist() == [[0, 1], [6, 7]]
    assert (places.dtype, rows.dtype) == (np.int64, np.float32)


def test_room_grows_with_the_rows_that_are_found() -> None:
    words = [str(number) for number in range(5000)]
    found = Wanted(words, 1)
    for number, word in enumerate(words):
        place = found.place(word.encode())
        assert place == number
        found.add(place, np.array([number]), "")
        assert found.place(word.encode()) is None
    assert found.result()[1][:, 0].tolist() == list(range(5000))


def test_no_word_is_no_row() -> None:
    places, rows = Wanted([], 3).result()
    assert (places.shape, rows.shape) == ((0,), (0, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e39])
def test_a_number_that_is_not_finite_is_named_with_its_row(bad: float) -> None:
    matrix = np.array([[1, 2], [3, bad]])
    with pytest.raises(ValueError, match=re.escape(f"f: row 2, 'b': {bad} among the numbers, want finite")):
        wanted.pick(matrix, ["a", "b"], ["b"], "f")
    assert wanted.pick(matrix, ["a", "b"], ["a"], "f")[1].tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("matrix", "says"),
    [
        (np.zeros(3), "3 of float64, want a matrix"),
        (np.zeros(()), "one number of float64, want a matrix"),
        (np.zeros((2, 2), dtype="U3"), "2x2 of <U3, want a matrix of numbers"),
        (np.zeros((2, 2), dtype=complex), "of complex128, want a matrix of numbers"),
        (np.zeros((2, 0)), "rows of 0 numbers, want 1 to 65,536"),
        (np.zeros((3, 1)), "3 rows, want 2, the words of here"),
    ],
)
def test_a_matrix_that_does_not_fit_its_words_is_named(matrix: np.ndarray, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(f"f: {says}" if says[0].isdigit() else says)):
        wanted.check_matrix(matrix, 2, "f", "here")


def test_words_that_are_not_utf8_are_no_words() -> None:
    assert wanted.decoded("né".encode()) == "né"
    assert wanted.decoded(b"\xff") is None
    assert wanted.decoded("\ufffd".encode()) is None
    assert wanted.encoded("\ud800") == b"\xed\xa0\x80"
