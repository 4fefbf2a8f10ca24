"""Queries from a file or a pipe, some at a time: a line each, or a JSON object with `_id` and `text`.

read a csv file                             ->  Query("1", "read a csv file")
{"_id": "q7", "text": "read a csv file"}    ->  Query("q7", "read a csv file")
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from twotower.search import searcher

BATCH = 256
"""Queries answered together."""
ENDINGS = (".jsonl", ".jsonl.gz")


@dataclass(frozen=True)
class Query:
    """A question and what it is called."""

    id: str
    """Its line's number where it has none of its own."""
    text: str


def of_file(path: Path) -> Iterator[Query]:
    """The queries of a file, plain or gzipped, blank lines left out; by its name it is JSON lines or text.

    Raises FileNotFoundError for no such file, and ValueError, with its line, for one that is no query.
    """
    if not path.is_file():
        raise FileNotFoundError(f"queries: {path}: {'a folder' if path.is_dir() else 'no such file'}")
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        try:
            lines = (line.decode(errors="surrogateescape").rstrip("\r\n") for line in file)
            yield from of_lines(lines, str(path), as_json=path.name.endswith(ENDINGS))
        except (EOFError, gzip.BadGzipFile) as error:
            raise ValueError(f"queries: {path}: damaged or not gzip: {error}") from None


def of_lines(lines: Iterable[str], where: str, *, as_json: bool | None = None) -> Iterator[Query]:
    """The queries of these lines; unless told, the first that is not blank decides what they are."""
    for number, line in enumerate(lines, start=1):
        line = line.removeprefix("\ufeff") if number == 1 else line
        if not line.strip():
            continue
        as_json = line.lstrip().startswith('{"') if as_json is None else as_json
        query = _parsed(f"{where}:{number}", line) if as_json else Query(str(number), line)
        try:
            searcher.check(query.text)
        except ValueError as error:
            raise ValueError(f"{where}:{number}: {error}") from None
        yield query


def batches(queries: Iterable[Query], size: int = BATCH) -> Iterator[list[Query]]:
    """So many at a time, the last ones fewer; those before one that is wrong come before its error."""
    some: list[Query] = []
    try:
        for query in queries:
            some.append(query)
            if len(some) == size:
                yield some
                some = []
    except ValueError:
        if some:
            yield some
        raise
    if some:
        yield some


def _parsed(where: str, line: str) -> Query:
    try:
        content = json.loads(line)
    except ValueError as error:
        raise ValueError(f"{where}: {error}, want a JSON object with _id and text") from None
    if not isinstance(content, dict) or not isinstance(content.get("text"), str):
        raise ValueError(f"{where}: no text in it, want a JSON object with _id and text")
    name = content.get("_id")
    if not isinstance(name, str | int) or isinstance(name, bool) or not str(name).strip():
        raise ValueError(f"{where}: no _id in it, want a JSON object with _id and text")
    return Query(str(name), content["text"])
