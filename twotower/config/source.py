"""Where a collection comes from: `data=docstrings` (default of `train`), `data=beir data.path=FOLDER`, ..."""

from dataclasses import dataclass, field
from enum import StrEnum

from twotower.config.knobs import knob

HUB = "hf://"
"""How a path begins that is a data set of the Hugging Face hub."""


class OnBad(StrEnum):
    """What becomes of a line that cannot be used."""

    error = "error"
    skip = "skip"


@dataclass(frozen=True, kw_only=True)
class Source:
    """One way to get a collection."""

    dev_share: float = knob(0.1, above=0, below=1)
    """Share of the training queries held out as dev, when the collection has no dev split."""


@dataclass(frozen=True, kw_only=True)
class Docstrings(Source):
    """Summary line and body of the docstrings of installed Python packages; needs no download."""

    packages: list[str] = field(default_factory=lambda: ["stdlib", "numpy", "torch"])
    """Packages to read, by import name; `stdlib` is the standard library."""


@dataclass(frozen=True, kw_only=True)
class Files(Source):
    """A collection that lies in files."""

    path: str
    """The file or folder."""
    on_bad: OnBad = OnBad.error
    """A line that cannot be used: error (stop, naming file and line) or skip (count it and go on)."""


@dataclass(frozen=True, kw_only=True)
class Beir(Files):
    """A folder with corpus.jsonl, queries.jsonl and qrels/<split>.tsv, each plain or gzipped."""

    path: str
    """The folder."""


@dataclass(frozen=True, kw_only=True)
class Splittable(Files):
    """A collection that may come without splits."""

    subset: str = ""
    """Configuration of a data set on the hub."""
    train_share: float = knob(0.9, above=0, below=1)
    """Without splits: share of the queries to train on, grouped by document; the rest is dev and test."""
    split_seed: int = knob(0, at_least=0)
    """Without splits: decides which queries go where."""


@dataclass(frozen=True, kw_only=True)
class Triplets(Splittable):
    """Queries with positives and given negatives, as TSV, CSV, JSONL or Parquet; columns found by name."""

    path: str
    """A file, a folder with one file for each split, or hf://owner/name."""
    query: str = ""
    """Column of the query; empty: found by its name (query, question, anchor ...)."""
    positive: str = ""
    """Column of the relevant document; empty: found by its name (positive, document, passage ...)."""
    negative: list[str] = field(default_factory=list)
    """Columns of documents that are not relevant; empty: found by name (negative, negative_1 ...)."""


@dataclass(frozen=True, kw_only=True)
class Pairs(Splittable):
    """Pairs of a query and a document, with a score or all relevant, as TSV, CSV, JSONL or Parquet."""

    path: str
    """A file, a folder with one file for each split, or hf://owner/name."""
    query: str = ""
    """Column of the query; empty: found by its name (query, question, anchor ...)."""
    positive: str = ""
    """Column of the document; empty: found by its name (positive, document, passage ...)."""
    score: str = ""
    """Column of the score; empty: found by its name (score, label ...), and 1 where there is none."""
    relevant_from: float = knob(0.0)
    """Score from which a pair is relevant (grade 1, else 0); 0: scores are whole numbers, kept as grades."""


@dataclass(frozen=True, kw_only=True)
class MsMarco(Splittable):
    """MS MARCO v1.1 or v2.1 as on the hub: each query with its own 8 to 10 passages and `is_selected`."""

    path: str = "hf://microsoft/ms_marco"
    """hf://owner/name, or local Parquet or JSON files: one, or a folder with <split>*.parquet or .json."""
    subset: str = "v1.1"
    """Configuration on the hub, and its folder where the local one has several: v1.1, v2.1."""


@dataclass(frozen=True, kw_only=True)
class Stored(Source):
    """The collection that the checkpoint was trained on: read again, its content hash verified."""
