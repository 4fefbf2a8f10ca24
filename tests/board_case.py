"""Checkpoints that are sidecars and per-query values alone, for the tests of what reads no more."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from twotower.evaluation import results
from twotower.evaluation.protocol import Protocol
from twotower.evaluation.results import Measured, PerQuery
from twotower.evaluation.row import Row
from twotower.model import sidecar

PROTOCOL = Protocol(
    collection="tiny", split="dev", corpus_hash="c", queries_hash="q", qrels_hash="r", depth=10, tokenizer="x"
)
TEST = replace(PROTOCOL, split="test", queries_hash="qt", qrels_hash="rt")
"""The same corpus, other queries."""
OTHER = replace(PROTOCOL, collection="other", corpus_hash="other")
TOWERS = {"query_tower": {"kind": "mlp"}, "doc_tower": {"kind": "gru"}, "tied": False}

Values = NDArray[np.float64]


def ids(queries: int) -> NDArray[np.str_]:
    """q0, q1, ..."""
    return np.array([f"q{number}" for number in range(queries)])


def scores(mean: float, queries: int = 540) -> Values:
    """Per-query values of that mean: the first queries are answered whole, one in part, the rest not."""
    return np.clip(mean * queries - np.arange(queries), 0.0, 1.0)


def put(
    folder: Path,
    run: str,
    mrr: float | None,
    *,
    created: str = "2026-01-01T00:00:00",
    values: Values | None = None,
    queries: int = 540,
    **content: Any,
) -> Path:
    """A checkpoint of `run` whose MRR@10 is `mrr`, on queries of those `values`; None: never evaluated.

    Without `values` they are as in `scores`, for so many `queries`.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"two_tower_best_{run}_20260101_000000.pt"
    path.write_bytes(run.encode().ljust(2_500_000))
    values = scores(mrr or 0.0, queries) if values is None else values
    judged = {"queries": len(values) + 1, "judged": len(values)}
    made = {
        "run": run,
        "created": created,
        "eval_results": {} if mrr is None else {"mrr_10": mrr, "recall_10": 0.6, **judged},
        "protocol": PROTOCOL.to_dict(),
        "epoch": 3,
        "history_file": sidecar.sidecar_of(path).name,
        "training_stats": {"config": TOWERS},
        "cost": {"seconds": 12.5, "parameters": 1000},
    } | content
    sidecar.write(path, made)
    if mrr is not None:
        np.savez(sidecar.per_query_of(path), query_ids=ids(len(values)), mrr_10=values)
    return path


def seed(folder: Path, run: str, mrr: float, number: int, **knobs: Any) -> Path:
    """A checkpoint of one configuration and the seed `number`."""
    stats = {"config": {**TOWERS, "seed": number, "name": run, "dim": 64, **knobs}}
    return put(folder, run, mrr, training_stats=stats)


def history(*epochs: tuple[float, float], **knobs: Any) -> Mapping[str, Any]:
    """`training_stats` of a run from (seconds, MRR@10) of each epoch, the untrained one first."""
    return {
        "config": TOWERS | knobs,
        "training_stats": [
            {"epoch": n, "seconds": seconds, "train_loss": 1.0 / n}
            for n, (seconds, _) in enumerate(epochs)
            if n
        ],
        "evaluation_stats": [{"epoch": n, "mrr_10": value} for n, (_, value) in enumerate(epochs)],
    }


def keep(folder: Path, name: str, values: Values, protocol: Protocol = PROTOCOL, **more: Any) -> Path:
    """A kept evaluation of MRR@10 in `folder`; a checkpoint's with `checkpoint=` and `identity=`."""
    metrics = {
        "mrr_10": float(values.mean()),
        "recall_10": 0.6,
        "queries": len(values),
        "judged": len(values),
    }
    fields = {"kind": "run", "identity": name, "metrics": metrics, "created": "2026-02-01T00:00:00"} | more
    measured = Measured(name=name, protocol=protocol, **fields)
    return results.write(folder, measured, PerQuery(ids(len(values)), {"mrr_10": values}))


def again(checkpoint: Path, values: Values, protocol: Protocol = PROTOCOL, **more: Any) -> Path:
    """A kept evaluation of a checkpoint as it is now."""
    content = sidecar.read(checkpoint)
    fields = {"kind": "checkpoint", "identity": content["file"]["sha256"], "checkpoint": checkpoint.name}
    return keep(checkpoint.parent / results.FOLDER, content["run"], values, protocol, **fields | more)


def row(name: str, mrr: float = 0.3, values: Values | None = None, **more: Any) -> Row:
    """A row as `gather` makes it, of MRR@10; its values by query as in `scores` unless given."""
    values = scores(mrr) if values is None else values
    fields: dict[str, Any] = {"kind": "checkpoint", "metrics": {"mrr_10": mrr, "judged": len(values)}}
    fields |= {"ids": ids(len(values)), "values": values}
    return Row(name=name, protocol=PROTOCOL, **fields | more)


def noisy(means: Sequence[float], queries: int, rng: np.random.Generator, noise: float = 0.2) -> Values:
    """Values of rows (rows, queries) that share their hard queries and differ by chance besides."""
    hard = rng.uniform(-0.2, 0.2, queries)
    drawn = hard + np.asarray(means)[:, None] + rng.normal(0, noise, (len(means), queries))
    return np.asarray(np.clip(drawn, 0, 1))
