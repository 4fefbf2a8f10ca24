"""Somebody at a terminal: waits for what is shown, then types."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Callable, Sequence
from pathlib import Path

from conftest import ROOT

TERMINAL = """
import os, sys
os.login_tty(os.dup(0))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
PATIENCE = 30
"""Seconds without a sign of life."""

Keys = bytes | Callable[[int], bytes]
"""What is typed; a function is called with the terminal first, and says it."""
Steps = Sequence[tuple[str, Keys]]
"""What is waited for, as a regular expression on what was shown since the last keys; and the keys."""


def typed(words: Sequence[str], steps: Steps, folder: Path, **env: str) -> tuple[str, int]:
    """What `python <words>` shows on a terminal of its own, and its exit code."""
    ours, theirs = pty.openpty()
    # a terminal answers when it is asked where its cursor is; this one cannot
    settings = {"PYTHONPATH": str(ROOT), "TERM": "xterm", "PROMPT_TOOLKIT_NO_CPR": "1", **env}
    child = subprocess.Popen(
        [sys.executable, "-c", TERMINAL, *words], stdin=theirs, cwd=folder, env={**os.environ, **settings}
    )
    os.close(theirs)
    shown, seen, todo = b"", 0, list(steps)
    while piece := _piece(ours):
        shown += piece
        if todo and re.search(todo[0][0], shown[seen:].decode(errors="replace"), re.DOTALL):
            seen = len(shown)
            keys = todo.pop(0)[1]
            _type(ours, keys if isinstance(keys, bytes) else keys(ours))
    os.close(ours)
    code = child.wait(timeout=PATIENCE) if piece is not None else _end(child)
    text = shown.decode().replace("\r\n", "\n")
    assert not todo, f"never shown: {todo[0][0]!r} in {text!r}"
    return text, code


def resized(columns: int, lines: int = 40) -> Callable[[int], bytes]:
    """The terminal gets another size; nothing is typed."""

    def resize(terminal: int) -> bytes:
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
        return b""

    return resize


def _type(terminal: int, keys: bytes) -> None:
    """A bit at a time: a terminal holds 4096 bytes that nobody has read yet."""
    for start in range(0, len(keys), 1024):
        os.write(terminal, keys[start : start + 1024])


def _piece(terminal: int) -> bytes | None:
    """What is shown next; nothing when the process has ended, None when it shows nothing more."""
    if not select.select([terminal], [], [], PATIENCE)[0]:
        return None
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that the other end is closed
        return b""


def _end(child: "subprocess.Popen[bytes]") -> int:
    child.kill()
    return child.wait()
