"""The records of one file of a table: TSV, CSV, JSON lines, a JSON list or Parquet, one at a time.

    page = ledger.page(file)
    for number, load in records.read(file, page):
        with page.line(number):            whatever is wrong with the record is counted here, once
            record = load()                {"query": "where born", "positive": "Ulm"}; BadLine if it is none
            ...                            BadLine for what the reader itself finds wrong

    .tsv              split at tabs, no quoting; header on line 1            number: the line
    .csv              RFC 4180: quotes, line ends inside them; header first  number: line where it begins
    .jsonl .ndjson    an object a line                                       number: the line
    .json             a list of objects, or an object a line                 number: from 1; the line
    .parquet          nested columns arrive as lists and dicts               number: row from 1

All but Parquet may be gzipped (.gz). Values are Python objects; nothing but the record's form is checked.
"""

import csv
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

from twotower.config import OnBad
from twotower.data import checks, json_list
from twotower.data.ledger import BadLine, Page, decoded, listed, raw_chunks, raw_lines

Row = tuple[int, Callable[[], list[str]]]
"""Number and fields of a line of TSV or CSV."""
Load = Callable[[], dict[str, Any]]
"""Gives one record; raises BadLine where the line holds none."""

SUFFIXES = (".tsv", ".csv", ".jsonl", ".ndjson", ".json", ".parquet")
SLICE = 4096
"""Rows of Parquet that are Python objects at the same time."""


def suffix(file: Path) -> str:
    """Which of `SUFFIXES` says the format of `file`, `.gz` aside; ValueError for any other.

    >>> suffix(Path("dev.tsv.gz"))
    '.tsv'
    """
    name = file.name.lower()
    inner = Path(name.removesuffix(".gz")).suffix
    if inner not in SUFFIXES:
        raise ValueError(f"{file}: format {inner or 'without suffix'}, want one of {', '.join(SUFFIXES)}")
    if inner == ".parquet" and name.endswith(".gz"):
        raise ValueError(f"{file}: gzipped Parquet, want it unzipped (Parquet compresses within)")
    return inner


def is_known(file: Path) -> bool:
    """Whether the name is that of a file that `read` reads; hidden files are not."""
    name = file.name.lower()
    known = name.removesuffix(".gz").endswith(SUFFIXES) and not name.endswith(".parquet.gz")
    return known and not name.startswith(".")


def header(file: Path) -> tuple[str, ...] | None:
    """The columns that every record has: TSV, CSV and Parquet; None where each brings its own names.

    Raises ValueError for a header that cannot be used, FileNotFoundError where there is no file.
    """
    page = Page(file, OnBad.error)
    match suffix(file):
        case ".tsv":
            return _names(file, _tsv(page), "\t")
        case ".csv":
            return _names(file, _csv(file, page), ",")
        case ".parquet":
            return _parquet_names(file)
        case _:
            return None


def read(file: Path, page: Page) -> Iterator[tuple[int, Load]]:
    """Number and loader of each record of `file`; header and blank end are counted on `page`.

    The caller counts the rest, by calling the loader within `page.line(number)`. Raises ValueError for a file
    that is wrong as a whole (format, header, damaged), FileNotFoundError where there is none.
    """
    match suffix(file):
        case ".tsv":
            return _table(file, page, _tsv(page), "\t")
        case ".csv":
            return _table(file, page, _csv(file, page), ",")
        case ".parquet":
            return _parquet_rows(file)
        case ".json" if _begins_with_bracket(file):
            return ((number, partial(_an_object, value)) for number, value in json_list.read(file))
        case _:
            return ((number, partial(json_object, raw)) for number, raw in page.lines())


def json_object(raw: bytes) -> dict[str, Any]:
    """The JSON object that a line holds; BadLine where it holds none."""
    line = decoded(raw)
    if not line.strip():
        raise BadLine("blank", "a blank line, want a JSON object")
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise BadLine("not JSON", f"not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, brackets 1,000 deep
        raise BadLine("not JSON", f"not JSON that can be read: {error}") from None
    return _an_object(record)


def _an_object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise BadLine("not an object", f"got {checks.kind(value)}, want a JSON object")
    return value


def _table(file: Path, page: Page, rows: Iterator[Row], separator: str) -> Iterator[tuple[int, Load]]:
    names = _names(file, rows, separator)
    page.header = 1
    for number, fields in rows:
        yield number, partial(_record, names, fields)


def _names(file: Path, rows: Iterator[Row], separator: str) -> tuple[str, ...]:
    """The header's names, checked."""
    number, fields = next(rows, (1, None))
    if fields is None:
        raise ValueError(f"{file}: empty, want a header and a record on each line after it")
    try:
        names = tuple(fields())
    except BadLine as error:
        raise ValueError(f"{file}:{number}: header: {error}") from None
    twice, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise ValueError(f"{file}:{number}: two columns {twice[:60]!r}, want each name once in the header")
    other = next((mark for mark in "\t;,|" if mark != separator and mark in names[0]), None)
    if len(names) == 1 and other:
        words = {"\t": "tabs", ",": "commas"}
        found = f"header {names[0][:60]!r} is one column"
        raise ValueError(f"{file}:{number}: {found}, want columns separated by {words[separator]}")
    return names


def _record(names: tuple[str, ...], fields: Callable[[], list[str]]) -> dict[str, Any]:
    values = fields()
    if len(values) != len(names):
        wanted = f"want {len(names)}: {listed(names)}"
        raise BadLine("number of fields", f"{len(values)} field{'s'[: len(values) != 1]}, {wanted}")
    return dict(zip(names, values, strict=True))


def _tsv(page: Page) -> Iterator[Row]:
    return ((number, partial(_tab_separated, raw)) for number, raw in page.lines())


def _tab_separated(raw: bytes) -> list[str]:
    if not raw:
        raise BadLine("blank", "a blank line, want fields separated by tabs")
    return decoded(raw).split("\t")


class _Feed:
    """The lines of a CSV file as text for a csv reader, which can be taken back and read again."""

    def __init__(self, file: Path) -> None:
        self.lines = enumerate(raw_lines(file), start=1)
        self.again: deque[tuple[int, bytes]] = deque()
        self.taken: list[tuple[int, bytes]] = []
        """Lines of the record that is being read."""

    def __iter__(self) -> "_Feed":
        return self

    def __next__(self) -> str:
        self.taken.append(self.again.popleft() if self.again else next(self.lines))
        # a byte that is not UTF-8 must not hide where the record ends; _comma_separated refuses it
        return self.taken[-1][1].decode(errors="surrogateescape")

    def take_back(self) -> None:
        """Keep the first line alone as the record: the others are read again."""
        self.again.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def _csv(file: Path, page: Page) -> Iterator[Row]:
    """Records, each counted as one line and its further lines as `continued`.

    A quote that is never closed costs its own line: reading goes on with the next.
    """
    feed = _Feed(file)
    reader = csv.reader(feed, strict=True)
    blank: list[int] = []
    while True:
        feed.taken.clear()
        fields: Callable[[], list[str]]
        try:
            fields = partial(_comma_separated, next(reader), feed.taken.copy())
        except StopIteration:
            break
        except csv.Error as error:
            fields = partial(_refuse, _reason(error))
            feed.take_back()
            reader = csv.reader(feed, strict=True)
        number, raw = feed.taken[0]
        if len(feed.taken) == 1 and not raw.strip():
            blank.append(number)
            continue
        yield from ((before, _blank_line) for before in blank)
        blank.clear()
        page.continued += len(feed.taken) - 1
        yield number, fields
    page.blank += len(blank)


def _comma_separated(fields: list[str], lines: list[tuple[int, bytes]]) -> list[str]:
    for _, raw in lines:
        decoded(raw)
    return fields


def _reason(error: csv.Error) -> BadLine:
    match str(error):
        case said if "field limit" in said:
            wanted = "want a closing quote before, or TSV or JSON lines"
            return BadLine("long field", f"a field of over {csv.field_size_limit():,} characters, {wanted}")
        case said if "new-line" in said:
            return BadLine("stray line end", "a carriage return in a field, want it quoted")
        case said:
            return BadLine("broken quotes", f"not CSV: {said}")


def _refuse(error: BadLine) -> list[str]:
    raise error


def _blank_line() -> list[str]:
    raise BadLine("blank", "a blank line, want fields separated by commas")


def _begins_with_bracket(file: Path) -> bool:
    chunks = raw_chunks(file, 64)
    return b"".join(islice(chunks, 1)).lstrip()[:1] == b"["


def _parquet_names(file: Path) -> tuple[str, ...]:
    import polars as pl  # not at the top: 0.3 s, which other formats do not pay

    with _parquet_errors(file), file.open("rb") as stream:
        return tuple(pl.read_parquet_schema(stream))


def _parquet_rows(file: Path) -> Iterator[tuple[int, Load]]:
    import polars as pl  # not at the top: 0.3 s, which other formats do not pay

    with _parquet_errors(file):
        table = pl.read_parquet(file, glob=False)  # columns, at a fraction of what Python objects take
    number = 0
    for part in table.iter_slices(SLICE):
        with _parquet_errors(file):
            records = part.to_dicts()
        for record in records:
            number += 1
            yield number, partial(_an_object, record)


@contextmanager
def _parquet_errors(file: Path) -> Iterator[None]:
    """Turns what polars raises into a ValueError of one line that names the file."""
    import polars as pl  # not at the top: 0.3 s, which other formats do not pay

    if file.is_dir():
        raise FileNotFoundError(f"{file}: a folder, want a file")
    # a panic is what polars answers to some damaged files, and is no Exception; a date may be out of range
    wrong = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError, OverflowError)
    try:
        yield
    except wrong as error:
        said = (str(error).splitlines() or ["nothing more is known"])[0]
        raise ValueError(f"{file}: damaged or not Parquet: {said[:200]}") from None
