"""Word vectors for a vocabulary: pretrained, drawn, trained on the collection, or several side by side.

    ("<pad>", "<unk>", "the", "zyzzyva")  ->  matrix (4, 50), found [False, False, True, False]

A source is `glove-50d` (an installed wheel), `random`, `train`, a file in any format of
`twotower.text.tables`, or several of these joined by `+`, whose columns then stand side by side. A `+` is
also part of many a file's name: read from the left, each part is the longest that is one of those words or a
file that exists. Words that a table lacks start from a seeded normal with the mean and the deviation of
those that it has.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from twotower.text import glove, tables
from twotower.text.ragged import Rows
from twotower.text.streams import Place
from twotower.text.tokenize import Tokenizer
from twotower.text.trained import Table
from twotower.text.vocabulary import PAD, SPECIAL
from twotower.text.wanted import Matrix, pick

WHEEL = "glove-50d"
RANDOM = "random"
TRAIN = "train"

Trained = Callable[[], Table]
"""Trains word vectors on the collection, when they are asked for."""
Part = str | Place
"""`WHEEL`, `RANDOM`, `TRAIN`, or where a file lies."""

BATCH = 1 << 16
"""Words that the tokenizer looks at together."""


@dataclass(frozen=True, eq=False)
class WordVectors:
    """`matrix` (V, E) float32, a row for each word of a vocabulary; `found` (V,): the source had the word."""

    matrix: Matrix
    found: NDArray[np.bool_]

    @property
    def coverage(self) -> float:
        """Share of the words, the two special ones aside, that the source had, 0 to 1."""
        words = self.found[len(SPECIAL) :]
        return float(words.mean()) if len(words) else 0.0


def load(
    source: str,
    vocab_words: Sequence[str],
    *,
    dim: int,
    rng: np.random.Generator,
    trained: Trained | None = None,
) -> WordVectors:
    """The rows of `source` for `vocab_words`; the row of the padding is zeros.

    `dim` is the width of `random`; the others bring their own. `trained` gives the vectors of `train`. Side
    by side, a word is found where any table has it, and each table draws what it lacks on its own scale.

    Raises ValueError for a malformed file (with its line), a wheel that is not installed, a `dim` below 1, or
    `train` without `trained`; FileNotFoundError where there is no file.
    """
    parts = [_filled(_rows(part, vocab_words, dim, trained), len(vocab_words), rng) for part in split(source)]
    if len(parts) == 1:
        return parts[0]
    found = np.logical_or.reduce([part.found for part in parts])
    return WordVectors(np.concatenate([part.matrix for part in parts], axis=1), found)


def split(source: str) -> list[Part]:
    """The parts of `source`, left to right; raises FileNotFoundError for one that is nowhere.

    >>> split("glove-50d+random")
    ['glove-50d', 'random']
    """
    pieces = source.split("+")
    parts: list[Part] = []
    start = 0
    while start < len(pieces):
        for end in range(len(pieces), start, -1):
            part = _part("+".join(pieces[start:end]))
            if part is not None:
                break
        else:
            raise tables.absent(pieces[start], f"{WHEEL}, {RANDOM}, {TRAIN}")
        parts.append(part)
        start = end
    return parts


def frequent_words(source: str, limit: int, tokenizer: Tokenizer) -> list[str]:
    """The first `limit` words of `source` that `tokenizer` leaves whole, most frequent first.

    `random` and `train` have none; side by side, the first table that has words gives them. A vocabulary of
    `limit` words is full with them, however many of them it holds already.
    """
    for part in split(source):
        if words := _whole_words(part, limit, tokenizer):
            return words
    return []


def _whole_words(part: Part, limit: int, tokenizer: Tokenizer) -> list[str]:
    words: list[str] = []
    for batch in _batches(_words(part)):
        if len(words) >= limit:
            break
        whole = tokenizer.leaves_whole(batch).tolist()
        words.extend(word for word, keep in zip(batch, whole, strict=True) if keep)
    return list(dict.fromkeys(words))[:limit]


def _part(name: str) -> Part | None:
    return name if name in (WHEEL, RANDOM, TRAIN) else tables.found(name)


def _rows(part: Part, vocab_words: Sequence[str], dim: int, trained: Trained | None) -> tuple[Rows, Matrix]:
    """Places in `vocab_words` that have a vector, (found,), and their vectors, (found, E)."""
    match part:
        case Place():
            return tables.rows_of(part, vocab_words)
        case "glove-50d":
            return glove.wheel_rows(vocab_words)
        case "train":
            if trained is None:
                raise ValueError(
                    f"vectors {TRAIN}: word vectors are trained by the command train alone, want a table"
                )
            table = trained()
            return pick(table.matrix, table.words, vocab_words, f"vectors {TRAIN}")
    if dim < 1:
        raise ValueError(f"vectors {RANDOM}: width {dim}, want at least 1")
    return np.empty(0, dtype=np.int64), np.empty((0, dim), dtype=np.float32)


def _words(part: Part) -> Iterable[str]:
    """All words of `part`, most frequent first."""
    match part:
        case Place():
            return tables.words_of(part)
        case "glove-50d":
            return glove.wheel_words()
    return []


def _filled(table: tuple[Rows, Matrix], count: int, rng: np.random.Generator) -> WordVectors:
    """A row for each of `count` words: the table's, or drawn."""
    places, rows = table
    found = np.zeros(count, dtype=np.bool_)
    found[places] = True
    found[PAD : PAD + 1] = False
    matrix = np.empty((count, rows.shape[1]), dtype=np.float32)
    matrix[places] = rows
    matrix[~found] = _drawn(rows, count - int(found.sum()), rng)
    matrix[PAD : PAD + 1] = 0
    return WordVectors(matrix, found)


def _drawn(rows: Matrix, count: int, rng: np.random.Generator) -> Matrix:
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
