"""Metrics by kind of query: a mean hides that one kind fails.

    length      1-3 words | 4-6 | 7-10 | 11+            first_word   what | how | ... | others
    unknown     no unknown word | up to a quarter of them | more      a field of the queries file, by value

The slices of a slicing have no query in common and together all of them, so that their means, weighted by
their queries, make up the whole. Those of fewer than five queries are pooled.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from twotower.data import fields
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.evaluation.metrics import Ints
from twotower.evaluation.statistics import intervals
from twotower.text.vocabulary import Vocab

LENGTHS = ((0, "no words"), (1, "1-3 words"), (4, "4-6 words"), (7, "7-10 words"), (11, "11+ words"))
"""Words from which each bin begins; fixed, so that collections can be compared."""
SHARES = ("none", "up to 1/4", "more")
"""Of a query's words that the vocabulary lacks."""
FEWEST = 5
"""Queries of a slice; smaller ones are pooled."""
MOST = 10
"""Values of a slicing, the most frequent ones; the others are pooled."""
OTHERS = "others"
NOTHING = "(none)"
"""The value of a query without a word, or without the field."""
LONGEST = 60
"""Characters of a value that are shown."""

Slices = dict[str, list[dict[str, Any]]]


def of(
    names: Sequence[str], asked: Asked, result: Result, vocab: Vocab | None, rng: np.random.Generator
) -> Slices:
    """Name of each slicing -> `value`, `queries`, `metrics` and 95 % `intervals` of its slices.

    `vocab` is the model's; without one, as for a run file, `unknown` is left out.
    Raises ValueError for a name that is neither one of the three nor a field of the queries file, and what
    reading that file raises.
    """
    made: Slices = {}
    for name in dict.fromkeys(names):
        if name == "unknown" and vocab is None:
            continue
        values, order = _values(name, asked, result.query_rows, vocab)
        made[name] = _scored(_pooled(values), order, result, rng)
    return made


def _values(name: str, asked: Asked, rows: Ints, vocab: Vocab | None) -> tuple[list[str], Sequence[str]]:
    """The value of each query at `rows`, and the order of values where they have one of their own."""
    if name == "length":
        return _lengths(asked, rows), [label for _, label in LENGTHS]
    if name == "first_word":
        tokens = asked.tokens.queries
        words = (tokens.ragged[row][:1].tolist() for row in rows.tolist())
        return [tokens.words[first[0]] if first else NOTHING for first in words], ()
    if name == "unknown" and vocab is not None:
        return _unknown(asked, rows, vocab), SHARES
    try:
        found = fields.of_queries(asked.collection, name)
    except ValueError as error:
        raise ValueError(f"slices: {error}; want length, first_word, unknown or one of those") from None
    ids = [asked.collection.query_ids[row] for row in rows.tolist()]
    return _of_field([found.get(query) for query in ids])


def _lengths(asked: Asked, rows: Ints) -> list[str]:
    begins = [begin for begin, _ in LENGTHS]
    bins = np.searchsorted(begins, asked.tokens.queries.ragged.lengths[rows], side="right") - 1
    return [LENGTHS[place][1] for place in bins.tolist()]


def _unknown(asked: Asked, rows: Ints, vocab: Vocab) -> list[str]:
    """A query without a word is read as one unknown word."""
    tokens = asked.tokens.queries
    known = np.array([word in vocab.index for word in tokens.words], dtype=np.bool_)
    texts = (known[tokens.ragged[row]] for row in rows.tolist())
    shares = [1 - float(text.mean()) if len(text) else 1.0 for text in texts]
    return [SHARES[0 if share == 0 else 1 if share <= 0.25 else 2] for share in shares]


def _of_field(values: Sequence[Any]) -> tuple[list[str], Sequence[str]]:
    """Values as they are shown; many different numbers in quarters of the queries."""
    given = [value for value in values if value is not None]
    numbers = {value for value in given if type(value) in (int, float)}
    if len(numbers) <= MOST or any(type(value) not in (int, float) for value in given):
        return [_shown(value) for value in values], ()
    cuts = np.unique(np.quantile(given, (0.25, 0.5, 0.75), method="inverted_cdf"))
    bins: dict[int, list[float]] = {}
    for value in sorted(numbers):
        bins.setdefault(int(np.searchsorted(cuts, value)), []).append(value)
    labels = {value: f"{inside[0]:g} to {inside[-1]:g}" for inside in bins.values() for value in inside}
    return [labels.get(value, NOTHING) for value in values], list(dict.fromkeys(labels.values()))


def _shown(value: Any) -> str:
    if value is None or value == "":
        return NOTHING
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    text = " ".join(text.split())
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 3]}..."


def _pooled(values: list[str]) -> list[str]:
    """Rare values as one.

    >>> _pooled(["what"] * 5 + ["who"] * 2)[4:]
    ['what', 'others', 'others']
    """
    counts = Counter(values)
    frequent = sorted(counts, key=lambda value: (-counts[value], value))[:MOST]
    kept = {value for value in frequent if counts[value] >= FEWEST}
    return [value if value in kept else OTHERS for value in values]


def _scored(
    values: list[str], order: Sequence[str], result: Result, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """One entry a slice: in `order`, or else by falling count; the pooled ones last."""
    counts: Mapping[str, int] = Counter(values)
    own = {value: place for place, value in enumerate(order)}
    labels = np.array(values, dtype=np.str_)
    return [
        {
            "value": value,
            "queries": counts[value],
            "metrics": {name: float(part.mean()) for name, part in parts.items()},
            "intervals": {name: list(ends) for name, ends in intervals(parts, rng).items()},
        }
        for value in sorted(counts, key=lambda one: (one == OTHERS, own.get(one, 0), -counts[one], one))
        for parts in [{name: all_[labels == value] for name, all_ in result.per_query.items()}]
    ]
