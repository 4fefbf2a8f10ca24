"""Folders of checkpoints that are sidecars alone, for the tests of what reads no more."""

from pathlib import Path
from typing import Any

from twotower.evaluation.protocol import Protocol
from twotower.model import sidecar

PROTOCOL = Protocol(
    collection="tiny", split="dev", corpus_hash="c", queries_hash="q", qrels_hash="r", depth=10, tokenizer="x"
)


def put(
    folder: Path, run: str, mrr: float | None, *, created: str = "2026-01-01T00:00:00", **content: Any
) -> Path:
    """A checkpoint of `run` whose MRR@10 on 540 queries is `mrr`; None: never evaluated."""
    folder.mkdir(exist_ok=True)
    path = folder / f"two_tower_best_{run}_20260101_000000.pt"
    path.write_bytes(b"x" * 2_500_000)
    results = {} if mrr is None else {"mrr_10": mrr, "recall_10": 1.0, "queries": 541, "judged": 540}
    towers = {"query_tower": {"kind": "mlp"}, "doc_tower": {"kind": "gru"}, "tied": False}
    sidecar.write(
        path,
        {
            "run": run,
            "created": created,
            "eval_results": results,
            "protocol": PROTOCOL.to_dict(),
            "epoch": 3,
            "history_file": sidecar.sidecar_of(path).name,
            "training_stats": {"config": towers},
            "cost": {"seconds": 12.5, "parameters": 1000},
        }
        | content,
    )
    return path
