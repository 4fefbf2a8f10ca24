"""Knobs of `twotower export`."""

from dataclasses import dataclass
from enum import StrEnum

ExportFormat = StrEnum(
    "ExportFormat",
    {"sentence-transformers": "sentence-transformers", "safetensors": "safetensors"},
)
"""What loads an exported folder; the names are those of the libraries."""
SENTENCE_TRANSFORMERS = ExportFormat["sentence-transformers"]
SAFETENSORS = ExportFormat["safetensors"]


@dataclass(frozen=True, kw_only=True)
class Export:
    """Write a checkpoint as a folder that other libraries load."""

    checkpoint: str = "@best"
    """A path, a run's name, @best, @latest, @<metric>, or hf://user/name."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    out: str = "export"
    """Folder to write; it must be new or empty."""
    format: ExportFormat = SENTENCE_TRANSFORMERS
    """What loads it: sentence-transformers, safetensors."""
