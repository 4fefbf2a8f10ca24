from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from board_case import noisy, row, scores

from twotower.evaluation import standing
from twotower.evaluation.row import Row, ranked
from twotower.evaluation.standing import Luck


def compare(rows: list[Row], baseline: str = "") -> tuple[list[Row], Luck | None]:
    compared, luck, _ = standing.compare(ranked(rows, "mrr_10"), "mrr_10", draws=2000, baseline=baseline)
    return compared, luck


def drawn(means: list[float], queries: int = 400) -> list[Row]:
    values = noisy(means, queries, np.random.default_rng(1))
    return [row(f"r{n}", float(each.mean()), each) for n, each in enumerate(values)]


def test_intervals_are_those_of_the_percentile_bootstrap() -> None:
    (one,), _ = compare([row("a", 0.3)])
    low, high = one.intervals["mrr_10"]
    peer = scipy.stats.bootstrap((scores(0.3),), np.mean, method="percentile", rng=np.random.default_rng(1))
    assert low == pytest.approx(peer.confidence_interval.low, abs=0.003)
    assert high == pytest.approx(peer.confidence_interval.high, abs=0.003)


def test_a_further_row_changes_no_other_interval() -> None:
    two, three = drawn([0.5, 0.4, 0.3])[:2], drawn([0.5, 0.4, 0.3])
    before = {one.name: one.intervals for one in compare(two)[0]}
    after = {one.name: one.intervals for one in compare(three)[0]}
    assert before == {name: after[name] for name in before}


def test_rows_that_differ_have_no_letter_in_common_and_like_ones_share_one() -> None:
    rows, _ = compare(drawn([0.5, 0.5, 0.3]))
    assert [one.letters for one in rows] == ["a", "a", "b"]
    assert rows[0].p_best is None
    assert rows[1].p_best is not None
    assert rows[1].p_best > 0.05 > (rows[2].p_best or 0)


def test_queries_in_another_order_change_nothing() -> None:
    rows = drawn([0.5, 0.3])
    order = np.random.default_rng(2).permutation(400)
    values, names = rows[1].values, rows[1].ids
    assert values is not None
    assert names is not None
    shuffled = replace(rows[1], values=values[order], ids=names[order].astype("U20"))
    first, second = (compare([rows[0], other])[0] for other in (rows[1], shuffled))
    assert [(one.p_best, one.intervals) for one in first] == [(one.p_best, one.intervals) for one in second]


def test_a_row_of_other_queries_is_not_tested_and_named() -> None:
    rows = [
        *drawn([0.5, 0.4]),
        row("misfit", 0.3, scores(0.3, 400), ids=np.array([f"p{n}" for n in range(400)])),
    ]
    compared, _, table = standing.compare(ranked(rows, "mrr_10"), "mrr_10", draws=500)
    assert [compared[place].name for place in table.misfits] == ["misfit"]
    misfit = compared[table.misfits[0]]
    assert (misfit.letters, misfit.p_best, misfit.intervals) == ("", None, {})


def test_a_first_row_without_values_leaves_the_others_their_letters_and_no_p() -> None:
    bare = replace(row("bare", 0.9), ids=None, values=None)
    compared, luck = compare([bare, *drawn([0.5, 0.3])])
    assert [(one.letters, one.p_best) for one in compared] == [("", None), ("a", None), ("b", None)]
    assert "mrr_10" in compared[1].intervals
    assert luck is not None
    assert luck.rows == 2
    assert compare([bare])[0] == [bare]


def test_chance_is_tested_by_its_mean_alone_and_has_no_interval() -> None:
    chance = replace(row("chance", 0.3, kind="floor"), ids=None, values=None)
    compared, _ = compare([*drawn([0.5, 0.31]), chance])
    found = {one.name: one for one in compared}
    assert found["chance"].letters == found["r1"].letters == "b"
    assert found["chance"].intervals == {}
    bm25 = replace(chance, name="BM25")
    assert compare([*drawn([0.5]), bm25])[0][-1].letters == ""


def test_below_fifty_rows_are_compared_with_the_first_and_floors_with_all() -> None:
    rows = drawn([0.5] + [0.4] * 52, queries=100)
    floor = row("BM25", 0.0, scores(0.0, 100), kind="floor")
    compared, _ = compare([*rows, floor])
    assert all(one.letters for one in compared[:50])
    assert [one.letters for one in compared[50:53]] == ["", "", ""]
    assert all(one.p_best is not None for one in compared[1:])
    assert compared[-1].name == "BM25"
    assert compared[-1].letters


def test_floors_are_no_part_of_luck_and_epochs_are() -> None:
    rows = drawn([0.4, 0.4])
    _, luck = compare([replace(rows[0], epochs=10), rows[1], replace(rows[1], name="f", kind="floor")])
    assert luck is not None
    assert (luck.rows, luck.tried) == (2, 11)
    assert luck.mean < luck.best < luck.tried_best
    assert compare(rows[:1])[1] is None


def test_wins_ties_and_losses_against_the_baseline() -> None:
    a = row("a-111111", 0.75, np.array([1.0, 1, 1, 0]))
    b = row("b-222222", 0.5, np.array([0.0, 1, 0.5, 0.5]))
    compared, _ = compare([a, b], baseline="b")
    assert compared[1].versus is None
    told = compared[0].versus
    assert told is not None
    assert told == {
        "baseline": "b-222222", "wins": 2, "ties": 1, "losses": 1, "difference": 0.25, "p": compared[1].p_best
    }  # fmt: skip


@pytest.mark.parametrize("name", ["mlp-3fa2b1", "MLP", "mlp"])
def test_a_row_goes_by_its_whole_name_or_without_the_six_characters(name: str) -> None:
    assert standing.named([row("gru-000000"), row("mlp-3fa2b1")], name) == 1


def test_rows_of_seeds_and_floors_go_by_the_first_part_of_their_names() -> None:
    rows = [row("mlp (3 seeds)"), row("untrained, best of 3", kind="floor")]
    assert [standing.named(rows, name) for name in ("mlp", "untrained", "none")] == [0, 1, None]
    with pytest.raises(ValueError, match="baseline: 2 rows are named 'run'; say which: run-1, run-2"):
        standing.named([row("run-1"), row("run-2")], "run")


def test_one_seed_decides_all_that_is_drawn() -> None:
    first, second = compare(drawn([0.5, 0.45, 0.4])), compare(drawn([0.5, 0.45, 0.4]))
    assert [(one.letters, one.p_best, one.intervals) for one in first[0]] == [
        (one.letters, one.p_best, one.intervals) for one in second[0]
    ]
    assert first[1] == second[1]
