"""Everything that `twotower data` tells of a collection, gathered.

    Data(...), Collection  ->  Report(splits, lengths, words, leaks, ...)  ->  plain(): one JSON document

What leaves a mark on a metric is counted here; what is printed of it is the command's.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twotower.config import Data
from twotower.data import leaks, near, survey
from twotower.data.collection import Collection
from twotower.data.tokens import tokenise
from twotower.text import vectors
from twotower.text.tokenize import Tokenizer, warn_unsegmented
from twotower.text.vocabulary import SPECIAL

UNMEASURED = ("random", "train")
"""Vectors that are made for whatever words there are."""
FREQUENT = 12
"""Words without a vector that are named."""


@dataclass(frozen=True, eq=False)
class Report:
    """What was counted, measured and compared."""

    collection: Collection
    splits: list[survey.Split]
    judged: survey.Judged
    lengths: list[survey.Lengths]
    vectors: str
    """Word vectors whose coverage `words` tells."""
    words: list[survey.Words]
    without_vector: Mapping[str, int]
    """The most frequent words that have none, and how often they occur."""
    overlaps: list[survey.Overlap]
    leaks: leaks.Leaks
    samples: list[survey.Sample]
    warnings: list[str]
    """What does not suit this collection."""


def build(cfg: Data, collection: Collection) -> Report:
    """Tokenise (cached), count, measure and compare; deterministic.

    Raises ValueError for a malformed pattern, and what `vectors.load` raises.
    """
    tokenizer, grade = Tokenizer(cfg.pattern), cfg.min_grade
    tokens = tokenise(collection, tokenizer, Path(cfg.cache_dir))
    counts = survey.counts(tokens)
    known = _known(cfg.vectors, counts["both"])
    joined = near.joined([tokens.docs, tokens.queries])
    sets = near.word_sets(joined)
    return Report(
        collection,
        survey.splits(collection, grade),
        survey.judged(collection, grade),
        survey.lengths(collection, tokens, tokenizer),
        cfg.vectors,
        survey.words(counts, known),
        {} if known is None else survey.unknown(counts["both"], known, FREQUENT),
        survey.overlaps(collection, sets, min_grade=grade, rng=np.random.default_rng(0)),
        leaks.find(collection, joined, sets, threshold=cfg.near, min_grade=grade, shown=cfg.samples),
        list(survey.samples(collection, grade, cfg.samples)),
        list(_warnings(cfg, collection)),
    )


def _warnings(cfg: Data, collection: Collection) -> Iterator[str]:
    if "train" in collection.splits and "dev" not in collection.splits:
        share = f"about {leaks.percent(cfg.data.dev_share, 1)} of its queries"
        yield f"no dev split: train holds out {share}, data.dev_share; here they are counted as train"
    if unsegmented := warn_unsegmented(collection.doc_texts[:10_000]):
        yield unsegmented


def _known(source: str, count: Counter[str]) -> frozenset[str] | None:
    """The words that have a vector; None where any word gets one."""
    if set(source.split("+")) & set(UNMEASURED):
        return None
    words = sorted(count.keys() - set(SPECIAL))
    table = vectors.load(source, (*SPECIAL, *words), dim=1, rng=np.random.default_rng(0))
    found = table.found[len(SPECIAL) :].tolist()
    return frozenset(word for word, has in zip(words, found, strict=True) if has)


def plain(report: Report) -> dict[str, Any]:
    """The report in plain types."""
    collection = report.collection
    return {
        "name": collection.name,
        "hash": collection.hash,
        "source": dict(collection.source),
        "files": [asdict(file) for file in collection.files],
        "remarks": list(collection.remarks),
        "documents": len(collection.doc_ids),
        "queries": len(collection.query_ids),
        "splits": [asdict(split) for split in report.splits],
        "judged": asdict(report.judged),
        "lengths": [asdict(row) for row in report.lengths],
        "vectors": report.vectors,
        "words": [asdict(row) for row in report.words],
        "without_vector": dict(report.without_vector),
        "overlaps": [asdict(row) for row in report.overlaps],
        "leaks": asdict(report.leaks),
        "warnings": report.warnings,
        "samples": [asdict(row) for row in report.samples],
    }
