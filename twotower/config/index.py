"""Knobs of `twotower index`."""

from dataclasses import dataclass
from enum import StrEnum

from omegaconf import MISSING

from twotower.config.knobs import knob
from twotower.config.search import AnswerFormat
from twotower.config.source import Source
from twotower.config.store import Store
from twotower.config.train import Device


class IndexKind(StrEnum):
    """How the nearest documents are found."""

    auto = "auto"
    flat = "flat"
    ivf = "ivf"
    hnsw = "hnsw"
    pq = "pq"


class Storage(StrEnum):
    """What a number of a vector is kept as."""

    float32 = "float32"
    float16 = "float16"
    int8 = "int8"


@dataclass(frozen=True, kw_only=True)
class Index:
    """Build, change and look after named indexes, each bound to its checkpoint and its documents."""

    checkpoint: str = "@best"
    """What encodes the documents of a build: a path, a run's name, @best, @latest, or hf://user/name."""
    checkpoint_dir: str = "checkpoints"
    """Folder in which names are looked up."""
    data: Source = MISSING
    """Collection: stored (the checkpoint's or index's own), docstrings, beir, msmarco, triplets, pairs."""
    docs: str = ""
    """Documents instead of a collection: .jsonl or .jsonl.gz, each line _id, title, text, source."""
    chunk_words: int = knob(0, at_least=0)
    """Words of a passage that longer documents of `docs` are cut into; 0 leaves them whole."""
    chunk_overlap: int = knob(0, at_least=0)
    """Words that a passage shares with the one before."""
    index_dir: str = "data/indexes"
    """Folder of the named indexes."""
    name: str = ""
    """The index's name, where it is not a bare word behind the action."""
    kind: IndexKind = IndexKind.auto
    """Search: auto (by the number of documents), flat (exact), ivf, hnsw, pq."""
    storage: Storage = Storage.float32
    """What a number of a vector is kept as: float32, float16, int8."""
    recall: float = knob(0.95, above=0, at_most=1)
    """Share of the exact top 10 that an approximate search is to find; measured, and kept with the index."""
    seed: int = knob(0, at_least=0)
    """Decides what an approximate search is trained on."""
    switch: bool = False
    """Make a build live at once, if the gate lets it through; the first of a name always is."""
    split: str = "dev"
    """Split of judged queries on which indexes are compared."""
    metric: str = "mrr_10"
    """Metric of the comparison, and of the gate."""
    min_gain: float = knob(0.0)
    """Gain on the live one that the gate wants, surely above 0; at 0 no sure loss, below 0 one no larger."""
    force: bool = False
    """Let a worse index through the gate."""
    ids: str = ""
    """Documents to add, remove or update, by id, separated by commas; without, all of the source."""
    file: str = ""
    """File of such ids, a line each."""
    prune: bool = False
    """Update also removes what the source lacks."""
    keep: int = knob(2, at_least=1)
    """Versions that prune leaves of an index, the live one included."""
    format: AnswerFormat = AnswerFormat.text
    """Output: text, json."""
    cache_dir: str = "data/cache"
    """Folder of tokenised collections."""
    store: Store = MISSING
    """Where `move` takes the vectors: files (the index's folder), redis, qdrant."""
    embedding_cache: str = ""
    """redis://... of a server that keeps vectors by text and document tower: nothing is encoded twice."""
    device: Device = Device.auto
    """Where to compute: auto, cpu, cuda, mps."""
    threads: int = knob(0, at_least=0)
    """CPU threads; 0 leaves the libraries' own choice."""
