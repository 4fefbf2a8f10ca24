"""Word vectors out of a checkpoint, an older system's or one of ours.

    {"embedding_matrix": (V, E) tensor or NumPy matrix, "word_to_index": {"the": 2, ...}, ...}

`torch.load(weights_only=True)` builds tensors and plain values alone; beside those, stand-ins are let through
for the few names of which NumPy arrays are made. A file that asks for anything else is refused unread.
"""

import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from warnings import catch_warnings, simplefilter

import numpy as np

from twotower.text import numpy_pickle, streams
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.wanted import Matrix, Numbers, check_matrix, pick

LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."
"""First bytes of the files that torch wrote before 1.6."""

MATRIX, WORDS = "embedding_matrix", "word_to_index"

DAMAGED = (
    *(EOFError, KeyError, IndexError, AttributeError, TypeError, ValueError, OverflowError, MemoryError),
    *(OSError, AssertionError, struct.error, zipfile.BadZipFile, zlib.error),
)
"""What torch raises, beside its own, for a file whose bytes are not what it wrote."""


def words_of(place: Place) -> list[str]:
    """The words by row; most frequent first where the vocabulary was so."""
    return _names(_read(place), place)


def rows_of(place: Place, words: Sequence[str]) -> tuple[Rows, Matrix]:
    """Places in `words` that have a vector, (found,), and their vectors, (found, E).

    Raises ValueError for a file that is damaged, that would run code, or that lacks one of the two keys.
    """
    content = _read(place)
    names = _names(content, place)
    matrix = _numbers(content[MATRIX], place)
    check_matrix(matrix, len(names), f"{place}: {MATRIX}", WORDS)
    return pick(matrix, names, words, place)


def _read(place: Place) -> Mapping[str, Any]:
    with ExitStack() as stack:
        path = stack.enter_context(streams.on_disk(place))
        content = _loaded(path, place)
    if not isinstance(content, dict) or not {MATRIX, WORDS} <= content.keys():
        have = ", ".join(map(str, list(content)[:9])) if isinstance(content, dict) else type(content).__name__
        raise ValueError(f"{place}: a torch file of {have[:100]}, want {MATRIX} and {WORDS} in it")
    return content


def _loaded(path: Path, place: Place) -> Any:
    """The content of the file at `path`; errors name `place`."""
    import torch  # not at the top: 1.5 s, which no other table pays

    zipped = streams.zipped(path)
    try:
        if zipped:
            _check_sums(path)
        with catch_warnings(), torch.serialization.safe_globals(list(numpy_pickle.NAMES)):
            simplefilter("ignore")  # of the protocol of a pickle, which is what it is
            content = torch.load(path, weights_only=True, mmap=zipped, map_location="cpu")
        return numpy_pickle.plain(content)
    except (pickle.UnpicklingError, RuntimeError, NotImplementedError) as error:
        reason = " ".join(str(error).split())[:160]
        raise ValueError(f"{place}: refused, nothing in it was executed: {reason}") from None
    except DAMAGED as error:
        reason = " ".join(f"{type(error).__name__} {error}".split())[:100]
        raise ValueError(f"{place}: damaged, not what torch wrote ({reason})") from None


def _check_sums(path: Path) -> None:
    """Raises ValueError where a part of the archive is not what was written; torch itself does not look."""
    with zipfile.ZipFile(path) as archive:
        if damaged := archive.testzip():
            raise ValueError(f"the checksum of {damaged} does not match")


def _names(content: Mapping[str, Any], place: Place) -> list[str]:
    """The words, row by row."""
    index = content[WORDS]
    if not isinstance(index, dict) or not all(isinstance(word, str) for word in index):
        raise ValueError(f"{place}: {WORDS} is no dictionary of words, want a row for each word")
    names = sorted(index, key=lambda word: _row(index[word], place))
    for row, word in enumerate(names):
        if index[word] != row:
            raise ValueError(
                f"{place}: {WORDS}: {word[:40]!r} has row {index[word]}, want {row}, with no gap"
            )
    return names


def _row(row: object, place: Place) -> int:
    if not isinstance(row, int | np.integer):
        raise ValueError(f"{place}: {WORDS}: a row is {type(row).__name__}, want whole numbers")
    return int(row)


def _numbers(matrix: Any, place: Place) -> Numbers:
    """A tensor, or a matrix of NumPy, as the latter."""
    import torch  # see _loaded

    if isinstance(matrix, torch.Tensor):
        try:
            matrix = (matrix.float() if matrix.dtype == torch.bfloat16 else matrix).detach().numpy()
        except (RuntimeError, TypeError) as error:  # sparse, quantised
            raise ValueError(f"{place}: {MATRIX}: {error}, want a dense matrix") from None
    if not isinstance(matrix, np.ndarray):
        raise ValueError(f"{place}: {MATRIX} is {type(matrix).__name__}, want a tensor or a NumPy matrix")
    return matrix
