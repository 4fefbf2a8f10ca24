"""Vectors as an index keeps them, memory-mapped: row i is document i, in four, two or one bytes a number.

    float32    vectors.npy (N, D)
    float16    vectors.npy (N, D)                      errors.npy (N,)
    int8       codes.npy (N, D)    scales.npy (N,)     errors.npy (N,)    vector = scale x codes

What is searched is what is stored: scores are exact for these vectors, and `errors` says how far each lies
from the one that was given, so how far its scores can be off for a query of length 1. A row depends on its
vector alone, and rows are copied as they are: an edited index holds the bytes of one that is built anew.
"""

import io
import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Array = NDArray[Any]
Files = Mapping[str, Array]

FLOAT32, FLOAT16, INT8 = "float32", "float16", "int8"
VECTORS, CODES, SCALES, ERRORS = "vectors.npy", "codes.npy", "scales.npy", "errors.npy"

FILES: Mapping[str, Mapping[str, str]] = {
    FLOAT32: {VECTORS: "<f4"},
    FLOAT16: {VECTORS: "<f2", ERRORS: "<f4"},
    INT8: {CODES: "|i1", SCALES: "<f4", ERRORS: "<f4"},
}
"""What lies in a folder for each storage: the vectors in the first file, in the others a number of each."""
STEP = 1 << 13
"""Rows copied or measured at a time; bounds memory, changes nothing."""
LEVELS = 127
"""Largest code of int8; -128 is not used, so that a vector and its negative are stored alike."""


@dataclass(frozen=True, eq=False)
class StoredVectors:
    """Opened vectors; rows are read as float32 by slice or by an array of rows, as of an array (N, D)."""

    storage: str
    files: Files
    """By file name."""

    @property
    def shape(self) -> tuple[int, int]:
        rows, dim = self._wide.shape
        return rows, dim

    @property
    def ndim(self) -> int:
        return 2

    def __len__(self) -> int:
        return len(self._wide)

    def __getitem__(self, rows: slice | NDArray[np.integer]) -> Floats:
        wide = self._wide[rows]
        if self.storage == FLOAT32:
            return wide
        vectors: Floats = wide.astype(np.float32)
        if self.storage == INT8:
            vectors *= self.files[SCALES][rows][:, None]
        return vectors

    def raw(self, rows: slice | NDArray[np.integer]) -> Files:
        """The stored numbers of these rows, by file name, as `Writer.append` takes them."""
        return {name: array[rows] for name, array in self.files.items()}

    def longest(self) -> float:
        """Length of the longest vector; ValueError for one that is not finite. Reads all of them."""
        longest = 0.0
        for start in range(0, len(self), STEP):
            lengths = _lengths(self[start : start + STEP])
            if not np.isfinite(lengths).all():
                row = start + int(np.argmin(np.isfinite(lengths)))
                raise ValueError(f"docs: the vector in row {row} is not finite, want finite numbers")
            longest = max(longest, float(lengths.max()))
        return longest

    def loss(self) -> float:
        """What no score of a query of length 1 is off by more than, for what the storage leaves out."""
        return float(self.files[ERRORS].max(initial=0.0)) if ERRORS in self.files else 0.0

    @property
    def _wide(self) -> Array:
        return self.files[next(iter(FILES[self.storage]))]


class Readable(Protocol):
    """Vectors (N, D) that are read as float32 by slice or by an array of rows, wherever they lie."""

    @property
    def shape(self) -> tuple[int, int]: ...
    @property
    def ndim(self) -> int: ...
    def __len__(self) -> int: ...
    def __getitem__(self, rows: slice | NDArray[np.integer]) -> Floats: ...


Docs = NDArray[np.floating] | Readable
"""Vectors of documents (N, D), in memory or stored."""


def open_vectors(folder: Path, storage: str) -> StoredVectors:
    """The vectors in `folder`, memory-mapped; ValueError, in one line, for what is missing or not whole."""
    return StoredVectors(
        storage, {name: _mapped(folder / name, kind) for name, kind in _files(storage).items()}
    )


def in_memory(vectors: Floats, storage: str) -> StoredVectors:
    """The vectors (N, D) as they would be read back; ValueError for one that the storage cannot hold."""
    return StoredVectors(
        storage, _stored(np.ascontiguousarray(vectors, dtype=np.float32), _known(storage), 0)
    )


@dataclass(eq=False)
class Writer:
    """Writes the vectors of a folder in order; what a killed one has written whole, the next one continues.

    How far it is, the files' own lengths say, so there is nothing beside them that could contradict them.
    """

    folder: Path
    storage: str
    shape: tuple[int, int]
    """Rows and numbers a row of the finished vectors."""
    rows: int
    """Rows written so far."""
    _files: Mapping[str, BinaryIO]
    _stack: ExitStack

    @staticmethod
    def open(folder: Path, storage: str, shape: tuple[int, int]) -> "Writer":
        """Continue what `folder` holds of these vectors; files of others are replaced."""
        widths = _files(storage)
        for name in {name for files in FILES.values() for name in files} - set(widths):
            (folder / name).unlink(missing_ok=True)
        with ExitStack() as stack:
            begun = {name: _begun(folder / name, kind, _form(name, shape)) for name, kind in widths.items()}
            rows = min(whole for _, whole in begun.values())
            files = {}
            for name, (head, _) in begun.items():
                files[name] = stack.enter_context((folder / name).open("r+b" if rows else "w+b"))
                files[name].truncate(len(head) + rows * _row_bytes(widths[name], _form(name, shape)))
                files[name].write(b"" if rows else head)
                files[name].seek(0, os.SEEK_END)
            return Writer(folder, storage, shape, rows, files, stack.pop_all())

    def __enter__(self) -> "Writer":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def write(self, start: int, vectors: NDArray[np.floating]) -> None:
        """Add vectors (n, D) as rows `start` and following; `start` must be the rows written so far.

        ValueError for a vector that is not finite, or too large for the storage.
        """
        if start != self.rows or vectors.ndim != 2 or vectors.shape[1] != self.shape[1]:
            raise ValueError(
                f"{self.folder}: got vectors {vectors.shape} for row {start}, "
                f"want (n, {self.shape[1]}) for row {self.rows}"
            )
        self.append(_stored(np.ascontiguousarray(vectors, dtype=np.float32), self.storage, start))

    def append(self, raw: Files) -> None:
        """Add rows as `StoredVectors.raw` gave them, byte for byte."""
        count = len(next(iter(raw.values())))
        if self.rows + count > self.shape[0]:
            raise ValueError(f"{self.folder}: got {self.rows + count} rows, want {self.shape[0]}")
        for name, file in self._files.items():
            try:
                file.write(np.ascontiguousarray(raw[name]).data)
                file.flush()  # to the system, which keeps it when this process is killed
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.folder / name)) from None
        self.rows += count

    def finish(self) -> StoredVectors:
        """Put all on the disk and open it; ValueError where rows are missing."""
        if self.rows != self.shape[0]:
            raise ValueError(f"{self.folder}: {self.rows} vectors written, want {self.shape[0]}")
        for file in self._files.values():
            file.flush()
            os.fsync(file.fileno())
        return open_vectors(self.folder, self.storage)


def copy_rows(writer: Writer, old: StoredVectors, fresh: StoredVectors, origin: NDArray[np.integer]) -> None:
    """Write what is missing of rows 0 .. len(origin) - 1, each as it is stored elsewhere.

    Row i is row `origin[i]` of `old`, or, where that is negative, row `-1 - origin[i]` of `fresh`. Both must
    have the writer's storage.
    """
    for start in range(writer.rows, len(origin), STEP):
        some = origin[start : start + STEP]
        kept, new = some >= 0, some < 0
        raw = {
            name: np.empty((len(some), *array.shape[1:]), array.dtype) for name, array in old.files.items()
        }
        for name, array in raw.items():
            array[kept], array[new] = old.files[name][some[kept]], fresh.files[name][-1 - some[new]]
        writer.append(raw)


def _known(storage: str) -> str:
    if storage not in FILES:
        raise ValueError(f"storage: got {storage}, want one of {', '.join(FILES)}")
    return storage


def _files(storage: str) -> Mapping[str, str]:
    return FILES[_known(storage)]


def _form(name: str, shape: tuple[int, int]) -> tuple[int, ...]:
    return shape if name in (VECTORS, CODES) else shape[:1]


def _row_bytes(kind: str, form: tuple[int, ...]) -> int:
    return int(np.dtype(kind).itemsize * np.prod(form[1:], dtype=np.int64))


def _begun(path: Path, kind: str, form: tuple[int, ...]) -> tuple[bytes, int]:
    """The header of the file, as `numpy.save` writes it, and how many whole rows follow it on the disk."""
    space = io.BytesIO()
    np.lib.format.write_array_header_1_0(space, {"descr": kind, "fortran_order": False, "shape": form})
    head = space.getvalue()
    try:
        with path.open("rb") as file:
            same = file.read(len(head)) == head
            return head, max(path.stat().st_size - len(head), 0) // _row_bytes(kind, form) if same else 0
    except FileNotFoundError:
        return head, 0


def _mapped(path: Path, kind: str) -> Array:
    """A file's array, read-only; a plain array, whose slices cost less than those of `numpy.memmap`."""
    try:
        array = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
    except FileNotFoundError:
        raise ValueError(f"{path}: it is missing; build the index again") from None
    except (OSError, ValueError, EOFError) as error:
        raise ValueError(f"{path}: damaged ({error}); build the index again") from None
    if array.dtype != np.dtype(kind):
        raise ValueError(
            f"{path}: numbers of type {array.dtype}, want {np.dtype(kind)}; build the index again"
        )
    return array


def _stored(vectors: Floats, storage: str, start: int) -> Files:
    """What the files hold for these vectors, which are row `start` and following."""
    finite = np.isfinite(vectors).all(axis=1)
    if storage == FLOAT16:
        finite &= np.abs(vectors).max(axis=1, initial=0.0) <= np.finfo(np.float16).max
    if not finite.all():
        row = start + int(np.argmin(finite))
        raise ValueError(f"docs: the vector in row {row} is not finite or too large for {storage}")
    if storage == FLOAT32:
        return {VECTORS: vectors}
    if storage == FLOAT16:
        halves = vectors.astype(np.float16)
        return {VECTORS: halves, ERRORS: _errors(vectors, halves.astype(np.float32))}
    scales = np.abs(vectors).max(axis=1, initial=0.0) / np.float32(LEVELS)
    steps = np.where(scales > 0, scales, np.float32(1.0))[:, None]
    codes = np.clip(np.rint(vectors / steps), -LEVELS, LEVELS).astype(np.int8)
    return {CODES: codes, SCALES: scales, ERRORS: _errors(vectors, codes * scales[:, None])}


def _errors(given: Floats, kept: Floats) -> Floats:
    return _lengths(given.astype(np.float64) - kept).astype(np.float32)


def _lengths(vectors: NDArray[np.floating]) -> NDArray[np.float64]:
    """Euclidean, (n,), each from its row alone: the same bits in a block of any size."""
    wide = vectors.astype(np.float64)
    lengths: NDArray[np.float64] = np.sqrt((wide * wide).sum(axis=1))
    return lengths
