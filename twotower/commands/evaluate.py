"""`twotower evaluate`: one checkpoint on a split of its own collection, or of another."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from twotower import show
from twotower.config import Candidates, Evaluate, Stored, TableFormat
from twotower.data import reader, stamps
from twotower.data.collection import Collection, Judgements
from twotower.data.tokens import CollectionTokens, tokenise
from twotower.evaluation import candidates, floor_cache, names, trec
from twotower.evaluation.candidates import Lists
from twotower.evaluation.evaluate import Result, evaluate, evaluate_lists
from twotower.evaluation.metrics import shown
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.statistics import intervals
from twotower.model import checkpoint, encode
from twotower.model.checkpoint import Loaded
from twotower.training import machine
from twotower.training.setup import fitted, stated_protocol, with_dev

COLUMNS = ("mrr_10", "recall_1", "recall_5", "recall_10", "recall_100", "ndcg_10", "map_100", "success_1")


@dataclass(frozen=True, eq=False)
class Outcome:
    """A checkpoint's result under one protocol."""

    protocol: Protocol
    result: Result
    intervals: Mapping[str, tuple[float, float]]
    floors: Mapping[str, Mapping[str, float]]
    remarks: Sequence[str]
    """What the reader of the numbers should know, a line each."""


def run(cfg: Evaluate) -> int:
    """Print the metrics of one checkpoint, with 95 % intervals over queries, beside the floors."""
    if cfg.candidates_file and cfg.candidates is not Candidates.own:
        raise ValueError(
            f"candidates_file: got it with candidates={cfg.candidates.name}, want candidates=own"
        )
    path = names.find(
        cfg.checkpoint,
        Path(cfg.checkpoint_dir),
        source=stamps.source_of(cfg.data),
        split=cfg.split,
        candidates=cfg.candidates.name,
    )
    loaded = checkpoint.load(path, machine.device_of(cfg.device))
    collection = collection_of(cfg, loaded)
    outcome = score(cfg, loaded, collection)
    for remark in outcome.remarks:
        show.talk(remark)
    if cfg.format is TableFormat.json:
        show.document(_json(path, outcome))
    else:
        show.grid(_grid(str(loaded.content["run"]), outcome), cfg.format.value)
    return 0


def collection_of(cfg: Evaluate, loaded: Loaded) -> Collection:
    """The collection to evaluate on: the checkpoint's own, verified, or the one that `data=` names.

    Raises ValueError when the checkpoint's own collection has changed since.
    """
    if not isinstance(cfg.data, Stored):
        return reader.read(cfg.data, Path(cfg.cache_dir))
    data = loaded.content["data"]
    if not data:
        raise ValueError("data=stored: the checkpoint does not say what it was trained on; say data=...")
    if not data["source"]:
        raise ValueError(
            f"{data['name']}: built in Python, it cannot be read again; say data=... data.path=..."
        )
    collection = reader.read(reader.from_source(data["source"]), Path(cfg.cache_dir))
    held = data["held_out_dev"]
    if held:
        collection = with_dev(collection, held["share"], held["seed"])
    if collection.hash != data["hash"]:
        raise ValueError(
            f"{data['name']}: changed since training (hash {collection.hash[:12]}, the checkpoint's is "
            f"{data['hash'][:12]}); say data=... explicitly to evaluate on it as it is now"
        )
    return collection


def score(cfg: Evaluate, loaded: Loaded, collection: Collection) -> Outcome:
    """Encode, rank and score `cfg.split`."""
    retriever = loaded.retriever
    judgements = collection.judgements(cfg.split)
    ks = fitted(cfg.k, "mrr_10", len(collection.doc_ids))
    tokens = tokenise(collection, retriever.tokenizer, Path(cfg.cache_dir))
    lists, remarks = lists_of(cfg, collection, judgements)
    stated = stated_protocol(collection, cfg.split, retriever, lists, ks=ks, min_grade=cfg.min_grade)
    result = _result(replace(cfg, k=ks), loaded, tokens, judgements, lists)
    spread = intervals(result.per_query, np.random.default_rng(0))
    floors: Mapping[str, Mapping[str, float]] = {}
    if cfg.floors:
        cache = Path(cfg.cache_dir)
        floors = floor_cache.chance_and_bm25(stated, tokens, judgements, lists, ks=ks, cache_dir=cache)
    if said := candidates.remark(result.metrics, stated.most_candidates):
        remarks.append(said)
    return Outcome(stated, result, spread, floors, remarks)


def lists_of(cfg: Evaluate, collection: Collection, judgements: Judgements) -> tuple[Lists | None, list[str]]:
    """What each query ranks under `candidates=own` (None: the corpus), and remarks on it.

    Raises ValueError for a faulty run file, and where all models would score the same.
    """
    if cfg.candidates is Candidates.full:
        return None, []
    if cfg.candidates_file:
        lists, remarks = trec.read(Path(cfg.candidates_file), collection, cfg.split)
    else:
        lists, remarks = candidates.judged(judgements), []
    where = f"{collection.name}, split {cfg.split}"
    missed = candidates.check(lists, judgements, min_grade=cfg.min_grade, where=where)
    if missed:
        relevant = int((judgements.grades >= cfg.min_grade).sum())
        remarks.append(f"{missed:,} of {relevant:,} relevant documents are in no list and count as missed")
    return lists, remarks


def _result(
    cfg: Evaluate, loaded: Loaded, tokens: CollectionTokens, judgements: Judgements, lists: Lists | None
) -> Result:
    """Encode, rank and score; of a corpus that is not ranked only the lists' documents are encoded."""
    retriever = loaded.retriever
    asked = retriever.query_ids(tokens.queries).take(np.unique(judgements.queries))
    queries, texts = encode.encode_queries(retriever.two_tower, asked), retriever.doc_ids(tokens.docs)
    if lists:
        docs = encode.encode_docs(retriever.two_tower, texts.take(lists.members))
        return evaluate_lists(queries, docs, judgements, lists, ks=cfg.k, min_grade=cfg.min_grade)
    docs = encode.encode_docs(retriever.two_tower, texts)
    return evaluate(queries, docs, judgements, ks=cfg.k, min_grade=cfg.min_grade, chunk=cfg.chunk)


def _json(path: Path, outcome: Outcome) -> dict[str, Any]:
    return {
        "checkpoint": str(path),
        "protocol": {**outcome.protocol.to_dict(), "key": outcome.protocol.key},
        "queries": outcome.result.queries,
        "judged": outcome.result.judged,
        "metrics": outcome.result.metrics,
        "intervals": {name: list(ends) for name, ends in outcome.intervals.items()},
        "floors": outcome.floors,
        "remarks": list(outcome.remarks),
    }


def _grid(run_name: str, outcome: Outcome) -> show.Grid:
    result = outcome.result
    columns = [name for name in COLUMNS if name in result.metrics]
    spread = [f"{low:.3f} to {high:.3f}" for low, high in (outcome.intervals[name] for name in columns)]
    rows = [
        [run_name, *(f"{result.metrics[name]:.4f}" for name in columns)],
        ["95 % interval", *spread],
        *([floor, *(f"{means[name]:.4f}" for name in columns)] for floor, means in outcome.floors.items()),
    ]
    heading = f"{outcome.protocol}, {result.judged} of {result.queries} queries, {outcome.protocol.key}"
    spare = [
        shown(name) for name in ("success_1", "map_100", "recall_5", "recall_1", "recall_100", "ndcg_10")
    ]
    titles = ["name", *map(shown, columns)]
    dim = [False, True, *[True] * len(outcome.floors)]
    return show.Grid(heading, titles, rows, dim, spare=[name for name in spare if name in titles])
