"""A small run: the tiny collection as a BEIR folder, narrow towers, random word vectors."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twotower import config
from twotower.data.collection import Collection

TOWERS: Mapping[str, config.Tower] = {
    "mlp": config.MLPTower(hidden_dim=12, num_layers=1),
    "gru": config.GRUTower(hidden_dim=6),
}
LOSSES: Mapping[str, config.Loss] = {
    "contrastive": config.Contrastive(),
    "triplet": config.Triplet(hardest=False),  # the hardest alone collapse towers this small
}


def write_beir(collection: Collection, folder: Path) -> Path:
    """`collection` as a BEIR folder."""
    (folder / "qrels").mkdir(parents=True)
    docs = zip(collection.doc_ids, collection.doc_titles, collection.doc_texts, strict=True)
    _lines(folder / "corpus.jsonl", [{"_id": i, "title": t, "text": x} for i, t, x in docs])
    queries = zip(collection.query_ids, collection.query_texts, strict=True)
    _lines(folder / "queries.jsonl", [{"_id": i, "text": x} for i, x in queries])
    for split in collection.splits:
        rows = [f"{q}\t{d}\t{g}" for q, docs in collection.split(split).items() for d, g in docs.items()]
        lines = ["query-id\tcorpus-id\tscore", *rows]
        (folder / "qrels" / f"{split}.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return folder


def _lines(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def small(folder: Path, home: Path, **knobs: Any) -> config.Train:
    """Knobs of a run on `folder` that takes a fraction of a second; checkpoints and cache go under `home`."""
    settings: dict[str, Any] = {
        "data": config.Beir(path=str(folder)),
        "query_tower": TOWERS["mlp"],
        "doc_tower": TOWERS["mlp"],
        "loss": LOSSES["contrastive"],
        "vectors": "random",
        "vectors_dim": 8,
        "dim": 10,
        "batch_size": 16,
        "random_negatives": 8,
        "epochs": 2,
        "learning_rate": 0.02,
        "k": [1, 3, 10],
        "checkpoint_dir": str(home / "checkpoints"),
        "cache_dir": str(home / "cache"),
        "tracking": config.Tracking.none,
        "patience": 0,
    }
    return config.Train(**(settings | knobs))
