"""One record of triplets or pairs to a checked row: a query and its judged documents.

    {"query": "where born", "positive": "Ulm", "negative": "Bern"}
        -> query ("9d3f..", "where born"), docs {"c2a1..": ("", "Ulm"), "77e0..": ("", "Bern")},
           grades {"c2a1..": 1, "77e0..": 0}

A row is whole or not there: whatever is wrong with it is a BadLine.
"""

import hashlib
import math
import re
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from twotower import config
from twotower.data import checks
from twotower.data.columns import Columns, Document
from twotower.data.ledger import BadLine

NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Row(NamedTuple):
    """A checked record; of an id that the file does not give, the text's hash takes the place."""

    query: tuple[str, str]
    """Id and text."""
    docs: dict[str, tuple[str, str]]
    """Id -> title and text."""
    grades: dict[str, int]
    """Document id -> grade."""
    split: str
    """Empty where no column says it."""


def parse(record: Mapping[str, Any], columns: Columns, cfg: config.Triplets | config.Pairs) -> Row:
    """The row that `record` holds; BadLine for what it may not hold."""
    text = _text("query", record[columns.query])
    query = _id("query id", record[columns.query_id]) if columns.query_id else id_of(text)
    split = _text("split", record[columns.split]) if columns.split else ""
    positives = _documents("positive", record, columns.positive)
    match cfg:
        case config.Pairs():
            grades = _grades(record, columns, len(positives), cfg.relevant_from)
            if len(positives) == 1:  # the usual case: nothing can contradict itself
                (doc, content), *_ = positives
                return Row((query, text), {doc: content}, {doc: grades[0]}, split)
            return _row((query, text), [*zip(positives, grades, strict=True)], split)
        case config.Triplets():
            negatives = [doc for one in columns.negatives for doc in _documents("negative", record, one)]
            ids, contents = {doc for doc, _ in positives}, {content for _, content in positives}
            for doc, content in negatives:
                if doc in ids or content in contents:
                    raise BadLine("positive is negative", f"{shown(content[1])} is positive and negative")
            judged = [(doc, 1) for doc in positives] + [(doc, 0) for doc in negatives]
            return _row((query, text), judged, split)


def id_of(text: str, title: str = "") -> str:
    """Id of a text that has none: SHA-256 (hex, 16 characters) of title, line feed, text, or of the text.

    >>> id_of("Ulm")
    '7be83aafdc95e185'
    """
    whole = f"{title}\n{text}" if title else text
    digest = hashlib.sha256(whole.encode(), usedforsecurity=False)
    return sys.intern(digest.hexdigest()[:16])  # it stands in many places


def shown(text: str) -> str:
    """A text in an error: its beginning, on one line."""
    return repr(text if len(text) <= 40 else f"{text[:37]}...")


Judged = tuple[tuple[str, tuple[str, str]], int]
"""Id, (title, text) and grade of a document."""


def _row(query: tuple[str, str], judged: list[Judged], split: str) -> Row:
    docs: dict[str, tuple[str, str]] = {}
    grades: dict[str, int] = {}
    for (doc, content), grade in judged:
        if docs.setdefault(doc, content) != content:
            raise BadLine("id of two texts", f"document id {doc!r} names two different texts on this line")
        if grades.setdefault(doc, grade) != grade:
            raise BadLine("two scores", f"document {shown(content[1])} has scores {grades[doc]} and {grade}")
    return Row(query, docs, grades, split)


def _documents(role: str, record: Mapping[str, Any], column: Document) -> list[tuple[str, tuple[str, str]]]:
    """Id and (title, text) of each document of a column, which holds one text or a list of them."""
    value = record[column.text]
    if isinstance(value, str) and not (column.id or column.title):  # the usual case, and twice as fast
        body = _text(role, value)
        return [(id_of(body), ("", body))]
    texts = _several(role, value)
    count = len(texts)
    titles = _beside(record, column.title, count) if column.title else [""] * count
    ids = _beside(record, column.id, count) if column.id else [None] * count
    documents = []
    for text, title, given in zip(texts, titles, ids, strict=True):
        body, head = _text(role, text), _text("title", title, blank=True)
        doc = _id(f"{role} id", given) if column.id else id_of(body, head)
        documents.append((doc, (head, body)))
    return documents


def _several(role: str, value: Any) -> list[Any]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadLine(f"empty {role}", f"{role}: an empty list, want at least one text")
    return values


def _beside(record: Mapping[str, Any], column: str, count: int) -> list[Any]:
    """The values of a column that has one for each of `count` documents."""
    value = record[column]
    values = value if isinstance(value, list) else [value]
    if len(values) != count:
        raise BadLine("unequal lists", f"{column}: {len(values)} values for {count} documents, want as many")
    return values


def _text(role: str, value: Any, *, blank: bool = False) -> str:
    """A text, which may be missing where `blank` allows it."""
    if value is None or value == "":
        if blank:
            return ""
        raise BadLine(f"empty {role}", f"{role}: empty, want a text")
    try:
        text = checks.text(role, value)
    except ValueError as error:
        raise BadLine(f"wrong {role}", str(error)) from None
    if not blank and not text.strip():
        raise BadLine(f"empty {role}", f"{role}: blank, want a text")
    return text


def _id(role: str, value: Any) -> str:
    """An id: a text, or a whole number as JSON and Parquet have it."""
    return sys.intern(str(value) if type(value) is int else _text(role, value))


def _grades(record: Mapping[str, Any], columns: Columns, count: int, relevant_from: float) -> list[int]:
    """The grade of each document of a pair: one score for all, or one each."""
    if not columns.score:
        return [1] * count
    value = record[columns.score]
    if not isinstance(value, list):
        return [_grade(value, relevant_from)] * count
    return [_grade(one, relevant_from) for one in _beside(record, columns.score, count)]


def _grade(value: Any, relevant_from: float) -> int:
    """The grade that a score stands for: itself, or whether it reaches `relevant_from`."""
    score = _number(value)
    if relevant_from:
        return int(score >= relevant_from)
    if not score.is_integer():
        raise BadLine(
            "score is no grade", f"score {str(value)[:40]}, want a whole number, or data.relevant_from=NUMBER"
        )
    if abs(score) > checks.LARGEST_GRADE:
        raise BadLine("bad score", f"score {str(value)[:40]}, want a whole number of 32 bits")
    return int(score)


def _number(value: Any) -> float:
    if isinstance(value, str) and NUMBER.fullmatch(value.strip()):
        number = float(value)
    elif type(value) in (int, float):
        number = float(value) if abs(value) < 1e300 else math.inf
    else:
        said = shown(value) if isinstance(value, str) else checks.kind(value)
        raise BadLine("bad score", f"score: got {said}, want a number")
    if not math.isfinite(number):
        raise BadLine("bad score", f"score {str(value)[:40]}, want a finite number")
    return number
