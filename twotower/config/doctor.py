"""Knobs of `twotower doctor`."""

from dataclasses import dataclass

from twotower.config.search import AnswerFormat


@dataclass(frozen=True, kw_only=True)
class Doctor:
    """Say what a checkpoint holds and check it, or check every checkpoint of a folder."""

    checkpoint: str = "checkpoints"
    """A path, a run's name, @best, @latest, @<metric>, or a folder of checkpoints."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    format: AnswerFormat = AnswerFormat.text
    """Output: text, json."""
