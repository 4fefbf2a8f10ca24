"""Which rows are told apart by more than luck, and how a table says so.

    mrr_10   0.412 a      the second could be the first's equal, and the third's;
             0.398 ab     the first and the third differ
             0.371  b

Rows that share a letter cannot be told apart.
"""

from collections.abc import Collection, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation.statistics import BLOCK, DRAWS, EQUAL, Floats, check

TIE = 1e-9
"""A drawn maximum this close to an observed figure has reached it."""


def adjusted(
    values: Floats, pairs: NDArray[np.integer], rng: np.random.Generator, *, draws: int = DRAWS
) -> Floats:
    """p of each pair (P, 2) of rows of values (Q, rows): two-sided, adjusted for all the pairs, (P,).

    Single-step max-T (Westfall and Young, 1993) over random sign flips of the per-query differences. The
    same flips serve all pairs, so rows that answer alike cost less than Bonferroni or Holm would charge, and
    figures are studentised, so a noisy pair does not hide a steady one. It holds the chance of any false
    claim at the level: exactly where the differences are jointly symmetric, nearly for many queries.

    p is (1 + draws that reach the pair's figure) / (1 + draws). A pair without any difference has p = 1 and
    takes no part. Raises ValueError unless values are finite, and pairs are two rows each.
    """
    check(values, "adjusted")
    if pairs.size and (pairs.ndim != 2 or pairs.shape[1] != 2 or not _within(pairs, values.shape[1])):
        raise ValueError(f"adjusted: got pairs of shape {pairs.shape}, want (P, 2) of {values.shape[1]} rows")
    rows = np.ascontiguousarray(values.T)
    p = np.ones(len(pairs))
    changes = (rows[i] - rows[j] for i, j in pairs)
    # of a pair (largest difference, root of the sum of squares): flips leave both as they are
    sizes = np.array([(np.abs(change).max(), np.sqrt(change @ change)) for change in changes]).reshape(-1, 2)
    differ = sizes[:, 0] >= EQUAL
    if not differ.any():
        return p
    first, second = pairs[differ].T
    scale = 1 / sizes[differ, 1]
    totals = rows.sum(axis=1)
    figures = np.abs(totals[first] - totals[second]) * scale
    maxima = np.sort(np.concatenate(list(_maxima(rows, (first, second), scale, rng, draws))))
    reached = draws - np.searchsorted(maxima, figures - TIE * np.maximum(figures, 1))
    p[differ] = (1 + reached) / (1 + draws)
    return p


def letters(order: Sequence[int], apart: Collection[frozenset[int]] | NDArray[np.bool_]) -> list[str]:
    """Compact letters, item i for row `order[i]`: two rows share a letter iff they are not told apart.

    `order` names the rows best first, and the best gets an "a"; `apart` holds the pairs told apart, or is a
    matrix of them, by row number (Piepho, "An algorithm for a letter-based representation of all-pairwise
    comparisons", 2004). Each letter stands for a largest group of alike rows, grown from the best pair that
    shares none yet, which needs no more than one letter a pair where Piepho's insert-and-absorb may need
    exponentially many (Gramm et al., "Algorithms for compact letter displays", 2007). After z come aa, ab;
    from there on blanks keep a row's letters apart.

    >>> letters([0, 1, 2], {frozenset({0, 2})})
    ['a', 'ab', 'b']
    """
    alike = _alike(order, apart)
    groups: list[NDArray[np.bool_]] = []
    shared = np.zeros(alike.shape, dtype=np.int64)
    for i, j in zip(*np.nonzero(np.triu(alike)), strict=True):
        if not shared[i, j]:
            groups.append(_group(alike, i, j))
            shared += np.outer(groups[-1], groups[-1])
    kept = []
    for group in reversed(groups):
        pairs = np.outer(group, group)
        if (shared[pairs] > 1).all():  # later groups have made it superfluous
            shared -= pairs
        else:
            kept.append(np.flatnonzero(group).tolist())
    named = {_label(number): group for number, group in enumerate(sorted(kept))}
    between = " " if len(named) > 26 else ""
    return [between.join(label for label, group in named.items() if i in group) for i in range(len(order))]


def _within(pairs: NDArray[np.integer], rows: int) -> bool:
    return bool(pairs.min() >= 0 and pairs.max() < rows)


def _maxima(
    rows: Floats,
    pairs: tuple[NDArray[np.integer], NDArray[np.integer]],
    scale: Floats,
    rng: np.random.Generator,
    draws: int,
) -> Iterator[Floats]:
    """The largest figure of any pair under each draw of signs, block by block.

    The figure is |sum| / sqrt(sum of squares), of which |t| is an increasing function, the same for all
    pairs. A flipped sum of differences is a difference of flipped sums: one product serves all pairs.
    """
    first, second = pairs
    queries = rows.shape[1]
    step = max(1, BLOCK // max(queries, len(scale)))
    for start in range(0, draws, step):
        # whole words for each draw: how many are drawn at a time changes nothing
        size = (min(step, draws - start), -(-queries // 64))
        words = rng.integers(2**64, size=size, dtype=np.uint64)
        signs = np.unpackbits(words.view(np.uint8), axis=1, count=queries).astype(np.float64)
        signs *= 2
        signs -= 1
        sums = rows @ signs.T
        gaps = sums[first]
        gaps -= sums[second]
        np.abs(gaps, out=gaps)
        gaps *= scale[:, None]
        yield gaps.max(axis=0)


def _alike(order: Sequence[int], apart: Collection[frozenset[int]] | NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether the rows at two places of the order are not told apart."""
    if isinstance(apart, np.ndarray):
        told = apart[np.ix_(order, order)]
    else:
        told = np.array([[frozenset({i, j}) in apart for j in order] for i in order], dtype=np.bool_)
        told = told.reshape(len(order), len(order))
    alike = ~(told | told.T)
    np.fill_diagonal(alike, True)
    return alike


def _group(alike: NDArray[np.bool_], i: int, j: int) -> NDArray[np.bool_]:
    """A group of mutually alike rows that holds i and j and cannot grow; better rows come in first."""
    group: NDArray[np.bool_] = alike[i] & alike[j]
    for k in range(len(alike)):
        if group[k]:
            group &= alike[k]
    return group


def _label(number: int) -> str:
    """0 is a, 25 z, 26 aa."""
    rest, last = divmod(number, 26)
    return (_label(rest - 1) if rest else "") + chr(ord("a") + last)
