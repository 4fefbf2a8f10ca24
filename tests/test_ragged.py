import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text.ragged import Ragged, offsets_of

SEQUENCES = st.lists(st.lists(st.integers(0, 9), max_size=6), max_size=8)


def unpacked(ragged: Ragged) -> list[list[int]]:
    return [ragged[row].tolist() for row in range(len(ragged))]


@given(SEQUENCES)
def test_sequences_come_back_as_they_went_in(sequences):
    ragged = Ragged.of(sequences)
    assert unpacked(ragged) == sequences
    assert ragged.ids.dtype == np.int32
    assert ragged.offsets.dtype == np.int64


@given(SEQUENCES)
def test_lengths_are_the_sequences_lengths(sequences):
    assert Ragged.of(sequences).lengths.tolist() == [len(sequence) for sequence in sequences]


@given(SEQUENCES.filter(len), st.data())
def test_take_is_indexing_with_repeats_and_a_limit(sequences, data):
    rows = data.draw(st.lists(st.integers(0, len(sequences) - 1), max_size=10))
    limit = data.draw(st.none() | st.integers(0, 7))
    taken = Ragged.of(sequences).take(rows, limit)
    assert unpacked(taken) == [sequences[row][:limit] for row in rows]


@given(SEQUENCES, st.integers(0, 7))
def test_truncation_keeps_the_first_ids(sequences, limit):
    assert unpacked(Ragged.of(sequences).truncate(limit)) == [sequence[:limit] for sequence in sequences]


@given(SEQUENCES, st.integers(0, 7))
def test_truncating_twice_is_truncating_once(sequences, limit):
    once = Ragged.of(sequences).truncate(limit)
    assert unpacked(once.truncate(limit)) == unpacked(once)


def test_truncation_that_cuts_nothing_copies_nothing():
    ragged = Ragged.of([[5, 7], [], [9]])
    assert ragged.truncate(2) is ragged


def test_the_layout_is_the_one_documented():
    ragged = Ragged.of([[5, 7], [], [9]])
    assert ragged.ids.tolist() == [5, 7, 9]
    assert ragged.offsets.tolist() == [0, 2, 2, 3]


def test_nothing_is_a_ragged_of_length_zero():
    empty = Ragged.of([])
    assert len(empty) == 0
    assert empty.offsets.tolist() == [0]
    assert len(empty.truncate(3)) == len(empty.take([])) == 0


def test_a_row_outside_is_refused():
    with pytest.raises(IndexError):
        Ragged.of([[1], [2]]).take([2])


def test_offsets_count_in_64_bits():
    lengths = np.full(3, 2**30, dtype=np.int32)
    assert offsets_of(lengths).tolist() == [0, 2**30, 2**31, 3 * 2**30]


def test_ids_may_be_read_only():
    ragged = Ragged.of([[1, 2], [3]])
    ragged.ids.flags.writeable = False
    ragged.offsets.flags.writeable = False
    assert unpacked(ragged.take([1, 0], limit=1)) == [[3], [1]]
