"""A small run: the tiny collection as a BEIR folder, narrow towers, random word vectors."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twotower import config
from twotower.data import beir
from twotower.data.collection import Collection

TOWERS: Mapping[str, config.Tower] = {
    "mlp": config.MLPTower(hidden_dim=12, num_layers=1),
    "gru": config.GRUTower(hidden_dim=6),
    "lstm": config.GRUTower(hidden_dim=6, cell=config.Cell.lstm, pooling=config.Pooling.attention),
    "rnn": config.GRUTower(hidden_dim=6, cell=config.Cell.rnn, bidirectional=True),
}
LOSSES: Mapping[str, config.Loss] = {
    "contrastive": config.Contrastive(),
    "triplet": config.Triplet(hardest=False),  # the hardest alone collapse towers this small
    "l2 triplet": config.Triplet(hardest=False, distance=config.Distance.l2),
    "given triplet": config.Triplet(hardest=False, negatives=config.Negatives.given, margin=0.5),
    "margin": config.Margin(),
}


def write_beir(collection: Collection, folder: Path) -> Path:
    """`collection` as a BEIR folder."""
    beir.write(collection, folder)
    return folder


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
