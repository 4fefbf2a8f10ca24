"""Word2vec's binary tables, read for the rows of one vocabulary alone.

    b"2 3\\n" b"the " <12 bytes> b"\\n" b"cat " <12 bytes> b"\\n"     the line feeds are there, or not

A header in text: words, numbers of each; then each word, a space, and its numbers as float32, little-endian.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from twotower.text import streams
from twotower.text.glove import checked, header
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import Matrix, Wanted, decoded

HEADER = 100
"""Bytes among which the header ends."""
LONGEST = 4096
"""Bytes of a word at most."""

FASTTEXT = (793_712_314).to_bytes(4, "little")
"""First bytes of fastText's own models."""

TEXT = bytes({*range(0x20, 0x7F), *range(0x80, 0x100), *b"\t\n\r"})
"""Bytes that a text may hold."""


def is_binary(start: bytes) -> bool:
    """Whether a file that starts so, after a header, goes on in binary.

    Numbers in binary do not read as numbers, and hold control characters or are not UTF-8.
    """
    first, _, rest = start.partition(b"\n")
    head = header(first)
    if head is None:
        return False
    numbers = rest.lstrip(b"\n").partition(b" ")[2][: 4 * head[1]]
    line = numbers.partition(b"\n")[0].split()[:-1]  # the last may be cut
    if line and all(_is_number(field) for field in line):
        return False
    return bool(numbers.translate(None, TEXT)) or not _is_utf8(numbers)


def words_of(place: Place) -> Iterator[str]:
    """The words of a table in its order; those that are not UTF-8 are left out."""
    for _, name, _ in _records(place):
        word = decoded(name)
        if word is not None:
            yield word


def rows_of(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); equal words: the first.

    Raises ValueError for a header, a word or a number that cannot be, and for a file that is cut short or
    goes on, with the byte; OSError where the file cannot be read.
    """
    wanted: Wanted | None = None
    for number, name, vector in _records(place):
        if wanted is None:
            wanted = Wanted(words, len(vector) // 4)
        where = wanted.place(name)
        if where is not None:
            shown = name[:40].decode(errors="replace")
            wanted.add(where, np.frombuffer(vector, "<f4"), f"{place}: word {number:,}, {shown!r}")
    assert wanted is not None  # a table of no words is an error
    return wanted.result()


def _records(place: Place) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, from 1, word and vector, both in bytes, of each record."""
    window = _Window(place)
    count, width = checked(header(window.until(b"\n", HEADER, "a header")) or (0, 0), place)
    for number in range(1, count + 1):
        what = f"word {number:,} of {count:,}"
        yield number, window.until(b" ", LONGEST, what).lstrip(b"\n"), window.take(4 * width, what)
    while window.reach(1):
        if window.take(1, "") != b"\n":
            raise ValueError(
                f"{place}: byte {window.position - 1:,}: goes on after the {count:,} words of its header"
            )


class _Window:
    """A cursor in a stream, which holds a block or two of it."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._blocks = streams.blocks(place)
        self._buffer = b""
        self._at = 0
        self._before = 0

    @property
    def position(self) -> int:
        """Bytes before the cursor."""
        return self._before + self._at

    def reach(self, count: int) -> bool:
        """Whether `count` more bytes are there; they are in the window then."""
        while len(self._buffer) - self._at < count:
            block = next(self._blocks, b"")
            if not block:
                return False
            self._buffer = self._buffer[self._at :] + block
            self._before += self._at
            self._at = 0
        return True

    def take(self, count: int, what: str) -> bytes:
        """The next `count` bytes; raises ValueError with the byte where the stream ends within `what`."""
        if not self.reach(count):
            end = self._before + len(self._buffer)
            raise ValueError(f"{self._place}: byte {end:,}: ends in {what}; the file is cut short")
        start, self._at = self._at, self._at + count
        return self._buffer[start : self._at]

    def until(self, mark: bytes, limit: int, what: str) -> bytes:
        """The bytes before `mark`, which is passed over; raises ValueError beyond `limit`, as `take`."""
        end = self._buffer.find(mark, self._at, self._at + limit)
        if end < 0:
            whole = self.reach(limit)
            end = self._buffer.find(mark, self._at, self._at + limit)
            if end < 0 and whole:
                raise ValueError(
                    f"{self._place}: byte {self.position:,}: no end of {what} within {limit:,} bytes; "
                    "damaged, or not word2vec's binary"
                )
            if end < 0:
                self.take(limit, what)
        start, self._at = self._at, end + 1
        return self._buffer[start:end]


def _is_number(field: bytes) -> bool:
    try:
        float(field)
    except ValueError:
        return False
    return True


def _is_utf8(text: bytes) -> bool:
    """Whether `text` is UTF-8; a character that its end cuts is no matter."""
    try:
        text.decode()
    except UnicodeDecodeError as error:
        return error.start > len(text) - 4 and error.reason == "unexpected end of data"
    return True
