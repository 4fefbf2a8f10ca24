"""Words to the ids of a model.

    words = ("<pad>", "<unk>", "the", "cat")        ["the", "dog"]  ->  [2, 1]

Id 0 pads and id 1 stands for every unknown word, in every vocabulary. A text without words is one unknown
word.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twotower.text.ragged import Ids, Ragged, offsets_of
from twotower.text.tokenize import Tokens

PAD = 0
UNKNOWN = 1
SPECIAL = ("<pad>", "<unk>")


@dataclass(frozen=True)
class Vocab:
    """Distinct words; a word's id is its place. Raises ValueError unless the first two are `SPECIAL`."""

    words: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.words[:2] != SPECIAL:
            raise ValueError(f"vocabulary: begins with {self.words[:2]}, want {SPECIAL}")
        if len(self.index) < len(self.words):
            twice = next(word for place, word in enumerate(self.words) if self.index[word] != place)
            raise ValueError(f"vocabulary: {twice!r} stands in it twice, want distinct words")

    def __len__(self) -> int:
        return len(self.words)

    @cached_property
    def index(self) -> dict[str, int]:
        """Id of each word, the two special ones included."""
        return {word: place for place, word in enumerate(self.words)}

    @staticmethod
    def build(
        counts: Mapping[str, int], *, min_count: int, max_size: int, filler: Iterable[str] = ()
    ) -> "Vocab":
        """The words that occur at least `min_count` times, by falling count, then by code point.

        They are cut to `max_size`, in which the special two count; what room they leave is filled from
        `filler` in its order, so that a model trained on one collection knows words of another.

        >>> Vocab.build({"b": 2, "a": 2, "c": 1}, min_count=2, max_size=5, filler=["a", "z", "y"]).words
        ('<pad>', '<unk>', 'a', 'b', 'z')
        """
        if max_size < len(SPECIAL):
            raise ValueError(f"max_size: {max_size}, want at least 2, the words {SPECIAL}")
        frequent = (word for word, count in counts.items() if count >= min_count and word not in SPECIAL)
        words = [*SPECIAL, *sorted(frequent, key=lambda word: (-counts[word], word))][:max_size]
        taken = set(words)
        for word in filler:
            if len(words) == max_size:
                break
            if word not in taken:
                taken.add(word)
                words.append(word)
        return Vocab(tuple(words))

    def encode(self, tokens: Tokens, limit: int) -> Ragged:
        """Ids of the first `limit` words of each text; no sequence is empty.

        One look-up for each distinct word, then a gather. Raises ValueError for a limit below 1.
        """
        if limit < 1:
            raise ValueError(f"limit: {limit} words, want at least 1")
        cut = tokens.ragged.truncate(limit)
        ids = self._ids_of(tokens.words)[cut.ids]
        lengths = cut.lengths
        wordless = lengths == 0
        if wordless.any():
            ids = np.insert(ids, cut.offsets[:-1][wordless], UNKNOWN)
        return Ragged(ids, offsets_of(np.maximum(lengths, 1)))

    def unknown_share(self, tokens: Tokens) -> float:
        """Share of the words of all texts that are unknown, 0 to 1; 0 where there are no words."""
        total = len(tokens.ragged.ids)
        unknown = self._ids_of(tokens.words) == UNKNOWN
        return float(tokens.counts[unknown].sum()) / total if total else 0.0

    def _ids_of(self, words: tuple[str, ...]) -> Ids:
        index = self.index
        found = np.fromiter((index.get(word, UNKNOWN) for word in words), dtype=np.int32, count=len(words))
        return np.maximum(found, UNKNOWN)  # a text that spells "<pad>" does not pad
