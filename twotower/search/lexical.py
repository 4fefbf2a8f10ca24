"""BM25 over the words of documents, by bm25s: a tower's rival, and its partner in a hybrid search.

    Lexical.of(tokens).scores(["csv", "file"])   ->  (N,) float32, one for each document
    of_index(index, cache_dir, progress)         ->  built once for a corpus, then memory-mapped

Lucene's form with k1 0.9 and b 0.4, unstemmed, over words that are no English stop words.
"""

import hashlib
import importlib
import json
import logging
import os
import secrets
import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.model import sidecar
from twotower.search.index import Index
from twotower.text.ragged import Ragged, offsets_of
from twotower.text.tokenize import Tokenizer, Tokens

K1, B = 0.9, 0.4
"""Anserini's parameters for passages."""
METHOD = "lucene"
FILE = "lexical.json"
"""Says in a folder that all of it is there."""


@dataclass(frozen=True, eq=False)
class Lexical:
    """BM25 over N documents."""

    documents: int
    words: Mapping[str, int]
    """bm25s's id of each word that a document has and that is no stop word."""
    model: Any
    """bm25s's; None where no document has a word."""

    @staticmethod
    def of(docs: Tokens) -> "Lexical":
        """Over these documents: text i is row i."""
        engine = _bm25s()
        stop = set(engine.stopwords.STOPWORDS_EN)
        words = {word: i for i, word in enumerate(word for word in docs.words if word not in stop)}
        corpus = _renumbered(docs, words)
        if not len(corpus.ids):  # nothing to index: every score is 0
            return Lexical(len(corpus), {}, None)
        model = engine.BM25(k1=K1, b=B, method=METHOD)
        flat, bounds = corpus.ids.tolist(), corpus.offsets.tolist()
        texts = [flat[start:end] for start, end in pairwise(bounds)]
        model.index((texts, words), create_empty_token=False, show_progress=False)
        return Lexical(len(corpus), words, model)

    def scores(self, query: Sequence[str]) -> NDArray[np.float32]:
        """Of every document (N,) for the words of a query; 0 where none of them is in it."""
        ids = np.array([self.words[word] for word in query if word in self.words], dtype=np.int32)
        if self.model is None or not len(ids):
            return np.zeros(self.documents, dtype=np.float32)
        found: NDArray[np.float32] = self.model.get_scores_from_ids(ids)
        return found

    def save(self, folder: Path) -> None:
        """Write it into a folder of its own, `lexical.json` last."""
        if self.model is not None:
            self.model.save(folder, show_progress=False)
        content = {"documents": self.documents, "words": list(self.words), "empty": self.model is None}
        text = json.dumps(content, ensure_ascii=False)
        sidecar.write_aside(folder / FILE, lambda file: file.write(text.encode()))

    @staticmethod
    def load(folder: Path) -> "Lexical":
        """What `save` wrote, memory-mapped; OSError or ValueError where it is not whole."""
        content = json.loads((folder / FILE).read_bytes())
        words = {word: i for i, word in enumerate(content["words"])}
        model = None
        if not content["empty"]:
            model = _bm25s().BM25.load(folder, mmap=True, load_vocab=False, show_progress=False)
        return Lexical(content["documents"], words, model)


def of_index(index: Index, cache_dir: Path | None, say: Callable[[str], None]) -> Lexical:
    """Over an index's documents: from the cache folder if it is there whole, otherwise built and kept.

    ValueError without bm25s.
    """
    pattern = str(index.manifest["pattern"])
    key = hashlib.sha256(f"{index.manifest['corpus']} {pattern}".encode()).hexdigest()[:16]
    folder = cache_dir / f"lexical-{key}" if cache_dir else None
    with suppress(OSError, ValueError, KeyError):
        found = Lexical.load(folder) if folder else None
        if found and found.documents == len(index):
            return found
    say(f"reading the words of {len(index):,} documents for BM25, once for these documents")
    texts = [f"{document.title} {document.text}".strip() for document in index.documents.scan()]
    made = Lexical.of(Tokenizer(pattern).tokenize(texts))
    if folder:
        with suppress(OSError):  # a folder that cannot be written costs the time again, nothing else
            _keep(made, folder)
    return made


def _keep(made: Lexical, folder: Path) -> None:
    aside = folder.with_name(f".{folder.name}.{os.getpid()}.{secrets.token_hex(4)}")
    aside.mkdir(parents=True)
    try:
        made.save(aside)
        shutil.rmtree(folder, ignore_errors=True)  # damaged, or it would have been loaded
        aside.rename(folder)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def best(scores: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    """Rows of at most `count` documents with the highest scores above 0, the best first, equal ones by row.

    >>> best(np.array([0.0, 2.0, 1.0, 2.0], np.float32), 3).tolist()
    [1, 3, 2]
    """
    rows = np.flatnonzero(scores > 0)
    if len(rows) > count:
        least = np.partition(scores[rows], len(rows) - count)[len(rows) - count]
        rows = rows[scores[rows] >= least]
    return np.asarray(rows[np.lexsort((rows, -scores[rows]))][:count], dtype=np.int64)


def _renumbered(tokens: Tokens, words: Mapping[str, int]) -> Ragged:
    """The texts with their words' ids in `words`; others fall away."""
    table = np.array([words.get(word, -1) for word in tokens.words], dtype=np.int32)
    ids = table[tokens.ragged.ids] if len(table) else np.empty(0, dtype=np.int32)
    known = ids >= 0
    return Ragged(ids[known], offsets_of(known.astype(np.int64))[tokens.ragged.offsets])


def _bm25s() -> Any:
    """bm25s, imported only here: with scipy behind it it takes half a second that search must not pay."""
    try:
        module = importlib.import_module("bm25s")
    except ModuleNotFoundError:
        raise ValueError("BM25: needs bm25s; `pip install bm25s`") from None
    logging.getLogger("bm25s").setLevel(logging.WARNING)  # its import sets DEBUG
    return module
