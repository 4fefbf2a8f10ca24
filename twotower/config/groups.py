"""The choices: what `query_tower=gru` selects, by group and word."""

from collections.abc import Mapping

from twotower.config.loss import Contrastive, Margin, Triplet
from twotower.config.source import Beir, Docstrings, MsMarco, Pairs, Stored, Triplets
from twotower.config.store import FileStore, QdrantStore, RedisStore
from twotower.config.tower import FrozenTower, GRUTower, MLPTower

_TOWERS: Mapping[str, type] = {"mlp": MLPTower, "gru": GRUTower}

GROUPS: Mapping[str, Mapping[str, type]] = {
    "data": {
        "docstrings": Docstrings,
        "beir": Beir,
        "msmarco": MsMarco,
        "triplets": Triplets,
        "pairs": Pairs,
        "stored": Stored,
    },
    "query_tower": _TOWERS,
    "doc_tower": {**_TOWERS, "frozen": FrozenTower},
    "store": {"files": FileStore, "redis": RedisStore, "qdrant": QdrantStore},
    "loss": {"contrastive": Contrastive, "triplet": Triplet, "margin": Margin},
}

SHORT: Mapping[str, str] = {"frozen": "checkpoint"}
"""Choices with one knob that may stand behind them: `frozen:@best` is `frozen` and its `checkpoint=@best`."""
