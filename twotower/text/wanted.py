"""The rows of one vocabulary, gathered while a table of any size passes by.

    wanted = Wanted(["the", "emu"], width=2)      wanted.place(b"the") -> 0, once; then None
    wanted.result()  ->  places [0], rows [[1, 10]]

What nobody asked for is never kept, and of equal words the first counts.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.text.ragged import Rows

Matrix = NDArray[np.float32]
Numbers = NDArray[np.floating] | NDArray[np.integer]

WIDEST = 1 << 16
"""Numbers of a word vector at most; a damaged header may ask for more than there is memory."""

LARGEST = 1e15
"""Of the numbers of a vector; the squares of larger ones overflow 32 bits when they are summed."""

FIRST = 1024
"""Rows for which there is room at first."""


class Wanted:
    """Places in a list of words and the vectors found for them, (found,) and (found, E)."""

    def __init__(self, words: Sequence[str], width: int) -> None:
        self._missing: dict[bytes, int] = {}
        for place, word in enumerate(words):
            self._missing.setdefault(encoded(word), place)
        self._places: list[int] = []
        self._rows: Matrix = np.empty((min(FIRST, len(words)), width), dtype=np.float32)

    def place(self, word: bytes) -> int | None:
        """Place of `word` among those still missing, which it then no longer is; else None."""
        return self._missing.pop(word, None)

    def add(self, place: int, numbers: Numbers, where: str) -> None:
        """Keep the vector of the word at `place`; raises ValueError for a number not finite or too large."""
        fits = np.abs(numbers, dtype=np.float64) <= LARGEST  # 16 bits hold no such bound; false for NaN
        if not fits.all():
            raise not_finite(str(numbers[fits.argmin()]), where)
        count = len(self._places)
        if count == len(self._rows):
            self._rows.resize((2 * count, self._rows.shape[1]), refcheck=False)  # grows where it lies
        self._rows[count] = numbers
        self._places.append(place)

    def result(self) -> tuple[Rows, Matrix]:
        """Places and vectors, in the order of the table."""
        return np.array(self._places, dtype=np.int64), self._rows[: len(self._places)]


def pick(matrix: Numbers, names: Iterable[str], words: Sequence[str], where: object) -> tuple[Rows, Matrix]:
    """The rows of `matrix` (count, E) for `words`, where `names` are the words of its rows in order.

    Raises ValueError for a number that is not finite, with the row, from 1.
    """
    wanted = Wanted(words, matrix.shape[1])
    for row, name in enumerate(names):
        place = wanted.place(encoded(name))
        if place is not None:
            wanted.add(place, matrix[row], f"{where}: row {row + 1}, {name[:40]!r}")
    return wanted.result()


def check_matrix(matrix: Numbers, count: int, where: object, names: object) -> None:
    """Raises ValueError unless `matrix` is (`count`, E) of real numbers; `names` says where the words lie."""
    if matrix.ndim != 2 or matrix.dtype.kind not in "fiu":
        shape = "x".join(map(str, matrix.shape)) or "one number"
        raise ValueError(f"{where}: {shape} of {matrix.dtype}, want a matrix of numbers, a row for each word")
    if not 1 <= matrix.shape[1] <= WIDEST:
        raise ValueError(f"{where}: rows of {matrix.shape[1]:,} numbers, want 1 to {WIDEST:,}")
    if len(matrix) != count:
        raise ValueError(f"{where}: {len(matrix):,} rows, want {count:,}, the words of {names}")
    if not count:
        raise ValueError(f"{where}: empty, want a row for each word")


def not_finite(shown: str, where: object) -> ValueError:
    """The error for a number that no word vector can hold."""
    return ValueError(f"{where}: {shown} among the numbers, want finite ones of {LARGEST:.0e} at most")


def encoded(word: str) -> bytes:
    """`word` in UTF-8; halves of surrogate pairs too, which then match nothing."""
    return word.encode(errors="surrogatepass")


def decoded(word: bytes) -> str | None:
    """`word` as text, None where it is not UTF-8 or holds the mark of text that once was not."""
    text = word.decode(errors="replace")
    return None if "\ufffd" in text else text
