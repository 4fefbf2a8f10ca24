"""Bytes of a file that may be packed: plain, gzipped, or one member of a zip archive, block by block.

    vectors.txt   vectors.txt.gz   glove.6B.zip!glove.6B.50d.txt   glove.zip (where it has one member)

What a file is shows in its first bytes, not in its name. A bar on stderr follows the reading of a terminal's
user. Nothing is held but the block.
"""

import gzip
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from tqdm import tqdm

BLOCK = 1 << 20
"""Bytes read at a time."""
LONGEST = 1 << 23
"""Bytes of a line at most; a file of another kind may have none, and is not to fill the memory."""

GZIP = b"\x1f\x8b"
ZIP = b"PK\x03\x04"

BROKEN = (EOFError, gzip.BadGzipFile, zipfile.BadZipFile, zlib.error, RuntimeError, NotImplementedError)
"""What unpacking raises: cut short, damaged, behind a password (RuntimeError), packed by other means.

Besides, an OSError without a name: a damaged archive sends the reader to places that no file has.
"""


@dataclass(frozen=True)
class Place:
    """Where bytes lie: a file, or a member of an archive."""

    path: Path
    member: str = ""

    def __str__(self) -> str:
        return f"{self.path}!{self.member}" if self.member else str(self.path)


def head(place: Place, count: int) -> bytes:
    """The first `count` bytes, unpacked; fewer where there are no more."""
    with _opened(place) as (stream, _, _), _whole(place):
        return stream.read(count)


def blocks(place: Place) -> Iterator[bytes]:
    """The content, unpacked, with a bar on stderr.

    Raises ValueError for what cannot be unpacked, OSError for what cannot be read.
    """
    with _opened(place) as (stream, raw, size):
        label = place.member or place.path.name
        with tqdm(total=size, desc=label, unit="B", unit_scale=True, leave=False, disable=None) as bar:
            while True:
                with _whole(place):
                    block = stream.read(BLOCK)
                if not block:
                    return
                bar.update(len(block) if place.member else raw.tell() - bar.n)
                yield block


def lines(place: Place) -> Iterator[bytes]:
    """The lines, without the line feed that ends each; raises as `blocks`, and for one that is huge."""
    tail, number = b"", 0
    for block in blocks(place):
        whole = (tail + block).split(b"\n")
        tail = whole.pop()
        yield from whole
        number += len(whole)
        if len(tail) > LONGEST:
            raise ValueError(f"{place}:{number + 1}: a line of over {LONGEST:,} bytes, want word vectors")
    if tail:
        yield tail


@contextmanager
def on_disk(place: Place) -> Iterator[Path]:
    """A plain file with the content: the file itself, or a temporary one into which it is unpacked."""
    if not place.member and not is_gzip(place.path):
        yield place.path
        return
    with tempfile.TemporaryDirectory(prefix="twotower-") as folder:
        path = Path(folder) / "unpacked"
        with path.open("wb") as file:
            file.writelines(blocks(place))
        yield path


def is_gzip(path: Path) -> bool:
    """Whether the file is gzipped, by content or, so that a damaged one is noticed, by name."""
    with path.open("rb") as file:
        return file.read(2) == GZIP or path.suffix == ".gz"


def zipped(path: Path) -> bool:
    """Whether the file is a zip archive, by content."""
    with path.open("rb") as file:
        return file.read(len(ZIP)) == ZIP


def members(path: Path) -> list[str] | None:
    """Names of the files in a zip archive, None for another file; raises ValueError for a damaged one."""
    if not zipped(path):
        return None
    with _whole(Place(path)), zipfile.ZipFile(path) as archive:
        return [info.filename for info in archive.infolist() if not info.is_dir()]


@contextmanager
def _opened(place: Place) -> Iterator[tuple[BinaryIO, BinaryIO, int]]:
    """The unpacked stream, the file below it, and bytes of whichever of the two the bar follows."""
    with ExitStack() as stack:
        raw = stack.enter_context(place.path.open("rb"))
        if place.member:
            with _whole(place):
                archive = stack.enter_context(zipfile.ZipFile(raw))
                info = archive.getinfo(place.member)
                member = stack.enter_context(archive.open(info))
            yield cast(BinaryIO, member), raw, info.file_size
            return
        stream: BinaryIO = raw
        if is_gzip(place.path):
            stream = cast(BinaryIO, stack.enter_context(gzip.GzipFile(fileobj=raw)))
        yield stream, raw, place.path.stat().st_size


@contextmanager
def _whole(place: Place) -> Iterator[None]:
    """Turns what unpacking raises into a ValueError."""
    try:
        yield
    except (*BROKEN, OSError) as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise
        kind = "gzip" if is_gzip(place.path) else "zip archive" if zipped(place.path) else "file"
        raise ValueError(f"{place}: broken {kind} ({error}), want a whole file; fetch it again") from None
