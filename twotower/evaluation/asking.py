"""What people ask beside what was judged: whether the judged queries stand for those that come.

    asked    1,204, 988 of them different; 12% stand among the collection's queries
    words    median 3 (judged 6); unknown 8.1% (judged 1.2%): kubectl 31, csv 12, ...
    weak     14% found nothing that 99% of random pairs do not reach

All words are counted as the diagnosed checkpoint reads them, whatever answered at the time.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.data.batches import first_equal
from twotower.search.asked import Asked
from twotower.text.tokenize import Tokenizer, Tokens
from twotower.text.vocabulary import UNKNOWN, Vocab

WORDS = 10
"""Unknown words that are named."""
WEAK = 99.0
"""Percentile among random pairs below which a best hit is hardly one."""


def compare(
    lines: Sequence[Asked],
    texts: Sequence[str],
    judged: Sequence[int] | NDArray[np.int64],
    read_by: tuple[Tokenizer, Vocab],
    *,
    examples: int,
) -> dict[str, Any]:
    """Of the queries asked and, under `judged`, of those of `texts` at the rows `judged`, in plain types.

    `texts` are all queries of the collection. Raises ValueError where nothing was asked, or nothing judged.
    """
    if not lines or not len(judged):
        raise ValueError(f"log: got {len(lines)} queries asked and {len(judged)} judged, want one of each")
    tokenizer, vocab = read_by
    distinct = list(dict.fromkeys(line.query for line in lines))
    tokens = tokenizer.tokenize([*texts, *distinct])
    known = first_equal(tokens.ragged)[len(texts) :] < len(texts)
    place = {query: len(texts) + number for number, query in enumerate(distinct)}
    rows = np.array([place[line.query] for line in lines], dtype=np.int64)
    asked, theirs = (_words(tokens, some, vocab) for some in (rows, np.asarray(judged, dtype=np.int64)))
    return {
        "asked": len(lines),
        "distinct": len(distinct),
        "first": min(line.time for line in lines),
        "last": max(line.time for line in lines),
        "in_collection": float(known.mean()),
        "words": asked,
        "judged": {"queries": len(judged), "words": theirs},
        "unknown": [{"word": word, "queries": count} for word, count in _unknown(tokens, rows, vocab)],
        "weak": _weak(lines, examples),
    }


def _words(tokens: Tokens, rows: NDArray[np.int64], vocab: Vocab) -> dict[str, float]:
    """Lengths in words, and how much of them is unknown."""
    taken = tokens.ragged.take(rows)
    lengths = np.diff(taken.offsets)
    unknown = _is_unknown(tokens, vocab)[taken.ids]
    owners = np.repeat(np.arange(len(rows)), lengths)
    low, middle, high = np.quantile(lengths, (0.1, 0.5, 0.9))
    return {
        "mean": float(lengths.mean()),
        "p10": float(low),
        "median": float(middle),
        "p90": float(high),
        "unknown_share": float(unknown.mean()) if len(unknown) else 0.0,
        "queries_with_unknown": len(np.unique(owners[unknown])) / len(rows),
    }


def _is_unknown(tokens: Tokens, vocab: Vocab) -> NDArray[np.bool_]:
    index = vocab.index
    return np.array([index.get(word, UNKNOWN) <= UNKNOWN for word in tokens.words], dtype=np.bool_)


def _unknown(tokens: Tokens, rows: NDArray[np.int64], vocab: Vocab) -> list[tuple[str, int]]:
    """The unknown words that most queries asked have, and how many; equal ones by the alphabet."""
    strange = _is_unknown(tokens, vocab)
    counts: Counter[str] = Counter()
    for row, times in Counter(rows.tolist()).items():
        for word in np.unique(tokens.ragged[row]).tolist():
            if strange[word]:
                counts[tokens.words[word]] += times
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:WORDS]


def _weak(lines: Sequence[Asked], examples: int) -> dict[str, Any]:
    """Queries whose best hit is no better than many a random pair, the weakest first."""
    best = {
        line.query: max(one for one in line.percentiles if one is not None)
        for line in lines
        if any(one is not None for one in line.percentiles)
    }
    weak = sorted((value, query) for query, value in best.items() if value < WEAK)
    return {
        "below": WEAK,
        "measured": len(best),
        "share": len(weak) / len(best) if best else None,
        "examples": [{"query": query, "percentile": value} for value, query in weak[:examples]],
    }


def said(content: Mapping[str, Any]) -> Iterator[str]:
    """The comparison in lines."""
    judged, own, theirs = content["judged"], content["words"], content["judged"]["words"]
    yield (
        f"{content['asked']:,} queries asked, {content['distinct']:,} of them different, from "
        f"{content['first']} to {content['last']}; {judged['queries']:,} judged"
    )
    yield f"{content['in_collection']:.1%} of the different ones read like a query of the collection"
    yield (
        f"words of a query: median {own['median']:g} ({own['p10']:g} to {own['p90']:g} for 80%), of the "
        f"judged {theirs['median']:g} ({theirs['p10']:g} to {theirs['p90']:g})"
    )
    yield (
        f"unknown words: {own['unknown_share']:.1%}, in {own['queries_with_unknown']:.1%} of the queries; of "
        f"the judged {theirs['unknown_share']:.1%}, in {theirs['queries_with_unknown']:.1%}"
    )
    if content["unknown"]:
        named = ", ".join(f"{one['word'][:40]} {one['queries']:,}" for one in content["unknown"])
        yield f"unknown words by the queries that have them: {named}"
    yield from _said_of_weak(content["weak"])
    if content["torn"]:
        yield f"{content['torn']:,} lines of the log are torn, and left out"


def _said_of_weak(weak: Mapping[str, Any]) -> Iterator[str]:
    if not weak["measured"]:
        return
    yield (
        f"likely without an answer: {weak['share']:.1%} of the different queries, whose best hit scores "
        f"lower than the best {100 - weak['below']:g}% of random pairs"
    )
    for one in weak["examples"]:
        yield f"best hit at {one['percentile']:.2f}%: {one['query'][:80]}"
