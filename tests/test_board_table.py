from dataclasses import replace

from board_case import PROTOCOL, row

from twotower.evaluation.board_table import grid
from twotower.evaluation.leaderboard import Group
from twotower.evaluation.row import Row


def group(*rows: Row, **more: object) -> Group:
    made = Group(PROTOCOL, 540, list(rows), [], "a is best.", None)
    return replace(made, **more)  # type: ignore[arg-type]


def cells(made: Group, *, verbose: bool = False, ends: bool = False) -> list[dict[str, str]]:
    table = grid(made, "mrr_10", verbose=verbose, ends=ends)
    return [dict(zip(table.columns, one, strict=True)) for one in table.rows]


A = row(
    "a",
    0.29534,
    letters="a",
    intervals={"mrr_10": (0.2622, 0.3288)},
    cost={"seconds": 42.07},
    pareto=["seconds"],
)
FLOOR = row("chance", 0.01, kind="floor")


def test_a_row_shows_value_interval_letters_and_marked_cost() -> None:
    assert cells(group(A, FLOOR))[0] == {
        "name": "a", "same?": "a", "MRR@10": "0.2953", "95 %": "0.262-0.329", "train s": "42.1*"
    }  # fmt: skip


def test_the_verdict_heads_the_table_and_floors_are_dim() -> None:
    table = grid(group(A, FLOOR), "mrr_10")
    assert table.heading == "a is best."
    assert table.dim == [False, True]


def test_programs_get_the_ends_apart_and_the_same_columns_for_any_rows() -> None:
    whole, bare = (grid(group(one), "mrr_10", ends=True) for one in (A, FLOOR))
    assert whole.columns == bare.columns
    assert cells(group(A), ends=True)[0]["low"] == "0.2622"
    assert cells(group(A), ends=True)[0]["high"] == "0.3288"


def test_a_row_without_letters_that_equals_the_first_is_marked() -> None:
    rows = cells(group(A, replace(A, letters="", p_best=0.3), replace(A, letters="", p_best=0.01)))
    assert [one["same?"] for one in rows] == ["a", "~", ""]


def test_what_was_asked_for_stands_beside_the_metric() -> None:
    versus = {"baseline": "BM25", "wins": 20, "ties": 500, "losses": 20, "difference": 0.0, "p": 0.9412}
    reported = {"metrics": {"mrr_10": 0.25}, "intervals": {"mrr_10": (0.2, 0.3)}}
    asked = replace(
        A, versus=versus, reported=reported, after={"seconds": 60.0, "mrr_10": 0.2}, spread={"mrr_10": 0.004}
    )
    (one,) = cells(group(asked, choice={"report_split": "test"}))
    assert one["to BM25: won-tied-lost, p"] == "20-500-20, 0.94"
    assert one["on test"] == "0.2500 0.200-0.300"
    assert one["after 60 s"] == "0.2000"
    assert one["sd of seeds"] == "0.0040"


def test_verbose_shows_every_cost_the_geometry_and_where_it_comes_from() -> None:
    whole = replace(
        A, cost={"peak_mb": 812.0}, geometry={"mean_cosine": 0.12345}, more={"epoch": 3, "history": "h.json"}
    )
    (one,) = cells(group(whole), verbose=True)
    assert (one["peak MB"], one["mean cosine"], one["epoch"], one["history"]) == (
        "812.0",
        "0.1235",
        "3",
        "h.json",
    )
    assert "peak MB" not in cells(group(whole))[0]


def test_rows_that_are_no_checkpoints_say_what_they_are() -> None:
    assert cells(group(replace(A, kind="vectors")))[0]["name"] == "a (vectors)"


def test_a_narrow_terminal_loses_neither_name_nor_verdict_columns() -> None:
    spare = set(grid(group(A, FLOOR), "mrr_10", verbose=True, ends=True).spare)
    assert not spare & {"name", "same?", "MRR@10", "95 %", "low", "high"}
