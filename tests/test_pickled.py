import io
import pickle
from collections import OrderedDict, defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from twotower.text import pickled
from twotower.text.pickled import Thing

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


def read(value: Any, protocol: int) -> Any:
    return pickled.read(io.BytesIO(pickle.dumps(value, protocol)))


@given(PLAIN, st.integers(3, 5))
def test_plain_values_are_what_they_were(value: Any, protocol: int) -> None:
    assert read(value, protocol) == value


@pytest.mark.parametrize("protocol", [2, 3, 4])
@pytest.mark.parametrize("kind", ["<f2", "<f4", "<f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_what_they_were(protocol: int, kind: str, order: Any) -> None:
    matrix = np.arange(6).reshape(2, 3).astype(kind, order=order)
    back = pickled.array(read(matrix, protocol))
    assert back is not None
    assert back.dtype == matrix.dtype
    assert back.tolist() == matrix.tolist()


@pytest.mark.parametrize("value", [np.array(["a"]), np.array([1]), np.array([{}]), "x", None, [1.0]])
def test_what_is_no_array_of_real_numbers_is_none(value: Any) -> None:
    assert pickled.array(read(value, 4)) is None


def test_objects_are_read_as_their_names() -> None:
    thing = read(OrderedDict(a=1), 4)
    assert isinstance(thing, Thing)
    assert (thing.name, thing.items) == ("collections.OrderedDict", [("a", 1)])
    (given,) = read(defaultdict(int), 4).given
    assert given.name == "builtins.int"
    assert read({3, 4}, 4) in ([3, 4], [4, 3])


class Trap:
    """Would make a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("protocol", range(6))
def test_nothing_is_executed(tmp_path: Path, protocol: int) -> None:
    content = pickle.dumps([Trap(tmp_path / "sprung")], protocol)
    try:
        pickled.read(io.BytesIO(content))
    except ValueError as error:
        assert "which is not read" in str(error)  # noqa: PT017  - older protocols use other instructions
    assert not (tmp_path / "sprung").exists()
    pickle.loads(content)
    assert (tmp_path / "sprung").exists()  # the trap is a good one


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x80\x04",
        b"\x80\x04.",
        b"\x80\x04]",
        b"\x80\x04e.",
        b"\x80\x04K\x01b.",
        b"\x80\x04K\x01K\x02b.",
        b"\x80\x04h\x07.",
        b"\x80\x04}(](K\x01u.",
        b"\x80\x04}(]K\x01u.",
        b"\x80\x04Q.",
        b"\x80\x04\x97.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"cposix\nsystem\n(S'true'\ni",
        b"\xff",
    ],
)
def test_what_is_no_whole_pickle_is_a_value_error(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        pickled.read(io.BytesIO(content))


def test_a_place_in_memory_costs_no_memory() -> None:
    assert pickled.read(io.BytesIO(b"\x80\x04K\x05r\xff\xff\xff\x7fj\xff\xff\xff\x7f.")) == 5


def test_nesting_is_no_recursion() -> None:
    deep = pickled.read(io.BytesIO(b"\x80\x04" + b"]" * 20_000 + b"a" * 19_999 + b"."))
    assert isinstance(deep, list)
