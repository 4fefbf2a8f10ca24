"""Which queries of a split failed, why, what to try, and what another model does with them.

    1,188 queries, 412 failed: 148 lost (below 100), 264 buried (between 10 and 100)
    unknown words 96 (23 % of the failed, 4 % of the found): q12 "what is xylitol"   ->   min_count=1

A query has failed whose first relevant document is not among the first k hits. It may have several causes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from twotower.evaluation.metrics import Ints
from twotower.evaluation.placed import Mask, Placed
from twotower.evaluation.reasons import CAUSES, Evidence, Found
from twotower.evaluation.remedies import Remedy

CUT = 0.95
"""Share of the documents cut too early that a new limit is to hold whole."""


@dataclass(frozen=True, eq=False)
class Diagnosis:
    """What went wrong with which queries, in the order of the evidence."""

    evidence: Evidence
    depth: int
    query_ids: Sequence[str]
    query_texts: Sequence[str]
    examples: int
    """Queries shown of each kind."""

    @cached_property
    def failed(self) -> Mask:
        """(Q,)."""
        return self.evidence.placed.rank > self.evidence.k

    @cached_property
    def lost(self) -> Mask:
        """Of the failed ones, those whose document is below the depth, (Q,)."""
        return self.failed & (self.evidence.placed.rank > self.depth)

    @cached_property
    def found(self) -> Mapping[str, Found]:
        """What was measured of every query, by cause."""
        return {cause: find(self.evidence) for cause, (_, find) in CAUSES.items()}

    @cached_property
    def signs(self) -> Ints:
        """How many causes each query has, (Q,)."""
        counts = np.zeros(len(self.failed), dtype=np.int64)
        for measured in self.found.values():
            counts[list(measured)] += 1
        return counts

    def longest(self) -> int:
        """Words of the documents that were cut too early, nearly all of them; 0 where none was."""
        cut = [place for place in self.found["truncated"] if self.failed[place]]
        lengths = self.evidence.docs.lengths[self.evidence.placed.gold[cut]]
        return int(np.quantile(lengths, CUT, method="higher")) if len(cut) else 0

    def document(self, remedy: Callable[[str], Remedy]) -> dict[str, Any]:
        """Counts and causes in plain types, the most frequent cause first."""
        causes = [self._cause(cause, remedy(cause)) for cause in CAUSES]
        failed, lost = int(self.failed.sum()), int(self.lost.sum())
        return {
            "k": self.evidence.k,
            "depth": self.depth,
            "judged": len(self.failed),
            "failed": failed,
            "lost": lost,
            "buried": failed - lost,
            "causes": sorted(causes, key=lambda cause: -cause["queries"]),
            "unexplained": int((self.failed & (self.signs == 0)).sum()),
        }

    def _cause(self, cause: str, remedy: Remedy) -> dict[str, Any]:
        measured = self.found[cause]
        places = [place for place in measured if self.failed[place]]
        failed, fine = int(self.failed.sum()), int((~self.failed).sum())
        # those that it alone explains show it best
        shown = sorted(places, key=lambda place: (self.signs[place], place))[: self.examples]
        return {
            "cause": cause,
            "title": CAUSES[cause][0],
            "queries": len(places),
            "share": len(places) / failed if failed else 0.0,
            "among_found": (len(measured) - len(places)) / fine if fine else 0.0,
            "knob": remedy.knob,
            "command": remedy.command,
            "examples": [self._example(place) | {"said": measured[place]} for place in shown],
        }

    def _example(self, place: int) -> dict[str, Any]:
        placed = self.evidence.placed
        return {
            "query_id": self.query_ids[place],
            "query": self.query_texts[place],
            "doc_id": self.evidence.doc_ids[placed.gold[place]],
            "rank": _rank(placed, place, self.depth),
        }

    def against(self, other: Placed) -> dict[str, Any]:
        """The same queries under another model: `fixed` failed there and not here, `broken` the other way.

        ValueError for a ranking of other queries.
        """
        if len(other.rank) != len(self.failed):
            raise ValueError(f"against: {len(other.rank)} judged queries, want the same {len(self.failed)}")
        before, now = other.rank > self.evidence.k, self.failed
        fixed, broken = (np.flatnonzero(mask).tolist() for mask in (before & ~now, now & ~before))
        examples = {
            way: [
                self._example(place) | {"rank_against": _rank(other, place, self.depth)}
                for place in sorted(places, key=lambda place: -abs(self._moved(other, place)))[
                    : self.examples
                ]
            ]
            for way, places in (("fixed", fixed), ("broken", broken))
        }
        return {
            "fixed": len(fixed),
            "broken": len(broken),
            "unchanged_good": int((~before & ~now).sum()),
            "unchanged_bad": int((before & now).sum()),
            "examples": examples,
        }

    def _moved(self, other: Placed, place: int) -> float:
        """Ranks by which a query moved, as a ratio's log: from 30 to 10 counts as from 3 to 1."""
        return math.log(other.rank[place] / self.evidence.placed.rank[place])


def _rank(placed: Placed, place: int, depth: int) -> int | None:
    """A rank as it is shown: None below the depth, where it is not known."""
    rank = math.ceil(placed.rank[place])
    return rank if rank <= depth else None
