"""`twotower evaluate`: one checkpoint on a split of its own collection, or of another."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from twotower import show
from twotower.config import Evaluate, Stored, TableFormat
from twotower.data import reader, stamps
from twotower.data.collection import Collection, Judgements
from twotower.data.tokens import CollectionTokens, tokenise
from twotower.evaluation import floor_cache, names
from twotower.evaluation.evaluate import Result, evaluate
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


def run(cfg: Evaluate) -> int:
    """Print the metrics of one checkpoint, with 95 % intervals over queries, beside the floors."""
    path = names.find(
        cfg.checkpoint, Path(cfg.checkpoint_dir), source=stamps.source_of(cfg.data), split=cfg.split
    )
    loaded = checkpoint.load(path, machine.device_of(cfg.device))
    collection = collection_of(cfg, loaded)
    outcome = score(cfg, loaded, collection)
    if cfg.format is TableFormat.json:
        show.document(_json(path, outcome))
    else:
        show.grid(_grid(str(loaded.content["run"]), outcome), cfg.format.value)
    return 0


def collection_of(cfg: Evaluate, loaded: Loaded) -> Collection:
    """The collection to evaluate on: the checkpoint's own, verified, or the one that `data=` names.

    Raises ValueError when the checkpoint's own collection has changed since.
    """
    data = loaded.content["data"]
    if not isinstance(cfg.data, Stored):
        return reader.read(cfg.data, Path(cfg.cache_dir))
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
    stated = stated_protocol(collection, cfg.split, retriever, ks=ks, min_grade=cfg.min_grade)
    queries = retriever.query_ids(tokens.queries).take(np.unique(judgements.queries))
    result = evaluate(
        encode.encode_queries(retriever.two_tower, queries),
        encode.encode_docs(retriever.two_tower, retriever.doc_ids(tokens.docs)),
        judgements,
        ks=ks,
        min_grade=cfg.min_grade,
        chunk=cfg.chunk,
    )
    spread = intervals(result.per_query, np.random.default_rng(0))
    return Outcome(stated, result, spread, _floors(cfg, stated, tokens, judgements, ks))


def _floors(
    cfg: Evaluate, stated: Protocol, tokens: CollectionTokens, judgements: Judgements, ks: list[int]
) -> Mapping[str, Mapping[str, float]]:
    if not cfg.floors:
        return {}
    return floor_cache.chance_and_bm25(stated, tokens, judgements, ks=ks, cache_dir=Path(cfg.cache_dir))


def _json(path: Path, outcome: Outcome) -> dict[str, Any]:
    return {
        "checkpoint": str(path),
        "protocol": {**outcome.protocol.to_dict(), "key": outcome.protocol.key},
        "queries": outcome.result.queries,
        "judged": outcome.result.judged,
        "metrics": outcome.result.metrics,
        "intervals": {name: list(ends) for name, ends in outcome.intervals.items()},
        "floors": outcome.floors,
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
