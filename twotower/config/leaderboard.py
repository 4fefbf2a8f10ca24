"""Knobs of `twotower leaderboard`."""

from dataclasses import dataclass
from enum import StrEnum

from twotower.config.knobs import knob


class TableFormat(StrEnum):
    """How a table is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"


class BoardFormat(StrEnum):
    """How the leaderboard is printed."""

    table = "table"
    json = "json"
    csv = "csv"
    markdown = "markdown"
    html = "html"


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Say which checkpoint is really better: each protocol apart, intervals, ties, floors, cost, alarms."""

    checkpoint_dir: str = "checkpoints"
    """Folder of checkpoints; only their sidecars and per-query values are read."""
    metric: str = "mrr_10"
    """Metric that orders the rows."""
    top: int = knob(0, at_least=0)
    """Rows shown of each protocol; 0 for all."""
    best_only: bool = False
    """Print the path of the best checkpoint alone."""
    sweep: str = ""
    """Only the runs of this sweep."""
    baseline: str = ""
    """Row that the others' wins, ties and losses are counted against, by name."""
    choose_split: str = ""
    """Split that orders the rows and chooses the best, with `report_split`."""
    report_split: str = ""
    """Split whose figures are reported for what `choose_split` chose."""
    after: float = knob(0.0, at_least=0)
    """Compare at equal time: the best after so many seconds of training; 0 leaves it out."""
    expand: bool = False
    """Show each seed of a configuration as a row of its own."""
    draws: int = knob(10_000, at_least=100)
    """Bootstrap samples, and sign flips of the tests."""
    verbose: bool = False
    """Show every cost, the geometry, history file, epoch and sweep of each row."""
    format: BoardFormat = BoardFormat.table
    """Output: table, json, csv, markdown, html (one self-contained page)."""
    cache_dir: str = "data/cache"
    """Folder where the floors' per-query values lie."""
