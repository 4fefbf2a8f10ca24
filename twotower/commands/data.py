"""`twotower data`: what a collection holds and what leaks between its splits; and it as a BEIR folder."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from twotower import show
from twotower.config import Data, TableFormat
from twotower.data import beir, reader, report
from twotower.data.leaks import Copies, Example, Leak, Leaks, OwnText, percent
from twotower.data.report import Report
from twotower.data.survey import Sample, Spread
from twotower.show import Grid


def run(cfg: Data) -> int:
    """Print the report; where `out` names a folder, write the collection first."""
    collection = reader.read(cfg.data, Path(cfg.cache_dir))
    if cfg.out:
        beir.write(collection, Path(cfg.out).expanduser())
        show.talk(f"{collection.name}: written to {cfg.out}, content hash {collection.hash}")
    found = report.build(cfg, collection)
    match cfg.format:
        case TableFormat.json:
            show.document(report.plain(found))
        case TableFormat.csv:
            show.grid(Grid("", ["what", "value"], list(_flat(report.plain(found)))), "csv")
        case _:
            _page(found, cfg)
    return 0


def _flat(content: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """A document as rows of dotted name and value.

    >>> list(_flat({"a": {"b": 1}, "c": ["x"]}))
    [('a.b', '1'), ('c.0', 'x')]
    """
    if isinstance(content, (list, tuple)):
        content = dict(enumerate(content))
    if not isinstance(content, dict):
        yield name, "" if content is None else str(content)
        return
    for key, value in content.items():
        yield from _flat(value, f"{name}.{key}" if name else str(key))


def _page(found: Report, cfg: Data) -> None:
    """The report for a reader: tables, and lines between them."""
    collection, form = found.collection, cfg.format.value
    counts = f"{len(collection.doc_ids):,} documents, {len(collection.query_ids):,} queries"
    _lines([f"{collection.name}: {counts}", f"content hash {collection.hash}"], form)
    _grid(_files(found), form)
    _lines(_read(found), form)
    _grid(_splits(found), form)
    _lines([*_judged(found), *found.warnings], form)
    _grid(_lengths(found), form)
    _grid(_words(found), form)
    if found.without_vector:
        frequent = ", ".join(f"{word} ({count:,})" for word, count in found.without_vector.items())
        _lines([f"most frequent without a vector: {frequent}"], form)
    _grid(_overlaps(found), form)
    near = f"leaks; nearly the same: a Jaccard similarity of the sets of words of {cfg.near:g} or more"
    _lines(_leaks(found.leaks), form, heading=near)
    _lines(_samples(found.samples), form, heading="samples")


def _grid(table: Grid, form: str) -> None:
    if table.rows:
        show.grid(table, form)


def _lines(lines: Iterable[str], form: str, heading: str = "") -> None:
    """Lines as a paragraph or, where two blanks begin them, beneath the line before; in Markdown a list."""
    shown = [show.printable(line) for line in lines]
    if form == "markdown":
        shown = [f"{'  - ' if line.startswith('  ') else '- '}{line.strip()}" for line in shown]
    if shown:
        show.result(
            "\n".join(
                [*([f"**{heading}**" if form == "markdown" else heading, ""] if heading else []), *shown, ""]
            )
        )


def _files(found: Report) -> Grid:
    rows = []
    for file in found.collection.files:
        skipped = sum(file.skipped.values())
        counts = (file.lines, file.kept, skipped, file.lines - file.kept - skipped)
        rows.append([file.file, *(f"{count:,}" for count in counts)])
    return Grid("files", ["file", "lines", "kept", "skipped", "header, blank"], rows)


def _read(found: Report) -> Iterator[str]:
    """What reading it settled and left out."""
    yield from found.collection.remarks
    yield from (str(file) for file in found.collection.files if file.skipped)


def _splits(found: Report) -> Grid:
    rows = []
    for row in found.splits:
        counts = (row.queries, row.unanswered, row.judged, row.relevant, row.not_relevant)
        rows.append([row.split, *(f"{count:,}" for count in counts)])
    columns = ["split", "queries", "unanswered", "judgements", "relevant", "not relevant"]
    return Grid("judgements (unanswered: nothing is relevant)", columns, rows)


def _judged(found: Report) -> Iterator[str]:
    for row in found.splits:
        if not {0, 1}.issuperset(row.grades):
            grades = ", ".join(f"{count:,} of grade {grade}" for grade, count in row.grades.items())
            yield f"{row.split}: {grades}"
    judged = found.judged
    yield (
        f"documents: {judged.documents_judged:,} judged, {judged.documents_relevant:,} of them relevant to "
        f"some query; {judged.documents_never_judged:,} never judged"
    )
    yield f"queries judged in no split: {judged.queries_in_no_split:,}"


def _lengths(found: Report) -> Grid:
    rows = []
    for row in found.lengths:
        cut = [f"{row.limit:,}", f"{row.cut:,}", percent(row.lost, 1)] if row.limit else ["", "", ""]
        rows.append([row.what, "words", *_spread(row.words), f"{row.wordless:,}", *cut])
        rows.append(["", "characters", *_spread(row.characters), "", "", "", ""])
    spread = ["least", "median", "mean", "95 %", "most"]
    columns = ["texts", "in", *spread, "wordless", "limit", "cut", "lost"]
    heading = "lengths (limit: the words that train reads by default; lost: share of all words beyond)"
    return Grid(heading, columns, rows, spare=["lost", "wordless"])


def _spread(spread: Spread) -> list[str]:
    whole = [f"{value:,.0f}" for value in (spread.least, spread.high, spread.most)]
    median = f"{spread.median:,.1f}".removesuffix(".0")  # the middle of two may be a half
    return [whole[0], median, f"{spread.mean:,.1f}", *whole[1:]]


def _words(found: Report) -> Grid:
    rows = []
    for row in found.words:
        counts = (f"{count:,}" for count in (row.distinct, row.once, row.running))
        rows.append([row.what, *counts, _share(row.covered), _share(row.covered_running)])
    columns = ["texts", "distinct", "once", "running", "covered", "running covered"]
    return Grid(f"words, and those that the vectors {found.vectors} cover", columns, rows)


def _share(value: float | None) -> str:
    return "" if value is None else percent(value, 1)


def _overlaps(found: Report) -> Grid:
    rows = [
        [row.split, f"{row.pairs:,}", percent(row.relevant, 1), percent(row.random, 1)]
        for row in found.overlaps
    ]
    columns = ["split", "relevant pairs", "in its relevant document", "in a random one"]
    return Grid("share of a query's words that stand", columns, rows)


def _leaks(leaks: Leaks) -> Iterator[str]:
    for leak in leaks.between:
        yield from _leak(leak)
    yield from _leak(leaks.queries)
    if leaks.queries.same:
        yield from _own_text(leaks.own_text)
    yield from _copies(leaks.copies)


def _leak(leak: Leak) -> Iterator[str]:
    yield str(leak)
    yield from map(_example, leak.examples)


def _example(example: Example) -> str:
    if example.same:
        return f"    {example.id} = {example.other_id}: {example.text}"
    return f"    {example.id} ~ {example.other_id}: {example.text} ~ {example.other_text}"


def _own_text(own: OwnText) -> Iterator[str]:
    yield (
        f"    of these queries the document is judged relevant for {own.relevant:,}, "
        f"not relevant for {own.not_relevant:,}, not at all for {own.unjudged:,}"
    )


def _copies(copies: Copies) -> Iterator[str]:
    repeat = (
        f"{'repeats' if copies.beyond_first == 1 else 'repeat'} the text of another ({copies.groups:,} texts)"
    )
    yield (
        f"{copies.beyond_first:,} of {copies.documents:,} documents "
        f"({percent(copies.beyond_first, copies.documents)}) {repeat}; "
        f"{copies.near:,} ({percent(copies.near, copies.documents)}) nearly so"
    )
    yield from map(_example, copies.examples)
    if copies.groups:
        yield (
            f"    copies of relevant documents: {copies.unjudged:,} times one is not judged, "
            f"{copies.judged_apart:,} times one is judged not relevant"
        )


def _samples(samples: Iterable[Sample]) -> Iterator[str]:
    for sample in samples:
        yield f"{sample.split} {sample.query_id}: {sample.query}"
        yield f"    {sample.doc_id}: {sample.document}"
