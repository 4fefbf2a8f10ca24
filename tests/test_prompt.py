import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import ROOT
from terminal_case import Steps, typed

from twotower import prompt, show
from twotower.prompt import Command

Converse = Callable[[bytes], tuple[list[str], str]]


def size(text: str) -> None:
    """A command that refuses what is not a number."""
    if not text.isdigit():
        raise ValueError(f"size: got {text!r}\nwant a number")
    show.talk(f"size {text}")


@pytest.fixture
def converse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Converse:
    """Questions from a pipe: those that were answered, and what was said."""

    def talk(lines: bytes) -> tuple[list[str], str]:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines), encoding="utf-8"))
        asked: list[str] = []
        table = {"size": Command("set the size", size, "N"), "tea": Command("make tea", lambda _: None)}
        prompt.converse(asked.append, table, tmp_path / "history")
        out, err = capsys.readouterr()
        assert out == ""
        return asked, err

    return talk


def test_questions_from_a_pipe_are_read_to_the_letter_and_without_a_prompt(converse: Converse) -> None:
    assert converse(b"read a file\r\n\n \t\n x ") == (["read a file", " x "], "")


def test_commands_work_in_a_pipe_too(converse: Converse) -> None:
    assert converse(b":size 3\ncsv\n") == (["csv"], "size 3\n")


def test_help_lists_every_command_with_what_it_takes(converse: Converse) -> None:
    for line in (b":help", b":h", b": help "):
        _, err = converse(line)
        assert err.splitlines()[:4] == [
            "  :help    list the commands",
            "  :size N  set the size",
            "  :tea     make tea",
            "  :quit    leave; :q and Ctrl-D do too",
        ]


@pytest.mark.parametrize("line", [b":quit", b":q", b" \n:quit"])
def test_nothing_is_answered_after_quit(line: bytes, converse: Converse) -> None:
    assert converse(b"first\n" + line + b"\nsecond\n") == (["first"], "")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b":size x", "size: got 'x' want a number"),
        (b":size", "size: got '' want a number"),
        (b":tea green", ":tea: got 'green', want nothing after it"),
        (
            b":quti",
            ":quti: no such command; did you mean :quit? (want one of :help, :size, :tea, :quit; "
            "a space before the line makes it a query)",
        ),
        (
            b":",
            ":: no such command (want one of :help, :size, :tea, :quit; "
            "a space before the line makes it a query)",
        ),
    ],
)
def test_a_bad_command_is_one_line_and_the_prompt_goes_on(line: bytes, said: str, converse: Converse) -> None:
    assert converse(line + b"\ncsv\n") == (["csv"], f"twotower: {said}\n")


def test_a_space_makes_a_query_of_what_begins_with_a_colon(converse: Converse) -> None:
    assert converse(b" :quit\n  :x\n") == ([":quit", " :x"], "")


def test_bytes_that_are_no_text_reach_the_one_who_answers(converse: Converse) -> None:
    assert converse(b"caf\xe9\n") == (["caf\udce9"], "")


def test_a_closed_input_asks_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert list(prompt.questions({}, tmp_path / "history", prompt.Aid())) == []
    assert list(prompt.piped()) == []


def test_an_error_of_the_system_is_one_line_and_a_reader_that_left_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def answer(line: str) -> None:
        raise {"full": OSError(28, "No space left", "log"), "left": BrokenPipeError()}.get(
            line, KeyboardInterrupt()
        )

    for last, raised in (("left", BrokenPipeError), ("stop", KeyboardInterrupt)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"full\n{last}\nfull\n".encode())))
        with pytest.raises(raised):
            prompt.converse(answer, {}, tmp_path / "history")
        assert capsys.readouterr().err == "twotower: log: no space left\n"


def test_what_is_piped_is_not_kept(converse: Converse, tmp_path: Path) -> None:
    converse(b"csv\n")
    assert list(tmp_path.iterdir()) == []


CONVERSE = """
from pathlib import Path
from twotower import prompt, show
commands = {"k": prompt.Command("hits", lambda text: show.talk(f"k is {text}"), "N")}
prompt.converse(lambda query: show.result(f"<{query}>"), commands, Path("cache/history"))
"""
UP = b"\x1b[A"


def session(steps: Steps, folder: Path, **env: str) -> str:
    shown, code = typed(["-c", CONVERSE], steps, folder, **env)
    assert code == 0, shown
    return shown


def test_an_answer_does_not_wait_for_the_next_question(tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", CONVERSE],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with child:
        assert child.stdin is not None
        assert child.stdout is not None
        for query in (b"csv", b"file"):
            child.stdin.write(query + b"\n")
            child.stdin.flush()
            assert child.stdout.readline() == b"<" + query + b">\n"


@pytest.mark.slow
def test_two_sessions_share_their_history(tmp_path: Path) -> None:
    steps = [("query> ", b"csv\r"), ("<csv>.*query> ", b":k 2\r"), ("k is 2.*query> ", b":quit\r")]
    assert ":help lists the commands" in session(steps, tmp_path)
    steps = [
        ("query> ", UP),
        (":quit", UP),
        ("k 2", UP),
        ("csv", b" file\r"),
        ("<csv file>.*query> ", b"\x04"),
    ]
    session(steps, tmp_path)
    assert (tmp_path / "cache" / "history").read_text() == "csv\n:k 2\n:quit\ncsv file\n"


@pytest.mark.slow
def test_several_lines_pasted_are_one_question(tmp_path: Path) -> None:
    steps = [
        ("query> ", b"\x1b[200~one\r\ntwo\x1b[201~"),
        ("one two", b"\r"),
        ("<one two>.*query> ", b"\x04"),
    ]
    session(steps, tmp_path)


@pytest.mark.slow
def test_ctrl_c_clears_the_line_and_tab_completes_a_command(tmp_path: Path) -> None:
    steps = [("query> ", b"half a que\x03"), ("query> .*query> ", b":q"), (":quit", b"\t"), ("uit", b"\r")]
    assert "<" not in session(steps, tmp_path)


@pytest.mark.slow
def test_ctrl_c_twice_on_an_empty_line_leaves(tmp_path: Path) -> None:
    steps = [("query> ", b"\x03"), ("Ctrl-D leaves.*query> ", b"csv\r")]
    steps += [("<csv>.*query> ", b"\x03"), ("Ctrl-D leaves.*query> ", b"\x03")]
    shown, code = typed(["-c", CONVERSE], steps, tmp_path)
    assert code != 0
    assert "KeyboardInterrupt" in shown


SLOW = """
import time
from pathlib import Path
from twotower import prompt, show
def answer(query):
    show.result(f"searching {query}")
    time.sleep(60 if query == "slow" else 0)
prompt.converse(answer, {}, Path("history"))
"""


@pytest.mark.slow
@pytest.mark.parametrize("env", [{}, {"TERM": "dumb"}])
def test_ctrl_c_ends_a_search_and_ctrl_d_the_prompt(env: dict[str, str], tmp_path: Path) -> None:
    steps = [("query> ", b"slow\n"), ("searching slow", b"\x03"), ("interrupted.*query> ", b"csv\n")]
    shown, code = typed(["-c", SLOW], [*steps, ("searching csv.*query> ", b"\x04")], tmp_path, **env)
    assert (code, shown.count("interrupted")) == (0, 1)


@pytest.mark.slow
def test_a_terminal_without_colours_gets_none(tmp_path: Path) -> None:
    steps = [("query> ", b"csv\r"), ("<csv>.*query> ", b"\x04")]
    assert "\x1b[0;36;1mquery> " in session(steps, tmp_path)
    assert "\x1b[0;1mquery> " in session(steps, tmp_path, NO_COLOR="1")
    assert "36" not in session(steps, tmp_path, NO_COLOR="1")


@pytest.mark.slow
def test_a_dumb_terminal_is_asked_line_by_line(tmp_path: Path) -> None:
    steps = [("query> ", b"csv\n"), ("<csv>.*query> ", b":k 2\n"), ("k is 2.*query> ", b"\x04")]
    shown = session(steps, tmp_path, TERM="dumb")
    assert "\x1b" not in shown
    assert "query> csv\n<csv>\nquery> :k 2\nk is 2\nquery> \n" in shown
