"""Many sequences of token ids as one pair of arrays.

    [[5, 7], [], [9]]  ->  ids = [5, 7, 9]   offsets = [0, 2, 2, 3]

Sequence i is `ids[offsets[i]:offsets[i + 1]]`. Below the tokenizer text travels in this form alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Ids = NDArray[np.int32]
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Ragged:
    """`ids` (n,) int32, `offsets` (sequences + 1,) int64; either may be a memory map."""

    ids: Ids
    offsets: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> Ids:
        return self.ids[self.offsets[row] : self.offsets[row + 1]]

    @property
    def lengths(self) -> Rows:
        """Tokens of each sequence, (sequences,)."""
        return np.diff(self.offsets)

    def take(self, rows: Sequence[int] | Rows, limit: int | None = None) -> "Ragged":
        """The sequences at `rows`, in that order, each cut to its first `limit` ids.

        >>> Ragged.of([[5, 7], [9]]).take([1, 0, 0], limit=1).ids.tolist()
        [9, 5, 5]
        """
        rows = np.asarray(rows, dtype=np.int64)
        starts = self.offsets[rows]
        lengths = self.offsets[rows + 1] - starts
        if limit is not None:
            lengths = np.minimum(lengths, limit)
        offsets = offsets_of(lengths)
        # position in the result minus its row's start, plus the row's start in the source
        where = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return Ragged(self.ids[where], offsets)

    def truncate(self, limit: int) -> "Ragged":
        """Each sequence cut to its first `limit` ids."""
        if len(self) == 0 or int(self.lengths.max()) <= limit:
            return self
        return self.take(np.arange(len(self)), limit)

    @staticmethod
    def of(sequences: Sequence[Sequence[int]]) -> "Ragged":
        """From nested sequences.

        >>> Ragged.of([[5, 7], [], [9]]).offsets.tolist()
        [0, 2, 2, 3]
        """
        flat = [token for sequence in sequences for token in sequence]
        return Ragged(np.array(flat, dtype=np.int32), offsets_of(np.array([len(s) for s in sequences])))


def offsets_of(lengths: NDArray[np.integer]) -> Rows:
    """Lengths (n,) to offsets (n + 1,).

    >>> offsets_of(np.array([2, 0, 1])).tolist()
    [0, 2, 2, 3]
    """
    offsets = np.zeros(len(lengths) + 1, dtype=np.int64)
    np.cumsum(lengths, out=offsets[1:])
    return offsets
