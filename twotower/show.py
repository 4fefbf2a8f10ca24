"""What is printed, and where: results on stdout, talk on stderr. The only module that prints."""

import csv
import io
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from rich.cells import cell_len

if TYPE_CHECKING:  # rich takes 0.05 s, which what is piped does without
    from rich.console import Console
    from rich.measure import Measurement
    from rich.table import Table

_LEFTWARDS = {"R", "AL", "AN"}
"""Directions of letters and digits that are written from right to left."""
_UNSEEN = re.compile("[\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]")
"""Control characters that JSON lets stand, marks of direction among them."""
_NARROWEST = 20
"""Columns that a line takes on the narrowest terminal."""
_BOUNDLESS = 100_000
"""Columns of a table that is measured."""


@dataclass(frozen=True)
class Grid:
    """A table ready to be shown: a heading, column names, cells, and which rows are floors.

    `spare` names the columns that a narrow terminal leaves out, the first first.
    """

    heading: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    dim: Sequence[bool] = field(default_factory=list)
    spare: Sequence[str] = ()


def prepare() -> None:
    """Characters that a stream's encoding lacks become question marks, instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def result(text: str) -> None:
    """A result, on stdout, as it is."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def document(content: Any, indent: int | None = 2) -> None:
    """One JSON document, on stdout; on one line without `indent`. What could drive a terminal is escaped."""
    plain = not (sys.stdout.encoding or "utf-8").lower().startswith("utf")
    text = json.dumps(content, indent=indent, ensure_ascii=plain, allow_nan=False)
    result(_UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def talk(text: str) -> None:
    """A remark, on stderr; it may have several lines."""
    sys.stderr.write("".join(f"{printable(line)}\n" for line in text.split("\n")))
    sys.stderr.flush()


def error(text: str) -> None:
    """One line on stderr that says what went wrong."""
    if not _is_drawn(sys.stderr):
        talk(f"twotower: {printable(text)}")
        return
    from rich.text import Text  # 0.05 s, as above

    _console(sys.stderr).print(Text.assemble(("twotower:", "bold red"), f" {printable(text)}"))


def one_line(error: BaseException) -> str:
    """What a mistake says, on one line."""
    text = str(error)
    if isinstance(error, OSError) and error.strerror and error.filename is not None:
        text = f"{error.filename}: {error.strerror.lower()}"
    return " ".join(text.split())


def ask(prompt: str) -> None:
    """A prompt, on stderr; what is typed stands behind it."""
    sys.stderr.write(prompt)
    sys.stderr.flush()


def grid(table: Grid, form: str) -> None:
    """A table on stdout, as `table`, `markdown` or `csv`."""
    lines = [[printable(cell) for cell in line] for line in (table.columns, *table.rows)]
    match form:
        case "csv":
            out = io.StringIO()
            csv.writer(out, lineterminator="\n").writerows(lines)
            result(out.getvalue().rstrip("\n"))
        case "markdown":
            lines.insert(1, ["---"] * len(table.columns))
            cells = ("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
            result("\n".join([f"**{printable(table.heading)}**", "", *cells, ""]))  # "": the table ends there
        case _:
            _rich(printable(table.heading), lines, table.dim, table.spare)


def _rich(heading: str, lines: list[list[str]], dim: Sequence[bool], spare: Sequence[str]) -> None:
    """Only the first column folds; a table that is piped, or too wide even without `spare`, is not cut."""
    if not _is_drawn(sys.stdout):
        utf = (sys.stdout.encoding or "utf-8").lower().startswith("utf")
        result("\n".join([heading, *_piped(lines, "\u2500" if utf else "-")]))
        return
    from rich.text import Text  # 0.05 s, as above

    console = _console(sys.stdout)
    left_out: list[str] = []
    shown, needed = _table(console, lines, dim)
    for name in spare:
        if needed.minimum <= console.width:
            break
        place = lines[0].index(name)
        left_out += [name] if any(line[place] for line in lines[1:]) else []
        lines = [line[:place] + line[place + 1 :] for line in lines]
        shown, needed = _table(console, lines, dim)
    console.width = max(console.width, needed.minimum)
    console.print(Text(heading, style="bold"))
    console.print(shown)
    if left_out:
        talk(f"left out for want of width: {', '.join(left_out)}; a wider terminal or format=csv shows them")


def _piped(lines: list[list[str]], rule: str) -> list[str]:
    """A table as rich draws it where it has all the width it needs, in a hundredth of the time."""
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    blank = " " * (sum(widths) + 3 * len(widths) + 1)
    shown = [
        " " + " ".join(f" {_padded(cell, width, place)} " for place, (cell, width) in enumerate(pairs)) + " "
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]
    return [blank, shown[0], f" {rule * (len(blank) - 2)} ", *shown[1:], blank]


def _padded(cell: str, width: int, place: int) -> str:
    """Names to the left, figures to the right; wide letters count as two."""
    room = " " * (width - cell_len(cell))
    return room + cell if place else cell + room


def _table(console: "Console", lines: list[list[str]], dim: Sequence[bool]) -> "tuple[Table, Measurement]":
    """The table, and the widths that it can take."""
    from rich import box  # 0.05 s, as above
    from rich.table import Table  # 0.05 s, as above
    from rich.text import Text  # 0.05 s, as above

    shown = Table(box=box.SIMPLE_HEAD)
    first, *others = lines[0]
    shown.add_column(Text(first), overflow="fold", min_width=min(12, max(len(line[0]) for line in lines)))
    for place, name in enumerate(others, start=1):
        whole = max(cell_len(line[place]) for line in lines)  # several words in a cell are not cut either
        shown.add_column(Text(name), justify="right", no_wrap=True, width=whole)  # spares rich measuring it
    for number, row in enumerate(lines[1:]):
        shown.add_row(*map(Text, row), style="dim" if dim and dim[number] else None)
    return shown, console.measure(shown, options=console.options.update(width=_BOUNDLESS))


class Board:
    """A table with lines above it, drawn again and again in the same place; nothing where stderr is piped.

    What is said meanwhile stands above; at the end it vanishes.
    """

    def __init__(self) -> None:
        self._live = None
        if _is_drawn(sys.stderr):
            from rich.live import Live  # 0.05 s, as above

            self._live = Live(console=_console(sys.stderr), auto_refresh=False, transient=True)

    @property
    def drawn(self) -> bool:
        """Whether anybody sees it."""
        return self._live is not None

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._live:
            self._live.stop()

    def draw(self, table: Grid) -> None:
        """Draw `table` in place of what was there."""
        if self._live:
            from rich.console import Group  # 0.05 s, as above
            from rich.text import Text  # 0.05 s, as above

            lines = [[printable(cell) for cell in line] for line in (table.columns, *table.rows)]
            shown, _ = _table(self._live.console, lines, table.dim)
            self._live.update(Group(Text(printable(table.heading), style="bold"), shown), refresh=True)


@dataclass(frozen=True)
class Line:
    """A line in pieces, each a text and its style; it begins `indent` columns from the left."""

    pieces: Sequence[tuple[str, str]]
    indent: int = 0

    @property
    def plain(self) -> str:
        """Without styles, in characters that can do a terminal no harm."""
        return " " * self.indent + "".join(printable(text) for text, _ in self.pieces)


def lines(rows: Iterable[Line]) -> None:
    """Lines on stdout: piped as they are; on a terminal in their styles, folded at its width as it is now."""
    if not _is_drawn(sys.stdout):
        if text := "\n".join(row.plain for row in rows):
            result(text)
        return
    from rich.text import Text  # 0.05 s, as above

    console = _console(sys.stdout)
    for row in rows:
        whole = Text.assemble(*((isolated(printable(text)), style) for text, style in row.pieces))
        for part in whole.wrap(console, max(_NARROWEST, console.width - row.indent)):
            part.rstrip()
            console.print(Text(" " * row.indent) + part)


def isolated(text: str) -> str:
    """Text whose letters run from right to left, so marked that what stands beside it stays in its place."""
    if text.isascii() or not any(unicodedata.bidirectional(char) in _LEFTWARDS for char in text):
        return text
    inner = text.strip()
    begin = text.index(inner)  # spaces at the ends are the line's, and stay where they are
    return f"{text[:begin]}\u2068{inner}\u2069{text[begin + len(inner) :]}"


def cut(text: str, limit: int = 300) -> str:
    """At most `limit` characters, cut between words."""
    text = " ".join(text.split())
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " ..."


def printable(text: str) -> str:
    r"""Text that cannot move a terminal's cursor or change its colours.

    >>> printable("a\x1b[31mb\nc")
    'a [31mb c'
    """
    return "".join(char if char.isprintable() else " " for char in text)


def _is_drawn(stream: Any) -> bool:
    """Whether there is a terminal, or somebody says that there is: rich decides then."""
    forced = any(name in os.environ for name in ("FORCE_COLOR", "TTY_COMPATIBLE"))
    return bool(stream.isatty() or forced) and _console(stream).is_terminal


def _console(stream: Any) -> "Console":
    """Without colours under NO_COLOR; long lines are left to the terminal."""
    from rich.console import Console  # 0.05 s, as above

    class Ours(Console):
        """Rich's, but a reader of a pipe that leaves is the command line's to deal with."""

        def on_broken_pipe(self) -> None:
            raise

    plain = bool(os.environ.get("NO_COLOR"))
    return Ours(file=stream, highlight=False, soft_wrap=True, color_system=None if plain else "auto")
