"""Versions of named indexes, and which of them answers.

    data/indexes/docs/v0001/ v0002/ v0003/   whole ones, never changed
                      live.json              {"live": "v0002", "history": ["v0002", "v0001"], "last": 3}
                      .build-3fa2.../        one in the making
                      .lock                  held by whoever changes any of this

A version comes to be by one rename, and goes live by another, of `live.json`: whoever is killed in between
leaves the one before. Readers take no lock: what they have opened stays whole, even when it is deleted.
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from twotower import knobs
from twotower.model import sidecar
from twotower.search.sealed import MANIFEST

POINTER = "live.json"
LOCK = ".lock"
WORK = ".build-"
GONE = ".gone-"
"""Begins the name of a version that is being deleted."""
STALE = 86_400
"""Seconds after which what a killed build has left is deleted."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_VERSION = re.compile(r"v\d{4,}")


@dataclass(frozen=True)
class Place:
    """Where a version lies."""

    root: Path
    name: str
    version: str
    """Empty for a folder that is no version of a named index."""
    folder: Path

    def __str__(self) -> str:
        return f"{self.name}@{self.version}" if self.version else str(self.folder)


@dataclass(frozen=True)
class Pointer:
    """What `live.json` says."""

    live: str = ""
    history: tuple[str, ...] = ()
    """Versions that were live, the latest first: `live` itself, then where a rollback leads."""
    last: int = 0
    """The highest number given so far, of versions that are deleted too."""


def check_name(name: str) -> None:
    """Raises ValueError unless `name` can name an index."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"index {name[:60]!r}: not a name, want at most 100 letters, digits, '.', '_' and '-', a letter "
            "or digit first"
        )


def names(root: Path) -> list[str]:
    """The indexes below `root`."""
    return sorted(
        path.name for path in root.glob("*") if _NAME.fullmatch(path.name) and versions(root, path.name)
    )


def versions(root: Path, name: str) -> list[str]:
    """The whole versions of an index, the oldest first."""
    found = [path.parent.name for path in (root / name).glob(f"v*/{MANIFEST}")]
    return sorted(filter(_VERSION.fullmatch, found), key=_number)


def live(root: Path, name: str) -> str:
    """The version that answers; empty where there is none.

    Raises ValueError where versions are there, and nothing says which of them it is.
    """
    return _pointer(root, name).live


def resolve(root: Path, spec: str) -> Place:
    """The place of `docs`, the live version, of `docs@v0002`, or of a folder.

    Raises FileNotFoundError where there is no such index or version, ValueError for a name that is none, or
    where no version is live.
    """
    if "/" in spec or os.sep in spec:
        return _folder(Path(spec))
    name, at, version = spec.partition("@")
    check_name(name)
    version = version if at else live(root, name)  # first, or one that goes live meanwhile is not listed
    there = versions(root, name)
    if not there:
        near = knobs.nearest(name, names(root))
        raise FileNotFoundError(
            f"index {name}: no such index in {root}{near}; `twotower index build {name}` makes it"
        )
    if version not in there:
        raise FileNotFoundError(f"index {name}: no version {version!r}, want one of {', '.join(there)}")
    return Place(root, name, version, root / name / version)


def _folder(folder: Path) -> Place:
    if not folder.is_dir():
        raise FileNotFoundError(
            f"index {folder}: no such folder; a name without '/' is looked up in index_dir"
        )
    whole = folder.absolute()
    if _VERSION.fullmatch(whole.name) and (whole.parent / POINTER).is_file():
        return Place(whole.parent.parent, whole.parent.name, whole.name, folder)
    return Place(whole.parent, whole.name, "", folder)


@contextmanager
def locked(root: Path, name: str) -> Iterator[None]:
    """Nobody else changes the index meanwhile; ValueError where somebody else does just now."""
    check_name(name)
    (root / name).mkdir(parents=True, exist_ok=True)
    with (root / name / LOCK).open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(
                f"index {name}: another process is changing it; wait until it has ended"
            ) from None
        yield


def work_folder(root: Path, name: str, key: str) -> Path:
    """Where a version is made; the same for the same `key`, so that an interrupted build is found again."""
    folder = root / name / f"{WORK}{key[:16]}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def publish(root: Path, name: str, folder: Path, *, live: bool) -> Place:
    """Make a finished work folder the next version, live at once or staged; the lock is held."""
    known = _pointer(root, name) if versions(root, name) else Pointer()
    if known.live and not (root / name / POINTER).exists():  # who made it was killed before saying so
        _point(Place(root, name, known.live, root / name / known.live), known)
    for file in folder.rglob("*"):
        if file.is_file():
            _settle(file)
    _settle(folder)
    number = max([known.last, *map(_number, versions(root, name))]) + 1
    place = Place(root, name, f"v{number:04}", root / name / f"v{number:04}")
    folder.rename(place.folder)
    _settle(place.folder.parent)
    if live:
        _point(place, known)
    return place


def switch(root: Path, name: str, version: str = "") -> Place:
    """Make a version live, the newest if none is named; ValueError where it is live already."""
    with locked(root, name):
        there = versions(root, name)
        version = version or next(reversed(there), "")
        place = resolve(root, f"{name}@{version}") if there else resolve(root, name)
        known = _known(root, name)  # one that is lost is written anew
        if known.live == version:
            raise ValueError(f"index {name}: {version} is live already")
        _point(place, known)
    return place


def rollback(root: Path, name: str) -> Place:
    """Make the version live that was before; another rollback goes on to the one before that.

    Raises ValueError where there is none left.
    """
    with locked(root, name):
        resolve(root, name)
        known = _pointer(root, name)
        there = versions(root, name)
        before = [version for version in known.history[1:] if version in there]
        if not before:
            raise ValueError(f"index {name}: no version was live before {known.live}")
        place = Place(root, name, before[0], root / name / before[0])
        _write(place, Pointer(before[0], tuple(before), known.last))
    return place


def prune(root: Path, name: str, keep: int) -> list[str]:
    """Delete versions but for the newest `keep`, the live one and the one that a rollback leads to.

    Returns those that are deleted. What killed builds have left for a day goes too.
    """
    with locked(root, name):
        resolve(root, name)
        known, there = _known(root, name), versions(root, name)
        kept = {*there[max(0, len(there) - keep) :], *known.history[:2]}
        gone = [version for version in there if version not in kept]
        if gone:
            history = tuple(version for version in known.history if version in kept)
            last = max(known.last, _number(there[-1]))
            _write(Place(root, name, known.live, root / name), Pointer(known.live, history, last))
        for version in gone:
            away = root / name / f"{GONE}{version}"
            (root / name / version).rename(away)
            shutil.rmtree(away)
        _sweep(root / name)
    return gone


def _sweep(folder: Path) -> None:
    for path in (*folder.glob(f"{WORK}*"), *folder.glob(f"{GONE}*")):
        with suppress(OSError):
            newest = max([path.stat().st_mtime, *(file.stat().st_mtime for file in path.rglob("*"))])
            if path.name.startswith(GONE) or time.time() - newest > STALE:
                shutil.rmtree(path)


def _pointer(root: Path, name: str) -> Pointer:
    """What is live; a single version is, even if whoever made it was killed before saying so."""
    path = root / name / POINTER
    try:
        said = json.loads(path.read_bytes())
        found = Pointer(str(said["live"]), tuple(map(str, said["history"])), int(said["last"]))
    except FileNotFoundError:
        there = versions(root, name)
        if len(there) < 2:
            return Pointer("".join(there), tuple(there))
        raise _lost(path, "missing", there) from None
    except (ValueError, KeyError, TypeError):
        raise _lost(path, "damaged", versions(root, name)) from None
    there = versions(root, name)
    if there and found.live not in there:
        raise _lost(path, f"{found.live} is gone", there)
    return found


def _known(root: Path, name: str) -> Pointer:
    """What the pointer says, nothing where it cannot be read."""
    try:
        return _pointer(root, name)
    except ValueError:
        return Pointer()


def _lost(path: Path, what: str, there: Sequence[str]) -> ValueError:
    name = path.parent.name
    way = f"switch {name}@{there[-1]}" if there else f"build {name}"
    return ValueError(f"{path}: {what}; `twotower index {way}` says which version answers")


def _point(place: Place, known: Pointer) -> None:
    history = (place.version, *(version for version in known.history if version != place.version))
    _write(place, Pointer(place.version, history, max(known.last, _number(place.version))))


def _write(place: Place, pointer: Pointer) -> None:
    content = {"live": pointer.live, "history": pointer.history, "last": pointer.last}
    text = json.dumps(content)
    sidecar.write_aside(place.root / place.name / POINTER, lambda file: file.write(text.encode()))


def _number(version: str) -> int:
    return int(version[1:])


def _settle(path: Path) -> None:
    """Bring a file, or a folder's entries, to disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
