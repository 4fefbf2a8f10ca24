"""Where a collection comes from: `data=docstrings` (default of `train`) or `data=beir data.path=FOLDER`."""

from dataclasses import dataclass, field

from twotower.config.knobs import knob


@dataclass(frozen=True, kw_only=True)
class Data:
    """One way to get a collection."""

    dev_share: float = knob(0.1, above=0, below=1)
    """Share of the training queries held out as dev, when the collection has no dev split."""


@dataclass(frozen=True, kw_only=True)
class Docstrings(Data):
    """Summary line and body of the docstrings of installed Python packages; needs no download."""

    packages: list[str] = field(default_factory=lambda: ["stdlib", "numpy", "torch"])
    """Packages to read, by import name; `stdlib` is the standard library."""


@dataclass(frozen=True, kw_only=True)
class Beir(Data):
    """A folder with corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or gzipped."""

    path: str
    """The folder."""


@dataclass(frozen=True, kw_only=True)
class Stored(Data):
    """The collection that the checkpoint was trained on: read again, its content hash verified."""
