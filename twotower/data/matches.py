"""Which texts of a collection read the same as another, or nearly the same.

    "The cat sat."  "the cat sat"         the same: equal words in equal order, as the tokenizer finds them
    "The cat sat."  "the cat sat there"   nearly: sets of words with a Jaccard similarity of `near` or more

A text without words is like no other. Nothing is estimated: no match is missed and none is false (`near`).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from twotower.data import near
from twotower.text.ragged import Ragged, Rows

NOBODY = -1

Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Partners:
    """For each row that was asked for, a text of the other side, or `NOBODY`."""

    same: Rows
    """A text that reads the same."""
    near: Rows
    """One that reads nearly the same, and not quite."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Texts, of which several sides are told apart; a text may be on several of them."""

    texts: Rows
    """A number for each text, the same for those that read the same, (rows,); `NOBODY` without words."""
    sets: Rows
    """The same for equal sets of words, (rows,)."""
    sides: Mapping[str, Mask]
    """Which rows are on each side, (rows,)."""
    beside: Mapping[str, Rows]
    """For each set of words a row of that side whose set is another and similar, or `NOBODY`, (sets,)."""

    @staticmethod
    def find(joined: Ragged, words: Ragged, sides: Mapping[str, Mask], *, threshold: float) -> "Matches":
        """Compare all texts, `joined`, with all; `words` are their `near.word_sets`."""
        worded = joined.lengths > 0
        sets = near.labels(words)
        firsts = np.unique(sets, return_index=True)[1]
        members = {side: _first(sets, np.flatnonzero(mask & worded)) for side, mask in sides.items()}
        beside = {side: np.full(len(firsts), NOBODY) for side in sides}
        for one, other in near.similar(words.take(firsts), threshold):
            for side, member in members.items():
                _note(beside[side], one, member[other])
                _note(beside[side], other, member[one])
        return Matches(np.where(worded, near.labels(joined), NOBODY), sets, dict(sides), beside)

    def partners(self, rows: Rows, side: str) -> Partners:
        """Who on `side` reads the same as each of `rows`, itself included, and who nearly the same."""
        there = np.flatnonzero(self.sides[side] & (self.texts != NOBODY))
        worded = self.texts[rows] != NOBODY
        same = _first(self.texts, there)[self.texts[rows]]
        found = self.beside[side][self.sets[rows]]
        # among equal sets of words in other orders, the first text and the last differ if any two do
        by_text = there[np.argsort(self.texts[there], kind="stable")]
        for ordered in (by_text, by_text[::-1]):
            mate = _first(self.sets, ordered)[self.sets[rows]]
            differs = (mate != NOBODY) & (self.texts[mate] != self.texts[rows])
            found = np.where(differs, mate, found)
        return Partners(np.where(worded, same, NOBODY), np.where(worded, found, NOBODY))


def _first(labels: Rows, rows: Rows) -> Rows:
    """For each label its first row among `rows`, or `NOBODY`, (labels,)."""
    first = np.full(int(labels.max(initial=0)) + 1, NOBODY)
    first[labels[rows[::-1]]] = rows[::-1]  # of several the last one stays
    return first


def _note(beside: Rows, sets: Rows, rows: Rows) -> None:
    """Write down the rows that are there."""
    there = rows != NOBODY
    beside[sets[there]] = rows[there]
