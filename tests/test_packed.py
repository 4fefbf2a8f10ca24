import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.search.packed import Packed

TEXTS = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=20), max_size=10)


@given(TEXTS)
def test_packed_texts_come_back(texts: list[str]) -> None:
    packed = Packed.of(texts)
    assert [packed[row] for row in range(len(packed))] == texts


def test_texts_stand_end_to_end_in_utf_8() -> None:
    packed = Packed.of(["Ulm", "", "Zürich"])
    assert packed.blob.tobytes() == b"UlmZ\xc3\xbcrich"
    assert packed.offsets.tolist() == [0, 3, 3, 10]
    assert (packed.blob.dtype, packed.offsets.dtype) == (np.uint8, np.int64)


def test_no_texts_are_packed_too() -> None:
    assert len(Packed.of([])) == 0


def test_half_a_surrogate_pair_is_no_text() -> None:
    with pytest.raises(UnicodeEncodeError):
        Packed.of(["\udcff"])
