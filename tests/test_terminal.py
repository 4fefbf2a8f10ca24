"""A session at a terminal, recorded once; what it shows is looked at from several sides."""

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from index_case import Indexes
from rich.cells import cell_len
from terminal_case import Steps, resized, typed

from twotower.data import judged

OWNED = "\x1b]0;owned\x07\x1b[31mred\x1b[2J\x9b31m\u202eb\rc"
TEXTS = {
    "csv.reader": "read a csv file row by row " * 9,
    "csv.copy": "read a csv file row by row " * 9,
    "evil": f"delete the disk {OWNED}",
    "\x1b[5mid": "replace every match of a pattern",
    "שלום": "square root of a number שלום עולם",
    "\U0001f600": "東京 json document \U0001f468\u200d\U0001f469\u200d\U0001f467 " * 9,
}
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-7]|9[0-7])(?:;\d+)*m")
STYLE = re.compile(r"\x1b\[[0-9;]*m")
END = " ms; 6 documents of .*query> "
"""How an answer ends."""
LONG = "csv " * 2500
ODD = "a\x1b]0;typed\x07 שלום \U0001f600 !\"#$%&'()*+,-./:;<=>?@[]^_`{|}~"


@dataclass(frozen=True)
class Session:
    folder: Path
    shown: str
    code: int

    def after(self, line: str) -> str:
        """The answer to a line, without styles."""
        begin = self.shown.rindex(f"{line}\x1b")
        return STYLE.sub("", self.shown[begin:].split("query> ")[0])


def session(folder: Path, steps: Steps, **env: str) -> Session:
    words = ["-m", "twotower", "search", "index=docs", "index_dir=indexes", "k=6", "judgements=said.jsonl"]
    shown, code = typed(words, steps, folder, XDG_STATE_HOME=str(folder / "state"), **env)
    return Session(folder, shown, code)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where an index of hostile documents lies."""
    folder = tmp_path_factory.mktemp("terminal")
    made = Indexes(folder)
    made.write(TEXTS)
    made.build()
    return folder


@pytest.fixture(scope="module")
def recorded(folder: Path) -> Session:
    steps: Steps = [
        ("query> ", resized(80)),
        ("", b"csv files\r"),
        (END, b"half a que\x03"),
        ("query> ", resized(40)),
        ("", b"csv json\r"),
        (END, resized(120)),
        ("", b":why 1\r"),
        ("remainder.*remainder.*query> ", b":near file\r"),
        ("file.*query> ", b":judge 1 yes\r"),
        ("kept in.*query> ", b":filt\t"),
        (":filter", b"\x15\x1b[200~" + LONG.encode() + b"\x1b[201~"),
        (r"csv(\s|\x1b\[[0-9;?]*[a-zA-Z])*$", b"\r"),
        (f"query cut after 64 of its 2,500 words.*{END}", b":open 1\r"),
        ("row by row.*query> ", b"\x1b[200~" + ODD.encode() + b"\x1b[201~\r"),
        (END, b"\x04"),
    ]
    return session(folder, steps)


def test_ctrl_c_clears_a_line_and_ctrl_d_leaves(recorded: Session) -> None:
    assert recorded.code == 0, recorded.shown
    assert "half a que" in recorded.shown
    assert "twotower: " not in recorded.shown


def test_scores_and_words_found_are_coloured(recorded: Session) -> None:
    assert COLOUR.search(recorded.shown)
    assert re.search(r"\x1b\[1;35mcsv\x1b\[0m", recorded.shown)  # a word of the query


def test_documents_and_ids_cannot_drive_the_terminal(recorded: Session) -> None:
    for part in ("\x1b]0;owned", "\x1b[5m", "\x9b", "\u202e", "\x1b]0;typed", "\x07"):
        assert part not in recorded.shown
    assert "]0;owned" in recorded.shown


def test_letters_from_right_to_left_keep_to_themselves(recorded: Session) -> None:
    assert "\u2068שלום\u2069" in STYLE.sub("", recorded.shown)


def test_documents_that_read_the_same_are_named(recorded: Session) -> None:
    assert "the same: csv.reader" in STYLE.sub("", recorded.shown)


@pytest.mark.parametrize(("line", "columns"), [("csv files", 80), ("csv json", 40)])
def test_answers_fold_at_the_width_that_the_terminal_has_by_then(
    line: str, columns: int, recorded: Session
) -> None:
    rows = [row for row in recorded.after(line).splitlines() if re.match(r" {4}\S| ?\d+  -?\d", row)]
    assert len(rows) > 8
    widths = [cell_len(row) for row in rows]
    assert columns - 12 < max(widths) <= columns


def test_what_was_judged_is_kept(recorded: Session) -> None:
    (line,), _ = judged.read(recorded.folder / "said.jsonl")
    assert (line.query, line.grade) == ("csv json", 1)


def test_what_was_typed_is_remembered_where_the_user_keeps_such_things(recorded: Session) -> None:
    lines = (recorded.folder / "state" / "twotower" / "history").read_text().splitlines()
    assert lines[:2] == ["csv files", "csv json"]
    assert lines[5] == LONG.rstrip(" ") or lines[5] == LONG


def test_without_colours_there_are_none(folder: Path) -> None:
    done = session(folder, [("query> ", b"csv\r"), (END, b"\x04")], NO_COLOR="1")
    assert done.code == 0
    assert not COLOUR.search(done.shown)
    assert "csv.copy" in done.shown
