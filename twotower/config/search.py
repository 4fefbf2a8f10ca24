"""Knobs of `twotower search`."""

from dataclasses import dataclass
from enum import StrEnum

from omegaconf import MISSING

from twotower.config.knobs import knob
from twotower.config.source import Source
from twotower.config.train import Device


class AnswerFormat(StrEnum):
    """How an answer is printed."""

    text = "text"
    json = "json"


class HitFormat(StrEnum):
    """How hits are printed."""

    text = "text"
    json = "json"
    trec = "trec"


class Hybrid(StrEnum):
    """What orders the hits: the tower alone, or with BM25, by reciprocal ranks or by weighted scores."""

    off = "off"
    rrf = "rrf"
    weighted = "weighted"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Answer a query from an index's or a collection's documents; without a query, a prompt."""

    checkpoint: str = ""
    """A path, a run's name, @best, @latest, @<metric>, hf://user/name; empty: the index's own, or @latest."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    index: str = ""
    """A named index, docs or docs@v0002, or its folder; empty for one that is kept in `cache_dir`."""
    index_dir: str = "data/indexes"
    """Folder of the named indexes."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's own), docstrings, beir, msmarco, triplets, pairs."""
    k: int = knob(5, at_least=1)
    """Hits to show."""
    queries: str = ""
    """File of queries, a line each (.jsonl: _id, text), answered in batches; - is standard input."""
    format: HitFormat = HitFormat.text
    """Output: text, json, trec."""
    hybrid: Hybrid = Hybrid.off
    """Ask BM25 too: off, rrf (reciprocal ranks), weighted (scores)."""
    weight: float = knob(0.5, at_least=0, at_most=1)
    """Share of the tower in hybrid=weighted; BM25 has the rest."""
    source: str = ""
    """Answer from the documents of this source alone; empty: all."""
    merge: bool = True
    """Show documents that read the same once, and name the others."""
    judgements: str = "data/judgements.jsonl"
    """File to which `:judge` adds a line; `twotower train judgements=` reads it."""
    log: str = ""
    """File to which each query adds a line, hits and unknown words; `twotower diagnose log=` reads it."""
    cache_dir: str = "data/cache"
    """Folder of document vectors, built on first use."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
