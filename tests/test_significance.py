import itertools
import math
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from twotower.evaluation import significance
from twotower.evaluation.significance import adjusted, letters

Floats = NDArray[np.float64]


def seeded(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def all_pairs(rows: int) -> NDArray[np.int64]:
    return np.array(list(itertools.combinations(range(rows), 2)))


def equals(queries: int, rows: int, rng: np.random.Generator) -> Floats:
    """Rows that are equally good: reciprocal ranks, of which some queries have high ones in every row."""
    hard = rng.integers(1, 10, size=(queries, 1))
    return np.asarray(1 / (hard + rng.integers(0, 6, size=(queries, rows))))


def every_flip(change: Floats) -> float:
    """Exact p of one pair: the share of all 2^n sign flips that reach the sum."""
    signs = np.array(list(itertools.product([-1, 1], repeat=len(change))))
    return float(np.mean(np.abs(signs @ change) >= abs(change.sum()) - 1e-9))


def directly(values: Floats, pairs: NDArray[np.int64], draws: int) -> Floats:
    """The textbook: flipped differences, t with its own variance in every draw, the largest |t|."""
    rng = seeded(99)
    changes = values[:, pairs[:, 0]] - values[:, pairs[:, 1]]

    def t(changes: Floats) -> Floats:
        size: Floats = np.abs(changes.mean(axis=0)) / (changes.std(axis=0, ddof=1) / math.sqrt(len(changes)))
        return size

    most = [t(changes * rng.choice([-1.0, 1.0], size=(len(changes), 1))).max() for _ in range(draws)]
    return np.array([(1 + np.sum(np.array(most) >= one - 1e-9)) / (1 + draws) for one in t(changes)])


@pytest.mark.parametrize("seed", range(4))
def test_one_pair_has_the_p_of_every_sign_flip(seed: int) -> None:
    values = seeded(seed).integers(0, 4, size=(11, 2)) / 3  # many ties, and thirds that rounding parts
    exact = every_flip(values[:, 0] - values[:, 1])
    got = adjusted(values, all_pairs(2), seeded(), draws=20_000)[0]
    assert got == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / 20_000) + 1e-4)


def test_several_pairs_have_the_p_of_the_textbook() -> None:
    values = seeded(0).random((30, 4)) + np.array([0.0, 0.05, 0.2, 0.3])
    expected = directly(values, all_pairs(4), 4000)
    assert expected.min() < 0.05 < expected.max()
    assert adjusted(values, all_pairs(4), seeded()) == pytest.approx(expected, abs=0.03)


def test_a_difference_in_each_of_five_queries_has_one_chance_in_sixteen() -> None:
    # of 32 flips two reach it: all up and all down
    got = adjusted(np.array([[0.5, 0.2]] * 5), all_pairs(2), seeded(), draws=20_000)
    assert got[0] == pytest.approx(1 / 16, abs=0.006)


def test_no_draw_that_reaches_it_leaves_the_smallest_p() -> None:
    values = np.column_stack([np.ones(60), np.zeros(60)])
    assert adjusted(values, all_pairs(2), seeded(), draws=999)[0] == 1 / 1000


def test_a_pair_without_a_difference_has_p_1_and_takes_no_part() -> None:
    values = seeded(1).random((40, 2)) + np.array([0.0, 0.1])
    alone = adjusted(values, np.array([[0, 1]]), seeded(), draws=999)
    twin = np.column_stack([values, values[:, 1] + 1e-13])
    assert adjusted(twin, np.array([[1, 2], [0, 1]]), seeded(), draws=999).tolist() == [1, alone[0]]
    assert adjusted(np.ones((9, 3)), all_pairs(3), seeded()).tolist() == [1, 1, 1]


def test_no_pairs_have_no_p() -> None:
    assert adjusted(np.ones((9, 1)), np.zeros((0, 2), dtype=np.int64), seeded()).tolist() == []


def test_a_noisy_row_does_not_hide_a_steady_difference() -> None:
    rng = seeded(2)
    steady = rng.random(100)
    noisy = rng.random((100, 3)) * 50
    values = np.column_stack([steady, steady + rng.normal(0.01, 0.02, 100), noisy])
    p = dict(zip(map(tuple, all_pairs(5).tolist()), adjusted(values, all_pairs(5), seeded()), strict=True))
    assert p[0, 1] < 0.01  # five standard errors, of 0.002 each
    assert min(p[2, 3], p[2, 4], p[3, 4]) > 0.05


def test_adjusting_never_makes_a_pair_surer() -> None:
    values = equals(80, 6, seeded(3))
    together = adjusted(values, all_pairs(6), seeded(), draws=999)
    alone = [adjusted(values, pair[None], seeded(), draws=999)[0] for pair in all_pairs(6)]
    assert (together >= np.array(alone)).all()
    assert (together > np.array(alone)).any()


def test_equal_rows_are_told_apart_in_one_of_twenty_tables() -> None:
    rng = seeded(4)
    tables = [adjusted(equals(60, 20, rng), all_pairs(20), rng, draws=199).min() for _ in range(100)]
    # binomial with 100 and 0.05: outside of 1 to 11 in one case of a hundred; unadjusted nearly all would
    assert 1 <= sum(p <= 0.05 for p in tables) <= 11


def forty(errors: float) -> Floats:
    """540 queries, 40 rows of one mean but row 7: `errors` standard errors of a paired difference above."""
    rng = seeded(6)
    values = rng.random((540, 1)) * 0.6 + rng.normal(0, 0.15, size=(540, 40))
    values += values.mean() - values.mean(axis=0)
    values[:, 7] += errors * np.std(values[:, 7] - values[:, 8]) / math.sqrt(540)
    return values


def test_of_forty_rows_the_better_one_is_told_from_every_other() -> None:
    pairs = all_pairs(40)
    p = adjusted(forty(5), pairs, seeded())
    better = (pairs == 7).any(axis=1)
    assert p[better].max() < 0.05
    assert p[~better].min() == 1  # their means are equal
    assert len(pairs) / 10_001 > 0.05  # Holm charges the smallest p that there can be for all 780 pairs


def test_of_forty_rows_a_little_better_one_is_not_told_apart() -> None:
    # one pair alone would be: p 0.012 at 2.5 standard errors
    assert adjusted(forty(2.5), all_pairs(40), seeded(), draws=2000).min() > 0.05


def test_the_order_of_rows_and_of_pairs_changes_nothing() -> None:
    values, pairs = equals(70, 5, seeded(7)), all_pairs(5)
    values[:, 2] += 0.03
    p = adjusted(values, pairs, seeded(), draws=999)
    assert adjusted(values, pairs[::-1, ::-1], seeded(), draws=999)[::-1].tolist() == p.tolist()
    order = seeded(8).permutation(5)
    place = np.argsort(order)  # row r stands in column place[r]
    assert adjusted(values[:, order], place[pairs], seeded(), draws=999).tolist() == p.tolist()


def test_the_order_of_the_queries_matters_no_more_than_the_draw() -> None:
    values = equals(70, 5, seeded(7))
    values[:, 2] += 0.03
    p = adjusted(values, all_pairs(5), seeded())
    assert adjusted(values[::-1], all_pairs(5), seeded()) == pytest.approx(p, abs=0.03)


def test_unit_and_difficulty_change_nothing() -> None:
    values = equals(70, 4, seeded(9))
    p = adjusted(values, all_pairs(4), seeded(), draws=999)
    harder = 100 * (values - seeded(10).random((70, 1)))
    assert adjusted(harder, all_pairs(4), seeded(), draws=999).tolist() == p.tolist()


def test_how_many_flips_are_drawn_at_a_time_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = equals(70, 4, seeded(11))
    whole = adjusted(values, all_pairs(4), seeded(), draws=500)
    for block in (1, 70 * 9):
        monkeypatch.setattr(significance, "BLOCK", block)
        assert adjusted(values, all_pairs(4), seeded(), draws=500).tolist() == whole.tolist()


@pytest.mark.parametrize("pairs", [[[0, 2]], [[-1, 0]], [[0, 1, 1]], [0, 1]])
def test_a_pair_is_two_of_the_rows(pairs: list[list[int]]) -> None:
    with pytest.raises(ValueError, match=r"adjusted: got pairs of shape .*, want \(P, 2\) of 2 rows"):
        adjusted(np.ones((3, 2)), np.array(pairs), seeded())


def test_a_value_that_is_missing_is_not_tested() -> None:
    with pytest.raises(ValueError, match="adjusted: 1 of 4 values are not finite"):
        adjusted(np.array([[0.1, np.nan], [0.2, 0.3]]), all_pairs(2), seeded())


@pytest.mark.bench
def test_1300_pairs_of_60_rows_over_5000_queries_take_under_2_seconds() -> None:
    values = seeded().random((5000, 60))
    start = time.perf_counter()
    adjusted(values, all_pairs(60)[:1300], seeded())
    assert time.perf_counter() - start < 2


def relation(size: int, chosen: list[bool]) -> set[frozenset[int]]:
    pairs = map(frozenset, itertools.combinations(range(size), 2))
    return {pair for pair, taken in zip(pairs, chosen, strict=False) if taken}


relations = st.integers(1, 9).flatmap(
    lambda size: st.tuples(
        st.permutations(range(size)),
        st.lists(st.booleans(), min_size=size * (size - 1) // 2, max_size=size * (size - 1) // 2),
    )
)


def insert_and_absorb(size: int, apart: set[frozenset[int]]) -> set[frozenset[int]]:
    """Piepho's columns: split whichever holds a pair told apart, drop what another column holds."""
    columns = {frozenset(range(size))}
    for pair in apart:
        split = {column - {one} if pair <= column else column for column in columns for one in pair}
        columns = {column for column in split if not any(column < other for other in split)}
    return columns


@given(relations)
@settings(deadline=None)
def test_rows_share_a_letter_iff_they_are_not_told_apart(drawn: tuple[list[int], list[bool]]) -> None:
    order, chosen = drawn
    apart = relation(len(order), chosen)
    named = dict(zip(order, letters(order, apart), strict=True))
    for i, j in itertools.combinations(order, 2):
        assert bool(set(named[i]) & set(named[j])) == (frozenset({i, j}) not in apart)
    assert "a" in named[order[0]]
    assert all(named.values())
    used = set("".join(named.values()))
    assert used == set("abcdefghijklmnopqrstuvwxyz"[: len(used)])


@given(relations)
@settings(deadline=None)
def test_there_are_no_more_letters_than_by_insert_and_absorb(drawn: tuple[list[int], list[bool]]) -> None:
    order, chosen = drawn
    apart = relation(len(order), chosen)
    labels = letters(range(len(order)), apart)
    groups = {frozenset(i for i, label in enumerate(labels) if one in label) for one in set("".join(labels))}
    assert groups <= insert_and_absorb(len(order), apart)


@given(relations)
@settings(deadline=None)
def test_no_letter_can_be_left_out(drawn: tuple[list[int], list[bool]]) -> None:
    order, chosen = drawn
    labels = [set(label) for label in letters(order, relation(len(order), chosen))]
    shared = [labels[i] & labels[j] for i in range(len(labels)) for j in range(i, len(labels))]
    needed = set().union(*(one for one in shared if len(one) == 1))
    assert needed == set().union(*labels)


def test_a_group_that_later_ones_make_superfluous_has_no_letter() -> None:
    # an octahedron: 12 alike pairs, of which four of the eight faces share every one
    apart = {frozenset({0, 5}), frozenset({1, 4}), frozenset({2, 3})}
    assert letters(range(6), apart) == ["ab", "ac", "ad", "bc", "bd", "cd"]


@given(relations)
@settings(deadline=None)
def test_a_matrix_says_the_same_as_a_set(drawn: tuple[list[int], list[bool]]) -> None:
    order, chosen = drawn
    apart = relation(len(order), chosen)
    matrix = np.zeros((len(order), len(order)), dtype=np.bool_)
    for pair in apart:
        matrix[min(pair), max(pair)] = True  # one half is enough
    assert letters(order, matrix) == letters(order, apart)


def test_a_chain_of_rows_that_fade_into_each_other() -> None:
    # each is told from the next but one
    apart = {frozenset({i, j}) for i, j in itertools.combinations(range(5), 2) if j - i > 1}
    assert letters(range(5), apart) == ["a", "ab", "bc", "cd", "d"]


def test_equals_are_all_a_and_nobody_has_no_letters() -> None:
    assert letters([2, 0, 1], set()) == ["a", "a", "a"]
    assert letters([], set()) == []
    assert letters([3], set()) == ["a"]


def test_letters_go_by_the_order_not_by_the_numbers() -> None:
    # rows 4 and 9 are alike, 1 is told from both
    assert letters([9, 4, 1], {frozenset({1, 9}), frozenset({1, 4})}) == ["a", "a", "b"]
    assert letters([1, 9, 4], {frozenset({1, 9}), frozenset({1, 4})}) == ["a", "b", "b"]


def test_after_z_come_two_letters_and_blanks_between() -> None:
    apart = {frozenset({i, j}) for i, j in itertools.combinations(range(30), 2) if j - i > 1}
    labels = letters(range(30), apart)
    assert labels[:2] == ["a", "a b"]
    assert labels[25:] == ["y z", "z aa", "aa ab", "ab ac", "ac"]


def test_fifty_rows_whose_groups_explode_are_lettered_all_the_same() -> None:
    # 17 triples told apart within: insert-and-absorb lists all 3^17 largest groups of alike rows
    apart = {frozenset(pair) for i in range(0, 51, 3) for pair in itertools.combinations(range(i, i + 3), 2)}
    labels = [set(label.split()) for label in letters(range(51), apart)]
    for i, j in itertools.combinations(range(51), 2):
        assert bool(labels[i] & labels[j]) == (i // 3 != j // 3)
