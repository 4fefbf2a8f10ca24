"""Knobs of `twotower evaluate`."""

from dataclasses import dataclass

from omegaconf import MISSING

from twotower.config.knobs import CUT_OFFS, knob
from twotower.config.leaderboard import TableFormat
from twotower.config.source import Source
from twotower.config.train import Candidates, Device


@dataclass(frozen=True, kw_only=True)
class Evaluate:
    """Score checkpoints on a split of a collection."""

    checkpoint: str = "@best"
    """A path, a run's name, @best, @latest, @<metric>, or hf://user/name."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's own), docstrings, beir, msmarco, triplets, pairs."""
    split: str = "dev"
    """Split of the qrels."""
    candidates: Candidates = Candidates.full
    """What a query ranks: full (the whole corpus), or own (the documents judged for it or in its run)."""
    candidates_file: str = ""
    """TREC run file, plain or gzipped, whose lists are ranked anew; with `candidates=own`."""
    k: list[int] = knob(list(CUT_OFFS), at_least=1)
    """Cut-offs of the metrics, in ranks."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    chunk: int = knob(65_536, at_least=1)
    """Documents searched at a time; bounds memory, changes no metric."""
    floors: bool = True
    """Show chance and BM25 under the same protocol."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections and floors."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
