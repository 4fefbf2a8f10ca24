"""Knobs of `twotower data`."""

from dataclasses import dataclass

from omegaconf import MISSING

from twotower.config.knobs import knob
from twotower.config.leaderboard import TableFormat
from twotower.config.source import Source


@dataclass(frozen=True, kw_only=True)
class Data:
    """Look at a collection: counts, lengths, coverage, leaks; or write it as a BEIR folder."""

    data: Source = MISSING
    """Collection: docstrings, beir, msmarco, triplets, pairs."""
    out: str = ""
    """Write the collection there, as a BEIR folder; it must be empty or not exist yet."""
    vectors: str = "glove-50d"
    """Word vectors whose coverage is measured, as in `train`; there is no training here."""
    pattern: str = r"[\p{L}\p{M}\p{N}]+"
    """What a word is, as in `train`."""
    near: float = knob(0.8, at_least=0.5, at_most=1)
    """Texts are nearly the same from this Jaccard similarity of their sets of words on."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    samples: int = knob(3, at_least=0)
    """Examples shown: queries with a relevant document, and texts of each leak, 60 characters of each."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections."""
