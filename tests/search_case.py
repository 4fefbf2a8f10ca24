"""A small collection on disk, a checkpoint of an untrained model over it, and the request to search it."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from twotower import config, knobs
from twotower.data import beir
from twotower.data.collection import Collection
from twotower.model import sidecar
from twotower.model.checkpoint import Loaded
from twotower.model.retriever import Retriever
from twotower.model.two_tower import Shape, TwoTower
from twotower.search import stored
from twotower.search.documents import Document, DocumentStore
from twotower.search.index import Index
from twotower.search.opening import Request
from twotower.search.packed import Packed
from twotower.text.ragged import Ragged
from twotower.text.tokenize import Tokenizer
from twotower.text.vocabulary import SPECIAL, Vocab

TEXTS = {
    "csv.reader": "read a csv file row by row",
    "json.load": "read a json document from a file",
    "math.sqrt": "square root of a number",
    "os.remove": "delete a file from the disk",
    "re.sub": "replace every match of a pattern",
    "zürich": "Grüezi, 東京 and ünïcödé",
}


@dataclass
class Case:
    """Everything lies below one folder; `said` and `loads` are what happened."""

    folder: Path
    tower: config.Tower
    said: list[str] = field(default_factory=list)
    loads: int = 0

    def __post_init__(self) -> None:
        self.write(TEXTS)
        collection = beir.read(self.corpus)
        vocab = Vocab((*SPECIAL, *sorted({word for text in TEXTS.values() for word in text.lower().split()})))
        torch.manual_seed(0)
        vectors = np.random.default_rng(0).normal(size=(len(vocab), 8)).astype(np.float32)
        shape = Shape(query_tower=self.tower, doc_tower=self.tower, dim=6, tied=True, share_words=True)
        two_tower = TwoTower(shape, vectors).eval()
        self.retriever = Retriever(two_tower, vocab, Tokenizer(), 64, 256)
        self.content = {
            "run": "case",
            "created": "2026-11-21T12:00:00",
            "model_config": {"query_tower": knobs.plain(self.tower), "pattern": Tokenizer().pattern},
            "data": {
                "name": collection.name,
                "source": dict(collection.source),
                "hash": collection.hash,
                "corpus_hash": collection.corpus_hash,
            },
        }
        self.checkpoint.write_bytes(b"stands for a checkpoint")
        sidecar.write(self.checkpoint, self.content)

    @property
    def corpus(self) -> Path:
        return self.folder / "six"

    @property
    def checkpoint(self) -> Path:
        return self.folder / "model.pt"

    @property
    def cache_dir(self) -> Path:
        return self.folder / "cache"

    @property
    def bundles(self) -> list[Path]:
        return sorted(path for path in self.cache_dir.glob("*-*") if path.is_dir())

    def write(self, texts: dict[str, str], folder: Path | None = None) -> Path:
        """A BEIR folder with these documents and one query."""
        folder = folder or self.corpus
        if folder.exists():
            shutil.rmtree(folder)
        docs = {doc: {"title": doc.upper(), "text": text} for doc, text in texts.items()}
        qrels = {"test": {"q": {next(iter(texts)): 1}}}
        beir.write(Collection.from_dicts(docs, {"q": "read a csv file"}, qrels), folder)
        return folder

    def load(self, path: Path | None = None) -> Loaded:
        self.loads += 1
        return Loaded(self.retriever, self.content)

    def request(self, data: config.Source | None = None, **changes: Callable[..., Any]) -> Request:
        return Request(
            checkpoint=self.checkpoint,
            data=data or config.Stored(),
            cache_dir=self.cache_dir,
            load=changes.get("load", self.load),
            say=self.said.append,
        )


WORDS = ("csv", "file", "matrix")


def encode(ids: Ragged) -> np.ndarray:
    """One axis a word of `WORDS`, the unknown one included, normalised: cosines can be worked out by hand."""
    counts = np.zeros((len(ids), len(SPECIAL) + len(WORDS)), dtype=np.float32)
    for row in range(len(ids)):
        np.add.at(counts[row], ids[row], 1.0)
    return counts / np.linalg.norm(counts, axis=1, keepdims=True)


def index_of(texts: Mapping[str, str], titles: Sequence[str], folder: Path, **manifest: Any) -> Index:
    """An index over a few documents, in rising order of their ids, encoded by `encode`."""
    vocab = Vocab((*SPECIAL, *WORDS))
    known = [" ".join(word for word in text.split() if word in WORDS) for text in texts.values()]
    vectors = encode(vocab.encode(Tokenizer().tokenize(known), 100))
    with DocumentStore.open(folder / "documents.db", write=True) as store:
        store.put(Document(*one) for one in zip(texts, titles, texts.values(), strict=True))
        store.finish()
    usual = {"pattern": Tokenizer().pattern, "max_query_words": 64, "collection": "few", "name": ""}
    return Index(
        folder=folder,
        manifest=usual | {"longest": 1.0, "store": None, "kind": "flat"} | manifest,
        vectors=stored.in_memory(vectors, "float32"),
        ids=Packed.of(list(texts)),
        documents=DocumentStore.open(folder / "documents.db"),
        vocab=vocab,
        tower={},
        doc_tower={},
        duplicates=np.arange(len(texts), dtype=np.int32),
    )
