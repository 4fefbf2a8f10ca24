"""Two answers to one query beside each other: what stands where in each.

side_by_side(first, second)  ->  [Moved("d7", 1, 3, ...), Moved("d9", None, 1, ...), ...]
"""

from dataclasses import dataclass

from twotower.search.searcher import Answer, Hit


@dataclass(frozen=True)
class Moved:
    """A document of either answer."""

    doc_id: str
    first: Hit | None
    """Where it is in the first answer; None where it is not."""
    second: Hit | None

    @property
    def up(self) -> int | None:
        """Ranks that it stands higher in the second answer, negative for lower; None where one lacks it."""
        return self.first.rank - self.second.rank if self.first and self.second else None


def side_by_side(first: Answer, second: Answer) -> list[Moved]:
    """Every document of both: by its better rank, then by that in the first answer, then by id."""
    ours = {hit.doc_id: hit for hit in first.hits}
    theirs = {hit.doc_id: hit for hit in second.hits}
    every = [Moved(doc_id, ours.get(doc_id), theirs.get(doc_id)) for doc_id in ours | theirs]
    return sorted(every, key=_order)


def overlap(first: Answer, second: Answer) -> int:
    """How many documents both answers have."""
    return sum(one.up is not None for one in side_by_side(first, second))


def _order(one: Moved) -> tuple[float, float, str]:
    ranks = [hit.rank if hit else float("inf") for hit in (one.first, one.second)]
    return min(ranks), ranks[0], one.doc_id
