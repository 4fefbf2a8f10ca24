"""A cache entry: a folder of arrays and words that is whole or not there.

    <entry>/ids.npy  offsets.npy  words.json  crc32.json   {"ids.npy": 2837146210, ...}

It is written aside and renamed, so that no reader meets half of one; whatever does not match its checksums,
or is missing, reads as absent and is written anew. Words are a JSON list, which holds any text, newlines
included; an entry may hold `others` beside them, JSON files by name. Nothing is pickled.
"""

import contextlib
import json
import os
import re
import secrets
import shutil
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

SUMS = "crc32.json"
WORDS = "words.json"

STALE = 24 * 3600.0
"""Age in seconds from which another writer's leftover is removed."""
LEFTOVER = re.compile(r"\..+\.\d+\.[0-9a-f]{8}(?:\.damaged)?")
"""Names of folders that only `save` makes; a cache may lie among other people's hidden files."""

Array = NDArray[Any]
Entry = tuple[Mapping[str, Array], tuple[str, ...]]


def load(folder: Path, names: Iterable[str], others: Iterable[str] = ()) -> Entry | None:
    """The arrays `names`, memory-mapped and read-only, and the words; None where there is no whole entry.

    `others` are the file names of further JSON files, which are checked and not read.
    """
    files = {name: folder / f"{name}.npy" for name in names}
    try:
        sums = json.loads((folder / SUMS).read_bytes())
        if sums != _sums([*files.values(), folder / WORDS, *(folder / other for other in others)]):
            return None
        arrays = {name: np.load(file, mmap_mode="r", allow_pickle=False) for name, file in files.items()}
        return arrays, tuple(json.loads((folder / WORDS).read_bytes()))
    except (OSError, ValueError):
        return None


def save(
    folder: Path, arrays: Mapping[str, Array], words: Sequence[str], others: Mapping[str, Any] | None = None
) -> None:
    """Write the entry `folder`, unless another process has finished it meanwhile.

    `others` are the contents of further JSON files, by file name. An entry that is damaged, or whose others
    differ, is replaced. Raises OSError where the folder above cannot be written.
    """
    others = others or {}
    folder.parent.mkdir(parents=True, exist_ok=True)
    sweep(folder.parent)
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    aside.mkdir()
    try:
        for name, array in arrays.items():
            np.save(aside / f"{name}.npy", array, allow_pickle=False)
        (aside / WORDS).write_bytes(json.dumps(list(words), ensure_ascii=False).encode())
        for name, content in others.items():
            (aside / name).write_text(json.dumps(content, indent=1), encoding="utf-8")
        (aside / SUMS).write_text(json.dumps(_sums(sorted(aside.iterdir()))))
        if load(folder, arrays, others) is None or not all(_equal(folder / o, aside / o) for o in others):
            _replace(folder, aside)
    finally:
        _remove(aside)


def _replace(folder: Path, aside: Path) -> None:
    """Give `aside` the name of `folder`; whoever comes second leaves the other's entry, which is as good."""
    damaged = aside.with_name(f"{aside.name}.damaged")
    with contextlib.suppress(FileNotFoundError):
        folder.rename(damaged)
    try:
        aside.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise
    finally:
        _remove(damaged)


def _equal(file: Path, other: Path) -> bool:
    try:
        return file.read_bytes() == other.read_bytes()
    except FileNotFoundError:  # another writer is replacing it
        return False


def _sums(files: Iterable[Path]) -> dict[str, int]:
    """CRC-32 of each file by its name."""
    return {file.name: _crc32(file) for file in files}


def _crc32(file: Path) -> int:
    value = 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            value = zlib.crc32(piece, value)
    return value


def sweep(folder: Path) -> None:
    """Remove what writers that were killed have left."""
    for leftover in folder.glob(".*"):
        with contextlib.suppress(FileNotFoundError):
            if LEFTOVER.fullmatch(leftover.name) and time.time() - leftover.stat().st_mtime > STALE:
                _remove(leftover)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
