"""twotower in Python: a checkpoint, and an index if there is one, in a few lines.

model = twotower.load("@best")
model.encode_query("read a csv file")          # (D,) float32, of length 1
model.encode_document(["Reads rows.", {"title": "csv", "text": "Reads rows."}])         # (2, D)
model.similarity(queries, documents)           # (Q, N) cosines
model.search("read a csv file", k=5)           # [Hit(rank, doc_id, score, title, text, ...), ...]
"""

import logging
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray

from twotower import config
from twotower.data import stamps
from twotower.evaluation import names
from twotower.search import searcher
from twotower.search.finding import Options
from twotower.search.live import LiveSearcher
from twotower.search.opening import Request, open_searcher
from twotower.search.searcher import Hit, Searcher

if TYPE_CHECKING:  # torch
    from twotower.model.checkpoint import Loaded

Vectors = NDArray[np.float32]
Document = str | Mapping[str, str]
"""A text, or a mapping with `text` and, if it has one, `title`."""

LATEST = "@latest"


class Model:
    """A checkpoint that encodes, and searches its own collection or an index; made by `load`.

    Nothing is read before it is needed. Of an MLP with its index at hand, queries need no torch.
    """

    def __init__(self, request: Request, path: Path | None) -> None:
        """`path` is the checkpoint's; None for the one that built the index."""
        self._request = request
        self._path = path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the index's files; searching opens them again."""
        for name in ("_live", "_own"):
            opened = self.__dict__.pop(name, None)
            if opened is not None:
                (opened.now() if isinstance(opened, LiveSearcher) else opened).index.close()

    @property
    def searcher(self) -> Searcher:
        """Over the index, its live version, or the checkpoint's collection, which the first search encodes.

        Raises ValueError or OSError, in one line, where they are not what they were.
        """
        return self._live.now() if self._request.index else self._own

    @cached_property
    def _live(self) -> LiveSearcher:
        return LiveSearcher(self._request)

    @cached_property
    def _own(self) -> Searcher:
        return open_searcher(self._request)

    @property
    def _ready(self) -> Searcher | None:
        """The searcher, if it is open."""
        return self.searcher if {"_live", "_own"} & self.__dict__.keys() else None

    @cached_property
    def checkpoint(self) -> Path:
        """The file."""
        return self._path or Path(self.searcher.index.manifest["checkpoint"]["path"])

    @cached_property
    def _loaded(self) -> "Loaded":
        return self._request.load(self.checkpoint)

    @property
    def dim(self) -> int:
        """D, the width of the vectors."""
        opened = self._ready
        if opened is not None:
            return int(opened.index.vectors.shape[1])
        return int(self._loaded.retriever.two_tower.form.dim)

    def encode_query(self, queries: str | Sequence[str]) -> Vectors:
        """Unit vectors, float32: (D,) of one query, (n, D) of a sequence of them.

        Raises ValueError for what is not text.
        """
        texts = _texts("queries", queries)
        opened = self._ready
        if not texts:
            vectors = np.empty((0, self.dim), dtype=np.float32)
        elif opened is not None:
            ids = opened.index.vocab.encode(opened.tokenizer.tokenize(texts), opened.limit)
            vectors = opened.encode(ids)
        else:
            vectors = self._loaded.retriever.encode_queries(texts)
        return vectors[0] if isinstance(queries, str) else vectors

    def encode_document(self, documents: Document | Sequence[Document]) -> Vectors:
        """Unit vectors, float32: (D,) of one document, (n, D) of a sequence of them.

        A document is a text, or a mapping with `text` and maybe `title`, which is read before it. Raises
        ValueError for anything else.
        """
        alone = isinstance(documents, str | Mapping)
        some: Sequence[Document] = [documents] if alone else _sequence("documents", documents)  # type: ignore[list-item]
        texts = [_text(f"documents[{place}]", one) for place, one in enumerate(some)]
        if not texts:
            return np.empty((0, self.dim), dtype=np.float32)
        vectors = self._loaded.retriever.encode_docs(texts)
        return vectors[0] if alone else vectors

    def similarity(self, queries: ArrayLike, documents: ArrayLike) -> Vectors:
        """Cosines (Q, N) of vectors (Q, D) and (N, D), each of which may be one vector (D,).

        Raises ValueError for vectors of unequal width, or that are not finite.
        """
        both = []
        for what, given in (("queries", queries), ("documents", documents)):
            vectors = np.atleast_2d(np.asarray(given, dtype=np.float64))
            if vectors.ndim != 2 or not np.isfinite(vectors).all():
                raise ValueError(f"{what}: got {vectors.shape}, want finite vectors (n, D) or (D,)")
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            both.append(vectors / np.maximum(lengths, 1e-12))
        first, second = both
        if first.shape[1] != second.shape[1]:
            raise ValueError(
                f"documents: got vectors of width {second.shape[1]}, want {first.shape[1]} as the queries'"
            )
        return np.asarray(first @ second.T, dtype=np.float32)

    @overload
    def search(self, query: str, k: int = ..., **options: Any) -> list[Hit]: ...
    @overload
    def search(self, query: Sequence[str], k: int = ..., **options: Any) -> list[list[Hit]]: ...
    def search(self, query: str | Sequence[str], k: int = 5, **options: Any) -> list[Hit] | list[list[Hit]]:
        """The `k` best documents of a query, or of each of several, best first; fewer if there are fewer.

        `options` are those of `twotower.search.finding.Options`: hybrid="rrf" or "weighted", weight, source,
        merge. Raises ValueError for a blank query, a k below 1, or an option that is not one.
        """
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k: got {k!r}, want a whole number from 1")
        try:
            chosen = Options(**options)
        except TypeError as error:
            raise ValueError(
                f"search: {str(error).partition(') ')[2]}; want hybrid, weight, source or merge"
            ) from None
        texts = _texts("query", query)
        for text in texts:
            searcher.check(text)
        found = [list(answer.hits) for answer in self.searcher.search_many(texts, k, chosen)]
        return found[0] if isinstance(query, str) else found


def load(
    checkpoint: str = "",
    *,
    index: str = "",
    data: config.Source | None = None,
    checkpoint_dir: str | Path = "checkpoints",
    data_dir: str | Path = "data",
    device: str = "auto",
) -> Model:
    """The model of a checkpoint: a path, a run's name, @best, @latest, @<metric>, hf://user/name.

    With `index` it searches that (docs, docs@v0002, a folder), and without `checkpoint` it is the one that
    built it; otherwise the collection that it was trained on, or `data`. `data_dir` holds `indexes` and
    `cache`. Remarks go to the logger "twotower".

    Raises FileNotFoundError or ValueError, in one line, where there is no such checkpoint.
    """
    name = checkpoint or ("" if index else LATEST)
    source = config.Stored() if data is None else data
    path = names.find(name, Path(checkpoint_dir), source=stamps.source_of(source)) if name else None
    where = _device(device)

    def opened(path: Path) -> "Loaded":
        # torch (1.5 s): a query of an MLP with its index at hand needs none
        from twotower.model import checkpoint as checkpoints
        from twotower.training import machine

        return checkpoints.load(path, machine.device_of(where))

    request = Request(
        checkpoint=path,
        data=source,
        cache_dir=Path(data_dir) / "cache",
        load=opened,
        say=logging.getLogger("twotower").info,
        index=index,
        index_dir=Path(data_dir) / "indexes",
    )
    return Model(request, path)


def _device(name: str) -> config.Device:
    try:
        return config.Device(name)
    except ValueError:
        raise ValueError(f"device: got {name!r}, want {', '.join(config.Device)}") from None


def _texts(what: str, given: str | Sequence[str]) -> list[str]:
    texts = [given] if isinstance(given, str) else _sequence(what, given)
    for place, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"{what}[{place}]: got {type(text).__name__}, want a text")
    return list(texts)


def _sequence(what: str, given: Any) -> Sequence[Any]:
    if isinstance(given, bytes) or not isinstance(given, Sequence | np.ndarray):
        raise ValueError(f"{what}: got {type(given).__name__}, want a text or a list of texts")
    return list(given)


def _text(what: str, document: Any) -> str:
    if isinstance(document, str):
        return document
    if isinstance(document, Mapping) and isinstance(document.get("text"), str):
        title = document.get("title", "")
        if isinstance(title, str):
            return f"{title} {document['text']}".strip()
    raise ValueError(f"{what}: got {str(document)[:60]!r}, want a text, or a mapping with text and title")
