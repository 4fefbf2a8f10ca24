"""NumPy values in pickles of older checkpoints, read without NumPy's own unpickling.

    numpy._core.multiarray.scalar(dtype("f8"), 8 bytes)   ->  0.4118
    numpy._core.multiarray._reconstruct(ndarray, ...)     ->  array([[...]])      matrices too

A pickle names what it wants to call. `torch.load(weights_only=True)` refuses every name but its own and those
of `NAMES`, which stand for the functions here: NumPy's accept a dtype of objects whose flags deny that it is
one, and then take the file's bytes for addresses.
"""

import pickle
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

KINDS = "biufU"
"""What an array may hold: truth values, whole numbers, floating-point numbers, text."""


class Dtype:
    """A dtype by its code, such as f8; its byte order follows as state."""

    def __init__(self, code: str, align: object = False, copy: object = False) -> None:
        if not isinstance(code, str) or code[:1] not in KINDS or not code[1:].isdecimal():
            raise pickle.UnpicklingError(f"an array of dtype {code!r}, want one of {', '.join(KINDS)}")
        try:
            self.dtype = np.dtype(code)
        except TypeError:
            raise pickle.UnpicklingError(f"an array of dtype {code!r}, which NumPy lacks") from None

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        order = state[1]
        self.dtype = self.dtype.newbyteorder(order if order in ("<", ">") else "=")


class Array:
    """An array, empty until its state arrives: (version, shape, dtype, whether columns come first, bytes)."""

    def __init__(self) -> None:
        self.array: NDArray[Any] = np.zeros(0)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, shape, dtype, columns_first, data = state
        if not all(isinstance(size, int) and size >= 0 for size in shape):
            raise pickle.UnpicklingError(f"an array of shape {shape!r}, want whole numbers")
        flat = _from_bytes(dtype, data, int(np.prod(shape, dtype=object)))
        self.array = flat.reshape(shape, order="F" if columns_first else "C")


def _from_bytes(dtype: Any, data: Any, count: int) -> NDArray[Any]:
    if not isinstance(dtype, Dtype) or not isinstance(data, bytes):
        raise pickle.UnpicklingError("an array without plain bytes")
    if len(data) != count * dtype.dtype.itemsize:
        raise pickle.UnpicklingError(f"an array of {len(data)} bytes, want {count * dtype.dtype.itemsize}")
    if not count or not dtype.dtype.itemsize:
        return np.zeros(count, dtype=dtype.dtype)
    return np.frombuffer(data, dtype=dtype.dtype).astype(dtype.dtype.newbyteorder("="))


def _scalar(dtype: Any, data: Any = b"") -> Any:
    """As `numpy.core.multiarray.scalar`: a plain number, truth value or text."""
    return _from_bytes(dtype, data, 1)[0].item()


def _reconstruct(kind: Any, shape: Any, code: Any) -> Array:
    """As `numpy.core.multiarray._reconstruct`."""
    return Array()


def _no_bytes() -> bytes:
    """What an array without elements has for bytes."""
    return b""


class _Kind:
    """Stands for the class of an array or a matrix; it is handed over and never called."""


NAMES: tuple[tuple[Callable[..., Any], str], ...] = (
    *((_scalar, f"numpy.{core}.multiarray.scalar") for core in ("core", "_core")),
    *((_reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
    (_no_bytes, "builtins.bytes"),
    (Dtype, "numpy.dtype"),
    (Array, "twotower.Array"),  # so that its state may be set; the other names give no Array's class
    (_Kind, "numpy.ndarray"),
    (_Kind, "numpy.matrix"),
    (_Kind, "numpy.matrixlib.defmatrix.matrix"),
)
"""All that a pickle may name beside torch's own, and what it gets for it."""


def plain(value: Any) -> Any:
    """`value` with NumPy's arrays for ours, throughout; ValueError for a structure that holds itself."""
    try:
        return _plain(value)
    except RecursionError:
        raise ValueError("nested too deep, or holds itself") from None


def _plain(value: Any) -> Any:
    match value:
        case Array():
            return value.array
        case Dtype():
            return str(value.dtype)
        case Mapping():
            return {_key(key): _plain(one) for key, one in value.items()}
        case list() | tuple() | set():
            return [_plain(one) for one in value]
        case _:
            return value


def _key(key: Any) -> Any:
    if not isinstance(key, (str, int, float)):
        raise ValueError(f"a key of type {type(key).__name__}, want text or a number")
    return key
