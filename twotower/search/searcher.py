"""A query to hits: tokenise, encode, search, fetch the documents' texts.

    "read a csv file"  ->  Answer(hits=[Hit(1, "csv.reader", 0.7132, "", "..."), ...], seconds of each step)

Nothing here imports torch: over an MLP tower the encoder is NumPy's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from twotower.search import calibration, spelling
from twotower.search.exact import Rows
from twotower.search.finding import Finder, Options, Ranked
from twotower.search.index import Index
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import UNKNOWN

if TYPE_CHECKING:  # torch
    from twotower.model.two_tower import TwoTower

Encode = Callable[[Ragged], NDArray[np.float32]]
"""Ids of queries, truncated, to unit vectors (Q, D)."""

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
    """By which the hits are ordered: the cosine of query and document; in a hybrid search the fused score."""
    title: str
    text: str
    source: str = ""
    percentile: float | None = None
    """Percent of random pairs of a query and a document whose cosine is lower; None where that is unknown."""
    duplicates: tuple[str, ...] = ()
    """Other documents with the same title and text, where they were merged."""
    cosine: float | None = None
    """In a hybrid search."""
    bm25: float | None = None
    """In a hybrid search."""


@dataclass(frozen=True)
class Answer:
    """The hits, best first, and how they came about."""

    query: str
    hits: tuple[Hit, ...]
    encode_seconds: float
    """Of several queries answered together, each has its share."""
    search_seconds: float
    text_seconds: float
    remarks: tuple[str, ...]
    """What of the query the tower could not read, a line each."""
    unknown: tuple[str, ...] = ()
    """Words of the query that are not in the vocabulary, each once."""

    @property
    def seconds(self) -> float:
        """From the query's text to its hits."""
        return self.encode_seconds + self.search_seconds + self.text_seconds


class Searcher:
    """Answers queries over one index."""

    def __init__(
        self,
        index: Index,
        encode: Encode,
        device: str,
        two_tower: "TwoTower | None" = None,
        cache_dir: Path | None = None,
    ) -> None:
        """`device` is where `encode` computes, for people to read; `two_tower` is there where torch encodes.

        `cache_dir` keeps what a hybrid search builds; without it, it is built for each searcher.
        """
        self.index = index
        self.encode = encode
        self.device = device
        self.two_tower = two_tower
        self.finder = Finder(index, cache_dir, lambda line: None)
        self.name = index.name
        self.tokenizer = Tokenizer(index.manifest["pattern"])
        self.limit = int(index.manifest["max_query_words"])

    def __len__(self) -> int:
        return len(self.index)

    @property
    def sources(self) -> dict[str, int]:
        """Documents of each source, by name."""
        return self.finder.sources

    def check(self, options: Options) -> None:
        """Raises ValueError for an unknown source or mode."""
        self.finder.check(options)

    def search(self, query: str, k: int, options: Options = Options()) -> Answer:  # noqa: B008  - frozen
        """The `k` documents nearest to the query (all, if there are fewer), equal scores by id.

        Raises ValueError for a query that is blank or not Unicode text, and as `check` does.
        """
        return self.search_many([query], k, options)[0]

    def search_many(
        self,
        queries: Sequence[str],
        k: int,
        options: Options = Options(),  # noqa: B008  - frozen
    ) -> list[Answer]:
        """As `search` for each query, and quicker for many of them."""
        for query in queries:
            check(query)
        self.finder.check(options)
        start = perf_counter()
        tokens = self.tokenizer.tokenize(queries)
        vectors = self.encode(self.index.vocab.encode(tokens, self.limit))
        encoded = perf_counter()
        ranked = self.finder.find(vectors, [tokens[i] for i in range(len(queries))], k, options)
        searched = perf_counter()
        hits = [self._hits(one, k, options) for one in ranked]
        done = perf_counter()
        answers = []
        for i, query in enumerate(queries):
            unknown = self._unknown(tokens[i])
            answers.append(
                Answer(
                    query=query,
                    hits=hits[i],
                    encode_seconds=(encoded - start) / len(queries),
                    search_seconds=(searched - encoded) / len(queries),
                    text_seconds=(done - searched) / len(queries),
                    remarks=self._remarks(tokens[i], unknown),
                    unknown=unknown,
                )
            )
        return answers

    def _hits(self, ranked: Ranked, k: int, options: Options) -> tuple[Hit, ...]:
        places = (
            self._merged(ranked.rows) if options.merge else {int(row): i for i, row in enumerate(ranked.rows)}
        )
        shown = sorted(places.values())[:k]
        rows = ranked.rows[shown].tolist()
        documents = self.index.documents.get([self.index.ids[row] for row in rows])
        kept = self.index.manifest.get("quantiles")
        hits = []
        for rank, (place, row, one) in enumerate(zip(shown, rows, documents, strict=True), start=1):
            cosine = float(ranked.cosines[place])
            hits.append(
                Hit(
                    rank=rank,
                    doc_id=one.id,
                    score=float(ranked.scores[place]),
                    title=one.title,
                    text=one.text,
                    source=one.source,
                    percentile=calibration.percentile(kept, cosine) if kept else None,
                    duplicates=self.finder.others(row) if options.merge else (),
                    cosine=cosine if options.hybrid else None,
                    bm25=float(ranked.bm25[place]) if ranked.bm25 is not None else None,
                )
            )
        return tuple(hits)

    def _merged(self, rows: Rows) -> dict[int, int]:
        """Where the first of each text stands."""
        places: dict[int, int] = {}
        for place, first in enumerate(self.index.duplicates[rows].tolist()):
            places.setdefault(first, place)
        return places

    def _unknown(self, words: Sequence[str]) -> tuple[str, ...]:
        index = self.index.vocab.index
        some = dict.fromkeys(words[: self.limit])
        return tuple(word for word in some if index.get(word, UNKNOWN) <= UNKNOWN)

    def _remarks(self, words: Sequence[str], unknown: Sequence[str]) -> tuple[str, ...]:
        if not words:
            return ("no word in the query: the hits mean nothing",)
        remarks = []
        if len(words) > self.limit:
            remarks.append(f"query cut after {self.limit} of its {len(words):,} words")
        if unknown:
            named = ", ".join(self._named(word) for word in unknown[:NAMED])
            more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
            remarks.append(f"not in the vocabulary: {named}{more}")
        return tuple(remarks)

    def _named(self, word: str) -> str:
        """The word, and known ones that are spelled like it."""
        near = spelling.like(word, self.index.vocab)
        return f"{word[:LONGEST]} (known: {', '.join(near)})" if near else word[:LONGEST]


def check(query: str) -> None:
    """Raises ValueError for a query that is blank, or not Unicode text."""
    if not query.strip():
        raise ValueError("query: got nothing, want a few words")
    try:
        query.encode()
    except UnicodeEncodeError:
        raise ValueError("query: its bytes are not UTF-8, want text") from None
