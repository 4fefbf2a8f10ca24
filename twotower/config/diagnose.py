"""Knobs of `twotower diagnose`."""

from dataclasses import dataclass

from omegaconf import MISSING

from twotower.config.knobs import knob
from twotower.config.leaderboard import TableFormat
from twotower.config.source import Source
from twotower.config.train import Device


@dataclass(frozen=True, kw_only=True)
class Diagnose:
    """Why queries of a split fail: causes measured and counted, examples, the knob and the command to try."""

    checkpoint: str = "@best"
    """A path, a run's name, @best, @latest, @<metric>, or hf://user/name."""
    against: str = ""
    """Another checkpoint, the earlier one: which of its failures are fixed, which of its finds broken."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's own), docstrings, beir, msmarco, triplets, pairs."""
    split: str = "dev"
    """Split of the qrels."""
    k: int = knob(10, at_least=1)
    """A query whose first relevant document is not among so many hits has failed."""
    depth: int = knob(100, at_least=1)
    """Ranks looked at: deeper is lost, between k and here is buried."""
    examples: int = knob(3, at_least=0)
    """Queries shown for each cause."""
    min_grade: int = knob(1, at_least=1)
    """Grade from which a judged document is relevant."""
    chunk: int = knob(65_536, at_least=1)
    """Documents searched at a time; bounds memory."""
    log: str = ""
    """What was asked, as `twotower search log=FILE` keeps it, to compare with what was judged."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
