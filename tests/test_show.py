import csv
import io
import json
import os
from collections.abc import Callable

import pytest
from conftest import ROOT, terminal
from hypothesis import given
from hypothesis import strategies as st
from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from twotower import show
from twotower.show import Grid, Line

ODD = 'run [bold]x[/bold] :100: | \x1b[31m, "q"'
"""What a name may hold: markup, an emoji's code, a cell's border, a terminal's colour, a comma, quotes."""
PLAIN = ODD.replace("\x1b", " ")
TABLE = Grid("heading", ["name", "MRR@10"], [["first", "0.5000"], [ODD, "0.2500"]], [False, True])
WIDE = Grid("wide", [f"column {i}" for i in range(60)], [["0.12345"] * 60])

Shown = Callable[[Grid, str], str]


@pytest.fixture
def shown(capsys: pytest.CaptureFixture[str]) -> Shown:
    """What a table looks like on stdout."""

    def print_it(table: Grid, form: str) -> str:
        show.grid(table, form)
        out = capsys.readouterr()
        assert out.err == ""
        return out.out

    return print_it


def on_a_terminal(code: str, columns: int = 80, **env: str) -> str:
    """What `code` writes to a terminal."""
    code = f"from twotower import show; from twotower.show import Grid, Line; {code}"
    settings = {"PYTHONPATH": str(ROOT), "COLUMNS": str(columns), "TERM": "xterm", **env}
    return terminal(code, {**os.environ, **settings}, timeout=30)


def test_a_result_goes_to_stdout_and_talk_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    show.result("r [bold]")
    show.talk("t [bold]")
    show.error("e [bold]")
    out = capsys.readouterr()
    assert (out.out, out.err) == ("r [bold]\n", "t [bold]\ntwotower: e [bold]\n")


@pytest.mark.parametrize(
    "text",
    ["corpus.jsonl:100: bad", "a:x:b", "[red]", "[/]", "path\\", "\\[bold]", "x" * 500, "https://a.b/c"],
)
def test_talk_and_errors_are_printed_to_the_letter(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    show.talk(text)
    show.error(text)
    assert capsys.readouterr().err == f"{text}\ntwotower: {text}\n"


def test_a_terminal_cannot_be_driven_from_a_text(capsys: pytest.CaptureFixture[str]) -> None:
    hostile = "a\x1b]0;title\x07\x1b[2J\x9b31m\u202eb\rc"
    show.talk(hostile)
    show.error(hostile)
    show.grid(Grid(hostile, [hostile], [[hostile]]), "table")
    show.lines([Line([(hostile, ""), (hostile, "bold")], 4)])
    out = capsys.readouterr()
    assert {char for char in out.out + out.err if not char.isprintable()} == {"\n"}


def test_talk_may_have_several_lines_and_an_error_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    show.talk("a\nb")
    show.error("a\nb")
    assert capsys.readouterr().err == "a\nb\ntwotower: a b\n"


def test_a_document_is_one_json_document(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"é": [1, 0.1, None], "odd": ODD}
    show.document(content)
    text = capsys.readouterr().out
    assert json.loads(text) == content
    assert "é" in text


def test_a_document_cannot_drive_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    content = {"hostile": "a\x1b[2J\x7f\x9b31m\u202e\u2028\u200d\u2066\ufeff", "é東\U0001f600": ["\\u0041"]}
    show.document(content)
    text = capsys.readouterr().out
    assert all(char.isprintable() or char == "\n" for char in text)
    assert json.loads(text) == content
    assert "é東\U0001f600" in text


def test_a_document_without_a_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        show.document({"mrr_10": float("nan")})


def test_csv_is_read_back_as_it_was(shown: Shown) -> None:
    rows = list(csv.reader(io.StringIO(shown(TABLE, "csv"))))
    assert rows == [["name", "MRR@10"], ["first", "0.5000"], [PLAIN, "0.2500"]]


def test_markdown_has_one_line_a_row_and_equal_cells(shown: Shown) -> None:
    heading, empty, *lines, end = shown(TABLE, "markdown").splitlines()
    assert (heading, empty, end) == ("**heading**", "", "")  # without the last, a heading would be a row
    assert lines[:3] == ["| name | MRR@10 |", "| --- | --- |", "| first | 0.5000 |"]
    assert lines[3] == "| " + PLAIN.replace("|", "\\|") + " | 0.2500 |"


def test_a_piped_table_holds_every_cell_and_no_colour(shown: Shown) -> None:
    text = shown(TABLE, "table")
    assert "\x1b" not in text
    for cell in ("heading", "name", "MRR@10", "first", "0.5000", PLAIN, "0.2500"):
        assert cell in text


def test_a_piped_table_is_as_wide_as_it_needs(shown: Shown) -> None:
    lines = shown(WIDE, "table").splitlines()
    assert sum(line.count("column") for line in lines) == 60
    assert [line.count("0.12345") for line in lines if "0.1" in line] == [60]
    long = Grid("h" * 300, ["name"], [["n" * 300]])
    text = shown(long, "table")
    assert "h" * 300 in text
    assert "n" * 300 in text


@pytest.mark.parametrize("form", ["table", "csv", "markdown"])
def test_a_table_without_rows_shows_its_columns(form: str, shown: Shown) -> None:
    text = shown(Grid("heading", ["name", "MRR@10"], []), form)
    assert "name" in text
    assert "MRR@10" in text


def test_lines_are_piped_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    show.lines([Line([("a [bold]", "bold"), ("  b", "")]), Line([("word " * 100, "red")], 4)])
    show.lines([])
    assert capsys.readouterr().out == "a [bold]  b\n    " + "word " * 100 + "\n"


def test_lines_fold_between_words_at_the_width_of_the_terminal() -> None:
    code = "show.lines([Line([('漢字 ' * 30, 'bold'), ('\\U0001f600 ' * 9, '')], 4)])"
    lines = on_a_terminal(code, columns=40, NO_COLOR="1").splitlines()
    assert all(line.startswith("    ") and cell_len(line) <= 40 for line in lines)
    assert len(lines) == 5  # seven words of 5 columns on each
    assert sum(line.count("漢字") for line in lines) == 30
    assert sum(line.count("\U0001f600") for line in lines) == 9


@pytest.mark.parametrize("text", ["שלום 12", "مرحبا", "a שלום b"])
def test_text_from_right_to_left_stays_in_its_place(text: str) -> None:
    assert show.isolated(f"  {text} ") == f"  \u2068{text}\u2069 "
    shown = on_a_terminal(f"show.lines([Line([({text!r}, 'bold'), (' 0.5', '')])])", NO_COLOR="1")
    assert shown == f"\u2068{text}\u2069 0.5\n"


@pytest.mark.parametrize("text", ["", "plain", "Zürich 東京 \U0001f600"])
def test_other_text_is_left_alone(text: str) -> None:
    assert show.isolated(text) == text


def test_colours_are_for_terminals_that_want_them() -> None:
    code = "show.error('x'); show.grid(Grid('h', ['a'], [['b']], [True]), 'table')"
    assert "\x1b[1;31mtwotower:\x1b[0m x\n" in on_a_terminal(code)
    assert "\x1b" not in on_a_terminal(code, NO_COLOR="1")
    assert "\x1b" not in on_a_terminal(code, TERM="dumb")


def test_on_a_narrow_terminal_names_fold_and_numbers_do_not() -> None:
    code = "show.grid(Grid('h', ['name', 'n'], [['ab ' * 40, '0.12345']]), 'table')"
    lines = on_a_terminal(code, columns=40, NO_COLOR="1").splitlines()
    assert max(map(len, lines)) <= 40
    assert sum(line.count("ab") for line in lines) == 40
    assert sum(line.count("0.12345") for line in lines) == 1


def test_a_table_too_wide_for_the_terminal_loses_nothing() -> None:
    code = "show.grid(Grid('h', ['c'] * 60, [['0.12345'] * 60]), 'table')"
    assert on_a_terminal(code, columns=40, NO_COLOR="1").count("0.12345") == 60


def test_what_is_asked_leaves_the_line_open_and_the_results_alone(capsys: pytest.CaptureFixture[str]) -> None:
    show.ask("query> ")
    assert capsys.readouterr() == ("", "query> ")


def test_cells_and_headings_of_several_words_are_not_cut_on_a_narrow_terminal() -> None:
    code = "show.grid(Grid('h', ['name', *['two words'] * 9], [['first one', *['1 to 2'] * 9]]), 'table')"
    text = on_a_terminal(code, columns=60, NO_COLOR="1")
    assert (text.count("two words"), text.count("1 to 2"), text.count("first one")) == (9, 9, 1)


@pytest.mark.parametrize(("columns", "kept"), [(60, "a b c"), (30, "a b"), (20, "a")])
def test_a_narrow_terminal_leaves_out_the_columns_that_can_be_spared(columns: int, kept: str) -> None:
    code = "show.grid(Grid('h', ['a', 'b', 'c'], [['first', '1' * 9, '2' * 9]], spare=['c', 'b']), 'table')"
    lines = on_a_terminal(code, columns=columns, NO_COLOR="1").splitlines()
    assert any(line.split() == kept.split() for line in lines)
    said = [line for line in lines if "left out for want of width" in line]
    assert bool(said) == (kept != "a b c")


CELLS = st.text(st.sampled_from("ab 1.é漢─"), max_size=14).map(str.strip)


@given(
    st.integers(1, 4).flatmap(
        lambda wide: st.lists(st.lists(CELLS, min_size=wide, max_size=wide), min_size=1)
    )
)
def test_a_piped_table_is_drawn_as_rich_draws_it(lines: list[list[str]]) -> None:
    out = io.StringIO()
    console = Console(file=out, width=1000)
    table = Table(box=box.SIMPLE_HEAD)
    for place, name in enumerate(lines[0]):
        table.add_column(Text(name), justify="right" if place else "left", no_wrap=True)
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    console.print(table)
    drawn = [line.rstrip() for line in out.getvalue().splitlines()]
    assert [line.rstrip() for line in show._piped(lines, "─")] == drawn


def test_a_board_is_drawn_on_a_terminal_and_talk_stands_above() -> None:
    code = """
from twotower import show
with show.Board() as board:
    assert board.drawn
    for epoch in "12":
        board.draw(show.Grid("weekend: 1 of 2", ["trial", "epoch"], [["0", epoch]]))
        show.talk(f"said in {epoch}")
"""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "xterm", "COLUMNS": "80"}
    out = terminal(code, env, timeout=30)
    assert "weekend: 1 of 2" in out
    assert out.index("said in 1") < out.index("said in 2")
    assert "epoch" in out


def test_a_board_is_nothing_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    with show.Board() as board:
        board.draw(Grid("heading", ["trial"], [["0"]]))
        assert not board.drawn
    assert capsys.readouterr().err == ""
