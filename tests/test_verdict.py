from dataclasses import replace

import pytest
from board_case import row

from twotower.evaluation.row import Row
from twotower.evaluation.standing import Luck
from twotower.evaluation.verdict import sentence

APART, ALIKE = 0.001, 0.4


def floor(name: str, mrr: float, p: float | None) -> Row:
    return row(name, mrr, kind="floor", p_best=p)


def said(*rows: Row, luck: Luck | None = None) -> str:
    return sentence(rows, "mrr_10", luck)


def test_a_row_told_apart_from_all_others_is_best() -> None:
    rows = [row("a"), row("b", 0.2, p_best=APART), row("c", 0.1, p_best=APART), floor("BM25", 0.05, APART)]
    assert said(*rows) == "a is best: told apart from all 2 others and from BM25."


def test_of_two_rows_the_other_one_is_named() -> None:
    assert said(row("a"), row("b", 0.2, p_best=APART)) == "a is best: told apart from b, the only other."


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([ALIKE, APART, APART], "no winner: a leads, but r0 cannot be told apart from it."),
        (
            [ALIKE, ALIKE, APART],
            "no winner: a leads, but the next 2 of 3 others cannot be told apart from it.",
        ),
        ([ALIKE, APART, ALIKE], "no winner: a leads, but 2 of 3 others cannot be told apart from it."),
        ([ALIKE, ALIKE, ALIKE], "no winner: a leads, but none of the 3 others can be told apart from it."),
    ],
)
def test_rows_like_the_first_leave_no_winner(p: list[float], words: str) -> None:
    others = [row(f"r{number}", 0.2 - number / 100, p_best=one) for number, one in enumerate(p)]
    assert said(row("a"), *others) == words


def test_what_chance_equals_is_no_winner_however_well_it_stands() -> None:
    rows = [row("a", 0.35), row("b", 0.3, p_best=APART), floor("chance", 0.2929, ALIKE)]
    assert said(*rows) == "no winner: nothing here stands above chance (0.2929) by more than luck."


def test_a_floor_on_top_is_no_winner() -> None:
    assert said(floor("BM25", 0.4, None), row("a", p_best=APART)) == (
        "no winner: nothing stands above BM25 (0.4000)."
    )


def test_a_best_row_that_a_floor_equals_is_said_to_be_so() -> None:
    rows = [row("a"), floor("BM25", 0.29, ALIKE), row("b", 0.2, p_best=APART), floor("chance", 0.01, APART)]
    assert said(*rows) == (
        "a is best: told apart from b, the only other and from chance; not told apart from BM25."
    )


def test_one_row_is_measured_by_the_floors() -> None:
    rows = [row("a"), floor("BM25", 0.29, ALIKE), floor("chance", 0.01, APART)]
    assert said(*rows) == "a stands alone, told apart from chance, not told apart from BM25."
    assert said(row("a")) == "a stands alone."


def test_without_values_there_is_no_verdict() -> None:
    bare = replace(row("a"), ids=None, values=None)
    assert said(bare, row("b", 0.2)).startswith("no verdict: a leads, but it has no per-query values")
    assert said(row("a"), replace(bare, name="b")).startswith("no verdict: no row but a has per-query values")


def test_luck_is_said_with_what_was_tried() -> None:
    rows = [row("a", 0.358), row("b", 0.2, p_best=APART)]
    luck = Luck(rows=20, tried=140, mean=0.293, best=0.3662, tried_best=0.3811)
    assert said(*rows, luck=luck).endswith(
        "The best of 20 equal ones would show MRR@10 0.366 by luck (0.381 with the 140 evaluations tried); "
        "it shows 0.358."
    )
    assert "tried" not in said(*rows, luck=replace(luck, tried=20))
    one = replace(luck, rows=1, tried=10, mean=0.3, tried_best=0.32)
    assert "Were all of its 10 epochs equally good" in said(row("a"), luck=one)
