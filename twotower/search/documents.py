"""Documents in one SQLite file: id, title, text, where they come from; ten are fetched in a millisecond.

    store.put(documents)       added, changed, or the same: a second time changes nothing
    store.get(["d7", "d3"])    one query, in that order
    store.finish()             one file, which is then opened read-only and never changes

While it is written it has SQLite's write-ahead log beside it: one process writes, others read what was whole
before, and one that is killed leaves whole batches. Ids are ordered by code point, as Python orders them.
"""

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Self
from urllib.parse import quote

from twotower.data.collection import digest

APPLICATION = 0x32746F77
"""SQLite's mark of whose file it is: "2tow"."""
VERSION = 1
"""Of the tables."""
BATCH = 10_000
"""Documents written at a time; a kill costs no more."""
ASKED = 500
"""Ids in one query; every SQLite allows 999."""
PATIENCE = 5.0
"""Seconds to wait for another process that writes."""

_TABLES = """
CREATE TABLE documents (
    row INTEGER PRIMARY KEY, id TEXT NOT NULL, title TEXT NOT NULL, text TEXT NOT NULL,
    source TEXT NOT NULL, parent TEXT NOT NULL, chunk INTEGER NOT NULL, hash TEXT NOT NULL
);
CREATE UNIQUE INDEX by_id ON documents (id);
CREATE INDEX by_source ON documents (source, id) WHERE source <> '';
"""
_FIELDS = "id, title, text, source, parent, chunk"
_PUT = f"""
INSERT INTO documents ({_FIELDS}, hash) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (id) DO UPDATE SET title = excluded.title, text = excluded.text, source = excluded.source,
    parent = excluded.parent, chunk = excluded.chunk, hash = excluded.hash
"""


@dataclass(frozen=True, slots=True)
class Document:
    """A document, or a passage of one."""

    id: str
    title: str
    text: str
    source: str = ""
    """Where it comes from, to filter by."""
    parent: str = ""
    """Id of the document that it is a passage of."""
    chunk: int = 0
    """Which of its passages it is."""

    @property
    def hash(self) -> str:
        """Of title and text, 32 hex digits: equal for documents that read alike."""
        title = self.title.encode()
        return hashlib.sha256(b"%d:%b%b" % (len(title), title, self.text.encode())).hexdigest()[:32]


@dataclass(frozen=True)
class Counts:
    """What became of documents that were put into a store."""

    added: int = 0
    changed: int = 0
    """Title or text differ from what was there."""
    same: int = 0


class DocumentStore(AbstractContextManager["DocumentStore"]):
    """An opened file of documents; threads may share it."""

    def __init__(self, path: Path, connection: sqlite3.Connection, *, writes: bool) -> None:
        """Use `open`."""
        self.path = path
        self._connection = connection
        self._writes = writes

    @classmethod
    def open(cls, path: Path, *, write: bool = False, immutable: bool = False) -> Self:
        """The store at `path`; made if it is to be written. `immutable` promises that nobody changes it.

        Raises ValueError for a file that holds no documents, of a later version or damaged, and
        FileNotFoundError for none.
        """
        if write:
            path.parent.mkdir(parents=True, exist_ok=True)
        elif not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of documents")
        mode = "rwc" if write else "ro"
        url = f"file:{quote(str(path.absolute()))}?mode={mode}{'&immutable=1' if immutable else ''}"
        with _told(path):
            connection = sqlite3.connect(url, PATIENCE, 0, None, check_same_thread=False, uri=True)
        store = cls(path, connection, writes=write)
        try:
            store._prepare(write)
        except BaseException:
            connection.close()
            raise
        return store

    def _prepare(self, write: bool) -> None:
        with _told(self.path):
            ask = self._connection.execute
            names = ("application_id", "user_version")
            owner, version = (ask(f"PRAGMA {name}").fetchone()[0] for name in names)
            if owner == 0 and write and not ask("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                ask("PRAGMA page_size = 8192")
                ask("PRAGMA journal_mode = WAL")
                self._create()
                owner, version = APPLICATION, VERSION
            if owner != APPLICATION:
                raise ValueError(f"{self.path}: an SQLite file of something else, want one of documents")
            if version != VERSION:
                raise ValueError(
                    f"{self.path}: documents of version {version}, want {VERSION}; import them anew"
                )
            if write:
                ask("PRAGMA journal_mode = WAL")
                ask("PRAGMA synchronous = NORMAL")

    def _create(self) -> None:
        """Whole or not: a process killed here leaves an empty file, which the next one fills."""
        with self._transaction():
            for statement in _TABLES.split(";"):
                self._connection.execute(statement)
            self._connection.execute(f"PRAGMA application_id = {APPLICATION}")
            self._connection.execute(f"PRAGMA user_version = {VERSION}")

    def put(self, documents: Iterable[Document]) -> Counts:
        """Add documents, or change those of the same id; a batch at a time, the last of equal ids stands.

        Raises ValueError for an id that is empty and for text that is not Unicode.
        """
        added = changed = same = 0
        rest = iter(documents)
        while some := list(islice(rest, BATCH)):
            _check(some)
            with _told(self.path), self._transaction():
                ids = [document.id for document in some]
                ask = "SELECT id, source, parent, chunk, hash FROM documents WHERE id IN ({})"
                known = {row[0]: row[1:] for row in self._rows(ask, ids)}
                for document in some:
                    new = (*_values(document), document.hash)
                    old = known.get(document.id)
                    if old == new[3:]:
                        same += 1
                        continue
                    self._connection.execute(_PUT, new)
                    known[document.id] = new[3:]
                    added += old is None
                    changed += old is not None and old[-1] != new[-1]
                    same += old is not None and old[-1] == new[-1]
        return Counts(added, changed, same)

    def remove(self, ids: Iterable[str]) -> list[str]:
        """Take documents out; the ids of those that were there."""
        wanted = list(dict.fromkeys(ids))
        with _told(self.path), self._transaction():
            there = {row[0] for row in self._rows("SELECT id FROM documents WHERE id IN ({})", wanted)}
            gone = [doc_id for doc_id in wanted if doc_id in there]
            self._connection.executemany("DELETE FROM documents WHERE id = ?", ((one,) for one in gone))
        return gone

    def get(self, ids: Sequence[str]) -> list[Document]:
        """The documents with these ids, in this order; ValueError names the first that is not there."""
        with _told(self.path):
            rows = self._rows(f"SELECT {_FIELDS} FROM documents WHERE id IN ({{}})", list(dict.fromkeys(ids)))
            found = {row[0]: Document(*row) for row in rows}  # type: ignore[arg-type]
        for doc_id in ids:
            if doc_id not in found:
                raise ValueError(f"{self.path}: no document {doc_id!r} in it")
        return [found[doc_id] for doc_id in ids]

    def hashes(self, ids: Sequence[str]) -> dict[str, str]:
        """Content hash of each of the documents that is there."""
        with _told(self.path):
            rows = self._rows("SELECT id, hash FROM documents WHERE id IN ({})", ids)
            return {str(row[0]): str(row[1]) for row in rows}

    def ids(self) -> Iterator[str]:
        """Every id, ascending by code point."""
        with _told(self.path):
            for (doc_id,) in self._connection.execute("SELECT id FROM documents ORDER BY id"):
                yield doc_id

    def scan(self, after: str = "") -> Iterator[Document]:
        """The documents whose id stands after this one, by id; not held in memory."""
        ask = f"SELECT {_FIELDS} FROM documents WHERE id > ? ORDER BY id"
        with _told(self.path):
            for row in self._connection.execute(ask, (after,)):
                yield Document(*row)

    def sources(self) -> dict[str, int]:
        """Documents of each source, by name; those without one are left out."""
        ask = "SELECT source, count(*) FROM documents WHERE source <> '' GROUP BY source ORDER BY source"
        with _told(self.path):
            return dict(self._connection.execute(ask))

    def ids_of(self, source: str) -> list[str]:
        """Ids of a source's documents, ascending."""
        ask = "SELECT id FROM documents WHERE source = ? AND source <> '' ORDER BY id"
        with _told(self.path):
            return [doc_id for (doc_id,) in self._connection.execute(ask, (source,))]

    def corpus_hash(self) -> str:
        """SHA-256 (hex) of ids, titles and texts, as a collection of the same documents has it."""
        return digest((document.id, document.title, document.text) for document in self.scan())

    def snapshot(self, path: Path) -> None:
        """Copy the documents, as they are now, to a file that is not there yet."""
        with _told(self.path):
            if self._writes:
                with closing(sqlite3.connect(path)) as copy:
                    self._connection.backup(copy)
            else:
                shutil.copyfile(self.path, path)

    def finish(self) -> None:
        """Leave one file, on disk, that is opened read-only from here on."""
        with _told(self.path):
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            self._connection.execute("PRAGMA journal_mode = DELETE")
        with self.path.open("rb") as file:
            os.fsync(file.fileno())

    def __len__(self) -> int:
        with _told(self.path):
            return int(self._connection.execute("SELECT count(*) FROM documents").fetchone()[0])

    def __contains__(self, doc_id: str) -> bool:
        ask = "SELECT 1 FROM documents WHERE id = ?"
        with _told(self.path):
            return self._connection.execute(ask, (doc_id,)).fetchone() is not None

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _rows(self, ask: str, ids: Sequence[str]) -> Iterator[tuple[object, ...]]:
        """Rows of a query whose `{}` stands for ids, some at a time."""
        for start in range(0, len(ids), ASKED):
            some = ids[start : start + ASKED]
            yield from self._connection.execute(ask.format(",".join("?" * len(some))), some)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            with suppress(sqlite3.Error):  # a full disk has rolled it back already
                self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")


def _values(one: Document) -> tuple[str, str, str, str, str, int]:
    return one.id, one.title, one.text, one.source, one.parent, one.chunk


def _check(documents: Sequence[Document]) -> None:
    for document in documents:
        if not document.id:
            raise ValueError(f"document {document.title[:40]!r}: its id is empty, want one of its own")
        try:
            "".join(_values(document)[:-1]).encode()
        except UnicodeEncodeError as error:
            half = document.id.encode(errors="backslashreplace").decode()
            raise ValueError(f"document {half}: half of a surrogate pair in it, want text") from error


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """SQLite's errors in the words of this project, with the file's name."""
    try:
        yield
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
            raise ValueError(f"{path}: another process is writing to it; wait until it has ended") from None
        raise OSError(f"{path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise ValueError(f"{path}: damaged, or no file of documents ({error}); import them anew") from None
