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


@dataclass(frozen=True, kw_only=True)
class Leaderboard:
    """Rank the checkpoints of a folder, each protocol apart, with chance, untrained and BM25 as floors."""

    checkpoint_dir: str = "checkpoints"
    """Folder of checkpoints; only their sidecars are read."""
    metric: str = "mrr_10"
    """Metric that orders the rows."""
    top: int = knob(0, at_least=0)
    """Rows shown of each protocol; 0 for all."""
    best_only: bool = False
    """Print the path of the best checkpoint alone."""
    verbose: bool = False
    """Show history file, epoch and sweep of each row."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
