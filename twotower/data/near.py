"""Sets of words: how much two share, and every pair that shares nearly everything.

    0: a b c d e    1: e d c b    2: x y    ->    similar(..., 0.8) yields (0, 1): they share 4 of 5 words

The search is exact: it misses no pair and yields no other. Two sets that are similar enough must share one of
their rarest words, and so only those words are looked up (prefix filter: Chaudhuri et al., 2006; Bayardo et
al., 2007; positions and the shorter prefix of the shorter set: Xiao et al., 2008).
"""

import hashlib
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from twotower.text.ragged import Ids, Ragged, Rows, offsets_of
from twotower.text.tokenize import Tokens

CHUNK = 1 << 21
"""Words or candidate pairs looked at together; bounds memory, changes no result."""

NOTABLE = 1 << 23
"""Candidate pairs from which a bar is shown."""

SLACK = 1e-9
"""What a threshold forgives to the rounding of floats: 0.55 x 20 is 11."""


def joined(sides: Sequence[Tokens]) -> Ragged:
    """The texts of all sides, one after another, under one numbering of their words.

    >>> from twotower.text.tokenize import Tokenizer
    >>> joined([Tokenizer().tokenize(["a b"]), Tokenizer().tokenize(["b", "c a"])]).ids.tolist()
    [0, 1, 1, 2, 0]
    """
    index: dict[str, int] = {}
    parts = []
    for tokens in sides:
        merged = np.array([index.setdefault(word, len(index)) for word in tokens.words], dtype=np.int32)
        parts.append(merged[tokens.ragged.ids] if len(merged) else np.empty(0, dtype=np.int32))
    lengths = np.concatenate([tokens.ragged.lengths for tokens in sides])
    return Ragged(np.concatenate(parts), offsets_of(lengths))


def labels(texts: Ragged) -> Rows:
    """A number for each sequence, (sequences,), the same for equal ones, counted from 0 as they appear.

    >>> labels(Ragged.of([[5, 7], [7, 5], [5, 7]])).tolist()
    [0, 1, 0]
    """
    index: dict[bytes, int] = {}  # digests, which do not grow with the texts
    digests = (hashlib.blake2b(texts[row].tobytes(), digest_size=16).digest() for row in range(len(texts)))
    found = (index.setdefault(digest, len(index)) for digest in digests)
    return np.fromiter(found, dtype=np.int64, count=len(texts))


def word_sets(texts: Ragged) -> Ragged:
    """The distinct words of each text, the rarest of all texts first and numbered so that they ascend.

    >>> word_sets(Ragged.of([[1, 0, 1], [0]])).ids.tolist()
    [0, 1, 1]
    """
    size = int(texts.ids.max(initial=0)) + 1
    rows = np.arange(len(texts))
    parts = [_distinct(texts.take(rows[start:stop]), size) for start, stop in _cuts(texts.lengths)]
    ids = np.concatenate([np.empty(0, dtype=np.int32), *(ids for ids, _ in parts)])
    offsets = offsets_of(np.concatenate([np.empty(0, dtype=np.int64), *(lengths for _, lengths in parts)]))
    rank = np.empty(size, dtype=np.int32)
    rank[np.argsort(np.bincount(ids, minlength=size), kind="stable")] = np.arange(size, dtype=np.int32)
    ranked = Ragged(rank[ids], offsets)
    for start, stop in _cuts(ranked.lengths):
        part = ranked.ids[offsets[start] : offsets[stop]]
        owners = np.repeat(rows[start:stop], ranked.lengths[start:stop])
        part[:] = part[np.lexsort((part, owners))]
    return ranked


def _distinct(texts: Ragged, size: int) -> tuple[Ids, Rows]:
    """Distinct ids, row by row, and how many each row has."""
    rows, ids = np.divmod(np.unique(_keys(texts, size)), size)
    return ids.astype(np.int32), np.bincount(rows, minlength=len(texts))


def _keys(texts: Ragged, size: int) -> Rows:
    """A number for each pair of row and id."""
    return np.repeat(np.arange(len(texts)) * size, texts.lengths) + texts.ids


def overlaps(sets: Ragged, first: Rows, second: Rows) -> Rows:
    """How many words the sets at `first` and `second` share, pair by pair, (pairs,).

    `sets` are as `word_sets` makes them.
    """
    size = int(sets.ids.max(initial=0)) + 1
    shared = np.zeros(len(first), dtype=np.int64)
    for start, stop in _cuts(sets.lengths[first] + sets.lengths[second]):
        left, right = (sets.take(rows[start:stop]) for rows in (first, second))
        known, asked = _keys(left, size), _keys(right, size)
        if len(known):
            places = np.minimum(np.searchsorted(known, asked), len(known) - 1)
            hits = asked[known[places] == asked] // size
            shared[start:stop] = np.bincount(hits, minlength=stop - start)
    return shared


def similar(sets: Ragged, threshold: float) -> Iterator[tuple[Rows, Rows]]:
    """Blocks of pairs of rows, the lower one first, whose Jaccard similarity is `threshold` or more.

    `sets` are as `word_sets` makes them; empty ones are like nothing. A pair may come in two blocks. The time
    grows with the pairs that share a rare word: a low threshold, or a corpus written from a template, is
    slow. The memory does not.
    """
    order = np.argsort(sets.lengths, kind="stable")
    order = order[sets.lengths[order] > 0]
    ordered = sets.take(order)
    for longer, shorter in _candidates(ordered, threshold):
        shared = overlaps(ordered, longer, shorter)
        union = ordered.lengths[longer] + ordered.lengths[shorter] - shared
        keep = shared >= threshold * union - SLACK
        ends = order[longer[keep]], order[shorter[keep]]
        yield np.minimum(*ends), np.maximum(*ends)


def _candidates(sets: Ragged, threshold: float) -> Iterator[tuple[Rows, Rows]]:
    """Pairs of a row and an earlier, not longer one that may be similar; `sets` ascend in length."""
    lengths, count = sets.lengths, len(sets)
    rows, places = _prefixes(lengths, threshold)
    known_rows, known_places = _prefixes(lengths, 2 * threshold / (1 + threshold))
    keys = sets.ids[sets.offsets[known_rows] + known_places].astype(np.int64) * count + known_rows
    by_key = np.argsort(keys, kind="stable")
    keys, known_rows, known_places = keys[by_key], known_rows[by_key], known_places[by_key]
    words = sets.ids[sets.offsets[rows] + places].astype(np.int64) * count
    long_enough = np.searchsorted(lengths, _needed(threshold, lengths))  # the first row that is
    starts = np.searchsorted(keys, words + long_enough[rows])
    found = np.searchsorted(keys, words + rows) - starts
    for start, stop in _watched(found):
        one = np.repeat(np.arange(start, stop), found[start:stop])
        within = np.arange(len(one)) - np.repeat(offsets_of(found[start:stop])[:-1], found[start:stop])
        other = starts[one] + within
        longer, shorter = rows[one], known_rows[other]
        # where two sets first meet, they share no more than what either has left
        left = np.minimum(lengths[longer] - places[one], lengths[shorter] - known_places[other])
        hopeful = left >= _needed(threshold / (1 + threshold), lengths[longer] + lengths[shorter])
        pairs = np.unique(longer[hopeful] * count + shorter[hopeful])
        yield pairs // count, pairs % count


def _prefixes(lengths: Rows, share: float) -> tuple[Rows, Rows]:
    """Row and place of the words that must be looked up, if `share` of each row's words must be shared."""
    sizes = lengths - _needed(share, lengths) + 1
    rows = np.repeat(np.arange(len(lengths)), sizes)
    return rows, np.arange(len(rows)) - np.repeat(offsets_of(sizes)[:-1], sizes)


def _needed(share: float, lengths: Rows) -> NDArray[np.int64]:
    """The least whole number of words that is `share` of them."""
    least: NDArray[np.int64] = np.ceil(share * lengths - SLACK).astype(np.int64)
    return least


def _watched(found: Rows) -> Iterator[tuple[int, int]]:
    """Ranges of words to look at, with a bar on a terminal where there are many."""
    total = int(found.sum())
    quiet = None if total >= NOTABLE else True
    with tqdm(total=total, desc="nearly the same", unit=" pairs", leave=False, disable=quiet) as bar:
        for start, stop in _cuts(found):
            yield start, stop
            bar.update(int(found[start:stop].sum()))


def _cuts(sizes: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Ranges of neighbours whose sizes come to about `CHUNK`, together all of them."""
    if len(sizes):
        blocks = np.cumsum(sizes) // CHUNK
        yield from pairwise([0, *(np.flatnonzero(np.diff(blocks)) + 1).tolist(), len(sizes)])
