"""Pretrained word vectors for a vocabulary.

    ("<pad>", "<unk>", "the", "zyzzyva")  ->  matrix (4, 50), found [False, False, True, False]

The source is a name, `glove-50d` (an installed wheel) or `random`, or the path of a GloVe text file. Words
that the source lacks start from a seeded normal with the mean and the deviation of those that it has.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from twotower.text import glove
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import PAD, SPECIAL

WHEEL = "glove-50d"
RANDOM = "random"

BATCH = 1 << 16
"""Words that the tokenizer looks at together."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """`matrix` (V, E) float32, a row for each word of a vocabulary; `found` (V,): the source had the word."""

    matrix: glove.Matrix
    found: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Share of the words, the two special ones aside, that the source had, 0 to 1."""
        words = self.found[len(SPECIAL) :]
        return float(words.mean()) if len(words) else 0.0


def load(source: str, vocab_words: Sequence[str], *, dim: int, rng: np.random.Generator) -> WordVectors:
    """The rows of `source` for `vocab_words`; the row of the padding is zeros.

    `dim` is the width of `random`; the others bring their own. Raises ValueError for a malformed file (with
    its line), a wheel that is not installed, or a `dim` below 1; FileNotFoundError where there is no file.
    """
    places, rows = _rows(source, vocab_words, dim)
    found = np.zeros(len(vocab_words), dtype=np.bool_)
    found[places] = True
    found[PAD : PAD + 1] = False
    matrix = np.empty((len(vocab_words), rows.shape[1]), dtype=np.float32)
    matrix[places] = rows
    matrix[~found] = _drawn(rows, len(found) - int(found.sum()), rng)
    matrix[PAD : PAD + 1] = 0
    return WordVectors(matrix, found)


def frequent_words(source: str, limit: int, tokenizer: Tokenizer) -> list[str]:
    """The first `limit` words of `source` that `tokenizer` leaves whole, most frequent first.

    `random` has none. A vocabulary of `limit` words is full with them, however many of them it holds already.
    """
    words: list[str] = []
    for batch in _batches(_words(source)):
        if len(words) >= limit:
            break
        whole = tokenizer.leaves_whole(batch).tolist()
        words.extend(word for word, keep in zip(batch, whole, strict=True) if keep)
    return list(dict.fromkeys(words))[:limit]


def _rows(source: str, vocab_words: Sequence[str], dim: int) -> tuple[NDArray[np.int64], glove.Matrix]:
    """Places in `vocab_words` that have a vector, (found,), and their vectors, (found, E)."""
    if source == WHEEL:
        return glove.wheel_rows(vocab_words)
    if source == RANDOM:
        if dim < 1:
            raise ValueError(f"vectors {RANDOM}: width {dim}, want at least 1")
        return np.empty(0, dtype=np.int64), np.empty((0, dim), dtype=np.float32)
    return glove.text_rows(_file(source), vocab_words)


def _words(source: str) -> Iterable[str]:
    """All words of `source`, most frequent first."""
    if source == WHEEL:
        return glove.wheel_words()
    return [] if source == RANDOM else glove.text_words(_file(source))


def _file(source: str) -> Path:
    path = Path(source).expanduser()
    if not path.is_file():
        what = "a folder" if path.is_dir() else "no such file"
        raise FileNotFoundError(
            f"{source}: {what}, want word vectors: {WHEEL}, {RANDOM}, or a GloVe text file"
        )
    return path


def _drawn(rows: glove.Matrix, count: int, rng: np.random.Generator) -> glove.Matrix:
    """Vectors for `count` words that the table lacks, (count, E), on the scale of those found, (found, E).

    Mean and deviation are the table's, column by column; with fewer than two rows to tell them, the
    vectors have an expected square norm of 1 around zero.
    """
    width = rows.shape[1]
    drawn = rng.standard_normal((count, width), dtype=np.float32)
    if len(rows) < 2:
        return np.asarray(drawn * width**-0.5, dtype=np.float32)
    return np.asarray(drawn * rows.std(axis=0) + rows.mean(axis=0), dtype=np.float32)


def _batches(words: Iterable[str]) -> Iterator[list[str]]:
    remaining = iter(words)
    while batch := list(islice(remaining, BATCH)):
        yield batch
