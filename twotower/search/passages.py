"""Documents from a collection or a file, one at a time, long ones cut into passages.

    {"_id": "d7", "title": "Ulm", "text": "450 words ...", "source": "atlas"}    chunk_words=200
    -> d7#0, d7#1, d7#2, each with the title and with d7 as its parent; a text of 200 words or less stays d7

A passage ends with a sentence where one ends in its last fifth, else with a word.
"""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from twotower.config import OnBad
from twotower.data import checks, records
from twotower.data.collection import Collection
from twotower.data.ledger import BadLine, Page
from twotower.search.documents import Document

LAST = 0.2
"""Share of a passage, its end, in which the end of a sentence is looked for."""
FORMATS = (".jsonl", ".ndjson", ".json")

_WORD = re.compile(r"\S+")
_SENTENCE = re.compile(r"[.!?…。！？]+[\"'”’)\]]*$")


def of_collection(collection: Collection, source: str = "") -> Iterator[Document]:
    """The collection's documents, by id."""
    texts = zip(collection.doc_ids, collection.doc_titles, collection.doc_texts, strict=True)
    return (Document(doc_id, title, text, source) for doc_id, title, text in texts)


def of_file(path: Path, *, chunk_words: int = 0, chunk_overlap: int = 0) -> Iterator[Document]:
    """The documents of a file of JSON objects, a line each or in a list, maybe gzipped; not held in memory.

    `_id` and `text` are wanted, `title` and `source` (or `metadata.source`) may be there. With `chunk_words`
    longer texts are cut into passages of so many words at most, of which neighbours share `chunk_overlap`.

    Raises ValueError naming file and line for what is no document, and for an id that stands there before,
    FileNotFoundError for a file that is missing.
    """
    check_chunks(chunk_words, chunk_overlap)
    if records.suffix(path) not in FORMATS:
        raise ValueError(f"{path}: want documents as .jsonl, .ndjson or .json, each also .gz")
    page = Page(path, OnBad.error)
    seen: set[bytes] = set()
    for number, load in records.read(path, page):
        with page.line(number):
            document = _document(load())
            key = hashlib.blake2b(
                document.id.encode(), digest_size=12
            ).digest()  # ids may be long, a million many
            if key in seen:
                raise BadLine("duplicate id", f"duplicate _id {document.id!r}")
            seen.add(key)
        yield from cut(document, chunk_words, chunk_overlap)


def check_chunks(words: int, overlap: int) -> None:
    """Raises ValueError for passages that share as much as they hold."""
    if words and not 0 <= overlap <= words // 2:
        raise ValueError(f"chunk_overlap: got {overlap}, want 0 to {words // 2}, half of chunk_words={words}")
    if overlap and not words:
        raise ValueError(f"chunk_overlap: got {overlap} without chunk_words; want chunk_words=200, say")


def cut(document: Document, words: int, overlap: int) -> Iterator[Document]:
    """The passages of a document; itself where it is short, or `words` is 0.

    >>> [one.text for one in cut(Document("d", "", "A b. C d e f"), 3, 0)]
    ['A b. C', 'd e f']
    >>> [one.text for one in cut(Document("d", "", "one two three four five"), 3, 1)]
    ['one two three', 'three four five']
    """
    spans = [match.span() for match in _WORD.finditer(document.text)] if words else []
    if len(spans) <= words:
        yield document
        return
    start = number = 0
    while True:
        stop = _stop(document.text, spans, start, min(start + words, len(spans)))
        text = document.text[spans[start][0] : spans[stop - 1][1]]
        yield replace(document, id=f"{document.id}#{number}", text=text, parent=document.id, chunk=number)
        if stop == len(spans):
            return
        start, number = max(start + 1, stop - overlap), number + 1


def _stop(text: str, spans: list[tuple[int, int]], start: int, stop: int) -> int:
    """Where the passage ends: after the last sentence that ends near `stop`, if one does."""
    if stop == len(spans):
        return stop
    for word in range(stop, stop - int((stop - start) * LAST) - 1, -1):
        first, last = spans[word - 1]
        if _SENTENCE.search(text[first:last]):
            return word
    return stop


def _document(record: dict[str, Any]) -> Document:
    for name in ("_id", "text"):
        if name not in record:
            has = ", ".join(map(repr, record)) or "nothing"
            raise BadLine("missing field", f"no {name!r}, it has {has}")
    more = record.get("metadata")
    source = record.get("source", more.get("source", "") if isinstance(more, dict) else "")
    values = {
        "_id": record["_id"],
        "title": record.get("title", ""),
        "text": record["text"],
        "source": source,
    }
    texts = {name: _text(name, value) for name, value in values.items()}
    if not texts["title"].strip() and not texts["text"].strip():
        raise BadLine("empty document", "empty document, want a title or a text")
    if not texts["_id"]:
        raise BadLine("wrong _id", "empty _id, want one of its own")
    return Document(texts["_id"], texts["title"], texts["text"], texts["source"])


def _text(name: str, value: object) -> str:
    try:
        return checks.text(name, value)
    except ValueError as error:
        raise BadLine(f"wrong {name}", str(error)) from None
