"""Many texts as one blob of UTF-8 and the places where they begin: fetching a few costs a few pages of disk.

["Ulm", "", "Zürich"]  ->  blob = b"UlmZ\xc3\xbcrich", offsets = [0, 3, 3, 10]
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.text.ragged import Rows, offsets_of


@dataclass(frozen=True, eq=False)
class Packed:
    """Text i is `blob[offsets[i]:offsets[i + 1]]`; both arrays may be memory maps."""

    blob: NDArray[np.uint8]
    offsets: Rows

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __getitem__(self, row: int) -> str:
        return self.blob[self.offsets[row] : self.offsets[row + 1]].tobytes().decode()

    @staticmethod
    def of(texts: Sequence[str]) -> "Packed":
        """Pack texts; each must be valid Unicode.

        >>> Packed.of(["Ulm", "", "Zürich"]).offsets.tolist()
        [0, 3, 3, 10]
        """
        parts = [text.encode() for text in texts]
        lengths = np.fromiter(map(len, parts), dtype=np.int64, count=len(parts))
        return Packed(np.frombuffer(b"".join(parts), dtype=np.uint8), offsets_of(lengths))
