"""What became of every line of every file that a collection was read from: kept, or refused with a reason.

    page = ledger.page(file)
    for number, raw in page.lines():           raw is bytes, without its end
        with page.line(number):                on_bad=error: BadLine becomes ValueError("file:number: ...")
            record = parse(raw)                on_bad=skip: it is counted by its kind, and the loop goes on

A file that is wrong as a whole (missing, broken gzip, no header) is an error in either case.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, cast

from twotower.config import OnBad

GZIP = b"\x1f\x8b"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
OTHER_MARKS = {b"\xff\xfe": "UTF-16", b"\xfe\xff": "UTF-16"}
NOTABLE = 1 << 24
"""Bytes from which reading a file shows a bar."""


class BadLine(ValueError):
    """A line that cannot be used."""

    def __init__(self, kind: str, what: str) -> None:
        """`kind` is a word or two for counting, `what` says what was got and wanted, without the place."""
        super().__init__(" ".join(what.splitlines()))  # ids and names of columns may hold line ends
        self.kind = kind


@dataclass(frozen=True)
class FileReport:
    """What became of a file's lines; `lines` is the sum of all the counts."""

    file: str
    lines: int
    """Lines; rows in Parquet, objects in a JSON list."""
    header: int
    blank: int
    """Blank lines at the end."""
    kept: int
    skipped: Mapping[str, int]
    """Lines left out, by what is wrong with them."""
    first: str = ""
    """What the first of them said, file and line before it."""
    continued: int = 0
    """Lines of CSV beyond the first of their records, whose fields may hold line ends."""

    def __str__(self) -> str:
        """What was skipped, for a remark.

        >>> str(FileReport("a.tsv", 10, 1, 0, 7, {"blank": 2}, "a.tsv:3: blank"))
        'a.tsv: skipped 2 of 10 lines (2 blank), the first: a.tsv:3: blank'
        """
        kinds = ", ".join(f"{count:,} {kind}" for kind, count in self.skipped.items())
        count = sum(self.skipped.values())
        return f"{self.file}: skipped {count:,} of {self.lines:,} lines ({kinds}), the first: {self.first}"


class Ledger:
    """The pages of all files of a collection, and remarks on what was settled while reading."""

    def __init__(self, on_bad: OnBad) -> None:
        self.on_bad = on_bad
        self.pages: list[Page] = []
        self.remarks: list[str] = []

    def page(self, file: Path | str) -> "Page":
        """A new page for `file`; a name stands for records that are no lines of a file."""
        self.pages.append(Page(file, self.on_bad))
        return self.pages[-1]

    def reports(self) -> tuple[FileReport, ...]:
        """What became of each file's lines."""
        return tuple(page.report() for page in self.pages)


class Page:
    """What becomes of one file's lines."""

    def __init__(self, file: Path | str, on_bad: OnBad) -> None:
        self.file, self.on_bad = file, on_bad
        self.header = self.blank = self.kept = self.continued = 0
        self.skipped: Counter[str] = Counter()
        self.first = ""

    def line(self, number: int) -> "_Line":
        """A context: what happens inside is the fate of line `number`.

        Leaving it raises ValueError with file and line for a BadLine, unless bad lines are skipped.
        """
        return _Line(self, number)

    def refuse(self, number: int, error: BadLine) -> None:
        """Count line `number` as skipped, or raise as `line` does."""
        said = f"{self.file}:{number}: {error}"
        if self.on_bad is OnBad.error:
            raise ValueError(said) from None
        self.skipped[error.kind] += 1
        self.first = self.first or said

    def take_back(self, number: int, error: BadLine) -> None:
        """A line that was kept turns out to be bad."""
        self.kept -= 1
        self.refuse(number, error)

    def report(self) -> FileReport:
        """The counts so far."""
        counts = (self.header, self.blank, self.kept, self.continued, *self.skipped.values())
        return FileReport(
            file=str(self.file),
            lines=sum(counts),
            header=self.header,
            blank=self.blank,
            kept=self.kept,
            skipped=dict(self.skipped),
            first=self.first,
            continued=self.continued,
        )

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """Number and bytes of each line, plain or gzipped, without line end and byte order mark.

        Blank lines at the end are counted here and left out. Raises FileNotFoundError where there is no file,
        ValueError for broken gzip and for a file in UTF-16.
        """
        waiting: list[int] = []
        for number, raw in enumerate(raw_lines(Path(self.file)), start=1):
            line = raw.rstrip(b"\r\n")
            if not line.strip():
                waiting.append(number)
                continue
            for blank in waiting:
                yield blank, b""
            waiting.clear()
            yield number, line
        self.blank += len(waiting)


class _Line:
    """The context of one line: a class, because a generator costs three times as much, on every line."""

    __slots__ = ("number", "page")

    def __init__(self, page: Page, number: int) -> None:
        self.page, self.number = page, number

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if error is None:
            self.page.kept += 1
            return False
        if not isinstance(error, BadLine):
            return False
        self.page.refuse(self.number, error)
        return True


def raw_lines(file: Path) -> Iterator[bytes]:
    """The lines of a file, plain or gzipped, with their ends; a large one shows a bar on a terminal."""
    # 40 ms, which a search that reads no file does not pay
    from tqdm import tqdm

    zipped, size = _is_zipped(file), file.stat().st_size
    with (
        file.open("rb") as raw,
        damage_of(file),
        tqdm(
            total=size,
            desc=file.name,
            unit="B",
            unit_scale=True,
            leave=False,
            disable=None if size >= NOTABLE else True,
        ) as bar,
    ):
        for number, line in enumerate(gzip.GzipFile(fileobj=raw) if zipped else raw):
            if number % 4096 == 0:
                bar.update(raw.tell() - bar.n)
            yield _unmarked(file, line) if number == 0 else line


def raw_chunks(file: Path, size: int) -> Iterator[bytes]:
    """The bytes of a file, plain or gzipped, at most `size` at a time."""
    zipped = _is_zipped(file)
    with file.open("rb") as raw, damage_of(file):
        stream = cast(BinaryIO, gzip.GzipFile(fileobj=raw)) if zipped else raw
        for number, chunk in enumerate(iter(partial(stream.read, size), b"")):
            yield _unmarked(file, chunk) if number == 0 else chunk


@contextmanager
def damage_of(file: Path) -> Iterator[None]:
    """Turns what unpacking a broken gzip file raises into a ValueError that names the file."""
    try:
        yield
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"{file}: damaged or not gzip: {error}") from None


def _is_zipped(file: Path) -> bool:
    if file.is_dir():
        raise FileNotFoundError(f"{file}: a folder, want a file")
    if not file.exists():
        raise FileNotFoundError(f"{file}: no such file")
    with file.open("rb") as raw:
        begin = raw.read(2)
    if file.suffix == ".gz" and begin and begin != GZIP:
        raise ValueError(f"{file}: damaged or not gzip: it does not begin as gzip does")
    return begin == GZIP


def _unmarked(file: Path, line: bytes) -> bytes:
    if line[:2] in OTHER_MARKS:
        raise ValueError(f"{file}: {OTHER_MARKS[line[:2]]}, want UTF-8")
    return line.removeprefix(BYTE_ORDER_MARK)


def decoded(line: bytes) -> str:
    """A line's text; BadLine where it is not UTF-8.

    >>> decoded(b"Ulm")
    'Ulm'
    """
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadLine("not UTF-8", f"byte 0x{line[error.start]:02x} is not UTF-8") from None


def listed(names: Collection[str], most: int = 20) -> str:
    """Names of columns in an error: on one line, whatever is in them, and no more than `most`.

    >>> listed(["query", "two\\nlines", "note"], most=2)
    "query, 'two\\\\nlines' ..."
    """
    short = [name if len(name) <= 60 else f"{name[:57]}..." for name in islice(names, most)]
    said = ", ".join(name if name.isprintable() and name.strip() else repr(name) for name in short)
    return f"{said} ..." if len(names) > most else said or "none"
