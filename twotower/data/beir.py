"""A BEIR folder (Thakur et al., 2021) to a collection, each file plain or gzipped.

    corpus.jsonl      {"_id": "d1", "title": "Einstein", "text": "Physicist, born in Ulm."}   title optional
    queries.jsonl     {"_id": "q1", "text": "where was einstein born"}
    qrels/train.tsv   query-id<TAB>corpus-id<TAB>score     the header, then one judgement a line

The files are UTF-8, with or without a byte order mark. What is wrong in them is a ValueError that begins with
`file:line:`; nothing is skipped, and queries judged in no split are kept.
"""

import gzip
import json
import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from twotower.data import checks
from twotower.data.collection import Collection

HEADER = ["query-id", "corpus-id", "score"]
INTEGER = re.compile(r"-?[0-9]{1,10}")
T = TypeVar("T")
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def read(path: str | Path) -> Collection:
    """The folder's collection, named after the folder.

    Raises FileNotFoundError for what is missing, ValueError for what is malformed, with file and line.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        raise FileNotFoundError(
            f"{folder}: no such folder, want one with corpus.jsonl, queries.jsonl and qrels/"
        )
    if not folder.is_dir():
        raise FileNotFoundError(
            f"{folder}: a file, want a folder with corpus.jsonl, queries.jsonl and qrels/"
        )
    docs = _records(_one_of(folder, "corpus.jsonl"), "document", checks.title_and_text)
    queries = _records(_one_of(folder, "queries.jsonl"), "query", _query_text)
    qrels = {
        split: _judgements(file, docs, queries) for split, file in _qrels_files(folder / "qrels").items()
    }
    folder = folder.resolve()
    return Collection.assemble(
        folder.name, docs, queries, qrels, source={"kind": "beir", "path": str(folder)}
    )


def _one_of(folder: Path, name: str) -> Path:
    """The file `name`, plain or gzipped."""
    found = [file for file in (folder / name, folder / f"{name}.gz") if file.exists()]
    if not found:
        raise FileNotFoundError(f"{folder / name}: no such file, nor {name}.gz beside it")
    if len(found) > 1:
        raise ValueError(f"{folder}: both {name} and {name}.gz, want one of them")
    return found[0]


def _qrels_files(folder: Path) -> dict[str, Path]:
    """Split -> file."""
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder, want one with a file <split>.tsv for each split")
    splits = {file.name.removesuffix(".gz").removesuffix(".tsv") for file in _tsv_files(folder)}
    if not splits:
        raise FileNotFoundError(f"{folder}: no file <split>.tsv or <split>.tsv.gz in it")
    return {split: _one_of(folder, f"{split}.tsv") for split in sorted(splits)}


def _tsv_files(folder: Path) -> list[Path]:
    hidden = [file for pattern in ("*.tsv", "*.tsv.gz") for file in folder.glob(pattern)]
    return [file for file in hidden if not file.name.startswith(".")]


def _lines(file: Path) -> list[str]:
    """The file's lines without their ends; blank lines at the end of the file do not count."""
    if file.is_dir():
        raise FileNotFoundError(f"{file}: a folder, want a file")
    data = file.read_bytes()
    if file.suffix == ".gz":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{file}: damaged or not gzip: {error}") from None
    data = data.removeprefix(BYTE_ORDER_MARK)
    try:
        # not splitlines(): U+2028 and its like may stand inside a JSON string
        return data.decode().rstrip("\r\n").split("\n") if data.strip() else []
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}:{line}: byte 0x{data[error.start]:02x} is not UTF-8") from None


def _records(file: Path, kind: str, value: Callable[[str, Any], T]) -> dict[str, T]:
    """Id -> what `value` makes of the line's JSON object."""
    records: dict[str, T] = {}
    lines: dict[str, int] = {}
    for number, line in enumerate(_lines(file), start=1):
        where = f"{file}:{number}"
        record = _json_object(where, line)
        for name in ("_id", "text"):
            if name not in record:
                raise ValueError(f"{where}: no {name!r}, it has {', '.join(map(repr, record)) or 'nothing'}")
        key = checks.text(f"{where}: _id", record["_id"])
        if key in records:
            raise ValueError(f"{where}: duplicate _id {key!r}, first on line {lines[key]}")
        records[key] = value(where, record)
        lines[key] = number
    if not records:
        raise ValueError(f"{file}: empty, want at least one {kind}")
    return records


def _json_object(where: str, line: str) -> dict[str, Any]:
    if not line.strip():
        raise ValueError(f"{where}: a blank line, want a JSON object")
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error.msg} at column {error.colno}") from None
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, brackets 1,000 deep
        raise ValueError(f"{where}: not JSON that can be read: {error}") from None
    if not isinstance(record, dict):
        raise ValueError(f"{where}: got {checks.kind(record)}, want a JSON object")
    return record


def _query_text(where: str, record: dict[str, Any]) -> str:
    return checks.text(f"{where}: text", record["text"])


def _judgements(file: Path, docs: dict[str, Any], queries: dict[str, Any]) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade of one split's file."""
    judged: dict[str, dict[str, int]] = {}
    for where, query, doc, grade in _judgement_lines(file):
        if query not in queries:
            raise ValueError(f"{where}: query {query!r} is not in queries.jsonl")
        if doc not in docs:
            raise ValueError(f"{where}: document {doc!r} is not in corpus.jsonl")
        grades = judged.setdefault(query, {})
        if doc in grades:
            raise ValueError(f"{where}: query {query!r} and document {doc!r} are judged twice")
        grades[doc] = grade
    if not judged:
        raise ValueError(f"{file}: no judgement, want at least one")
    return judged


def _judgement_lines(file: Path) -> Iterator[tuple[str, str, str, int]]:
    """Each judgement: `file:line`, query id, document id, grade."""
    lines = _lines(file)
    _check_header(file, lines[0].rstrip("\r").split("\t") if lines else [])
    for number, line in enumerate(lines[1:], start=2):
        where = f"{file}:{number}"
        fields = line.rstrip("\r").split("\t")
        if len(fields) != len(HEADER):
            raise ValueError(f"{where}: {len(fields)} tab-separated fields, want 3: {' '.join(HEADER)}")
        query, doc, score = fields
        if not INTEGER.fullmatch(score) or abs(int(score)) > checks.LARGEST_GRADE:
            raise ValueError(f"{where}: score {score[:40]!r}, want an integer of 32 bits")
        yield where, query, doc, int(score)


def _check_header(file: Path, fields: list[str]) -> None:
    if fields == HEADER:
        return
    wanted = "want the header 'query-id<TAB>corpus-id<TAB>score'"
    words = " ".join(fields).split()
    if len(words) == 4 and INTEGER.fullmatch(words[-1]):
        raise ValueError(f"{file}:1: TREC qrels (query 0 document grade), {wanted} and three columns")
    raise ValueError(f"{file}:1: got {' '.join(fields)[:60]!r}, {wanted}")
