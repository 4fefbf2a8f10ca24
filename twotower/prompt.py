"""Questions from standard input, with commands among them: edited on a terminal, as they come from a pipe.

    "read a csv file"  ->  answer("read a csv file")
    ":k 3"             ->  commands["k"].run("3")
    " :k 3"            ->  answer(":k 3"), for a space keeps a line from being a command

The only module that reads the terminal. Nothing here goes to stdout: the prompt is talk.
"""

import io
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from twotower import knobs, recall, show

if TYPE_CHECKING:  # prompt_toolkit takes 0.1 s
    from prompt_toolkit import PromptSession
    from prompt_toolkit.completion import CompleteEvent, Completer, Completion
    from prompt_toolkit.document import Document
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

INVITATION = "a query on each line; :help lists the commands; Ctrl-D leaves"
PROMPT = "query> "
SHORT = {"h": "help", "q": "quit"}
"""What may stand for a command's name."""
OFFERED = 100
"""Words that completion offers at most."""

Complete = Callable[[str], Iterable[str]]
"""From what has been typed to what it may become."""


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
    complete: Complete = lambda _: ()
    """What may stand there."""


@dataclass(frozen=True)
class Aid:
    """What a terminal offers beside the line that is typed."""

    words: Complete = lambda _: ()
    """What the last word of a query may become, on Tab."""
    toolbar: Callable[[], str] | None = None
    """The line below: asked for anew each time that it is drawn."""


def converse(
    answer: Callable[[str], None], commands: Mapping[str, Command], history: Path, aid: Aid | None = None
) -> None:
    """A line, its answer, until standard input ends or `:quit`; `:help` and `:quit` stand beside `commands`.

    A ValueError or OSError of `answer` or of a command is one line, and the next question is read; on a
    terminal Ctrl-C ends no more than the answer. The file `history` keeps what is typed there, if it can be
    written. Raises KeyboardInterrupt for Ctrl-C twice on an empty line, or where questions come from a pipe.
    """
    table = completed(commands)
    for line in questions(table, history, aid or Aid()):
        try:
            _take(line, answer, table)
        except Leave:
            return
        except BrokenPipeError:  # nobody reads the answers any more
            raise
        except (ValueError, OSError) as error:
            show.error(show.one_line(error))
        except KeyboardInterrupt as interrupt:
            if interrupt.args or not is_terminal():  # SIGTERM's has arguments
                raise
            show.talk("interrupted; Ctrl-D leaves")


def _take(line: str, answer: Callable[[str], None], table: Mapping[str, Command]) -> None:
    if line.startswith(":"):
        obey(line, table)
    elif line.strip():
        answer(line[1:] if line.startswith(" ") and line.lstrip().startswith(":") else line)


def is_terminal() -> bool:
    """Whether somebody types the questions."""
    return sys.stdin is not None and sys.stdin.isatty()


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
    keys = "Up recalls what was typed, Tab completes, Ctrl-C clears the line or ends a search, Ctrl-D leaves."
    return "\n".join([*(f"  {left:<{width}}  {right}" for left, right in rows.items()), keys])


def _leave(rest: str) -> None:
    raise Leave


def piped() -> Iterator[str]:
    """Lines from standard input until it ends, without their ends; none where it is closed.

    Bytes that are not UTF-8 arrive as halves of surrogate pairs, for the caller to refuse.
    """
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    yield from (line.rstrip("\r\n") for line in sys.stdin or ())


def questions(table: Mapping[str, Command], history: Path, aid: Aid) -> Iterator[str]:
    """Lines from standard input until it ends; a terminal sees an invitation and a prompt, and can edit."""
    if not is_terminal():
        yield from piped()
        return
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    show.talk(INVITATION)
    screen = next((stream for stream in (sys.stderr, sys.stdout) if stream.isatty()), None)
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    if dumb or screen is None:
        yield from _plain()
    else:
        yield from _edited(_session(screen, table, aid, recall.remembered(history)), history)


def _plain() -> Iterator[str]:
    """Lines from a terminal that can do no more than show them."""
    while True:
        show.ask(PROMPT)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt as interrupt:
            if interrupt.args:  # SIGTERM's has arguments
                raise
            show.talk("")
            continue
        if not line:
            show.talk("")
            return
        yield line.rstrip("\r\n")


def _edited(session: "PromptSession[str]", history: Path) -> Iterator[str]:
    """Lines typed with arrow keys, history and completion."""
    warned = False
    while True:
        try:
            line = session.prompt()
        except EOFError:
            return
        except KeyboardInterrupt as interrupt:
            empty = not session.default_buffer.text
            if interrupt.args or (empty and warned):  # SIGTERM's has arguments
                raise
            if empty:
                show.talk("Ctrl-D leaves; Ctrl-C once more does too")
            warned = empty
            continue
        warned = False
        if line.strip():
            recall.remember(history, line)
        yield line


def completions(text: str, table: Mapping[str, Command], aid: Aid) -> Iterator[tuple[str, int, str]]:
    """What may stand instead of how many of the last characters typed, and a remark on it.

    >>> [*completions(":qu", {"quit": Command("leave", print)}, Aid())]
    [(':quit', 3, 'leave')]
    """
    name, space, rest = text.partition(" ")
    if text.startswith(":") and space:
        command = table.get(SHORT.get(name[1:], name[1:]))
        rest = rest.lstrip()
        yield from (
            (one, len(rest), "") for one in islice(command.complete(rest) if command else (), OFFERED)
        )
    elif text.startswith(":"):
        yield from (
            (f":{one}", len(text), command.line)
            for one, command in table.items()
            if one.startswith(name[1:].lower())
        )
    elif text and not text[-1].isspace():
        word = text.split()[-1]
        yield from ((one, len(word), "") for one in islice(aid.words(word), OFFERED))


def _session(screen: TextIO, table: Mapping[str, Command], aid: Aid, past: list[str]) -> "PromptSession[str]":
    # 0.1 s, which a query on the command line or from a pipe need not wait for
    from prompt_toolkit import PromptSession
    from prompt_toolkit.filters import Condition
    from prompt_toolkit.history import InMemoryHistory
    from prompt_toolkit.output.defaults import create_output

    # while a query is typed no menu can come, and no lines are kept free for one
    commanding = Condition(lambda: session.default_buffer.text.startswith(":"))
    toolbar = aid.toolbar
    session: PromptSession[str] = PromptSession(
        [("bold ansicyan", PROMPT)],  # NO_COLOR leaves the bold
        bottom_toolbar=(lambda: [("", show.printable(toolbar()))]) if toolbar else None,
        completer=_completer(table, aid),
        complete_while_typing=commanding,
        enable_suspend=True,
        history=InMemoryHistory(past),
        key_bindings=_bindings(),
        reserve_space_for_menu=min(8, len(table)),
        output=create_output(screen),
    )
    return session


def _completer(table: Mapping[str, Command], aid: Aid) -> "Completer":
    from prompt_toolkit.completion import Completer, Completion  # 0.1 s, as above

    class Offers(Completer):
        def get_completions(self, document: "Document", event: "CompleteEvent") -> "Iterable[Completion]":
            for text, typed, remark in completions(document.text_before_cursor, table, aid):
                yield Completion(text, -typed, display_meta=remark)

    return Offers()


def _bindings() -> "KeyBindings":
    from prompt_toolkit.key_binding import KeyBindings  # 0.1 s, as above
    from prompt_toolkit.keys import Keys  # 0.1 s, as above

    bindings = KeyBindings()

    @bindings.add(Keys.BracketedPaste)
    def paste(event: "KeyPressEvent") -> None:
        """Several lines pasted are one question."""
        event.current_buffer.insert_text(" ".join(event.data.splitlines()))

    return bindings
