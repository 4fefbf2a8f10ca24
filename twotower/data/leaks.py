"""What stands in a collection twice: in two splits, among queries and documents, within the corpus.

    412 of 901 dev queries (45.7 %) read the same as a train query; 37 more (4.1 %) nearly the same

What "the same" and "nearly" mean is in `matches`; no match is missed. A split that was learnt from, a query
that finds itself, a copy that was never judged: each moves a number that is meant to tell models apart.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from twotower.data import glimpse
from twotower.data.collection import Collection, Judgements
from twotower.data.matches import NOBODY, Mask, Matches
from twotower.text.ragged import Ragged, Rows

ORDER = ("train", "dev", "test")
"""Splits in the order in which a run meets them; others follow by name."""

QUERIES, RELEVANT = "{} queries", "documents relevant in {}"
SIDES = ((QUERIES, "a {} query"), (RELEVANT, "one relevant in {}"))
"""What is compared between splits: who they are, and one of the others."""


@dataclass(frozen=True)
class Example:
    """Two texts that read the same, or nearly; `id` is of the side that is counted."""

    id: str
    other_id: str
    same: bool
    text: str
    other_text: str


@dataclass(frozen=True)
class Leak:
    """How many texts of one side stand on another side too."""

    subject: str
    """Whom it is about, in the plural: `dev queries`."""
    other: str
    """Whom they read like: `a train query`."""
    texts: int
    same: int
    """How many read the same as a text of the other side."""
    shared: int
    """How many of these are on both sides, by their id."""
    near: int
    """How many more read nearly the same."""
    examples: tuple[Example, ...] = ()

    def __str__(self) -> str:
        """The counts as a sentence.

        >>> str(Leak("dev queries", "a train query", 200, 3, 0, 1))
        '3 of 200 dev queries (1.5 %) read the same as a train query; 1 more (0.5 %) nearly the same'
        """
        line = f"{self.same:,} of {self.texts:,} {self.subject} ({percent(self.same, self.texts)}) "
        line += f"{'reads' if self.same == 1 else 'read'} the same as {self.other}"
        if self.shared:
            line += f" ({self.shared:,} by the same id)"
        return f"{line}; {self.near:,} more ({percent(self.near, self.texts)}) nearly the same"


@dataclass(frozen=True)
class OwnText:
    """What is judged of the documents that read the same as a query."""

    relevant: int
    """Queries to which such a document is judged relevant."""
    not_relevant: int
    """Judged, and none of them relevant."""
    unjudged: int


@dataclass(frozen=True)
class Copies:
    """Documents that read the same as another."""

    documents: int
    groups: int
    """Texts that several documents have."""
    beyond_first: int
    """Documents that could go without a text being lost."""
    near: int
    """Documents that read nearly, and not quite, the same as another one."""
    unjudged: int
    """Relevant texts, query by query, of which some copy is not judged."""
    judged_apart: int
    """Texts, query by query, of which one copy is judged relevant and another one not."""
    examples: tuple[Example, ...] = ()


@dataclass(frozen=True)
class Leaks:
    """All of it."""

    between: tuple[Leak, ...]
    """Of each two splits: their queries, then their relevant documents."""
    queries: Leak
    """Queries that are documents too."""
    own_text: OwnText
    copies: Copies


def percent(part: float, whole: float) -> str:
    """A share to one decimal, or to one digit below that.

    >>> percent(1, 3), percent(1, 5000), percent(0, 0)
    ('33.3 %', '0.02 %', '0.0 %')
    """
    share = 100 * part / whole if whole else 0.0
    return f"{share:.1g} %" if 0 < share < 0.05 else f"{share:.1f} %"


def in_order(splits: Iterable[str]) -> list[str]:
    """Splits as a run meets them.

    >>> in_order(["dev", "extra", "test", "train"])
    ['train', 'dev', 'test', 'extra']
    """
    given = sorted(splits)
    return [*(split for split in ORDER if split in given), *(one for one in given if one not in ORDER)]


def find(
    collection: Collection, joined: Ragged, words: Ragged, *, threshold: float, min_grade: int, shown: int
) -> Leaks:
    """Compare every text with every other, and give `shown` examples of each leak, same and near apart.

    A document is its title and text, as a tower reads it: a query that equals the text alone is not seen.
    `joined` are the documents, then the queries (`near.joined`), `words` their sets (`near.word_sets`); two
    sets are near from the Jaccard similarity `threshold` on, a document is relevant from `min_grade` on.
    """
    judged = {split: collection.judgements(split) for split in in_order(collection.splits)}
    sides = _sides(collection, judged, min_grade)
    matches = Matches.find(joined, words, sides, threshold=threshold)
    ground = _Ground(collection, matches, shown)
    between = [
        ground.leak(subject.format(later), other.format(earlier), subject.format(earlier))
        for subject, other in SIDES
        for earlier, later in combinations(judged, 2)
    ]
    verdicts = _Verdicts.of(collection, judged.values(), matches.texts, min_grade)
    return Leaks(
        tuple(between),
        ground.leak("queries", "a document", "documents"),
        verdicts.own_text(ground.rows("queries"), matches),
        _copies(ground, verdicts),
    )


def _sides(collection: Collection, judged: Mapping[str, Judgements], min_grade: int) -> dict[str, Mask]:
    """Which rows, documents first, are on each side."""
    documents = len(collection.doc_ids)
    total = documents + len(collection.query_ids)
    rows = {"documents": np.arange(documents), "queries": np.arange(documents, total)}
    for split, pairs in judged.items():
        rows[QUERIES.format(split)] = documents + pairs.queries
        rows[RELEVANT.format(split)] = pairs.docs[pairs.grades >= min_grade]
    masks = {}
    for side, members in rows.items():
        masks[side] = np.zeros(total, dtype=np.bool_)
        masks[side][members] = True
    return masks


@dataclass(frozen=True, eq=False)
class _Ground:
    """Where the search takes place: rows are documents, then queries."""

    collection: Collection
    matches: Matches
    shown: int

    def rows(self, side: str) -> Rows:
        """The rows of a side."""
        return np.flatnonzero(self.matches.sides[side])

    def leak(self, subject: str, other: str, other_side: str) -> Leak:
        """How many rows of the side `subject` have a partner on the other."""
        rows = self.rows(subject)
        partners = self.matches.partners(rows, other_side)
        same = partners.same != NOBODY
        near = (partners.near != NOBODY) & ~same
        return Leak(
            subject,
            other,
            texts=len(rows),
            same=int(same.sum()),
            shared=int(self.matches.sides[other_side][rows[same]].sum()),
            near=int(near.sum()),
            examples=(
                *self.examples(rows[same], partners.same[same], True),
                *self.examples(rows[near], partners.near[near], False),
            ),
        )

    def examples(self, rows: Rows, others: Rows, same: bool) -> list[Example]:
        """The first few pairs of a row and its partner."""
        pairs = zip(rows[: self.shown].tolist(), others[: self.shown].tolist(), strict=True)
        return [
            Example(self._id(one), self._id(other), same, *glimpse.apart(self._text(one), self._text(other)))
            for one, other in pairs
        ]

    def _id(self, row: int) -> str:
        ids, query = self.collection.query_ids, row - len(self.collection.doc_ids)
        return ids[query] if query >= 0 else self.collection.doc_ids[row]

    def _text(self, row: int) -> str:
        collection, query = self.collection, row - len(self.collection.doc_ids)
        if query >= 0:
            return collection.query_texts[query]
        return f"{collection.doc_titles[row]} {collection.doc_texts[row]}"


@dataclass(frozen=True, eq=False)
class _Verdicts:
    """What is judged of each text, for each query: copies of a document taken together."""

    keys: Rows
    """Query row x texts + text, ascending, (n,)."""
    judged: Rows
    """Documents of that text judged for the query, in any split, (n,)."""
    relevant: Rows
    """How many of them are relevant, (n,)."""
    texts: int
    documents: int

    @staticmethod
    def of(collection: Collection, judged: Iterable[Judgements], texts: Rows, min_grade: int) -> "_Verdicts":
        """From the judgements of all splits; documents without words are left out."""
        documents, count = len(collection.doc_ids), int(texts.max(initial=0)) + 1
        parts = list(judged)
        none = np.empty(0, dtype=np.int64)
        queries, docs, grades = (
            np.concatenate([none, *(getattr(part, name) for part in parts)])
            for name in ("queries", "docs", "grades")
        )
        pairs, places = np.unique(queries * documents + docs, return_inverse=True)
        relevant = np.bincount(places, grades >= min_grade, minlength=len(pairs)) > 0
        queries, docs = pairs // documents, pairs % documents
        worded = texts[docs] != NOBODY
        keys, places = np.unique(queries[worded] * count + texts[docs[worded]], return_inverse=True)
        judged_count = np.bincount(places, minlength=len(keys))
        relevant_count = np.bincount(places, relevant[worded], minlength=len(keys)).astype(np.int64)
        return _Verdicts(keys, judged_count, relevant_count, count, documents)

    def own_text(self, rows: Rows, matches: Matches) -> OwnText:
        """What is judged of the documents that read the same as the queries at `rows`."""
        found = rows[matches.partners(rows, "documents").same != NOBODY]
        asked = (found - self.documents) * self.texts + matches.texts[found]
        places = np.flatnonzero(np.isin(self.keys, asked))
        relevant = int((self.relevant[places] > 0).sum())
        return OwnText(relevant, len(places) - relevant, len(asked) - len(places))


def _copies(ground: _Ground, verdicts: _Verdicts) -> Copies:
    rows, matches = ground.rows("documents"), ground.matches
    sizes = np.bincount(matches.texts[rows][matches.texts[rows] != NOBODY], minlength=verdicts.texts)
    partners = matches.partners(rows, "documents")
    near = partners.near != NOBODY
    copies = (partners.same != NOBODY) & (partners.same != rows)  # a partner is the first of its text
    some = verdicts.relevant > 0
    return Copies(
        documents=len(rows),
        groups=int((sizes > 1).sum()),
        beyond_first=int(copies.sum()),
        near=int(near.sum()),
        unjudged=int((some & (verdicts.judged < sizes[verdicts.keys % verdicts.texts])).sum()),
        judged_apart=int((some & (verdicts.relevant < verdicts.judged)).sum()),
        examples=(
            *ground.examples(rows[copies], partners.same[copies], True),
            *ground.examples(rows[near], partners.near[near], False),
        ),
    )
