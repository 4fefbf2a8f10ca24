"""Questions from standard input, with commands among them: edited on a terminal, as they come from a pipe.

    "read a csv file"  ->  answer("read a csv file")
    ":k 3"             ->  commands["k"].run("3")
    " :k 3"            ->  answer(":k 3"), for a space keeps a line from being a command

The only module that reads the terminal. Nothing here goes to stdout: the prompt is talk.
"""

import contextlib
import io
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from twotower import knobs, show

if TYPE_CHECKING:  # prompt_toolkit takes 0.1 s
    from prompt_toolkit import PromptSession
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

INVITATION = "a query on each line; :help lists the commands; Ctrl-D leaves"
PROMPT = "query> "
KEPT = 1000
"""Lines of history that a session starts with; a longer file is cut to these."""
SHORT = {"h": "help", "q": "quit"}
"""What may stand for a command's name."""


class Leave(Exception):  # noqa: N818  - not an error
    """Raised by a command that ends the prompt."""


@dataclass(frozen=True)
class Command:
    """What `:name` does; the name is its key in the table."""

    line: str
    """What `:help` says of it."""
    run: Callable[[str], None]
    """Called with what stands after the name; its ValueError is shown, and the prompt goes on."""
    argument: str = ""
    """What `:help` calls that; empty for a command that takes nothing."""


def converse(answer: Callable[[str], None], commands: Mapping[str, Command], history: Path) -> None:
    """A line, its answer, until standard input ends or `:quit`; `:help` and `:quit` stand beside `commands`.

    A ValueError of `answer` or of a command is one line, and the next question is read. The file `history`
    keeps what is typed on a terminal, if it can be written. Raises KeyboardInterrupt for Ctrl-C on an empty
    line.
    """
    table = completed(commands)
    for line in questions({f":{name}": command.line for name, command in table.items()}, history):
        try:
            if line.startswith(":"):
                obey(line, table)
            elif line.strip():
                answer(line[1:] if line.startswith(" ") and line.lstrip().startswith(":") else line)
        except Leave:
            return
        except ValueError as error:
            show.error(" ".join(str(error).split()))


def completed(commands: Mapping[str, Command]) -> dict[str, Command]:
    """`commands` between `help` and `quit`."""
    table: dict[str, Command] = {}
    table["help"] = Command("list the commands", lambda _: show.talk(help_of(table)))
    table |= commands
    table["quit"] = Command("leave; :q and Ctrl-D do too", _leave)
    return table


def obey(line: str, table: Mapping[str, Command]) -> None:
    """Run the command that `line` names.

    Raises:
        ValueError: there is no such command, it takes nothing after its name, or it refuses what it got.
    """
    name, rest = (*line[1:].split(maxsplit=1), "", "")[:2]
    name, rest = SHORT.get(name, name), rest.strip()
    if name not in table:
        known = [f":{one}" for one in table]
        raise ValueError(
            f":{name}: no such command{knobs.nearest(f':{name}', known)} (want one of {', '.join(known)}; "
            "a space before the line makes it a query)"
        )
    if rest and not table[name].argument:
        raise ValueError(f":{name}: got {rest!r}, want nothing after it")
    table[name].run(rest)


def help_of(table: Mapping[str, Command]) -> str:
    """What `:help` prints: a line a command."""
    rows = {f":{name} {command.argument}".rstrip(): command.line for name, command in table.items()}
    width = max(map(len, rows))
    keys = (
        "Up recalls what was typed, Tab completes a command, Ctrl-C clears the line or leaves an empty one."
    )
    return "\n".join([*(f"  {left:<{width}}  {right}" for left, right in rows.items()), keys])


def _leave(rest: str) -> None:
    raise Leave


def questions(words: Mapping[str, str], history: Path) -> Iterator[str]:
    """Lines from standard input until it ends; a terminal sees an invitation and a prompt, and can edit.

    `words` are completed, each with a remark. Bytes that are not UTF-8 arrive as halves of surrogate pairs,
    for the caller to refuse.
    """
    if sys.stdin is None:  # it was closed
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    if not sys.stdin.isatty():
        yield from (line.rstrip("\r\n") for line in sys.stdin)
        return
    show.talk(INVITATION)
    screen = next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    yield from _plain() if dumb or screen is None else _edited(screen, words, history)


def _plain() -> Iterator[str]:
    """Lines from a terminal that can do no more than show them."""
    show.ask(PROMPT)
    for line in iter(sys.stdin.readline, ""):
        yield line.rstrip("\r\n")
        show.ask(PROMPT)
    show.talk("")


def _edited(screen: TextIO, words: Mapping[str, str], history: Path) -> Iterator[str]:
    """Lines typed with arrow keys, history and completion."""
    session = _session(screen, words, remembered(history))
    while True:
        try:
            line = session.prompt()
        except EOFError:
            return
        except KeyboardInterrupt as interrupt:
            if interrupt.args or not session.default_buffer.text:  # SIGTERM's has arguments
                raise
            continue
        if line.strip():
            remember(history, line)
        yield line


def _session(screen: TextIO, words: Mapping[str, str], past: list[str]) -> "PromptSession[str]":
    # 0.1 s, which a query on the command line or from a pipe need not wait for
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import WordCompleter
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.output.defaults import create_output

    # while a query is typed no menu can come, and no lines are kept free for one
    commanding = Condition(lambda: session.default_buffer.text.startswith(":"))
    session: PromptSession[str] = PromptSession(
        [("bold ansicyan", PROMPT)],  # NO_COLOR leaves the bold
        completer=WordCompleter(list(words), meta_dict=dict(words), sentence=True),
        complete_while_typing=commanding,
        enable_suspend=True,
        history=InMemoryHistory(past),
        key_bindings=_bindings(),
        reserve_space_for_menu=min(8, len(words)),
        output=create_output(screen),
    )
    return session


def _bindings() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings  # 0.1 s, as above
    from prompt_toolkit.keys import Keys  # 0.1 s, as above

    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste)
    def paste(event: "KeyPressEvent") -> None:
        """Several lines pasted are one question."""
        event.current_buffer.insert_text(" ".join(event.data.splitlines()))

    return bindings


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
