"""Each query's own list of documents, which `candidates=own` ranks instead of the corpus.

    judged      query 7: 7_0 (1), 7_1 (0), 7_2 (0)   query 9: 9_0 (0), 9_1 (1)       grades in brackets
    Lists       queries [7, 9]   docs [7_0 7_1 7_2 9_0 9_1]   offsets [0 3 5]        all of them rows

A short list is easy: chance alone has MRR H(n)/n over n documents of which one is relevant. So the lists are
part of the protocol, by a hash of their ids, and chance is computed over these very lists.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from twotower.data.collection import Collection, Judgements

Ints = NDArray[np.int64]

WHOLE_LIST = ("recall", "success")
"""Metrics that no model moves once the cut-off takes in the whole list."""


@dataclass(frozen=True, eq=False)
class Lists:
    """What each query ranks; no list is empty and none names a document twice."""

    queries: Ints
    """The distinct query rows, ascending, (Q,)."""
    docs: Ints
    """Rows of the documents, list after list, ascending in each, (candidates,)."""
    offsets: Ints
    """List i is `docs[offsets[i]:offsets[i + 1]]`, (Q + 1,)."""

    @staticmethod
    def of(queries: Ints, docs: Ints) -> "Lists":
        """From pairs of a query row and a document row in any order, (candidates,) each."""
        order = np.lexsort((docs, queries))
        rows, first = np.unique(queries[order], return_index=True)
        return Lists(rows, docs[order], np.append(first, len(docs)).astype(np.int64))

    @property
    def sizes(self) -> Ints:
        """Documents in each list, (Q,)."""
        return np.diff(self.offsets)

    @property
    def most(self) -> int:
        """Documents in the longest list."""
        return int(self.sizes.max())

    @property
    def mean(self) -> float:
        """Documents in a list, on average."""
        return float(self.sizes.mean())

    @cached_property
    def members(self) -> Ints:
        """The distinct document rows of all lists, ascending: the documents to encode."""
        return np.unique(self.docs)

    @cached_property
    def numbers(self) -> Ints:
        """Which list each candidate stands in, from 0, (candidates,)."""
        return np.repeat(np.arange(len(self.queries)), self.sizes)

    def each(self) -> Iterator[Ints]:
        """The document rows of one list after another."""
        return iter(np.split(self.docs, self.offsets[1:-1]))


def judged(judgements: Judgements) -> Lists:
    """Each query's judged documents, whatever the grade."""
    return Lists.of(judgements.queries, judgements.docs)


def check(lists: Lists, judgements: Judgements, *, min_grade: int, where: str) -> int:
    """How many relevant documents the lists lack, all of which count as missed.

    ValueError, beginning with `where`, if no list holds both a relevant document and another: then all models
    score the same.
    """
    relevant = judgements.grades >= min_grade
    width = int(max(lists.docs.max(), judgements.docs.max())) + 1
    wanted = judgements.queries[relevant] * width + judgements.docs[relevant]
    inside = np.isin(lists.queries[lists.numbers] * width + lists.docs, wanted)
    found = np.bincount(lists.numbers[inside], minlength=len(lists.queries))
    if not np.any((found > 0) & (found < lists.sizes)):
        raise ValueError(
            f"{where}: candidates=own: none of {len(lists.queries)} lists ({lists.mean:.1f} documents each) "
            "holds both a relevant document and another, so every model would score the same; want documents "
            f"judged below {min_grade}, candidates_file=run.txt or candidates=full"
        )
    return int(relevant.sum() - inside.sum())


def digest(lists: Lists, collection: Collection) -> str:
    """Twelve hexadecimal digits over the ids in the lists."""
    made = hashlib.sha256()
    for query, docs in zip(lists.queries.tolist(), lists.each(), strict=True):
        ids = [collection.doc_ids[doc] for doc in docs.tolist()]
        made.update(json.dumps([collection.query_ids[query], ids]).encode())
    return made.hexdigest()[:12]


def fixed(names: Iterable[str], most: int) -> list[str]:
    """Those metrics that all models share over lists of at most `most` documents; none if that is 0.

    >>> fixed(["mrr_10", "recall_5", "recall_10", "success_10"], 8)
    ['recall_10', 'success_10']
    """
    parts = ((name, *name.rpartition("_")[::2]) for name in names)
    return [
        name
        for name, stem, cut in parts
        if most and stem in WHOLE_LIST and cut.isdigit() and int(cut) >= most
    ]


def remark(metrics: Mapping[str, float], most: int) -> str:
    """Which of the measured metrics say nothing about the model, in a line; empty if all say something.

    >>> remark({"mrr_10": 0.4, "recall_10": 1.0}, 8)
    'recall_10: at most 8 candidates a query, 1.0 for every model'
    >>> remark({"recall_10": 0.9, "recall_50": 0.9, "recall_100": 0.9}, 8)
    'recall_10 and beyond: at most 8 candidates a query, the same for every model'
    """
    names = fixed(metrics, most)
    if not names:
        return ""
    value = "1.0" if all(metrics[name] > 1 - 1e-9 for name in names) else "the same"
    first: dict[str, str] = {}
    for name in sorted(names, key=lambda name: int(name.rpartition("_")[2])):
        first.setdefault(name.rpartition("_")[0], name)
    listed = ", ".join(first.values()) + (" and beyond" if len(names) > len(first) else "")
    return f"{listed}: at most {most} candidates a query, {value} for every model"
