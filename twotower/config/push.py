"""Knobs of `twotower push`."""

from dataclasses import dataclass

from twotower.config.export import SENTENCE_TRANSFORMERS, ExportFormat
from twotower.config.leaderboard import TableFormat


@dataclass(frozen=True, kw_only=True)
class Push:
    """Upload a checkpoint, its export and a model card to the Hugging Face hub."""

    checkpoint: str = "@best"
    """A path, a run's name, @best, @latest, @<metric>, or hf://user/name."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    repo: str = ""
    """Repository, as user/name; made if there is none."""
    export: ExportFormat = SENTENCE_TRANSFORMERS
    """What loads the files beside the checkpoint: sentence-transformers, safetensors."""
    private: bool = True
    """Whether a repository that is made can be seen by its owner alone."""
    dry_run: bool = True
    """List what would be uploaded, and upload nothing."""
    format: TableFormat = TableFormat.table
    """Output: table, json, csv, markdown."""
