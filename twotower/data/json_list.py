"""The values of a JSON list that need not fit into memory, one at a time.

[{"query": "where born"},          1 {"query": "where born"}
 {"query": "how tall"}]            2 {"query": "how tall"}
"""

import codecs
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from twotower.data.ledger import raw_chunks

CHUNK = 1 << 20
"""Bytes that are read at once."""


def read(file: Path) -> Iterator[tuple[int, Any]]:
    """Number (from 1) and value of each element of the list in `file`, plain or gzipped.

    Raises ValueError with file and line where the list is broken: what follows cannot be told apart.
    """
    text = JsonText(file, "a list of objects")
    text.skip("[")
    number = 0
    if text.peek() != "]":
        while True:
            number += 1
            yield number, text.value()
            if text.peek() == "]":
                break
            text.skip(",")
    text.skip("]")
    text.end()


class JsonText:
    """The text of a JSON file, of which little more than the value that is being read is held."""

    def __init__(self, file: Path, wanted: str) -> None:
        """`wanted` is what the file should hold, for errors."""
        self.file, self.wanted, self.chunks = file, wanted, raw_chunks(file, CHUNK)
        self.decoder, self.utf8 = json.JSONDecoder(), codecs.getincrementaldecoder("utf-8")()
        self.held, self.place, self.line = "", 0, 1
        """Text that is held, where reading stands in it, line on which it begins."""
        self.ended = False

    def peek(self) -> str:
        """The next character that is no white space; empty at the end."""
        while True:
            while self.place < len(self.held):
                if self.held[self.place] not in " \t\r\n":
                    return self.held[self.place]
                self.place += 1
            if self.ended:
                return ""
            self.more()

    def skip(self, mark: str) -> None:
        """Step over `mark`; ValueError where something else stands."""
        if self.peek() != mark:
            raise self.broken(f"Expecting {mark!r}", self.place)
        self.place += 1

    def end(self) -> None:
        """ValueError where anything is left."""
        if self.peek():
            raise self.broken("Extra data", self.place)

    def value(self) -> Any:
        """The JSON value that comes next."""
        self.peek()
        wanted = len(self.held)
        while True:
            try:
                value, end = self.decoder.raw_decode(self.held, self.place)
            except json.JSONDecodeError as error:
                if self.ended:
                    raise self.broken(error.msg, error.pos) from None
            except (ValueError, RecursionError) as error:  # an integer of 5,000 digits, brackets 1,000 deep
                raise self.broken(f"it cannot be read: {error}", self.place) from None
            else:
                if end < len(self.held) or self.ended:  # a number at the end may go on
                    self.place = end
                    return value
            wanted *= 2
            while not self.ended and len(self.held) - self.place < wanted:
                self.more()

    def more(self) -> None:
        """Read on, and let go of what was read already."""
        self.line += self.held.count("\n", 0, self.place)
        chunk = next(self.chunks, b"")
        self.ended = not chunk
        try:
            self.held = self.held[self.place :] + self.utf8.decode(chunk, final=self.ended)
        except UnicodeDecodeError as error:
            line = self.line + self.held.count("\n", self.place) + error.object.count(b"\n", 0, error.start)
            byte = error.object[error.start]
            raise ValueError(f"{self.file}:{line}: byte 0x{byte:02x} is not UTF-8") from None
        self.place = 0

    def broken(self, what: str, place: int) -> ValueError:
        """What is wrong at `place` of the text held."""
        line = self.line + self.held.count("\n", 0, place)
        return ValueError(f"{self.file}:{line}: not JSON: {what}, want {self.wanted}")
