"""An answer as it is printed: lines for a reader, a JSON document, lines of a TREC run.

1  0.7132  99.98%  csv.reader  Reading files
   … return a reader object which will process lines from the given csv file …
   the same: csv.DictReader
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from twotower import show
from twotower.search import moved
from twotower.search.explain import Explanation, Share, Side
from twotower.search.moved import Moved
from twotower.search.queries import Query
from twotower.search.searcher import Answer, Hit
from twotower.search.snippets import Snippet, snippets
from twotower.show import Grid, Line

INDENT = 4
TITLE = 160
"""Characters shown of a title."""
SHARES = 12
"""Words of a text named with what they add."""
MILLION = 1_000_000
NAMED = 5
"""Documents named that read the same as a hit."""
MARK = "bold magenta"
SHADES = ((99.9, 0.6, "bold green"), (99.0, 0.4, "green"), (90.0, 0.2, "yellow"))
"""From which percentile, or where there is none from which cosine, a score is of which colour."""
WORST = "red"


def lines(answer: Answer) -> Iterator[Line]:
    """For a reader: rank, score to four places, percentile, id, title, and what speaks of the query."""
    parts = snippets([hit.text for hit in answer.hits], answer.query)
    for hit, part in zip(answer.hits, parts, strict=True):
        yield Line(_head(hit))
        if part.text:
            yield Line(_marked(part), INDENT)
        if hit.duplicates:
            yield Line([(f"the same: {_listed(hit.duplicates)}", "dim")], INDENT)


def _head(hit: Hit) -> list[tuple[str, str]]:
    shade = _shade(hit)
    pieces = [(f"{hit.rank:>2}  ", ""), (f"{hit.score:.4f}", shade)]
    if hit.percentile is not None:
        pieces.append((f"  {percent(hit.percentile)}", shade))
    pieces.append((f"  {hit.doc_id}", "bold"))
    if hit.title.strip():
        pieces.append((f"  {show.cut(hit.title, TITLE)}", ""))
    if hit.cosine is not None and hit.bm25 is not None:
        pieces.append((f"  (cosine {hit.cosine:.4f}, BM25 {hit.bm25:.2f})", "dim"))
    if hit.source:
        pieces.append((f"  [{hit.source}]", "dim"))
    return pieces


def _shade(hit: Hit) -> str:
    for percentile, cosine, shade in SHADES:
        reached = hit.score >= cosine if hit.percentile is None else hit.percentile >= percentile
        if reached:
            return shade
    return WORST


def percent(percentile: float) -> str:
    """A percentile of four figures, rounded down, so that only the highest of all is 100.

    >>> percent(99.999), percent(50.0), percent(100.0)
    ('99.99%', '50.00%', '100.0%')
    """
    return "100.0%" if percentile >= 100 else f"{int(percentile * 100) / 100:.2f}%"


def _marked(part: Snippet) -> list[tuple[str, str]]:
    pieces = []
    at = 0
    for start, end in part.marks:
        pieces += [(part.text[at:start], ""), (part.text[start:end], MARK)]
        at = end
    return [*pieces, (part.text[at:], "")]


def _listed(ids: Sequence[str]) -> str:
    more = f" and {len(ids) - NAMED:,} more" if len(ids) > NAMED else ""
    return ", ".join(ids[:NAMED]) + more


def heading(query: Query) -> Line:
    """Above the hits of one query of several."""
    return Line([(f"{query.id}: {show.cut(query.text, TITLE)}", "bold")])


def beside(ours: Answer, theirs: Answer, names: tuple[str, str]) -> Grid:
    """Two answers to one query, and what moved from the first to the second."""
    rows = []
    for one in moved.side_by_side(ours, theirs):
        hit = one.first or one.second
        assert hit is not None  # it is in one of them
        title = f"  {show.cut(hit.title, TITLE // 4)}" if hit.title.strip() else ""
        rows.append([f"{one.doc_id}{title}", *_place(one.first), *_place(one.second), _moved(one)])
    both, most = moved.overlap(ours, theirs), max(len(ours.hits), len(theirs.hits))
    heading = f"{both} of {most} hits in both: {names[0]}, then {names[1]}"
    return Grid(heading, ["document", "first", "score", "second", "score ", "moved"], rows)


def _place(hit: Hit | None) -> list[str]:
    return [str(hit.rank), f"{hit.score:.4f}"] if hit else ["", ""]


def _moved(one: Moved) -> str:
    if one.up is None:
        return "gone" if one.first else "new"
    return f"up {one.up}" if one.up > 0 else f"down {-one.up}" if one.up < 0 else "="


def why(found: Explanation, hit: Hit) -> Iterator[Line]:
    """What each word adds: on either side what is printed adds up to the score that is printed."""
    yield Line([(f"{hit.doc_id}", "bold"), (f"  cosine {found.score:.6f}, by {found.method}", "")])
    for name, side in (("query", found.query), ("document", found.document)):
        yield Line([(f"{name}:", "bold"), *_shares(side, round(found.score * MILLION))], INDENT)
        if side.cut:
            yield Line([(f"{side.cut:,} more words were not read", "dim")], INDENT)


def _shares(side: Side, score: int) -> Iterator[tuple[str, str]]:
    """In millionths, so that rounding is in the remainder."""
    shown, others = side.shares[:SHARES], side.shares[SHARES:]
    rows = [(_called(one), one.adds) for one in shown]
    if others:
        rows.append((f"{len(others):,} other words", sum(one.adds for one in others)))
    counted = [(name, round(adds * MILLION)) for name, adds in rows]
    counted.append(("remainder", score - sum(adds for _, adds in counted)))
    for name, adds in counted:
        yield f"  {name} ", ""
        yield f"{adds / MILLION:+.6f}", "green" if adds > 0 else "red" if adds < 0 else "dim"


def _called(one: Share) -> str:
    times = f" x{one.times}" if one.times > 1 else ""
    return f"{one.word[:TITLE]}{times}{'' if one.known else ' (unknown)'}"


def near(words: Sequence[tuple[str, float]]) -> list[Line]:
    """Words and their cosines."""
    pieces = (((f"{word} ", ""), (f"{cosine:.2f}  ", "dim")) for word, cosine in words)
    return [Line([piece for pair in pieces for piece in pair], INDENT)]


def content(answer: Answer, checkpoint: str, index: str = "", query_id: str = "") -> dict[str, Any]:
    """For programs: what `format=json` prints."""
    named = {"query_id": query_id} if query_id else {}
    return {
        **named,
        "query": answer.query,
        "checkpoint": checkpoint,
        **({"index": index} if index else {}),
        "seconds": round(answer.seconds, 6),
        "hits": [_content(hit) for hit in answer.hits],
    }


def _content(hit: Hit) -> dict[str, Any]:
    """All of it; what only a hybrid search has is left out of another."""
    return {
        name: value
        for name, value in asdict(hit).items()
        if value is not None or name not in ("cosine", "bm25")
    }


def trec(answer: Answer, query_id: str, tag: str) -> list[str]:
    """Lines of a TREC run: query, Q0, document, rank, score, tag.

    Raises ValueError for an id that has white space in it: the format has no place for that.
    """
    check_ids([query_id, *(hit.doc_id for hit in answer.hits)])
    tag = "_".join(tag.split()) or "twotower"
    return [f"{query_id} Q0 {hit.doc_id} {hit.rank} {hit.score!r} {tag}" for hit in answer.hits]


def check_ids(ids: Iterable[str]) -> None:
    """Raises ValueError for an id that a line of a TREC run cannot hold."""
    for one in ids:
        if not one.isprintable() or len(one.split()) != 1:
            raise ValueError(
                f"format=trec: {one!r} has white space or control characters in it, and TREC's lines have no "
                "place for that; want format=json"
            )
