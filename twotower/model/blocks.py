"""Any batch in bounded memory: texts embedded in pieces, scores looked at in blocks.

    queries, docs -> pieces of texts, without gradient -> Q (B, D), D (C, D)
    Q, D -> scores of 64 rows (64, C), and of 64 columns (B, 64) -> loss, gradients of Q and D
    pieces of texts again, with gradient -> gradients of the weights

GradCache: Gao et al., 2021. Neither the score matrix (B, C) nor its masks exist as a whole, and neither does
what the towers' backward pass needs. The gradients are the plain ones.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple, dataclass
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from twotower.model.losses import Objective, asked, on_top
from twotower.text.ragged import Ragged

ROWS = 64
"""Rows, or columns, of the score matrix that exist at a time."""

Marks = Callable[[slice, slice], tuple[Bool[Tensor, "b c"], Bool[Tensor, "b c"]]]
"""What is known of some documents (columns) for some queries (rows): `relevant` and `given`."""


Vectors = tuple[Float[Tensor, "B D"], Float[Tensor, "C D"]]
"""Unit vectors of the queries and the documents of a whole batch."""


@dataclass(frozen=True)
class Tally:
    """What blocks of a score matrix add up to; the loss is `total` / `weight`, at least 1."""

    total: float = 0.0
    weight: float = 0.0
    equal_total: float = 0.0
    """The same with equal scores."""
    equal_weight: float = 0.0
    correct: float = 0.0
    """Queries whose positive scores highest."""
    chance: float = 0.0
    """How many that would be by chance."""
    asked: float = 0.0
    """Queries that have a positive."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(a + b for a, b in zip(astuple(self), astuple(other), strict=True)))

    @property
    def loss(self) -> float:
        """The batch's loss, if this is the tally of all its blocks."""
        return self.total / max(self.weight, 1.0)

    @property
    def chance_loss(self) -> float:
        """The loss of equal scores."""
        return self.equal_total / max(self.equal_weight, 1.0)


class Gradients(NamedTuple):
    """Of the total, not of the loss: what is the mean of how many terms shows only at the end."""

    queries: Float[Tensor, "B D"]
    docs: Float[Tensor, "C D"]
    parameters: list[Tensor]
    """In the order of the objective's parameters."""


def whole(
    objective: Objective, scores: Tensor, relevant: Tensor, given: Tensor
) -> tuple[Float[Tensor, ""], Tally]:
    """The loss of a batch whose scores (B, C) and masks are at hand, with its gradient, and the tally."""
    outcome = objective(scores, relevant, given)
    with torch.no_grad():
        equal = objective(torch.zeros_like(scores), relevant, given)
    loss, pairs = outcome.loss, float(len(scores))
    chance, rows = expected(relevant, given).item(), float(asked(given).sum())
    correct = rows * outcome.accuracy.item()
    return loss, Tally(pairs * loss.item(), pairs, pairs * equal.loss.item(), pairs, correct, chance, rows)


def expected(
    relevant: Bool[Tensor, "b C"], given: Bool[Tensor, "b C"], *, first: int = 0
) -> Float[Tensor, ""]:
    """How many positives of some rows are on top by chance.

    A row's candidates are its positive and whatever is not known to be relevant.

    >>> expected(torch.eye(2, 4, dtype=torch.bool), torch.zeros(2, 4, dtype=torch.bool)).item()
    0.5
    """
    return (asked(given, first=first) / ((~relevant).sum(dim=1) + 1)).sum()


def tally(
    objective: Objective,
    vectors: Vectors,
    marks: Marks,
    rows: slice,
) -> Tally:
    """Of `rows`, and of the columns of their positives where the loss has such a part; without gradient."""
    with torch.no_grad():
        return sum((block.tally for block in _blocks(objective, vectors, marks, rows)), Tally())


def gradients(
    objective: Objective,
    vectors: Vectors,
    marks: Marks,
    rows: slice,
) -> tuple[Tally, Gradients]:
    """The tally, and the gradients of its total; those of `rows` of all processes add up to the batch's."""
    counted, (queries, docs) = Tally(), vectors
    parameters = list(objective.parameters())
    to_queries, to_docs = torch.zeros_like(queries), torch.zeros_like(docs)
    to_parameters = [torch.zeros_like(parameter) for parameter in parameters]
    for block in _blocks(objective, vectors, marks, rows):
        to_scores, *more = torch.autograd.grad(block.total, [block.scores, *parameters])
        to_queries[block.rows].addmm_(to_scores, docs[block.columns])
        to_docs[block.columns].addmm_(to_scores.T, queries[block.rows])
        for summed, part in zip(to_parameters, more, strict=True):
            summed += part
        counted += block.tally
    return counted, Gradients(to_queries, to_docs, to_parameters)


class _Block(NamedTuple):
    rows: slice
    columns: slice
    scores: Tensor
    total: Tensor
    tally: Tally


def _blocks(objective: Objective, vectors: Vectors, marks: Marks, rows: slice) -> Iterator[_Block]:
    """All columns of a few rows, again and again; then all rows of a few columns."""
    queries, docs = vectors
    every_row, every_column = slice(0, len(queries)), slice(0, len(docs))
    pieces = list(cut(rows, ROWS))
    for piece in pieces:
        scores, (relevant, given) = _scores(queries[piece], docs), marks(piece, every_column)
        part = objective.rows(scores, relevant, given, first=piece.start)
        with torch.no_grad():
            equal = objective.rows(torch.zeros_like(scores), relevant, given, first=piece.start)
            top = on_top(scores, relevant, given, first=piece.start)
            rows_asked = asked(given, first=piece.start).sum()
            chance = expected(relevant, given, first=piece.start)
        figures = [*part, *equal, top, chance, rows_asked]
        yield _Block(piece, every_column, scores, part.total, _tally(figures))
    for piece in pieces if objective.symmetric else []:
        scores, (relevant, _) = _scores(queries, docs[piece]), marks(every_row, piece)
        part = objective.columns(scores, relevant, first=piece.start)
        with torch.no_grad():
            equal = objective.columns(torch.zeros_like(scores), relevant, first=piece.start)
        yield _Block(every_row, piece, scores, part.total, _tally([*part, *equal]))


def _scores(queries: Tensor, docs: Tensor) -> Tensor:
    return (queries @ docs.T).requires_grad_(torch.is_grad_enabled())


def _tally(figures: list[Tensor]) -> Tally:
    return Tally(*torch.stack([figure.detach().to(figures[0].dtype) for figure in figures]).tolist())


def cut(rows: slice, size: int) -> Iterator[slice]:
    """Slices of at most `size`; of size 0, one.

    >>> list(cut(slice(3, 8), 2))
    [slice(3, 5, None), slice(5, 7, None), slice(7, 8, None)]
    """
    for start in range(rows.start, rows.stop, size or max(1, rows.stop - rows.start)):
        yield slice(start, min(start + size, rows.stop) if size else rows.stop)


class Pieces:
    """Texts embedded a few at a time; of more than one piece, again with gradient when it is asked for.

    Dropout repeats what it did. A single piece keeps what its backward pass needs, and runs once.
    """

    def __init__(
        self, embed: Callable[[Ragged], Tensor], texts: Ragged, pieces: Sequence[slice], none: Tensor
    ) -> None:
        """Embed the `pieces` of `texts`, which follow each other; `none` (0, D) is what no text gives."""
        self._embed, self._texts, self._pieces = embed, texts, pieces
        self._states: list[list[Tensor]] = []
        self._parts = [self._one(piece) for piece in pieces] if len(pieces) == 1 else self._all(none)

    @property
    def vectors(self) -> Float[Tensor, "n D"]:
        """Unit vectors of the pieces, in the order of the texts; without gradient."""
        return torch.cat(self._parts).detach()

    def backward(self, gradient: Float[Tensor, "n D"]) -> None:
        """Add to the weights' gradients what follows from that of `vectors`."""
        if len(self._pieces) == 1:
            if not self._parts[0].requires_grad:  # of a tower that does not learn
                return
            self._parts[0].backward(gradient)  # type: ignore[no-untyped-call]
            return
        for piece, state in zip(self._pieces, self._states, strict=True):
            start = self._pieces[0].start
            with _replayed(state, gradient.device):
                vectors = self._one(piece)
            if not vectors.requires_grad:
                return
            vectors.backward(gradient[piece.start - start : piece.stop - start])  # type: ignore[no-untyped-call]

    def _all(self, none: Tensor) -> list[Tensor]:
        parts = [none]
        with torch.no_grad():
            for piece in self._pieces:
                self._states.append(_random_state(none.device))
                parts.append(self._one(piece))
        return parts

    def _one(self, piece: slice) -> Tensor:
        return self._embed(self._texts.take(np.arange(piece.start, piece.stop)))


def _random_state(device: torch.device) -> list[Tensor]:
    """State of the generators that dropout on `device` draws from."""
    own = [] if device.type == "cpu" else [torch.get_device_module(device).get_rng_state()]
    return [torch.get_rng_state(), *own]


def _set_random_state(state: list[Tensor], device: torch.device) -> None:
    torch.set_rng_state(state[0])
    for own in state[1:]:
        torch.get_device_module(device).set_rng_state(own)


@contextmanager
def _replayed(state: list[Tensor], device: torch.device) -> Iterator[None]:
    """Within, what is drawn is what was drawn from `state` on; afterwards the generators go on as before."""
    now = _random_state(device)
    _set_random_state(state, device)
    try:
        yield
    finally:
        _set_random_state(now, device)
