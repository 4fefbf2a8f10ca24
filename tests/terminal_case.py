"""Somebody at a terminal: waits for what is shown, then types."""

import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from conftest import ROOT

TERMINAL = """
import os, sys
os.login_tty(os.dup(0))
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
PATIENCE = 30
"""Seconds without a sign of life."""

Steps = Sequence[tuple[str, bytes]]
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
            os.write(ours, todo.pop(0)[1])
    os.close(ours)
    code = child.wait(timeout=PATIENCE) if piece is not None else _end(child)
    text = shown.decode().replace("\r\n", "\n")
    assert not todo, f"never shown: {todo[0][0]!r} in {text!r}"
    return text, code


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
