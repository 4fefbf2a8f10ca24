"""Why queries fail: what each cause leaves to be measured, query by query.

    unknown_words    words that the model does not know make up much of the query, or of its document
    no_common_word   the query shares no telling word with its relevant document
    truncated        the words that they share stand beyond where the document is cut
    duplicate        a document that reads the same as the relevant one is a hit, and is not judged
    hub              a hit is among the first hits of far too many queries
    length_bias      the hits are much shorter, or longer, than the relevant document, as all over the split

A cause is a sign, no proof: queries that are found have some of them too, and they are counted as well.
Numbers of words are those of the documents' word list, with the words that only queries have behind them.
"""

import math
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from twotower.data import near
from twotower.data.tokens import CollectionTokens
from twotower.evaluation.metrics import Floats, Ints
from twotower.evaluation.placed import Mask, Placed
from twotower.text.ragged import Ids, Ragged

UNKNOWN = 1 / 3
"""Share of a text's information, from which its unknown words count."""
FREQUENT = 0.1
"""Share of the documents from which a word that stands in them tells nothing."""
SAMPLE = 10_000
"""Documents in which words are counted, at most."""
BEYOND = 0.5
"""Share of what a query and its document have in common that must be cut off."""
NEAR = 0.9
"""Jaccard similarity of the words from which a document is a duplicate."""
HUB_SHARE, HUB_LEAST, HUB_TIMES = 0.05, 5, 10
"""A hub is in the first hits of so large a share of the queries, so many, and so often what chance gives."""
BIAS_QUERIES, BIAS_SHARE, BIAS_RATIO = 20, 2 / 3, 1.25
"""Hits lean to a length where so many queries were looked at, so large a share leans so, by so much."""
MUCH = 2.0
"""Times as short, or as long, as the relevant document."""
BLOCK = 256
"""Queries whose hits are compared at a time; bounds memory."""
NAMED = 5
"""Words named at most."""

Found = Mapping[int, str]
"""What was measured, by the query's place; queries without the cause are not in it."""


@dataclass(frozen=True, eq=False)
class Evidence:
    """What there is to find causes in; queries in the order of `placed`."""

    placed: Placed
    k: int
    """First hits that a query is to find its document among."""
    queries: Ragged
    """Words of each query, (Q,)."""
    docs: Ragged
    """Words of each document, whole, (N,); may be a memory map."""
    words: Sequence[str]
    """What the numbers stand for, (W,)."""
    known: Mask
    """Whether the model knows a word, (W,)."""
    max_doc_words: int
    """Words after which the model cuts a document."""
    doc_ids: Sequence[str]

    @cached_property
    def weights(self) -> Floats:
        """Information of each word in nats: the log of how rare it is in the documents, (W,)."""
        counts = np.bincount(self.docs.ids, minlength=len(self.words))
        return np.log1p(max(len(self.docs.ids), 1) / (1.0 + counts))

    @cached_property
    def telling(self) -> Mask:
        """Whether a word stands in few documents, (W,)."""
        count = len(self.docs)
        rows = np.unique(np.linspace(0, count - 1, min(count, SAMPLE)).astype(np.int64))
        sample = self.docs.take(rows)
        keys = np.repeat(np.arange(len(rows)), sample.lengths) * len(self.words) + sample.ids
        frequency = np.bincount(np.unique(keys) % len(self.words), minlength=len(self.words))
        return frequency <= max(1.0, FREQUENT * len(rows))

    @cached_property
    def shared(self) -> list[list[int]]:
        """Telling words that each query has in common with its whole relevant document, rarest first."""
        return [self._common(place, self.docs[row]) for place, row in enumerate(self.placed.gold.tolist())]

    def _common(self, place: int, doc: Ids) -> list[int]:
        both = set(self.queries[place].tolist()).intersection(doc.tolist())
        return sorted((word for word in both if self.telling[word]), key=lambda word: -self.weights[word])

    def read(self, row: int) -> Ids:
        """What the model reads of a document."""
        return self.docs[row][: self.max_doc_words]

    def weigh(self, words: Collection[int]) -> float:
        """Information of distinct words."""
        return float(self.weights[list(words)].sum())

    def said(self, words: Sequence[int]) -> str:
        """The first few of them, spelled out."""
        more = ", ..." if len(words) > NAMED else ""
        return ", ".join(self.words[word] for word in words[:NAMED]) + more


def numbered(tokens: CollectionTokens, query_rows: Ints) -> tuple[Ragged, tuple[str, ...]]:
    """The queries at `query_rows` in the documents' numbers of words, and what all numbers stand for."""
    index = {word: number for number, word in enumerate(tokens.docs.words)}
    asked = tokens.queries.ragged.take(query_rows)
    numbers = np.full(len(tokens.queries.words), -1, dtype=np.int32)
    for word in np.unique(asked.ids).tolist():
        numbers[word] = index.setdefault(tokens.queries.words[word], len(index))
    return Ragged(numbers[asked.ids] if len(numbers) else asked.ids, asked.offsets), tuple(index)


def unknown_words(evidence: Evidence) -> Found:
    """Unknown words carry a third of the query or of its document, or are all that the two share."""
    found = {}
    for place, row in enumerate(evidence.placed.gold.tolist()):
        query = _distinct(evidence.queries[place])
        strange, share = _strange(evidence, query)
        shared = evidence.shared[place]
        lost = bool(shared) and not evidence.known[shared].any()
        if share >= UNKNOWN or lost:
            found[place] = f"unknown: {evidence.said(strange)} ({share:.0%} of the query)"
            continue
        strange, share = _strange(evidence, _distinct(evidence.read(row)))
        if share >= UNKNOWN:
            found[place] = f"unknown: {evidence.said(strange)} ({share:.0%} of the document)"
    return found


def _distinct(words: Ids) -> list[int]:
    return list(dict.fromkeys(words.tolist()))


def _strange(evidence: Evidence, words: list[int]) -> tuple[list[int], float]:
    """The unknown ones of distinct words, and their share of the information."""
    strange = [word for word in words if not evidence.known[word]]
    return strange, evidence.weigh(strange) / evidence.weigh(words) if strange else 0.0


def no_common_word(evidence: Evidence) -> Found:
    """Whatever the query and its relevant document share stands in a tenth of all documents, or nothing."""
    found = {}
    for place, row in enumerate(evidence.placed.gold.tolist()):
        query = _distinct(evidence.queries[place])
        if query and not evidence.shared[place]:
            both = [word for word in query if word in set(evidence.docs[row].tolist())]
            found[place] = f"shared: {evidence.said(both) or 'no word'}"
    return found


def truncated(evidence: Evidence) -> Found:
    """Half or more of what the query shares with its relevant document is cut off."""
    found = {}
    for place, row in enumerate(evidence.placed.gold.tolist()):
        doc, shared = evidence.docs[row], evidence.shared[place]
        if len(doc) <= evidence.max_doc_words or not shared:
            continue
        begun = set(evidence.read(row).tolist())
        beyond = [word for word in shared if word not in begun]
        if evidence.weigh(beyond) >= BEYOND * evidence.weigh(shared):
            where = int(np.argmax(doc == beyond[0])) + 1
            cut = f"cut after {evidence.max_doc_words:,} of {len(doc):,} words"
            found[place] = f"{evidence.said(beyond)} from word {where:,} on, {cut}"
    return found


def duplicates(evidence: Evidence) -> Found:
    """A hit that stands no lower reads the same, or shares nine tenths of the words, and is not judged so."""
    found: dict[int, str] = {}
    for start in range(0, len(evidence.queries), BLOCK):
        for place, column, like in _alike(evidence, start):
            hit = evidence.placed.hits[place, column]
            same = np.array_equal(evidence.docs[hit], evidence.docs[evidence.placed.gold[place]])
            how = "reads the same" if same else f"shares {like:.0%} of the words"
            found.setdefault(place, f"{evidence.doc_ids[hit]} at rank {column + 1} {how}")
    return found


def _alike(evidence: Evidence, start: int) -> Iterator[tuple[int, int, float]]:
    """Place, column and similarity of the duplicates among the hits of a block of queries, best first."""
    placed, part = evidence.placed, slice(start, start + BLOCK)
    query, column = np.nonzero(placed.rivals[part])
    hits, gold = placed.hits[part][query, column], placed.gold[part][query]
    involved = np.unique(np.concatenate([hits, gold]))
    sets = near.word_sets(evidence.docs.take(involved))
    one, other = np.searchsorted(involved, hits), np.searchsorted(involved, gold)
    small, large = (choose(sets.lengths[one], sets.lengths[other]) for choose in (np.minimum, np.maximum))
    (close,) = np.nonzero((small > 0) & (small >= NEAR * large - near.SLACK))
    shared = near.overlaps(sets, one[close], other[close])
    like = shared / (small[close] + large[close] - shared)
    keep = like >= NEAR - near.SLACK
    rows = zip((query[close] + start).tolist(), column[close].tolist(), like.tolist(), strict=True)
    yield from (row for row, kept in zip(rows, keep.tolist(), strict=True) if kept)


def hubs(evidence: Evidence) -> Found:
    """A hit that stands no lower is among the first hits of far too many queries that it does not answer."""
    placed, k, count = evidence.placed, evidence.k, len(evidence.queries)
    first = placed.hits[:, :k]
    wrong = (first >= 0) & ~placed.answers[:, :k]
    lists = np.bincount(first[wrong], minlength=len(evidence.docs))
    expected = count * k / len(evidence.docs)
    hub = lists >= max(HUB_LEAST, HUB_SHARE * count, HUB_TIMES * expected)
    found: dict[int, str] = {}
    for place, column in np.argwhere(placed.rivals[:, :k] & wrong & hub[first]).tolist():
        row = int(first[place, column])
        often = f"among the first {k} of {lists[row]:,} of {count:,} queries that it does not answer"
        found.setdefault(place, f"{evidence.doc_ids[row]} at rank {column + 1} is {often}")
    return found


def length_bias(evidence: Evidence) -> Found:
    """The hits lean to short or to long documents over the split, and here by a factor of two or more."""
    placed = evidence.placed
    lengths = np.maximum(np.minimum(evidence.docs.lengths, evidence.max_doc_words), 1)
    first, own = placed.hits[:, : evidence.k], lengths[placed.gold]
    wrong = (first >= 0) & ~placed.answers[:, : evidence.k]
    some = np.flatnonzero(wrong.any(axis=1))
    middle = {place: float(np.median(lengths[first[place][wrong[place]]])) for place in some.tolist()}
    ratios = {place: math.log(value / own[place]) for place, value in middle.items()}
    way = _leaning(np.array(list(ratios.values())))
    return {
        place: f"the hits have {middle[place]:,.0f} words in the middle, the relevant document {own[place]:,}"
        for place, ratio in ratios.items()
        if way * ratio >= math.log(MUCH)
    }


def _leaning(ratios: Floats) -> int:
    """1 where the hits are longer throughout, -1 where they are shorter, 0 where they are neither."""
    if len(ratios) < BIAS_QUERIES:
        return 0
    middle = float(np.median(ratios))
    way = int(np.sign(middle))
    systematic = np.mean(np.sign(ratios) == way) >= BIAS_SHARE and abs(middle) >= math.log(BIAS_RATIO)
    return way if systematic else 0


CAUSES: Mapping[str, tuple[str, Callable[[Evidence], Found]]] = {
    "unknown_words": ("unknown words", unknown_words),
    "no_common_word": ("no telling word in common", no_common_word),
    "truncated": ("cut before the words that count", truncated),
    "duplicate": ("a duplicate of the answer is a hit", duplicates),
    "hub": ("a hub is a hit", hubs),
    "length_bias": ("hits of another length", length_bias),
}
"""What each cause is called, and how it is found."""
