from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from twotower.data import near
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer

TEXTS = st.lists(st.lists(st.integers(0, 12), max_size=9), max_size=24)
THRESHOLDS = st.sampled_from([0.5, 0.55, 0.6, 2 / 3, 0.75, 0.8, 0.9, 1.0])


def pairs(texts: Sequence[Sequence[int]], threshold: float) -> set[tuple[int, int]]:
    blocks = near.similar(near.word_sets(Ragged.of(texts)), threshold)
    return {pair for one, other in blocks for pair in zip(one.tolist(), other.tolist(), strict=True)}


def brute_force(texts: Sequence[Sequence[int]], threshold: float) -> set[tuple[int, int]]:
    sets = [set(text) for text in texts]
    return {
        (one, other)
        for one, other in combinations(range(len(sets)), 2)
        if sets[one] and len(sets[one] & sets[other]) >= threshold * len(sets[one] | sets[other]) - 1e-9
    }


@settings(deadline=None, max_examples=300)
@given(TEXTS, THRESHOLDS)
def test_every_similar_pair_is_found_and_no_other(texts: list[list[int]], threshold: float) -> None:
    assert pairs(texts, threshold) == brute_force(texts, threshold)


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_the_size_of_the_blocks_changes_nothing(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    texts = [rng.integers(0, 9, size=size).tolist() for size in rng.integers(0, 9, size=60)]
    whole = pairs(texts, 0.6)
    assert whole == brute_force(texts, 0.6)
    assert len(whole) > 20
    monkeypatch.setattr(near, "CHUNK", chunk)
    assert pairs(texts, 0.6) == whole


def test_a_similarity_of_just_the_threshold_is_enough() -> None:
    # 11 of 20 words: 0.55, though 0.55 * 20 is 11.000000000000002 as a float
    assert pairs([range(20), range(11)], 0.55) == {(0, 1)}
    assert pairs([range(20), range(10)], 0.55) == set()


def test_repetition_and_order_of_words_do_not_count() -> None:
    assert pairs([[1, 2, 2, 3], [3, 1, 2]], 1.0) == {(0, 1)}


def test_texts_without_words_are_like_nothing() -> None:
    assert pairs([[], [], [4]], 0.5) == set()
    assert pairs([], 0.5) == set()


@settings(deadline=None)
@given(TEXTS.filter(bool))
def test_overlaps_count_the_shared_words(texts: list[list[int]]) -> None:
    one, other = (grid.ravel() for grid in np.indices((len(texts), len(texts))))
    shared = near.overlaps(near.word_sets(Ragged.of(texts)), one, other)
    assert shared.tolist() == [len({*texts[a]} & {*texts[b]}) for a, b in zip(one, other, strict=True)]


def test_both_sides_share_one_numbering() -> None:
    docs, queries = Tokenizer().tokenize(["the cat", ""]), Tokenizer().tokenize(["cat the", "dog"])
    joined = near.joined([docs, queries])
    assert [joined[row].tolist() for row in range(4)] == [[0, 1], [], [1, 0], [2]]


def test_sides_without_a_word_can_be_joined() -> None:
    nothing = Tokenizer().tokenize(["...", ""])
    assert len(near.joined([nothing, Tokenizer().tokenize(["a"])])) == 3
    assert near.word_sets(near.joined([nothing])).lengths.tolist() == [0, 0]


def test_rare_words_stand_first() -> None:
    sets = near.word_sets(Ragged.of([[0, 1, 2], [0, 1], [0]]))
    # word 2 occurs in one text, 1 in two, 0 in three
    assert [sets[row].tolist() for row in range(3)] == [[0, 1, 2], [1, 2], [2]]
