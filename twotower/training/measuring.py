"""One system measured on a task: what evaluate, diagnose and compare share.

    Task          collection, split, candidates, cut-offs: what every row of a table has in common
    Loaded        -> token ids -> Vectors -> Ranking -> Result, geometry, cost      a checkpoint
    Given         ->              Vectors -> Ranking -> Result, geometry            vectors made elsewhere
    run file      ->                         Ranking -> Result                      lists made elsewhere

What a checkpoint costs is measured on the side: none of it changes a metric.
"""

import importlib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from twotower.config import Source, Stored
from twotower.data import reader
from twotower.data.collection import Collection, Judgements
from twotower.data.tokens import CollectionTokens, tokenise
from twotower.evaluation import geometry, ranking
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import Result, evaluate, evaluate_lists
from twotower.evaluation.floors import Asked
from twotower.evaluation.metrics import Ints
from twotower.evaluation.protocol import Protocol
from twotower.model import encode
from twotower.model.checkpoint import Loaded
from twotower.model.retriever import Retriever
from twotower.search import exact
from twotower.text.tokenize import Tokenizer
from twotower.training.setup import with_dev

PLAIN: Mapping[str, Any] = {"pattern": Tokenizer().pattern, "max_query_words": 0, "max_doc_words": 0}
"""How texts are read where no model says it."""
ASKED = 100
"""Queries asked one at a time for their latency, spread over the split."""
PATIENCE = 2.0
"""Seconds after which no further one is asked."""
SHOWN = 10
"""Hits that such a query wants."""
STATUS = Path("/proc/self/status")
"""Where Linux says how much memory the process has had."""
RESET_PEAK = Path("/proc/self/clear_refs")
"""Where Linux takes a 5 to forget the highest memory of the process."""


@dataclass(frozen=True, eq=False)
class Task:
    """What is ranked for whom: equal for all that are to be compared."""

    collection: Collection
    split: str
    ks: Sequence[int]
    """Cut-offs of the metrics; the largest is the depth."""
    min_grade: int
    cache_dir: Path
    """Of tokenised collections."""
    lists: Lists | None = None
    """Each query's own candidates; None ranks the corpus."""
    chunk: int = 65_536
    """Documents searched at a time."""

    @cached_property
    def judgements(self) -> Judgements:
        """Of the split."""
        return self.collection.judgements(self.split)

    @cached_property
    def query_rows(self) -> Ints:
        """Rows of the queries that are ranked, ascending, (Q,)."""
        return ranking.query_rows(self.judgements)

    @cached_property
    def protocol(self) -> Protocol:
        """Whoever reads the texts."""
        return Protocol.of(self.collection, self.split, self.lists, min_grade=self.min_grade, ks=self.ks)

    def read_by(self, shape: Mapping[str, Any]) -> Protocol:
        """The protocol, with how the model of this `model_config` reads the texts."""
        return replace(
            self.protocol,
            tokenizer=shape["pattern"],
            max_query_words=shape["max_query_words"],
            max_doc_words=shape["max_doc_words"],
        )

    def asked_by(self, shape: Mapping[str, Any]) -> Asked:
        """The task for whatever stands beside the model of this `model_config`."""
        tokens = self.tokens(Tokenizer(shape["pattern"]))
        protocol = self.read_by(shape)
        return Asked(self.collection, protocol, tokens, self.judgements, self.lists, sorted(set(self.ks)))

    def tokens(self, tokenizer: Tokenizer) -> CollectionTokens:
        """All texts of the collection; a tokenizer that came before is not asked again."""
        return _tokens(self, tokenizer)

    def ids(self, rows: Ints) -> NDArray[np.str_]:
        """Ids of queries by their rows."""
        return np.array([self.collection.query_ids[row] for row in rows.tolist()], dtype=np.str_)


@lru_cache(maxsize=2)
def _tokens(task: Task, tokenizer: Tokenizer) -> CollectionTokens:
    return tokenise(task.collection, tokenizer, task.cache_dir)


@dataclass(frozen=True, eq=False)
class Vectors:
    """Both sides of a task in one space."""

    queries: NDArray[np.floating]
    """(Q, D), in the order of `Task.query_rows`."""
    docs: NDArray[np.floating]
    """(N, D) of the corpus; with lists, (M, D) of their members alone."""


@dataclass(frozen=True, eq=False)
class Measurement:
    """What a system scores on a task, and how its vectors lie."""

    result: Result
    vectors: Vectors | None = None
    """None for a run file, which has none."""
    geometry: Mapping[str, float] = field(default_factory=dict)
    """Of the vectors (`twotower.evaluation.geometry`); with lists, of their members'."""
    cost: Mapping[str, float] = field(default_factory=dict)
    """docs_per_second, query_p50_ms, query_p95_ms, index_mb, peak_mb, gpu_peak_mb, as far as measured."""


def collection_of(data: Source, content: Mapping[str, Any], cache_dir: Path) -> Collection:
    """The collection to evaluate on: that of a checkpoint's `content`, verified, or the one `data` names.

    Raises ValueError when the checkpoint's own collection has changed since, or cannot be read again.
    """
    if not isinstance(data, Stored):
        return reader.read(data, cache_dir)
    stored = content.get("data")
    if not stored:
        raise ValueError("data=stored: the checkpoint does not say what it was trained on; say data=...")
    if not stored["source"]:
        raise ValueError(
            f"{stored['name']}: built in Python, it cannot be read again; say data=... data.path=..."
        )
    collection = reader.read(reader.from_source(stored["source"]), cache_dir)
    held = stored["held_out_dev"]
    if held:
        collection = with_dev(collection, held["share"], held["seed"])
    if collection.hash != stored["hash"]:
        raise ValueError(
            f"{stored['name']}: changed since training (hash {collection.hash[:12]}, the checkpoint's is "
            f"{stored['hash'][:12]}); say data=... explicitly to evaluate on it as it is now"
        )
    return collection


def own_collection(task: Task, content: Mapping[str, Any]) -> Collection:
    """What a checkpoint was trained on: the task's where it is that, else read again, as `collection_of`."""
    data = content.get("data") or {}
    if data.get("hash") == task.collection.hash:
        return task.collection
    return collection_of(Stored(), content, task.cache_dir)


def measure(loaded: Loaded, task: Task, *, costs: bool = False) -> Measurement:
    """Encode, rank and score a checkpoint, and with `costs` time how it answers.

    ValueError where no judged document is relevant.
    """
    _forget_peaks()
    vectors, seconds = encoded(loaded.retriever, task)
    result = scored(vectors, task)
    cost = {"index_mb": _megabytes(task, vectors)}
    if costs:
        cost["docs_per_second"] = round(len(vectors.docs) / max(seconds, 1e-9), 1)
    if costs and task.lists is None:
        cost |= latency(loaded.retriever, task, vectors.docs)
    return Measurement(result, vectors, _geometry(vectors, result, task), cost | peaks())


def measure_vectors(vectors: Vectors, task: Task) -> Measurement:
    """Rank and score vectors made elsewhere: those of the task's queries, and of the whole corpus."""
    if task.lists is not None:
        vectors = replace(vectors, docs=vectors.docs[task.lists.members])
    result = scored(vectors, task)
    return Measurement(
        result, vectors, _geometry(vectors, result, task), {"index_mb": _megabytes(task, vectors)}
    )


def encoded(retriever: Retriever, task: Task) -> tuple[Vectors, float]:
    """A model's vectors, and the seconds that encoding the documents took, from token ids on.

    Reading and tokenising are left out: they depend on what the cache holds. Of a corpus that is not ranked
    only the lists' documents are encoded.
    """
    tokens = task.tokens(retriever.tokenizer)
    asked = retriever.query_ids(tokens.queries).take(task.query_rows)
    texts = retriever.doc_ids(tokens.docs)
    if task.lists is not None:
        texts = texts.take(task.lists.members)
    queries = encode.encode_queries(retriever.two_tower, asked)
    began = time.perf_counter()
    docs = encode.encode_docs(retriever.two_tower, texts)
    return Vectors(queries, docs), time.perf_counter() - began


def scored(vectors: Vectors, task: Task) -> Result:
    """Rank and score; ValueError where no judged document is relevant, or a vector is not finite."""
    about = task.judgements
    if task.lists is not None:
        return evaluate_lists(
            vectors.queries, vectors.docs, about, task.lists, ks=task.ks, min_grade=task.min_grade
        )
    return evaluate(
        vectors.queries, vectors.docs, about, ks=task.ks, min_grade=task.min_grade, chunk=task.chunk
    )


def latency(retriever: Retriever, task: Task, docs: NDArray[np.floating]) -> dict[str, float]:
    """Milliseconds from a query's text to its ten hits, one query at a time: median and 95th percentile.

    Up to a hundred queries of the split are asked, fewer where that takes long; the first is not counted.
    """
    every = task.query_rows[:: -(-len(task.query_rows) // ASKED)].tolist()
    texts = [task.collection.query_texts[row] for row in every]
    spent: list[float] = []
    for text in [texts[0], *texts]:
        began = time.perf_counter()
        exact.top(retriever.encode_queries([text]), docs, SHOWN, chunk=task.chunk)
        spent.append(time.perf_counter() - began)
        if sum(spent) > PATIENCE and len(spent) > 1:
            break
    middle, late = np.percentile(np.array(spent[1:]) * 1e3, (50, 95))
    return {"query_p50_ms": round(float(middle), 3), "query_p95_ms": round(float(late), 3)}


def peaks() -> dict[str, float]:
    """Highest memory so far in MB: of the process where the system says it, of CUDA where it is used."""
    made: dict[str, float] = {}
    highest = _highest()
    if highest:
        made["peak_mb"] = round(highest / 1e6, 1)
    if _on_cuda():
        made["gpu_peak_mb"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return made


def _on_cuda() -> bool:
    """Whether something was computed there; asking for its memory would start it otherwise."""
    return torch.cuda.is_available() and bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _highest() -> int:
    """Bytes; 0 where the system does not say."""
    with suppress(OSError, LookupError, ValueError):  # Linux, and what `_forget_peaks` has a part in
        return int(STATUS.read_text(encoding="utf-8").split("VmHWM:")[1].split()[0]) * 1024
    try:
        resource = importlib.import_module("resource")
    except ModuleNotFoundError:  # Windows
        return 0
    return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)  # in bytes on macOS


def _forget_peaks() -> None:
    """Let `peaks` count from here on: else each row of a table would show its largest predecessor's."""
    with suppress(OSError):  # other systems than Linux, or a sandbox: the peak is then the process's
        RESET_PEAK.write_text("5", encoding="ascii")
    if _on_cuda():
        torch.cuda.reset_peak_memory_stats()


def _megabytes(task: Task, vectors: Vectors) -> float:
    """Of an index of the whole corpus, float32 and flat."""
    return round(len(task.collection.doc_ids) * int(vectors.docs.shape[1]) * 4 / 1e6, 3)


def _geometry(vectors: Vectors, result: Result, task: Task) -> dict[str, float]:
    """How the vectors lie; the seed is fixed, so that equal vectors have equal figures."""
    ranked = result.ranking
    if ranked is None:
        return {}
    members = None
    if task.lists is not None:  # who is in which list was not the model's choice: there are no hubs
        members, ranked = task.lists.members, replace(ranked, rows=None)
    pairs = geometry.relevant_pairs(task.judgements, members, task.min_grade)
    return geometry.measure(vectors.queries, vectors.docs, pairs, ranked, np.random.default_rng(0))
