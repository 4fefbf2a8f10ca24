"""Files of JSON lines to which several processes append, now and then one that is killed as it writes.

    append(path, [{"query": "read a csv", ...}])    whole lines, on disk before it returns
    read(path)  ->  [(1, {"query": ...}), ...], 0   numbers and contents, and how many lines are torn

A line that a kill has torn stays where it is: the next one begins on a line of its own.
"""

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

try:
    import fcntl
except ImportError:  # Windows has none; lines of two processes there may meet
    fcntl = None  # type: ignore[assignment]


def append(path: Path, contents: Iterable[Mapping[str, Any]], *, durable: bool = True) -> None:
    """Add a line for each of `contents`, in one write; a new file is its owner's alone to read.

    `durable` waits until they are on disk. Text that is half of a surrogate pair is escaped.
    """
    lines = b"".join(_line(content) for content in contents)
    if not lines:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600), "ab", buffering=0) as file:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX)
        rest = memoryview(b"\n" + lines if _is_torn(file.fileno()) else lines)
        while rest:
            rest = rest[file.write(rest) :]
        if durable:
            os.fsync(file.fileno())


def read(path: Path) -> tuple[list[tuple[int, dict[str, Any]]], int]:
    """Number and content of each line, blank ones left out, and how many are no JSON objects.

    Raises FileNotFoundError for no such file, and ValueError for one without a single line that is.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    found = []
    torn = 0
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
        except ValueError:  # a UnicodeDecodeError too
            content = None
        if isinstance(content, dict):
            found.append((number, content))
        else:
            torn += 1
    if torn and not found:
        raise ValueError(f"{path}: {torn:,} lines, none of them a JSON object; want one on each line")
    return found, torn


def field(where: str, content: Mapping[str, Any], name: str, kind: type | tuple[type, ...]) -> Any:
    """The value of a line's field; ValueError where it is missing, or of another type."""
    value = content.get(name)
    if not isinstance(value, kind) or isinstance(value, bool):
        names = " or ".join(one.__name__ for one in (kind if isinstance(kind, tuple) else (kind,)))
        got = type(value).__name__ if name in content else "nothing"
        raise ValueError(f"{where}: {name}: got {got}, want {names}")
    return value


def _line(content: Mapping[str, Any]) -> bytes:
    text = json.dumps(content, ensure_ascii=False, allow_nan=False)
    try:
        return text.encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(content, allow_nan=False).encode() + b"\n"


def _is_torn(file: int) -> bool:
    """Whether the last line has no end."""
    if not os.fstat(file).st_size:
        return False
    os.lseek(file, -1, os.SEEK_END)  # what is written goes to the end, wherever one reads
    return os.read(file, 1) != b"\n"
