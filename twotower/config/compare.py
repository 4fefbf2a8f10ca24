"""Knobs of `twotower compare`."""

from dataclasses import dataclass

from omegaconf import MISSING

from twotower.config.knobs import CUT_OFFS, knob
from twotower.config.leaderboard import TableFormat
from twotower.config.source import Source
from twotower.config.train import Device


@dataclass(frozen=True, kw_only=True)
class Compare:
    """Two checkpoints on one split: knobs, metrics with the test of each gap, and the queries that moved."""

    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    data: Source = MISSING
    """Collection: stored (that of the first), docstrings, beir, msmarco, triplets, pairs."""
    split: str = "dev"
    """Split of the qrels."""
    metric: str = "mrr_10"
    """Metric by which queries are compared."""
    queries: int = knob(10, at_least=0)
    """Queries shown each way, those that moved most."""
    hits: int = knob(3, at_least=1)
    """Hits of each checkpoint shown for such a query."""
    k: list[int] = knob(list(CUT_OFFS), at_least=1)
    """Cut-offs of the metrics, in ranks."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    chunk: int = knob(65_536, at_least=1)
    """Documents searched at a time; bounds memory, changes no metric."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
