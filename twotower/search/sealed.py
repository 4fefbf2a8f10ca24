"""A folder of files that is whole as it was written, or refused by the name of the file that is not.

    manifest.json   {..., "files": {"ids.npy": [bytes, CRC-32], ...}, "seal": CRC-32 of all the rest of it}
    verified.json   {"ids.npy": [CRC-32, size, modified, changed, inode], ...}

Reading a gigabyte to check it takes most of a second. So what was checked once is not read again while the
system says that it is the same file, untouched; `verified.json` keeps that, where the folder can be written.
"""

import contextlib
import json
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twotower.model import sidecar

MANIFEST = "manifest.json"
VERIFIED = "verified.json"
STAMPS = "stamps.json"
BESIDE = {MANIFEST, VERIFIED, STAMPS}
"""Files of a folder that its manifest does not list."""
SETTLED = 0.1
"""Seconds since a file's last change from which its stamp is trusted: file systems' clocks are coarse."""

Files = Mapping[str, list[int]]
"""Size in bytes and CRC-32 by name, a path below the folder with forward slashes."""


def close(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a folder whose other files are all there; nothing is added to it afterwards."""
    content = {**manifest, "files": {name: [*_sum(folder / name)] for name in _names(folder)}}
    content["seal"] = _seal(content)
    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    sidecar.write_aside(folder / MANIFEST, lambda file: file.write(text.encode()))


def read(folder: Path) -> dict[str, Any]:
    """The manifest; ValueError, in one line, where there is none or it is not as it was written."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise ValueError(f"{folder}: not an index, it has no {MANIFEST}") from None
    except ValueError as error:
        raise ValueError(f"{path}: damaged ({error}); build the index again") from None
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), dict):
        raise ValueError(f"{path}: no files in it, so not of this version; build the index again")
    if manifest.get("seal") != _seal(manifest):
        raise ValueError(f"{path}: changed since it was written; build the index again")
    return manifest


def check(folder: Path, manifest: Mapping[str, Any], *, fully: bool = False) -> None:
    """Raises ValueError naming the first file that is missing or not what the manifest says.

    `fully` reads every file, also those that were read before and have not been touched.
    """
    files: Files = manifest["files"]
    known = {} if fully else _verified(folder)
    now: dict[str, list[int]] = {}
    for name, (size, crc) in files.items():
        try:
            stamp = _stamp(folder / name)
            if stamp[0] == size and known.get(name) != [crc, *stamp]:
                found = _sum(folder / name)
            else:
                found = stamp[0], crc
        except OSError as error:
            raise ValueError(f"{folder / name}: {_why(error)}; build the index again") from None
        if found != (size, crc):
            what = f"{found[0]} bytes, want {size}" if found[0] != size else "its checksum does not match"
            raise ValueError(f"{folder / name}: damaged ({what}); build the index again")
        now[name] = [crc, *stamp]
    if now != known and _settled(now):
        # the folder may belong to somebody else
        with contextlib.suppress(OSError):
            text = json.dumps(now)
            sidecar.write_aside(folder / VERIFIED, lambda file: file.write(text.encode()))


def stamps(folder: Path) -> list[str]:
    """Stamps of source files that were read since and found to hold what the index was built from."""
    try:
        return [str(stamp) for stamp in json.loads((folder / STAMPS).read_bytes())]
    except (OSError, ValueError, TypeError):
        return []


def add_stamp(folder: Path, stamp: str) -> None:
    """Remember such a stamp; not where the folder is read-only."""
    with contextlib.suppress(OSError):
        text = json.dumps([*(old for old in stamps(folder)[-7:] if old != stamp), stamp])
        sidecar.write_aside(folder / STAMPS, lambda file: file.write(text.encode()))


def _names(folder: Path) -> list[str]:
    files = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return sorted(
        path.as_posix() for path in files if path.name not in BESIDE and not path.name.startswith(".")
    )


def _seal(content: Mapping[str, Any]) -> int:
    rest = {key: value for key, value in content.items() if key != "seal"}
    return zlib.crc32(json.dumps(rest, sort_keys=True).encode())


def _sum(file: Path) -> tuple[int, int]:
    """Size and CRC-32 of what can be read of it."""
    size = value = 0
    with file.open("rb") as stream:
        while piece := stream.read(1 << 20):
            value = zlib.crc32(piece, value)
            size += len(piece)
    return size, value


def _stamp(file: Path) -> list[int]:
    stat = file.stat()
    return [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]


def _settled(now: Mapping[str, list[int]]) -> bool:
    newest = max((max(stamp[2], stamp[3]) for stamp in now.values()), default=0)
    return time.time() - newest / 1e9 > SETTLED


def _verified(folder: Path) -> Mapping[str, list[int]]:
    try:
        content = json.loads((folder / VERIFIED).read_bytes())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _why(error: OSError) -> str:
    return "missing" if isinstance(error, FileNotFoundError) else f"cannot be read ({error.strerror})"
