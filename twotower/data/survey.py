"""What a collection holds, in numbers: splits, lengths, words, and how far words alone find the answer.

Split("dev", queries=540, unanswered=0, judged=540, relevant=540, grades={1: 540})
Lengths("documents", texts=28456, wordless=0, words=Spread(3, 53.0, 56.8, 110.0, 215), ...)
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower import config
from twotower.data import near
from twotower.data.collection import Collection
from twotower.data.glimpse import beginning
from twotower.data.leaks import in_order
from twotower.data.tokens import CollectionTokens
from twotower.text.ragged import Ragged, Rows
from twotower.text.tokenize import Tokenizer


@dataclass(frozen=True)
class Split:
    """The judgements of a split."""

    split: str
    queries: int
    unanswered: int
    """Queries to which nothing is relevant."""
    judged: int
    """Judgements, relevant or not."""
    relevant: int
    not_relevant: int
    grades: Mapping[int, int]
    """Judgements by their grade."""


@dataclass(frozen=True)
class Judged:
    """Whom the judgements leave out."""

    queries_in_no_split: int
    documents_judged: int
    documents_never_judged: int
    documents_relevant: int


@dataclass(frozen=True)
class Spread:
    """How numbers lie."""

    least: float
    median: float
    mean: float
    high: float
    """95 % of them are no larger."""
    most: float


@dataclass(frozen=True)
class Lengths:
    """Lengths of those texts that have a word."""

    what: str
    texts: int
    wordless: int
    """Texts without a word; they have no part in the lengths."""
    words: Spread
    characters: Spread
    limit: int = 0
    """Words at which `train` cuts by default, 0 where it does not."""
    cut: int = 0
    """Texts that are longer."""
    lost: float = 0.0
    """Share of all running words that lie beyond, 0 to 1."""


@dataclass(frozen=True)
class Words:
    """The words of a side, and those that the word vectors have; None where vectors were not asked."""

    what: str
    distinct: int
    once: int
    """Words that occur once."""
    running: int
    """Occurrences of all words."""
    covered: float | None
    """Share of the distinct words with a vector, 0 to 1."""
    covered_running: float | None
    """Share of the occurrences."""


@dataclass(frozen=True)
class Overlap:
    """Share of a query's distinct words that a document has, 0 to 1, the mean over pairs."""

    split: str
    pairs: int
    """Queries with their relevant documents."""
    relevant: float
    random: float
    """With a document drawn at random in place of each relevant one."""


@dataclass(frozen=True)
class Sample:
    """A query and a document that is relevant to it."""

    split: str
    query_id: str
    query: str
    doc_id: str
    document: str


def splits(collection: Collection, min_grade: int) -> list[Split]:
    """Counts of each split's judgements; a document is relevant from `min_grade` on."""
    found = []
    for split in in_order(collection.splits):
        pairs = collection.judgements(split)
        relevant = pairs.grades >= min_grade
        queries, answered = len(np.unique(pairs.queries)), len(np.unique(pairs.queries[relevant]))
        grades = dict(sorted(Counter(pairs.grades.tolist()).items()))
        good = int(relevant.sum())
        found.append(Split(split, queries, queries - answered, len(pairs), good, len(pairs) - good, grades))
    return found


def judged(collection: Collection, min_grade: int) -> Judged:
    """Queries and documents that stand in no judgement, and documents that are relevant somewhere."""
    pairs = [collection.judgements(split) for split in collection.splits]
    queries: set[int] = set().union(*(part.queries.tolist() for part in pairs))
    docs: set[int] = set().union(*(part.docs.tolist() for part in pairs))
    relevant: set[int] = set().union(*(part.docs[part.grades >= min_grade].tolist() for part in pairs))
    return Judged(
        queries_in_no_split=len(collection.query_ids) - len(queries),
        documents_judged=len(docs),
        documents_never_judged=len(collection.doc_ids) - len(docs),
        documents_relevant=len(relevant),
    )


def lengths(collection: Collection, tokens: CollectionTokens, tokenizer: Tokenizer) -> list[Lengths]:
    """Of documents (title and text, as a tower reads them), their titles if there are any, and queries."""
    sides = [
        ("documents", collection.doc_inputs(), tokens.docs.ragged, config.Train.max_doc_words),
        ("titles", collection.doc_titles, tokenizer.tokenize(collection.doc_titles).ragged, 0),
        ("queries", collection.query_texts, tokens.queries.ragged, config.Train.max_query_words),
    ]
    return [_lengths(*side) for side in sides if len(side[2].ids)]


def _lengths(what: str, texts: Sequence[str], ragged: Ragged, limit: int) -> Lengths:
    words = ragged.lengths
    worded = words > 0
    characters = np.fromiter(map(len, texts), dtype=np.int64, count=len(texts))
    beyond = np.maximum(words - limit, 0) if limit else np.zeros_like(words)
    return Lengths(
        what,
        texts=len(texts),
        wordless=int((~worded).sum()),
        words=_spread(words[worded]),
        characters=_spread(characters[worded]),
        limit=limit,
        cut=int((beyond > 0).sum()),
        lost=float(beyond.sum() / words.sum()),
    )


def _spread(numbers: NDArray[np.int64]) -> Spread:
    high = np.percentile(numbers, 95, method="inverted_cdf")
    least, most = int(numbers.min()), int(numbers.max())
    return Spread(least, float(np.median(numbers)), float(numbers.mean()), int(high), most)


def counts(tokens: CollectionTokens) -> dict[str, Counter[str]]:
    """Occurrences of each word: in documents, in queries, in both."""
    docs, queries = tokens.docs.word_counts(), tokens.queries.word_counts()
    return {"documents": docs, "queries": queries, "both": docs + queries}


def words(counted: Mapping[str, Counter[str]], known: Set[str] | None) -> list[Words]:
    """A row for each side of `counts`; `known` are the words with a vector, None where that is not asked."""
    return [_words(side, count, known) for side, count in counted.items()]


def _words(what: str, count: Counter[str], known: Set[str] | None) -> Words:
    distinct, running = len(count), count.total()
    once = sum(1 for occurrences in count.values() if occurrences == 1)
    if known is None or not distinct:
        return Words(what, distinct, once, running, None, None)
    covered = [occurrences for word, occurrences in count.items() if word in known]
    return Words(what, distinct, once, running, len(covered) / distinct, sum(covered) / running)


def unknown(count: Counter[str], known: Set[str], limit: int) -> dict[str, int]:
    """The most frequent words that are not `known`, at most `limit`, with their occurrences."""
    missing = ((word, number) for word, number in count.items() if word not in known)
    return dict(sorted(missing, key=lambda pair: (-pair[1], pair[0]))[:limit])


def overlaps(
    collection: Collection, sets: Ragged, *, min_grade: int, rng: np.random.Generator
) -> list[Overlap]:
    """How lexical each split is; `sets` are the word sets of documents, then queries (`near.word_sets`).

    Splits in which nothing is relevant are left out, as are queries without a word.
    """
    documents = len(collection.doc_ids)
    found = []
    for split in in_order(collection.splits):
        pairs = collection.judgements(split)
        queries = documents + pairs.queries
        keep = (pairs.grades >= min_grade) & (sets.lengths[queries] > 0)
        queries, docs = queries[keep], pairs.docs[keep]
        if len(queries):
            strangers = rng.integers(documents, size=len(docs))
            shares = (_share(sets, queries, others) for others in (docs, strangers))
            found.append(Overlap(split, len(queries), *shares))
    return found


def _share(sets: Ragged, queries: Rows, docs: Rows) -> float:
    return float((near.overlaps(sets, queries, docs) / sets.lengths[queries]).mean())


def samples(collection: Collection, min_grade: int, limit: int) -> Iterator[Sample]:
    """The first relevant pair of `limit` queries of each split, evenly spaced over its ids."""
    for split in in_order(collection.splits):
        pairs = collection.judgements(split)
        relevant = pairs.grades >= min_grade
        queries, firsts = np.unique(pairs.queries[relevant], return_index=True)
        chosen = _spaced(len(queries), limit)
        for query, doc in zip(queries[chosen], pairs.docs[relevant][firsts[chosen]], strict=True):
            yield Sample(
                split,
                collection.query_ids[query],
                beginning(collection.query_texts[query]),
                collection.doc_ids[doc],
                beginning(f"{collection.doc_titles[doc]} {collection.doc_texts[doc]}"),
            )


def _spaced(count: int, limit: int) -> Rows:
    """At most `limit` of `count` places, evenly spaced from the first on."""
    size = min(count, limit)
    return np.arange(size) * count // max(size, 1)
