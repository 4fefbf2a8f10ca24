"""What a text, a document and a judgement must be; each check raises a ValueError that says where."""

import operator
from collections.abc import Iterable, Mapping

import numpy as np

Qrels = Mapping[str, Mapping[str, Mapping[str, int]]]
"""Split -> query id -> document id -> grade."""

LARGEST_GRADE = 2**31 - 1


def text(where: str, value: object) -> str:
    """`value` itself, if it is a string that UTF-8 can hold: JSON can smuggle in half a surrogate pair."""
    if not isinstance(value, str):
        raise ValueError(f"{where}: got {kind(value)}, want a string")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            code = ord(value[error.start])
            raise ValueError(f"{where}: half a surrogate pair (U+{code:04X}), want valid Unicode") from None
    return value


def title_and_text(where: str, value: object) -> tuple[str, str]:
    """Title and text of a document given as a text or as {"title", "text"}; one of the two may be blank."""
    if isinstance(value, Mapping):
        if "text" not in value:
            raise ValueError(f"{where}: no 'text', it has {', '.join(map(repr, value)) or 'nothing'}")
        title = text(f"{where}: title", value.get("title", ""))
        body = text(f"{where}: text", value["text"])
    else:
        title, body = "", text(where, value)
    if not title.strip() and not body.strip():
        raise ValueError(f"{where}: empty document, want a title or a text")
    return title, body


def qrels(
    name: str, given: Qrels, docs: Iterable[str], queries: Iterable[str]
) -> dict[str, dict[str, dict[str, int]]]:
    """`given` as plain dicts, every query and document in it known, every grade an integer."""
    known_docs, known_queries = set(docs), set(queries)
    checked: dict[str, dict[str, dict[str, int]]] = {}
    for split, judged in given.items():
        text(f"{name}: split {split!r}", split)
        if not judged:
            raise ValueError(f"{name}: split {split!r} has no judgements")
        checked[split] = {}
        for query, grades in judged.items():
            where = f"{name}: qrels[{split!r}][{query!r}]"
            if not isinstance(grades, Mapping):
                raise ValueError(
                    f"{where}: got {kind(grades)}, want {{document: grade}}; "
                    "qrels are {split: {query: {document: grade}}}: wrap a single split as {'test': qrels}"
                )
            if query not in known_queries:
                raise ValueError(f"{where}: no query has the id {query!r}")
            if not grades:
                raise ValueError(f"{where}: no judgement, want at least one document")
            checked[split][query] = {
                doc: _grade(where, doc, grade, known_docs) for doc, grade in grades.items()
            }
    return checked


def _grade(where: str, doc: str, grade: object, known_docs: set[str]) -> int:
    if doc not in known_docs:
        raise ValueError(f"{where}: document {doc!r} is not in the corpus")
    if isinstance(grade, (bool, np.bool_)) or not isinstance(grade, (int, np.integer)):
        raise ValueError(f"{where}[{doc!r}]: got {kind(grade)}, want an integer grade")
    value = operator.index(grade)
    if abs(value) > LARGEST_GRADE:
        raise ValueError(f"{where}[{doc!r}]: grade {value}, want at most {LARGEST_GRADE} either side of 0")
    return value


def kind(value: object) -> str:
    """`value` named as JSON names it, short enough for one line."""
    match value:
        case None:
            return "null"
        case bool() | int() | float():
            return f"the {type(value).__name__} {value!r}"
        case _:
            return f"a {type(value).__name__}"
