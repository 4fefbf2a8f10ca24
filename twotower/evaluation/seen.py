"""Which of the evaluated queries training has seen: their words, or what answers them.

    train      "who was einstein" -> d1               trained on
    evaluated  "Who was Einstein?" -> d7              seen: the same words
               "where is ulm" -> d1                   seen: its answer was an answer in training
               "why is the sky blue" -> d9            clean, and scored apart

The two may be of different collections. What "the same" and "nearly the same" mean is in
`twotower.data.matches`; no match is missed.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower import config
from twotower.data import near
from twotower.data.collection import Collection
from twotower.data.leaks import percent
from twotower.data.matches import NOBODY, Mask, Matches
from twotower.data.tokens import tokenise
from twotower.evaluation.evaluate import Result
from twotower.evaluation.floors import Asked
from twotower.evaluation.metrics import Ints, shown
from twotower.text import cache
from twotower.text.tokenize import Tokenizer, Tokens

FORMAT = 1
"""Of a kept comparison; another number is another entry."""
NEAR = config.Data.near
"""Jaccard similarity of sets of words from which texts are nearly the same, as in `twotower data`."""
ARRAYS = ("query_rows", "queries_same", "queries_near", "doc_rows", "docs_same", "docs_near")


@dataclass(frozen=True)
class Training:
    """What a checkpoint was trained on: what it is, and how to get it where it must be looked at."""

    name: str
    hash: str
    """Of the whole collection, a held-out dev split included."""
    read: Callable[[], Collection]
    """Raises ValueError or OSError where that can no longer be done."""
    min_grade: int = 1
    """Grade from which training took a document for relevant."""

    @staticmethod
    def of(content: Mapping[str, Any], read: Callable[[], Collection]) -> "Training | None":
        """From what a checkpoint says; None where it does not say."""
        data = content.get("data")
        knobs = (content.get("training_stats") or {}).get("config") or {}
        if not isinstance(data, Mapping) or not data.get("hash"):
            return None
        return Training(str(data.get("name", "")), str(data["hash"]), read, int(knobs.get("min_grade", 1)))


@dataclass(frozen=True, eq=False)
class Seen:
    """The comparison, before any metric."""

    train: str
    """Name of the collection trained on."""
    query_rows: Ints
    """The evaluated queries, ascending, (Q,)."""
    queries_same: Mask
    """Which read the same as a training query, (Q,)."""
    queries_near: Mask
    """Which of the others nearly do, (Q,)."""
    doc_rows: Ints
    """The documents relevant to them, ascending, (R,)."""
    docs_same: Mask
    """Which were relevant in training, or read the same as one that was, (R,)."""
    docs_near: Mask
    """Which of the others nearly do, (R,)."""

    def leaky(self, asked: Asked) -> Mask:
        """Queries seen themselves, or with a relevant document that was, (Q,)."""
        judged = asked.judgements
        known = np.zeros(len(asked.collection.doc_ids), dtype=np.bool_)
        known[self.doc_rows] = self.docs_same | self.docs_near
        answered = known[judged.docs] & (judged.grades >= asked.protocol.min_grade)
        return self.queries_same | self.queries_near | np.isin(self.query_rows, judged.queries[answered])


def between(training: Training, asked: Asked, cache_dir: Path) -> Seen:
    """Compare the asked split with the split train of `training`; kept by content under `cache_dir`.

    Only what is not kept is read. Raises what `training.read` raises, ValueError where it gives another
    collection or one without a split train, OSError where `cache_dir` cannot be written.
    """
    protocol = asked.protocol
    about = [training.hash, training.min_grade, protocol.corpus_hash, protocol.queries_hash]
    about += [protocol.qrels_hash, protocol.min_grade, protocol.tokenizer, NEAR, FORMAT]
    name = hashlib.sha256(json.dumps(about).encode()).hexdigest()[:32]
    folder = cache_dir / "seen" / name
    kept = cache.load(folder, ARRAYS)
    if kept is None:
        arrays = _compare(training, asked, cache_dir)
        cache.save(folder, arrays, ())
    else:
        arrays = dict(kept[0])
    return Seen(training.name, **arrays)


def _compare(training: Training, asked: Asked, cache_dir: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `Seen`."""
    learnt = training.read()
    if learnt.hash != training.hash:
        raise ValueError(f"{training.name}: changed since training")
    pairs, theirs = learnt.judgements("train"), asked.judgements
    tokens = tokenise(learnt, Tokenizer(asked.protocol.tokenizer), cache_dir)
    trained = np.unique(pairs.docs[pairs.grades >= training.min_grade])
    relevant = np.unique(theirs.docs[theirs.grades >= asked.protocol.min_grade])
    rows = asked.query_rows
    same, close = _alike(_taken(asked.tokens.queries, rows), _taken(tokens.queries, np.unique(pairs.queries)))
    docs_same, docs_close = _alike(_taken(asked.tokens.docs, relevant), _taken(tokens.docs, trained))
    if learnt.corpus_hash == asked.protocol.corpus_hash:  # one corpus: a document without words is known too
        docs_same |= np.isin(relevant, trained)
    found = (rows, same, close, relevant, docs_same, docs_close & ~docs_same)
    return dict(zip(ARRAYS, found, strict=True))


def _taken(tokens: Tokens, rows: Ints) -> Tokens:
    return Tokens(tokens.words, tokens.ragged.take(rows))


def _alike(ours: Tokens, theirs: Tokens) -> tuple[Mask, Mask]:
    """Which of `ours` read the same as one of `theirs`, and which of the others nearly do."""
    joined = near.joined([ours, theirs])
    mine = np.arange(len(joined)) < len(ours)
    sides = {"ours": mine, "theirs": ~mine}
    matches = Matches.find(joined, near.word_sets(joined), sides, threshold=NEAR)
    partners = matches.partners(np.arange(len(ours)), "theirs")
    same = partners.same != NOBODY
    return same, (partners.near != NOBODY) & ~same


def apart(seen: Seen, asked: Asked, result: Result) -> tuple[Mask, dict[str, Any]]:
    """Which judged queries training has seen, (judged,), and the counts with the means of both parts.

    Counts are of judged queries and of documents relevant to them; a part without a query has no means.
    """
    places = np.searchsorted(seen.query_rows, result.query_rows)
    leaky = seen.leaky(asked)[places]
    leak = {
        "train": seen.train,
        "queries": len(leaky),
        "queries_same": int(seen.queries_same[places].sum()),
        "queries_near": int(seen.queries_near[places].sum()),
        "documents": len(seen.doc_rows),
        "documents_same": int(seen.docs_same.sum()),
        "documents_near": int(seen.docs_near.sum()),
        "leaky": int(leaky.sum()),
        "clean": _means(result, ~leaky),
        "seen": _means(result, leaky),
    }
    return leaky, leak


def _means(result: Result, chosen: Mask) -> dict[str, float]:
    if not chosen.any():
        return {}
    return {name: float(values[chosen].mean()) for name, values in result.per_query.items()}


def remark(leak: Mapping[str, Any], metric: str) -> str:
    """A `leak` in a line, with `metric` on both parts; empty where training has seen nothing of the split."""
    count, queries = leak.get("leaky", 0), leak.get("queries", 0)
    if not count:
        return ""
    means = [
        f"{leak[part][metric]:.4f} on {who}"
        for part, who in (("seen", "them"), ("clean", "the others"))
        if metric in leak[part]
    ]
    return (
        f"{count:,} of {queries:,} queries ({percent(count, queries)}) were seen in training on "
        f"{leak['train']} (queries: {leak['queries_same']:,} the same, {leak['queries_near']:,} nearly; "
        f"relevant documents: {leak['documents_same']:,} the same, {leak['documents_near']:,} nearly): "
        f"{shown(metric)} {', '.join(means)}"
    )
