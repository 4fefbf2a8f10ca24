"""Every knob: its type, default, bounds and unit. No logic lives here.

`Train` is `twotower train`, and so on: one dataclass a command, one module a dataclass. A choice is a type:
`query_tower=gru` selects `GRUTower`. Values are frozen; YAML under `conf/` only selects and overrides.
"""

from twotower.config.data import Beir, Data, Docstrings, Stored
from twotower.config.evaluate import Candidates, Evaluate
from twotower.config.groups import GROUPS
from twotower.config.knobs import CUT_OFFS, Bounds, knob
from twotower.config.leaderboard import Leaderboard, TableFormat
from twotower.config.loss import Contrastive, Loss, Triplet
from twotower.config.search import AnswerFormat, Search
from twotower.config.tower import Activation, GRUTower, MLPTower, Pooling, Tower
from twotower.config.train import Device, Optimizer, Scheduler, Tracking, Train

__all__ = [
    "CUT_OFFS",
    "GROUPS",
    "Activation",
    "AnswerFormat",
    "Beir",
    "Bounds",
    "Candidates",
    "Contrastive",
    "Data",
    "Device",
    "Docstrings",
    "Evaluate",
    "GRUTower",
    "Leaderboard",
    "Loss",
    "MLPTower",
    "Optimizer",
    "Pooling",
    "Scheduler",
    "Search",
    "Stored",
    "TableFormat",
    "Tower",
    "Tracking",
    "Train",
    "Triplet",
    "knob",
]
