"""What was asked: a line for each query, in a file that somebody chose to keep.

    {"time": "2026-11-24T08:00:00+00:00", "query": "read a csv", "ids": ["d7", "d3"], "scores": [0.71, 0.64],
     "percentiles": [99.9, 98.2], "unknown": [], "index": "docs@v0002", "checkpoint": "...", "seconds": 0.003}

A percentile is the share of random pairs of a query and a document that score lower: it says whether a hit is
one, whatever the model, and null where the index does not know.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from twotower.data import appended
from twotower.search.searcher import Answer


@dataclass(frozen=True)
class Asked:
    """A line."""

    time: str
    query: str
    ids: Sequence[str]
    """Of the hits, the best first."""
    scores: Sequence[float]
    percentiles: Sequence[float | None]
    unknown: Sequence[str]
    """Words of the query that the tower does not know."""
    index: str
    checkpoint: str
    seconds: float

    @staticmethod
    def of(answer: Answer, index: str, checkpoint: str) -> "Asked":
        """What is kept of an answer given now."""
        return Asked(
            time=datetime.now(UTC).isoformat(timespec="seconds"),
            query=answer.query,
            ids=[hit.doc_id for hit in answer.hits],
            scores=[hit.score for hit in answer.hits],
            percentiles=[hit.percentile for hit in answer.hits],
            unknown=list(answer.unknown),
            index=index,
            checkpoint=checkpoint,
            seconds=round(answer.seconds, 6),
        )


def write(path: Path, asked: Iterable[Asked]) -> None:
    """Add a line for each; a log is worth no wait for the disk."""
    appended.append(path, map(asdict, asked), durable=False)


def read(path: Path) -> tuple[list[Asked], int]:
    """The lines, oldest first, and how many are torn.

    Raises FileNotFoundError for no such file, and ValueError, with its line, for one of another kind.
    """
    lines, torn = appended.read(path)
    return [_asked(f"{path}:{number}", content) for number, content in lines], torn


def _asked(where: str, content: dict[str, object]) -> Asked:
    texts = {
        name: str(appended.field(where, content, name, str))
        for name in ("time", "query", "index", "checkpoint")
    }
    hits = {name: appended.field(where, content, name, list) for name in ("ids", "scores", "unknown")}
    percentiles = appended.field(where, {"percentiles": []} | content, "percentiles", list)
    numbers = [*hits["scores"], *(one for one in percentiles if one is not None)]
    if not all(isinstance(one, int | float) for one in numbers):
        raise ValueError(f"{where}: scores and percentiles: got something else among them, want numbers")
    if not all(isinstance(one, str) for one in (*hits["ids"], *hits["unknown"])):
        raise ValueError(f"{where}: ids and unknown: got something else among them, want texts")
    seconds = float(appended.field(where, content, "seconds", (int, float)))
    return Asked(percentiles=percentiles, seconds=seconds, **texts, **hits)  # type: ignore[arg-type]  # by name
