"""What was typed at the prompt before: a file of lines, one a question, as shells keep theirs."""

import contextlib
import os
from pathlib import Path

KEPT = 1000
"""Lines of history that a session starts with; a longer file is cut to these."""


def file() -> Path:
    """Where what is typed is kept: in the user's folder for such state, whatever the current one is."""
    base = os.environ.get("XDG_STATE_HOME") or os.environ.get("LOCALAPPDATA") or ""
    folder = base if os.path.isabs(base) else os.path.expanduser("~/.local/state")
    return Path(os.devnull) if folder.startswith("~") else Path(folder) / "twotower" / "history"


def remembered(history: Path) -> list[str]:
    """The last lines of the file, oldest first; none where it cannot be read. A long file is cut to them."""
    try:
        lines = history.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        return []
    if len(lines) > KEPT:
        lines = lines[-KEPT:]
        aside = history.with_name(f".{history.name}-{os.getpid()}")
        with contextlib.suppress(OSError):  # a history that stays long does no harm
            _append(aside, lines)
            aside.replace(history)
    return lines


def remember(history: Path, line: str) -> None:
    """Add a line to the file; what cannot be written is forgotten when the session ends."""
    with contextlib.suppress(OSError):
        history.parent.mkdir(parents=True, exist_ok=True)
        _append(history, [" ".join(line.splitlines())])


def _append(path: Path, lines: list[str]) -> None:
    """Lines at the end of a file that its owner alone may read, as shells keep theirs."""
    with open(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as file:
        file.write("".join(f"{line}\n" for line in lines).encode(errors="replace"))
