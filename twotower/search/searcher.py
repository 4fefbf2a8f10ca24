"""A query to hits: tokenise, encode, search, fetch the documents' texts.

    "read a csv file"  ->  Answer(hits=[Hit(1, "csv.reader", 0.7132, "", "..."), ...], seconds of each step)

Nothing here imports torch: over an MLP tower the encoder is NumPy's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from twotower.search import exact
from twotower.search.bundle import Bundle
from twotower.search.exact import Hits
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer, Tokens
from twotower.text.vocabulary import UNKNOWN

Encode = Callable[[Ragged], NDArray[np.float32]]
"""Ids of queries, truncated, to unit vectors (Q, D)."""

CHUNK = 1 << 16
"""Documents searched at a time; bounds memory, changes no hit."""
NAMED = 8
"""Unknown words that are named."""
LONGEST = 40
"""Characters shown of an unknown word."""


@dataclass(frozen=True)
class Hit:
    """A document found."""

    rank: int
    doc_id: str
    score: float
    """Cosine of query and document."""
    title: str
    text: str


@dataclass(frozen=True)
class Answer:
    """The hits, best first, and how they came about."""

    query: str
    hits: tuple[Hit, ...]
    encode_seconds: float
    search_seconds: float
    text_seconds: float
    remarks: tuple[str, ...]
    """What of the query the tower could not read, a line each."""

    @property
    def seconds(self) -> float:
        """From the query's text to its hits."""
        return self.encode_seconds + self.search_seconds + self.text_seconds


class Searcher:
    """Answers queries over one bundle."""

    def __init__(self, bundle: Bundle, encode: Encode, device: str) -> None:
        """`device` is where `encode` computes, for people to read."""
        self.bundle = bundle
        self.encode = encode
        self.device = device
        self.name = str(bundle.manifest["collection"])
        self.tokenizer = Tokenizer(bundle.manifest["pattern"])
        self.limit = int(bundle.manifest["max_query_words"])

    def __len__(self) -> int:
        return len(self.bundle)

    def search(self, query: str, k: int) -> Answer:
        """The `k` documents nearest to the query (all, if there are fewer), equal scores by id.

        Raises ValueError for a query that is blank or not Unicode text.
        """
        check(query)
        start = perf_counter()
        tokens = self.tokenizer.tokenize([query])
        vector = self.encode(self.bundle.vocab.encode(tokens, self.limit))
        encoded = perf_counter()
        found = exact.top(vector, self.bundle.vectors, k, chunk=CHUNK)
        searched = perf_counter()
        hits = self._hits(found)
        return Answer(
            query=query,
            hits=hits,
            encode_seconds=encoded - start,
            search_seconds=searched - encoded,
            text_seconds=perf_counter() - searched,
            remarks=self._remarks(tokens),
        )

    def _hits(self, found: Hits) -> tuple[Hit, ...]:
        bundle = self.bundle
        pairs = zip(found.rows[0].tolist(), found.scores[0].tolist(), strict=True)
        return tuple(
            Hit(rank, bundle.doc_ids[row], score, bundle.titles[row], bundle.texts[row])
            for rank, (row, score) in enumerate(pairs, start=1)
        )

    def _remarks(self, tokens: Tokens) -> tuple[str, ...]:
        words = tokens[0]
        if not words:
            return ("no word in the query: the hits mean nothing",)
        remarks = []
        if len(words) > self.limit:
            remarks.append(f"query cut after {self.limit} of its {len(words):,} words")
        index = self.bundle.vocab.index
        unknown = [word for word in dict.fromkeys(words[: self.limit]) if index.get(word, UNKNOWN) <= UNKNOWN]
        if unknown:
            named = ", ".join(word[:LONGEST] for word in unknown[:NAMED])
            more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
            remarks.append(f"not in the vocabulary: {named}{more}")
        return tuple(remarks)


def check(query: str) -> None:
    """Raises ValueError for a query that is blank, or not Unicode text."""
    if not query.strip():
        raise ValueError("query: got nothing, want a few words")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise ValueError("query: its bytes are not UTF-8, want text") from None
