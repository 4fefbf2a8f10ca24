"""The part of each hit that speaks of the query, with the words that do.

    snippets(["... the cat sat on the mat ..."], "sitting cats")
    -> [Snippet("… the cat sat on the mat …", marks=((6, 9), ...))]

The hits alone go into a table of SQLite's full-text search, which lives in memory and is dropped at once; it
knows the stems of English words and leaves accents aside. Without it, or without a word in common, a snippet
is the text's beginning.
"""

import re
import sqlite3
import unicodedata
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass

OPEN, CLOSE = "\ue000", "\ue001"
"""Around a word that is found; of the private use area, and taken out of the texts before."""
ELLIPSIS = "…"
WORDS = 32
"""Words of a snippet; FTS5 gives at most 64."""
ASKED = 64
"""Words of the query that are looked for, the first ones."""
LONGEST = 50_000
"""Characters of a text that are looked at."""

_WORD = re.compile(r"\w+")
_SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Snippet:
    """A part of a text, on one line."""

    text: str
    marks: tuple[tuple[int, int], ...] = ()
    """Where the words of the query stand in it: first character, and the one after the last."""


def snippets(texts: Sequence[str], query: str, *, words: int = WORDS) -> list[Snippet]:
    """For each text the part of about `words` words that has most of the query's."""
    cleaned = [_cleaned(text) for text in texts]
    wanted = list(dict.fromkeys(_WORD.findall(unicodedata.normalize("NFKC", query).lower())))[:ASKED]
    found = _found(cleaned, wanted, words) if wanted else {}
    return [
        _read(found[row]) if row in found else _beginning(text, words) for row, text in enumerate(cleaned)
    ]


def _cleaned(text: str) -> str:
    text = text[:LONGEST].replace(OPEN, "").replace(CLOSE, "").replace("\0", " ")
    return _SPACE.sub(" ", text).strip()


def _found(texts: Sequence[str], wanted: Sequence[str], words: int) -> dict[int, str]:
    """Snippets with marks, by row, of the texts that have one of the words."""
    ask = " OR ".join(f'"{word}"' for word in wanted)  # a word in quotes is no operator
    try:
        with closing(sqlite3.connect(":memory:")) as table:
            table.execute("CREATE VIRTUAL TABLE hits USING fts5(text, tokenize='porter unicode61')")
            table.executemany("INSERT INTO hits (rowid, text) VALUES (?, ?)", enumerate(texts))
            query = "SELECT rowid, snippet(hits, 0, ?, ?, ?, ?) FROM hits WHERE hits MATCH ?"
            return dict(table.execute(query, (OPEN, CLOSE, ELLIPSIS, min(words, 64), ask)))
    except sqlite3.OperationalError:  # an SQLite that was built without it
        return {}


def _beginning(text: str, words: int) -> Snippet:
    parts = text.split(" ", words)
    return Snippet(" ".join(parts[:words]) + (ELLIPSIS if len(parts) > words else ""))


def _read(marked: str) -> Snippet:
    """The text without its marks, and where they were; neighbouring words are marked one by one."""
    text, marks, start = "", [], 0
    for part in re.split(f"([{OPEN}{CLOSE}])", marked):
        if part == OPEN:
            start = len(text)
        elif part == CLOSE:
            marks.append((start, len(text)))
        else:
            text += part
    return Snippet(text, tuple(marks))
