import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from twotower.model import checkpoint
from twotower.text import numpy_pickle


def again(folder: Path, value: Any) -> Any:
    torch.save({"value": value}, folder / "a.pt")
    return numpy_pickle.plain(checkpoint.opened(folder / "a.pt", numpy_pickle.NAMES))["value"]


@pytest.mark.parametrize(
    "value",
    [
        np.float64(0.1),
        np.float32(0.1),
        np.float16(2),
        np.int64(-3),
        np.uint8(7),
        np.bool_(True),
        np.str_("ä"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_scalar_comes_back_as_a_plain_value(tmp_path: Path, value: Any) -> None:
    got = again(tmp_path, value)
    assert type(got) is type(value.item())
    assert got == value.item()


KINDS = st.sampled_from(["f8", "f4", "i8", "u2", "?", "<U3", ">f8", ">i4"])
ARRAYS = arrays.arrays(KINDS, arrays.array_shapes(min_dims=0, min_side=0, max_side=3))


@settings(max_examples=40, deadline=None)
@given(array=ARRAYS, data=st.booleans())
def test_an_array_comes_back_equal(
    tmp_path_factory: pytest.TempPathFactory, array: np.ndarray[Any, Any], data: bool
) -> None:
    value = np.asfortranarray(array) if data else array
    got = again(tmp_path_factory.mktemp("a"), value)
    assert got.shape == value.shape
    np.testing.assert_array_equal(got, value)


@pytest.mark.filterwarnings("ignore::PendingDeprecationWarning")  # of np.matrix
def test_a_matrix_comes_back_as_an_array(tmp_path: Path) -> None:
    got = again(tmp_path, np.asmatrix([[1.0, 2.0], [3.0, 4.0]]))
    assert type(got) is np.ndarray
    assert got.tolist() == [[1, 2], [3, 4]]


def test_names_of_numpy_1_are_read_too(tmp_path: Path) -> None:
    torch.save({"value": [np.float64(1.5), np.arange(3.0)]}, tmp_path / "new.pt")
    torch.save({"value": None}, tmp_path / "a.pt")
    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for name in new.namelist():
            text = new.read(name)
            assert (b"numpy._core" in text) == name.endswith("data.pkl")
            old.writestr(name, text.replace(b"numpy._core", b"numpy.core"))
    got = numpy_pickle.plain(checkpoint.opened(tmp_path / "old.pt", numpy_pickle.NAMES))["value"]
    assert got[0] == 1.5
    assert got[1].tolist() == [0, 1, 2]


class Call:
    """Pickles as a call."""

    def __init__(self, what: Any, *words: Any) -> None:
        self.what, self.words = what, words

    def __reduce__(self) -> tuple[Any, tuple[Any, ...]]:
        return self.what, self.words


def test_what_is_no_plain_array_is_refused_in_one_line(tmp_path: Path) -> None:
    mark = tmp_path / "executed"
    bad: dict[str, Any] = {
        "objects": np.array([{}], dtype=object),
        "dates": np.datetime64("2026-01-01"),
        "records": np.zeros(1, dtype=[("a", "f8")]),
        "a function of NumPy's": Call(np.load, "a.npy"),
        "code": Call(os.mkdir, str(mark)),
        "a path": tmp_path,
        "a dtype of no such code": Call(np.dtype, "f7"),
    }
    for name, value in bad.items():
        with pytest.raises(ValueError, match="refused, nothing in it was executed") as error:
            again(tmp_path, value)
        assert "\n" not in str(error.value), name
    assert not mark.exists()


@pytest.mark.parametrize(
    "state",
    [
        (1, (2,), numpy_pickle.Dtype("f8"), False, b"8 bytes."),
        (1, (-1,), numpy_pickle.Dtype("f8"), False, b""),
        (1, (10**30,), numpy_pickle.Dtype("f8"), False, b""),
        (1, (1,), "f8", False, b"8 bytes."),
        (1, (1,), numpy_pickle.Dtype("f8"), False, ["8 bytes."]),
    ],
)
def test_an_array_whose_bytes_do_not_fit_its_shape_is_refused(state: tuple[Any, ...]) -> None:
    with pytest.raises(pickle.UnpicklingError, match="an array"):
        numpy_pickle.Array().__setstate__(state)


def test_a_structure_that_holds_itself_is_an_error() -> None:
    ring: list[Any] = []
    ring.append(ring)
    with pytest.raises(ValueError, match="holds itself"):
        numpy_pickle.plain(ring)
