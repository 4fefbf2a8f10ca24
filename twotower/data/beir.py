"""A BEIR folder (Thakur et al., 2021), each file plain or gzipped, to a collection and back.

    corpus.jsonl      {"_id": "d1", "title": "Einstein", "text": "Physicist, born in Ulm."}   title optional
    queries.jsonl     {"_id": "q1", "text": "where was einstein born"}
    qrels/train.tsv   query-id<TAB>corpus-id<TAB>score     the header, then one judgement a line

The files are UTF-8, with or without a byte order mark. What is wrong in them is a ValueError that begins with
`file:line:`, or with on_bad=skip a counted line; queries judged in no split are kept.
"""

import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from twotower.config import OnBad
from twotower.data import checks, records
from twotower.data.collection import Collection
from twotower.data.ledger import BadLine, Ledger, Page, decoded

HEADER = ["query-id", "corpus-id", "score"]
INTEGER = re.compile(r"-?[0-9]{1,10}")
UNFIT = re.compile(r"[\t\r\n]")
"""What an id cannot hold in a file of tab-separated lines."""
T = TypeVar("T")


def read(path: str | Path, on_bad: OnBad = OnBad.error) -> Collection:
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
    ledger = Ledger(on_bad)
    docs = _records(ledger.page(_one_of(folder, "corpus.jsonl")), "document", _document)
    queries = _records(ledger.page(_one_of(folder, "queries.jsonl")), "query", _query)
    qrels = {
        split: _judgements(ledger.page(file), docs, queries)
        for split, file in _qrels_files(folder / "qrels").items()
    }
    folder = folder.resolve()
    return Collection.assemble(
        folder.name, docs, queries, qrels, source={"kind": "beir", "path": str(folder)}, ledger=ledger
    )


def write(collection: Collection, folder: Path) -> None:
    """`collection` as a BEIR folder that reads back with the same content hash; written aside, then renamed.

    Raises FileExistsError for a folder that holds something, ValueError for a collection without judgements,
    and for ids and names of splits that the files cannot hold.
    """
    folder = folder.expanduser()
    if folder.is_file() or (folder.is_dir() and any(folder.iterdir())):
        raise FileExistsError(f"{folder}: exists and is not empty, want a folder that is not there yet")
    _check_names(collection)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # made within the temporary folder, which only its owner may enter
    with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as aside:
        made = Path(aside) / "made"
        (made / "qrels").mkdir(parents=True)
        docs = zip(collection.doc_ids, collection.doc_titles, collection.doc_texts, strict=True)
        _write(made / "corpus.jsonl", (_json(_id=doc, title=title, text=text) for doc, title, text in docs))
        queries = zip(collection.query_ids, collection.query_texts, strict=True)
        _write(made / "queries.jsonl", (_json(_id=query, text=text) for query, text in queries))
        for split, judged in collection.qrels.items():
            _write(made / "qrels" / f"{split}.tsv", _rows(judged))
        made.replace(folder)


def _check_names(collection: Collection) -> None:
    if not collection.splits:
        raise ValueError(f"{collection.name}: no judgements, want at least one split for a BEIR folder")
    for split in collection.splits:
        if not split or split.startswith(".") or UNFIT.search(split) or "/" in split:
            raise ValueError(f"{collection.name}: split {split!r}, want a name that a file can have")
    for kind, ids in (("document", collection.doc_ids), ("query", collection.query_ids)):
        if unfit := next(filter(UNFIT.search, ids), None):
            raise ValueError(
                f"{collection.name}: {kind} id {unfit!r} holds a tab or a line end, want neither"
            )


def _write(file: Path, lines: Iterable[str]) -> None:
    with file.open("w", encoding="utf-8", newline="\n") as out:
        out.writelines(f"{line}\n" for line in lines)


def _json(**record: str) -> str:
    return json.dumps(record, ensure_ascii=False)


def _rows(judged: Mapping[str, Mapping[str, int]]) -> Iterator[str]:
    yield "\t".join(HEADER)
    for query, grades in judged.items():
        for doc, grade in grades.items():
            yield f"{query}\t{doc}\t{grade}"


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


def _records(page: Page, kind: str, value: Callable[[dict[str, Any]], T]) -> dict[str, T]:
    """Id -> what `value` makes of the line's JSON object."""
    found: dict[str, T] = {}
    lines: dict[str, int] = {}
    for number, line in page.lines():
        with page.line(number):
            record = records.json_object(line)
            for name in ("_id", "text"):
                if name not in record:
                    has = ", ".join(map(repr, record)) or "nothing"
                    raise BadLine("missing field", f"no {name!r}, it has {has}")
            key = _text(record, "_id")
            if key in found:
                raise BadLine("duplicate id", f"duplicate _id {key!r}, first on line {lines[key]}")
            found[key] = value(record)
            lines[key] = number
    if not found:
        raise ValueError(f"{page.file}: empty, want at least one {kind}{_skips(page)}")
    return found


def _text(record: dict[str, Any], name: str) -> str:
    try:
        return checks.text(name, record[name])
    except ValueError as error:
        raise BadLine(f"wrong {name}", str(error)) from None


def _document(record: dict[str, Any]) -> tuple[str, str]:
    title = _text(record, "title") if "title" in record else ""
    text = _text(record, "text")
    if not title.strip() and not text.strip():
        raise BadLine("empty document", "empty document, want a title or a text")
    return title, text


def _query(record: dict[str, Any]) -> str:
    return _text(record, "text")


def _judgements(page: Page, docs: Mapping[str, Any], queries: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """Query id -> document id -> grade of one split's file."""
    judged: dict[str, dict[str, int]] = {}
    lines = page.lines()
    _check_header(page.file, next(lines, (1, b""))[1])
    page.header = 1
    for number, line in lines:
        with page.line(number):
            query, doc, grade = _judgement(decoded(line))
            if query not in queries:
                raise BadLine("unknown query", f"query {query!r} is not in queries.jsonl")
            if doc not in docs:
                raise BadLine("unknown document", f"document {doc!r} is not in corpus.jsonl")
            grades = judged.setdefault(query, {})
            if doc in grades:
                raise BadLine("judged twice", f"query {query!r} and document {doc!r} are judged twice")
            grades[doc] = grade
    if not judged:
        raise ValueError(f"{page.file}: no judgement, want at least one{_skips(page)}")
    return judged


def _judgement(line: str) -> tuple[str, str, int]:
    """Query id, document id, grade."""
    fields = line.split("\t")
    if len(fields) != len(HEADER):
        kind = "wrong number of fields" if line else "blank"
        raise BadLine(kind, f"{len(fields)} tab-separated fields, want 3: {' '.join(HEADER)}")
    query, doc, score = fields
    if not INTEGER.fullmatch(score) or abs(int(score)) > checks.LARGEST_GRADE:
        raise BadLine("bad score", f"score {score[:40]!r}, want an integer of 32 bits")
    return query, doc, int(score)


def _check_header(file: Path | str, line: bytes) -> None:
    try:
        fields = decoded(line).split("\t")
    except BadLine as error:
        raise ValueError(f"{file}:1: {error}") from None
    if fields == HEADER:
        return
    wanted = "want the header 'query-id<TAB>corpus-id<TAB>score'"
    words = " ".join(fields).split()
    if len(words) == 4 and INTEGER.fullmatch(words[-1]):
        raise ValueError(f"{file}:1: TREC qrels (query 0 document grade), {wanted} and three columns")
    raise ValueError(f"{file}:1: got {' '.join(fields)[:60]!r}, {wanted}")


def _skips(page: Page) -> str:
    """What was skipped on a page of which nothing is left."""
    return f"; {page.report()}" if page.skipped else ""
