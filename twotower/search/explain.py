"""Why a document was found: what each word of the query and of the document adds to the score.

    explain(searcher, "read csv", hit)
    -> Explanation(score=0.71, query=Side((Share("csv", 0.52), Share("read", 0.11)), remainder=0.08), ...)

Of an MLP tower by integrated gradients (Sundararajan, Taly, Yan 2017) along the straight way from no word
to the text's: they add up to the score less that of a text without words. Of another tower by occlusion: what
the score loses when a word is left out, which adds up to nothing in particular. Either way the shares and the
remainder that stands beside them are the score.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.search.numpy_tower import NumpyMLP
from twotower.search.searcher import Searcher
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokens
from twotower.text.vocabulary import UNKNOWN, Vocab

STEPS = 64
"""Places on the way from nothing to the text at which the gradient is taken; Gauss's and Legendre's."""

Vector = NDArray[np.float64]
Shares = Callable[[NDArray[np.int32], Vector], Vector]
"""Ids of a text (n,) and the unit vector of the other one (D,) to what each word adds (n,)."""

_erf = np.frompyfunc(math.erf, 1, 1)


@dataclass(frozen=True)
class Share:
    """A word, and what it adds to the score, wherever it stands."""

    word: str
    adds: float
    times: int = 1
    """How often it stands in the text."""
    known: bool = True
    """Whether the tower knows it; if not, it is read as every unknown word is."""


@dataclass(frozen=True)
class Side:
    """The words of one text, those that add most first, whichever way."""

    shares: tuple[Share, ...]
    remainder: float
    """The score less all shares."""
    cut: int = 0
    """Words that the tower did not read, for there are too many."""


@dataclass(frozen=True)
class Explanation:
    """The score's two accounts; each one's shares and remainder are the score."""

    score: float
    """Cosine of query and document, as stored."""
    query: Side
    document: Side
    method: str
    """Integrated gradients, or occlusion."""


def explain(searcher: Searcher, query: str, doc_id: str) -> Explanation:
    """Why the document scores as it does for the query.

    ValueError for an id that is not there.
    """
    index = searcher.index
    row = index.row(doc_id)
    if row < 0:
        raise ValueError(f"{index.name}: no document {doc_id!r}")
    (document,) = index.documents.get([doc_id])
    asked = searcher.tokenizer.tokenize([query])
    # the index says how the document was read when it was encoded
    read = searcher.tokenizer.tokenize([f"{document.title} {document.text}".strip()])
    vector = searcher.encode(index.vocab.encode(asked, searcher.limit))[0].astype(np.float64)
    stored = index.vectors[np.array([row])][0].astype(np.float64)
    score = float(np.float32(vector @ stored))
    ask, tell, method = _towers(searcher)
    limit = int(index.manifest.get("max_doc_words", len(read[0])))
    return Explanation(
        score=score,
        query=_side(asked, index.vocab, searcher.limit, score, lambda ids: ask(ids, stored)),
        document=_side(read, index.vocab, limit, score, lambda ids: tell(ids, vector)),
        method=method,
    )


def _towers(searcher: Searcher) -> tuple[Shares, Shares, str]:
    """What gives the shares of a query's words and of a document's, and by which method."""
    manifest = searcher.index.manifest
    arrays = searcher.index.tower, searcher.index.doc_tower
    if all(arrays):
        knobs = manifest["query_tower"], manifest["doc_tower_knobs"]
        ask, tell = (_integrated(*one) for one in zip(arrays, knobs, strict=True))
        return ask, tell, "integrated gradients"
    two_tower = searcher.two_tower
    if two_tower is None:
        raise ValueError(f"{searcher.name}: no tower at hand that reads documents, so no words to weigh")
    from twotower.model import encode  # torch, which has encoded the query before

    return (
        _occluded(lambda texts: encode.encode_queries(two_tower, texts)),
        _occluded(lambda texts: encode.encode_docs(two_tower, texts)),
        "occlusion",
    )


def _side(
    tokens: Tokens, vocab: Vocab, limit: int, score: float, shares: Callable[[NDArray[np.int32]], Vector]
) -> Side:
    words = tokens[0][:limit]
    ids = vocab.encode(tokens, limit).ids
    adds = shares(ids) if words else np.zeros(0)  # a text without words is read as one unknown word
    sums: dict[str, list[float]] = {}
    for word, value in zip(words, adds.tolist(), strict=True):
        sums.setdefault(word, []).append(value)
    known = vocab.index
    made = [
        Share(word, float(np.sum(values)), len(values), known.get(word, UNKNOWN) > UNKNOWN)
        for word, values in sums.items()
    ]
    made.sort(key=lambda share: -abs(share.adds))
    remainder = score - sum(share.adds for share in made)
    return Side(tuple(made), remainder, max(0, len(tokens[0]) - limit))


def _integrated(arrays: Mapping[str, NDArray[Any]], knobs: Mapping[str, Any]) -> Shares:
    tower = NumpyMLP(arrays, activation=knobs["activation"], residual=knobs["residual"])

    def shares(ids: NDArray[np.int32], other: Vector) -> Vector:
        parts = tower.parts(ids).astype(np.float64)
        return np.asarray(parts @ _mean_gradient(tower, parts.sum(axis=0), other, knobs["activation"]))

    return shares


def _mean_gradient(tower: NumpyMLP, x: Vector, other: Vector, activation: str) -> Vector:
    """Mean over the way from 0 to `x` (E,) of the gradient of the cosine with `other` (D,)."""
    nodes, weights = np.polynomial.legendre.leggauss(STEPS)
    h = ((nodes[:, None] + 1) / 2) * x
    layers = [(weight.astype(np.float64), bias.astype(np.float64)) for weight, bias in tower.layers]
    first, hidden, last = layers[: tower.residual], layers[tower.residual : -1], layers[-1]
    for weight, bias in first:
        h = h @ weight.T + bias
    inner = []
    for weight, bias in hidden:
        inner.append(h @ weight.T + bias)
        change = tower.activation(inner[-1].astype(np.float32)).astype(np.float64)
        h = h + change if tower.residual else change
    y = h @ last[0].T + last[1]
    lengths = np.maximum(np.linalg.norm(y, axis=1, keepdims=True), 1e-12)
    cosines = (y / lengths) @ other
    back = ((other - cosines[:, None] * y / lengths) / lengths) @ last[0]
    for (weight, _), before in zip(reversed(hidden), reversed(inner), strict=True):
        change = (back * SLOPES[activation](before)) @ weight
        back = back + change if tower.residual else change
    for weight, _ in first:
        back = back @ weight
    return np.asarray((weights / 2) @ back)


def _gelu_slope(x: Vector) -> Vector:
    below = (1 + np.asarray(_erf(x / math.sqrt(2)), dtype=np.float64)) / 2
    return np.asarray(below + x * np.exp(-x * x / 2) / math.sqrt(2 * math.pi))


SLOPES: Mapping[str, Callable[[Vector], Vector]] = {
    "gelu": _gelu_slope,
    "relu": lambda x: (x > 0).astype(np.float64),
    "tanh": lambda x: 1 - np.tanh(x) ** 2,
}
"""Derivatives of `numpy_tower.ACTIVATIONS`."""


def _occluded(encode: Callable[[Ragged], NDArray[np.float32]]) -> Shares:
    def shares(ids: NDArray[np.int32], other: Vector) -> Vector:
        without = (np.delete(ids, place).tolist() for place in range(len(ids)))
        texts: Sequence[list[int]] = [ids.tolist(), *without]
        scores = encode(Ragged.of(texts)).astype(np.float64) @ other
        return np.asarray(scores[0] - scores[1:])

    return shares
