"""The words nearest to a word, as the query tower's word vectors have them.

of(searcher, "csv", 3)  ->  [("json", 0.81), ("xml", 0.77), ("tsv", 0.75)]
"""

import numpy as np
from numpy.typing import NDArray

from twotower.search import spelling
from twotower.search.searcher import Searcher
from twotower.text.vocabulary import UNKNOWN

BLOCK = 1 << 16
"""Words compared at a time."""


def of(searcher: Searcher, word: str, count: int = 10) -> list[tuple[str, float]]:
    """The `count` known words nearest to `word`, with their cosines, the nearest first; itself left out.

    ValueError for what is not one word, or not a known one; it names those that are spelled like it.
    """
    tokens = searcher.tokenizer.tokenize([word])[0]
    if len(tokens) != 1:
        raise ValueError(f"near: got {word[:60]!r}, want one word")
    vocab = searcher.index.vocab
    row = vocab.index.get(tokens[0], UNKNOWN)
    if row <= UNKNOWN:
        known = spelling.like(tokens[0], vocab)
        hint = f"; known: {', '.join(known)}" if known else ""
        raise ValueError(f"near: {tokens[0][:60]!r} is not in the vocabulary{hint}")
    words = _words(searcher)
    cosines = np.concatenate(
        [_cosines(words[start : start + BLOCK], words[row]) for start in range(0, len(words), BLOCK)]
    )
    cosines[: UNKNOWN + 1] = -np.inf
    cosines[row] = -np.inf
    best = np.lexsort((np.arange(len(cosines)), -cosines))[:count]
    return [(vocab.words[i], float(cosines[i])) for i in best.tolist() if np.isfinite(cosines[i])]


def _words(searcher: Searcher) -> NDArray[np.float32]:
    """Vectors (V, E) of the words; weights change only their lengths."""
    if searcher.index.tower:
        return searcher.index.tower["words"]
    if searcher.two_tower is None:
        raise ValueError(f"{searcher.name}: its word vectors are not at hand")
    vectors: NDArray[np.float32] = searcher.two_tower.words.vectors.detach().cpu().numpy()
    return vectors


def _cosines(words: NDArray[np.float32], word: NDArray[np.float32]) -> NDArray[np.float64]:
    lengths = np.linalg.norm(words, axis=1) * np.linalg.norm(word)
    return np.asarray((words @ word) / np.maximum(lengths, 1e-12), dtype=np.float64)
