"""An MLP tower in NumPy alone, so that a search imports no torch.

    words (V, E) weighted word vectors   weight_0 (H, E) bias_0 (H,)   ...   weight_n (D, H) bias_n (D,)
    weights (V,) sizes of the word weights, where the layers read their mean

It computes what `twotower.model.towers.MLPTower` computes when it evaluates, to 1e-6.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from twotower.text.ragged import Ragged

Matrix = NDArray[np.float32]

_erf = np.frompyfunc(math.erf, 1, 1)


class NumpyMLP:
    """Word ids to unit vectors; arrays may be memory maps, of `words` only the texts' rows are read."""

    def __init__(
        self, arrays: Mapping[str, Matrix], *, activation: str = "gelu", residual: bool = True
    ) -> None:
        """`arrays` as the two-tower model's `numpy_query_tower` names them; KeyError if one is missing.

        Raises ValueError for an unknown activation.
        """
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation: got {activation!r}, want {', '.join(ACTIVATIONS)}")
        self.words = arrays["words"]
        self.weights = arrays.get("weights")
        count = sum(name.startswith("weight_") for name in arrays)
        self.layers = [(arrays[f"weight_{n}"], arrays[f"bias_{n}"]) for n in range(count)]
        self.activation = ACTIVATIONS[activation]
        self.residual = residual and count > 1

    def __call__(self, texts: Ragged) -> Matrix:
        """Unit vectors (n, D) of the texts."""
        return self.embed(texts)

    def embed(self, texts: Ragged) -> Matrix:
        """Unit vectors (n, D) of the texts."""
        x = self._scaled(texts)
        *hidden, last = self.layers
        if self.residual:
            project, *hidden = hidden
            x = _dense(x, project)
        for layer in hidden:
            change = self.activation(_dense(x, layer))
            x = x + change if self.residual else change
        return _normalised(_dense(x, last))

    def parts(self, ids: NDArray[np.int32]) -> Matrix:
        """What each word (n,) of one text adds to what the layers read: (n, E), whose sum is that."""
        rows = np.asarray(self.words[ids], dtype=np.float32)
        if self.weights is not None:
            total: Matrix = np.maximum(self.weights[ids].sum(), np.float32(1e-12))
            return rows / total
        length = max(float(np.linalg.norm(rows.sum(axis=0))), 1e-12)
        scaled: Matrix = rows * np.float32(math.sqrt(self.words.shape[1]) / length)
        return scaled

    def _scaled(self, texts: Ragged) -> Matrix:
        sums = _bags(self.words, texts)
        if self.weights is None:
            return _normalised(sums) * np.float32(math.sqrt(self.words.shape[1]))
        total: Matrix = np.maximum(_bags(self.weights[:, None], texts), np.float32(1e-12))
        return sums / total


def gelu(x: Matrix) -> Matrix:
    """x times the standard normal distribution function, exact (Hendrycks and Gimpel, 2016).

    >>> gelu(np.array([[1.0, 0.0]], dtype=np.float32)).round(4).tolist()
    [[0.8413000106811523, 0.0]]
    """
    distribution = (1 + _erf(x / math.sqrt(2)).astype(np.float64)) / 2
    result: Matrix = (x * distribution).astype(np.float32)
    return result


ACTIVATIONS: Mapping[str, Callable[[Matrix], Matrix]] = {
    "gelu": gelu,
    "relu": lambda x: np.maximum(x, np.float32(0)),
    "tanh": np.tanh,
}


def _bags(words: Matrix, texts: Ragged) -> Matrix:
    """Sum of each text's rows; a text without words is zeros."""
    sums = np.zeros((len(texts), words.shape[1]), dtype=np.float32)
    whole = texts.lengths > 0
    if whole.any():
        # reduceat gives an empty group its neighbour's row, so those are left out
        sums[whole] = np.add.reduceat(np.asarray(words[texts.ids]), texts.offsets[:-1][whole], axis=0)
    return sums


def _dense(x: Matrix, layer: tuple[Matrix, Matrix]) -> Matrix:
    weight, bias = layer
    product: Matrix = x @ weight.T + bias
    return product


def _normalised(x: Matrix) -> Matrix:
    """Rows over their length; a row shorter than 1e-12 is divided by 1e-12, as torch does."""
    unit: Matrix = x / np.maximum(np.linalg.norm(x, axis=1, keepdims=True), np.float32(1e-12))
    return unit
