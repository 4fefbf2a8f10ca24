"""Matrices in NumPy's own files, with their words beside them.

    matrix.npy (words, E)  +  matrix.txt or .json, else vocab.txt, vocab.json, words.txt, words.json
    table.npz              =  words (words,) and vectors (words, E)

A text file holds a word a line; a JSON file a list. Nothing is unpickled, and the matrix is mapped, so that
only the rows wanted are read; a packed one is unpacked into a temporary file first.
"""

import json
import tokenize
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np
from numpy.typing import NDArray

from twotower.text import streams
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import Matrix, check_matrix, pick

MAGIC = b"\x93NUMPY"
BESIDE = ("vocab.txt", "vocab.json", "words.txt", "words.json")
"""Names of the words of any matrix in the folder."""

MALFORMED = (ValueError, EOFError, SyntaxError, tokenize.TokenError, TypeError, OverflowError, MemoryError)
"""What NumPy raises for a header that says what cannot be."""


def npy_words(place: Place) -> list[str]:
    """The words beside a matrix, row by row; raises ValueError where there are none or they do not fit."""
    return _beside(place)[1]


def npy_rows(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E); the first of equals."""
    beside, names = _beside(place)
    with mapped(place) as matrix:
        check_matrix(matrix, len(names), place, beside)
        return pick(matrix, names, words, place)


def npz_words(place: Place) -> list[str]:
    """The array `words` of an archive, as strings."""
    with mapped(Place(place.path, _member(place, "words"))) as words:
        if words.ndim != 1 or words.dtype.kind not in "US":
            raise ValueError(f"{place}: words are {words.ndim}-D of {words.dtype}, want a list of strings")
        try:
            return [word.decode(errors="replace") if isinstance(word, bytes) else str(word) for word in words]
        except ValueError as error:  # a code point beyond Unicode
            raise ValueError(f"{place}: words: {error}, want strings") from None


def npz_rows(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """As `npy_rows`, of the arrays `words` and `vectors` of an archive."""
    names = npz_words(place)
    with mapped(Place(place.path, _member(place, "vectors"))) as matrix:
        check_matrix(matrix, len(names), place, "its words")
        return pick(matrix, names, words, place)


@contextmanager
def mapped(place: Place) -> Iterator[NDArray[Any]]:
    """An `.npy` file memory-mapped; a packed one by way of a temporary file.

    Raises ValueError for what is none, or holds Python objects.
    """
    with streams.on_disk(place) as path:
        try:
            with catch_warnings():
                simplefilter("ignore")  # of old headers, which are read all the same
                array = np.load(path, mmap_mode="r", allow_pickle=False)
        except MALFORMED as error:
            reason = " ".join(str(error).split())[:100]
            raise ValueError(f"{place}: not a NumPy array that can be mapped ({reason})") from None
        yield array


def _member(place: Place, name: str) -> str:
    names = streams.members(place.path) or []
    if f"{name}.npy" not in names:
        have = ", ".join(sorted(Path(one).stem for one in names)[:9])
        raise ValueError(f"{place}: no array {name!r}, there is {have}; want words and vectors")
    return f"{name}.npy"


def _beside(place: Place) -> tuple[Path, list[str]]:
    """The file of the words of a matrix, and the words."""
    if place.member:
        raise ValueError(f"{place}: a matrix in an archive, want a file, with its words beside it; unzip it")
    plain = place.path.with_suffix("") if place.path.suffix == ".gz" else place.path
    own = [plain.with_suffix(suffix).name for suffix in (".txt", ".json") if plain.suffix != suffix]
    for name in (*own, *BESIDE):
        path = place.path.with_name(name)
        if path.is_file():
            return path, list(_listed(path))
    raise ValueError(f"{place}: no words beside it, want one of {', '.join((*own, *BESIDE))}")


def _listed(path: Path) -> Iterable[str]:
    if path.suffix != ".json":
        return [line.removesuffix(b"\r").decode(errors="replace") for line in streams.lines(Place(path))]
    try:
        names = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: not JSON ({error}), want a list of words") from None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"{path}: not a list of strings, want the words of the matrix, row by row")
    return names
