"""The choices: what `query_tower=gru` selects, by group and word."""

from collections.abc import Mapping

from twotower.config.data import Beir, Docstrings, Stored
from twotower.config.loss import Contrastive, Triplet
from twotower.config.tower import GRUTower, MLPTower

_TOWERS: Mapping[str, type] = {"mlp": MLPTower, "gru": GRUTower}

GROUPS: Mapping[str, Mapping[str, type]] = {
    "data": {"docstrings": Docstrings, "beir": Beir, "stored": Stored},
    "query_tower": _TOWERS,
    "doc_tower": _TOWERS,
    "loss": {"contrastive": Contrastive, "triplet": Triplet},
}
