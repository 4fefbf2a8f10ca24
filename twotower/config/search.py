"""Knobs of `twotower search`."""

from dataclasses import dataclass
from enum import StrEnum

from omegaconf import MISSING

from twotower.config.knobs import knob
from twotower.config.source import Source
from twotower.config.train import Device


class AnswerFormat(StrEnum):
    """How hits are printed."""

    text = "text"
    json = "json"


@dataclass(frozen=True, kw_only=True)
class Search:
    """Answer a query from a collection's documents; without a query, a prompt."""

    checkpoint: str = "@latest"
    """A path, a run's name, @best, @latest, @<metric>, or hf://user/name."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's own), docstrings, beir, msmarco, triplets, pairs."""
    k: int = knob(5, at_least=1)
    """Hits to show."""
    format: AnswerFormat = AnswerFormat.text
    """Output: text, json."""
    cache_dir: str = "data/cache"
    """Folder of document vectors, built on first use."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
